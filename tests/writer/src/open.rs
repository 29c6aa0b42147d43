//! Spans that stand open when the program is killed.

use crate::output::say;

/// Opens nested spans, says `open` and waits for its death.
pub(crate) fn run() {
    drop(ringscope::span!("over", n = 1u64));
    let _request = ringscope::span!("request", id = 41u64, user = "somebody", cat = "api");
    let step = ringscope::span!("step", id = 42u64, level = kernel);
    step.record("tokens", 17i64);
    let mut lap = ringscope::lap!("embed");
    lap.next("attention");
    say(format_args!("open"));
    loop {
        // SAFETY: waits for a signal.
        unsafe { libc::pause() };
    }
}
