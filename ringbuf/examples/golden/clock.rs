//! The clock of the golden run: a counter of 2 GHz, at first exactly, later a hair slower than it says.

use ringscope_ringbuf::block::{ClockPair, PairSource};
use serde_json::{Value, json};

/// Ticks when the run begins.
pub(crate) const START_TICKS: u64 = 1 << 50;
/// CLOCK_MONOTONIC at the same moment, ns.
pub(crate) const START_NS: u64 = 1_000_000_000_000;
/// CLOCK_REALTIME at the same moment, ns since 1970: 2026-01-01 00:00 UTC.
pub(crate) const START_REAL_NS: u64 = 1_767_225_600_000_000_000;
/// Ticks of the run's last seconds: 39 hours after its start, so that a span can be longer than 48 bits.
pub(crate) const LATE_TICKS: u64 = START_TICKS + (1 << 48);
/// Ticks of a millisecond.
pub(crate) const MS: u64 = 2_000_000;

/// The pairs that count. Every other pair of the run stands within 100 ms of one of these and is less certain.
pub(crate) const KEPT: [ClockPair; 3] = [
    pair(START_TICKS, 0, 40, PairSource::Start),
    pair(START_TICKS + 1_000 * MS, 0, 30, PairSource::Supervisor),
    pair(LATE_TICKS + 2_000 * MS, 1_000, 30, PairSource::Supervisor),
];

/// A pair at `ticks`, which is `off_ns` off the nominal rate.
pub(crate) const fn pair(
    ticks: u64,
    off_ns: u64,
    uncertainty_ns: u32,
    source: PairSource,
) -> ClockPair {
    let since_start_ns = (ticks - START_TICKS) / 2 + off_ns;
    ClockPair {
        ticks,
        mono_ns: START_NS + since_start_ns,
        real_ns: START_REAL_NS + since_start_ns,
        uncertainty_ns,
        source: source as u32,
    }
}

/// CLOCK_MONOTONIC of a moment between two kept pairs: the straight line between them, halves rounded up.
pub(crate) fn mono_ns(ticks: u64) -> u64 {
    let piece = KEPT
        .windows(2)
        .find(|pairs| ticks <= pairs[1].ticks)
        .expect("every moment of the run lies before its last pair");
    let run = u128::from(piece[1].ticks - piece[0].ticks);
    let rise = u128::from(piece[1].mono_ns - piece[0].mono_ns);
    let scaled = u128::from(ticks - piece[0].ticks) * rise;
    piece[0].mono_ns + ((2 * scaled + run) / (2 * run)) as u64
}

/// What a reader of the run knows about its clock.
pub(crate) fn meaning() -> Value {
    let pairs: Vec<Value> = KEPT
        .iter()
        .map(|pair| {
            json!({ "ticks": pair.ticks, "mono_ns": pair.mono_ns, "real_ns": pair.real_ns,
                    "uncertainty_ns": pair.uncertainty_ns })
        })
        .collect();
    json!({ "source": "tsc", "pairs": pairs })
}
