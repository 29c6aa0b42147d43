//! Situations that tests and mutants share: a storm of signals, and forks.

use std::path::Path;

use crate::judge::{Terms, Verdict, judge};
use crate::programs::{Medium, Recorded, command, new_dir, recorded, runs_in};
use crate::run_files::RunFiles;
use crate::script::HANDLER;

/// A thread and its handler record as fast as they can; every record of both must be counted, and in full mode be there.
pub fn signal_storm(program: &Path, full: bool, cycles: u64) -> Verdict {
    let dir = new_dir(Medium::Memory);
    let output = command(program)
        .args(["signals", &format!("cycles={cycles}")])
        .env("RINGSCOPE_DIR", dir.path())
        // In full mode an eighth of the ring must hold what handlers record while the thread saves it.
        .env("RINGSCOPE_RING_SIZE", if full { "1MiB" } else { "16KiB" })
        .env("RINGSCOPE_MODE", if full { "full" } else { "flight" })
        .output()
        .expect("the writer starts");
    let terms = Terms {
        handlers: true,
        full,
        ..Terms::default()
    };
    judge_counts(&runs_in(dir.path())[0], terms, &recorded(&output))
}

/// A process and its children, forked in one of the writer's ways.
#[derive(Debug)]
pub struct Forked {
    /// What judging all of it came to.
    pub verdict: Verdict,
    /// The files; they are gone, but read.
    pub run: RunFiles,
    /// What each process said that it recorded.
    pub said: Vec<Recorded>,
}

/// Runs the writer's mode `forks`; every process must have its own records, and only those.
pub fn fork(program: &Path, how: &str) -> Forked {
    let dir = new_dir(Medium::Memory);
    let output = command(program)
        .args(["forks", &format!("how={how}")])
        .env("RINGSCOPE_DIR", dir.path())
        .output()
        .expect("the writer starts");
    let said = recorded(&output);
    let run_dir = &runs_in(dir.path())[0];
    let terms = Terms {
        // The parent of a storm ends while its other threads are at work.
        killed: how == "storm",
        ..Terms::default()
    };
    let mut verdict = judge_counts(run_dir, terms, &said);
    if !output.status.success() {
        verdict
            .failures
            .push(format!("the writer ended with {output:?}"));
    }
    Forked {
        verdict,
        run: RunFiles::read(run_dir).unwrap_or_default(),
        said,
    }
}

/// Judges a run whose programs said how much they recorded.
pub fn judge_counts(run: &Path, terms: Terms, said: &[Recorded]) -> Verdict {
    let mut verdict = judge(run, terms);
    if said.is_empty() {
        verdict
            .failures
            .push("nobody said what was recorded".to_string());
    }
    for one in said {
        for (thread, wanted) in [
            (one.thread, one.records),
            (one.thread | HANDLER, one.handled),
        ] {
            let found = verdict.counts.get(&(one.pid, thread)).copied().unwrap_or(0);
            if found != wanted {
                let pid = one.pid;
                verdict.failures.push(format!(
                    "pid {pid} thread {thread:#x}: {wanted} records were made, {found} are counted"
                ));
            }
        }
    }
    verdict
}
