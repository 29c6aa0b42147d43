//! Do the spans of a row nest? Told on the way through a ring, whose spans stand there in the order of their ends.
//!
//! Children come before their parents: what is kept is the spans that no parent has come for yet, one behind the other.
//! The answer may be "perhaps not" for spans that do nest, never the other way round.

/// Spans by which one may stand too early in its ring: signal handlers record between a span's end and its record.
const MAX_EARLY: usize = 64;

/// A span that stands inside no other so far.
#[derive(Clone, Copy, Debug)]
struct Root {
    start: i64,
    end: i64,
    /// Spans within each other, this one included.
    height: u32,
}

/// What is known about the spans of a row.
#[derive(Debug, Default)]
pub(crate) struct Nesting {
    /// By start, none touching another.
    roots: Vec<Root>,
    /// End of the last root that was let go.
    forgotten_to: Option<i64>,
    /// Deepest nesting, or more.
    pub depth: u32,
    /// Two spans overlap, or seem to.
    pub is_broken: bool,
}

impl Nesting {
    /// Takes the next span in. All moments are of one clock.
    #[inline]
    pub(crate) fn add(&mut self, start: i64, end: i64) {
        let mut height = 1;
        loop {
            let Some(last) = self.roots.last() else {
                // Its children may be among those that were let go.
                if self.forgotten_to.is_some_and(|to| start < to) {
                    height = height.max(self.depth + 1);
                }
                break;
            };
            if last.start < start {
                self.is_broken |= last.end > start;
                break;
            }
            if last.end > end {
                return self.add_early(start, end);
            }
            height = height.max(last.height + 1);
            self.roots.pop();
        }
        self.depth = self.depth.max(height);
        self.roots.push(Root { start, end, height });
    }

    /// A span that some of the last ones lie behind.
    #[cold]
    fn add_early(&mut self, start: i64, end: i64) {
        let behind = self.roots.partition_point(|root| root.start < end);
        if behind == self.roots.len() || self.roots.len() - behind > MAX_EARLY {
            self.is_broken = true;
            return;
        }
        let later = self.roots.split_off(behind);
        self.add(start, end);
        self.roots.extend(later);
    }

    /// Lets go of spans that no later one can cut, once `most` are kept: none begins before `horizon` but those that
    /// are looked at again.
    pub(crate) fn forget(&mut self, horizon: i64, most: usize) {
        if self.roots.len() < most {
            return;
        }
        let old = self.roots.partition_point(|root| root.end <= horizon);
        if let Some(last) = old.checked_sub(1).and_then(|at| self.roots.get(at)) {
            self.forgotten_to = self.forgotten_to.max(Some(last.end));
            self.roots.drain(..old);
        }
    }

    /// Goes on with another clock.
    pub(crate) fn convert(&mut self, mut moment: impl FnMut(i64) -> i64) {
        for root in &mut self.roots {
            root.start = moment(root.start);
            root.end = moment(root.end);
        }
        self.forgotten_to = self.forgotten_to.map(moment);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(spans: &[(i64, i64)]) -> Nesting {
        let mut nesting = Nesting::default();
        for (start, end) in spans {
            nesting.add(*start, *end);
        }
        nesting
    }

    #[test]
    fn nested_spans_are_told_from_overlapping_ones() {
        let nested = of(&[(2, 3), (4, 5), (1, 6), (7, 8), (0, 9), (9, 9)]);
        assert!(!nested.is_broken);
        assert_eq!(nested.depth, 3);
        assert!(of(&[(0, 5), (3, 8)]).is_broken);
        // The inner one recorded after the outer one.
        assert!(of(&[(0, 9), (3, 8)]).is_broken);
        // A handler's span, recorded before the one whose end it interrupted.
        assert!(!of(&[(0, 2), (6, 7), (3, 5), (8, 9)]).is_broken);
    }

    #[test]
    fn what_was_let_go_counts_for_the_depth() {
        const SPANS: i64 = 100;
        let mut nesting = Nesting::default();
        for at in 0..SPANS {
            nesting.add(at * 10 + 1, at * 10 + 2);
            nesting.add(at * 10, at * 10 + 3);
        }
        nesting.forget(SPANS * 10, 1 + SPANS as usize);
        assert!(!nesting.roots.is_empty());
        nesting.forget(SPANS * 10, SPANS as usize);
        assert!(nesting.roots.is_empty());
        nesting.add(0, i64::MAX);
        assert!(!nesting.is_broken && nesting.depth == 3);
    }

    proptest! {
        #[test]
        fn no_overlap_is_missed(times in prop::collection::vec((0i64..40, 0i64..20), 0..30)) {
            let mut spans: Vec<(i64, i64)> =
                times.iter().map(|(start, len)| (*start, start + len)).collect();
            spans.sort_by_key(|(_, end)| *end);
            let overlap = |a: &(i64, i64), b: &(i64, i64)| a.0 < b.0 && b.0 < a.1 && a.1 < b.1;
            let overlaps = spans.iter().any(|a| spans.iter().any(|b| overlap(a, b)));
            prop_assert!(!overlaps || of(&spans).is_broken);
        }
    }
}
