//! The processes of the run: found by their files, watched to their end.

use std::os::fd::{AsRawFd, RawFd};
use std::path::{Path, PathBuf};

use ringscope_ringbuf::block::Block;
use ringscope_ringbuf::clock;
use ringscope_ringbuf::file::{FileError, FileKind, FileName, LockFile, ProcessFile};
use ringscope_ringbuf::layout::{ProcessHeader, ROLE_PROCESS};
use ringscope_ringbuf::sys;

use crate::kernel::ProcessFd;

/// Largest process file that is read for its header.
const PROCESS_FILE_LIMIT: u64 = 256 << 20;

/// A recording process.
#[derive(Debug)]
pub(crate) struct Watched {
    /// Its identity.
    pub(crate) header: ProcessHeader,
    lock: PathBuf,
    /// Readable when the process has ended; none when it lives in another pid namespace, or had ended already.
    fd: Option<ProcessFd>,
    ended: bool,
}

impl Watched {
    /// Reads the process file `name` of `run`; `None` when it is a supervisor's.
    pub(crate) fn open(run: &Path, name: FileName) -> Result<Option<Watched>, FileError> {
        let file = ProcessFile::read(&run.join(name.to_string()), PROCESS_FILE_LIMIT)?;
        if file.header.role.get() != ROLE_PROCESS {
            return Ok(None);
        }
        let lock = FileName {
            kind: FileKind::Lock,
            ..name
        };
        let (pid, start_time) = (file.header.start.pid.get(), file.header.start_time.get());
        let visible = file.header.pid_namespace.get() == sys::pid_namespace();
        let fd = if visible {
            // The start time is looked at last: it can't be that of a later process with the same id.
            let fd = ProcessFd::open(pid).ok();
            fd.filter(|_| sys::start_time(pid) == Some(start_time))
        } else {
            None
        };
        Ok(Some(Watched {
            header: file.header,
            lock: run.join(lock.to_string()),
            fd,
            ended: false,
        }))
    }

    /// Nonce of its files.
    pub(crate) fn nonce(&self) -> u64 {
        self.header.start.nonce.get()
    }

    /// True when the process `pid` that began at `start_time` is this one.
    fn is(&self, pid: u32, start_time: u64) -> bool {
        self.header.start.pid.get() == pid && self.header.start_time.get() == start_time
    }

    /// True when it has ended by now.
    fn has_ended(&self) -> bool {
        match &self.fd {
            Some(fd) => fd.has_ended(),
            None => {
                let pid = self.header.start.pid.get();
                let lives = self.header.pid_namespace.get() == sys::pid_namespace()
                    && self.header.boot_id == sys::boot_id()
                    && sys::start_time(pid) == Some(self.header.start_time.get());
                !lives && LockFile::read(&self.lock).is_ok_and(|lock| lock.holder.is_none())
            }
        }
    }
}

/// The recording processes, and the ends that were seen.
#[derive(Debug, Default)]
pub(crate) struct Processes {
    watched: Vec<Watched>,
    told: Vec<(u32, u64)>,
}

impl Processes {
    /// Adds a process.
    pub(crate) fn add(&mut self, process: Watched) {
        self.watched.push(process);
    }

    /// What to wait on for the next end.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        self.living()
            .filter_map(|process| process.fd.as_ref().map(ProcessFd::as_raw_fd))
    }

    /// The processes that have not been seen to end.
    pub(crate) fn living(&self) -> impl Iterator<Item = &Watched> {
        self.watched.iter().filter(|process| !process.ended)
    }

    /// Looks for processes that have ended: their nonces, and a block for each end whose status is known.
    pub(crate) fn take_ended(&mut self) -> Vec<(u64, Option<Block<'static>>)> {
        let mut ends = Vec::new();
        for process in self.watched.iter_mut().filter(|process| !process.ended) {
            if !process.has_ended() {
                continue;
            }
            process.ended = true;
            let (pid, start_time) = (
                process.header.start.pid.get(),
                process.header.start_time.get(),
            );
            let told = self.told.contains(&(pid, start_time));
            let status = process.fd.as_ref().and_then(ProcessFd::wait_status);
            let block = status.filter(|_| !told).map(|status| {
                self.told.push((pid, start_time));
                exit_block(pid, start_time, status)
            });
            ends.push((process.nonce(), block));
        }
        ends
    }

    /// The block for the end of the program itself, when it recorded and its end was not told yet.
    pub(crate) fn end_of_program(
        &mut self,
        pid: u32,
        start_time: u64,
        status: i32,
    ) -> Option<Block<'static>> {
        let recorded = self
            .watched
            .iter()
            .any(|process| process.is(pid, start_time));
        if !recorded || self.told.contains(&(pid, start_time)) {
            return None;
        }
        self.told.push((pid, start_time));
        Some(exit_block(pid, start_time, status))
    }
}

fn exit_block(pid: u32, start_time: u64, status: i32) -> Block<'static> {
    Block::Exit {
        pid,
        status,
        start_time,
        mono_ns: clock::monotonic_ns(),
    }
}
