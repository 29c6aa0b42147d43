//! Private memory stays under 64 MiB and 16 MiB a thread, whatever a run holds. One test, since it looks at the memory of
//! its process; rings are mapped by the test itself, which is no private memory.

#![allow(clippy::unwrap_used, reason = "in a test a failure is a panic")]

mod common;

use std::fs;
use std::io::{self, Write, sink};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use common::*;
use ringscope_decode::format::Format;
use ringscope_decode::{
    Limits, Options, Order, Output, Run, Timeline, chrome, launches, perfetto, stats, trace,
};
use ringscope_ringbuf::block::{Block, LaneKind};
use ringscope_ringbuf::layout::Kind;
use ringscope_ringbuf::reader::pack_duration;

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

/// A process whose threads launch work on streams of their own, with anchors: a host tick is 10 ns, a device tick 20 ns.
fn launcher(run: &TestRun) -> TestProcess {
    let process = run.process(100, 1);
    process.site(1, "kernel", "c", &[]);
    process.block(&Block::ClockDomain {
        id: 4,
        frequency_hz: 50_000_000,
        name: b"sys_cnt",
    });
    process.block(&Block::Anchor {
        domain: 4,
        host_before_ticks: 0,
        device_ticks: 0,
        host_after_ticks: 0,
    });
    for number in 0..RINGS {
        process.block(&Block::Lane {
            lane: number as u16 + 1,
            kind: LaneKind::Stream,
            generation: 0,
            start_ticks: 0,
            device: 0,
            stream: number,
            clock_domain: 4,
            name: b"",
        });
        process.owner(number, 101 + number, 0, 0, "launcher");
    }
    process
}

/// Every other record is a launch, the one behind it its execution; all threads count correlation ids together.
fn record_launches() -> TestRun {
    let run = TestRun::new();
    let process = launcher(&run);
    for number in 0..RINGS {
        let ring = process.ring(number, RING_LOG2, 101 + number);
        for at in 0..1u64 << (RING_LOG2 - 1) {
            let start = 1_000_000 + at * 40;
            let correlation = at * u64::from(RINGS) + u64::from(number) + 1;
            let launch = [start, pack_duration(10, 0), correlation];
            ring.put(Kind::Launch, 1, launch, &[]);
            let execution = [
                start / 2 + 8,
                pack_duration(8, number as u16 + 1),
                correlation,
            ];
            ring.put(Kind::DeviceSpan, 1, execution, &[]);
        }
    }
    process.finish();
    run
}

/// Tasks of a batch, with its head as many records as a power of two.
const BATCH: u64 = 1023;
/// Tasks that a stream runs at once.
const CORES: u64 = 24;

/// Launches of 15 batches of tasks each, which arrive when all have ended.
fn record_tasks() -> TestRun {
    let run = TestRun::new();
    let process = launcher(&run);
    for number in 0..RINGS {
        let ring = process.ring(number, RING_LOG2, 101 + number);
        for batch in 0..(1u64 << RING_LOG2) / (BATCH + 1) {
            let (graph, in_graph) = (batch / 15, batch % 15);
            let graph_start = 1_000_000 + graph * 15 * BATCH * 20;
            let arrival = graph_start + 15 * BATCH * 10 + 200 + in_graph;
            let head = pack_duration(BATCH, number as u16 + 1);
            ring.put(Kind::DeviceBatch, 1, [arrival, head, graph + 1], &[]);
            for task in in_graph * BATCH..(in_graph + 1) * BATCH {
                let start = graph_start / 2 + task * 5;
                ring.put(Kind::DeviceTask, 3, [start, CORES * 5 - 2, task], &[]);
            }
        }
    }
    process.finish();
    run
}

/// How often memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(1);

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
                thread::sleep(LOOK_EVERY);
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

/// Counts the ends of arrows in Chrome's JSON, which comes line by line in pieces of any length.
#[derive(Default)]
struct ArrowCount {
    line: Vec<u8>,
    starts: u64,
    ends: u64,
}

impl Write for ArrowCount {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                let start = b"{\"name\":\"ac2g\",\"cat\":\"ac2g\",\"ph\":\"";
                match self.line.strip_prefix(start).map(|rest| rest[0]) {
                    Some(b's') => self.starts += 1,
                    Some(b'f') => self.ends += 1,
                    _ => {}
                }
                self.line.clear();
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write(
    timeline: &Timeline,
    format: &dyn Format,
    order: Order,
    out: &mut (dyn Write + Send),
) -> u64 {
    trace::write(timeline, format, order, Output::Stream(out), &|_| {}).unwrap()
}

/// Decodes a run of launches in every way there is; `records` are on the time line, with `arrows`.
fn check_launches(name: &str, run: &TestRun, records: u64, arrows: u64) {
    for order in [Order::Time, Order::Lane] {
        check(&format!("{name}, {order:?}"), || {
            let timeline = timeline(run);
            let mut count = ArrowCount::default();
            let format = chrome::Chrome::new(&timeline);
            assert_eq!(write(&timeline, &format, order, &mut count), records);
            assert_eq!((count.starts, count.ends), (arrows, arrows));
        });
    }
    check(&format!("{name}, perfetto"), || {
        let timeline = timeline(run);
        let format = perfetto::Perfetto::new(&timeline);
        assert_eq!(write(&timeline, &format, Order::Time, &mut sink()), records);
    });
    check(&format!("{name}, stats"), || {
        stats::table(&timeline(run), &stats::Options::default()).unwrap();
    });
    check(&format!("{name}, stats --launches"), || {
        let report = launches::report(&timeline(run), 0).unwrap();
        assert_eq!(report.launches_without_execution.count, 0);
        let executions: u64 = report.kernels.iter().map(|kernel| kernel.executions).sum();
        assert_eq!(report.kernels[0].launches, arrows);
        assert!(executions > SPANS / 4);
    });
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
    check_launches("launches", &record_launches(), SPANS, SPANS / 2);
    check_launches("tasks", &record_tasks(), SPANS, 0);
}
