//! Why a file of a run, or a part of it, could not be used.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a file, or a part of it, could not be used.
#[derive(Debug)]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// Where in the file, in bytes from its start.
    pub offset: u64,
    /// What is wrong.
    pub kind: FileErrorKind,
}

/// What is wrong with a file.
#[derive(Debug)]
#[non_exhaustive]
pub enum FileErrorKind {
    /// The system said no.
    Io(io::Error),
    /// A symlink, pipe, device or directory.
    NotRegular,
    /// Something else stands where a field is.
    Unexpected {
        /// Name of the field.
        what: &'static str,
        /// What should stand there.
        expected: String,
        /// What does.
        found: String,
    },
    /// The file ends before what its header promises.
    Short {
        /// Bytes that were promised from the file's start.
        expected: u64,
        /// Bytes that are there.
        found: u64,
    },
    /// Larger than the reader's limit.
    TooLarge {
        /// The limit in bytes.
        limit: u64,
        /// Size in bytes.
        found: u64,
    },
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: byte {}: ", self.path.display(), self.offset)?;
        match &self.kind {
            FileErrorKind::Io(error) => write!(f, "{error}"),
            FileErrorKind::NotRegular => write!(
                f,
                "expected a regular file, found a link, pipe, device or directory"
            ),
            FileErrorKind::Unexpected {
                what,
                expected,
                found,
            } => {
                write!(f, "{what}: expected {expected}, found {found}")
            }
            FileErrorKind::Short { expected, found } => {
                write!(
                    f,
                    "expected {expected} bytes, found {found}: the file is cut short"
                )
            }
            FileErrorKind::TooLarge { limit, found } => {
                write!(f, "expected at most {limit} bytes, found {found}")
            }
        }
    }
}

impl std::error::Error for FileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            FileErrorKind::Io(error) => Some(error),
            _ => None,
        }
    }
}
