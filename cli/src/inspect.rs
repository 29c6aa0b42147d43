//! `inspect`: what every process and thread was doing last.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::PathBuf;

use ringscope_decode::Liveness;
use ringscope_decode::inspect::{self, LastRecord, OpenSpan, ProcessReport, Report, RingReport};
use ringscope_decode::pack::is_pack;
use ringscope_decode::process::RingFailure;
use ringscope_ringbuf::layout::RECORD_LEN;

use crate::cli::InspectArgs;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::selection;
use crate::size::Size;
use crate::span_of_time::SpanOfTime;
use crate::table::{grouped, printable};

/// Runs `ringscope inspect`.
pub(crate) fn run(args: &InspectArgs) -> Result<ExitCode, Failure> {
    let report = report(args)?;
    let text = if args.json {
        serde_json::to_string_pretty(&report)
            .map(|text| text + "\n")
            .map_err(|error| Failure::of("inspect: JSON", error))?
    } else {
        human(&report)
    };
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|error| Failure::stdout(&error))?;
    Ok(ExitCode::Good)
}

/// Of single files when files were named, else of runs.
fn report(args: &InspectArgs) -> Result<Report, Failure> {
    let failed = |error| Failure::of("inspect", error);
    let limits = args.limits.limits();
    let is_file = |path: &PathBuf| path.is_file() && !is_pack(path);
    if !args.runs.is_empty() && args.runs.iter().all(is_file) {
        return inspect::report_files(&args.runs, args.last, &limits).map_err(failed);
    }
    let runs = selection::open(&args.runs, &limits)?;
    inspect::report(&runs, args.last).map_err(failed)
}

fn human(report: &Report) -> String {
    let mut text = String::new();
    for run in &report.runs {
        let _ = writeln!(text, "run      {}", run.display());
    }
    if let Some(command) = &report.command {
        let _ = writeln!(text, "command  {}", printable(&command.join(" ")));
    }
    for (pid, errno) in &report.off {
        let why = io::Error::from_raw_os_error(*errno);
        let _ = writeln!(text, "process {pid} could not record: {why}");
    }
    for problem in &report.problems {
        let _ = writeln!(text, "damage   {problem}");
    }
    for process in &report.processes {
        write_process(&mut text, process);
    }
    text
}

fn write_process(text: &mut String, process: &ProcessReport) {
    let rank = process
        .rank
        .map_or_else(String::new, |rank| format!(" rank {rank}"));
    let end = match (&process.signal, process.exit_code) {
        (Some(signal), _) => format!("killed by {signal}"),
        (None, Some(code)) => format!("{}, exit status {code}", ended(process.end)),
        (None, None) => ended(process.end).to_owned(),
    };
    let _ = write!(
        text,
        "\nprocess {} {}{rank}: {end}",
        process.pid,
        printable(&process.name)
    );
    if let Some(ns) = process.last_sign_of_life_ns {
        let _ = write!(text, "; last sign of life at {}", at(ns));
    }
    text.push('\n');
    for (cause, count) in &process.drops {
        let _ = writeln!(text, "  {} x {cause}", grouped(*count));
    }
    for message in &process.messages {
        let _ = writeln!(text, "  {}", printable(message));
    }
    for failure in &process.ring_failures {
        write_ring_failure(text, failure);
    }
    for ring in &process.rings {
        write_ring(text, ring);
    }
}

/// How a process ended, or that it did not.
fn ended(end: Liveness) -> &'static str {
    match end {
        Liveness::Alive => "alive",
        Liveness::EndedCleanly => "ended cleanly",
        Liveness::Ended => "ended without saying so (signal or _exit)",
    }
}

fn write_ring_failure(text: &mut String, failure: &RingFailure) {
    let size = |log2: u32| Size::new((RECORD_LEN as u64) << log2);
    let wished = size(failure.wished_log2);
    let _ = match failure.capacity_log2 {
        0 => {
            let why = io::Error::from_raw_os_error(failure.errno);
            writeln!(
                text,
                "  ring {} of {wished} could not be made: {why}",
                failure.ring_index
            )
        }
        log2 => writeln!(
            text,
            "  ring {} has {} instead of {wished}",
            failure.ring_index,
            size(log2)
        ),
    };
}

fn write_ring(text: &mut String, ring: &RingReport) {
    let _ = write!(
        text,
        "  ring {}, thread {} {}: {} records through {}",
        ring.ring_index,
        ring.tid,
        printable(&ring.thread_name),
        ring.records
            .map_or_else(|| "unknown number of".to_owned(), grouped),
        Size::new(ring.ring_bytes),
    );
    let losses = [
        (ring.overwritten, "overwritten"),
        (ring.torn, "torn"),
        (ring.damaged, "damaged"),
    ];
    for (count, cause) in losses.into_iter().filter(|(count, _)| *count > 0) {
        let _ = write!(text, ", {} {cause}", grouped(count));
    }
    if let Some(ns) = ring.last_sign_of_life_ns {
        let _ = write!(text, "; last sign of life at {}", at(ns));
    }
    text.push('\n');
    for span in &ring.open_spans {
        write_open_span(text, span);
    }
    for record in &ring.last_records {
        write_last_record(text, record);
    }
}

fn write_open_span(text: &mut String, span: &OpenSpan) {
    let usual = span.usual_p99_ns.map_or_else(
        || "never seen to end".to_owned(),
        |ns| format!("p99 {}", SpanOfTime::new(ns)),
    );
    let _ = writeln!(
        text,
        "    open  {:indent$}{}{}  for {} ({usual})",
        "",
        printable(&span.name),
        arguments(&span.args),
        SpanOfTime::new(span.open_for_ns),
        indent = 2 * span.depth as usize,
    );
}

fn write_last_record(text: &mut String, record: &LastRecord) {
    let took = match record.duration_ns {
        0 => record.kind.to_owned(),
        ns => format!("{} of {}", record.kind, SpanOfTime::new(ns)),
    };
    let _ = writeln!(
        text,
        "    last  {}  {}{}  {took}",
        at(record.start_ns),
        printable(&record.name),
        arguments(&record.args),
    );
}

/// A moment of the run, in seconds from its start.
fn at(ns: i64) -> String {
    format!("{:.6} s", ns as f64 / 1e9)
}

fn arguments(args: &serde_json::Map<String, serde_json::Value>) -> String {
    if args.is_empty() {
        return String::new();
    }
    let args: Vec<String> = args
        .iter()
        .map(|(key, value)| format!("{}={value}", printable(key)))
        .collect();
    format!(" {{{}}}", args.join(", "))
}
