//! A long run of short threads, two at a time. Options: `events` in all, `threads` in all.
//!
//! Numbers count what was recorded, so they have no gap where the level was off. Says `thread TID RECORDS` at the end of
//! each, and `state KIB DESCRIPTORS MAPS` of the process when a tenth of the threads has ended, and at its own end.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::options::Options;
use crate::output::say;

/// Threads at a time.
const SIDE_BY_SIDE: u64 = 2;

static STARTED: AtomicU64 = AtomicU64::new(0);
static RECORDED: AtomicU64 = AtomicU64::new(0);

/// Records as the options say.
pub(crate) fn run(options: &Options) {
    let (events, threads) = (
        options.number("events", 1_000_000),
        options.number("threads", 100),
    );
    let each = events.div_ceil(threads);
    std::thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| start_threads(threads, each));
        }
    });
    say_state();
    say(format_args!(
        "recorded {}",
        RECORDED.load(Ordering::Relaxed)
    ));
}

fn start_threads(threads: u64, each: u64) {
    loop {
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        if number >= threads {
            return;
        }
        let short = std::thread::spawn(move || record(each));
        short.join().expect("a short life ends well");
        if number == threads / 10 {
            say_state();
        }
    }
}

/// Records until `count` records were made; where the level is off, until it is on again.
fn record(count: u64) {
    let mut number = 0;
    while number < count {
        let span = ringscope::span!("soak", number);
        let recorded = span.is_recorded();
        drop(span);
        if recorded {
            number += 1;
        } else {
            std::thread::yield_now();
        }
    }
    RECORDED.fetch_add(number, Ordering::Relaxed);
    // SAFETY: gettid takes nothing and can't fail.
    let thread = unsafe { libc::gettid() };
    say(format_args!("thread {thread} {number}"));
}

fn say_state() {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = resident.and_then(|text| text.split_whitespace().next());
    let descriptors = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    say(format_args!(
        "state {} {descriptors} {}",
        kib.unwrap_or("0"),
        maps.lines().count()
    ));
}
