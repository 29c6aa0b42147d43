//! `stats --launches`, on the golden run that holds launches and device records.

use std::path::Path;

use serde_json::Value;

use crate::sandbox::Sandbox;

fn golden() -> String {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let run = manifest.join("../tests/golden/v1/every-kind");
    run.to_str().unwrap().to_owned()
}

#[test]
fn launches_are_summed_up_by_kernel_and_stream() {
    let sandbox = Sandbox::new();
    let run = golden();
    let report = sandbox
        .run(&["stats", &run, "--launches", "--json"])
        .expect_code(0)
        .stdout;
    let report: Value = serde_json::from_str(&report).unwrap();
    let kernel = &report["kernels"][0];
    assert_eq!(kernel["name"], "qwen3.decode_fwd");
    assert_eq!(
        (&kernel["launches"], &kernel["executions"]),
        (&1.into(), &3.into())
    );
    assert_eq!(kernel["latency"]["p50_ns"], 2_000_200);
    assert_eq!(report["streams"][0]["busy_ns"], 2_000_000);
    assert_eq!(report["device_clocks"][0]["alignment"], "anchors");
    sandbox
        .run(&["stats", &run, "--launches"])
        .expect_code(0)
        .expect_stdout("qwen3.decode_fwd")
        .expect_stdout("engine device 0 stream 3")
        .expect_stdout("npu0 (1)");
}

#[test]
fn device_work_says_how_far_off_it_may_be_only_when_asked() {
    let (sandbox, run) = (Sandbox::new(), golden());
    for (options, is_asked) in [(&["--slack"][..], true), (&[], false)] {
        let arguments = [&["decode", run.as_str(), "-o", "-"], options].concat();
        let trace = sandbox.run(&arguments).expect_code(0).stdout;
        let trace: Value = serde_json::from_str(&trace).unwrap();
        let events = trace["traceEvents"].as_array().unwrap();
        let mut work = events
            .iter()
            .filter(|event| event["args"]["device"] == 0 && event["tid"] == 3);
        let says = |event: &Value| event["args"]["slack_ns"].is_u64();
        let first = work.next().unwrap();
        assert!(
            says(first) == is_asked && work.all(|event| says(event) == is_asked),
            "{first}"
        );
    }
}

#[test]
fn a_run_without_launches_says_so() {
    let sandbox = Sandbox::new();
    sandbox
        .record(&["--no-decode"], &["spans:3", "end"])
        .expect_code(0);
    sandbox
        .run(&["stats", "--launches"])
        .expect_code(0)
        .expect_stdout("no launch, no device span and no step was recorded");
    sandbox
        .run(&["stats", "--launches", "--csv"])
        .expect_code(2);
    sandbox
        .run(&["stats", "--launches", "--by", "cat"])
        .expect_code(2);
}
