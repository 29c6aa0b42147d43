//! The engine of the golden run: two recorders in one process, every kind of block and record, killed by SIGKILL
//! with spans open.

use std::path::Path;

use ringscope_ringbuf::block::{Block, LaneKind, PairSource};
use ringscope_ringbuf::file::FileKind;
use ringscope_ringbuf::layout::{
    DURATION_MAX, DropCause, Kind, LEVEL_ALL, MODE_FULL, SEGMENTS_BY_SUPERVISOR, SEGMENTS_BY_THREAD,
};
use serde_json::{Value, json};

use super::clock::{self, LATE_TICKS, MS, START_NS, START_TICKS, pair};
use super::entry::Entry;
use super::others;
use super::process::{Body, ENGINE, Recorder};
use super::ring::{Identity, Ring};
use super::site::{self, Datum};

const MAIN_TID: u32 = ENGINE.pid;
const FIRST_WORKER_TID: u32 = 4243;
const SECOND_WORKER_TID: u32 = 4244;
/// The recorder of another library in the same process.
const SECOND_RECORDER: Recorder = Recorder {
    nonce: 0xfedc_ba98_7654_3210,
    created_ticks: START_TICKS + 30 * MS / 2,
    ..ENGINE
};

const TRACK: u16 = 1;
const TASK: u16 = 2;
const STREAM: u16 = 3;
/// When track 1 passes from one request to the next.
const NEXT_REQUEST: u64 = START_TICKS + 400 * MS;
/// The device's clock: 50 MHz, so one of its ticks is 40 of the host's.
const DOMAIN: u32 = 1;
const DEVICE_START: u64 = 7_000_000;
const DROPS: [(DropCause, u64); 3] = [
    (DropCause::NoRing, 3),
    (DropCause::NameCap, 2),
    (DropCause::ValueCut, 1),
];

fn at_ms(ms: u64) -> u64 {
    START_TICKS + ms * MS
}

/// Writes the engine's files to `run`; what a reader must find in them.
pub(crate) fn write(run: &Path) -> Value {
    let (main, worker) = (main_ring(run), worker_ring(run));
    ENGINE.write_lock_file(run, None, &DROPS);
    ENGINE.write_process_file(run, blocks(worker.passed_at));
    let second = second_recorder(run);
    json!({
        "pid": ENGINE.pid,
        "start_time": ENGINE.start_time,
        "name": ENGINE.name,
        "rank": null,
        "end": { "how": "killed", "signal": 9 },
        "recorders": [
            { "nonce": format!("{:016x}", ENGINE.nonce), "mode": "full",
              "drops": others::drops_meaning(&DROPS), "unknown_blocks": 1,
              "messages": ["ring 2: No space left on device"] },
            { "nonce": format!("{:016x}", SECOND_RECORDER.nonce), "mode": "full",
              "drops": { "late_thread": 1 }, "unknown_blocks": 0, "messages": [] },
        ],
        "levels": [{ "ticks": at_ms(500), "mask": LEVEL_ALL }],
        "rings_not_made": [{ "index": 2, "errno": 28 }],
        "lanes": [
            { "lane": TRACK, "kind": "track", "generation": 0, "start_ticks": START_TICKS, "name": "req 7" },
            { "lane": TRACK, "kind": "track", "generation": 1, "start_ticks": NEXT_REQUEST, "name": "req 8" },
            { "lane": TASK, "kind": "task", "generation": 0, "start_ticks": START_TICKS, "name": "Task-1" },
            { "lane": STREAM, "kind": "stream", "generation": 0, "start_ticks": START_TICKS,
              "name": "stream 3", "device": 0, "stream": 3, "clock_domain": DOMAIN },
        ],
        "clock_domains": [{
            "id": DOMAIN, "name": "npu0", "frequency_hz": 50_000_000,
            "anchors": [
                { "host_ticks": at_ms(100), "device_ticks": DEVICE_START, "half_width_ticks": 200 },
                { "host_ticks": at_ms(900), "device_ticks": DEVICE_START + 40_000_000, "half_width_ticks": 200 },
            ],
        }],
        "rings": [main.meaning(), worker.ring.meaning(), second.meaning()],
    })
}

/// Every kind of block, in the order in which an engine would write them.
fn blocks(worker_passed_at: u64) -> Body {
    let mut body = Body::default();
    body.push(&Block::ClockPair(clock::KEPT[0]));
    for place in site::ALL {
        place.block(&mut |block| body.push(block));
    }
    body.push(&Block::Key {
        id: site::LATE_KEY.0,
        key: site::LATE_KEY.1.as_bytes(),
    });
    push_rings(&mut body, worker_passed_at);
    push_lanes(&mut body);
    body.push_hole();
    body.push_of_a_later_version();
    body.push(&Block::ProcessName {
        name: ENGINE.name.as_bytes(),
    });
    body.push(&Block::Level {
        ticks: at_ms(500),
        mask: LEVEL_ALL,
    });
    body.push(&Block::Message {
        text: b"ring 2: No space left on device",
    });
    // Blocks of a supervisor: an engine that starts processes itself may write them, with the same contents.
    for block in others::SUPERVISION {
        body.push(&block);
    }
    body
}

fn push_rings(body: &mut Body, worker_passed_at: u64) {
    let ring = |ring_index, capacity_log2, errno| Block::Ring {
        ring_index,
        capacity_log2,
        wished_log2: 15,
        errno,
    };
    let owner = |ring_index, tid, first_sequence, start_ticks, name| Block::Owner {
        ring_index,
        tid,
        first_sequence,
        start_ticks,
        name,
    };
    body.push(&ring(0, 6, 0));
    // Less certain than the pair of the start, 10 ms before, and 7 ns off: it does not count.
    body.push(&Block::ClockPair(pair(at_ms(10), 7, 900, PairSource::Ring)));
    body.push(&owner(0, MAIN_TID, 0, at_ms(0), b"main"));
    body.push(&ring(1, 6, 0));
    body.push(&owner(1, FIRST_WORKER_TID, 0, at_ms(11), b"worker"));
    body.push(&Block::ThreadName {
        tid: FIRST_WORKER_TID,
        ring_index: 1,
        name: b"executor",
    });
    body.push(&Block::ThreadEnd {
        ring_index: 1,
        tid: FIRST_WORKER_TID,
        end_sequence: worker_passed_at,
        end_ticks: at_ms(300),
    });
    body.push(&owner(
        1,
        SECOND_WORKER_TID,
        worker_passed_at,
        at_ms(310),
        b"",
    ));
    body.push(&ring(2, 0, 28));
}

fn push_lanes(body: &mut Body) {
    let lane = |lane, kind, generation, start_ticks, clock_domain, name| Block::Lane {
        lane,
        kind,
        generation,
        start_ticks,
        device: 0,
        stream: clock_domain * 3,
        clock_domain,
        name,
    };
    body.push(&lane(TRACK, LaneKind::Track, 0, START_TICKS, 0, b"req 7"));
    body.push(&lane(TRACK, LaneKind::Track, 1, NEXT_REQUEST, 0, b"req 8"));
    body.push(&lane(TASK, LaneKind::Task, 0, START_TICKS, 0, b"Task-1"));
    body.push(&Block::ClockDomain {
        id: DOMAIN,
        frequency_hz: 50_000_000,
        name: b"npu0",
    });
    for (ms, device_ticks) in [(100, DEVICE_START), (900, DEVICE_START + 40_000_000)] {
        body.push(&Block::Anchor {
            domain: DOMAIN,
            host_before_ticks: at_ms(ms) - 200,
            device_ticks,
            host_after_ticks: at_ms(ms) + 200,
        });
    }
    body.push(&lane(
        STREAM,
        LaneKind::Stream,
        0,
        START_TICKS,
        DOMAIN,
        b"stream 3",
    ));
}

/// Ring 0: every kind of record; drained by the supervisor up to its death in mid-segment; then overwritten past
/// what was drained; torn once in the middle and once at the end.
fn main_ring(run: &Path) -> Ring {
    let mut ring = Ring::create(
        run,
        Identity {
            pid: ENGINE.pid,
            nonce: ENGINE.nonce,
            index: 0,
            base_sequence: 0,
            created_ticks: START_TICKS,
            tid: MAIN_TID,
            mode: MODE_FULL,
        },
    );
    ring.pass_to(MAIN_TID, "main");
    write_spans(&mut ring);
    let half = ring.next_sequence();
    write_events(&mut ring);
    write_device(&mut ring);
    let drained = ring.next_sequence();
    (0..6).for_each(|n| write_tick(&mut ring, n));
    // The last segment promises six records and holds four.
    let segments = [0..half, half..drained, drained..drained + 6];
    ring.save(FileKind::Drain, SEGMENTS_BY_SUPERVISOR, &segments, 2);
    (6..28).for_each(|n| write_tick(&mut ring, n));
    // What is left of this record is its continuations: its main slot is the last one overwritten.
    let text = Datum::Str("a text that is long enough for two continuations");
    let orphaned = ring.write(Entry::instant(&site::PROMPT, at_ms(1_100), 0, &[text]));
    (28..52).for_each(|n| write_tick(&mut ring, n));
    ring.tear(1);
    (52..86).for_each(|n| write_tick(&mut ring, n));
    write_open_spans(&mut ring);
    ring.tear(3);
    assert_eq!(ring.next_sequence(), orphaned + 1 + 64);
    ring
}

fn write_spans(ring: &mut Ring) {
    let everything = [
        Datum::I64(-5),
        Datum::U64(u64::MAX),
        Datum::F64(2.5),
        Datum::Bool(true),
        Datum::Str("quote \" slash \\ é 🦀"),
        Datum::Json(r#"{"a":[1,null,"x"]}"#),
        Datum::Hex(0xdead_beef),
        Datum::Null,
    ];
    ring.write(Entry::span(
        &site::REQUEST,
        at_ms(20),
        30 * MS,
        0,
        &everything,
    ));
    ring.write(Entry::span(&site::STEP, at_ms(60), 1, 0, &[Datum::U64(1)]));
    ring.write(Entry::span_with_late(
        &site::STEP,
        (at_ms(62), 2 * MS + 1),
        &[Datum::U64(2)],
        Datum::U64(17),
    ));
    let cut = [Datum::Cut("the beginning of a long text", 100_000)];
    ring.write(Entry::span(&site::PROMPT, at_ms(70), MS, 0, &cut));
    ring.write(Entry::span_ns(&site::IMPORTED, START_NS + 80_000_001, 999));
    ring.write(Entry::span(
        &site::STEP,
        at_ms(90),
        MS,
        TRACK,
        &[Datum::U64(3)],
    ));
    ring.write(Entry::span(
        &site::STEP,
        NEXT_REQUEST,
        MS,
        TRACK,
        &[Datum::U64(4)],
    ));
    ring.write(Entry::span(
        &site::STEP,
        at_ms(410),
        MS,
        TASK,
        &[Datum::U64(5)],
    ));
    ring.write(Entry::span_long(
        &site::SERVER,
        at_ms(1),
        DURATION_MAX + 1,
        &[Datum::I64(8080)],
    ));
}

fn write_events(ring: &mut Ring) {
    ring.write(Entry::instant(
        &site::QUEUED,
        at_ms(420),
        0,
        &[Datum::U64(512)],
    ));
    ring.write(Entry::instant(
        &site::PROMPT,
        at_ms(421),
        TRACK,
        &[Datum::Str("")],
    ));
    ring.write(Entry::counter(&site::PAGES, at_ms(430), Datum::I64(-1)));
    ring.write(Entry::counter(&site::PAGES, at_ms(431), Datum::U64(4096)));
    ring.write(Entry::counter(&site::PAGES, at_ms(432), Datum::F64(0.5)));
    ring.write(Entry::linked(Kind::FlowOut, &site::HANDOFF, at_ms(440), 77));
    ring.write(Entry::linked(Kind::FlowIn, &site::HANDOFF, at_ms(441), 77));
    ring.write(Entry::linked(
        Kind::AsyncBegin,
        &site::STREAMING,
        at_ms(450),
        9,
    ));
    ring.write(Entry::linked(
        Kind::AsyncEnd,
        &site::STREAMING,
        at_ms(460),
        9,
    ));
    ring.write(Entry::of_a_later_version());
}

fn write_device(ring: &mut Ring) {
    let launch = (at_ms(500), MS / 10);
    let wait = (at_ms(501), 4 * MS);
    ring.write(Entry::host_side(
        Kind::Launch,
        &site::FORWARD,
        launch,
        1001,
        &[Datum::U64(6)],
    ));
    ring.write(Entry::host_side(
        Kind::Wait,
        &site::FORWARD_WAIT,
        wait,
        1001,
        &[],
    ));
    // 402 ms after the first anchor, for 2 ms: 50,000 device ticks are one millisecond.
    let on_device = DEVICE_START + 402 * 50_000;
    ring.write(Entry::device_span(
        &site::FORWARD,
        (on_device, 100_000),
        STREAM,
        1001,
    ));
    ring.write_together(vec![
        Entry::device_batch(&site::FORWARD, at_ms(506), 2, STREAM, 1001),
        Entry::device_task(on_device + 10, 20_000, 7, 0xaaaa, 31),
        Entry::device_task(on_device + 20_010, 30_000, 9, 0xbbbb, 32),
    ]);
}

/// Filler, at odd ticks behind the second clock pair, where conversion must round.
fn write_tick(ring: &mut Ring, n: u64) {
    let time = at_ms(1_000 + n) + 2 * n + 1;
    ring.write(Entry::instant(&site::TICK, time, 0, &[Datum::U64(n)]));
}

fn write_open_spans(ring: &mut Ring) {
    let request = [Datum::Str("request-0000000000000008")];
    ring.open(&site::GENERATE, LATE_TICKS + 100 * MS, 0, &request);
    ring.open(&site::STEP, LATE_TICKS + 200 * MS, TRACK, &[Datum::U64(99)]);
    let left = ring.open(&site::SERVER, LATE_TICKS + 300 * MS, 0, &[Datum::I64(1)]);
    ring.close(left);
}

/// Ring 1 and the sequence at which it passed to its second owner.
struct WorkerRing {
    ring: Ring,
    passed_at: u64,
}

/// Ring 1: used again by a second thread; its first 64 slots were saved by the thread itself, in two segments; nothing is lost.
fn worker_ring(run: &Path) -> WorkerRing {
    let mut ring = Ring::create(
        run,
        Identity {
            pid: ENGINE.pid,
            nonce: ENGINE.nonce,
            index: 1,
            base_sequence: 0,
            created_ticks: at_ms(11),
            tid: FIRST_WORKER_TID,
            mode: MODE_FULL,
        },
    );
    let step = |n: u64| Entry::span(&site::STEP, at_ms(20 + 5 * n), 2 * MS, 0, &[Datum::U64(n)]);
    ring.pass_to(FIRST_WORKER_TID, "executor");
    for n in 0..40 {
        ring.write(step(n));
    }
    let passed_at = ring.next_sequence();
    // Without a name of its own a thread is called by its process and number.
    ring.pass_to(SECOND_WORKER_TID, "engine 4244");
    for n in 60..84 {
        ring.write(step(n));
    }
    ring.save(
        FileKind::Spill,
        SEGMENTS_BY_THREAD,
        &[0..passed_at, passed_at..64],
        0,
    );
    for n in 84..90 {
        ring.write(step(n));
    }
    WorkerRing { ring, passed_at }
}

/// Another recorder in the same process: its thread's records belong to the lane of the same thread.
fn second_recorder(run: &Path) -> Ring {
    let created_ticks = SECOND_RECORDER.created_ticks;
    let mut ring = Ring::create(
        run,
        Identity {
            pid: SECOND_RECORDER.pid,
            nonce: SECOND_RECORDER.nonce,
            index: 0,
            base_sequence: 1_000,
            created_ticks,
            tid: MAIN_TID,
            mode: MODE_FULL,
        },
    );
    ring.pass_to(MAIN_TID, "main");
    ring.write(Entry::span(
        &site::STEP,
        at_ms(63),
        MS / 2,
        0,
        &[Datum::U64(2)],
    ));
    let mut body = Body::default();
    body.push(&Block::ClockPair(pair(
        created_ticks,
        3,
        800,
        PairSource::Start,
    )));
    site::STEP.block(&mut |block| body.push(block));
    body.push(&Block::Owner {
        ring_index: 0,
        tid: MAIN_TID,
        first_sequence: 1_000,
        start_ticks: created_ticks,
        name: b"main",
    });
    SECOND_RECORDER.write_lock_file(run, None, &[(DropCause::LateThread, 1)]);
    SECOND_RECORDER.write_process_file(run, body);
    ring
}
