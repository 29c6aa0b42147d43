//! Decoding after a recording, on a thread of its own, so that Ctrl-C can cut it short.

use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use ringscope_decode::stats::{self, By, Row, SortKey};
use ringscope_decode::{Limits, Run};
use ringscope_decode::{Options, Order, Timeline};

use crate::decode::{self, Written};
use crate::failure::Failure;
use crate::kernel::{Signal, Signals, wait_readable};
use crate::output::Output;

/// What decoding a recording came to.
pub(crate) struct Decoded {
    /// The run.
    pub(crate) run: Run,
    /// Its time line.
    pub(crate) timeline: Timeline,
    /// All names, longest total first.
    pub(crate) names: Vec<Row>,
    /// The trace; `None` when there was nothing to write.
    pub(crate) trace: Option<(PathBuf, Written)>,
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
    )
    .map_err(|error| Failure::new("decode", "temporary file", error))?;
    let trace = if timeline.event_count > 0 {
        let format = decode::format_of(path);
        let written = decode::write_trace(&timeline, format, Order::Time, output, path)?;
        Some((path.to_owned(), written))
    } else {
        None
    };
    Ok(Decoded {
        run,
        timeline,
        names,
        trace,
    })
}
