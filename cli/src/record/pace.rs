//! How long the supervisor sleeps between two looks at the rings.

use std::time::Duration;

use super::drain::Pass;

/// Shortest sleep but none at all.
const SHORTEST: Duration = Duration::from_micros(200);
/// A ring that moves on by more than this part of its capacity between two looks leaves no time for sleep.
const SLEEPLESS_FILL: f64 = 0.25;
/// Longest sleep.
const LONGEST: Duration = Duration::from_millis(20);
/// A ring should not move on by more than this part of its capacity between two looks.
const AIMED_FILL: f64 = 0.125;
/// What a thread that does nothing but record reaches; a ring must not be lapped by its first burst.
const BURST_RECORDS_PER_S: f64 = 10e6;
/// Looking at quiet rings may cost this part of one processor.
const QUIET_SHARE: u32 = 20;

/// The pace, from one pass to the next.
#[derive(Debug)]
pub(crate) struct Pace {
    sleep: Duration,
    sleepless: bool,
}

impl Pace {
    /// The pace of the start.
    pub(crate) fn new() -> Pace {
        Pace {
            sleep: SHORTEST,
            sleepless: false,
        }
    }

    /// How long to sleep now.
    pub(crate) fn sleep(&self) -> Duration {
        if self.sleepless {
            Duration::ZERO
        } else {
            self.sleep
        }
    }

    /// Takes a pass into account; `smallest_capacity` is that of the smallest ring in records.
    pub(crate) fn adapt(&mut self, pass: &Pass, smallest_capacity: Option<u64>) {
        self.sleepless = pass.fill > SLEEPLESS_FILL;
        let wanted = if pass.fill > 0.0 {
            self.sleep.mul_f64((AIMED_FILL / pass.fill).clamp(0.1, 2.0))
        } else {
            // Quiet: ever slower, as far as a sudden burst allows.
            (self.sleep * 5 / 4).max(pass.took * QUIET_SHARE)
        };
        let burst = smallest_capacity.map_or(LONGEST, |capacity| {
            Duration::from_secs_f64(capacity as f64 / BURST_RECORDS_PER_S)
        });
        self.sleep = wanted.min(burst).clamp(SHORTEST, LONGEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(fill: f64) -> Pass {
        Pass {
            fill,
            took: Duration::from_micros(10),
        }
    }

    #[test]
    fn the_pace_follows_the_rings() {
        let mut pace = Pace::new();
        for _ in 0..100 {
            pace.adapt(&pass(0.0), None);
        }
        assert_eq!(pace.sleep(), LONGEST);
        pace.adapt(&pass(0.0), Some(32_768));
        assert!(pace.sleep() <= Duration::from_micros(3_277));
        for _ in 0..10 {
            pace.adapt(&pass(0.9), Some(32_768));
        }
        assert_eq!(pace.sleep(), Duration::ZERO);
        pace.adapt(&pass(0.2), Some(32_768));
        assert_eq!(pace.sleep(), SHORTEST);
    }
}
