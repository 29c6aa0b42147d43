//! Ticks to nanoseconds: clock pairs become one piecewise-linear conversion per clock, exact in integers.
//!
//! All processes of one boot that record the same counter share one conversion, so that the order of their
//! nanoseconds is the order of their ticks.

use std::collections::{BTreeMap, HashMap};

use ringscope_ringbuf::block::ClockPair;
use ringscope_ringbuf::clock::ClockSource;

use crate::process::Process;
use crate::run::Run;

/// Pairs nearer to each other than this are thinned out: the noise of near ones would make a bad slope.
const MIN_PAIR_DISTANCE_NS: i64 = 100_000_000;

/// Ticks a second when nothing states them and one pair tells no slope.
const FALLBACK_HZ: u64 = 1_000_000_000;

/// Ticks from a pair on that are converted the short way.
const MAX_REACH_TICKS: u64 = 1 << 58;

/// Pairs further apart (for centuries) are interpolated in wider integers.
const MAX_RUN_TICKS: u64 = 1 << 62;

/// A moment on a counter and on CLOCK_MONOTONIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Ticks.
    pub ticks: u64,
    /// CLOCK_MONOTONIC, ns.
    pub mono_ns: i64,
    /// Half of the bracket the pair was taken in, ns.
    pub uncertainty_ns: u32,
}

impl Pair {
    fn zero() -> Pair {
        Pair {
            ticks: 0,
            mono_ns: 0,
            uncertainty_ns: 0,
        }
    }
}

impl From<&ClockPair> for Pair {
    fn from(pair: &ClockPair) -> Pair {
        Pair {
            ticks: pair.ticks,
            mono_ns: i64::try_from(pair.mono_ns).unwrap_or(i64::MAX),
            uncertainty_ns: pair.uncertainty_ns,
        }
    }
}

/// A straight line through a pair: `ns = mono_ns + round_half_up((ticks - pair.ticks) * rise_ns / run_ticks)`.
#[derive(Clone, Copy, Debug)]
struct Line {
    ticks: u64,
    mono_ns: i64,
    rise_ns: u64,
    run_ticks: u64,
    factor: Factor,
}

/// A slope, for distances below 2^shift.
#[derive(Clone, Copy, Debug)]
struct Factor {
    /// `floor(slope * 2^shift)`.
    multiplier: u64,
    shift: u32,
}

impl Factor {
    /// `round_half_up(distance * slope)` for `distance < 2^shift`, unless that is a close call: the multiplier is less
    /// than one below the true one, so the fraction lacks less than the scaled distance. Where so little can't carry,
    /// the sum is exact.
    #[inline(always)]
    fn apply(self, distance: u64) -> Option<u64> {
        let scaled = distance << (self.shift.wrapping_neg() & 63);
        let sum = scaled as u128 * self.multiplier as u128 + (1 << 63);
        (sum as u64).checked_add(scaled).map(|_| (sum >> 64) as u64)
    }
}

impl Line {
    /// A line of slope `rise_ns / run_ticks` (both positive) through `at`.
    fn new(at: Pair, rise_ns: u64, run_ticks: u64) -> Line {
        // The multiplier fits 64 bits when 2^shift does not exceed 2^63 divided by the slope rounded up.
        let slope = rise_ns / run_ticks + 1;
        let shift = 63 - (64 - slope.leading_zeros()).min(63);
        Line {
            ticks: at.ticks,
            mono_ns: at.mono_ns,
            rise_ns,
            run_ticks,
            factor: Factor {
                multiplier: (((rise_ns as u128) << shift) / run_ticks as u128) as u64,
                shift,
            },
        }
    }

    fn to_ns(self, ticks: u64) -> i64 {
        let distance = ticks.wrapping_sub(self.ticks);
        if ticks >= self.ticks
            && distance >> self.factor.shift == 0
            && self.run_ticks < MAX_RUN_TICKS
        {
            let ns = i64::try_from(self.forward(distance)).unwrap_or(i64::MAX);
            self.mono_ns.saturating_add(ns)
        } else {
            self.to_ns_slow(ticks)
        }
    }

    /// `round_half_up(distance * rise / run)` for `distance < 2^shift`.
    fn forward(self, distance: u64) -> u64 {
        let found = self.factor.apply(distance);
        found.unwrap_or_else(|| self.forward_by_remainder(distance))
    }

    /// The same where it is a close call: the product may be one too small, and the remainder tells. The remainder is less than twice
    /// the run, which is less than 2^63: 64 bits hold it, whatever the products are.
    #[cold]
    fn forward_by_remainder(self, distance: u64) -> u64 {
        let product = distance as u128 * self.factor.multiplier as u128;
        let quotient = (product >> (self.factor.shift & 63)) as u64;
        let product = quotient.wrapping_mul(self.run_ticks);
        let rest = distance.wrapping_mul(self.rise_ns).wrapping_sub(product);
        let is_short = rest >= self.run_ticks;
        let rest = rest - if is_short { self.run_ticks } else { 0 };
        let rounds_up = rest >= self.run_ticks - rest;
        quotient + u64::from(is_short) + u64::from(rounds_up)
    }

    #[cold]
    fn to_ns_slow(self, ticks: u64) -> i64 {
        let distance = ticks as i128 - self.ticks as i128;
        let (rise, run) = (self.rise_ns as i128, self.run_ticks as i128);
        let whole = (distance / run).saturating_mul(rise);
        // Only with pairs centuries apart do these products leave 128 bits.
        let part = distance % run;
        let doubled = part.checked_mul(2 * rise).and_then(|p| p.checked_add(run));
        let ns = match doubled {
            Some(doubled) => whole.saturating_add(doubled.div_euclid(2 * run)),
            None => whole,
        };
        let ns = (self.mono_ns as i128).saturating_add(ns);
        ns.clamp(i64::MIN as i128, i64::MAX as i128) as i64
    }
}

/// Converts ticks of one counter to CLOCK_MONOTONIC nanoseconds.
#[derive(Clone, Debug)]
pub struct Conversion {
    /// Lines by first tick; the first also serves what lies before it. Empty: a tick is a nanosecond.
    lines: Vec<Line>,
    pairs: Vec<Pair>,
    /// False when a single pair without a stated frequency is all there is.
    slope_is_known: bool,
}

impl Conversion {
    /// Of a counter whose ticks are CLOCK_MONOTONIC nanoseconds.
    pub fn identity() -> Conversion {
        Conversion {
            lines: Vec::new(),
            pairs: Vec::new(),
            slope_is_known: true,
        }
    }

    /// From pairs in any order; `nominal_hz` serves when they tell no slope (0: unknown). `None` without pairs.
    pub fn from_pairs(pairs: &[Pair], nominal_hz: u64) -> Option<Conversion> {
        let pairs = thin_out(pairs);
        let (first, last) = (*pairs.first()?, *pairs.last()?);
        if pairs.len() == 1 {
            let hz = if nominal_hz == 0 {
                FALLBACK_HZ
            } else {
                nominal_hz
            };
            return Some(Conversion {
                lines: vec![Line::new(first, 1_000_000_000, hz)],
                pairs,
                slope_is_known: nominal_hz != 0,
            });
        }
        let line = |at: Pair, from: Pair, to: Pair| {
            Line::new(at, to.mono_ns.abs_diff(from.mono_ns), to.ticks - from.ticks)
        };
        let mut lines = vec![line(first, first, last)];
        lines.extend(pairs.windows(2).map(|w| line(w[0], w[0], w[1])));
        lines.push(line(last, first, last));
        Some(Conversion {
            lines,
            pairs,
            slope_is_known: true,
        })
    }

    /// The pairs in use, by time.
    pub(crate) fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    /// CLOCK_MONOTONIC in ns of a moment in ticks. Monotone: later ticks never come out earlier.
    #[inline]
    pub fn to_ns(&self, ticks: u64) -> i64 {
        let Some(first) = self.lines.first() else {
            return i64::try_from(ticks).unwrap_or(i64::MAX);
        };
        if ticks < first.ticks {
            return first.to_ns(ticks);
        }
        let after = self.lines.partition_point(|line| line.ticks <= ticks);
        self.lines
            .get(after.wrapping_sub(1))
            .unwrap_or(first)
            .to_ns(ticks)
    }

    /// How far off a moment may be, over `from_ns..=to_ns`: the bracket of the worst pair in use, and what the
    /// slope may be off times the distance beyond the pairs. `None` when the slope is a guess.
    pub fn uncertainty_ns(&self, from_ns: i64, to_ns: i64) -> Option<u64> {
        let (Some(first), Some(last)) = (self.pairs.first(), self.pairs.last()) else {
            return Some(0);
        };
        if !self.slope_is_known {
            return None;
        }
        let worst = self.pairs.iter().map(|p| p.uncertainty_ns as u64).max()?;
        let span_ns = last.mono_ns.abs_diff(first.mono_ns);
        let beyond_ns = u64::try_from(first.mono_ns.saturating_sub(from_ns))
            .unwrap_or(0)
            .max(u64::try_from(to_ns.saturating_sub(last.mono_ns)).unwrap_or(0));
        if span_ns == 0 {
            return Some(worst);
        }
        let slope_error_ns = first.uncertainty_ns as u128 + last.uncertainty_ns as u128;
        let extra = slope_error_ns * beyond_ns as u128 / span_ns as u128;
        Some(worst.saturating_add(u64::try_from(extra).unwrap_or(u64::MAX)))
    }
}

impl Conversion {
    /// How far off a moment near `ns` may be: between two pairs as much of each as lies near to it, beyond them as
    /// [`Conversion::uncertainty_ns`] has it. `None` when the slope is a guess.
    pub(crate) fn uncertainty_at(&self, ns: i64) -> Option<u64> {
        let (Some(first), Some(last)) = (self.pairs.first(), self.pairs.last()) else {
            return Some(0);
        };
        if !self.slope_is_known {
            return None;
        }
        let after = self.pairs.partition_point(|pair| pair.mono_ns <= ns);
        if let Some(before) = after.checked_sub(1)
            && let (Some(before), Some(next)) = (self.pairs.get(before), self.pairs.get(after))
        {
            let len_ns = u128::from(next.mono_ns.abs_diff(before.mono_ns));
            let since_ns = u128::from(ns.abs_diff(before.mono_ns));
            let sum = u128::from(before.uncertainty_ns) * (len_ns - since_ns)
                + u128::from(next.uncertainty_ns) * since_ns;
            return u64::try_from(sum.div_ceil(len_ns.max(1))).ok();
        }
        let nearest = if after == 0 { first } else { last };
        let span_ns = u128::from(last.mono_ns.abs_diff(first.mono_ns));
        let slope_error_ns = u128::from(first.uncertainty_ns) + u128::from(last.uncertainty_ns);
        let beyond_ns = u128::from(nearest.mono_ns.abs_diff(ns));
        let extra_ns = (slope_error_ns * beyond_ns)
            .checked_div(span_ns)
            .unwrap_or(0);
        let extra_ns = u64::try_from(extra_ns).unwrap_or(u64::MAX);
        Some(u64::from(nearest.uncertainty_ns).saturating_add(extra_ns))
    }
}

/// Ticks that one line serves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    /// The first of them.
    ticks: u64,
    /// How many they are; 0 for none.
    len_ticks: u64,
    /// What the first one comes to; no sum within reach overflows.
    first_ns: i64,
    factor: Factor,
}

impl Reach {
    const NONE: Reach = Reach {
        ticks: 0,
        len_ticks: 0,
        first_ns: 0,
        factor: Factor {
            multiplier: 0,
            shift: 1,
        },
    };

    /// As [`ProcessClock::ticks`], within reach and unless it is a close call.
    #[inline(always)]
    pub(crate) fn ns(&self, ticks: u64) -> Option<i64> {
        let distance = ticks.wrapping_sub(self.ticks);
        let ns = self.factor.apply(distance)?;
        (distance < self.len_ticks).then(|| self.first_ns.wrapping_add(ns as i64))
    }
}

impl Conversion {
    /// What serves `ticks`, moved by `shift_ns`.
    fn reach(&self, ticks: u64, shift_ns: i64) -> Reach {
        let identity = Line::new(Pair::zero(), 1, 1);
        let after = self.lines.partition_point(|line| line.ticks <= ticks);
        let line = match after.checked_sub(1) {
            Some(at) => self.lines[at],
            None if self.lines.is_empty() => identity,
            None => return Reach::NONE,
        };
        let next = self.lines.get(after).map_or(u64::MAX, |next| next.ticks);
        let longest = MAX_REACH_TICKS.min(1 << line.factor.shift);
        let len_ticks = (next - line.ticks).min(longest);
        let first_ns = line.mono_ns.checked_add(shift_ns);
        let last = i64::try_from(line.forward(len_ticks.saturating_sub(1))).ok();
        let last_ns = first_ns.and_then(|first| first.checked_add(last?));
        match (first_ns, last_ns) {
            (Some(first_ns), Some(_)) if line.run_ticks < MAX_RUN_TICKS => Reach {
                ticks: line.ticks,
                len_ticks,
                first_ns,
                factor: line.factor,
            },
            _ => Reach::NONE,
        }
    }

    /// A cursor whose moments are moved by `shift_ns`.
    pub(crate) fn cursor(&self, shift_ns: i64) -> TickCursor<'_> {
        TickCursor {
            conversion: self,
            shift_ns,
            reach: self.reach(0, shift_ns),
        }
    }

    /// The first tick whose moment is not before `ns`; the last one there is when there is none.
    pub(crate) fn first_tick_at(&self, ns: i64) -> u64 {
        let Some(first) = self.lines.first() else {
            return u64::try_from(ns).unwrap_or(0);
        };
        let after = self.lines.partition_point(|line| line.mono_ns <= ns);
        let line = after.checked_sub(1).and_then(|at| self.lines.get(at));
        let line = line.unwrap_or(first);
        // Rounding moves a tick by one nanosecond at the most: the answer lies near the line's own.
        let rise_ns = i128::from(line.rise_ns.max(1));
        let ns_from_line = i128::from(ns) - i128::from(line.mono_ns);
        // Damaged pairs run for any number of ticks: a guess beyond all numbers is beyond all ticks too.
        let ticks_from_line = ns_from_line.saturating_mul(line.run_ticks.into()) / rise_ns;
        let guess = ticks_from_line.saturating_add(line.ticks.into());
        let slack = 2 + 2 * i128::from(line.run_ticks) / rise_ns;
        let clamp = |ticks: i128| ticks.clamp(0, i128::from(u64::MAX)) as u64;
        let (mut low, mut high) = (
            clamp(guess.saturating_sub(slack)),
            clamp(guess.saturating_add(slack)),
        );
        if self.to_ns(low) >= ns {
            low = 0;
        }
        if self.to_ns(high) < ns {
            high = u64::MAX;
        }
        while low < high {
            let middle = low + (high - low) / 2;
            if self.to_ns(middle) >= ns {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }
}

/// Converts ticks that lie near each other: remembers what served last.
#[derive(Clone, Debug)]
pub(crate) struct TickCursor<'a> {
    conversion: &'a Conversion,
    shift_ns: i64,
    pub(crate) reach: Reach,
}

impl TickCursor<'_> {
    /// As [`Conversion::to_ns`], or [`ProcessClock::ticks`] where it is of a process.
    #[inline]
    pub(crate) fn ns(&mut self, ticks: u64) -> i64 {
        let found = self.reach.ns(ticks);
        found.unwrap_or_else(|| self.find(ticks))
    }

    /// The same from the start, with the reach that serves it from now on.
    #[cold]
    pub(crate) fn find(&mut self, ticks: u64) -> i64 {
        self.reach = self.conversion.reach(ticks, self.shift_ns);
        self.conversion.to_ns(ticks).saturating_add(self.shift_ns)
    }
}

/// The pairs to use: the surest first, each kept when no kept one is nearer than [`MIN_PAIR_DISTANCE_NS`] and both
/// its clocks lie between those of its neighbours. A run shorter than that keeps its first and last pair.
fn thin_out(pairs: &[Pair]) -> Vec<Pair> {
    let mut surest: Vec<Pair> = pairs.to_vec();
    surest.sort_by_key(|p| (p.uncertainty_ns, p.ticks, p.mono_ns));
    let mut kept: BTreeMap<i64, Pair> = BTreeMap::new();
    for pair in surest {
        let before = kept.range(..=pair.mono_ns).next_back().map(|(_, p)| *p);
        let after = kept.range(pair.mono_ns..).next().map(|(_, p)| *p);
        let fits = |near: &Pair| pair.mono_ns.abs_diff(near.mono_ns) >= MIN_PAIR_DISTANCE_NS as u64;
        let is_later = before.is_none_or(|b| fits(&b) && b.ticks < pair.ticks);
        let is_earlier = after.is_none_or(|a| fits(&a) && pair.ticks < a.ticks);
        if is_later && is_earlier {
            kept.insert(pair.mono_ns, pair);
        }
    }
    let kept: Vec<Pair> = kept.into_values().collect();
    if kept.len() == 1 {
        let first = pairs.iter().min_by_key(|p| (p.ticks, p.mono_ns));
        let last = pairs.iter().max_by_key(|p| (p.ticks, p.mono_ns));
        if let (Some(first), Some(last)) = (first, last)
            && first.ticks < last.ticks
            && first.mono_ns < last.mono_ns
        {
            return vec![*first, *last];
        }
    }
    kept
}

/// The clock of a process: the counter, and the boot that it counts from.
pub(crate) type ClockKey = ([u8; 16], u32);

/// Every clock of the decoded runs.
#[derive(Debug)]
pub(crate) struct Clocks {
    conversions: HashMap<ClockKey, Conversion>,
    /// What to add to CLOCK_MONOTONIC of a boot to get that of the first process's boot.
    shift_ns: HashMap<[u8; 16], i64>,
    /// What to add to that, by nonce of the recorder.
    shifts_ns: HashMap<u64, i64>,
    /// Least and largest CLOCK_REALTIME less CLOCK_MONOTONIC of each boot.
    offsets_ns: HashMap<[u8; 16], (i64, i64)>,
    /// CLOCK_REALTIME less CLOCK_MONOTONIC on the first process's boot, in ns.
    pub epoch_offset_ns: i64,
}

impl Clocks {
    pub(crate) fn of_runs(runs: &[Run], shifts_ns: &HashMap<u64, i64>) -> Clocks {
        let all = || {
            runs.iter()
                .flat_map(|r| r.processes.iter().chain(&r.supervisors))
        };
        let mut pairs: HashMap<ClockKey, (Vec<Pair>, u64)> = HashMap::new();
        for process in all() {
            let (pairs, nominal_hz) = pairs.entry(key(process)).or_default();
            pairs.extend(process.pairs.iter().map(Pair::from));
            *nominal_hz = (*nominal_hz).max(process.nominal_hz);
        }
        let conversions = pairs
            .into_iter()
            .filter_map(|(key, (pairs, nominal_hz))| {
                let is_ns = key.1 == ClockSource::Monotonic as u32;
                let conversion = if is_ns {
                    Some(Conversion::identity())
                } else {
                    Conversion::from_pairs(&pairs, nominal_hz)
                };
                Some((key, conversion?))
            })
            .collect();
        let mut offsets: HashMap<[u8; 16], (u64, i64)> = HashMap::new();
        for process in all().filter(|p| p.created_real_ns != 0) {
            let offset = process
                .created_real_ns
                .wrapping_sub(process.created_mono_ns) as i64;
            let at = (process.created_mono_ns, offset);
            let earliest = offsets.entry(process.boot_id).or_insert(at);
            *earliest = at.min(*earliest);
        }
        let reference = runs
            .iter()
            .flat_map(|run| &run.processes)
            .find_map(|p| offsets.get(&p.boot_id))
            .map_or(0, |(_, offset)| *offset);
        let shift = |(boot, (_, offset)): (&[u8; 16], &(u64, i64))| {
            (*boot, offset.saturating_sub(reference))
        };
        Clocks {
            conversions,
            shift_ns: offsets.iter().map(shift).collect(),
            shifts_ns: shifts_ns.clone(),
            offsets_ns: wall_offsets(all()),
            epoch_offset_ns: reference,
        }
    }

    /// The clock of one process; a clock without any pair counts nanoseconds, for want of better.
    pub(crate) fn of_process(&self, process: &Process) -> ProcessClock {
        let known = self.conversions.get(&key(process));
        ProcessClock {
            is_known: known.is_some(),
            conversion: known.cloned().unwrap_or_else(Conversion::identity),
            shift_ns: self.shift_of(process),
        }
    }

    fn shift_of(&self, process: &Process) -> i64 {
        let of_boot = self.shift_ns.get(&process.boot_id).copied().unwrap_or(0);
        let own = self.shifts_ns.get(&process.nonce).copied().unwrap_or(0);
        of_boot.saturating_add(own)
    }

    /// What is known of the clocks that tie boots together.
    pub(crate) fn wall_clocks(&self) -> WallClocks {
        let moved = self.offsets_ns.values();
        let moved = moved.map(|(least, largest)| largest.abs_diff(*least));
        WallClocks {
            count: self.offsets_ns.len(),
            corrected_ns: moved.max().unwrap_or(0),
        }
    }
}

/// The wall clocks of the boots that stand on one time line.
pub(crate) struct WallClocks {
    /// Boots.
    pub count: usize,
    /// How far one was set or steered while it recorded, at most, ns.
    pub corrected_ns: u64,
}

fn wall_offsets<'a>(processes: impl Iterator<Item = &'a Process>) -> HashMap<[u8; 16], (i64, i64)> {
    let mut offsets: HashMap<[u8; 16], (i64, i64)> = HashMap::new();
    for process in processes.filter(|p| p.boot_id != [0; 16]) {
        let created = (process.created_real_ns, process.created_mono_ns);
        let pairs = process
            .pairs
            .iter()
            .map(|pair| (pair.real_ns, pair.mono_ns));
        for (real_ns, mono_ns) in pairs.chain([created]).filter(|(real, _)| *real != 0) {
            let offset = real_ns.wrapping_sub(mono_ns) as i64;
            let (least, largest) = offsets.entry(process.boot_id).or_insert((offset, offset));
            (*least, *largest) = (offset.min(*least), offset.max(*largest));
        }
    }
    offsets
}

fn key(process: &Process) -> ClockKey {
    (process.boot_id, process.clock_source)
}

/// Converts the moments of one process to ns on the time line's CLOCK_MONOTONIC.
#[derive(Clone, Debug)]
pub(crate) struct ProcessClock {
    pub is_known: bool,
    pub conversion: Conversion,
    shift_ns: i64,
}

impl ProcessClock {
    pub(crate) fn cursor(&self) -> TickCursor<'_> {
        self.conversion.cursor(self.shift_ns)
    }

    /// The first tick whose moment is not before `ns`.
    pub(crate) fn first_tick_at(&self, ns: i64) -> u64 {
        self.conversion
            .first_tick_at(ns.saturating_sub(self.shift_ns))
    }

    #[inline]
    pub(crate) fn ticks(&self, ticks: u64) -> i64 {
        self.conversion.to_ns(ticks).saturating_add(self.shift_ns)
    }

    #[inline]
    pub(crate) fn mono_ns(&self, mono_ns: u64) -> i64 {
        i64::try_from(mono_ns)
            .unwrap_or(i64::MAX)
            .saturating_add(self.shift_ns)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pair(ticks: u64, mono_ns: i64, uncertainty_ns: u32) -> Pair {
        Pair {
            ticks,
            mono_ns,
            uncertainty_ns,
        }
    }

    /// The definition, in the plainest arithmetic.
    fn exact(from: Pair, to: Pair, at: Pair, ticks: u64) -> i128 {
        let rise = (to.mono_ns - from.mono_ns) as i128;
        let run = (to.ticks - from.ticks) as i128;
        let doubled = 2 * (ticks as i128 - at.ticks as i128) * rise + run;
        at.mono_ns as i128 + doubled.div_euclid(2 * run)
    }

    proptest! {
        #[test]
        fn conversion_is_exact(
            start in 0u64..1 << 50,
            steps in prop::collection::vec((1u64..1 << 40, 100_000_000i64..1 << 40), 1..6),
            probes in prop::collection::vec(0u64..1 << 52, 1..50),
        ) {
            let mut pairs = vec![pair(start, 5_000, 10)];
            for (run, rise) in steps {
                let last = pairs[pairs.len() - 1];
                pairs.push(pair(last.ticks + run, last.mono_ns + rise, 10));
            }
            let conversion = Conversion::from_pairs(&pairs, 0).unwrap();
            let (first, last) = (pairs[0], pairs[pairs.len() - 1]);
            for ticks in probes {
                let expected = if ticks < first.ticks {
                    exact(first, last, first, ticks)
                } else if ticks >= last.ticks {
                    exact(first, last, last, ticks)
                } else {
                    let piece = pairs.windows(2).find(|w| ticks < w[1].ticks).unwrap();
                    exact(piece[0], piece[1], piece[0], ticks)
                };
                let expected = expected.clamp(i64::MIN as i128, i64::MAX as i128);
                prop_assert_eq!(conversion.to_ns(ticks) as i128, expected);
            }
        }

        #[test]
        fn the_quick_way_is_exact_up_to_its_limit(
            rise_ns in 1u64..1 << 40,
            run_ticks in 1u64..1 << 40,
            back in 1u64..1 << 40,
        ) {
            let line = Line::new(pair(0, 0, 0), rise_ns, run_ticks);
            // The error of the multiplier is largest here: half of the quotients come out one too small.
            let shift = line.factor.shift;
            let distance = (1u64 << shift) - back.min((1 << shift) - 1);
            let doubled = 2 * distance as u128 * rise_ns as u128 + run_ticks as u128;
            let expected = i64::try_from(doubled / (2 * run_ticks as u128)).unwrap_or(i64::MAX);
            let found = i64::try_from(line.forward(distance)).unwrap_or(i64::MAX);
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn a_cursor_converts_alike_and_first_ticks_are_the_first(
            pairs in prop::collection::vec((0u64..1 << 45, 0i64..1 << 40, 0u32..1000), 0..20),
            probes in prop::collection::vec(0u64..1 << 46, 1..50),
            shift_ns in -(1i64 << 62)..1 << 62,
        ) {
            let pairs: Vec<Pair> = pairs.into_iter().map(|(t, n, u)| pair(t, n, u)).collect();
            let conversion = Conversion::from_pairs(&pairs, 0).unwrap_or_else(Conversion::identity);
            let clock = ProcessClock { is_known: true, conversion, shift_ns };
            let mut cursor = clock.cursor();
            for ticks in probes {
                let ns = clock.ticks(ticks);
                prop_assert_eq!(cursor.ns(ticks), ns);
                let first = clock.first_tick_at(ns);
                prop_assert!(first <= ticks && clock.ticks(first) == ns);
                prop_assert!(first == 0 || clock.ticks(first - 1) < ns);
            }
            prop_assert_eq!(cursor.ns(u64::MAX), clock.ticks(u64::MAX));
        }

        #[test]
        fn no_pairs_are_too_far_apart(
            pairs in prop::collection::vec(any::<(u64, i64, u32)>(), 0..6),
            ns in prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX)],
        ) {
            let pairs: Vec<Pair> = pairs.into_iter().map(|(t, n, u)| pair(t, n, u)).collect();
            let conversion = Conversion::from_pairs(&pairs, 0).unwrap_or_else(Conversion::identity);
            let first = conversion.first_tick_at(ns);
            prop_assert!(conversion.to_ns(first) >= ns || first == u64::MAX);
            prop_assert!(first == 0 || conversion.to_ns(first - 1) < ns);
        }

        #[test]
        fn later_ticks_never_come_out_earlier(
            pairs in prop::collection::vec((0u64..1 << 45, 0i64..1 << 40, 0u32..1000), 1..20),
            mut probes in prop::collection::vec(0u64..1 << 46, 2..50),
        ) {
            let pairs: Vec<Pair> = pairs.into_iter().map(|(t, n, u)| pair(t, n, u)).collect();
            let conversion = Conversion::from_pairs(&pairs, 0).unwrap();
            probes.sort_unstable();
            for two in probes.windows(2) {
                prop_assert!(conversion.to_ns(two[0]) <= conversion.to_ns(two[1]));
            }
        }
    }

    #[test]
    fn of_near_pairs_the_surest_is_used() {
        let kept = thin_out(&[
            pair(0, 0, 50),
            pair(100, 50_000_000, 5),
            pair(220, 120_000_000, 90),
            pair(600, 300_000_000, 20),
        ]);
        assert_eq!(kept, [pair(100, 50_000_000, 5), pair(600, 300_000_000, 20)]);
    }

    #[test]
    fn a_short_run_keeps_its_ends() {
        let kept = thin_out(&[pair(10, 1_000, 5), pair(20, 2_000, 1), pair(40, 4_000, 9)]);
        assert_eq!(kept, [pair(10, 1_000, 5), pair(40, 4_000, 9)]);
        assert_eq!(thin_out(&[pair(1, 1, 1)]), [pair(1, 1, 1)]);
    }

    #[test]
    fn one_pair_uses_the_stated_frequency_and_says_when_there_is_none() {
        let stated = Conversion::from_pairs(&[pair(100, 1_000, 5)], 100_000_000).unwrap();
        assert_eq!(stated.to_ns(103), 1_030);
        assert_eq!(stated.to_ns(97), 970);
        assert_eq!(stated.uncertainty_ns(0, 5_000), Some(5));
        let guessed = Conversion::from_pairs(&[pair(100, 1_000, 5)], 0).unwrap();
        assert_eq!(guessed.uncertainty_ns(0, 5_000), None);
    }

    #[test]
    fn uncertainty_grows_beyond_the_pairs() {
        let pairs = [pair(0, 0, 10), pair(1_000, 1_000_000_000, 30)];
        let conversion = Conversion::from_pairs(&pairs, 0).unwrap();
        assert_eq!(conversion.uncertainty_ns(0, 1_000_000_000), Some(30));
        assert_eq!(conversion.uncertainty_ns(0, 3_000_000_000), Some(110));
    }
}
