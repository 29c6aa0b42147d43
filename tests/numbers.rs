//! Eight threads in three processes, one of them forked and one spawned, each record numbered: decoded, every number is
//! there once, in order, with its arguments, nested rightly, and the bytes are the same whatever the number of threads.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ringscope_ringbuf::layout::Kind;
use ringscope_tests::expected::{Expected, Value, expected, is_anonymous, is_numbered};
use ringscope_tests::judge::Terms;
use ringscope_tests::programs::{command, new_run, recorded, writer};
use ringscope_tests::scenarios::judge_counts;
use ringscope_tests::script::CYCLE;
use ringscope_tests::traces::{Trace, ns, trace};

const CYCLES: u64 = 60;
const THREADS: u64 = 8;

fn record(run: &Path) {
    let output = command(&writer())
        .args(["numbered", "threads=3", "fork=3", "spawn=2"])
        .arg(format!("cycles={CYCLES}"))
        .env("RINGSCOPE_RUN", run)
        .output()
        .expect("the writer starts");
    assert!(output.status.success(), "{output:?}");
    let said = recorded(&output);
    assert_eq!(said.len() as u64, THREADS);
    judge_counts(run, Terms::default(), &said).assert_sound();
}

#[test]
fn every_number_is_in_the_trace_once_and_right() {
    let run = new_run();
    record(run.path());
    let trace = trace(&[PathBuf::from(run.path())], 1);
    let mut by_thread: BTreeMap<u64, BTreeMap<u64, &serde_json::Value>> = BTreeMap::new();
    let mut anonymous: BTreeMap<&str, u64> = BTreeMap::new();
    for event in trace.events() {
        let name = event["name"].as_str().expect("an event has a name");
        if event["ph"] == "M" || !is_numbered(name) {
            continue;
        }
        if is_anonymous(name) {
            *anonymous.entry(name).or_default() += 1;
            continue;
        }
        let id = id_of(event);
        let (thread, number) = (id >> 44, id & ((1 << 44) - 1));
        check_event(&trace, event, &expected(thread, number));
        let twice = by_thread.entry(thread).or_default().insert(number, event);
        assert!(
            twice.is_none(),
            "number {number} of thread {thread} is there twice"
        );
    }
    assert_eq!(by_thread.len() as u64, THREADS);
    let named = CYCLE - 3;
    for (thread, numbers) in &by_thread {
        assert_eq!(numbers.len() as u64, CYCLES * named, "thread {thread}");
        check_order_and_nesting(numbers);
    }
    for name in ["lap.one", "lap.two", "ratio"] {
        assert_eq!(anonymous[name], CYCLES * THREADS, "{name}");
    }
}

#[test]
fn bytes_do_not_depend_on_the_number_of_threads() {
    let run = new_run();
    record(run.path());
    let [one, two, eight] = [1, 2, 8].map(|threads| trace(&[PathBuf::from(run.path())], threads));
    assert!(one.bytes.len() > 100_000);
    assert!(one.bytes == two.bytes && one.bytes == eight.bytes);
}

fn id_of(event: &serde_json::Value) -> u64 {
    let args = &event["args"];
    let id = match event["name"].as_str() {
        // A counter's value stands under one key, whatever the writer of the trace calls it.
        Some("counter") => args.as_object().and_then(|args| args.values().next()),
        _ => args.get("id"),
    };
    id.and_then(serde_json::Value::as_u64)
        .unwrap_or_else(|| panic!("an id in {event}"))
}

fn check_event(trace: &Trace, event: &serde_json::Value, expected: &Expected) {
    assert_eq!(event["name"], expected.name.as_str());
    let phase = match expected.kind {
        Kind::Instant => "i",
        Kind::Counter => "C",
        _ => "X",
    };
    assert_eq!(event["ph"], phase, "{event}");
    if phase == "C" {
        return;
    }
    for (key, value) in &expected.args {
        let found = &event["args"][key];
        let right = match value {
            _ if *key == "handled" => found == 0,
            Value::U64(v) => found.as_u64() == Some(*v),
            Value::I64(v) => found.as_i64() == Some(*v),
            Value::F64(v) => found.as_f64() == Some(*v),
            Value::Bool(v) => found == v,
            Value::Text(v) => found == v.as_str(),
        };
        assert!(right, "{key}: expected {value:?}, found {event}");
    }
    let count = event["args"].as_object().map_or(0, serde_json::Map::len);
    assert_eq!(count, expected.args.len(), "{event}");
    if let Some((start_ns, duration_ns)) = expected.time {
        assert_eq!(
            (ns(event, "ts"), ns(event, "dur")),
            (start_ns as i64, duration_ns as i64)
        );
    }
    if let Some(track) = &expected.track {
        assert_eq!(trace.row_of(event), Some(track.as_str()));
    }
}

/// Records end in the order of their numbers; leaf lies in branch, and branch in root.
fn check_order_and_nesting(numbers: &BTreeMap<u64, &serde_json::Value>) {
    let begin = |event: &serde_json::Value| ns(event, "ts");
    let end = |event: &serde_json::Value| {
        begin(event) + event["dur"].as_f64().map_or(0, |_| ns(event, "dur"))
    };
    let in_ticks = numbers.iter().filter(|(number, _)| *number % CYCLE != 8);
    let ends: Vec<i64> = in_ticks.map(|(_, event)| end(event)).collect();
    // Start and duration are rounded to ns each.
    assert!(ends.windows(2).all(|pair| pair[0] <= pair[1] + 2));
    for cycle in 0..CYCLES {
        let [leaf, branch, root] = [3, 4, 5].map(|n| numbers[&(cycle * CYCLE + n)]);
        assert!(begin(root) <= begin(branch) && begin(branch) <= begin(leaf));
        assert!(end(leaf) <= end(branch) + 1 && end(branch) <= end(root) + 1);
        assert!(leaf["tid"] == root["tid"] && leaf["pid"] == root["pid"]);
    }
}
