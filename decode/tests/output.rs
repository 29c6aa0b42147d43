//! Filters, tables, inspection: what is made of a time line.

#![allow(clippy::unwrap_used, reason = "in a test a failure is a panic")]

mod common;

use common::*;
use ringscope_decode::stats::{self, By, SortKey};
use ringscope_decode::{Filter, Limits, Options, Order, TimeBase, TimeBound, inspect, perfetto};
use ringscope_ringbuf::block::{Block, SpanCost};
use ringscope_ringbuf::file::FileKind;
use ringscope_ringbuf::layout::*;
use ringscope_ringbuf::payload::ArgType;
use serde_json::{Value as Json, json};

/// step [1000, 2000] around attention [1100, 1300] and mlp [1400, 1900]; step [3000, 3500]; an instant at 2500.
fn write_run(run: &TestRun) {
    let process = run.process(100, 1).named("engine");
    process.site_with(1, b"step", "worker", 1, &[("n", ArgType::U64)], &[]);
    process.site_with(2, b"attention", "kernel", 2, &[], &[]);
    process.site_with(3, b"mlp", "kernel", 2, &[], &[]);
    process.site_with(4, b"queued", "worker", 1, &[], &[]);
    process.owner(0, 101, 0, 0, "main");
    let ring = process.ring(0, 6, 101);
    ring.span(2, 1_100, 1_300);
    ring.span(3, 1_400, 1_900);
    ring.span_on(1, 0, 1_000, 2_000, &7u64.to_le_bytes());
    ring.instant(4, 2_500);
    ring.span_on(1, 0, 3_000, 3_500, &8u64.to_le_bytes());
    process.finish_cleanly(4_000);
}

fn filtered(filter: Filter) -> (Vec<Json>, Vec<String>) {
    let run = TestRun::new();
    write_run(&run);
    let timeline = run.timeline_with(&Options {
        filter,
        ..Options::default()
    });
    (events(&trace(&timeline)), timeline.warnings)
}

fn names(events: &[Json]) -> Vec<&str> {
    events.iter().map(|e| e["name"].as_str().unwrap()).collect()
}

fn list(items: &[&str]) -> Vec<String> {
    items.iter().map(|item| (*item).to_owned()).collect()
}

#[test]
fn names_categories_levels_and_durations_filter() {
    let by_name = |globs: &[&str]| {
        filtered(Filter {
            names: list(globs),
            ..Filter::default()
        })
    };
    assert_eq!(names(&by_name(&["mlp", "att*"]).0), ["attention", "mlp"]);
    assert_eq!(
        names(&by_name(&["!step"]).0),
        ["attention", "mlp", "queued"]
    );
    let (events, warnings) = by_name(&["atention"]);
    assert!(events.is_empty());
    assert_eq!(
        warnings,
        [
            "--name \"atention\" matches nothing; did you mean \"attention\"?",
            "the filter leaves no event"
        ]
    );
    let (events, _) = filtered(Filter {
        categories: list(&["kernel"]),
        ..Filter::default()
    });
    assert_eq!(names(&events), ["attention", "mlp"]);
    let (events, _) = filtered(Filter {
        levels: Some(LEVEL_E2E),
        ..Filter::default()
    });
    assert_eq!(names(&events), ["step", "queued", "step"]);
    let (events, _) = filtered(Filter {
        min_duration_ns: 5_000,
        ..Filter::default()
    });
    assert_eq!(names(&events), ["step", "mlp", "queued", "step"]);
    let (events, warnings) = filtered(Filter {
        pids: vec![9],
        ..Filter::default()
    });
    assert!(events.is_empty() && warnings[0] == "--pid 9 matches nothing");
    let (events, _) = filtered(Filter {
        tids: vec![101],
        ..Filter::default()
    });
    assert_eq!(events.len(), 5);
}

#[test]
fn losses_stay_visible_whatever_is_asked_for() {
    let run = TestRun::new();
    let process = run.process(100, 1);
    process.site(1, "work", "c", &[]);
    process.owner(0, 101, 0, 0, "main");
    let ring = process.ring(0, 6, 101);
    for at in 1..=100 {
        ring.span(1, at * 10, at * 10 + 4);
    }
    process.finish();
    let filter = Filter {
        names: list(&["other"]),
        categories: list(&["d"]),
        levels: Some(LEVEL_VERBOSE),
        min_duration_ns: 1_000_000_000,
        ..Filter::default()
    };
    let timeline = run.timeline_with(&Options {
        filter,
        ..Options::default()
    });
    assert_eq!(names(&events(&trace(&timeline))), ["ringscope.lost"]);
    assert_eq!(timeline.losses.overwritten, 36);
}

#[test]
fn time_cuts_keep_the_spans_around_clipped() {
    let (events, _) = filtered(Filter {
        from: Some(TimeBound::FromStart(12_000)),
        to: Some(TimeBound::FromStart(15_000)),
        ..Filter::default()
    });
    assert_eq!(names(&events), ["step", "attention", "mlp"]);
    assert_eq!(
        (&events[0]["ts"], &events[0]["dur"]),
        (&json!(12.0), &json!(3.0))
    );
    assert_eq!(
        events[0]["args"],
        json!({"n": 7, "ringscope.clipped": true})
    );
    assert_eq!(
        (&events[1]["ts"], &events[1]["dur"]),
        (&json!(12.0), &json!(1.0))
    );
    let epoch = (EPOCH_OFFSET_NS + MONO_ZERO_NS + 24_000) as i64;
    for from in [TimeBound::FromEnd(11_000), TimeBound::Epoch(epoch)] {
        let (events, _) = filtered(Filter {
            from: Some(from),
            ..Filter::default()
        });
        assert_eq!(names(&events), ["queued", "step"]);
    }
}

#[test]
fn time_bases() {
    let run = TestRun::new();
    write_run(&run);
    let first = |time_base| {
        let timeline = run.timeline_with(&Options {
            time_base,
            ..Options::default()
        });
        let text =
            String::from_utf8(trace_bytes(&timeline, ringscope_decode::Order::Time)).unwrap();
        let step = text.lines().find(|line| line.contains("\"step\"")).unwrap();
        let ts = step.split("\"ts\":").nth(1).unwrap();
        ts.split(',').next().unwrap().to_owned()
    };
    assert_eq!(first(TimeBase::Run), "10.000");
    assert_eq!(first(TimeBase::Monotonic), "1000010.000");
    assert_eq!(first(TimeBase::Epoch), "1700000001000010.000");
}

#[test]
fn tables_have_exact_figures() {
    let run = TestRun::new();
    write_run(&run);
    let timeline = run.timeline();
    let table = |options| stats::table(&timeline, &options).unwrap();
    let by_name = table(stats::Options::default());
    // The instant is a row too.
    assert_eq!(by_name.len(), 4);
    let step = &by_name[0];
    assert_eq!(step.key, "step");
    assert_eq!(
        (step.count, step.total_ns, step.self_ns),
        (2, 15_000, 8_000)
    );
    assert_eq!(
        (step.mean_ns, step.p50_ns, step.p90_ns),
        (7_500, 5_000, 10_000)
    );
    assert_eq!((step.p99_ns, step.max_ns), (10_000, 10_000));
    assert_eq!(step.share, 15_000.0 / 25_000.0);
    let by_self = table(stats::Options {
        sort: SortKey::SelfTime,
        ..stats::Options::default()
    });
    assert_eq!(by_self[1].key, "mlp");
    let keys = |by| -> Vec<(String, u64)> {
        let rows = table(stats::Options {
            by,
            ..stats::Options::default()
        });
        rows.into_iter().map(|row| (row.key, row.count)).collect()
    };
    let text = |key: &str| key.to_owned();
    assert_eq!(keys(By::Cat), [(text("worker"), 3), (text("kernel"), 2)]);
    assert_eq!(keys(By::Process), [(text("engine [100]"), 5)]);
    assert_eq!(keys(By::Thread), [(text("engine [100] / main [101]"), 5)]);
    assert_eq!(keys(By::Arg(text("n"))), [(text("7"), 1), (text("8"), 1)]);
    let steady = table(stats::Options {
        skip_first: 1,
        ..stats::Options::default()
    });
    assert_eq!((steady.len(), steady[0].total_ns), (1, 5_000));
    let gaps = table(stats::Options {
        gaps: Some(text("step")),
        ..stats::Options::default()
    });
    assert_eq!((gaps[0].count, gaps[0].total_ns), (1, 10_000));
}

#[test]
fn open_spans_are_drawn_to_the_last_sign_of_life_and_inspected() {
    let run = TestRun::new();
    let process = run.process(100, 1).named("worker");
    process.site(1, "step", "worker", &[("n", ArgType::U64)]);
    process.site(2, "kernel", "k", &[]);
    process.owner(0, 101, 0, 0, "main");
    let ring = process.ring(0, 6, 101);
    for at in 1..=10u64 {
        let end = at * 100 + at;
        ring.span_on(1, 0, at * 100, end, &at.to_le_bytes());
    }
    ring.open_span(1, 0, 2_000, &11u64.to_le_bytes());
    ring.open_span(2, 0, 2_100, &[]);
    // Recorded, but the process died before its slot was cleared.
    ring.open_span(2, 0, 2_200, &[]);
    ring.span(2, 2_200, 2_300);
    // Closed in time.
    let closed = ring.open_span(2, 0, 2_250, &[]).unwrap();
    ring.writer.close(closed);
    ring.torn(1);
    process.finish();

    let timeline = run.timeline();
    assert_eq!(timeline.lanes.len(), 1, "{:?}", timeline.lanes);
    let events = events(&trace(&timeline));
    let open: Vec<_> = events
        .iter()
        .filter(|event| event["args"]["ringscope.open"] == true)
        .collect();
    assert_eq!(open.len(), 2);
    assert_eq!(open[0]["args"], json!({"n": 11, "ringscope.open": true}));
    assert_eq!(
        (&open[0]["ts"], &open[0]["dur"]),
        (&json!(20.0), &json!(3.0))
    );
    assert_eq!(named(&events, "kernel").len(), 2);
    assert_eq!(
        stats::table(&timeline, &stats::Options::default()).unwrap()[0].count,
        1
    );

    let report = inspect::report(&[run.open()], 3).unwrap();
    let report = serde_json::to_value(&report).unwrap();
    let process = &report["processes"][0];
    assert_eq!(process["end"], "ended without saying so (signal or _exit)");
    assert_eq!(process["last_sign_of_life_ns"], 23_000);
    let ring = &process["rings"][0];
    assert_eq!(
        (&ring["present"], &ring["records"], &ring["torn"]),
        (&json!(11), &json!(12), &json!(1))
    );
    assert_eq!(
        (&ring["tid"], &ring["thread_name"]),
        (&json!(101), &json!("main"))
    );
    assert_eq!(
        ring["open_spans"],
        json!([
            {"name": "step", "category": "worker", "args": {"n": 11}, "start_ns": 20_000,
                "open_for_ns": 3_000, "usual_p99_ns": 100, "depth": 0},
            {"name": "kernel", "category": "k", "args": {}, "start_ns": 21_000,
                "open_for_ns": 2_000, "usual_p99_ns": 1_000, "depth": 1},
        ])
    );
    let last = ring["last_records"].as_array().unwrap();
    assert_eq!(last.len(), 3);
    assert_eq!(last[2]["name"], "kernel");
    assert_eq!(
        last[1],
        json!({"name": "step", "kind": "span", "start_ns": 10_000, "duration_ns": 100, "args": {"n": 10}})
    );
}

#[test]
fn what_was_open_ends_with_its_own_process_not_with_the_run() {
    let run = TestRun::new();
    for (pid, nonce, last) in [(100, 1, 3_000), (200, 2, 9_000)] {
        let process = run.process(pid, nonce);
        process.site(1, "step", "worker", &[]);
        process.site(2, "stuck", "worker", &[]);
        process.owner(0, pid + 1, 0, 0, "main");
        let ring = process.ring(0, 6, pid + 1);
        ring.open_span(2, 0, 1_000, &[]);
        ring.span(1, 2_000, last);
        process.finish();
    }
    let events = events(&trace(&run.timeline()));
    let durations: Vec<&Json> = named(&events, "stuck").iter().map(|e| &e["dur"]).collect();
    assert_eq!(durations, [&json!(80.0), &json!(20.0)]);
}

#[test]
fn single_files_are_inspected() {
    let run = TestRun::new();
    write_run(&run);
    let other = run.process(200, 2);
    other.finish();
    let ring = run.path().join("100-0000000000000001-0.ring");
    let process = run.path().join("200-0000000000000002.process");
    let report = inspect::report_files(&[ring.clone(), process], 9, &Limits::default()).unwrap();
    assert_eq!(report.processes.len(), 2);
    let report = inspect::report_files(std::slice::from_ref(&ring), 9, &Limits::default()).unwrap();
    assert_eq!(report.processes.len(), 1);
    assert_eq!(report.processes[0].rings[0].last_records.len(), 5);
    assert_eq!(
        report.processes[0].rings[0].last_records[0].name,
        "attention"
    );
    // Alone, without anything beside it.
    let alone = tempfile::TempDir::new().unwrap();
    let copy = alone.path().join(ring.file_name().unwrap());
    std::fs::copy(&ring, &copy).unwrap();
    let report = inspect::report_files(&[copy], 9, &Limits::default()).unwrap();
    assert_eq!(report.processes[0].rings[0].present, 5);
    assert!(inspect::report_files(&[alone.path().join("x.json")], 9, &Limits::default()).is_err());
    let _ = FileKind::Ring;
}

#[test]
fn rank_and_deep_nesting_are_told() {
    let run = TestRun::new();
    let mut process = run.process(100, 1);
    process.header.rank = 3.into();
    process.site(1, "deep", "", &[]);
    process.owner(0, 101, 0, 0, "t");
    let ring = process.ring(0, 10, 101);
    for depth in (0..600).rev() {
        ring.span(1, 1_000 + depth, 5_000 - depth);
    }
    process.block(&Block::ProcessName { name: b"renamed" });
    process.finish();
    let timeline = run.timeline();
    assert_eq!(timeline.warnings.len(), 1);
    assert!(timeline.warnings[0].contains("600 deep"));
    let trace = trace(&timeline);
    assert_eq!(trace["distributedInfo"], json!({"rank": 3}));
    assert_eq!(trace["traceEvents"][0]["args"]["name"], "renamed");
    assert_eq!(trace["displayTimeUnit"], "ns");
}

#[test]
fn the_metadata_says_what_recording_cost() {
    let run = TestRun::new();
    write_run(&run);
    assert_eq!(trace(&run.timeline())["metadata"]["recording"], Json::Null);

    let mut supervisor = run.process(99, 9);
    supervisor.header.role = ROLE_SUPERVISOR.into();
    supervisor.block(&Block::SpanCost(SpanCost {
        span_ps: 20_400,
        floor_ps: 20_000,
    }));
    supervisor.finish();
    let filter = Filter {
        names: list(&["mlp"]),
        ..Filter::default()
    };
    let timeline = run.timeline_with(&Options {
        filter,
        ..Options::default()
    });
    let metadata = &trace(&timeline)["metadata"];
    let run_ns = metadata["end_monotonic_ns"].as_i64().unwrap()
        - metadata["start_monotonic_ns"].as_i64().unwrap();
    assert_eq!(run_ns, 35_000);
    // Five records, whatever the filter leaves of them.
    let cost = json!({
        "records": 5,
        "span_ns": 20.4,
        "floor_ns": 20.0,
        "total_ns": 102,
        "share_of_wall_time": 0.002914,
        "share_of_thread_time": 0.002914,
    });
    assert_eq!(metadata["recording"], cost);
    assert_eq!(metadata["processes"][0]["recording"], cost);

    let mut packets = Vec::new();
    perfetto::write(&timeline, Order::Time, &mut packets, &|_| {}).unwrap();
    let text = String::from_utf8_lossy(&packets).into_owned();
    assert!(text.contains(&format!("\"recording\":{cost}")), "{text}");
}
