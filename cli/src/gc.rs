//! `gc`: removes the runs that no process belongs to any more.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;

use ringscope_decode::{Limits, Run, end_pair, pack};
use ringscope_ringbuf::file::FileName;

use crate::cli::GcArgs;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::level::LEVEL_FILE;
use crate::ls::runs_in;
use crate::size::Size;

/// Runs `ringscope gc`.
pub(crate) fn run(args: &GcArgs) -> Result<ExitCode, Failure> {
    let mut code = ExitCode::Good;
    if !args.dry_run {
        pack::remove_stale();
    }
    let (mut removed, mut freed_bytes) = (0, 0);
    for path in runs_in(args.dir.as_ref())? {
        // What can't be read can't be known to be stale: it stays.
        let run = match Run::open(&path, &Limits::default()) {
            Ok(run) => run,
            Err(error) => {
                eprintln!("ringscope: gc: {error}");
                code = ExitCode::Failed;
                continue;
            }
        };
        if run.is_alive() {
            eprintln!("{}: alive, kept", path.display());
            continue;
        }
        if !args.dry_run
            && let Err(error) = remove_run(&path)
        {
            eprintln!("ringscope: gc: {}: {error}", path.display());
            code = ExitCode::Failed;
            continue;
        }
        removed += 1;
        freed_bytes += run.bytes_on_disk();
        let done = if args.dry_run {
            "would be removed"
        } else {
            "removed"
        };
        eprintln!(
            "{}: {done}, {}",
            path.display(),
            Size::new(run.bytes_on_disk())
        );
    }
    eprintln!(
        "{removed} run{} {}, {}",
        if removed == 1 { "" } else { "s" },
        if args.dry_run {
            "would be removed"
        } else {
            "removed"
        },
        Size::new(freed_bytes)
    );
    Ok(code)
}

/// Removes the files of a run and its directory. What is not a file of ours stays, and the directory with it.
///
/// # Errors
///
/// When the directory can't be read, is a symlink, or is not empty at the end.
pub(crate) fn remove_run(run: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(run)?.is_dir() {
        return Err(io::Error::from(io::ErrorKind::NotADirectory));
    }
    for entry in fs::read_dir(run)? {
        let entry = entry?;
        // Unlinking takes a planted symlink away, never what it leads to; directories make it fail.
        if is_ours(&entry.file_name()) {
            fs::remove_file(entry.path())?;
        }
    }
    fs::remove_dir(run)
}

fn is_ours(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| {
        name == LEVEL_FILE
            || FileName::parse(name).is_some()
            || name.starts_with(end_pair::UNFINISHED_PREFIX)
    })
}
