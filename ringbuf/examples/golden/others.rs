//! The other processes of the golden run: a forked worker that ended cleanly, the supervisor, and a process that
//! could not record.

use std::fs;
use std::path::Path;

use ringscope_ringbuf::block::{Block, PairSource};
use ringscope_ringbuf::file::FileKind;
use ringscope_ringbuf::layout::{DropCause, MODE_FLIGHT, ROLE_SUPERVISOR};
use serde_json::{Map, Value, json};

use super::clock::{self, KEPT, LATE_TICKS, MS, START_TICKS, pair};
use super::entry::{Entry, object};
use super::process::{BOOT_ID, Body, ENGINE, HOST, Recorder};
use super::ring::{Identity, Ring};
use super::site::{self, Datum};

const WORKER: Recorder = Recorder {
    pid: 4300,
    nonce: 0x1111_2222_3333_4444,
    parent_pid: ENGINE.pid,
    parent_nonce: ENGINE.nonce,
    start_time: 99_004,
    created_ticks: START_TICKS + 40 * MS,
    rank: 1,
    mode: MODE_FLIGHT,
    ..ENGINE
};
const SUPERVISOR: Recorder = Recorder {
    pid: 4200,
    nonce: 0x0a0b_0c0d_0e0f_0102,
    role: ROLE_SUPERVISOR,
    parent_pid: 1,
    start_time: 98_990,
    stem: "ringscope",
    name: "ringscope",
    ..ENGINE
};
const OFF: Recorder = Recorder {
    pid: 4400,
    nonce: 0x5555_6666_7777_8888,
    ..ENGINE
};

/// What the supervisor saw.
pub(crate) const SUPERVISION: [Block<'static>; 4] = [
    Block::Command {
        argv: b"serve\0--model\0tiny",
    },
    Block::Exit {
        pid: WORKER.pid,
        status: 0,
        start_time: WORKER.start_time,
        mono_ns: pair(START_TICKS + 1_060 * MS, 0, 0, PairSource::Supervisor).mono_ns,
    },
    Block::Exit {
        pid: ENGINE.pid,
        status: 9,
        start_time: ENGINE.start_time,
        mono_ns: pair(LATE_TICKS + 1_000 * MS, 500, 0, PairSource::Supervisor).mono_ns,
    },
    Block::Drain {
        nonce: ENGINE.nonce,
        ring_index: 0,
        wanted_log2: 7,
        overwritten: 25,
        high_water: 89,
    },
];

/// Drop counters as they stand in the expected JSON: the ones that are not zero, by name.
pub(crate) fn drops_meaning(drops: &[(DropCause, u64)]) -> Map<String, Value> {
    drops
        .iter()
        .map(|(cause, count)| (cause.name().into(), (*count).into()))
        .collect()
}

/// Writes the worker's files to `run`; what a reader must find in them.
pub(crate) fn write_worker(run: &Path) -> Value {
    let identity = Identity {
        pid: WORKER.pid,
        nonce: WORKER.nonce,
        index: 0,
        base_sequence: 0,
        created_ticks: WORKER.created_ticks,
        tid: WORKER.pid,
        mode: MODE_FLIGHT,
    };
    let mut ring = Ring::create(run, identity);
    ring.pass_to(WORKER.pid, "main");
    for n in 0..3 {
        let start = START_TICKS + (100 + 10 * n) * MS;
        ring.write(Entry::span(&site::STEP, start, 5 * MS, 0, &[Datum::U64(n)]));
    }
    let mut body = Body::default();
    body.push(&Block::ClockPair(pair(
        WORKER.created_ticks,
        2,
        700,
        PairSource::Start,
    )));
    body.push(&Block::ProcessName { name: b"worker-1" });
    site::STEP.block(&mut |block| body.push(block));
    body.push(&Block::Owner {
        ring_index: 0,
        tid: WORKER.pid,
        first_sequence: 0,
        start_ticks: WORKER.created_ticks,
        name: b"main",
    });
    WORKER.write_process_file(run, body);
    let end = pair(START_TICKS + 1_050 * MS, 4, 60, PairSource::End);
    WORKER.write_lock_file(run, Some(end), &[]);
    json!({
        "pid": WORKER.pid, "start_time": WORKER.start_time, "name": "worker-1", "rank": WORKER.rank,
        "forked_from": ENGINE.pid,
        "end": { "how": "clean", "exit_code": 0 },
        "recorders": [{ "nonce": format!("{:016x}", WORKER.nonce), "mode": "flight", "drops": {},
                        "unknown_blocks": 0, "messages": [] }],
        "levels": [], "rings_not_made": [], "lanes": [], "clock_domains": [],
        "rings": [ring.meaning()],
    })
}

/// Writes the supervisor's files, the mark of the process that could not record and the `level` file; what the run
/// as a whole means.
pub(crate) fn write_supervisor(run: &Path) -> Map<String, Value> {
    let mut body = Body::default();
    body.push(&SUPERVISION[0]);
    for pair in &KEPT[1..] {
        body.push(&Block::ClockPair(*pair));
    }
    for block in &SUPERVISION[1..] {
        body.push(block);
    }
    SUPERVISOR.write_process_file(run, body);
    let late = KEPT[2].mono_ns - KEPT[0].mono_ns - (KEPT[2].ticks - KEPT[0].ticks) / 2;
    let end = pair(KEPT[2].ticks + 20 * MS, late + 5, 500, PairSource::End);
    SUPERVISOR.write_lock_file(run, Some(end), &[]);
    let off = run.join(OFF.file_name(FileKind::Off, 13));
    fs::write(off, b"").expect("the mark can be written");
    fs::write(run.join("level"), "e2e,kernel\n").expect("the level can be written");
    let boot_id: String = BOOT_ID.iter().map(|byte| format!("{byte:02x}")).collect();
    object(json!({
        "format_version": 1,
        "host": HOST,
        "boot_id": boot_id,
        "start_real_ns": clock::START_REAL_NS,
        "command": ["serve", "--model", "tiny"],
        "level": "e2e,kernel",
        "supervisor": { "pid": SUPERVISOR.pid, "nonce": format!("{:016x}", SUPERVISOR.nonce) },
        "could_not_record": [{ "pid": OFF.pid, "errno": 13 }],
    }))
}
