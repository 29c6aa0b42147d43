//! Ticks to nanoseconds, by the definition.

use super::names::{Anchor, Names, Pair};

/// What a counter's ticks are in nanoseconds of CLOCK_MONOTONIC.
pub struct Clock {
    /// By ticks. Empty: a tick is a nanosecond.
    pairs: Vec<Pair>,
    nominal_hz: u64,
}

impl Clock {
    /// The clock of a process: of all pairs of its boot and counter.
    pub fn of(process: &Names, all: &[Names]) -> Clock {
        if process.clock_source == 3 {
            return Clock {
                pairs: Vec::new(),
                nominal_hz: 0,
            };
        }
        let same: Vec<&Names> = all
            .iter()
            .filter(|other| {
                other.boot_id == process.boot_id && other.clock_source == process.clock_source
            })
            .collect();
        let pairs = same.iter().flat_map(|names| names.pairs.clone()).collect();
        let nominal_hz = same.iter().map(|names| names.nominal_hz).max().unwrap();
        Clock {
            pairs: choose(pairs),
            nominal_hz,
        }
    }

    /// The clock of a device: of its anchors, read by its host.
    pub fn of_device(anchors: &[Anchor], frequency_hz: u64, host: &Clock) -> Clock {
        let pair = |anchor: &Anchor| {
            let (before, after) = (host.ns(anchor.before), host.ns(anchor.after));
            Pair {
                ticks: anchor.device,
                mono_ns: before + (after - before) / 2,
                uncertainty_ns: (after - before) / 2 + 1,
            }
        };
        Clock {
            pairs: choose(anchors.iter().map(pair).collect()),
            nominal_hz: frequency_hz,
        }
    }

    /// CLOCK_MONOTONIC of a moment.
    pub fn ns(&self, ticks: i128) -> i128 {
        let Some((first, last)) = self.pairs.first().zip(self.pairs.last()) else {
            return ticks;
        };
        if self.pairs.len() == 1 {
            let hz = if self.nominal_hz == 0 {
                1_000_000_000
            } else {
                self.nominal_hz
            };
            return first.mono_ns + round(ticks - first.ticks, 1_000_000_000, hz as i128);
        }
        let (at, from, to) = if ticks < first.ticks {
            (first, first, last)
        } else if ticks >= last.ticks {
            (last, first, last)
        } else {
            let piece = self
                .pairs
                .windows(2)
                .find(|two| ticks < two[1].ticks)
                .unwrap();
            (&piece[0], &piece[0], &piece[1])
        };
        let (rise, run) = (to.mono_ns - from.mono_ns, to.ticks - from.ticks);
        at.mono_ns + round(ticks - at.ticks, rise, run)
    }
}

/// `distance * rise / run`, halves rounded up.
fn round(distance: i128, rise: i128, run: i128) -> i128 {
    (2 * distance * rise + run).div_euclid(2 * run)
}

/// The surest pairs, none nearer than 100 ms to another; of a shorter run the first and the last.
fn choose(pairs: Vec<Pair>) -> Vec<Pair> {
    let mut by_trust = pairs.clone();
    by_trust.sort_by_key(|pair| (pair.uncertainty_ns, pair.ticks, pair.mono_ns));
    let mut kept: Vec<Pair> = Vec::new();
    for pair in by_trust {
        let agrees = |other: &Pair| {
            (pair.mono_ns - other.mono_ns).abs() >= 100_000_000
                && (pair.ticks < other.ticks) == (pair.mono_ns < other.mono_ns)
                && pair.ticks != other.ticks
        };
        if kept.iter().all(agrees) {
            kept.push(pair);
        }
    }
    kept.sort_by_key(|pair| pair.ticks);
    let mut by_ticks = pairs;
    by_ticks.sort_by_key(|pair| (pair.ticks, pair.mono_ns));
    if let ([_], [first, .., last]) = (&kept[..], &by_ticks[..])
        && first.ticks < last.ticks
        && first.mono_ns < last.mono_ns
    {
        return vec![first.clone(), last.clone()];
    }
    kept
}
