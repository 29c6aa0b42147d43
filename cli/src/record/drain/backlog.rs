//! How far behind the drain was, and how large a ring would have had to be.

use ringscope_ringbuf::layout::MAX_CAPACITY_LOG2;

/// What a drain that has nothing else to do catches up with, at least, in records a second.
const CATCHING_UP_PER_S: f64 = 15e6;

/// How far behind the drain of one ring was, at the worst.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Backlog {
    /// The most records that were reserved and not saved, those included that were lost meanwhile.
    high_water: u64,
    /// Records that were overwritten.
    overwritten: u64,
    /// Of those, the ones that a larger ring would still hold: the drain would have had to save them too.
    owed: f64,
}

impl Backlog {
    /// The drain has found the ring `behind` records ahead.
    pub(super) fn look(&mut self, behind: u64) {
        self.high_water = self.high_water.max(behind + self.owed as u64);
    }

    /// The drain had nothing to do for `idle_ns`: with a larger ring it would have caught up meanwhile.
    pub(super) fn idle(&mut self, idle_ns: u64) {
        let caught_up = idle_ns as f64 / 1e9 * CATCHING_UP_PER_S;
        self.owed = (self.owed - caught_up).max(0.0);
    }

    /// So many records were overwritten before they were saved.
    pub(super) fn lose(&mut self, records: u64) {
        self.overwritten += records;
        self.owed += records as f64;
        self.high_water = self.high_water.max(self.owed as u64);
    }

    /// Records that were overwritten.
    pub(super) fn overwritten(&self) -> u64 {
        self.overwritten
    }

    /// The most records that the drain was behind.
    pub(super) fn high_water(&self) -> u64 {
        self.high_water
    }

    /// The ring that would have lost nothing, as a power of two of records: larger than one of `capacity` records, and
    /// than any that there can be where the program recorded faster than it was drained. 0 when nothing was lost.
    pub(super) fn wanted_log2(&self, capacity: u64) -> u32 {
        if self.overwritten == 0 {
            return 0;
        }
        let wanted = self.high_water.max(capacity + 1);
        wanted
            .checked_next_power_of_two()
            .map_or(MAX_CAPACITY_LOG2 + 1, u64::trailing_zeros)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_lost_would_have_had_to_be_saved_too() {
        let mut backlog = Backlog::default();
        backlog.look(900);
        assert_eq!((backlog.high_water(), backlog.wanted_log2(1024)), (900, 0));
        backlog.lose(500);
        backlog.look(1024);
        assert_eq!(backlog.high_water(), 1524);
        assert_eq!(backlog.wanted_log2(1024), 11);
        // A second later the drain would have been done with them.
        backlog.idle(1_000_000_000);
        backlog.lose(10);
        backlog.look(1024);
        assert_eq!((backlog.overwritten(), backlog.high_water()), (510, 1524));
    }

    #[test]
    fn a_ring_that_lost_anything_was_too_small() {
        let mut backlog = Backlog::default();
        backlog.lose(1);
        assert_eq!(backlog.wanted_log2(1024), 11);
    }
}
