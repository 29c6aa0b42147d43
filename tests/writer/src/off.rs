//! Records between two marks that a tracer sees: calls of `getsid`. With `warm=1` everything was recorded once before.

use crate::options::Options;

/// Marks, records of every kind a thousand times, and marks again.
pub(crate) fn run(options: &Options) {
    if options.number("warm", 0) == 1 {
        record(0);
    }
    mark();
    for number in 0..1_000 {
        record(number);
    }
    mark();
}

fn mark() {
    // SAFETY: getsid of the calling process can't fail.
    unsafe { libc::getsid(0) };
}

fn record(number: u64) {
    let span = ringscope::span!("span", number, text = "text");
    span.record("late", number);
    ringscope::instant!("instant", number);
    ringscope::counter!("counter", number);
    ringscope::complete!("complete", number, number);
    let mut lap = ringscope::lap!("one");
    lap.next("two");
    drop(lap);
    drop(ringscope::span!("verbose", level = verbose));
}
