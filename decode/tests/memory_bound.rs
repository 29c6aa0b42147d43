//! Private memory stays under 64 MiB and 16 MiB a thread, whatever a run holds. One test, since it looks at the memory of
//! its process; rings are mapped by the test itself, which is no private memory.

#![allow(clippy::unwrap_used, reason = "in a test a failure is a panic")]

mod common;

use std::io::sink;

use common::memory::*;
use common::*;
use ringscope_decode::{Order, Output, chrome, stats, trace};
use ringscope_ringbuf::layout::Kind;
use ringscope_ringbuf::reader::pack_duration;

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

/// Every other record is a launch, the one behind it its execution; all threads count correlation ids together, and
/// `id_of` says which ids they make of that. A host tick is 10 ns, a device tick 20 ns.
fn record_launches(id_of: fn(u64) -> u64) -> TestRun {
    let run = TestRun::new();
    let process = run.process(100, 1);
    process.site(1, "kernel", "c", &[]);
    process.device_clock(4);
    for number in 0..RINGS {
        process.stream(number as u16 + 1, (0, number), 4, "");
        process.owner(number, 101 + number, 0, 0, "launcher");
        let ring = process.ring(number, RING_LOG2, 101 + number);
        for at in 0..1u64 << (RING_LOG2 - 1) {
            let start = 1_000_000 + at * 40;
            let correlation = id_of(at * u64::from(RINGS) + u64::from(number) + 1);
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

/// What a run of launches holds.
fn launches_made() -> Made {
    Made {
        records: SPANS,
        arrows: SPANS / 2,
        tasks: 0,
        tasks_ns: 0,
        executions: SPANS / 2,
        steps: 0,
    }
}

/// Each id once, in no order: below 2^53, as ids of arrows are.
fn scrambled(number: u64) -> u64 {
    number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 11 | 1
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
    check_launches(
        "launches",
        &record_launches(|number| number),
        &launches_made(),
    );
    check_trace(
        "scrambled",
        &record_launches(scrambled),
        Order::Time,
        &launches_made(),
    );
}
