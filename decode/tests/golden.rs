//! The captured run of format version 1 decodes to what `expected.json` beside it says, for ever.

#![allow(clippy::unwrap_used, reason = "in a test a failure is a panic")]

mod common;

use std::path::Path;

use common::*;
use ringscope_decode::{Limits, Options, Run, TimeBase, Timeline};
use serde_json::Value;

const SPANS: [&str; 5] = ["span", "span_ns", "span_long", "launch", "wait"];

fn objects<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().unwrap().iter()
}

/// Microseconds with three decimals, as ns.
fn ns(time: &Value) -> i64 {
    (time.as_f64().unwrap() * 1_000.0).round() as i64
}

#[test]
fn version_1_decodes_as_expected() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/v1");
    let expected = std::fs::read_to_string(golden.join("expected.json")).unwrap();
    let expected: Value = serde_json::from_str(&expected).unwrap();
    let runs = [Run::open(&golden.join("every-kind"), &Limits::default()).unwrap()];
    let timeline = Timeline::build(
        &runs,
        &Options {
            time_base: TimeBase::Monotonic,
            ..Options::default()
        },
    )
    .unwrap();
    let trace = trace(&timeline);

    let rings: Vec<&Value> = objects(&expected, "processes")
        .flat_map(|process| objects(process, "rings"))
        .collect();
    let mut wanted: Vec<(String, i64, i64)> = rings
        .iter()
        .flat_map(|ring| objects(ring, "records"))
        .filter(|record| SPANS.contains(&record["kind"].as_str().unwrap()))
        .map(|record| {
            let name = record["name"].as_str().unwrap().to_owned();
            let time = |key: &str| record[key].as_i64().unwrap();
            (name, time("start_ns"), time("end_ns") - time("start_ns"))
        })
        .collect();
    wanted.sort();
    let hosts: Vec<&Value> = objects(&expected, "processes").map(|p| &p["pid"]).collect();
    let is_host_span = |event: &&Value| {
        event["ph"] == "X"
            && hosts.contains(&&event["pid"])
            && event["cat"] != "ringscope"
            && event["args"]["ringscope.open"] != true
    };
    let mut found: Vec<(String, i64, i64)> = events(&trace)
        .iter()
        .filter(is_host_span)
        .map(|event| {
            (
                event["name"].as_str().unwrap().to_owned(),
                ns(&event["ts"]),
                ns(&event["dur"]),
            )
        })
        .collect();
    found.sort();
    let extra: Vec<_> = found
        .iter()
        .filter(|event| !wanted.contains(event))
        .collect();
    let missing: Vec<_> = wanted
        .iter()
        .filter(|event| !found.contains(event))
        .collect();
    assert!(
        extra.is_empty() && missing.is_empty(),
        "extra {extra:?}, missing {missing:?}"
    );
    assert_eq!(found.len(), wanted.len());

    let sum = |key: &str| -> u64 { rings.iter().map(|ring| ring[key].as_u64().unwrap()).sum() };
    let losses = &timeline.losses;
    assert_eq!(
        (losses.overwritten, losses.torn),
        (sum("overwritten"), sum("torn"))
    );
}
