//! Slices of nothing but plain spans are written without making an event of each record. A filter that keeps everything
//! takes the other way, so both have to come to the same lines.

#![allow(clippy::unwrap_used, reason = "in a test a failure is a panic")]

mod common;

use common::*;
use ringscope_decode::{Filter, Options, Order, perfetto};
use ringscope_ringbuf::block::Block;
use ringscope_ringbuf::layout::*;
use ringscope_ringbuf::payload::ArgType;
use ringscope_ringbuf::reader::pack_duration;

/// Sites: no argument, one of each kind that has a template, one that has none, two arguments of which one is missing.
const SITES: [&[(&str, ArgType)]; 5] = [
    &[],
    &[("a", ArgType::U64)],
    &[("b", ArgType::I64)],
    &[("c", ArgType::F64)],
    &[("d", ArgType::U64), ("e", ArgType::U64)],
];
/// Rings of each process.
const RINGS: u32 = 3;
const STEPS: u64 = 900;
/// Another kind of record stands behind so many spans of one ring.
const STRANGER_AT: u64 = 4_000;

fn put(ring: &TestRing, number: u64, start: u64, end: u64) {
    let site = number % SITES.len() as u64;
    let word = if SITES[site as usize].is_empty() {
        0
    } else {
        number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (number % 60)
    };
    let words = [start, pack_duration(end - start, 0), word];
    ring.put(Kind::Span, site as u32 + 1, words, &[]);
}

/// Steps of spans within each other on each ring, which begin and end at the same moments here and there.
fn write(run: &TestRun, pids: &[u32], rings: u32, stranger: impl Fn(&TestRing, u64)) {
    for pid in pids.iter().copied() {
        let mut process = run.process(pid, pid as u64).named(&format!("p{pid}"));
        process.header.created_mono_ns = MONO_ZERO_NS.into();
        for (id, args) in (1..).zip(SITES) {
            process.site(id, &format!("site {id}"), "cat", args);
        }
        process.block(&Block::Key {
            id: 1,
            key: b"late",
        });
        for index in 0..rings {
            let ring = process.ring(index, 14, pid + 1 + index);
            process.owner(index, pid + 1 + index, 0, 0, &format!("thread {index}"));
            // A second thread takes the ring in the middle of a block.
            process.owner(index, pid + 21 + index, 7_777, 50 * 777 + 100, "second");
            let mut number = 0;
            for step in 0..STEPS {
                let start = 100 + step * 50;
                for child in 0..8 {
                    let at = start + child * 5;
                    put(&ring, number, at, at + child % 3 + 1);
                    number += 1;
                }
                put(&ring, number, start, start + 38 + u64::from(index));
                // As long as its parent: the later recorded is around it.
                put(&ring, number + 1, start, start + 38 + u64::from(index));
                number += 2;
                if number == STRANGER_AT && index + 1 == rings {
                    stranger(&ring, start + 40);
                }
            }
        }
        // Too few for a packet sequence of their own.
        let quiet = process.ring(rings, 14, pid + 41);
        process.owner(rings, pid + 41, 0, 0, "quiet");
        for number in 0..20 {
            put(&quiet, number, 300 + number * 2, 301 + number * 2);
        }
        put(&quiet, 1, 400, 400);
        process.finish();
    }
}

/// The lines of the events, without what stands behind them.
fn lines(run: &TestRun, order: Order, filter: Filter, threads: usize) -> String {
    let timeline = run.timeline_with(&Options {
        filter,
        threads: Some(threads),
        ..Options::default()
    });
    let text = String::from_utf8(trace_bytes(&timeline, order)).unwrap();
    text.split("\n],\"metadata\"").next().unwrap().to_owned()
}

/// The packets of the events, without what stands behind them.
fn packets(run: &TestRun, order: Order, filter: Filter) -> Vec<u8> {
    let timeline = run.timeline_with(&Options {
        filter,
        ..Options::default()
    });
    let mut bytes = Vec::new();
    perfetto::write(&timeline, order, &mut bytes, &|_| {}).unwrap();
    let name = b"\x0a\x09ringscope";
    let metadata_at = bytes.windows(name.len()).rposition(|bytes| bytes == name);
    // The head of its packet, with its length, is a bit longer than this at most.
    bytes.truncate(metadata_at.unwrap() - 16);
    bytes
}

fn check(stranger: impl Fn(&TestRing, u64)) {
    check_with(&[100, 200], RINGS, stranger);
}

fn check_with(pids: &[u32], rings: u32, stranger: impl Fn(&TestRing, u64)) {
    let run = TestRun::new();
    write(&run, pids, rings, stranger);
    let keeps_all = Filter {
        pids: pids.to_vec(),
        ..Filter::default()
    };
    for order in [Order::Time, Order::Lane] {
        let plain = lines(&run, order, Filter::default(), 1);
        assert!(plain.lines().count() as u64 > pids.len() as u64 * u64::from(rings) * STEPS * 10);
        let any = lines(&run, order, keeps_all.clone(), 1);
        let pairs = plain.lines().zip(any.lines());
        for (plain, any) in pairs {
            assert_eq!(plain, any);
        }
        assert!(plain == any);
        assert!(plain == lines(&run, order, Filter::default(), 3));
        let plain = packets(&run, order, Filter::default());
        assert!(plain == packets(&run, order, keeps_all.clone()));
    }
}

#[test]
fn plain_spans_alone() {
    check(|_, _| {});
}

#[test]
fn an_instant_among_them() {
    check(|ring, at| {
        ring.instant(1, at);
    });
}

/// The argument goes on in the slot behind, which begins a block and, with a single ring, a slice: nothing else tells that
/// the block before is not plain.
#[test]
fn a_continuation_that_begins_a_slice() {
    check_with(&[100], 1, |ring, at| {
        while ring.writer.next_sequence() % 2_048 != 2_047 {
            put(ring, 0, at, at + 1);
        }
        let payload = Payload::default().u64(7).u64(8);
        let (word, more) = split_payload(&payload.0);
        ring.put(Kind::Span, 5, [at, pack_duration(1, 0), word], more);
        assert_eq!(ring.writer.next_sequence() % 2_048, 1);
    });
}

#[test]
fn a_late_argument_that_fits_into_the_word() {
    check(|ring, at| {
        let payload = Payload::default().late(1, ArgType::Bool).bool(true);
        let (word, more) = split_payload(&payload.0);
        assert!(more.is_empty());
        ring.put(Kind::Span, 1, [at, pack_duration(2, 0), word], more);
    });
}

#[test]
fn a_torn_slot_among_them() {
    check(|ring, _| ring.torn(2));
}

#[test]
fn a_span_that_began_long_before() {
    check(|ring, at| {
        ring.span(1, at - 15_000, at);
    });
}
