//! Records beside the system's own clock. Options: `millis` (how long to record), `kill` (any value: the program
//! kills itself at the end).
//!
//! Says `mark N BEFORE AFTER`: CLOCK_MONOTONIC in ns right before and right after instant N was recorded.

use crate::options::Options;
use crate::output::say;

/// Instants between two looks at the clock, completes of 10 ns to 10 s, and spans of 10 ns to 10 ms.
pub(crate) fn run(options: &Options) {
    record_known_durations();
    let end_ns = ringscope::now_ns() + options.number("millis", 1_000) * 1_000_000;
    let mut number = 0u64;
    while ringscope::now_ns() < end_ns {
        mark(number);
        number += 1;
        // SAFETY: waits a moment between two marks; nothing depends on how long.
        unsafe { libc::usleep(2_000) };
    }
    if !options.word("kill").is_empty() {
        // SAFETY: the death that was asked for.
        unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    }
}

fn mark(number: u64) {
    // The narrowest of a few tries: whoever interrupts one widens it.
    let before = ringscope::now_ns();
    ringscope::instant!("mark", number);
    let after = ringscope::now_ns();
    say(format_args!("mark {number} {before} {after}"));
}

fn record_known_durations() {
    let start_ns = ringscope::now_ns();
    let mut duration_ns = 10u64;
    while duration_ns <= 10_000_000_000 {
        let odd = duration_ns + 7;
        ringscope::complete!("known", start_ns + 3, odd, ns = odd);
        duration_ns *= 10;
    }
    let mut at_least_ns = 10u64;
    while at_least_ns <= 10_000_000 {
        let before = ringscope::now_ns();
        let span = ringscope::span!("measured", at_least_ns);
        let inside = ringscope::now_ns();
        while ringscope::now_ns() < inside + at_least_ns {}
        let leaving = ringscope::now_ns();
        drop(span);
        let after = ringscope::now_ns();
        say(format_args!(
            "span {at_least_ns} {} {}",
            leaving - inside,
            after - before
        ));
        at_least_ns *= 10;
    }
}
