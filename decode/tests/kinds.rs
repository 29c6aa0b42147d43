//! Every kind of record comes out as the event it stands for.

#![allow(clippy::unwrap_used, reason = "in a test a failure is a panic")]

mod common;

use common::*;
use ringscope_decode::{Options, Order, perfetto};
use ringscope_ringbuf::block::{Arg, Block};
use ringscope_ringbuf::layout::*;
use ringscope_ringbuf::payload::ArgType;
use ringscope_ringbuf::reader::pack_duration;
use serde_json::json;

#[test]
fn spans_carry_time_arguments_and_names() {
    let run = TestRun::new();
    let process = run.process(100, 1).named("engine");
    process.site_with(
        1,
        b"decode_step",
        "worker",
        2,
        &[
            ("step", ArgType::I64),
            ("user", ArgType::Str),
            ("ok", ArgType::Bool),
        ],
        &[Arg {
            key: b"device",
            arg_type: ArgType::U64,
            value: &3u64.to_le_bytes(),
        }],
    );
    process.block(&Block::Key {
        id: 5,
        key: b"tokens",
    });
    process.owner(0, 101, 0, 0, "main loop");
    let ring = process.ring(0, 6, 101);
    let payload = Payload::default()
        .u64(-7i64 as u64)
        .text("Zoë".as_bytes())
        .bool(true)
        .late(5, ArgType::U64)
        .u64(u64::MAX);
    ring.span_on(1, 0, 1_000, 1_234, &payload.0);
    process.finish();

    let timeline = run.timeline();
    let trace = trace(&timeline);
    let events = events(&trace);
    assert_eq!(events.len(), 1);
    assert_eq!(
        events[0],
        json!({"name": "decode_step", "cat": "worker", "ph": "X", "ts": 10.0, "dur": 2.34, "pid": 100,
            "tid": 101, "args": {"device": 3, "step": -7, "user": "Zoë", "ok": true, "tokens": u64::MAX}})
    );
    let metadata: Vec<_> = trace["traceEvents"].as_array().unwrap()[..4].to_vec();
    assert_eq!(metadata[0]["args"]["name"], "engine");
    assert_eq!(metadata[2]["args"]["name"], "main loop");
    assert_eq!(trace["baseTimeNanoseconds"], EPOCH_OFFSET_NS + MONO_ZERO_NS);
    assert!(!timeline.losses.any(), "{:?}", timeline.losses);
}

#[test]
fn moments_and_long_spans() {
    let run = TestRun::new();
    let process = run.process(100, 1);
    process.site(1, "s", "c", &[]);
    process.site(2, "n", "", &[("n", ArgType::U64)]);
    process.owner(0, 101, 0, 0, "t");
    let ring = process.ring(0, 6, 101);
    ring.put(
        Kind::SpanNs,
        1,
        [MONO_ZERO_NS + 77, pack_duration(5, 0), 0],
        &[],
    );
    ring.put(
        Kind::SpanLong,
        2,
        [10, 0, DURATION_MAX + 1],
        &9u64.to_le_bytes(),
    );
    ring.put(Kind::Instant, 2, [20, 0, 42], &[]);
    ring.put(
        Kind::Counter,
        1,
        [30, ArgType::I64 as u64, -5i64 as u64],
        &[],
    );
    ring.put(
        Kind::Counter,
        1,
        [31, ArgType::F64 as u64, f64::to_bits(0.25)],
        &[],
    );
    ring.put(Kind::FlowOut, 1, [40, 0, 0xAB], &[]);
    ring.put(Kind::FlowIn, 1, [41, 0, 0xAB], &[]);
    ring.put(Kind::AsyncBegin, 1, [50, 0, 6], &[]);
    ring.put(Kind::AsyncEnd, 1, [60, 0, 6], &[]);
    ring.put_number(200, 1, [70, 0, 6], &[]);
    process.finish();

    let timeline = run.timeline();
    let events = events(&trace(&timeline));
    assert_eq!(timeline.losses.unknown_kind, 1);
    let by_phase = |ph: &str| -> Vec<_> { events.iter().filter(|e| e["ph"] == ph).collect() };
    let spans = by_phase("X");
    assert_eq!(spans[0]["ts"], 0.077);
    assert_eq!(spans[0]["dur"], 0.005);
    assert_eq!(spans[1]["dur"], ((DURATION_MAX + 1) * 10) as f64 / 1000.0);
    assert_eq!(spans[1]["args"], json!({"n": 9}));
    assert_eq!(by_phase("i")[0]["s"], "t");
    assert_eq!(by_phase("i")[0]["args"], json!({"n": 42}));
    assert_eq!(by_phase("C")[0]["args"], json!({"value": -5}));
    assert_eq!(by_phase("C")[1]["args"], json!({"value": 0.25}));
    assert_eq!(by_phase("s")[0]["id"], "0xab");
    assert_eq!(by_phase("f")[0]["id"], "0xab");
    assert_eq!(by_phase("f")[0]["bp"], "e");
    assert_eq!(by_phase("b")[0]["id"], by_phase("e")[0]["id"]);
    assert_eq!(by_phase("b")[0]["cat"], "c");
}

fn device_process(run: &TestRun, anchored: bool) -> TestProcess {
    let process = run.process(100, 1).named("worker");
    process.site(1, "launch", "kernel", &[]);
    process.site(2, "matmul", "kernel", &[]);
    process.site(3, "tasks", "kernel", &[]);
    process.owner(0, 101, 0, 0, "launcher");
    process.stream(1, (2, 7), 4, "compute");
    process.clock_domain(4, 50_000_000);
    if anchored {
        process.anchor(4, [990, 5_000, 1_010]);
    }
    let ring = process.ring(0, 6, 101);
    ring.put(Kind::Launch, 1, [1_000, pack_duration(50, 0), 77], &[]);
    ring.put(Kind::Wait, 1, [1_100, pack_duration(50, 0), 77], &[]);
    ring.put(Kind::DeviceSpan, 2, [5_010, pack_duration(10, 1), 77], &[]);
    ring.put(Kind::DeviceBatch, 3, [2_000, pack_duration(2, 1), 78], &[]);
    for task in 0..2u64 {
        let w1 = 3 | (4 << 32);
        ring.put(
            Kind::DeviceTask,
            9,
            [5_100 + task * 10, w1, 1_000 + task],
            &[],
        );
    }
    process.finish();
    process
}

#[test]
fn device_records_are_placed_by_anchors() {
    let run = TestRun::new();
    device_process(&run, true);
    let timeline = run.timeline();
    let trace = trace(&timeline);
    let events = events(&trace);
    let launch = named(&events, "launch");
    assert_eq!(launch[0]["args"], json!({"correlation": 77}));
    let kernel = named(&events, "matmul")[0];
    // Device tick 5,000 is host tick 1,000, at 20 ns each.
    assert_eq!(kernel["ts"], 10.2);
    assert_eq!(kernel["dur"], 0.2);
    assert_eq!(
        kernel["args"],
        json!({"correlation": 77, "device": 2, "stream": 7})
    );
    assert_eq!(kernel["tid"], 7);
    assert_ne!(kernel["pid"], launch[0]["pid"]);
    let arrows = named(&events, "ac2g");
    assert_eq!(arrows.len(), 2);
    assert_eq!(arrows[0]["ph"], "s");
    assert_eq!(arrows[1]["ph"], "f");
    assert_eq!(arrows[0]["id"], arrows[1]["id"]);
    let tasks: Vec<_> = named(&events, "tasks");
    let tasks: Vec<_> = tasks.iter().filter(|e| e["ph"] == "X").collect();
    assert_eq!(tasks.len(), 2);
    assert_eq!(tasks[1]["ts"], 12.2);
    assert_eq!(
        tasks[1]["args"],
        json!({"correlation": 78, "task_token": 1001, "register": 9, "received_before_ns": 80,
            "device": 2, "stream": 7})
    );
    // Devices stand after the hosts.
    let sort_index = |pid: &serde_json::Value| {
        let all = trace["traceEvents"].as_array().unwrap();
        let found = all
            .iter()
            .find(|e| e["name"] == "process_sort_index" && e["pid"] == *pid);
        found.unwrap()["args"]["sort_index"].as_u64().unwrap()
    };
    assert!(sort_index(&kernel["pid"]) > sort_index(&launch[0]["pid"]));
}

#[test]
fn device_work_says_how_far_off_it_may_be_when_asked() {
    let run = TestRun::new();
    device_process(&run, true);
    let slacks = |device_slack| {
        let timeline = run.timeline_with(&Options {
            device_slack,
            ..Options::default()
        });
        let events = events(&trace(&timeline));
        let work = events.iter().filter(|event| event["args"]["device"] == 2);
        work.map(|event| event["args"]["slack_ns"].clone())
            .collect()
    };
    let asked: Vec<serde_json::Value> = slacks(true);
    // Half of the bracket of 200 ns, what rounding it takes, and what the stated frequency may be off.
    assert_eq!(asked, [102, 102, 102]);
    assert_eq!(slacks(false), vec![json!(null); 3]);
}

/// Lines of tasks are made of templates, but where each says a slack: with a slack that nobody knows both ways come to the
/// same bytes, whatever the constants of the kernel are called.
#[test]
fn lines_of_tasks_are_the_same_either_way() {
    let run = TestRun::new();
    let process = run.process(100, 1);
    let number = 7u64.to_le_bytes();
    let constant = |key: &'static str, value: &'static [u8], arg_type| Arg {
        key: key.as_bytes(),
        arg_type,
        value,
    };
    let constants = [
        constant("kind", b"\x03\0a\"b", ArgType::Str),
        Arg {
            key: b"register",
            arg_type: ArgType::U64,
            value: &number,
        },
        Arg {
            key: b"blocks",
            arg_type: ArgType::U64,
            value: &number,
        },
        Arg {
            key: b"stream",
            arg_type: ArgType::U64,
            value: &number,
        },
    ];
    process.site_with(3, b"ta\\sks\n", "", 1, &[], &constants);
    process.owner(0, 101, 0, 0, "collector");
    process.stream(1, (2, 7), 4, "compute");
    process.clock_domain(4, 0);
    process.anchor(4, [0, 0, 0]);
    let ring = process.ring(0, 9, 101);
    for (batch, tasks) in [(1, 3), (2, 100)] {
        let head = [90_000 * batch, pack_duration(tasks, 1), 78 + batch];
        ring.put(Kind::DeviceBatch, 3, head, &[]);
        for task in 0..tasks {
            let start = 1_000_000 * batch + task * 700;
            let times = (600 * (1 + task % 7)) | task << 32;
            ring.put(
                Kind::DeviceTask,
                task as u32,
                [start, times, task << (task % 64)],
                &[],
            );
        }
    }
    process.finish();
    let written = |device_slack| {
        let timeline = run.timeline_with(&Options {
            device_slack,
            ..Options::default()
        });
        let mut packets = Vec::new();
        perfetto::write(&timeline, Order::Time, &mut packets, &|_| {}).unwrap();
        (trace_bytes(&timeline, Order::Time), packets)
    };
    let (text, packets) = written(false);
    assert_eq!(
        text.windows(12).filter(|w| w == b"\"task_token\"").count(),
        103
    );
    let by_general_way = written(true);
    assert!(text == by_general_way.0 && packets == by_general_way.1);
}

/// An arrow that ends before it starts would not be drawn.
#[test]
fn an_arrow_starts_before_it_ends_however_the_clocks_disagree() {
    let run = TestRun::new();
    let process = device_process(&run, true);
    let ring = process.ring(1, 6, 102);
    process.owner(1, 102, 0, 0, "other");
    for (correlation, launch, device) in [(1, 3_000, 5_995), (2, 4_000, 6_500), (3, 5_000, 7_009)] {
        ring.put(
            Kind::Launch,
            1,
            [launch, pack_duration(50, 0), correlation],
            &[],
        );
        let w1 = pack_duration(10, 1);
        ring.put(Kind::DeviceSpan, 2, [device, w1, correlation], &[]);
    }
    process.finish();
    for order in [ringscope_decode::Order::Time, ringscope_decode::Order::Lane] {
        let bytes = trace_bytes(&run.timeline(), order);
        let trace: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let events = events(&trace);
        for start in events.iter().filter(|e| e["ph"] == "s") {
            let place = |e: &serde_json::Value, ph: &str| e["ph"] == ph && e["id"] == start["id"];
            let at = |ph: &str| events.iter().position(|e| place(e, ph)).unwrap();
            let end = &events[at("f")];
            assert!(start["ts"].as_f64() <= end["ts"].as_f64());
            if start["ts"] == end["ts"] {
                // Behind both of the events that it joins.
                let kernel = |e: &serde_json::Value| {
                    e["ph"] == "X"
                        && e["tid"] == end["tid"]
                        && e["ts"].as_f64() <= end["ts"].as_f64()
                };
                assert!(at("s") < at("f") && events.iter().position(kernel).unwrap() < at("f"));
            }
        }
        assert_eq!(events.iter().filter(|e| e["ph"] == "f").count(), 4);
    }
}

#[test]
fn device_time_without_any_tie_is_unavailable_never_zero() {
    let run = TestRun::new();
    let process = device_process(&run, false);
    // A domain that no frequency is known of has nothing to be placed by.
    process.clock_domain(4, 0);
    process.finish();
    let timeline = run.timeline();
    let trace = trace(&timeline);
    assert!(named(&events(&trace), "matmul").is_empty());
    assert_eq!(timeline.losses.notes["device_time_unavailable"], 3);
    assert_eq!(timeline.warnings.len(), 1);
    let clock = &trace["metadata"]["device_clocks"][0];
    assert_eq!(clock["alignment"], "unavailable");
    assert_eq!(clock["uncertainty_ns"], serde_json::Value::Null);
}

#[test]
fn unknown_sites_are_visible_and_counted() {
    let run = TestRun::new();
    let process = run.process(100, 1);
    process.owner(0, 101, 0, 0, "t");
    let ring = process.ring(0, 6, 101);
    ring.span(8, 1, 2);
    ring.span(9, 3, 4);
    ring.span(8, 5, 6);
    process.finish();
    let timeline = run.timeline();
    let events = events(&trace(&timeline));
    assert_eq!(named(&events, "unknown site 8").len(), 2);
    assert_eq!(named(&events, "unknown site 9").len(), 1);
    assert_eq!(timeline.losses.unknown_site, 3);
    assert!(timeline.losses.any());
}

#[test]
fn strings_of_every_sort_come_out_right() {
    let run = TestRun::new();
    let process = run.process(100, 1);
    let long = "x".repeat(10_000);
    let names: [&[u8]; 8] = [
        b"",
        long.as_bytes(),
        b"\x00\x01\x1f\n\t",
        b"say \"hi\"",
        b"C:\\",
        b"bad \xff utf8",
        "größer".as_bytes(),
        "🚀".as_bytes(),
    ];
    for (id, name) in (1..).zip(names) {
        process.site_with(id, name, "", 1, &[("v", ArgType::Str)], &[]);
    }
    process.owner(0, 101, 0, 0, "t");
    let ring = process.ring(0, 12, 101);
    for (id, name) in (1u32..).zip(names) {
        let payload = Payload::default().text(name);
        ring.span_on(id, 0, id as u64 * 10, id as u64 * 10 + 5, &payload.0);
    }
    let mut cut = Payload::default();
    cut.text_cut_to(&[b'y'; 100], 30);
    ring.span_on(7, 0, 200, 205, &cut.0);
    process.finish();

    let bytes = trace_bytes(&run.timeline(), ringscope_decode::Order::Time);
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains(r#""name":"C:\u005c""#) && !text.contains(r"\\"));
    let trace: serde_json::Value = serde_json::from_str(&text).unwrap();
    let events = events(&trace);
    for (event, name) in events.iter().zip(names) {
        let expected = String::from_utf8_lossy(name);
        assert_eq!(event["name"], *expected);
        assert_eq!(event["args"]["v"], *expected);
    }
    let cut = events.last().unwrap()["args"]["v"].as_str().unwrap();
    assert_eq!(cut, format!("{}… [100 bytes]", "y".repeat(24)));
}

#[test]
fn each_key_stands_once_with_its_last_value() {
    let run = TestRun::new();
    let process = run.process(100, 1);
    process.site(1, "s", "", &[("a", ArgType::U64)]);
    process.block(&Block::Key { id: 1, key: b"a" });
    process.owner(0, 101, 0, 0, "t");
    let ring = process.ring(0, 6, 101);
    let payload = Payload::default()
        .u64(1)
        .late(1, ArgType::U64)
        .u64(2)
        .late(1, ArgType::Bool)
        .bool(true)
        .late(9, ArgType::Null);
    ring.span_on(1, 0, 1, 2, &payload.0);
    process.finish();
    let bytes = trace_bytes(&run.timeline(), ringscope_decode::Order::Time);
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains(r#""args":{"a":true,"key 9":null}"#), "{text}");
}
