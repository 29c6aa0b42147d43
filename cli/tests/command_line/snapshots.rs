//! `snapshot`: the last seconds of runs that are still recorded, and of others.

use serde_json::Value;

use crate::sandbox::Sandbox;

/// The complete events of a snapshot, and the moment it was taken at, in ns after the run's start.
fn snapshot(sandbox: &Sandbox, args: &[&str]) -> (Vec<Value>, u64) {
    let mut all = vec!["snapshot", "-o", "-"];
    all.extend(args);
    let trace = sandbox.run(&all).expect_code(0).stdout;
    let trace: Value = serde_json::from_str(&trace).unwrap();
    let metadata = &trace["metadata"];
    let [end, start] =
        ["end_monotonic_ns", "start_monotonic_ns"].map(|key| metadata[key].as_u64().unwrap());
    let events = trace["traceEvents"].as_array().unwrap().iter();
    let spans = events.filter(|event| event["ph"] == "X").cloned();
    (spans.collect(), end - start)
}

/// A time stamp of the trace, which has three decimals, in ns.
fn ns(us: &Value) -> u64 {
    (us.as_f64().unwrap() * 1000.0).round() as u64
}

fn end_ns(span: &Value) -> u64 {
    ns(&span["ts"]) + ns(&span["dur"])
}

fn named<'a>(spans: &'a [Value], name: &str) -> Vec<&'a Value> {
    spans.iter().filter(|span| span["name"] == name).collect()
}

#[test]
fn a_living_run_ends_when_it_was_copied() {
    let sandbox = Sandbox::new();
    let steps = [
        "spans:500",
        "open:forever",
        "drained",
        "print:ready",
        "line",
        "spans:500",
        "end",
    ];
    let running = sandbox.start(&["--keep"], &steps);
    let (all, now_ns) = snapshot(&sandbox, &["--last", "1h"]);
    assert_eq!(named(&all, "work").len(), 500);
    let open = named(&all, "forever");
    assert_eq!(open.len(), 1);
    // Nothing was recorded since: it is drawn up to now, not up to the last record.
    assert_eq!(end_ns(open[0]), now_ns);
    let last_ns = named(&all, "work").into_iter().map(end_ns).max().unwrap();
    assert!(last_ns < now_ns, "{last_ns} {now_ns}");
    assert_eq!(open[0]["args"]["ringscope.open"], true);
    assert_eq!(open[0]["args"]["ringscope.clipped"], Value::Null);

    let (cut, later_ns) = snapshot(&sandbox, &["--last", "1us"]);
    assert!(later_ns > now_ns);
    assert_eq!(cut.len(), 1, "{cut:?}");
    assert_eq!((ns(&cut[0]["dur"]), end_ns(&cut[0])), (1_000, later_ns));
    assert_eq!(cut[0]["args"]["ringscope.clipped"], true);
    running.finish().expect_code(0);
}

#[test]
fn of_ended_runs_and_packs_the_seconds_before_the_end_are_taken() {
    let sandbox = Sandbox::new();
    sandbox
        .record(&["--no-decode"], &["spans:300", "open:forever", "end"])
        .expect_code(0);
    sandbox.run(&["pack", "-o", "run.tar.zst"]).expect_code(0);
    let run = sandbox.only_run();
    for run in [run.to_str().unwrap(), "run.tar.zst"] {
        let (all, _) = snapshot(&sandbox, &[run, "--name", "work"]);
        assert_eq!(all.len(), 300);
        let (cut, end) = snapshot(&sandbox, &[run, "--last", "2us"]);
        assert!((1..300).contains(&cut.len()), "{}", cut.len());
        assert!(
            cut.iter().all(|span| end_ns(span) + 2_000 >= end),
            "{cut:?}"
        );
    }
}

#[test]
fn a_snapshot_is_of_one_run_and_goes_into_any_format() {
    let sandbox = Sandbox::new();
    for _ in 0..2 {
        sandbox
            .record(&["--no-decode"], &["spans:3", "end"])
            .expect_code(0);
    }
    sandbox
        .run(&["snapshot", "runs"])
        .expect_code(1)
        .expect_stderr("ringscope: find run: runs: expected one run, found 2");
    sandbox
        .run(&["snapshot", "--last", "10 parsecs"])
        .expect_code(2);
    sandbox
        .run(&["snapshot", "--last", "5", "-o", "s.pftrace.gz"])
        .expect_code(0)
        .expect_stderr("s.pftrace.gz: 3 events");
    assert_eq!(sandbox.files(), ["s.pftrace.gz"]);
}
