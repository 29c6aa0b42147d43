//! How the supervisor stays able to run when it has to: on a core that is free, and awake where sleep is not to be trusted.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use crate::kernel;

/// Over so long is compared how long the supervisor ran or slept, and how long it was ready and did not run.
const WINDOW: Duration = Duration::from_millis(20);
/// A core on which more than this part of the time goes by in waiting has another thread that never sleeps.
const CROWDED: f64 = 1.0 / 3.0;
/// After so many crowded windows one after the other, each on another core, no core is free.
const CROWDED_WINDOWS: u32 = 2;
/// Where no core is free, the supervisor does not keep one by staying awake for so long.
const YIELDED: Duration = Duration::from_secs(1);
/// How late a wake-up may come on a machine that is not known yet: as seen from hypervisors that are slow to take up a
/// halted processor again.
const FEARED_LATENESS: Duration = Duration::from_millis(4);
/// What a wake-up leaves of the lateness that is feared.
const FORGETTING: f64 = 0.99;
/// What a wait without sleep leaves of it: sleep is tried again after some ten seconds, as a machine on which the
/// supervisor never slept may wake it in time.
const FORGETTING_AWAKE: f64 = 0.99999;
/// Sleep is trusted where there is time for so many times the lateness that is feared.
const MARGIN: f64 = 2.0;

/// Notices what keeps the supervisor from running: another thread on its core, which it leaves then, or a machine that
/// wakes it late, where it sleeps no more while a ring could be lapped meanwhile.
#[derive(Debug)]
pub(crate) struct Footing {
    /// `None` where the kernel does not tell.
    schedstat: Option<File>,
    /// When the window began, and how long the thread had been kept from running by then.
    window: (Instant, Duration),
    crowded_windows: u32,
    yielded: Option<Instant>,
    lateness: Duration,
}

impl Footing {
    /// On the core where it is.
    pub(crate) fn new() -> Footing {
        let schedstat = File::open("/proc/thread-self/schedstat").ok();
        let kept = schedstat.as_ref().and_then(kept_from_running);
        Footing {
            schedstat,
            window: (Instant::now(), kept.unwrap_or_default()),
            crowded_windows: 0,
            yielded: None,
            lateness: FEARED_LATENESS,
        }
    }

    /// True when a sleep may end so late that a ring is lapped which has `slack` left after it, and there is a core to
    /// stay awake on.
    pub(crate) fn must_stay_awake(&self, slack: Duration) -> bool {
        let has_yielded = self.yielded.is_some_and(|at| at.elapsed() < YIELDED);
        slack < self.lateness.mul_f64(MARGIN) && !has_yielded
    }

    /// The supervisor has slept, so much longer than it had asked for.
    pub(crate) fn slept(&mut self, late: Duration) {
        self.lateness = late.max(self.lateness.mul_f64(FORGETTING));
    }

    /// The supervisor has waited and not slept.
    pub(crate) fn stayed_awake(&mut self) {
        self.lateness = self.lateness.mul_f64(FORGETTING_AWAKE);
    }

    /// Leaves the core, where another thread has it for most of the time.
    pub(crate) fn look_around(&mut self) {
        let (since, kept_before) = self.window;
        let len = since.elapsed();
        if len < WINDOW {
            return;
        }
        let Some(kept) = self.schedstat.as_ref().and_then(kept_from_running) else {
            return;
        };
        self.window = (Instant::now(), kept);
        self.end_window(kept.saturating_sub(kept_before).div_duration_f64(len));
    }

    /// A window has ended, of which `part` went by in waiting for the core.
    fn end_window(&mut self, part: f64) {
        if part < CROWDED {
            self.crowded_windows = 0;
            return;
        }
        self.crowded_windows += 1;
        if self.crowded_windows >= CROWDED_WINDOWS {
            self.yielded = Some(Instant::now());
        }
        kernel::leave_core();
    }
}

/// How long the thread was ready to run and did not: the second number of its `schedstat`, ns (Linux,
/// Documentation/scheduler/sched-stats.rst).
fn kept_from_running(schedstat: &File) -> Option<Duration> {
    let mut text = [0; 128];
    let len = schedstat.read_at(&mut text, 0).ok()?;
    let text = str::from_utf8(&text[..len]).ok()?;
    let kept_ns = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(Duration::from_nanos(kept_ns))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn sleep_is_trusted_where_there_is_time_for_what_was_seen() {
        let mut footing = Footing::new();
        assert!(footing.must_stay_awake(7 * MS));
        assert!(!footing.must_stay_awake(9 * MS));
        (0..1000).for_each(|_| footing.slept(MS / 16));
        assert!(!footing.must_stay_awake(MS));
        footing.slept(3 * MS);
        assert!(footing.must_stay_awake(5 * MS));
    }

    #[test]
    fn sleep_is_tried_again() {
        let mut footing = Footing::new();
        (0..1000).for_each(|_| footing.stayed_awake());
        assert!(footing.must_stay_awake(7 * MS));
        (0..200_000).for_each(|_| footing.stayed_awake());
        assert!(!footing.must_stay_awake(2 * MS));
    }

    #[test]
    fn where_no_core_is_free_none_is_kept() {
        let mut footing = Footing::new();
        footing.end_window(0.5);
        assert!(footing.must_stay_awake(Duration::ZERO));
        footing.end_window(0.1);
        footing.end_window(0.5);
        assert!(footing.must_stay_awake(Duration::ZERO));
        footing.end_window(0.5);
        assert!(!footing.must_stay_awake(Duration::ZERO));
    }

    #[test]
    fn the_kernel_says_how_long_this_thread_was_kept_from_running() {
        if let Some(schedstat) = Footing::new().schedstat {
            assert!(kept_from_running(&schedstat).is_some());
        }
    }
}
