//! The recorded program: its start, the signals it gets, its end.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};

use ringscope_ringbuf::sys;

use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::kernel::{self, ProcessFd, Signal, Signals};

/// Shells give this status when a command can't be executed.
const CANNOT_EXECUTE: u8 = 126;
/// Shells give this status when a command is not found.
const NOT_FOUND: u8 = 127;

/// How the program ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProgramEnd {
    /// Start time of its process, see `ringscope_ringbuf::layout::ProcessHeader::start_time`.
    pub(crate) start_time: u64,
    /// Wait status.
    pub(crate) status: ExitStatus,
}

impl ProgramEnd {
    /// The exit status that `record` passes on.
    pub(crate) fn exit_code(&self) -> ExitCode {
        let code = match (self.status.code(), self.status.signal()) {
            (Some(code), _) => code,
            (None, Some(signal)) => 128 + signal,
            (None, None) => i32::from(u8::from(ExitCode::Failed)),
        };
        ExitCode::Program(code as u8)
    }
}

/// The running program.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    fd: ProcessFd,
    start_time: u64,
}

impl Program {
    /// Starts `argv` with `environment` added to this process's own.
    pub(crate) fn start(
        argv: &[OsString],
        environment: Vec<(&'static str, OsString)>,
        signals: &Signals,
    ) -> Result<Program, Failure> {
        let Some((program, arguments)) = argv.split_first() else {
            return Err(Failure::new("start", "command", "expected a program"));
        };
        let failed = |error: &io::Error| {
            let code = match error.kind() {
                io::ErrorKind::NotFound => NOT_FOUND,
                _ => CANNOT_EXECUTE,
            };
            Failure::io("start", program.as_ref(), error).with_code(ExitCode::Program(code))
        };
        let mut command = Command::new(program);
        command.args(arguments).envs(environment);
        signals.restore_in(&mut command);
        let mut child = command.spawn().map_err(|error| failed(&error))?;
        let fd = match ProcessFd::open(child.id()) {
            Ok(fd) => fd,
            Err(error) => {
                // Without a descriptor its end could not be seen: Linux before 5.3.
                let _ = child.kill();
                let _ = child.wait();
                return Err(failed(&error));
            }
        };
        let start_time = sys::start_time(child.id()).unwrap_or(0);
        Ok(Program {
            child,
            fd,
            start_time,
        })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Passes a signal on, unless the terminal gave it to the program itself.
    pub(crate) fn pass_on(&self, signal: Signal) {
        if !signal.from_kernel {
            kernel::send_signal(self.pid(), signal.number);
        }
    }

    /// Its end, when it has come.
    pub(crate) fn end(&mut self) -> Result<Option<ProgramEnd>, Failure> {
        let status = self
            .child
            .try_wait()
            .map_err(|error| Failure::new("wait", format!("process {}", self.pid()), error))?;
        Ok(status.map(|status| ProgramEnd {
            start_time: self.start_time,
            status,
        }))
    }
}

impl AsRawFd for Program {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}
