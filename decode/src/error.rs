//! What can go wrong for a whole decode; damage inside a run is a [`Problem`], which the decode survives.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use ringscope_ringbuf::file::{FileError, FileErrorKind};

/// Why a run could not be read at all.
#[derive(Debug)]
pub struct Error {
    /// The file or directory, where one is to blame.
    pub path: Option<PathBuf>,
    /// Where in the file, in bytes from its start.
    pub offset: Option<u64>,
    /// What is wrong.
    pub kind: ErrorKind,
}

/// What is wrong.
#[derive(Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The system said no.
    Io(io::Error),
    /// The directory is no run and holds none.
    NotARun,
    /// More files than the limit allows.
    TooManyFiles {
        /// The limit.
        limit: usize,
    },
    /// A file name that no file of a run has.
    NotAFileOfARun,
    /// A pack that is damaged, or holds what no run has.
    Pack {
        /// Path of the entry to blame, as the archive has it.
        entry: Option<String>,
        /// What should stand there.
        expected: String,
        /// What does.
        found: String,
    },
    /// A pattern of a filter can't be understood.
    Pattern(globset::Error),
    /// The threads asked for could not be started.
    Threads(rayon::ThreadPoolBuildError),
    /// The temporary file could not be made, written or read.
    TemporaryFile(io::Error),
}

impl Error {
    pub(crate) fn at(path: &Path, kind: ErrorKind) -> Error {
        Error {
            path: Some(path.to_owned()),
            offset: None,
            kind,
        }
    }

    pub(crate) fn io(path: &Path, error: io::Error) -> Error {
        Error::at(path, ErrorKind::Io(error))
    }

    pub(crate) fn spill(error: io::Error) -> Error {
        Error::without_place(ErrorKind::TemporaryFile(error))
    }

    pub(crate) fn without_place(kind: ErrorKind) -> Error {
        Error {
            path: None,
            offset: None,
            kind,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_place(f, self.path.as_deref(), self.offset)?;
        match &self.kind {
            ErrorKind::Io(error) => write!(f, "{error}"),
            ErrorKind::NotARun => write!(
                f,
                "expected a run, a directory of runs or a pack, found no process or ring file"
            ),
            ErrorKind::TooManyFiles { limit } => {
                write!(f, "expected at most {limit} files, found more")
            }
            ErrorKind::NotAFileOfARun => write!(
                f,
                "expected a file of a run (PID-NONCE.process, PID-NONCE-INDEX.ring), found another name"
            ),
            ErrorKind::Pack {
                entry,
                expected,
                found,
            } => {
                if let Some(entry) = entry {
                    write!(f, "entry {entry:?}: ")?;
                }
                write!(f, "expected {expected}, found {found}")
            }
            ErrorKind::Pattern(error) => write!(f, "filter: {error}"),
            ErrorKind::Threads(error) => write!(f, "decoder threads: {error}"),
            ErrorKind::TemporaryFile(error) => write!(f, "temporary file: {error}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            ErrorKind::Io(error) => Some(error),
            ErrorKind::Pattern(error) => Some(error),
            ErrorKind::Threads(error) => Some(error),
            ErrorKind::TemporaryFile(error) => Some(error),
            _ => None,
        }
    }
}

/// A damaged or missing piece of a run, which was left out while the rest was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub path: PathBuf,
    /// Where in the file, in bytes from its start.
    pub offset: Option<u64>,
    /// What is wrong and what became of it.
    pub text: String,
}

impl Problem {
    pub(crate) fn new(path: &Path, offset: Option<u64>, text: impl Into<String>) -> Problem {
        Problem {
            path: path.to_owned(),
            offset,
            text: text.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_place(f, Some(&self.path), self.offset)?;
        f.write_str(&self.text)
    }
}

impl From<FileError> for Problem {
    fn from(error: FileError) -> Problem {
        let place = format!("{}: byte {}: ", error.path.display(), error.offset);
        let whole = error.to_string();
        Problem {
            text: whole.strip_prefix(&place).unwrap_or(&whole).to_owned(),
            offset: (!matches!(error.kind, FileErrorKind::Io(_))).then_some(error.offset),
            path: error.path,
        }
    }
}

fn write_place(
    f: &mut fmt::Formatter<'_>,
    path: Option<&Path>,
    offset: Option<u64>,
) -> fmt::Result {
    if let Some(path) = path {
        write!(f, "{}: ", path.display())?;
    }
    if let Some(offset) = offset {
        write!(f, "byte {offset}: ")?;
    }
    Ok(())
}
