//! The processes of the summary: name, number, rank, threads, end.

use std::fmt::Write as _;

use ringscope_decode::lanes::Lane;
use ringscope_decode::{ExitStatus, Liveness, RowKind, Run, Timeline};

use super::indented;
use crate::table::{self, Align, printable};

/// A process as the summary shows it.
#[derive(Debug)]
pub(super) struct ProcessLine {
    name: String,
    pid: u32,
    rank: Option<i32>,
    /// Threads that recorded; unknown before decoding.
    threads: Option<usize>,
    end: String,
}

impl ProcessLine {
    /// The processes of a run that was not decoded, one line per recorder.
    pub(super) fn of_run(run: &Run) -> Vec<ProcessLine> {
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
    pub(super) fn of_timeline(timeline: &Timeline) -> Vec<ProcessLine> {
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

/// Writes a line with their number and a table.
pub(super) fn write_processes(text: &mut String, processes: &[ProcessLine]) {
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
