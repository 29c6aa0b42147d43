//! Decoding while the program still records gives a consistent snapshot.

#![allow(clippy::unwrap_used, reason = "in a test a failure is a panic")]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};

use common::*;
use ringscope_decode::{Limits, Liveness, Options, Run, Timeline};
use ringscope_ringbuf::layout::Kind;
use ringscope_ringbuf::payload::ArgType;
use ringscope_ringbuf::reader::pack_duration;
use ringscope_ringbuf::sys;

#[test]
fn snapshots_of_a_ring_that_wraps_are_whole() {
    let run = TestRun::new();
    let mut process = run.process(std::process::id(), 1);
    process.header.boot_id = sys::boot_id();
    process.header.pid_namespace = sys::pid_namespace().into();
    process.header.start_time = sys::start_time(0).unwrap().into();
    process.site(
        1,
        "work",
        "c",
        &[("n", ArgType::U64), ("twice", ArgType::U64)],
    );
    process.owner(0, 101, 0, 0, "writer");
    let ring = process.ring(0, 10, 101);
    process.finish();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let path = run.path();
        let reader = scope.spawn(|| {
            let snapshots: Vec<u64> = (0..60).map(|_| check_snapshot(path)).collect();
            done.store(true, Ordering::Relaxed);
            snapshots
        });
        let mut n = 0u64;
        while !done.load(Ordering::Relaxed) {
            let w1 = pack_duration(1, 0);
            ring.put(Kind::Span, 1, [n * 2, w1, n], &(2 * n).to_le_bytes());
            n += 1;
        }
        let snapshots = reader.join().unwrap();
        assert!(snapshots.is_sorted() && snapshots[0] < n);
    });
}

/// Decodes once; every record from the first to the last is there, with its own arguments. Their number so far.
fn check_snapshot(path: &std::path::Path) -> u64 {
    let opened = Run::open(path, &Limits::default()).unwrap();
    assert_eq!(opened.processes[0].liveness, Liveness::Alive);
    let timeline = Timeline::build(&[opened], &Options::default()).unwrap();
    let found: Vec<u64> = events(&trace(&timeline))
        .iter()
        .filter(|event| event["name"] == "work")
        .map(|event| {
            let n = event["args"]["n"].as_u64().unwrap();
            assert_eq!(event["args"]["twice"], 2 * n);
            n
        })
        .collect();
    let first = timeline.losses.overwritten;
    let expected: Vec<u64> = (first..first + found.len() as u64).collect();
    assert_eq!(found, expected);
    assert_eq!(timeline.losses.total(), first);
    first + found.len() as u64
}
