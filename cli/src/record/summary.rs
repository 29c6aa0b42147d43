//! After a recording: decode, say what was recorded and what it cost, keep or remove the run.

use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use ringscope_decode::lanes::Lane;
use ringscope_decode::{ExitStatus, Limits, Liveness, Process, RowKind, Run, Timeline};
use ringscope_ringbuf::clock::{self, ClockSource};
use ringscope_ringbuf::layout::RECORD_LEN;

use super::run_dir::RunDirectory;
use super::trace::{self, Decoded};
use super::watch::Outcome;
use super::{Settings, kernel::Signals};
use crate::cli::{Mode, RecordArgs};
use crate::size::Size;
use crate::span_of_time::SpanOfTime;
use crate::table::{self, Align, grouped, printable};
use crate::{gc, losses, output};

/// Names that the summary lists.
const LISTED_NAMES: usize = 10;
/// Spans of the loop that measures what one costs here.
const CALIBRATION_SPANS: u32 = 20_000;

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

/// Why the run is to be kept, if it is.
fn reason_to_keep(
    args: &RecordArgs,
    directory: &RunDirectory,
    decoded: &Decoded,
) -> Option<String> {
    let killed = |process: &&Process| matches!(process.exit, Some(ExitStatus::Signaled(_)));
    // Where nobody saw the end, a signal can't be told from `_exit`.
    let unseen_end =
        |process: &&Process| process.liveness == Liveness::Ended && process.exit.is_none();
    if args.afterwards.keep {
        Some("--keep".to_owned())
    } else if let Some(pid) = living_process(directory) {
        // Asked anew: a process may have begun to record after the supervisor stopped waiting for others.
        Some(format!("process {pid} still records"))
    } else if let Some(process) = decoded.run.processes.iter().find(killed) {
        Some(format!("process {} was killed", process.pid))
    } else if let Some(process) = decoded.run.processes.iter().find(unseen_end) {
        Some(format!("process {} ended without saying so", process.pid))
    } else if decoded.timeline.extent.open_spans > 0 {
        Some("spans stood open at the end".to_owned())
    } else if decoded.timeline.losses.any() {
        Some("records were lost".to_owned())
    } else if !decoded.timeline.problems.is_empty() {
        Some("files are damaged".to_owned())
    } else {
        None
    }
}

/// A process of the run that lives.
fn living_process(directory: &RunDirectory) -> Option<u32> {
    let run = Run::open(&directory.path, &Limits::default()).ok()?;
    let is_alive = |process: &&Process| process.liveness == Liveness::Alive;
    run.processes
        .iter()
        .find(is_alive)
        .map(|process| process.pid)
}

/// The last line of the summary: what became of the run.
fn keep_or_remove(run: &Path, kept: Option<String>, was_decoded: bool) -> String {
    let shown = run.display();
    match kept {
        Some(why) if was_decoded => {
            format!("kept       {shown} ({why}); look into it: ringscope inspect {shown}")
        }
        Some(why) => format!("kept       {shown} ({why}); decode it: ringscope decode {shown}"),
        None => match gc::remove_run(run) {
            Ok(()) => {
                "removed    the run's directory, since all went well; --keep keeps it".to_owned()
            }
            Err(error) => format!("kept       {shown}: {error}"),
        },
    }
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

/// A process as the summary shows it.
#[derive(Debug)]
struct ProcessLine {
    name: String,
    pid: u32,
    rank: Option<i32>,
    /// Threads that recorded; unknown before decoding.
    threads: Option<usize>,
    end: String,
}

impl ProcessLine {
    /// The processes of a run that was not decoded, one line per recorder.
    fn of_run(run: &Run) -> Vec<ProcessLine> {
        run.processes
            .iter()
            .map(|process| ProcessLine {
                name: process.name.clone(),
                pid: process.pid,
                rank: process.rank,
                threads: None,
                end: end_of(process.liveness, process.exit),
            })
            .collect()
    }

    /// The processes of a time line, where several recorders in one process are one.
    fn of_timeline(timeline: &Timeline) -> Vec<ProcessLine> {
        let threads_of = |index: usize| {
            let is_thread = |lane: &&Lane| {
                lane.process as usize == index
                    && lane.number == 1
                    && matches!(lane.kind, RowKind::Thread(_))
            };
            timeline.lanes.iter().filter(is_thread).count()
        };
        timeline
            .processes
            .iter()
            .enumerate()
            .filter(|(_, process)| process.device.is_none())
            .map(|(index, process)| ProcessLine {
                name: process.name.clone(),
                pid: process.pid,
                rank: process.rank,
                threads: Some(threads_of(index)),
                end: end_of(process.liveness, process.exit),
            })
            .collect()
    }
}

fn write_processes(text: &mut String, processes: &[ProcessLine]) {
    let threads: usize = processes.iter().filter_map(|process| process.threads).sum();
    let _ = match processes.iter().any(|process| process.threads.is_some()) {
        true => writeln!(text, "processes  {}, threads {threads}", processes.len()),
        false => writeln!(text, "processes  {}", processes.len()),
    };
    if processes.is_empty() {
        return;
    }
    let mut table = table::with_columns(&[
        ("process", Align::Left),
        ("pid", Align::Right),
        ("rank", Align::Right),
        ("threads", Align::Right),
        ("end", Align::Left),
    ]);
    let or_dash = |number: Option<String>| number.unwrap_or_else(|| "-".to_owned());
    for process in processes {
        table.add_row([
            printable(&process.name),
            process.pid.to_string(),
            or_dash(process.rank.map(|rank| rank.to_string())),
            or_dash(process.threads.map(|threads| threads.to_string())),
            process.end.clone(),
        ]);
    }
    indented(text, &table);
}

fn indented(text: &mut String, table: &comfy_table::Table) {
    for line in table::lines(table) {
        let _ = writeln!(text, "           {line}");
    }
}

fn end_of(liveness: Liveness, exit: Option<ExitStatus>) -> String {
    match (liveness, exit) {
        (_, Some(ExitStatus::Signaled(signal))) => {
            let name = ExitStatus::Signaled(signal).signal_name();
            format!("killed by {}", name.unwrap_or_else(|| signal.to_string()))
        }
        (Liveness::Alive, _) => "still alive".to_owned(),
        (Liveness::EndedCleanly, Some(ExitStatus::Exited(code))) => format!("exit status {code}"),
        (Liveness::EndedCleanly, None) => "ended cleanly".to_owned(),
        (Liveness::Ended, Some(ExitStatus::Exited(code))) => {
            format!("exit status {code}, by _exit or exec")
        }
        (Liveness::Ended, None) => "ended without saying so".to_owned(),
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
    // Records that are lost now took as much time to make.
    let losses = &decoded.timeline.losses;
    let made = records + losses.overwritten + losses.torn;
    let _ = writeln!(text, "cost       {}", cost(made, outcome));
    let _ = writeln!(text, "clock      {}", clock_error(outcome, decoded));
    write_names(text, decoded);
    if let Some((path, written)) = &decoded.trace {
        let size = written
            .bytes
            .map_or_else(String::new, |bytes| format!(", {}", Size::new(bytes)));
        let _ = writeln!(
            text,
            "trace      {}{size}; open https://ui.perfetto.dev and drop it there",
            path.display()
        );
    }
}

/// The ring size that would have lost nothing, where draining came too late.
fn wished_ring(run: &Run) -> Option<String> {
    let late = run.drains.iter().filter(|drain| drain.overwritten > 0);
    let wanted_log2 = late.map(|drain| drain.wanted_log2).max()?;
    Some(format!(
        "draining came too late; --ring-size {} would have done",
        Size::new((RECORD_LEN as u64) << wanted_log2).compact()
    ))
}

/// What recording cost the program, by what two clock reads take on this machine.
fn cost(records: u64, outcome: &Outcome) -> String {
    let source = outcome.supervisor.clock_source();
    let span_ns = span_cost_ns(source);
    let total_ns = records as f64 * span_ns;
    let share = total_ns / outcome.lasted.max(Duration::from_nanos(1)).as_nanos() as f64;
    format!(
        "about {} ({} records, {span_ns:.0} ns each), {:.2} % of the {} it ran",
        SpanOfTime::new(total_ns as u64),
        grouped(records),
        share * 100.0,
        SpanOfTime::new(outcome.lasted.as_nanos() as u64),
    )
}

/// What two clock reads take: all but 3 ns of a span.
fn span_cost_ns(source: ClockSource) -> f64 {
    let mut sum = 0u64;
    let started = Instant::now();
    for _ in 0..CALIBRATION_SPANS {
        sum = sum
            .wrapping_add(clock::ticks(source))
            .wrapping_sub(clock::ticks(source));
    }
    std::hint::black_box(sum);
    const STORE_NS: f64 = 3.0;
    started.elapsed().as_nanos() as f64 / f64::from(CALIBRATION_SPANS) + STORE_NS
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
