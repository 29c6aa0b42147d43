//! Memory follows what a file holds, not what its header claims. One test, since it looks at the peak of its process.

#![allow(clippy::unwrap_used, reason = "in a test a failure is a panic")]

mod common;

use std::fs;

use common::*;
use ringscope_decode::{Limits, Options, Order, Run, Timeline};
use ringscope_ringbuf::file::FileKind;
use ringscope_ringbuf::layout::{MAX_CAPACITY_LOG2, RING_HEAD_OFFSET, RING_STATIC_LEN, header_crc};

/// Largest resident memory of this process so far, KiB.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_small_file_that_claims_a_large_ring_takes_little_memory() {
    let run = TestRun::new();
    let process = run.process(100, 1);
    process.site(1, "work", "c", &[]);
    process.owner(0, 101, 0, 0, "worker");
    let ring = process.ring(0, 6, 101);
    for at in 0..40 {
        ring.span(1, at * 10, at * 10 + 4);
    }
    process.finish();
    let path = process.path(FileKind::Ring, 0);
    let mut bytes = fs::read(&path).unwrap();
    bytes[56..60].copy_from_slice(&MAX_CAPACITY_LOG2.to_le_bytes());
    let crc = header_crc(&bytes[..RING_STATIC_LEN]);
    bytes[20..24].copy_from_slice(&crc.to_le_bytes());
    let head = 1u64 << MAX_CAPACITY_LOG2;
    bytes[RING_HEAD_OFFSET..RING_HEAD_OFFSET + 8].copy_from_slice(&head.to_le_bytes());
    fs::write(&path, &bytes).unwrap();

    let before_kib = peak_kib();
    let runs = [Run::open(run.path(), &Limits::default()).unwrap()];
    let timeline = Timeline::build(&runs, &Options::default()).unwrap();
    let trace = trace_bytes(&timeline, Order::Time);
    let took_kib = peak_kib() - before_kib;
    // Lap 0 of the large ring begins with the same stamps: what is there is found.
    assert_eq!(trace.windows(6).filter(|w| w == b"\"work\"").count(), 40);
    assert!(took_kib < 64 << 10, "took {took_kib} KiB");
}
