//! Traces of runs, decoded by the library and read back by a strict JSON parser.

use std::path::{Path, PathBuf};

use ringscope_decode::{Limits, Options, Order, Run, TimeBase, Timeline, chrome};
use serde_json::Value;

/// A trace.
pub struct Trace {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What they say.
    pub json: Value,
    /// The time line it was written from.
    pub timeline: Timeline,
}

/// Decodes the runs into one trace; times are on CLOCK_MONOTONIC.
///
/// # Panics
///
/// When that fails, or the trace is no JSON.
pub fn trace(runs: &[PathBuf], threads: usize) -> Trace {
    let open = |dir: &PathBuf| {
        let mut run = Run::open(dir, &Limits::default()).expect("the run can be read");
        run.ensure_end_pair();
        run
    };
    let runs: Vec<Run> = runs.iter().map(open).collect();
    let options = Options {
        time_base: TimeBase::Monotonic,
        threads: Some(threads),
        ..Options::default()
    };
    let timeline = Timeline::build(&runs, &options).expect("the run can be decoded");
    let mut bytes = Vec::new();
    chrome::write(&timeline, Order::Time, &mut bytes, &|_| {}).expect("memory can be written");
    let json = serde_json::from_slice(&bytes).expect("a trace is JSON");
    Trace {
        bytes,
        json,
        timeline,
    }
}

/// Decodes one run.
///
/// # Panics
///
/// As [`trace`].
pub fn trace_of(run: &Path) -> Trace {
    trace(&[run.to_owned()], 1)
}

impl Trace {
    /// The events in file order.
    ///
    /// # Panics
    ///
    /// When the trace has no list of events.
    pub fn events(&self) -> &[Value] {
        let events = self.json["traceEvents"].as_array();
        events.expect("a trace has events")
    }

    /// The events of this name.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Value> {
        self.events()
            .iter()
            .filter(move |event| event["name"] == name)
    }

    /// The name of the row that an event stands on.
    pub fn row_of(&self, event: &Value) -> Option<&str> {
        let named = self.named("thread_name");
        let mut on_row = named.filter(|m| m["pid"] == event["pid"] && m["tid"] == event["tid"]);
        on_row.next()?["args"]["name"].as_str()
    }
}

/// A time of an event, `ts` or `dur`, in ns: microseconds with three decimals.
///
/// # Panics
///
/// When the event has no such time.
pub fn ns(event: &Value, key: &str) -> i64 {
    let microseconds = event[key].as_f64().expect("an event has its times");
    (microseconds * 1_000.0).round() as i64
}
