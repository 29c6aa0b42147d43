//! Decoding after a recording, on a thread of its own, so that Ctrl-C can cut it short.

use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use ringscope_decode::event::EventKind;
use ringscope_decode::stats::{self, By, Row, SortKey};
use ringscope_decode::{Limits, Run};
use ringscope_decode::{Options, Order, Timeline};

use super::kernel::{Signal, Signals, wait_readable};
use crate::decode::{self, Written};
use crate::failure::Failure;
use crate::output::Output;

/// What decoding a recording came to.
pub(crate) struct Decoded {
    /// The run.
    pub(crate) run: Run,
    /// Its time line.
    pub(crate) timeline: Timeline,
    /// What its records cover.
    pub(crate) extent: Extent,
    /// All names, longest total first.
    pub(crate) names: Vec<Row>,
    /// The trace; `None` when there was nothing to write.
    pub(crate) trace: Option<(PathBuf, Written)>,
}

/// What the records of a run cover.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    /// Records: open spans and what stands for losses do not count.
    pub(crate) records: u64,
    /// Spans that stood open.
    pub(crate) open_spans: u64,
    /// Start of the first record, CLOCK_MONOTONIC in ns.
    first_ns: i64,
    /// End of the last record, the same.
    last_ns: i64,
}

impl Extent {
    fn of(timeline: &Timeline) -> Extent {
        let mut extent = Extent {
            records: 0,
            open_spans: 0,
            first_ns: i64::MAX,
            last_ns: i64::MIN,
        };
        for event in &timeline.events {
            if event.kind == EventKind::Lost {
                continue;
            }
            if event.is_open() {
                extent.open_spans += 1;
                continue;
            }
            extent.records += 1;
            extent.first_ns = extent.first_ns.min(event.start_ns);
            extent.last_ns = extent.last_ns.max(event.end_ns);
        }
        extent
    }

    /// Time from the first record to the last, ns.
    pub(crate) fn span_ns(&self) -> u64 {
        self.last_ns.saturating_sub(self.first_ns).max(0) as u64
    }
}

/// Opens a run, its clock tied to the system's also where its processes were killed.
pub(crate) fn open(run: &Path) -> Result<Run, Failure> {
    let mut run =
        Run::open(run, &Limits::default()).map_err(|error| Failure::of("read run", error))?;
    run.ensure_end_pair();
    Ok(run)
}

/// Decodes `run` into the trace `path`; `None` when a signal cut it short.
pub(crate) fn decode_unless_interrupted(
    run: &Path,
    path: &Path,
    signals: &Signals,
) -> Result<Option<Decoded>, Failure> {
    let (done, tell_done) = io::pipe().map_err(|error| Failure::new("decode", "pipe", error))?;
    let output = Output::open(path, decode::threads(None))?;
    let temporary = output.temporary().map(Path::to_owned);
    let (run, path) = (run.to_owned(), path.to_owned());
    let worker = thread::spawn(move || {
        let decoded = decode(&run, &path, output);
        drop(tell_done);
        decoded
    });
    while !worker.is_finished() {
        wait_readable(
            &[done.as_raw_fd(), signals.as_raw_fd()],
            Duration::from_secs(1),
        );
        if signals.next().is_some_and(Signal::asks_to_stop) {
            // The thread ends with the process, which has nothing left to do but to say so.
            if let Some(temporary) = temporary {
                let _ = std::fs::remove_file(temporary);
            }
            return Ok(None);
        }
    }
    match worker.join() {
        Ok(decoded) => decoded.map(Some),
        Err(_) => Err(Failure::new("decode", "decoder", "panicked")),
    }
}

fn decode(run: &Path, path: &Path, output: Output) -> Result<Decoded, Failure> {
    let run = open(run)?;
    let timeline = Timeline::build(std::slice::from_ref(&run), &Options::default())
        .map_err(|error| Failure::of("decode", error))?;
    let names = stats::table(
        &timeline,
        &stats::Options {
            by: By::Name,
            sort: SortKey::Total,
            skip_first: 0,
            gaps: None,
        },
    );
    let trace = if timeline.record_count() > 0 {
        let written = decode::write_trace(&timeline, Order::Time, output, path)?;
        Some((path.to_owned(), written))
    } else {
        None
    };
    Ok(Decoded {
        run,
        extent: Extent::of(&timeline),
        timeline,
        names,
        trace,
    })
}
