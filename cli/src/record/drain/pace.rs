//! How long a ring can be left alone: long enough to cost nothing, and not so long that its thread laps it.

use std::time::Duration;

/// Longest time without a look, also where there is no ring at all.
pub(super) const LONGEST_REST: Duration = Duration::from_millis(20);
/// Shortest sleep but none at all: less is not worth the way to the kernel and back.
const SHORTEST: Duration = Duration::from_micros(60);
/// A thread that recorded slowly may begin to do nothing else at any moment. Looking as often as this rate fills
/// a ring leaves half of it for the moment in which it does.
const SUDDEN_RECORDS_PER_S: f64 = 80e6;
/// Rings that are quiet or slow are not looked at more often than this, however small they are.
const SHORTEST_WATCH: Duration = Duration::from_micros(200);
/// A ring should not move on by more than this part of its capacity between two looks.
const AIMED_FILL: f64 = 0.125;
/// What a rate is taken for after a look that found less, in parts of what it was.
const RATE_DECAY: f64 = 0.8;
/// A ring in which nothing was recorded for so long is quiet.
const QUIET_AFTER: Duration = Duration::from_secs(1);

/// The pace of one ring, from one look to the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    capacity: f64,
    looked_ns: u64,
    moved_ns: u64,
    records_per_s: f64,
}

impl Pace {
    /// The pace of a ring of `capacity` records that appeared at `now_ns`: a thread that needs a ring may be about to
    /// record as fast as it can.
    pub(super) fn new(capacity: u64, now_ns: u64) -> Pace {
        Pace {
            capacity: capacity as f64,
            looked_ns: now_ns,
            moved_ns: now_ns,
            records_per_s: SUDDEN_RECORDS_PER_S,
        }
    }

    /// Since the last look, ns.
    pub(super) fn since_look_ns(&self, now_ns: u64) -> u64 {
        now_ns.saturating_sub(self.looked_ns)
    }

    /// The ring was looked at, and had moved on by so many records.
    pub(super) fn look(&mut self, moved: u64, now_ns: u64) {
        let elapsed_ns = self.since_look_ns(now_ns).max(1);
        let rate = moved as f64 * 1e9 / elapsed_ns as f64;
        self.records_per_s = rate.max(self.records_per_s * RATE_DECAY);
        self.looked_ns = now_ns;
        if moved > 0 {
            self.moved_ns = now_ns;
        }
    }

    /// True when nothing was recorded for a while. Nobody needs to watch over such a ring: its thread saves it itself
    /// should it be filled before the next look.
    pub(super) fn is_quiet(&self) -> bool {
        self.looked_ns - self.moved_ns >= QUIET_AFTER.as_nanos() as u64
    }

    /// How long the ring can be left alone.
    pub(super) fn rest(&self) -> Duration {
        if self.is_quiet() {
            return LONGEST_REST;
        }
        let watch = Duration::from_secs_f64(self.capacity / SUDDEN_RECORDS_PER_S);
        let watch = watch.clamp(SHORTEST_WATCH, LONGEST_REST);
        let fills = self.capacity * AIMED_FILL / self.records_per_s.max(1.0);
        let rest = Duration::from_secs_f64(fills.min(1.0)).min(watch);
        if rest < SHORTEST {
            Duration::ZERO
        } else {
            rest
        }
    }

    /// How long after its rest the ring is lapped, at its present rate.
    pub(super) fn slack(&self) -> Duration {
        if self.is_quiet() {
            return Duration::MAX;
        }
        let lap_s = self.capacity / self.records_per_s.max(1.0);
        Duration::from_secs_f64(lap_s).saturating_sub(self.rest())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// A ring that was looked at for a while and in which next to nothing was recorded, at `now_ns`.
    fn slow(capacity: u64, now_ns: &mut u64) -> Pace {
        let mut pace = Pace::new(capacity, *now_ns);
        for _ in 0..80 {
            *now_ns += MS;
            pace.look(1, *now_ns);
        }
        pace
    }

    #[test]
    fn the_pace_follows_the_ring() {
        let mut now_ns = 0;
        let mut pace = slow(32_768, &mut now_ns);
        let watch = pace.rest();
        assert!(watch <= Duration::from_micros(500), "{watch:?}");
        // 20 M records a second: an eighth of the ring.
        now_ns += MS;
        pace.look(20_000, now_ns);
        assert_eq!(pace.rest(), Duration::from_nanos(204_800));
        // A burst of 200 M a second leaves no time.
        now_ns += MS;
        pace.look(200_000, now_ns);
        assert_eq!(pace.rest(), Duration::ZERO);
        for _ in 0..40 {
            now_ns += MS;
            pace.look(1, now_ns);
        }
        assert_eq!(pace.rest(), watch);
        assert!(!pace.is_quiet());
        pace.look(0, now_ns + 1100 * MS);
        assert!(pace.is_quiet());
        assert_eq!(pace.rest(), LONGEST_REST);
        pace.look(1, now_ns + 1101 * MS);
        assert_eq!(pace.rest(), watch);
    }

    #[test]
    fn small_rings_are_not_looked_at_without_end() {
        assert_eq!(slow(512, &mut 0).rest(), SHORTEST_WATCH);
    }

    #[test]
    fn a_new_ring_may_be_lapped_soon_and_a_quiet_one_never() {
        let mut pace = Pace::new(32_768, 0);
        assert!(
            pace.slack() < Duration::from_micros(500),
            "{:?}",
            pace.slack()
        );
        pace.look(20_000, MS);
        // A lap takes 1.6 ms at this rate, which decays from that of the beginning.
        assert!(pace.slack() < Duration::from_micros(1639));
        pace.look(0, 1100 * MS);
        assert_eq!(pace.slack(), Duration::MAX);
    }
}
