//! What the exit status of `ringscope` says.

use std::process;

/// Exit status of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExitCode {
    /// 0: everything was done.
    Good,
    /// 1: it could not be done; one line on standard error says why.
    Failed,
    /// 2: the command line was wrong.
    Usage,
    /// 3: done, but with losses or damage, and `--strict` was given; or `diff` found a regression.
    Strict,
    /// `record`: the status of the recorded program, 128 + signal when a signal ended it.
    Program(u8),
}

impl From<ExitCode> for u8 {
    fn from(code: ExitCode) -> u8 {
        match code {
            ExitCode::Good => 0,
            ExitCode::Failed => 1,
            ExitCode::Usage => 2,
            ExitCode::Strict => 3,
            ExitCode::Program(status) => status,
        }
    }
}

impl From<ExitCode> for process::ExitCode {
    fn from(code: ExitCode) -> process::ExitCode {
        process::ExitCode::from(u8::from(code))
    }
}
