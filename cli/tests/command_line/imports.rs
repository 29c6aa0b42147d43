//! `import strace`: a log of another recorder becomes a run.

use std::fs;

use ringscope_ringbuf::clock::{monotonic_ns, realtime_ns};
use serde_json::Value;

use crate::sandbox::Sandbox;

/// A span's record, as its logger writes it.
fn record(inv: u64, name: &str, start_ns: u64, duration_ns: u64, more: &str) -> String {
    format!(
        "[mono_ns={start_ns}][T0x7f][TIMING] emit_host_span: [STRACE] v=1 pid=100 tid=101 inv={inv} hid=00ab depth=1 name={name} ts={start_ns} dur={duration_ns} {more}\n"
    )
}

fn anchor(mono_ns: u64, real_ns: u64) -> String {
    format!("[CLOCK_ANCHOR] v=1 pid=100 mono_ns={mono_ns} wall_ns={real_ns}\n")
}

fn import(sandbox: &Sandbox, log: &[u8]) -> Value {
    fs::write(sandbox.path("log"), log).unwrap();
    let args = ["import", "strace", "log", "-o", "imported", "--json"];
    let report = sandbox.run(&args).expect_code(0).stdout;
    serde_json::from_str(&report).unwrap()
}

fn decode(sandbox: &Sandbox, options: &[&str]) -> Value {
    let args = [
        &["decode", "imported", "-o", "trace.json", "--strict"],
        options,
    ]
    .concat();
    sandbox.run(&args).expect_code(0);
    serde_json::from_str(&fs::read_to_string(sandbox.path("trace.json")).unwrap()).unwrap()
}

fn spans<'a>(trace: &'a Value, name: &str) -> Vec<&'a Value> {
    let events = trace["traceEvents"].as_array().unwrap();
    let is_span = |event: &&Value| event["ph"] == "X" && event["name"] == name;
    events.iter().filter(is_span).collect()
}

/// Nanoseconds in a field of microseconds.
fn ns(event: &Value, field: &str) -> u64 {
    (event[field].as_f64().unwrap() * 1e3).round() as u64
}

#[test]
fn imported_and_recorded_spans_stand_on_one_time_line() {
    let sandbox = Sandbox::new();
    let before_ns = monotonic_ns();
    sandbox
        .record(&["--no-decode"], &["spans:3", "end"])
        .expect_code(0);
    let after_ns = monotonic_ns();
    let log = [
        anchor(before_ns, realtime_ns()),
        record(
            1,
            "a%20b",
            before_ns,
            after_ns - before_ns,
            "n=4 id=007 why=x%5B",
        ),
    ]
    .concat();
    let report = import(&sandbox, log.as_bytes());
    assert_eq!(report["is_this_boot"], true);
    let run = sandbox.only_run();
    let trace = decode(
        &sandbox,
        &[run.to_str().unwrap(), "--time-base", "monotonic"],
    );
    let [imported] = spans(&trace, "a b")[..] else {
        panic!("{trace:#}");
    };
    assert_eq!(ns(imported, "ts"), before_ns);
    let args = &imported["args"];
    assert_eq!(
        (&args["n"], &args["id"], &args["why"]),
        (&4.into(), &"007".into(), &"x[".into())
    );
    assert_eq!((&args["inv"], &args["hid"]), (&1.into(), &"0xab".into()));
    let events = trace["traceEvents"].as_array().unwrap();
    let recorded = events.iter().filter(|e| e["ph"] == "X" && e["pid"] != 100);
    let inside =
        recorded.filter(|e| ns(e, "ts") >= before_ns && ns(e, "ts") + ns(e, "dur") <= after_ns);
    assert_eq!(inside.count(), 3);
}

#[test]
fn device_work_stands_inside_its_launch_and_says_how_far_off_it_may_be() {
    let sandbox = Sandbox::new();
    let mut log = String::new();
    // Each launch's device times count from another origin.
    for (inv, origin) in [(0, 0), (2, 5_000), (u64::MAX, 1 << 62)] {
        let start = 1_000_000 * (inv.min(3) + 1);
        log += &record(inv, "run.on.wall", origin, 40_000, "clk=dev stream=2");
        log += &record(
            inv,
            "run.on.wall.part",
            origin + 10_000,
            5_000,
            "clk=dev stream=2",
        );
        log += &record(inv, "run.on", start + 200_000, 100_000, "");
        log += &record(inv, "run", start, 900_000, "");
    }
    log += &record(77, "lost", 5, 9, "clk=dev");
    let report = import(&sandbox, log.as_bytes());
    assert_eq!(report["launches_with_device_time"], 3);
    assert_eq!(report["device_spans_without_launch"], 1);
    let trace = decode(&sandbox, &["--time-base", "monotonic"]);
    let (walls, launches) = (spans(&trace, "run.on.wall"), spans(&trace, "run.on"));
    assert_eq!((walls.len(), launches.len()), (3, 3));
    let arrows = |phase: &str| {
        trace["traceEvents"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|e| e["ph"] == phase)
            .count()
    };
    // From each launch to the two that ran for it.
    assert_eq!((arrows("s"), arrows("f")), (6, 6));
    for (wall, launch) in walls.iter().zip(launches) {
        assert_eq!(ns(wall, "ts"), ns(launch, "ts") + 30_000);
        assert_eq!(wall["args"]["slack_ns"], 30_000);
        assert_eq!(wall["args"]["stream"], 2);
        assert_eq!(wall["args"]["correlation"], launch["args"]["correlation"]);
    }
    for (part, wall) in spans(&trace, "run.on.wall.part").iter().zip(walls) {
        assert_eq!(ns(part, "ts"), ns(wall, "ts") + 10_000);
        assert_ne!(part["pid"], 100);
    }
    // Its time is unknown: it is on no time line, and never at 0.
    assert!(spans(&trace, "lost").is_empty());
    let clocks = &trace["metadata"]["device_clocks"];
    // Half of what the launches leave, and what a clock may drift in 3 ms.
    let within_ns = clocks[0]["uncertainty_ns"].as_u64().unwrap();
    assert!((30_000..31_000).contains(&within_ns), "{clocks:#}");
    assert_eq!(clocks[1]["alignment"], "unavailable");
}

#[test]
fn malformed_records_are_counted_and_nothing_else_is_lost() {
    let sandbox = Sandbox::new();
    let mut log = b"\xff\0no record\n".to_vec();
    for n in 0..3_000 {
        log.extend(record(n, "good", 1_000 * n, 10, "").into_bytes());
    }
    log.extend(record(1, "late", (1 << 63) - 5, 10, "").into_bytes());
    log.extend(b"[STRACE] v=1 pid=4294967296 tid=1 inv=1 hid=1 depth=0 name=x ts=1 dur=1\n");
    log.extend(b"[STRACE] v=1 pi[STRACE] v=3 pid=1\n");
    log.resize(log.len() + (3 << 20), 0);
    let huge = "y".repeat(2 << 20);
    log.extend(record(9, "good", 3_000_000, 1 << 60, &format!("huge={huge}")).into_bytes());
    log.extend(record(9, "nu\0l\u{ff}", 1, 10, "").trim_end().bytes());
    let report = import(&sandbox, &log);
    assert_eq!(report["malformed"], 4);
    let lines = report["first_malformed"].as_array().unwrap();
    let lines: Vec<u64> = lines.iter().map(|l| l["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [3002, 3003, 3004, 3004]);
    assert_eq!(
        (&report["host_spans"], &report["arguments_cut"]),
        (&3_002.into(), &1.into())
    );
    let trace = decode(&sandbox, &[]);
    assert_eq!(spans(&trace, "good").len(), 3_001);
    assert_eq!(spans(&trace, "nu\0l\u{ff}").len(), 1);
}

#[test]
fn a_log_of_another_machine_is_tied_by_its_wall_clock() {
    let sandbox = Sandbox::new();
    let log = [
        anchor(5_000, 1_700_000_000_000_005_000),
        record(1, "a", 9_000, 10, ""),
    ]
    .concat();
    let report = import(&sandbox, log.as_bytes());
    assert_eq!(
        (&report["is_this_boot"], &report["anchors"]),
        (&false.into(), &1.into())
    );
    let trace = decode(&sandbox, &[]);
    assert_eq!(
        trace["metadata"]["start_epoch_ns"],
        1_700_000_000_000_009_000_u64
    );
}

#[test]
fn a_run_in_use_and_a_log_without_records_are_refused() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("log"), "[STRACE] v=1\n").unwrap();
    let args = ["import", "strace", "log", "-o", "imported"];
    sandbox
        .run(&args)
        .expect_code(1)
        .expect_stderr("log:1: pid: expected it, found none")
        .expect_stderr("import: log: expected [STRACE] records");
    assert_eq!(sandbox.files(), ["log"]);
    import(&sandbox, record(1, "a", 9_000, 10, "").as_bytes());
    sandbox
        .run(&args)
        .expect_code(1)
        .expect_stderr("expected a new or empty directory");
    assert_eq!(sandbox.files(), ["imported", "log"]);
    sandbox
        .run(&["import", "strace", "none", "-o", "other"])
        .expect_code(1)
        .expect_stderr("import: none: No such file");
}

#[test]
fn ranks_are_aligned_by_a_common_span_and_the_offsets_told() {
    let sandbox = Sandbox::new();
    // A barrier lets both ranks go at once; the clock of rank 1 is 7 ms ahead, and its second moment 40 ns late.
    let of_rank = |rank: u64, moments_ns: [u64; 3]| -> String {
        let barrier = |end_ns: u64| {
            let line = record(
                1,
                "barrier",
                1_000_000_000 + end_ns - 1_000,
                1_000,
                &format!("rank={rank}"),
            );
            line.replace("pid=100", &format!("pid=10{rank}"))
        };
        moments_ns.map(barrier).concat()
    };
    let ranks = [
        of_rank(0, [2_000_000, 3_000_000, 4_000_000]),
        of_rank(1, [9_000_000, 10_000_040, 11_000_000]),
    ];
    import(&sandbox, ranks.concat().as_bytes());
    let args = [
        "decode",
        "imported",
        "-o",
        "trace.json",
        "--align",
        "barrier",
    ];
    let outcome = sandbox.run(&args).expect_code(0);
    let told: Vec<&str> = outcome
        .stderr
        .lines()
        .filter(|line| line.starts_with("ringscope: align: "))
        .collect();
    let expected = [
        (
            "[100] on ",
            "rank 0: was 0 ns off, by 3 moments that agree within 0 ns",
        ),
        (
            "[101] on ",
            "rank 1: was 7.00 ms off, by 3 moments that agree within 40 ns",
        ),
    ];
    assert_eq!(told.len(), expected.len(), "{told:?}");
    for (line, (process, offset)) in told.iter().zip(expected) {
        assert!(line.contains(process) && line.ends_with(offset), "{line}");
    }
    let trace: Value =
        serde_json::from_str(&fs::read_to_string(sandbox.path("trace.json")).unwrap()).unwrap();
    let processes = trace["metadata"]["processes"].as_array().unwrap();
    let shifts: Vec<&Value> = processes
        .iter()
        .map(|process| &process["shift_ns"])
        .collect();
    assert_eq!(shifts, [0, -7_000_000]);
    let ends_of = |pid: u64| -> Vec<u64> {
        let of_pid = spans(&trace, "barrier")
            .into_iter()
            .filter(|span| span["pid"] == pid);
        of_pid
            .map(|span| ns(span, "ts") + ns(span, "dur"))
            .collect()
    };
    let [first, second, third] = ends_of(100)[..] else {
        panic!("{trace}")
    };
    assert_eq!(ends_of(101), [first, second + 40, third]);
}
