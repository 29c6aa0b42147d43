//! Private memory stays under 64 MiB and 16 MiB a thread, whatever a run holds. One test, since it looks at the memory of
//! its process; rings are mapped by the test itself, which is no private memory.

#![allow(clippy::unwrap_used, reason = "in a test a failure is a panic")]

mod common;

use std::fs;
use std::io::sink;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;

use common::*;
use ringscope_decode::{Limits, Options, Order, Output, Run, Timeline, chrome, stats, trace};

const THREADS: usize = 2;
const BOUND_KIB: u64 = (64 + 16 * THREADS as u64) << 10;
const RINGS: u32 = 4;
const RING_LOG2: u32 = 19;
/// Of all rings: held as events they would take more than the bound.
const SPANS: u64 = (RINGS as u64) << RING_LOG2;
const _: () = assert!(SPANS * 56 > BOUND_KIB << 10);

/// A span of ring number `ring`, the `number`th to end: start and end in ticks.
type Shape = fn(ring: u64, number: u64) -> (u64, u64);

/// Steps of ten spans, the last of which stands around the others.
fn nested(ring: u64, number: u64) -> (u64, u64) {
    let end = 1_000_000 + number * 20 + ring;
    match number % 10 {
        9 => (end - 199, end),
        _ => (end - 15, end),
    }
}

/// About 1,000 spans stand open at once, and end in any order.
fn overlapping(ring: u64, number: u64) -> (u64, u64) {
    let end = 1_000_000 + number * 20 + ring;
    let noise = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    (end - 1 - noise % 40_000, end)
}

fn record(shape: Shape) -> TestRun {
    let run = TestRun::new();
    let process = run.process(100, 1);
    process.site(1, "work", "c", &[]);
    for number in 0..RINGS {
        process.owner(number, 101 + number, 0, 0, "worker");
        let ring = process.ring(number, RING_LOG2, 101 + number);
        for at in 0..1 << RING_LOG2 {
            let (start, end) = shape(number.into(), at);
            ring.span(1, start, end);
        }
    }
    process.finish();
    run
}

/// Largest private memory of this process while `work` goes on, KiB.
fn peak_kib(work: impl FnOnce()) -> u64 {
    let (is_over, peak) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Relaxed) {
                let status = fs::read_to_string("/proc/self/status").unwrap();
                let line = status.lines().find(|line| line.starts_with("RssAnon:"));
                let kib = line.unwrap().split_whitespace().nth(1).unwrap();
                peak.fetch_max(kib.parse().unwrap(), Relaxed);
            }
        });
        work();
        is_over.store(true, Relaxed);
    });
    peak.into_inner()
}

fn timeline(run: &TestRun) -> Timeline {
    let runs = [Run::open(run.path(), &Limits::default()).unwrap()];
    let options = Options {
        threads: Some(THREADS),
        ..Options::default()
    };
    Timeline::build(&runs, &options).unwrap()
}

fn check(what: &str, work: impl FnOnce()) {
    let peak = peak_kib(work);
    assert!(peak > 0 && peak < BOUND_KIB, "{what}: {peak} KiB");
}

#[test]
fn decoding_millions_of_spans_keeps_to_the_bound() {
    for (shape, name) in [(nested as Shape, "nested"), (overlapping, "overlapping")] {
        let run = record(shape);
        for order in [Order::Time, Order::Lane] {
            check(&format!("{name}, {order:?}"), || {
                let timeline = timeline(&run);
                let format = chrome::Chrome::new(&timeline);
                let mut out = sink();
                let out = Output::Stream(&mut out);
                let written = trace::write(&timeline, &format, order, out, &|_| {}).unwrap();
                assert_eq!(written, SPANS);
            });
        }
        check(&format!("{name}, stats"), || {
            let table = stats::table(&timeline(&run), &stats::Options::default()).unwrap();
            assert_eq!(table[0].count, SPANS);
        });
    }
}
