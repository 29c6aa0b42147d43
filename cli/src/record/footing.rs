//! A core on which the supervisor runs when it has to.

use std::time::{Duration, Instant};

use crate::kernel;

/// A wake-up that comes so much later than asked for came after another thread on the same core.
const LATE: Duration = Duration::from_micros(300);
/// Where all cores are busy, moving about is of no use: it is tried this often.
const MOVE_INTERVAL: Duration = Duration::from_millis(20);

/// Notices that another thread keeps the supervisor from running, and moves it to another core then.
#[derive(Debug)]
pub(crate) struct Footing {
    preemptions: u64,
    moved: Option<Instant>,
}

impl Footing {
    /// On the core where it is.
    pub(crate) fn new() -> Footing {
        Footing {
            preemptions: kernel::preemptions(),
            moved: None,
        }
    }

    /// The supervisor woke, so much later than it had asked for.
    pub(crate) fn woke(&mut self, late: Duration) {
        let preemptions = kernel::preemptions();
        let was_kept_waiting = late > LATE || preemptions > self.preemptions;
        self.preemptions = preemptions;
        let may_move = self.moved.is_none_or(|at| at.elapsed() >= MOVE_INTERVAL);
        if was_kept_waiting && may_move {
            self.moved = Some(Instant::now());
            kernel::leave_core();
        }
    }
}
