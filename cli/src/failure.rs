//! Failures of a command: one line, `what: where: why`.

use std::fmt::Display;
use std::io;
use std::path::Path;

use crate::exit_code::ExitCode;

/// Why a command stopped.
#[derive(Debug)]
pub(crate) struct Failure {
    line: String,
    broken_pipe: bool,
    /// Exit status that goes with it.
    pub(crate) code: ExitCode,
}

impl Failure {
    /// A failure of `what` at the place `at`.
    pub(crate) fn new(what: &str, at: impl Display, why: impl Display) -> Failure {
        Failure {
            line: format!("{what}: {at}: {why}"),
            broken_pipe: false,
            code: ExitCode::Failed,
        }
    }

    /// A failure whose place and reason `error` names itself (`where: why`).
    pub(crate) fn of(what: &str, error: impl Display) -> Failure {
        Failure {
            line: format!("{what}: {error}"),
            broken_pipe: false,
            code: ExitCode::Failed,
        }
    }

    /// A failure of input or output on `path`.
    pub(crate) fn io(what: &str, path: &Path, error: &io::Error) -> Failure {
        Failure {
            broken_pipe: error.kind() == io::ErrorKind::BrokenPipe,
            ..Failure::new(what, path.display(), error)
        }
    }

    /// A failure to write to standard output.
    pub(crate) fn stdout(error: &io::Error) -> Failure {
        Failure::io("write", Path::new("standard output"), error)
    }

    /// The same failure with another exit status.
    pub(crate) fn with_code(self, code: ExitCode) -> Failure {
        Failure { code, ..self }
    }

    /// True when the reader of the output went away, which is no failure of ours.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        self.broken_pipe
    }

    /// The line without the program's name.
    pub(crate) fn line(&self) -> &str {
        &self.line
    }
}
