//! Several recorders, processes and runs on one time line; processes as they stand.

#![allow(clippy::unwrap_used, reason = "in a test a failure is a panic")]

mod common;

use std::fs;

use common::*;
use ringscope_decode::align;
use ringscope_decode::{
    ExitStatus, Liveness, Options, Run, Timeline, find_runs, find_runs_by_pid, newest_run,
};
use ringscope_ringbuf::block::{Block, LaneKind};
use ringscope_ringbuf::clock::{self, ClockSource};
use ringscope_ringbuf::file::FileKind;
use ringscope_ringbuf::layout::*;
use ringscope_ringbuf::sys;

fn simple(run: &TestRun, pid: u32, nonce: u64, tid: u32, name: &str, at: u64) -> TestProcess {
    let process = run.process(pid, nonce).named(&format!("p{pid}"));
    process.site(1, name, "c", &[]);
    process.owner(0, tid, 0, 0, "t");
    let ring = process.ring(0, 6, tid);
    ring.span(1, at, at + 100);
    process
}

#[test]
fn two_recorders_in_one_process_share_its_lanes() {
    let run = TestRun::new();
    simple(&run, 100, 1, 101, "outer", 1_000).finish();
    simple(&run, 100, 2, 101, "other", 5_000).finish();
    let timeline = run.timeline();
    assert_eq!(timeline.processes.len(), 1);
    assert_eq!(timeline.lanes.len(), 1);
    assert_eq!(timeline.event_count, 2);
    assert_eq!(timeline.lanes[0].tid, 101);
}

#[test]
fn the_newest_name_of_a_process_stands() {
    for (first, second) in [(1, 2), (2, 1)] {
        let run = TestRun::new();
        for (nonce, age) in [(1, first), (2, second)] {
            let mut process = simple(&run, 100, nonce, 101, "work", 1_000);
            process.header.created_mono_ns = (MONO_ZERO_NS + age).into();
            process.block(&Block::ProcessName {
                name: format!("name {age}").as_bytes(),
            });
            process.finish();
        }
        assert_eq!(run.timeline().processes[0].name, "name 2");
    }
}

#[test]
fn equal_ids_of_different_processes_get_made_up_ones() {
    let run = TestRun::new();
    simple(&run, 1, 1, 1, "a", 1_000).finish();
    let mut other = simple(&run, 1, 2, 1, "b", 1_000);
    other.header.pid_namespace = 8.into();
    other.finish();
    let mut reused = simple(&run, 1, 3, 1, "c", 1_000);
    reused.header.start_time = 77.into();
    reused.finish();
    let timeline = run.timeline();
    assert_eq!(timeline.processes.len(), 3);
    let mut ids: Vec<(u32, u32)> = timeline.lanes.iter().map(|l| (l.pid, l.tid)).collect();
    ids.sort_unstable();
    assert_eq!(
        ids,
        [
            (1, 1),
            (1 << 31, (1 << 31) + 2),
            ((1 << 31) + 1, (1 << 31) + 3)
        ]
    );
}

#[test]
fn a_track_is_one_row_whoever_records_on_it_and_splits_where_spans_overlap() {
    let run = TestRun::new();
    let process = run.process(100, 1);
    process.site(1, "step", "c", &[]);
    for (lane, ring) in [(1u16, 0u32), (2, 1)] {
        process.owner(ring, 101 + ring, 0, 0, &format!("thread {ring}"));
        process.block(&Block::Lane {
            lane,
            kind: LaneKind::Task,
            generation: 0,
            start_ticks: 0,
            device: 0,
            stream: 0,
            clock_domain: 0,
            name: b"req 7",
        });
    }
    let first = process.ring(0, 6, 101);
    let second = process.ring(1, 6, 102);
    first.span_on(1, 1, 100, 200, &[]);
    second.span_on(1, 2, 300, 400, &[]);
    second.span_on(1, 2, 350, 450, &[]);
    // A new use of number 1 begins: what ended before it belongs to the old one.
    process.block(&Block::Lane {
        lane: 1,
        kind: LaneKind::Task,
        generation: 1,
        start_ticks: 500,
        device: 0,
        stream: 0,
        clock_domain: 0,
        name: b"req 8",
    });
    first.span_on(1, 1, 510, 520, &[]);
    process.finish();
    let timeline = run.timeline();
    let lanes: Vec<(&str, u64)> = timeline
        .lanes
        .iter()
        .map(|lane| (lane.name.as_str(), lane.event_count))
        .collect();
    assert_eq!(
        lanes,
        [
            ("thread 0", 0),
            ("thread 1", 0),
            ("req 7", 2),
            ("req 7 (2)", 1),
            ("req 8", 1)
        ]
    );
}

#[test]
fn order_across_processes_is_the_order_of_ticks() {
    let run = TestRun::new();
    // The pairs of the processes disagree by far more than the 1 tick between the messages.
    let mut pair = pair_at(50_000_000);
    pair.mono_ns += 7_777;
    let sender = simple(&run, 100, 1, 101, "send", 1_000_000);
    sender.block(&Block::ClockPair(pair));
    sender.finish();
    simple(&run, 200, 2, 201, "receive", 1_000_001).finish();
    let timeline = run.timeline();
    let events = events(&trace(&timeline));
    assert_eq!(events[0]["name"], "send");
    assert!(events[0]["ts"].as_f64() < events[1]["ts"].as_f64());
}

#[test]
fn runs_of_different_boots_meet_at_the_epoch() {
    let (one, two) = (TestRun::new(), TestRun::new());
    simple(&one, 100, 1, 101, "a", 1_000).finish();
    let mut later = simple(&two, 100, 2, 101, "b", 1_000);
    later.header.boot_id = [3; 16];
    later.header.created_real_ns = (EPOCH_OFFSET_NS + MONO_ZERO_NS + 5_000).into();
    later.finish();
    let timeline = Timeline::build(&[one.open(), two.open()], &Options::default()).unwrap();
    let events = events(&trace(&timeline));
    assert_eq!(events[0]["ts"], 10.0);
    assert_eq!(events[1]["ts"], 15.0);
}

#[test]
fn a_common_moment_aligns_processes() {
    let (one, two) = (TestRun::new(), TestRun::new());
    let write = |run: &TestRun, nonce: u64, late: u64| {
        let mut process = run.process(100, nonce).named(&format!("p{nonce}"));
        process.header.boot_id = [nonce as u8; 16];
        process.header.rank = (nonce as i32).into();
        process.site(1, "barrier", "c", &[]);
        process.owner(0, 101, 0, 0, "t");
        let ring = process.ring(0, 6, 101);
        for step in 1..=3 {
            ring.span(1, step * 1_000, step * 1_000 + 500 + late);
        }
        process.finish();
    };
    write(&one, 1, 0);
    write(&two, 2, 70);
    let runs = [one.open(), two.open()];
    let timeline = Timeline::build(&runs, &Options::default()).unwrap();
    assert!(
        timeline.warnings[0].contains("2 hosts"),
        "{:?}",
        timeline.warnings
    );
    let offsets = align::offsets(&timeline, "barrier").unwrap();
    let found: Vec<_> = offsets
        .iter()
        .map(|offset| (offset.moments, offset.offset_ns, offset.spread_ns))
        .collect();
    assert_eq!(found, [(3, 0, 0), (3, 700, 0)]);
    let moved = Options {
        shifts_ns: [(2, -700)].into(),
        ..Options::default()
    };
    let timeline = Timeline::build(&runs, &moved).unwrap();
    let offsets = align::offsets(&timeline, "barrier").unwrap();
    assert!(offsets.iter().all(|offset| offset.offset_ns == 0));
}

#[test]
fn ticks_of_the_monotonic_clock_are_nanoseconds_whatever_the_pairs_say() {
    let run = TestRun::new();
    let mut process = simple(&run, 100, 1, 101, "a", 2_000_000_000);
    process.header.clock_source = (ClockSource::Monotonic as u32).into();
    process.finish();
    let timeline = run.timeline();
    assert_eq!(timeline.extent.first_record_ns.unwrap(), 2_000_000_000);
    assert_eq!(timeline.uncertainty_ns, Some(0));
}

#[test]
fn ends_are_told_apart() {
    let run = TestRun::new();
    simple(&run, 100, 1, 101, "a", 1_000).finish_cleanly(2_000);
    simple(&run, 200, 2, 201, "b", 1_000).finish();
    let mut own = simple(&run, std::process::id(), 3, 301, "c", 1_000);
    own.header.boot_id = sys::boot_id();
    own.header.pid_namespace = sys::pid_namespace().into();
    own.header.start_time = sys::start_time(0).unwrap().into();
    own.finish();
    let mut supervisor = run.process(50, 9);
    supervisor.header.role = ROLE_SUPERVISOR.into();
    supervisor.block(&Block::Command {
        argv: b"serve\0--port\x0080",
    });
    for (pid, status) in [(100, 3 << 8), (200, 9)] {
        supervisor.block(&Block::Exit {
            pid,
            status,
            start_time: 1000 + pid as u64,
            mono_ns: MONO_ZERO_NS,
        });
    }
    supervisor.finish_cleanly(1);
    let opened = run.open();
    let stands: Vec<_> = opened
        .processes
        .iter()
        .map(|p| (p.pid, p.liveness, p.exit))
        .collect();
    let mut expected = vec![
        (100, Liveness::EndedCleanly, Some(ExitStatus::Exited(3))),
        (200, Liveness::Ended, Some(ExitStatus::Signaled(9))),
        (std::process::id(), Liveness::Alive, None),
    ];
    expected.sort_by_key(|(pid, ..)| *pid);
    assert_eq!(stands, expected);
    assert!(opened.is_alive());
    assert_eq!(
        opened.command.as_deref(),
        Some(&["serve", "--port", "80"].map(String::from)[..])
    );
    let trace = trace(&run.timeline());
    let processes = trace["metadata"]["processes"].as_array().unwrap();
    let of = |pid: u32| processes.iter().find(|p| p["pid"] == pid).unwrap();
    assert_eq!(of(200)["signal"], "SIGKILL");
    assert_eq!(of(100)["exit_code"], 3);
    assert_eq!(of(100)["end"], "clean");
}

#[test]
fn a_killed_process_gets_an_end_pair_once() {
    let run = TestRun::new();
    let source = clock::detect();
    let mut process = simple(&run, 100, 1, 101, "a", clock::ticks(source));
    process.header.boot_id = sys::boot_id();
    process.header.clock_source = (source as u32).into();
    process.finish();
    let supervisors = |run: &TestRun| run.open().supervisors.len();
    let mut opened = run.open();
    opened.ensure_end_pair();
    // CLOCK_MONOTONIC needs no pairs.
    let expected = usize::from(source != ClockSource::Monotonic);
    assert_eq!(
        (opened.supervisors.len(), supervisors(&run)),
        (expected, expected)
    );
    let mut again = run.open();
    again.ensure_end_pair();
    assert_eq!(supervisors(&run), expected);
    let trace = |run: &Run| {
        let timeline = Timeline::build(std::slice::from_ref(run), &Options::default()).unwrap();
        trace_bytes(&timeline, ringscope_decode::Order::Time)
    };
    assert_eq!(trace(&opened), trace(&run.open()));
}

#[test]
fn a_run_of_another_boot_gets_no_end_pair() {
    let run = TestRun::new();
    simple(&run, 100, 1, 101, "a", 1_000).finish();
    let mut opened = run.open();
    opened.ensure_end_pair();
    assert_eq!(run.open().supervisors.len(), 0);
}

#[test]
fn runs_are_found_by_path_parent_and_pid() {
    let parent = tempfile::TempDir::new().unwrap();
    let make = |name: &str, file: &str| {
        let dir = parent.path().join(name);
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join(file), "").unwrap();
        dir
    };
    let old = make(
        "run-20260101-000000-9-aaaaaaaa",
        "100-0000000000000001.process",
    );
    let new = make(
        "run-20260102-000000-1-aaaaaaaa",
        "200-0000000000000001-13.off",
    );
    make("something", "else.txt");
    assert_eq!(find_runs(&old).unwrap(), std::slice::from_ref(&old));
    assert_eq!(
        find_runs(parent.path()).unwrap(),
        [old.clone(), new.clone()]
    );
    assert_eq!(newest_run(parent.path()).unwrap(), Some(new.clone()));
    assert_eq!(find_runs_by_pid(parent.path(), 100).unwrap(), [old]);
    let error = find_runs(&parent.path().join("something")).unwrap_err();
    assert!(
        error.to_string().contains("found no process or ring file"),
        "{error}"
    );
    assert_eq!(
        Run::open(&new, &Default::default()).unwrap().off[0].errno,
        13
    );
    let name = FileKind::Off.extension();
    assert_eq!(name, "off");
}
