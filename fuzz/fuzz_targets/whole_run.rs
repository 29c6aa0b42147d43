//! The golden run with one file replaced (the first byte says which): it decodes, and its trace is strict JSON.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use ringscope_fuzz::golden_run::GoldenRun;

static RUN: OnceLock<GoldenRun> = OnceLock::new();

fuzz_target!(|data: &[u8]| {
    let Some((index, bytes)) = data.split_first() else {
        return;
    };
    let run = RUN.get_or_init(ringscope_fuzz::golden_run);
    if let Some(trace) = run.trace_with((*index).into(), bytes.to_vec(), true) {
        serde_json::from_slice::<serde_json::Value>(&trace).expect("the trace is JSON");
    }
});
