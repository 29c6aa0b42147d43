//! How many instructions a record may take: the guard against a slower hot path that no busy machine disturbs. For
//! optimised code alone: `cargo test --release -p ringscope-benches`.

use std::fs;
use std::process::Command;

use serde_json::Value;

/// Most instructions of a record on x86-64, those of the clock reads included, those of the loop not.
const LIMITS: [(&str, f64); 18] = [
    ("record without clock reads", 59.0),
    ("span", 124.0),
    ("span, 1 argument", 130.0),
    ("span, 3 arguments", 265.0),
    ("instant", 51.0),
    ("counter", 48.0),
    ("lap, per phase", 104.0),
    ("complete", 41.0),
    ("span, run-time name", 300.0),
    ("launch and device span", 219.0),
    ("device task, in a batch", 42.0),
    ("off", 4.0),
    ("compiled out", 0.0),
    ("span, C", 112.0),
    ("span, 1 argument, C", 116.0),
    ("launch and device span, C", 457.0),
    ("span, plug-in", 112.0),
    ("span, 1 argument, plug-in", 116.0),
];
/// What the calls outside the measured loop come to, spread over its calls.
const TOLERANCE: f64 = 0.5;

#[test]
#[cfg_attr(
    any(debug_assertions, not(target_arch = "x86_64")),
    ignore = "the limits are those of optimised x86-64 code"
)]
fn a_record_takes_no_more_instructions_than_it_did() {
    let dir = tempfile::Builder::new()
        .prefix("instructions-")
        .tempdir_in("/dev/shm")
        .unwrap();
    let json = dir.path().join("figures.json");
    let output = Command::new(env!("CARGO_BIN_EXE_hot_path"))
        .args([
            "--quick",
            "--capture",
            "flight",
            "--ring-size",
            "1MiB",
            "--threads",
            "1",
            "--json",
        ])
        .arg(&json)
        .arg("--dir")
        .arg(dir.path())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report: Value = serde_json::from_str(&fs::read_to_string(json).unwrap()).unwrap();
    let means = report["means"]["instructions"].as_str().unwrap();
    if means.starts_with("n/a") {
        eprintln!("not checked: {means}");
        return;
    }
    let measurements = report["configurations"][0]["measurements"]
        .as_array()
        .unwrap();
    for (case, limit) in LIMITS {
        let measured = measurements.iter().find(|m| m["case"] == case).unwrap();
        let instructions = measured["instructions"].as_f64().unwrap();
        assert!(
            instructions <= limit + TOLERANCE,
            "{case}: expected at most {limit} instructions, found {instructions}"
        );
    }
}
