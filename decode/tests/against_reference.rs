//! Random runs: the decoder finds what the reference decoder finds, with any number of threads, in strict JSON whose
//! spans nest or are disjoint on every lane.

#![allow(clippy::unwrap_used, reason = "in a test a failure is a panic")]

mod common;
#[path = "../../tests/reference/mod.rs"]
mod reference;

use std::collections::BTreeMap;

use common::*;
use proptest::prelude::*;
use ringscope_decode::{Options, Order, Timeline};
use ringscope_ringbuf::block::{Block, LaneKind};
use ringscope_ringbuf::file::FileKind;
use ringscope_ringbuf::layout::*;
use ringscope_ringbuf::payload::ArgType;
use ringscope_ringbuf::reader::pack_duration;
use serde_json::{Map, Value as Json, json};

/// Numbers that look random and are the same for the same seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

const SITES: [&[ArgType]; 4] = [
    &[],
    &[ArgType::U64],
    &[ArgType::Str, ArgType::I64],
    &[ArgType::F64, ArgType::Bool, ArgType::Json, ArgType::Hex],
];

fn payload(dice: &mut Dice, site: u64) -> Vec<u8> {
    let mut payload = Payload::default();
    for arg_type in SITES.get(site as usize).copied().unwrap_or_default() {
        payload = match arg_type {
            ArgType::Bool => payload.bool(dice.chance(50)),
            ArgType::Str => {
                let len = dice.below(60) as usize;
                let bytes: Vec<u8> = (0..len).map(|_| dice.next() as u8).collect();
                payload.text(&bytes)
            }
            ArgType::Json => payload.text(br#"{"a": [1, "x\\"]}"#),
            // Eighths, since serde_json reads others back to within one unit in the last place only.
            ArgType::F64 => payload.u64((dice.below(1 << 30) as f64 / 8.0).to_bits()),
            _ => payload.u64(dice.next()),
        };
    }
    if dice.chance(20) {
        let number = dice.next();
        payload = payload.late(1, ArgType::U64).u64(number);
    }
    payload.0
}

/// How much is written.
#[derive(Clone, Copy)]
struct Scale {
    capacity_log2: u32,
    /// Records of a ring, about.
    records: u64,
    /// Percent of spans that began anywhere before, not shortly.
    long_percent: u64,
}

const SMALL: Scale = Scale {
    capacity_log2: 6,
    records: 200,
    long_percent: 0,
};

fn write_process(run: &TestRun, dice: &mut Dice, scale: Scale, pid: u32, nonce: u64) {
    let mut process = run.process(pid, nonce).named(&format!("process {pid}"));
    process.header.created_mono_ns = (MONO_ZERO_NS + nonce).into();
    for (id, args) in (0u32..).zip(SITES) {
        let keys = ["a", "b", "c", "d"];
        let args: Vec<_> = keys.iter().copied().zip(args.iter().copied()).collect();
        process.site(id + 1, &format!("site {id}"), "cat", &args);
    }
    process.block(&Block::Key {
        id: 1,
        key: b"late",
    });
    for generation in 0..dice.below(3) as u32 {
        process.block(&Block::Lane {
            lane: 1,
            kind: LaneKind::Track,
            generation,
            start_ticks: generation as u64 * 2_000 + dice.below(3_000),
            device: 0,
            stream: 0,
            clock_domain: 0,
            name: format!("track {}", dice.below(2)).as_bytes(),
        });
    }
    process.stream(2, (1, 3), 1, "stream");
    let anchor_count = dice.below(3);
    // Without anchors the decoder asks the launches, which the reference doesn't: of no known frequency, both ask nothing.
    process.clock_domain(1, if anchor_count == 0 { 0 } else { 30_000_000 });
    for anchor in 0..anchor_count {
        let before = anchor * 50_000_000;
        let after = before + dice.below(300);
        process.anchor(1, [before, 77 + anchor * 14_999_999, after]);
    }
    for ring in 0..1 + dice.below(2) as u32 {
        write_ring(&process, dice, scale, ring, pid + 10 + ring);
    }
    if dice.chance(50) {
        process.finish_cleanly(90_000_000);
    } else {
        process.finish();
    }
}

fn write_ring(process: &TestProcess, dice: &mut Dice, scale: Scale, index: u32, tid: u32) {
    let base = [0, 40, 65_600][dice.below(3) as usize];
    let ring = process.ring_from(index, scale.capacity_log2, tid, base);
    process.owner(index, tid, base, 0, "first owner");
    let saves = dice.chance(50);
    let mut saved = base;
    let mut now = 100;
    let mut segments = 0;
    for _ in 0..dice.below(scale.records) {
        now += dice.below(40);
        write_record(&ring, dice, scale, now);
        let next = ring.writer.next_sequence();
        if dice.below(scale.records) < 4 {
            let name = ["", "second owner"][dice.below(2) as usize];
            process.owner(index, tid + dice.below(2) as u32, next, now, name);
        }
        if saves && dice.below(scale.records) < 40 {
            let kind = [FileKind::Drain, FileKind::Spill][dice.below(2) as usize];
            let first = saved.max(next.saturating_sub(1 << scale.capacity_log2)) + dice.below(3);
            if first < next {
                ring.save(kind, segments, first..next);
                segments += 1;
            }
            saved = next;
        }
    }
    for _ in 0..dice.below(3) {
        now += dice.below(20);
        let site = dice.below(4);
        let payload = payload(dice, site);
        ring.open_span(
            site as u32 + 1,
            dice.below(2) as u16,
            now,
            &payload[..payload.len().min(96)],
        );
    }
    if dice.chance(30) {
        ring.torn(1 + dice.below(3));
    }
}

fn write_record(ring: &TestRing, dice: &mut Dice, scale: Scale, now: u64) {
    let site = dice.below(5);
    let reach = if dice.chance(scale.long_percent) {
        now
    } else {
        100
    };
    let (id, start) = (site as u32 + 1, now - dice.below(reach));
    let payload = payload(dice, site);
    let (w2, more) = split_payload(&payload);
    let w1 = pack_duration(now - start, dice.below(3).min(1) as u16);
    match dice.below(20) {
        0 => ring.torn(1 + dice.below(2)),
        1 => {
            let mono_ns = MONO_ZERO_NS + start * 10 + dice.below(10);
            let w1 = pack_duration(dice.below(500), 0);
            ring.put(Kind::SpanNs, id, [mono_ns, w1, w2], more);
        }
        2 => drop(ring.put(Kind::SpanLong, id, [start, 0, now - start], &payload)),
        3 => drop(ring.put(Kind::Instant, id, [now, 0, w2], more)),
        4 => drop(ring.put(
            Kind::Counter,
            1,
            [now, ArgType::U64 as u64, dice.next()],
            &[],
        )),
        5 => drop(ring.put(Kind::FlowOut, 1, [now, 0, dice.next()], &[])),
        6 => drop(ring.put(Kind::FlowIn, 1, [now, 0, dice.next()], &[])),
        7 => drop(ring.put(Kind::AsyncBegin, 1, [now, 0, dice.next()], &[])),
        8 => drop(ring.put(Kind::AsyncEnd, 1, [now, 0, dice.next()], &[])),
        9 => drop(ring.put(Kind::Launch, id, [start, w1, dice.below(4)], &payload)),
        10 => drop(ring.put(Kind::Wait, id, [start, w1, dice.below(4)], &payload)),
        11 => {
            let w1 = pack_duration(dice.below(90), 2);
            ring.put(
                Kind::DeviceSpan,
                id,
                [start + 500, w1, dice.below(4)],
                &payload,
            );
        }
        12 => {
            let count = dice.below(4);
            ring.put(
                Kind::DeviceBatch,
                id,
                [now, pack_duration(count, 2), 5],
                &[],
            );
            for _ in 0..count {
                let w1 = dice.below(50) | dice.below(9) << 32;
                ring.put(Kind::DeviceTask, 4, [start + 900, w1, dice.next()], &[]);
            }
        }
        13 => drop(ring.put_number(99, id, [now, 0, 0], more)),
        _ => drop(ring.put(Kind::Span, id, [start, w1, w2], more)),
    }
}

/// One event as a line that both sides can be brought to.
fn line(process: &str, track: &str, phase: &str, rest: [&Json; 5]) -> String {
    let [name, start, duration, args, word] = rest;
    format!("{process} | {track} | {phase} | {name} | {start} | {duration} | {args} | {word}")
}

fn phase(kind: &str) -> &'static str {
    match kind {
        "instant" | "device batch" => "i",
        "counter" => "C",
        "flow out" => "s",
        "flow in" => "f",
        "async begin" => "b",
        "async end" => "e",
        _ => "X",
    }
}

fn expected_lines(decoded: &reference::Decoded, base_ns: i64) -> Vec<String> {
    let start = |ns: i128| json!((ns - base_ns as i128) as i64);
    let mut lines: Vec<String> = decoded
        .events
        .iter()
        .map(|event| {
            let word = event.word.map_or(Json::Null, |word| json!(word));
            line(
                &event.process,
                &event.track,
                phase(event.kind),
                [
                    &json!(event.name),
                    &start(event.start_ns),
                    &json!(event.duration_ns as i64),
                    &Json::Object(event.args.clone()),
                    &word,
                ],
            )
        })
        .collect();
    lines.extend(decoded.open.iter().map(|span| {
        line(
            &format!("process {}", span.pid),
            &span.track,
            "open",
            [
                &json!(span.name),
                &start(span.start_ns),
                &Json::Null,
                &Json::Object(span.args.clone()),
                &Json::Null,
            ],
        )
    }));
    lines.sort();
    lines
}

/// Arrows as the reference draws them.
fn expected_arrows(decoded: &reference::Decoded, base_ns: i64) -> Vec<String> {
    let place = |(process, track, ns): &(String, String, i128)| {
        format!("{process} | {track} | {}", ns - i128::from(base_ns))
    };
    let arrows = decoded.arrows.iter();
    let mut lines: Vec<String> = arrows
        .map(|arrow| format!("{} -> {}", place(&arrow.start), place(&arrow.end)))
        .collect();
    lines.sort();
    lines
}

/// Arrows of a trace, each of which starts before it ends.
fn found_arrows(trace: &Json) -> Vec<String> {
    let (processes, tracks) = names(trace);
    let mut starts = BTreeMap::new();
    let mut lines = Vec::new();
    for event in events(trace).iter().filter(|event| event["cat"] == "ac2g") {
        let process = processes[&event["pid"].as_u64()];
        let track = tracks[&event["tid"].as_u64()];
        let place = format!("{process} | {track} | {}", ns(&event["ts"]));
        let id = event["id"].as_u64().unwrap();
        if event["ph"] == "s" {
            assert!(starts.insert(id, place).is_none(), "two arrows {id}");
        } else {
            lines.push((id, place));
        }
    }
    let arrow = |(id, end): (u64, String)| format!("{} -> {end}", starts[&id]);
    let mut lines: Vec<String> = lines.into_iter().map(arrow).collect();
    assert_eq!(lines.len(), starts.len());
    lines.sort();
    lines
}

fn ns(value: &Json) -> i64 {
    value.as_f64().map_or(0, |us| (us * 1000.0).round() as i64)
}

/// Takes what the decoder adds out of the arguments: the word, and what follows from it.
fn take_word(event: &Json, args: &mut Map<String, Json>) -> Json {
    if let Some(id) = event["id"].as_str() {
        return json!(u64::from_str_radix(&id[2..], 16).unwrap());
    }
    for key in [
        "device",
        "stream",
        "register",
        "received_before_ns",
        "tasks",
    ] {
        args.remove(key);
    }
    let correlation = args.remove("correlation");
    let word = args.remove("task_token").or(args.remove("value"));
    word.or(correlation).unwrap_or(Json::Null)
}

/// Names of processes by id, and of rows by thread id.
type NamesById<'a> = BTreeMap<Option<u64>, &'a str>;

fn names(trace: &Json) -> (NamesById<'_>, NamesById<'_>) {
    let all = trace["traceEvents"].as_array().unwrap();
    let mut processes = BTreeMap::new();
    let mut tracks = BTreeMap::new();
    for event in all.iter().filter(|event| event["ph"] == "M") {
        let name = event["args"]["name"].as_str().unwrap_or_default();
        match event["name"].as_str().unwrap() {
            "process_name" => drop(processes.insert(event["pid"].as_u64(), name)),
            // An extra lane ends in its number.
            "thread_name" => {
                let row = name.split(" (").next().unwrap();
                tracks.insert(event["tid"].as_u64(), row);
            }
            _ => {}
        }
    }
    (processes, tracks)
}

fn found_lines(trace: &Json) -> Vec<String> {
    let (processes, tracks) = names(trace);
    let mut lines: Vec<String> = Vec::new();
    for event in events(trace) {
        if event["cat"] == "ringscope" || event["cat"] == "ac2g" {
            continue;
        }
        let mut args = event["args"].as_object().cloned().unwrap_or_default();
        let is_open = args.remove("ringscope.open").is_some();
        let word = take_word(&event, &mut args);
        let nothing = Json::Null;
        let duration = json!(ns(&event["dur"]));
        lines.push(line(
            processes[&event["pid"].as_u64()],
            tracks[&event["tid"].as_u64()],
            if is_open {
                "open"
            } else {
                event["ph"].as_str().unwrap()
            },
            [
                &event["name"],
                &json!(ns(&event["ts"])),
                if is_open { &nothing } else { &duration },
                &Json::Object(args),
                if is_open { &nothing } else { &word },
            ],
        ));
    }
    lines.sort();
    lines
}

fn assert_nests(trace: &Json) {
    let mut lanes: BTreeMap<_, Vec<(i64, i64)>> = BTreeMap::new();
    for event in events(trace).iter().filter(|event| event["ph"] == "X") {
        let start = ns(&event["ts"]);
        let lane = (event["pid"].as_u64(), event["tid"].as_u64());
        lanes
            .entry(lane)
            .or_default()
            .push((start, start + ns(&event["dur"])));
    }
    for spans in lanes.values_mut() {
        spans.sort_by_key(|(start, end)| (*start, -end));
        let mut around: Vec<i64> = Vec::new();
        for (start, end) in spans {
            while around.last().is_some_and(|outer| outer <= start) {
                around.pop();
            }
            assert!(around.last().is_none_or(|outer| *end <= *outer));
            around.push(*end);
        }
    }
}

fn assert_sorted(trace: &Json) {
    let times: Vec<i64> = events(trace).iter().map(|event| ns(&event["ts"])).collect();
    assert!(times.is_sorted());
}

/// Two sorted lists are the same; else the first difference is told.
fn assert_same(found: &[String], expected: &[String]) {
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len());
}

fn check(seed: u64, scale: Scale) {
    let mut dice = Dice(seed);
    let run = TestRun::new();
    write_process(&run, &mut dice, scale, 100, 1);
    if dice.chance(50) {
        // A second recorder in the same process.
        write_process(&run, &mut dice, scale, 100, 2);
    }
    if dice.chance(50) {
        write_process(&run, &mut dice, scale, 200, 3);
    }
    let expected = reference::decode(run.path());
    let on_threads = |threads| {
        run.timeline_with(&Options {
            threads: Some(threads),
            ..Options::default()
        })
    };
    let timeline: Timeline = on_threads(1);
    let bytes = trace_bytes(&timeline, Order::Time);
    for threads in [2, 8] {
        assert!(bytes == trace_bytes(&on_threads(threads), Order::Time));
    }
    let trace: Json = serde_json::from_slice(&bytes).unwrap();
    assert_same(
        &found_lines(&trace),
        &expected_lines(&expected, timeline.start_ns),
    );
    assert_nests(&trace);
    assert_sorted(&trace);
    let by_lane: Json = serde_json::from_slice(&trace_bytes(&timeline, Order::Lane)).unwrap();
    assert_same(&found_lines(&trace), &found_lines(&by_lane));
    let arrows = expected_arrows(&expected, timeline.start_ns);
    assert_same(&found_arrows(&trace), &arrows);
    assert_same(&found_arrows(&by_lane), &arrows);
    let losses = &timeline.losses;
    assert_eq!(
        (
            losses.overwritten,
            losses.torn,
            losses.unknown_kind,
            losses.unknown_site
        ),
        (
            expected.overwritten,
            expected.torn,
            expected.unknown_kind,
            expected.unknown_site
        )
    );
    let gaps: u64 = events(&trace)
        .iter()
        .filter(|event| event["cat"] == "ringscope")
        .map(|event| event["args"]["records"].as_u64().unwrap())
        .sum();
    assert_eq!(gaps, expected.overwritten + expected.torn);
}

proptest! {
    // A smaller seed makes no smaller run: nothing to shrink.
    #![proptest_config(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        max_shrink_iters: 0,
        ..ProptestConfig::default()
    })]

    #[test]
    fn decoder_and_reference_agree(seed: u64) {
        check(seed, SMALL);
    }
}

/// Rings of many blocks, more events than a slice holds, and spans that are put aside, in memory and in the temporary
/// file.
#[test]
fn decoder_and_reference_agree_on_much() {
    for (seed, long_percent) in [(1, 0), (2, 1), (3, 20)] {
        let scale = Scale {
            capacity_log2: 14,
            records: 20_000,
            long_percent,
        };
        check(seed, scale);
    }
}
