//! After a recording: decode, say what was recorded and what it cost, keep or remove the run.

mod keeping;
mod processes;

use std::fmt::Write as _;
use std::io;

use ringscope_decode::{Run, Timeline};
use ringscope_ringbuf::layout::{MAX_CAPACITY_LOG2, RECORD_LEN};

use super::Settings;
use super::run_dir::RunDirectory;
use super::trace::{self, Decoded};
use super::watch::Outcome;
use crate::cli::{Mode, RecordArgs};
use crate::kernel::Signals;
use crate::size::Size;
use crate::span_of_time::SpanOfTime;
use crate::table::{self, Align, grouped, printable};
use crate::{losses, output};
use keeping::{keep_or_remove, reason_to_keep};
use processes::{ProcessLine, write_processes};

/// Names that the summary lists.
const LISTED_NAMES: usize = 10;

/// Decodes the recording, prints the summary on standard error, and removes the run unless something speaks
/// against it.
pub(crate) fn conclude(
    args: &RecordArgs,
    settings: &Settings,
    directory: &RunDirectory,
    signals: &Signals,
    outcome: &Outcome,
) {
    for note in &outcome.notes {
        eprintln!("ringscope: record: {note}");
    }
    let run = &directory.path;
    let trace_path = output::expand(&args.afterwards.output, outcome.pid);
    let decoded = if args.afterwards.no_decode || outcome.interrupted {
        Ok(None)
    } else {
        trace::decode_unless_interrupted(run, &trace_path, signals)
    };
    let mut text = String::new();
    let kept = match &decoded {
        Ok(Some(decoded)) => {
            write_decoded(&mut text, settings, directory, outcome, decoded);
            reason_to_keep(args, directory, decoded)
        }
        Ok(None) => {
            write_undecoded(&mut text, settings, directory);
            Some("not decoded".to_owned())
        }
        Err(failure) => {
            eprintln!("ringscope: {}", failure.line());
            write_undecoded(&mut text, settings, directory);
            Some("decoding failed".to_owned())
        }
    };
    outcome.supervisor.mark_clean_end();
    let end_of_run = keep_or_remove(run, kept, matches!(decoded, Ok(Some(_))));
    eprintln!("{}{end_of_run}", text.trim_start());
}

fn write_undecoded(text: &mut String, settings: &Settings, directory: &RunDirectory) {
    match trace::open(&directory.path) {
        Ok(run) => write_run(text, settings, directory, &run, &ProcessLine::of_run(&run)),
        Err(failure) => eprintln!("ringscope: {}", failure.line()),
    }
}

/// Run, mode, rings, processes.
fn write_run(
    text: &mut String,
    settings: &Settings,
    directory: &RunDirectory,
    run: &Run,
    processes: &[ProcessLine],
) {
    let _ = writeln!(text, "run        {}", directory.path.display());
    let mode = match settings.mode {
        Mode::Full => "full (all records)",
        Mode::Flight => "flight (the newest records)",
    };
    let _ = writeln!(text, "mode       {mode}, level {}", settings.level);
    let _ = writeln!(
        text,
        "rings      {} a thread on {}{}",
        Size::new(settings.ring_size.bytes),
        directory.file_system.name(),
        shrinking(run)
    );
    for line in run.processes.iter().flat_map(|process| &process.messages) {
        let _ = writeln!(text, "remark     {}", printable(line));
    }
    write_processes(text, processes);
}

/// What became of the rings that are smaller than wished, or missing.
fn shrinking(run: &Run) -> String {
    let failures = || {
        run.processes
            .iter()
            .flat_map(|process| &process.ring_failures)
    };
    let shrunk: Vec<u64> = failures()
        .filter(|ring| ring.capacity_log2 > 0)
        .map(|ring| (RECORD_LEN as u64) << ring.capacity_log2)
        .collect();
    let mut text = String::new();
    if let Some(smallest) = shrunk.iter().min() {
        let _ = write!(
            text,
            "; {} shrunk, down to {}",
            shrunk.len(),
            Size::new(*smallest)
        );
    }
    let missing: Vec<i32> = failures()
        .filter(|ring| ring.capacity_log2 == 0)
        .map(|ring| ring.errno)
        .collect();
    if let Some(errno) = missing.first() {
        let why = io::Error::from_raw_os_error(*errno);
        let _ = write!(text, "; {} could not be made ({why})", missing.len());
    }
    text
}

fn indented(text: &mut String, table: &comfy_table::Table) {
    for line in table::lines(table) {
        let _ = writeln!(text, "           {line}");
    }
}

fn write_decoded(
    text: &mut String,
    settings: &Settings,
    directory: &RunDirectory,
    outcome: &Outcome,
    decoded: &Decoded,
) {
    let processes = ProcessLine::of_timeline(&decoded.timeline);
    write_run(text, settings, directory, &decoded.run, &processes);
    let records = decoded.timeline.extent.records;
    if decoded.trace.is_none() {
        write_nothing_recorded(text, settings, &decoded.run);
        return;
    }
    let lost = losses::lines(&decoded.timeline.losses);
    let lost = if lost.is_empty() {
        "none lost".to_owned()
    } else {
        format!("lost: {}", lost.join(", "))
    };
    let _ = writeln!(text, "records    {}, {lost}", grouped(records));
    if let Some(wish) = wished_ring(&decoded.run) {
        let _ = writeln!(text, "           {wish}");
    }
    let _ = writeln!(
        text,
        "time       {} from first to last record",
        SpanOfTime::new(decoded.timeline.extent.span_ns())
    );
    if let Some(cost) = cost(&decoded.timeline) {
        let _ = writeln!(text, "cost       {cost}");
    }
    let _ = writeln!(text, "clock      {}", clock_error(outcome, decoded));
    write_names(text, decoded);
    if let Some((path, written)) = &decoded.trace {
        let size = written
            .bytes
            .map_or_else(String::new, |bytes| format!(", {}", Size::new(bytes)));
        let _ = writeln!(
            text,
            "trace      {}{size}; show it: ringscope open {}",
            path.display(),
            path.display()
        );
    }
}

/// The ring size that would have lost nothing, where draining came too late.
fn wished_ring(run: &Run) -> Option<String> {
    let late = run.drains.iter().filter(|drain| drain.overwritten > 0);
    let worst = late.max_by_key(|drain| drain.wanted_log2)?;
    if worst.wanted_log2 > MAX_CAPACITY_LOG2 {
        return Some(format!(
            "draining came too late, {} records behind: no ring holds as many; record less (--level, --mode flight)",
            grouped(worst.high_water)
        ));
    }
    Some(format!(
        "draining came too late; --ring-size {} would have done",
        Size::new((RECORD_LEN as u64) << worst.wanted_log2).compact()
    ))
}

/// What recording cost the program.
fn cost(timeline: &Timeline) -> Option<String> {
    let cost = timeline.recording_cost()?;
    Some(format!(
        "about {} ({} records, {:.1} ns each; two clock reads and a store take {:.1} ns), {:.2} % of the time, \
         {:.2} % of the threads' time",
        SpanOfTime::new(cost.total_ns),
        grouped(cost.records),
        cost.span_ns,
        cost.floor_ns,
        cost.share_of_wall_time * 100.0,
        cost.share_of_thread_time * 100.0,
    ))
}

fn clock_error(outcome: &Outcome, decoded: &Decoded) -> String {
    let source = outcome.supervisor.clock_source();
    match decoded.timeline.uncertainty_ns {
        Some(ns) => format!(
            "{source}, within {} of CLOCK_MONOTONIC",
            SpanOfTime::new(ns)
        ),
        None => format!("{source}, error against CLOCK_MONOTONIC unknown"),
    }
}

fn write_names(text: &mut String, decoded: &Decoded) {
    if decoded.names.is_empty() {
        return;
    }
    let mut table = table::with_columns(&[
        ("name", Align::Left),
        ("count", Align::Right),
        ("total", Align::Right),
        ("self", Align::Right),
        ("p50", Align::Right),
        ("p99", Align::Right),
    ]);
    for row in decoded.names.iter().take(LISTED_NAMES) {
        table.add_row([
            printable(&row.key),
            grouped(row.count),
            SpanOfTime::new(row.total_ns).to_string(),
            SpanOfTime::new(row.self_ns).to_string(),
            SpanOfTime::new(row.p50_ns).to_string(),
            SpanOfTime::new(row.p99_ns).to_string(),
        ]);
    }
    let more = decoded.names.len().saturating_sub(LISTED_NAMES);
    let more = if more == 0 {
        String::new()
    } else {
        format!(", and {more} more")
    };
    let _ = writeln!(text, "names      longest total first{more}");
    indented(text, &table);
}

fn write_nothing_recorded(text: &mut String, settings: &Settings, run: &Run) {
    let _ = writeln!(text, "records    none; no trace was written");
    for off in &run.off {
        let why = io::Error::from_raw_os_error(off.errno);
        let _ = writeln!(
            text,
            "           process {} could not record: {why}",
            off.pid
        );
    }
    let reasons: &[&str] = if !run.processes.is_empty() {
        &["no span or instant was reached, or all of them are of levels that are off"]
    } else if run.off.is_empty() {
        &[
            "the program does not use ringscope, or never reached a span",
            "its environment was cleared on the way (sudo, env -i, a container): RINGSCOPE_RUN must arrive",
        ]
    } else {
        &[]
    };
    for reason in reasons {
        let _ = writeln!(text, "           perhaps {reason}");
    }
    let _ = writeln!(
        text,
        "           level {}; RINGSCOPE_LOG=stderr tells more",
        settings.level
    );
}
