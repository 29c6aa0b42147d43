//! `level`: switches recording in running processes, by the level word that each of them shares in a memfd.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ringscope_ringbuf::file::{FileKind, FileName, ProcessFile};
use ringscope_ringbuf::layout::{
    LEVEL_ALL, LEVEL_E2E, LEVEL_KERNEL, LEVEL_OFF, LEVEL_VERBOSE, ProcessHeader, ROLE_PROCESS,
};
use ringscope_ringbuf::sys;

use crate::cli::LevelArgs;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::output::OutputFile;
use crate::selection;

/// File in a run directory that tells processes which start later what to record.
pub(crate) const LEVEL_FILE: &str = "level";
/// Largest process file whose header is read.
const PROCESS_FILE_LIMIT: u64 = 256 << 20;

/// A set of levels, as one mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LevelSet {
    /// Level bits of `ringscope_ringbuf::layout`.
    pub(crate) mask: u64,
}

impl LevelSet {
    /// Nothing is recorded.
    pub(crate) const OFF: LevelSet = LevelSet { mask: LEVEL_OFF };
    /// What is recorded when nothing else is said.
    pub(crate) const DEFAULT: LevelSet = LevelSet {
        mask: LEVEL_E2E | LEVEL_KERNEL,
    };
}

impl FromStr for LevelSet {
    type Err = String;

    fn from_str(text: &str) -> Result<LevelSet, String> {
        let mut mask = LEVEL_OFF;
        for level in text
            .split(',')
            .map(|level| level.trim().to_ascii_lowercase())
        {
            mask |= match level.as_str() {
                "e2e" => LEVEL_E2E,
                "kernel" => LEVEL_KERNEL,
                "verbose" => LEVEL_ALL,
                "off" if !text.contains(',') => LEVEL_OFF,
                _ => return Err("expected off, or a list of e2e, kernel, verbose".to_owned()),
            };
        }
        Ok(LevelSet { mask })
    }
}

impl fmt::Display for LevelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.mask == LEVEL_OFF {
            return f.write_str("off");
        }
        let names = [
            (LEVEL_E2E, "e2e"),
            (LEVEL_KERNEL, "kernel"),
            (LEVEL_VERBOSE, "verbose"),
        ];
        let names: Vec<&str> = names
            .into_iter()
            .filter(|(bit, _)| self.mask & bit != 0)
            .map(|(_, name)| name)
            .collect();
        f.write_str(&names.join(","))
    }
}

/// Why the level of a process stays as it is.
#[derive(Debug)]
enum NotSwitched {
    /// The process has ended, or its pid means another process now.
    Ended,
    /// The process has no level word to write to.
    NoLevelWord,
    /// The descriptor leads to another file by now.
    AnotherFile,
    /// The system said no.
    Io(io::Error),
}

impl fmt::Display for NotSwitched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotSwitched::Ended => f.write_str("the process has ended"),
            NotSwitched::NoLevelWord => f.write_str("the process has no level word"),
            NotSwitched::AnotherFile => {
                f.write_str("the descriptor of its level word is another file by now")
            }
            NotSwitched::Io(error) => error.fmt(f),
        }
    }
}

/// Writes the level word of a living process, after checking that it is that process and that word.
fn switch(header: &ProcessHeader, level: LevelSet) -> Result<(), NotSwitched> {
    let pid = header.start.pid.get();
    if header.boot_id != sys::boot_id()
        || header.pid_namespace.get() != sys::pid_namespace()
        || sys::start_time(pid) != Some(header.start_time.get())
    {
        return Err(NotSwitched::Ended);
    }
    let descriptor = header.level_fd.get();
    if descriptor < 0 {
        return Err(NotSwitched::NoLevelWord);
    }
    let word = OpenOptions::new()
        .write(true)
        .open(format!("/proc/{pid}/fd/{descriptor}"))
        .map_err(NotSwitched::Io)?;
    let found = word.metadata().map_err(NotSwitched::Io)?;
    // The program may have closed the descriptor and got its number again for a file of its own.
    // A hostile process file may name any file: only a memfd that nobody can grow or cut is a level word.
    if (found.dev(), found.ino()) != (header.level_device.get(), header.level_inode.get())
        || !sys::is_sealed(&word)
    {
        return Err(NotSwitched::AnotherFile);
    }
    word.write_all_at(&level.mask.to_le_bytes(), 0)
        .map_err(NotSwitched::Io)
}

/// What switching a run came to.
#[derive(Debug, Default)]
pub(crate) struct Switched {
    /// Processes whose level word was written.
    pub(crate) count: usize,
    /// One line per living process that could not be switched.
    pub(crate) failures: Vec<String>,
}

impl Switched {
    /// Switches one process; ended ones are passed over in silence.
    pub(crate) fn add(&mut self, header: &ProcessHeader, level: LevelSet) {
        match switch(header, level) {
            Ok(()) => self.count += 1,
            Err(NotSwitched::Ended) => {}
            Err(why) => self
                .failures
                .push(format!("process {}: {why}", header.start.pid.get())),
        }
    }
}

/// Writes the file that tells processes of the run which start later.
pub(crate) fn tell_later_processes(run: &Path, level: LevelSet) -> Result<(), Failure> {
    let mut file = OutputFile::create(&run.join(LEVEL_FILE))?;
    io::Write::write_all(&mut file, format!("{level}\n").as_bytes())
        .map_err(|error| Failure::io("write", &run.join(LEVEL_FILE), &error))?;
    file.finish().map(|_| ())
}

/// The headers of the run's recording processes, living or not; unreadable files are passed over.
fn process_headers(run: &Path) -> Result<Vec<ProcessHeader>, Failure> {
    let entries = fs::read_dir(run).map_err(|error| Failure::io("read", run, &error))?;
    let process_files = entries.flatten().filter(|entry| {
        let name = entry.file_name();
        let name = name.to_str().and_then(FileName::parse);
        name.is_some_and(|name| name.kind == FileKind::Process)
    });
    Ok(process_files
        .filter_map(|entry| ProcessFile::read(&entry.path(), PROCESS_FILE_LIMIT).ok())
        .map(|file| file.header)
        .filter(|header| header.role.get() == ROLE_PROCESS)
        .collect())
}

/// Runs `ringscope level`.
pub(crate) fn run(args: &LevelArgs) -> Result<ExitCode, Failure> {
    let runs: Vec<PathBuf> = selection::find(std::slice::from_ref(&args.run))?;
    let [run] = &runs[..] else {
        let why = format!("expected one run, found {}", runs.len());
        return Err(Failure::new("level", args.run.display(), why));
    };
    if run.is_file() {
        return Err(Failure::new(
            "level",
            run.display(),
            "is a pack: no process writes to it",
        ));
    }
    // The file first: a process that starts in between finds either the file or the word written.
    tell_later_processes(run, args.level)?;
    let mut switched = Switched::default();
    for header in process_headers(run)? {
        switched.add(&header, args.level);
    }
    for failure in &switched.failures {
        eprintln!("ringscope: level: {failure}");
    }
    eprintln!(
        "level {} in {} living process{} of {}",
        args.level,
        switched.count,
        if switched.count == 1 { "" } else { "es" },
        run.display()
    );
    Ok(if switched.failures.is_empty() {
        ExitCode::Good
    } else {
        ExitCode::Failed
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_sets_are_read_and_shown() {
        let read = |text: &str| text.parse::<LevelSet>().map(|set| set.mask);
        assert_eq!(read("e2e"), Ok(1));
        assert_eq!(read(" E2E , kernel"), Ok(3));
        assert_eq!(read("verbose"), Ok(7));
        assert_eq!(read("off"), Ok(0));
        for bad in ["", "e2e,off", "on", "e2e,,kernel"] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
        assert_eq!(LevelSet::OFF.to_string(), "off");
        assert_eq!(LevelSet::DEFAULT.to_string(), "e2e,kernel");
        assert_eq!(LevelSet { mask: 7 }.to_string(), "e2e,kernel,verbose");
    }
}
