//! `ls`: the runs there are.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::PathBuf;

use ringscope_decode::error::ErrorKind;
use ringscope_decode::find_runs;
use ringscope_decode::{Limits, Run};
use ringscope_ringbuf::clock;

use crate::cli::LsArgs;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::selection;
use crate::size::Size;
use crate::span_of_time::SpanOfTime;
use crate::table::{self, Align};

/// Longest command that is shown whole.
const COMMAND_WIDTH: usize = 48;
/// Most process ids that are shown.
const SHOWN_PIDS: usize = 6;

/// The runs in `dir`, or in the places where `record` puts them.
pub(crate) fn runs_in(dir: Option<&PathBuf>) -> Result<Vec<PathBuf>, Failure> {
    let parents = match dir {
        Some(dir) => vec![dir.clone()],
        None => selection::existing_parents(),
    };
    let mut runs = Vec::new();
    for parent in parents {
        match find_runs(&parent) {
            Ok(found) => runs.extend(found),
            // A directory without a run is an empty list here, not a failure.
            Err(error) if matches!(error.kind, ErrorKind::NotARun) => {}
            Err(error) => return Err(Failure::of("find runs", error)),
        }
    }
    Ok(runs)
}

/// Runs `ringscope ls`.
pub(crate) fn run(args: &LsArgs) -> Result<ExitCode, Failure> {
    let mut table = table::with_columns(&[
        ("run", Align::Left),
        ("command", Align::Left),
        ("pids", Align::Left),
        ("alive", Align::Left),
        ("bytes", Align::Right),
        ("age", Align::Right),
    ]);
    for path in runs_in(args.dir.as_ref())? {
        match Run::open(&path, &Limits::default()) {
            Ok(run) => table.add_row(row(&run)),
            Err(error) => {
                eprintln!("ringscope: list: {error}");
                continue;
            }
        };
    }
    let mut stdout = io::stdout().lock();
    for line in table::lines(&table) {
        writeln!(stdout, "{line}").map_err(|error| Failure::stdout(&error))?;
    }
    Ok(ExitCode::Good)
}

fn row(run: &Run) -> [String; 6] {
    let begun_ns = run
        .supervisors
        .iter()
        .chain(&run.processes)
        .map(|process| process.created_real_ns)
        .filter(|ns| *ns > 0)
        .min();
    let age = begun_ns.map(|ns| SpanOfTime::new(clock::realtime_ns().saturating_sub(ns)));
    [
        run.dir.display().to_string(),
        shortened(&run.command.clone().unwrap_or_default().join(" ")),
        pids(run),
        if run.is_alive() { "yes" } else { "no" }.to_owned(),
        Size::new(run.bytes_on_disk()).to_string(),
        age.map_or_else(|| "?".to_owned(), |age| age.in_whole_units()),
    ]
}

fn pids(run: &Run) -> String {
    let pids: BTreeSet<u32> = run.processes.iter().map(|process| process.pid).collect();
    let shown: Vec<String> = pids.iter().take(SHOWN_PIDS).map(u32::to_string).collect();
    let more = pids.len() - shown.len();
    let mut text = shown.join(",");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

fn shortened(command: &str) -> String {
    if command.chars().count() <= COMMAND_WIDTH {
        return command.to_owned();
    }
    let kept: String = command.chars().take(COMMAND_WIDTH - 1).collect();
    format!("{kept}…")
}
