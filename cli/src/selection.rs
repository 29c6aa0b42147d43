//! Which runs a command means: RUN arguments.

use std::path::{Path, PathBuf};

use ringscope_decode::{Limits, Run};
use ringscope_decode::{default_parents, find_runs, find_runs_by_pid, newest_run};

use crate::failure::Failure;

/// The runs that `arguments` mean: each a run, a directory of runs, a pack, or a process id; the newest run
/// when there are none.
pub(crate) fn find(arguments: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    if arguments.is_empty() {
        return newest().map(|run| vec![run]);
    }
    let mut runs = Vec::new();
    for argument in arguments {
        for run in find_one(argument)? {
            if !runs.contains(&run) {
                runs.push(run);
            }
        }
    }
    Ok(runs)
}

/// Opens the runs that `arguments` mean.
pub(crate) fn open(arguments: &[PathBuf], limits: &Limits) -> Result<Vec<Run>, Failure> {
    find(arguments)?
        .iter()
        .map(|path| open_found(path, limits))
        .collect()
}

/// Opens the one run that `argument` means; the newest when there is none.
pub(crate) fn open_one(argument: Option<&Path>, limits: &Limits) -> Result<Run, Failure> {
    let arguments: Vec<PathBuf> = argument.into_iter().map(Path::to_owned).collect();
    let mut runs = find(&arguments)?;
    match (runs.pop(), runs.len()) {
        (Some(run), 0) => open_found(&run, limits),
        (_, others) => {
            let place = argument.unwrap_or(Path::new("")).display();
            let why = format!("expected one run, found {}", others + 1);
            Err(Failure::new("find run", place, why))
        }
    }
}

fn open_found(path: &Path, limits: &Limits) -> Result<Run, Failure> {
    let mut run = Run::open(path, limits).map_err(|error| Failure::of("read run", error))?;
    run.ensure_end_pair();
    Ok(run)
}

fn find_one(argument: &Path) -> Result<Vec<PathBuf>, Failure> {
    let pid = argument.to_str().and_then(|text| text.parse::<u32>().ok());
    let found = match pid {
        // A directory of that name is what was meant.
        Some(pid) if !argument.exists() => runs_of_process(pid)?,
        _ => find_runs(argument).map_err(|error| Failure::of("find run", error))?,
    };
    if found.is_empty() {
        let why =
            "expected a run, a directory of runs, a pack, or the id of a process that recorded";
        return Err(Failure::new("find run", argument.display(), why));
    }
    Ok(found)
}

/// The newest run of a process: its id may have been used before.
fn runs_of_process(pid: u32) -> Result<Vec<PathBuf>, Failure> {
    let mut newest = None;
    for parent in existing_parents() {
        let runs =
            find_runs_by_pid(&parent, pid).map_err(|error| Failure::of("find run", error))?;
        newest = newest.max(runs.into_iter().map(by_name).max());
    }
    Ok(newest.map(|(_, run)| run).into_iter().collect())
}

fn newest() -> Result<PathBuf, Failure> {
    let mut newest = None;
    for parent in existing_parents() {
        let run = newest_run(&parent).map_err(|error| Failure::of("find run", error))?;
        newest = newest.max(run.map(by_name));
    }
    newest.map(|(_, run)| run).ok_or_else(|| {
        let places: Vec<String> = default_parents()
            .iter()
            .map(|parent| parent.display().to_string())
            .collect();
        Failure::new("find run", places.join(", "), "no run there")
    })
}

/// Runs of different parents compare by their own names, which begin with the time.
fn by_name(run: PathBuf) -> (Option<std::ffi::OsString>, PathBuf) {
    (run.file_name().map(ToOwned::to_owned), run)
}

/// The default parents that exist.
pub(crate) fn existing_parents() -> Vec<PathBuf> {
    default_parents()
        .into_iter()
        .filter(|parent| parent.is_dir())
        .collect()
}
