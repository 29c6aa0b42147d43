//! `import`: what another recorder logged becomes a run.

mod boot;
mod launch;
mod line;
mod log;
mod payload;
mod process_file;
mod run_files;
mod thread_file;

use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::cli::{ImportArgs, ImportedRecorder, StraceArgs};
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::table::grouped;
use run_files::RunFiles;

/// Malformed records that are told one by one; of more, how many they are.
const MAX_TOLD: usize = 10;

/// Runs `ringscope import`.
pub(crate) fn run(args: &ImportArgs) -> Result<ExitCode, Failure> {
    match &args.recorder {
        ImportedRecorder::Strace(args) => strace(args),
    }
}

/// What was found in the logs.
#[derive(Debug, Default)]
struct Tally {
    lines: u64,
    host_spans: u64,
    device_spans: u64,
    anchors: u64,
    malformed: u64,
    told: Vec<(String, u64, String)>,
}

impl Tally {
    fn spans(&self) -> u64 {
        self.host_spans + self.device_spans
    }

    fn refuse(&mut self, log: &Path, line: u64, why: String) {
        self.malformed += 1;
        if self.told.len() < MAX_TOLD {
            self.told.push((log.display().to_string(), line, why));
        }
    }
}

fn strace(args: &StraceArgs) -> Result<ExitCode, Failure> {
    let source = args
        .logs
        .first()
        .map_or(&b""[..], |log| log.as_os_str().as_bytes());
    let mut files = RunFiles::create(&args.output, source)?;
    let mut tally = Tally::default();
    let bar = progress_bar(args);
    for log in &args.logs {
        read(log, &mut files, &mut tally, &bar)?;
    }
    bar.finish_and_clear();
    tell_malformed(&tally);
    if tally.spans() == 0 {
        let logs: Vec<String> = args
            .logs
            .iter()
            .map(|log| log.display().to_string())
            .collect();
        let why = "expected [STRACE] records, found none that is whole";
        return Err(Failure::new("import", logs.join(" "), why));
    }
    let summary = files.finish()?;
    tell(args, &tally, &summary)?;
    Ok(ExitCode::Good)
}

/// Why reading stopped.
enum Stop {
    Log(std::io::Error),
    Run(Failure),
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Stop {
        Stop::Log(error)
    }
}

fn read(
    log: &Path,
    files: &mut RunFiles,
    tally: &mut Tally,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::io("import", log, &error);
    let mut reader = bar.wrap_read(log::open(log).map_err(failed)?);
    let read = log::for_each_line(&mut reader, |number, line| {
        tally.lines = tally.lines.max(number);
        let mut outcome = Ok(());
        line::for_each_record(line, |record| {
            if outcome.is_ok() {
                outcome = take(record, log, number, files, tally);
            }
        });
        outcome.map_err(Stop::Run)
    });
    read.map_err(|stop| match stop {
        Stop::Log(error) => failed(error),
        Stop::Run(failure) => failure,
    })
}

fn take(
    record: Result<line::Record<'_>, String>,
    log: &Path,
    number: u64,
    files: &mut RunFiles,
    tally: &mut Tally,
) -> Result<(), Failure> {
    match record {
        Ok(line::Record::Anchor(anchor)) => {
            files.anchor(anchor);
            tally.anchors += 1;
        }
        Ok(line::Record::Span(span)) => match files.span(&span)? {
            Ok(()) if span.is_on_device => tally.device_spans += 1,
            Ok(()) => tally.host_spans += 1,
            Err(why) => tally.refuse(log, number, why),
        },
        Err(why) => tally.refuse(log, number, why),
    }
    Ok(())
}

/// A bar on standard error, hidden where that is no terminal.
fn progress_bar(args: &StraceArgs) -> ProgressBar {
    let len = |log: &std::path::PathBuf| log.metadata().map_or(0, |metadata| metadata.len());
    let bar = ProgressBar::new(args.logs.iter().map(len).sum());
    if let Ok(style) =
        ProgressStyle::with_template("{bar:40} {percent:>3} %  {bytes_per_sec}  {eta}")
    {
        bar.set_style(style);
    }
    bar
}

fn tell_malformed(tally: &Tally) {
    for (log, line, why) in &tally.told {
        eprintln!("ringscope: import: {log}:{line}: {why}");
    }
    let untold = tally.malformed - tally.told.len() as u64;
    if untold > 0 {
        eprintln!(
            "ringscope: import: {} more malformed records",
            grouped(untold)
        );
    }
}

fn tell(args: &StraceArgs, tally: &Tally, summary: &run_files::Summary) -> Result<(), Failure> {
    if args.json {
        let line = json(args, tally, summary);
        return writeln!(std::io::stdout(), "{line}").map_err(|error| Failure::stdout(&error));
    }
    let run = args.output.display();
    eprintln!(
        "{run}: {} host spans, {} device spans, {} processes, {} threads, {} malformed; {}; show it: ringscope decode {run}",
        grouped(tally.host_spans),
        grouped(tally.device_spans),
        summary.processes,
        summary.threads,
        grouped(tally.malformed),
        if summary.is_this_boot {
            "times are this machine's"
        } else {
            "times are another machine's, or of another start"
        },
    );
    if summary.device_without_launch > 0 {
        eprintln!(
            "ringscope: import: {} device spans belong to no host span: their times are not shown",
            grouped(summary.device_without_launch)
        );
    }
    if summary.device_too_long > 0 {
        eprintln!(
            "ringscope: import: the device work of {} launches is longer than its host span",
            grouped(summary.device_too_long)
        );
    }
    if summary.arguments_cut > 0 {
        eprintln!(
            "ringscope: import: {} arguments were cut",
            grouped(summary.arguments_cut)
        );
    }
    Ok(())
}

fn json(args: &StraceArgs, tally: &Tally, summary: &run_files::Summary) -> Value {
    let told = tally.told.iter();
    let told: Vec<Value> = told
        .map(|(log, line, why)| json!({ "log": log, "line": line, "why": why }))
        .collect();
    json!({
        "run": args.output.to_string_lossy(),
        "host_spans": tally.host_spans,
        "device_spans": tally.device_spans,
        "anchors": tally.anchors,
        "malformed": tally.malformed,
        "first_malformed": told,
        "processes": summary.processes,
        "threads": summary.threads,
        "launches_with_device_time": summary.launches,
        "device_spans_without_launch": summary.device_without_launch,
        "launches_shorter_than_device_work": summary.device_too_long,
        "arguments_cut": summary.arguments_cut,
        "is_this_boot": summary.is_this_boot,
    })
}
