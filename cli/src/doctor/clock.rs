//! The clock that records carry: its source, its step, how well it can be tied to the system's.

use std::fs;
use std::thread;
use std::time::Duration;

use ringscope_ringbuf::block::{ClockPair, PairSource};
use ringscope_ringbuf::clock::{self, ClockSource};

use super::check::Check;
use crate::span_of_time::SpanOfTime;

/// Brackets of a clock pair, as the supervisor takes them.
const PAIR_BRACKETS: u32 = 32;
/// Between one clock pair and the next.
const PAIR_INTERVAL: Duration = Duration::from_millis(20);
/// Reads among which the smallest step is looked for.
const STEP_READS: u32 = 10_000;
/// A span that is off by more is of no use beside one of another process.
const POOR_ERROR_NS: u64 = 1_000;

/// The clock as this machine has it: three pairs of the counter and CLOCK_MONOTONIC.
pub(super) struct Calibration {
    pub(super) source: ClockSource,
    pairs: [ClockPair; 3],
}

impl Calibration {
    /// Takes the pairs, which lie 20 ms apart.
    pub(super) fn take() -> Calibration {
        let source = clock::detect();
        let pair = || clock::pair(source, PairSource::Supervisor, PAIR_BRACKETS);
        let first = pair();
        thread::sleep(PAIR_INTERVAL);
        let second = pair();
        thread::sleep(PAIR_INTERVAL);
        Calibration {
            source,
            pairs: [first, second, pair()],
        }
    }

    fn ns_per_tick(&self) -> f64 {
        let [first, _, last] = &self.pairs;
        let ticks = last.ticks.wrapping_sub(first.ticks).max(1);
        last.mono_ns.saturating_sub(first.mono_ns) as f64 / ticks as f64
    }

    /// How far the pair in the middle lies from the line through the two others, ns.
    fn error_ns(&self) -> f64 {
        let [first, middle, _] = &self.pairs;
        let ticks = middle.ticks.wrapping_sub(first.ticks);
        let expected_ns = ticks as f64 * self.ns_per_tick();
        let found_ns = middle.mono_ns.saturating_sub(first.mono_ns);
        (found_ns as f64 - expected_ns).abs()
    }

    /// Source, rate and step.
    pub(super) fn clock(&self) -> Check {
        let step_ns = smallest_step(self.source) as f64 * self.ns_per_tick();
        let gigahertz = 1.0 / self.ns_per_tick().max(f64::MIN_POSITIVE);
        let kernel = kernel_clock().unwrap_or_else(|| "unknown".to_owned());
        let is_invariant = clock::counter_is_invariant();
        let invariance = if is_invariant { "" } else { "not " };
        let found = format!(
            "{}, {gigahertz:.3} GHz, step {step_ns:.1} ns; the counter is {invariance}invariant, the kernel's clock is \
             {kernel}",
            self.source
        );
        Check::ok("clock", found)
            .with("source", self.source.to_string())
            .with("ghz", rounded(gigahertz))
            .with("step_ns", rounded(step_ns))
            .with("counter_is_invariant", is_invariant)
            .with("kernel_clock", kernel)
            .warn_if(
                self.source == ClockSource::Monotonic,
                "each clock read is a call of tens of ns: let the kernel use the counter (clocksource=tsc tsc=reliable)",
            )
    }

    /// What conversion from ticks to ns is off by.
    pub(super) fn error(&self) -> Check {
        let error_ns = self.error_ns();
        let uncertainty = self.pairs.iter().map(|pair| pair.uncertainty_ns).max();
        let uncertainty_ns = u64::from(uncertainty.unwrap_or(0));
        let interval = SpanOfTime::new(PAIR_INTERVAL.as_nanos() as u64);
        let found = format!(
            "off by {error_ns:.0} ns {interval} from a clock pair, which is read within {uncertainty_ns} ns"
        );
        Check::ok("calibration", found)
            .with("error_ns", rounded(error_ns))
            .with("uncertainty_ns", uncertainty_ns)
            .warn_if(
                error_ns > POOR_ERROR_NS as f64 || uncertainty_ns > POOR_ERROR_NS,
                "the order of events of different processes is uncertain: repeat on a quiet machine",
            )
    }
}

/// To a thousandth.
pub(super) fn rounded(figure: f64) -> f64 {
    (figure * 1e3).round() / 1e3
}

/// The smallest difference between two reads that is not zero.
fn smallest_step(source: ClockSource) -> u64 {
    let mut smallest = u64::MAX;
    let mut before = clock::ticks(source);
    for _ in 0..STEP_READS {
        let now = clock::ticks(source);
        let step = now.wrapping_sub(before);
        if step != 0 {
            smallest = smallest.min(step);
        }
        before = now;
    }
    smallest
}

fn kernel_clock() -> Option<String> {
    let path = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::State;

    fn calibration(middle_ns: u64, source: ClockSource) -> Calibration {
        let pair = |ticks, mono_ns| ClockPair {
            ticks,
            mono_ns,
            real_ns: 0,
            uncertainty_ns: 30,
            source: 0,
        };
        Calibration {
            source,
            pairs: [
                pair(0, 1_000),
                pair(200, middle_ns),
                pair(400, 1_000 + 100_000),
            ],
        }
    }

    #[test]
    fn the_error_is_that_of_the_middle_pair() {
        let good = calibration(51_007, ClockSource::Tsc);
        assert_eq!(good.error_ns(), 7.0);
        assert_eq!(good.error().state, State::Ok);
        assert_eq!(
            calibration(53_000, ClockSource::Tsc).error().state,
            State::Warn
        );
    }

    #[test]
    fn a_clock_that_is_a_call_is_a_warning() {
        let state = |source| calibration(51_000, source).clock().state;
        assert_eq!(state(ClockSource::Tsc), State::Ok);
        assert_eq!(state(ClockSource::Monotonic), State::Warn);
    }
}
