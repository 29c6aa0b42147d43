//! Whether the run's files are kept once it is decoded.

use std::path::Path;

use ringscope_decode::{ExitStatus, Limits, Liveness, Process, Run};

use super::super::run_dir::RunDirectory;
use super::super::trace::Decoded;
use crate::cli::RecordArgs;
use crate::gc;

/// Why the run is to be kept, if it is.
pub(super) fn reason_to_keep(
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
pub(super) fn keep_or_remove(run: &Path, kept: Option<String>, was_decoded: bool) -> String {
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
