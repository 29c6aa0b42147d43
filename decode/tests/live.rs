//! Decoding while the program still records gives a consistent snapshot.

#![allow(clippy::unwrap_used, reason = "in a test a failure is a panic")]

mod common;

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use common::*;
use ringscope_decode::{Filter, Limits, Liveness, Options, Run, TimeBound, Timeline};
use ringscope_ringbuf::file::FileKind;
use ringscope_ringbuf::layout::{Kind, RING_HEAD_OFFSET, SEQUENCE_BITS};
use ringscope_ringbuf::payload::ArgType;
use ringscope_ringbuf::reader::pack_duration;
use ringscope_ringbuf::sys;

/// Sets its flag when it goes, also by a panic: the writer must not wait for a reader that failed.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A process file that says it is this process: alive, whoever holds its lock.
fn living_process(run: &TestRun) -> TestProcess {
    let mut process = run.process(std::process::id(), 1);
    process.header.boot_id = sys::boot_id();
    process.header.pid_namespace = sys::pid_namespace().into();
    process.header.start_time = sys::start_time(0).unwrap().into();
    process
}

#[test]
fn snapshots_of_a_ring_that_wraps_are_whole() {
    let run = TestRun::new();
    let process = living_process(&run);
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
            let _done = SetOnDrop(&done);
            (0..60).map(|_| check_snapshot(path)).collect::<Vec<u64>>()
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

/// The ring is copied first, its segments are opened later: what was saved in between is not part of the snapshot.
#[test]
fn what_was_saved_after_the_ring_was_copied_is_left_out() {
    let run = TestRun::new();
    let process = living_process(&run);
    process.site(1, "work", "c", &[]);
    process.owner(0, 101, 0, 0, "writer");
    let ring = process.ring(0, 6, 101);
    for at in 0..40 {
        ring.span(1, at * 10, at * 10 + 5);
    }
    ring.save(FileKind::Drain, 0, 0..40);
    process.finish();
    let mut bytes = fs::read(&ring.path).unwrap();
    let earlier_head = 30u64 | 30 << SEQUENCE_BITS;
    bytes[RING_HEAD_OFFSET..RING_HEAD_OFFSET + 8].copy_from_slice(&earlier_head.to_le_bytes());
    fs::write(&ring.path, bytes).unwrap();
    let timeline = run.timeline();
    assert_eq!(timeline.event_count, 30);
    assert!(!timeline.losses.any(), "{:?}", timeline.losses);
}

/// What threads did after the moment of a snapshot is left out, though their rings are read later.
#[test]
fn living_processes_are_cut_at_one_moment() {
    let run = TestRun::new();
    let process = living_process(&run);
    process.site(1, "work", "c", &[]);
    for (index, tid) in [(0, 101), (1, 102)] {
        process.owner(index, tid, 0, 0, "writer");
        let ring = process.ring(index, 6, tid);
        ring.span(1, 100, 200);
        ring.span(1, 300, 500 + u64::from(index) * 100);
        ring.open_span(1, 0, 600 + u64::from(index) * 200, &[]);
    }
    process.finish();
    let at = |ticks: u64| (MONO_ZERO_NS + ticks * 10) as i64;
    let timeline = run.timeline_with(&Options {
        now_ns: Some(|| (MONO_ZERO_NS + 7_000) as i64),
        filter: Filter {
            from: Some(TimeBound::Monotonic(at(350))),
            to: Some(TimeBound::Monotonic(at(700))),
            ..Filter::default()
        },
        ..Options::default()
    });
    let mut spans = Vec::new();
    let visited =
        timeline.visit(|event| spans.push((event.start_ns, event.end_ns, event.is_open())));
    visited.unwrap();
    spans.sort_unstable();
    let expected = [(350, 500, false), (350, 600, false), (600, 700, true)];
    assert_eq!(
        spans,
        expected.map(|(from, to, open)| (at(from), at(to), open))
    );
}
