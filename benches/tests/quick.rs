//! `hot_path --quick` measures every case of every configuration, and says so in JSON that is read strictly here. No
//! time is asserted: what does not depend on the machine is.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::fs;
use std::process::Command;

use ringscope_benches::machine::Machine;
use ringscope_benches::measurement::Measurement;
use ringscope_benches::rounds::Plan;
use serde::Deserialize;

/// Cases in Rust, with the bytes of a record where every configuration writes the same.
const RUST_CASES: [(&str, f64); 17] = [
    ("loop", 0.0),
    ("floor", 32.0),
    ("record without clock reads", 32.0),
    ("span", 32.0),
    ("span, 1 argument", 32.0),
    // 34 bytes of arguments: 8 in the record, the rest in a continuation.
    ("span, 3 arguments", 64.0),
    ("nested spans, 8 deep", 32.0),
    ("instant", 32.0),
    ("counter", 32.0),
    ("lap, per phase", 32.0),
    ("complete", 32.0),
    ("span, run-time name", 32.0),
    ("launch and device span", 64.0),
    ("device task, in a batch", 32.0),
    ("level not enabled", 0.0),
    ("off", 0.0),
    ("compiled out", 0.0),
];
/// Languages of the other cases; C++ where there is a compiler for it.
const OTHER_LANGUAGES: &[&str] = &[
    "C",
    #[cfg(cpp_cases)]
    "C++",
    "plug-in",
];

/// All cases, in their order.
fn cases() -> Vec<(String, f64)> {
    let rust = RUST_CASES.map(|(name, bytes)| (name.to_string(), bytes));
    let foreign = [
        ("span", 32.0),
        ("span, 1 argument", 32.0),
        ("launch and device span", 64.0),
    ];
    let others = OTHER_LANGUAGES
        .iter()
        .flat_map(|language| foreign.map(|(case, bytes)| (format!("{case}, {language}"), bytes)));
    rust.into_iter().chain(others).collect()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Report {
    benchmark: String,
    machine: Machine,
    plan: Plan,
    means: Means,
    configurations: Vec<Outcome>,
    skipped: Vec<Skipped>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Means {
    system_calls: String,
    page_faults: String,
    instructions: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Outcome {
    capture: String,
    ring_bytes: u64,
    threads: usize,
    ticks_per_ns: f64,
    work_turns: u32,
    losses: serde_json::Map<String, serde_json::Value>,
    measurements: Vec<Measurement>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Skipped {
    capture: String,
    ring_bytes: u64,
    threads: usize,
    why: String,
}

fn quick_report() -> Report {
    let dir = tempfile::Builder::new()
        .prefix("hot-path-")
        .tempdir_in("/dev/shm")
        .unwrap();
    let json = dir.path().join("figures.json");
    let output = Command::new(env!("CARGO_BIN_EXE_hot_path"))
        .args(["--quick", "--json"])
        .arg(&json)
        .arg("--dir")
        .arg(dir.path())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let table = String::from_utf8(output.stdout).unwrap();
    for (case, _) in cases() {
        assert!(table.contains(&case), "no `{case}` in:\n{table}");
    }
    let left: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["figures.json"], "scratch files are left");
    serde_json::from_str(&fs::read_to_string(json).unwrap()).unwrap()
}

#[test]
fn every_case_of_every_configuration_is_measured() {
    let report = quick_report();
    assert_eq!(report.benchmark, "hot_path");
    assert!(report.machine.cores > 0 && !report.machine.date.is_empty());
    assert_eq!(
        (report.plan.rounds, report.plan.calls),
        (Plan::QUICK.rounds, Plan::QUICK.calls)
    );
    assert_eq!(
        (&*report.means.system_calls, &*report.means.page_faults),
        ("ptrace", "getrusage")
    );

    let measured = report
        .configurations
        .iter()
        .map(|c| (&*c.capture, c.ring_bytes, c.threads));
    let skipped = report
        .skipped
        .iter()
        .inspect(|s| assert!(!s.why.is_empty()));
    let mut all: Vec<_> = measured
        .chain(skipped.map(|s| (&*s.capture, s.ring_bytes, s.threads)))
        .collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 3 * 3 * 2, "{all:?}");
    assert!(report.configurations.len() >= 6, "{:?}", report.skipped);
    for outcome in &report.configurations {
        check(outcome, &report.means);
    }
}

fn check(outcome: &Outcome, means: &Means) {
    assert!(outcome.losses.is_empty(), "{outcome:?}");
    assert!(outcome.ticks_per_ns > 0.0 && outcome.work_turns > 0);
    let names: Vec<&str> = outcome.measurements.iter().map(|m| &*m.case).collect();
    let cases = cases();
    assert!(
        names.iter().eq(cases.iter().map(|(name, _)| name)),
        "{names:?}"
    );
    for (measurement, (name, bytes)) in outcome.measurements.iter().zip(cases) {
        let what = || format!("{name}: {outcome:?}");
        assert_eq!(measurement.bytes, Some(bytes), "{}", what());
        assert!(
            measurement.ns > 0.0 && measurement.floor_ratio > 0.0,
            "{}",
            what()
        );
        assert!(
            measurement.call_p50_ns <= measurement.call_p99_ns,
            "{}",
            what()
        );
        assert!(
            measurement.call_p99_ns <= measurement.call_p999_ns,
            "{}",
            what()
        );
        let system_calls = measurement.system_calls_per_million;
        if outcome.capture == "flight" {
            assert_eq!(system_calls, Some(0.0), "{}", what());
            // A ring that is not populated has 7,812: one a page. The kernel may move a page now and then.
            assert!(measurement.page_faults_per_million < 1_000.0, "{}", what());
        } else {
            assert!(system_calls.is_some(), "{}", what());
        }
        let counted = !means.instructions.starts_with("n/a") && outcome.threads == 1;
        assert_eq!(measurement.instructions.is_some(), counted, "{}", what());
    }
    let floor = &outcome.measurements[1];
    assert_eq!((&*floor.case, floor.floor_ratio), ("floor", 1.0));
    // 2,000 records do not fill rings of more than 64 KiB: those that the thread saves itself are full once or twice.
    let span = &outcome.measurements[3];
    if outcome.capture == "full" && outcome.ring_bytes == 65_536 {
        assert!(span.system_calls_per_million > Some(0.0), "{outcome:?}");
    }
}

#[test]
fn first_records_are_measured_in_every_case() {
    let dir = tempfile::Builder::new()
        .prefix("first-record-")
        .tempdir_in("/dev/shm")
        .unwrap();
    let json = dir.path().join("figures.json");
    let status = Command::new(env!("CARGO_BIN_EXE_first_record"))
        .args(["--threads", "3", "--ring-size", "64KiB", "--json"])
        .arg(&json)
        .arg("--dir")
        .arg(dir.path())
        .status()
        .unwrap();
    assert!(status.success());
    let text = fs::read_to_string(&json).unwrap();
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["ring_bytes"], 65_536);
    let cases = report["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 3, "{report}");
    for case in cases {
        let ns = |figure: &str| case[figure].as_u64().unwrap();
        assert_eq!(case["threads"], 3);
        assert!(ns("first_least_ns") <= ns("first_p50_ns"), "{case}");
        assert!(ns("first_p50_ns") <= ns("first_max_ns"), "{case}");
    }
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        1,
        "scratch files are left"
    );
}
