//! Durations counted so that percentiles can be told: exactly for few, within 1/2048 for many, in little memory.

/// So many durations are kept as they are.
const FEW: usize = 1 << 10;
/// Buckets of a page: as many as there are steps within a power of two.
const PAGE: usize = 1 << 10;
/// Durations below this are told exactly.
const EXACT: u64 = 2 * PAGE as u64;

/// A collection of durations in ns.
#[derive(Debug, Default)]
pub(crate) struct Distribution {
    /// All of them, as long as they are few.
    few: Vec<u64>,
    /// Counts by bucket; a page that no duration fell into is empty.
    pages: Vec<Box<[u64]>>,
    pub count: u64,
    pub total_ns: u128,
    pub max_ns: u64,
}

impl Distribution {
    #[inline]
    pub(crate) fn add(&mut self, duration_ns: u64) {
        self.count += 1;
        self.total_ns += u128::from(duration_ns);
        self.max_ns = self.max_ns.max(duration_ns);
        if self.pages.is_empty() {
            self.add_to_few(duration_ns);
        } else {
            self.add_to_bucket(duration_ns, 1);
        }
    }

    fn add_to_few(&mut self, duration_ns: u64) {
        self.few.push(duration_ns);
        if self.few.len() > FEW {
            self.spread();
        }
    }

    /// Moves the few into buckets.
    fn spread(&mut self) {
        for duration_ns in std::mem::take(&mut self.few) {
            self.add_to_bucket(duration_ns, 1);
        }
    }

    #[inline]
    fn add_to_bucket(&mut self, duration_ns: u64, count: u64) {
        let bucket = bucket_of(duration_ns);
        let page = bucket / PAGE;
        if self.pages.get(page).is_none_or(|page| page.is_empty()) {
            self.make_page(page);
        }
        self.pages[page][bucket % PAGE] += count;
    }

    #[cold]
    fn make_page(&mut self, page: usize) {
        if self.pages.len() <= page {
            self.pages.resize_with(page + 1, Box::default);
        }
        self.pages[page] = vec![0; PAGE].into_boxed_slice();
    }

    /// Takes another collection in.
    pub(crate) fn join(&mut self, other: Distribution) {
        self.count += other.count;
        self.total_ns += other.total_ns;
        self.max_ns = self.max_ns.max(other.max_ns);
        let is_few = self.pages.is_empty()
            && other.pages.is_empty()
            && self.few.len() + other.few.len() <= FEW;
        if is_few {
            self.few.extend(other.few);
            return;
        }
        self.spread();
        for duration_ns in other.few {
            self.add_to_bucket(duration_ns, 1);
        }
        for (page, counts) in other.pages.iter().enumerate() {
            for (at, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
                self.add_to_bucket(middle_of(page * PAGE + at), *count);
            }
        }
    }

    /// The percentile by nearest rank; 0 of none.
    pub(crate) fn percentile(&self, percent: u64) -> u64 {
        let rank = (u128::from(self.count) * u128::from(percent))
            .div_ceil(100)
            .max(1) as u64;
        if self.pages.is_empty() {
            let mut sorted = self.few.clone();
            sorted.sort_unstable();
            return sorted.get(rank as usize - 1).copied().unwrap_or(0);
        }
        let mut so_far = 0;
        for (page, counts) in self.pages.iter().enumerate() {
            for (at, count) in counts.iter().enumerate() {
                so_far += count;
                if so_far >= rank {
                    return middle_of(page * PAGE + at).min(self.max_ns);
                }
            }
        }
        self.max_ns
    }
}

/// Buckets have the width 1 up to [`EXACT`]; from each power of two on they are twice as wide.
fn bucket_of(duration_ns: u64) -> usize {
    if duration_ns < EXACT {
        return duration_ns as usize;
    }
    let shift = duration_ns.ilog2() - PAGE.ilog2();
    let step = (duration_ns >> shift) as usize - PAGE;
    (shift as usize + 1) * PAGE + step
}

fn middle_of(bucket: usize) -> u64 {
    if bucket < EXACT as usize {
        return bucket as u64;
    }
    let shift = bucket / PAGE - 1;
    let low = ((bucket % PAGE + PAGE) as u64) << shift;
    low + (1 << shift) / 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_bucket_stands_for_its_durations(duration_ns: u64) {
            let middle = middle_of(bucket_of(duration_ns));
            prop_assert!(middle.abs_diff(duration_ns) <= duration_ns / 2048);
        }

        #[test]
        fn percentiles_are_near(mut durations in prop::collection::vec(0u64..1 << 40, 1..3_000), cut: prop::sample::Index) {
            let cut = cut.index(durations.len());
            let mut parts = [Distribution::default(), Distribution::default()];
            for (at, duration_ns) in durations.iter().enumerate() {
                parts[usize::from(at < cut)].add(*duration_ns);
            }
            let [mut whole, other] = parts;
            whole.join(other);
            durations.sort_unstable();
            for percent in [1, 50, 90, 99, 100] {
                let rank = (durations.len() * percent).div_ceil(100).max(1);
                let exact = durations[rank - 1];
                let slack = if durations.len() <= FEW { 0 } else { exact / 1024 };
                prop_assert!(whole.percentile(percent as u64).abs_diff(exact) <= slack);
            }
        }
    }
}
