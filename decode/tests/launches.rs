//! What `launches::report` says of launches, executions, streams and steps.

#![allow(clippy::unwrap_used, reason = "in a test a failure is a panic")]

mod common;

use common::*;
use ringscope_decode::launches::{Kernel, Report, StepOfRank, Times, report};
use ringscope_decode::{Filter, Options, RecordedSince};
use ringscope_ringbuf::layout::*;
use ringscope_ringbuf::reader::pack_duration;

/// A host tick is 10 ns, a device tick 20 ns; both clocks are at zero at once.
fn worker<'a>(
    run: &TestRun,
    pid: u32,
    rank: i32,
    sites: impl IntoIterator<Item = &'a str>,
) -> TestProcess {
    let mut process = run.process(pid, u64::from(pid)).named("worker");
    process.header.rank = rank.into();
    for (id, name) in (1..).zip(sites) {
        process.site(id, name, "kernel", &[]);
    }
    process.owner(0, pid + 1, 0, 0, "launcher");
    for (lane, stream) in [(1, 7), (2, 8)] {
        process.stream(lane, (2, stream), 4, "");
    }
    process.device_clock(4);
    process
}

fn launch(ring: &TestRing, site: u32, start: u64, len: u64, correlation: u64) {
    let words = [start, pack_duration(len, 0), correlation];
    ring.put(Kind::Launch, site, words, &[]);
}

/// Host ticks, on the stream of a lane.
fn execute(ring: &TestRing, site: u32, lane: u16, start: u64, len: u64, correlation: u64) {
    let words = [start / 2, pack_duration(len / 2, lane), correlation];
    ring.put(Kind::DeviceSpan, site, words, &[]);
}

fn kernel<'a>(report: &'a Report, name: &str) -> &'a Kernel {
    report
        .kernels
        .iter()
        .find(|kernel| kernel.name == name)
        .unwrap()
}

fn times(times: Option<Times>) -> [u64; 4] {
    let times = times.unwrap();
    [times.total_ns, times.mean_ns, times.p50_ns, times.p99_ns]
}

/// Three matmuls, of which the second begins before its launch and the third on another stream; a copy that nothing is
/// known of; an execution from nowhere.
fn mixed_run() -> TestRun {
    let run = TestRun::new();
    let process = worker(&run, 100, 3, ["matmul", "copy"]);
    let ring = process.ring(0, 6, 101);
    launch(&ring, 1, 1_000, 20, 1);
    execute(&ring, 1, 1, 1_100, 50, 1);
    execute(&ring, 1, 1, 1_250, 30, 2);
    launch(&ring, 1, 1_260, 40, 2);
    launch(&ring, 1, 1_400, 30, 3);
    execute(&ring, 1, 2, 1_700, 100, 3);
    launch(&ring, 2, 2_000, 10, 4);
    execute(&ring, 2, 1, 2_180, 20, 99);
    process.finish();
    run
}

#[test]
fn launches_and_executions_are_paired_by_correlation() {
    let report = report(&mixed_run().timeline(), 0).unwrap();
    let matmul = kernel(&report, "matmul");
    assert_eq!(
        (matmul.launches, matmul.executions, matmul.unavailable),
        (3, 3, 0)
    );
    assert_eq!(times(matmul.host), [900, 300, 300, 400]);
    assert_eq!(times(matmul.device), [1_800, 600, 500, 1_000]);
    // An execution that seems to begin before its launch began with it.
    assert_eq!(times(matmul.latency), [4_000, 1_333, 1_000, 3_000]);
    // The first on each stream has no gap.
    assert_eq!(times(matmul.gap), [1_000, 1_000, 1_000, 1_000]);
    assert!((matmul.share.unwrap() - 0.9).abs() < 1e-9);
    let copy = kernel(&report, "copy");
    assert_eq!(
        (copy.launches, copy.executions, copy.unavailable),
        (1, 1, 1)
    );
    assert_eq!(copy.latency, None);
    let lone = &report.launches_without_execution;
    assert_eq!(
        (
            lone.count,
            lone.first[0].correlation,
            lone.first[0].start_ns
        ),
        (1, 4, 20_000)
    );
    let lone = &report.executions_without_launch;
    assert_eq!(
        (lone.count, lone.first[0].correlation, lone.first[0].pid),
        (1, 99, 100)
    );
}

/// What is not known is never 0, in the report nor in JSON.
#[test]
fn unknown_device_time_is_null() {
    let run = TestRun::new();
    let process = worker(&run, 100, 3, ["copy"]);
    let ring = process.ring(0, 6, 101);
    launch(&ring, 1, 1_000, 20, 1);
    process.finish();
    let json = serde_json::to_value(report(&run.timeline(), 0).unwrap()).unwrap();
    let copy = &json["kernels"][0];
    assert_eq!(
        (&copy["launches"], &copy["unavailable"]),
        (&1.into(), &1.into())
    );
    for key in ["device", "latency", "gap", "share"] {
        assert!(copy[key].is_null(), "{key}: {copy}");
    }
    let bytes = trace_bytes(&run.timeline(), ringscope_decode::Order::Time);
    let trace: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let launched = events(&trace)
        .into_iter()
        .find(|event| event["name"] == "copy");
    assert_eq!(launched.unwrap()["args"]["device_time"], "unavailable");
}

/// Stream 8 of device 2 and stream 1 of device 0 are used before stream 7.
#[test]
fn streams_are_listed_by_number() {
    let run = TestRun::new();
    let process = worker(&run, 100, 3, ["k"]);
    process.stream(3, (0, 1), 4, "");
    let ring = process.ring(0, 6, 101);
    for (lane, start) in [(2, 100), (3, 200), (1, 300)] {
        execute(&ring, 1, lane, start, 10, 0);
    }
    process.finish();
    let streams = report(&run.timeline(), 0).unwrap().streams;
    let numbers: Vec<_> = streams.iter().map(|s| (s.device, s.stream)).collect();
    assert_eq!(numbers, [(0, 1), (2, 7), (2, 8)]);
}

/// A launch, the wait for it and what it ran have one name, and nothing else in common.
#[test]
fn tables_tell_launches_from_executions() {
    use ringscope_decode::stats::{Options, table};
    let run = TestRun::new();
    let process = worker(&run, 100, 3, ["matmul"]);
    let ring = process.ring(0, 6, 101);
    launch(&ring, 1, 1_000, 20, 1);
    ring.put(Kind::Wait, 1, [1_030, pack_duration(70, 0), 1], &[]);
    execute(&ring, 1, 1, 1_040, 50, 1);
    ring.span(1, 1_200, 1_210);
    process.finish();
    let rows = table(&run.timeline(), &Options::default()).unwrap();
    let rows: Vec<_> = rows
        .iter()
        .map(|r| (r.key.as_str(), r.count, r.total_ns))
        .collect();
    let expected = [
        ("matmul (wait)", 1, 700),
        ("matmul (device span)", 1, 500),
        ("matmul (launch)", 1, 200),
        ("matmul", 1, 100),
    ];
    assert_eq!(rows, expected);
}

#[test]
fn streams_are_busy_or_idle() {
    let report = report(&mixed_run().timeline(), 0).unwrap();
    let streams: Vec<_> = report
        .streams
        .iter()
        .map(|s| {
            (
                s.device,
                s.stream,
                s.executions,
                s.busy_ns,
                s.idle_ns,
                s.longest_idle_ns,
            )
        })
        .collect();
    assert_eq!(
        streams,
        [(2, 7, 3, 1_000, 10_000, 9_000), (2, 8, 1, 1_000, 0, 0)]
    );
}

/// Overlapping work is counted once.
#[test]
fn overlapping_executions_keep_a_stream_busy_once() {
    let run = TestRun::new();
    let process = worker(&run, 100, 0, ["k"]);
    let ring = process.ring(0, 6, 101);
    for (start, len) in [(100, 100), (150, 20), (180, 60), (300, 10)] {
        execute(&ring, 1, 1, start, len, 0);
    }
    process.finish();
    let report = report(&run.timeline(), 0).unwrap();
    let stream = &report.streams[0];
    assert_eq!((stream.busy_ns, stream.idle_ns), (1_500, 600));
    // Without an id they never claimed to have been launched.
    assert_eq!(report.executions_without_launch.count, 0);
}

/// Tasks have a token of their own; the launch is that of their batch.
#[test]
fn tasks_belong_to_the_launch_of_their_batch() {
    let run = TestRun::new();
    let process = worker(&run, 100, 0, ["fwd"]);
    let ring = process.ring(0, 6, 101);
    // Both tasks of the second batch seem to begin before their launch.
    for (correlation, launched, started) in [(5, 1_000, 1_200), (6, 3_010, 3_000)] {
        launch(&ring, 1, launched, 10, correlation);
        let batch = [started + 500, pack_duration(2, 1), correlation];
        ring.put(Kind::DeviceBatch, 1, batch, &[]);
        for task in 0..2 {
            ring.put(Kind::DeviceTask, 0, [started / 2 + task, 4, 77], &[]);
        }
    }
    process.finish();
    let report = report(&run.timeline(), 0).unwrap();
    let fwd = kernel(&report, "fwd");
    assert_eq!((fwd.launches, fwd.executions, fwd.unavailable), (2, 4, 0));
    assert_eq!(times(fwd.latency), [4_020, 1_005, 0, 2_020]);
    assert_eq!(report.executions_without_launch.count, 0);
    assert_eq!(report.launches_without_execution.count, 0);
}

/// All tasks of a graph are counted, and the graph is listed once.
#[test]
fn tasks_whose_launch_is_missing_are_told() {
    let run = TestRun::new();
    let process = worker(&run, 100, 0, ["fwd"]);
    let ring = process.ring(0, 6, 101);
    ring.put(Kind::DeviceBatch, 1, [3_000, pack_duration(3, 1), 5], &[]);
    for task in 0..3 {
        ring.put(Kind::DeviceTask, 0, [1_000 + task, 4, 77], &[]);
    }
    process.finish();
    let lone = report(&run.timeline(), 0)
        .unwrap()
        .executions_without_launch;
    assert_eq!((lone.count, lone.first.len()), (3, 1));
    assert_eq!(
        (lone.first[0].correlation, lone.first[0].start_ns),
        (5, 20_000)
    );
}

#[test]
fn the_first_of_each_kernel_can_be_left_out() {
    let report = report(&mixed_run().timeline(), 1).unwrap();
    let matmul = kernel(&report, "matmul");
    assert_eq!(matmul.launches, 2);
    assert_eq!(times(matmul.host), [700, 350, 300, 400]);
    assert!(
        report
            .kernels
            .iter()
            .all(|kernel| kernel.launches != 1 || kernel.name != "copy")
    );
}

#[test]
fn steps_name_their_critical_rank() {
    let run = TestRun::new();
    for (pid, rank, lens) in [(100, 0, [50, 70]), (200, 1, [60, 40])] {
        let process = worker(&run, pid, rank, ["ProfilerStep#1", "ProfilerStep#2", "k"]);
        let ring = process.ring(0, 6, pid + 1);
        for (site, start, len) in [(1, 1_000, lens[0]), (2, 2_000, lens[1])] {
            ring.span(site, start, start + len);
            // It outlasts its step, and is its own.
            execute(&ring, 3, 1, start + 10, len, 0);
        }
        process.finish();
    }
    let report = report(&run.timeline(), 0).unwrap();
    let of = |rank: &str, wall_ns, device_ns| StepOfRank {
        rank: rank.to_owned(),
        wall_ns,
        device_ns,
    };
    let steps: Vec<_> = report
        .steps
        .iter()
        .map(|s| (s.step, s.critical.as_str(), s.spread_ns, s.ranks.clone()))
        .collect();
    assert_eq!(
        steps,
        [
            (
                1,
                "rank 1",
                100,
                vec![of("rank 0", 500, 500), of("rank 1", 600, 600)]
            ),
            (
                2,
                "rank 0",
                300,
                vec![of("rank 0", 700, 700), of("rank 1", 400, 400)]
            ),
        ]
    );
}

#[test]
fn a_session_that_leaves_out_an_open_launch_draws_no_arrow_from_it() {
    let run = TestRun::new();
    let process = worker(&run, 100, 3, ["matmul"]);
    let ring = process.ring(0, 6, 101);
    ring.open_launch(1, 1_000, 1);
    execute(&ring, 1, 1, 1_100, 50, 1);
    process.finish();
    // The execution was recorded after the session began, though it tells of an earlier time.
    let arrows = |moment_ns: i64| -> Vec<String> {
        let options = Options {
            filter: Filter {
                recorded_since: Some(RecordedSince {
                    moment_ns,
                    sequences: Some([((100, 0), 0)].into()),
                }),
                ..Filter::default()
            },
            ..Options::default()
        };
        let events = events(&trace(&run.timeline_with(&options)));
        let phases = events.iter().map(|event| event["ph"].as_str().unwrap());
        phases
            .filter(|phase| ["s", "f"].contains(phase))
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(arrows(0), ["s", "f"]);
    assert_eq!(arrows(i64::MAX), [""; 0]);
}
