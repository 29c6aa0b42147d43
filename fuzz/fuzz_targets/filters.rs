//! Filters of any text: what they keep of the golden run is a part of it, and the trace is strict JSON.
//!
//! The lines of the input are `--from`, `--to`, `--min-duration` in ns, a category, and names.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use ringscope_decode::{Filter, Limits, Options, Order, Run, Timeline, chrome};
use ringscope_fuzz::golden_run::GoldenRun;

static RUN: OnceLock<(GoldenRun, usize)> = OnceLock::new();

fuzz_target!(|text: &str| {
    let (run, all) = RUN.get_or_init(|| {
        let run = ringscope_fuzz::golden_run();
        let all = spans(&run, Filter::default()).expect("no filter refuses nothing");
        (run, all)
    });
    let mut lines = text.lines();
    let mut line = || lines.next().unwrap_or_default();
    let (from, to) = (line().parse().ok(), line().parse().ok());
    let min_duration_ns = line().parse().unwrap_or(0);
    let category = line();
    let filter = Filter {
        from,
        to,
        min_duration_ns,
        categories: (!category.is_empty())
            .then(|| category.to_owned())
            .into_iter()
            .collect(),
        names: lines.map(str::to_owned).collect(),
        ..Filter::default()
    };
    if let Some(kept) = spans(run, filter) {
        assert!(kept <= *all, "{kept} of {all} spans");
    }
});

/// Spans in the trace of what the filter keeps; `None` where it is refused.
fn spans(run: &GoldenRun, filter: Filter) -> Option<usize> {
    let runs = [Run::open(run.dir(), &Limits::default()).expect("the golden run is sound")];
    let options = Options {
        filter,
        ..Options::default()
    };
    let timeline = Timeline::build(&runs, &options).ok()?;
    let mut out = Vec::new();
    chrome::write(&timeline, Order::Time, &mut out, &|_done| {})
        .expect("a vector takes everything");
    let trace: serde_json::Value = serde_json::from_slice(&out).expect("the trace is JSON");
    let events = trace["traceEvents"]
        .as_array()
        .expect("the trace has events");
    Some(
        events
            .iter()
            .filter(|event| event["ph"] == "X" && event["cat"] != "ringscope")
            .count(),
    )
}
