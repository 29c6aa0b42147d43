//! Process and thread ids of the trace: real ones where they fit and nobody else has them, else made-up ones.

use std::collections::HashSet;

/// Made-up process and thread ids start here: the kernel's stay below 2^22.
const FIRST_MADE_UP_ID: u32 = 1 << 31;

/// Hands out ids that no two have.
#[derive(Default)]
pub(crate) struct Ids {
    pids: HashSet<u32>,
    tids: HashSet<u32>,
    made_up: u32,
}

impl Ids {
    pub(crate) fn pid(&mut self, wanted: u32) -> u32 {
        if is_real(wanted) && self.pids.insert(wanted) {
            wanted
        } else {
            self.made_up()
        }
    }

    pub(crate) fn tid(&mut self, wanted: u32) -> u32 {
        if is_real(wanted) && self.tids.insert(wanted) {
            wanted
        } else {
            self.made_up()
        }
    }

    /// One counter for both: viewers take a thread whose id is its process's for the main one.
    pub(crate) fn made_up(&mut self) -> u32 {
        self.made_up += 1;
        FIRST_MADE_UP_ID + self.made_up - 1
    }
}

fn is_real(id: u32) -> bool {
    (1..FIRST_MADE_UP_ID).contains(&id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_ids_are_used_once_and_zero_never() {
        let mut ids = Ids::default();
        assert_eq!(
            [ids.pid(7), ids.pid(7), ids.pid(0)],
            [7, 1 << 31, (1 << 31) + 1]
        );
        assert_eq!([ids.tid(7), ids.tid(u32::MAX)], [7, (1 << 31) + 2]);
    }
}
