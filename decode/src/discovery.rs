//! Finding runs: a path, a parent directory, or a process id.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use ringscope_ringbuf::file::{FileKind, FileName};
use ringscope_ringbuf::sys;

use crate::error::{Error, ErrorKind};
use crate::pack::is_pack;

/// Length of `run-yyyymmdd-hhmmss`, the part of a run directory's name that orders runs by age.
const TIME_PREFIX_LEN: usize = 19;

/// The runs that `path` stands for: itself when it holds files of a run or is a pack, else the runs in it, oldest first.
///
/// # Errors
///
/// When the directory can't be read or holds no run, and for files that are no pack.
pub fn find_runs(path: &Path) -> Result<Vec<PathBuf>, Error> {
    if path.is_file() {
        return if is_pack(path) {
            Ok(vec![path.to_owned()])
        } else {
            Err(Error::at(path, ErrorKind::NotARun))
        };
    }
    if is_run(path)? {
        return Ok(vec![path.to_owned()]);
    }
    let runs = runs_inside(path)?;
    if runs.is_empty() {
        return Err(Error::at(path, ErrorKind::NotARun));
    }
    Ok(runs)
}

/// The runs in `parent` that a process with this id wrote files in, oldest first; possibly none.
///
/// # Errors
///
/// When the directory can't be read.
pub fn find_runs_by_pid(parent: &Path, pid: u32) -> Result<Vec<PathBuf>, Error> {
    let mut runs = runs_inside(parent)?;
    runs.retain(|run| {
        names_in(run).is_ok_and(|names| {
            names
                .iter()
                .any(|name| name.pid == pid && marks_a_run(name.kind))
        })
    });
    Ok(runs)
}

/// The newest run in `parent`, if it holds one.
///
/// # Errors
///
/// When the directory can't be read.
pub fn newest_run(parent: &Path) -> Result<Option<PathBuf>, Error> {
    Ok(runs_inside(parent)?.pop())
}

/// The directories in which runs lie when nobody says where: `$RINGSCOPE_DIR` if set, else the two default places.
pub fn default_parents() -> Vec<PathBuf> {
    if let Some(dir) = std::env::var_os("RINGSCOPE_DIR").filter(|dir| !dir.is_empty()) {
        return vec![dir.into()];
    }
    let name = format!("ringscope-{}", sys::user_id());
    let temporary = std::env::var_os("TMPDIR").filter(|dir| !dir.is_empty());
    let temporary = temporary.map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
    vec![Path::new("/dev/shm").join(&name), temporary.join(&name)]
}

fn marks_a_run(kind: FileKind) -> bool {
    matches!(kind, FileKind::Process | FileKind::Ring | FileKind::Off)
}

fn is_run(path: &Path) -> Result<bool, Error> {
    Ok(names_in(path)?.iter().any(|name| marks_a_run(name.kind)))
}

fn names_in(dir: &Path) -> Result<Vec<FileName>, Error> {
    let entries = std::fs::read_dir(dir).map_err(|error| Error::io(dir, error))?;
    Ok(entries
        .filter_map(|entry| FileName::parse(entry.ok()?.file_name().to_str()?))
        .collect())
}

fn runs_inside(parent: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = std::fs::read_dir(parent).map_err(|error| Error::io(parent, error))?;
    let mut runs: Vec<(Vec<u8>, SystemTime, PathBuf)> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            // A link could lead anywhere: runs are real directories.
            let metadata = path.symlink_metadata().ok().filter(|m| m.is_dir())?;
            if !is_run(&path).unwrap_or(false) {
                return None;
            }
            let name = path.file_name()?.as_encoded_bytes();
            let prefix = name[..name.len().min(TIME_PREFIX_LEN)].to_vec();
            let changed = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            Some((prefix, changed, path))
        })
        .collect();
    runs.sort();
    Ok(runs.into_iter().map(|(_, _, path)| path).collect())
}
