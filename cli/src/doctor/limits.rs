//! Limits of the kernel on what one process may have.

use std::fs;

use ringscope_ringbuf::room::ring_file_len;

use super::check::Check;
use super::room::OPEN_SLOTS;
use crate::kernel::{self, Limit};
use crate::size::Size;

/// Files that the supervisor has open for each ring: ring, words, segments.
const FILES_A_RING: u64 = 3;
/// Files that are open besides.
const OTHER_FILES: u64 = 64;
/// Maps that are left to a program for its own memory.
const OTHER_MAPS: u64 = 16_384;

/// What is planned.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    pub(super) threads: u32,
    pub(super) ring_log2: u32,
}

impl Plan {
    fn ring_bytes(self) -> u64 {
        ring_file_len(OPEN_SLOTS, self.ring_log2)
    }

    /// Open files: the supervisor raises its own limit to the hard one.
    pub(super) fn open_files(self, hard: Limit) -> Check {
        let needed = u64::from(self.threads) * FILES_A_RING + OTHER_FILES;
        let threads = self.threads;
        let found = format!("{hard} at most; `record` takes {needed} for {threads} threads");
        with_limit(Check::ok("files", found), hard).warn_if(
            hard.is_below(needed),
            "rings beyond it are not saved in full mode: raise the hard limit (ulimit -Hn, docker run --ulimit nofile=)",
        )
    }

    /// Sizes of files: a ring must fit.
    pub(super) fn file_size(self, soft: Limit) -> Check {
        let needed = self.ring_bytes();
        let found = format!(
            "{}; a ring's file has {}",
            soft.in_bytes(),
            Size::new(needed)
        );
        with_limit(Check::ok("file size", found), soft)
            .warn_if(
                soft.value.is_some(),
                "what full mode saves of a thread must fit into one file: ulimit -f unlimited",
            )
            .fail_if(
                soft.is_below(needed),
                "no ring can be made: ulimit -f unlimited",
            )
    }

    /// Address space: rings are mapped for as long as the process lives.
    pub(super) fn address_space(self, soft: Limit) -> Check {
        let needed = u64::from(self.threads) * self.ring_bytes();
        let found = format!("{}; rings take {}", soft.in_bytes(), Size::new(needed));
        with_limit(Check::ok("memory", found), soft).warn_if(
            soft.is_below(needed.saturating_mul(4)),
            "threads may get no ring when the program needs the rest itself: ulimit -v unlimited",
        )
    }

    /// Maps: each ring is one.
    pub(super) fn maps(self, most: Limit) -> Check {
        let needed = u64::from(self.threads) + OTHER_MAPS;
        let threads = self.threads;
        let found = format!("{most} at most; {threads} threads take one each");
        with_limit(Check::ok("maps", found), most).warn_if(
            most.is_below(needed),
            "the program's own allocations may fail: sysctl vm.max_map_count=65530",
        )
    }
}

/// The checks of this process's limits, which the recorded program inherits.
pub(super) fn checks(plan: Plan) -> [Check; 4] {
    [
        plan.open_files(kernel::hard_limit(libc::RLIMIT_NOFILE)),
        plan.file_size(kernel::soft_limit(libc::RLIMIT_FSIZE)),
        plan.address_space(kernel::soft_limit(libc::RLIMIT_AS)),
        plan.maps(most_maps()),
    ]
}

fn with_limit(check: Check, limit: Limit) -> Check {
    check.with("limit", limit.value)
}

fn most_maps() -> Limit {
    let text = fs::read_to_string("/proc/sys/vm/max_map_count");
    Limit {
        value: text.ok().and_then(|text| text.trim().parse().ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::State;

    #[test]
    fn limits_below_what_is_planned_are_told() {
        let plan = Plan {
            threads: 100,
            ring_log2: 15,
        };
        let ring = ring_file_len(OPEN_SLOTS, 15);
        let states = |check: fn(Plan, Limit) -> Check, values: &[u64]| -> Vec<State> {
            let limits = values.iter().map(|value| Some(*value)).chain([None]);
            limits
                .map(|value| check(plan, Limit { value }).state)
                .collect()
        };
        use State::{Fail, Ok, Warn};
        assert_eq!(states(Plan::open_files, &[363, 364]), [Warn, Ok, Ok]);
        assert_eq!(states(Plan::file_size, &[ring - 1, ring]), [Fail, Warn, Ok]);
        assert_eq!(
            states(Plan::address_space, &[400 * ring - 1, 400 * ring]),
            [Warn, Ok, Ok]
        );
        assert_eq!(states(Plan::maps, &[16_483, 16_484]), [Warn, Ok, Ok]);
    }
}
