//! `decode`: runs become a trace.

use std::io::{BufWriter, Write};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread;

use indicatif::{ProgressBar, ProgressStyle};
use ringscope_decode::format::Format;
use ringscope_decode::{Options, Order, Run, TimeBase, Timeline, chrome, perfetto, trace};

use crate::align;
use crate::cli::{DecodeArgs, FormatName, OrderName, TimeBaseName};
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::filter;
use crate::losses;
use crate::output::{self, Output};
use crate::selection;
use crate::size::Size;
use crate::split::{SplitBy, Splitting};
use crate::table::grouped;

const OUTPUT_BUFFER_BYTES: usize = 1 << 20;

impl From<OrderName> for Order {
    fn from(name: OrderName) -> Order {
        match name {
            OrderName::Time => Order::Time,
            OrderName::Lane => Order::Lane,
        }
    }
}

impl From<TimeBaseName> for TimeBase {
    fn from(name: TimeBaseName) -> TimeBase {
        match name {
            TimeBaseName::Run => TimeBase::Run,
            TimeBaseName::Monotonic => TimeBase::Monotonic,
            TimeBaseName::Epoch => TimeBase::Epoch,
        }
    }
}

/// A trace that was written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written {
    /// Events in it.
    pub(crate) events: u64,
    /// Its size; `None` when it went into a pipe or device.
    pub(crate) bytes: Option<u64>,
}

/// The format of this name, for one time line.
pub(crate) fn format<'a>(name: FormatName, timeline: &'a Timeline) -> Box<dyn Format + 'a> {
    match name {
        FormatName::Chrome => Box::new(chrome::Chrome::new(timeline)),
        FormatName::Perfetto => Box::new(perfetto::Perfetto::new(timeline)),
    }
}

/// Writes the trace of `timeline` to `output`, named `path` in messages. A bar on the terminal shows how far it is.
pub(crate) fn write_trace(
    timeline: &Timeline,
    format_name: FormatName,
    order: Order,
    mut output: Output,
    path: &Path,
) -> Result<Written, Failure> {
    let failed = |error: std::io::Error| Failure::io("write", path, &error);
    let bar = progress_bar(timeline.event_count);
    let progress = |done: u64| bar.set_position(done);
    let format = format(format_name, timeline);
    let events = match output.file() {
        Some(file) => trace::write(
            timeline,
            &*format,
            order,
            trace::Output::File(file),
            &progress,
        ),
        None => {
            let mut out = BufWriter::with_capacity(OUTPUT_BUFFER_BYTES, &mut output);
            let stream = trace::Output::Stream(&mut out);
            let written = trace::write(timeline, &*format, order, stream, &progress);
            written.and_then(|events| out.flush().map(|()| events))
        }
    }
    .map_err(failed)?;
    bar.finish_and_clear();
    Ok(Written {
        events,
        bytes: output.finish(path)?,
    })
}

/// A bar on standard error, hidden where that is no terminal.
fn progress_bar(events: u64) -> ProgressBar {
    let bar = ProgressBar::new(events);
    let template = "{bar:40} {percent:>3} %  {human_pos}/{human_len} events  {per_sec}  {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

/// Runs `ringscope decode`.
pub(crate) fn run(args: &DecodeArgs) -> Result<ExitCode, Failure> {
    let runs = selection::open(&args.runs, &args.reading.limits.limits())?;
    let path = output::expand(&args.trace.output, first_pid(&runs));
    let mut options = filter::options(
        &args.reading.filter,
        &args.reading.effort,
        args.trace.time_base.into(),
    );
    options.device_slack = args.slack;
    if let Some(name) = &args.align {
        align::add(&mut options, &runs, name)?;
    }
    // Opened before the long work, so that a place that can't be written is told at once.
    let output = match args.split_by {
        None => Some(Output::open(&path, threads(args.reading.effort.jobs))?),
        Some(_) => None,
    };
    let timeline =
        Timeline::build(&runs, &options).map_err(|error| Failure::of("decode", error))?;
    let complaints = losses::complain(&timeline);
    let format = args.trace.format.unwrap_or_else(|| format_of(&path));
    let written = match (output, args.split_by) {
        (Some(output), _) => {
            let written = write_trace(&timeline, format, args.trace.order.into(), output, &path)?;
            vec![(path, written)]
        }
        (None, by) => write_parts(args, &runs, &options, &timeline, &path, by)?,
    };
    for (path, written) in &written {
        tell(path, written);
    }
    Ok(losses::exit_code(complaints, args.reading.effort.strict))
}

fn write_parts(
    args: &DecodeArgs,
    runs: &[Run],
    options: &Options,
    whole: &Timeline,
    path: &Path,
    by: Option<SplitBy>,
) -> Result<Vec<(PathBuf, Written)>, Failure> {
    let is_file = path != Path::new("-") && path.metadata().map_or(true, |found| found.is_file());
    let Some(by) = by.filter(|_| is_file) else {
        let why = "expected a file name for several traces, found something that holds one";
        return Err(Failure::new("split", path.display(), why));
    };
    let format = args.trace.format.unwrap_or_else(|| format_of(path));
    let splitting = Splitting {
        runs,
        options,
        whole,
        format,
        path,
    };
    splitting.write(by, |timeline, path| {
        let output = Output::open(path, threads(args.reading.effort.jobs))?;
        write_trace(timeline, format, args.trace.order.into(), output, path)
    })
}

/// Says what was written, on standard error.
pub(crate) fn tell(path: &Path, written: &Written) {
    if let Some(bytes) = written.bytes {
        eprintln!(
            "{}: {} events, {}; show it: ringscope open {}",
            path.display(),
            grouped(written.events),
            Size::new(bytes),
            path.display()
        );
    }
}

/// The format that a name asks for.
pub(crate) fn format_of(path: &Path) -> FormatName {
    let is_compressed = path.extension() == Some("gz".as_ref());
    let name = if is_compressed {
        path.file_stem().map(Path::new)
    } else {
        Some(path)
    };
    match name.and_then(Path::extension) {
        Some(extension) if extension == "pftrace" => FormatName::Perfetto,
        _ => FormatName::Chrome,
    }
}

/// Threads to work with: as many as asked for, else as the machine has.
pub(crate) fn threads(jobs: Option<usize>) -> usize {
    jobs.unwrap_or_else(|| thread::available_parallelism().map_or(1, NonZero::get))
}

/// What `%p` stands for: the run's first process.
pub(crate) fn first_pid(runs: &[Run]) -> u32 {
    let mut processes = runs.iter().flat_map(|run| &run.processes);
    processes.next().map_or(0, |process| process.pid)
}
