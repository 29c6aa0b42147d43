//! Threads of runtimes and drivers may have stacks of a few pages: setting up must do with little of them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::thread;

use ringscope::{Config, Level};

fn record() {
    drop(ringscope::span!("span", n = 7));
}

/// Records on a thread with a stack of `kib` KiB, to which the system adds what it needs itself; beyond it the process dies.
fn record_with(kib: usize) {
    let thread = thread::Builder::new().stack_size(kib << 10);
    thread.spawn(record).unwrap().join().unwrap();
}

#[test]
fn threads_with_small_stacks_record() {
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    let config = Config::new().dir(directory.path()).level(Level::DEFAULT);
    thread::Builder::new()
        .stack_size(128 << 10)
        .spawn(move || ringscope::init(config).unwrap())
        .unwrap()
        .join()
        .unwrap();
    // The first one makes a ring, the second one takes it.
    record_with(32);
    record_with(24);
}
