//! The supervisor's own files in the run: identity, command, clock pairs, ends of processes, what draining came to.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use ringscope_ringbuf::block::{Block, ClockPair, PairSource, SpanCost};
use ringscope_ringbuf::clock::{self, ClockSource};
use ringscope_ringbuf::file::{self, FileKind, FileName};
use ringscope_ringbuf::layout::{
    BLOCK_ALIGN, BLOCK_HEADER_LEN, FileStart, LOCK_STATIC_LEN, MAX_BLOCK_LEN, PROCESS_HEADER_LEN,
    ProcessHeader, ROLE_SUPERVISOR,
};
use ringscope_ringbuf::map::MappedLock;
use ringscope_ringbuf::sys;

use crate::failure::Failure;
use crate::kernel::c_path;

/// Brackets of a clock pair: about 2 us once a second buy the best of 32.
const PAIR_BRACKETS: u32 = 32;
/// Room for the largest block.
const BLOCK_BUFFER_LEN: usize = BLOCK_HEADER_LEN + MAX_BLOCK_LEN + BLOCK_ALIGN;

/// What the supervisor was told to record, for its header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// `MODE_FULL` or `MODE_FLIGHT`.
    pub(crate) mode: u32,
    /// Level mask at the start.
    pub(crate) level: u64,
    /// Bytes of records of each ring.
    pub(crate) ring_bytes: u64,
}

/// The supervisor's process file and lock.
#[derive(Debug)]
pub(crate) struct Supervisor {
    file: File,
    path: PathBuf,
    end: u64,
    lock: MappedLock,
    clock_source: ClockSource,
    buffer: Vec<u8>,
    last_pair: Option<ClockPair>,
}

impl Supervisor {
    /// Creates both files in `run` and writes the command and a first clock pair.
    pub(crate) fn create(
        run: &Path,
        settings: Settings,
        command: &[OsString],
    ) -> Result<Supervisor, Failure> {
        let (pid, nonce) = (sys::process_id(), sys::random_u64());
        let clock_source = clock::detect();
        let name = |kind| FileName {
            pid,
            nonce,
            index: 0,
            kind,
        };
        let lock_path = run.join(name(FileKind::Lock).to_string());
        let mut start = file::file_start(nonce, pid, 0, 0);
        start.header_len = (LOCK_STATIC_LEN as u32).into();
        let lock = MappedLock::create(&c_path(&lock_path)?, &start)
            .map_err(|errno| system_failure("create", &lock_path, errno))?;

        let path = run.join(name(FileKind::Process).to_string());
        let file = sys::create_new(&c_path(&path)?)
            .map_err(|errno| system_failure("create", &path, errno))?;
        let header = header(file::file_start(nonce, pid, 0, 0), settings, clock_source);
        file.write_all_at(&file::seal_process_header(&header), 0)
            .map_err(|error| Failure::io("write", &path, &error))?;
        let mut supervisor = Supervisor {
            file,
            path,
            end: PROCESS_HEADER_LEN as u64,
            lock,
            clock_source,
            buffer: vec![0; BLOCK_BUFFER_LEN],
            last_pair: None,
        };
        let argv = joined(command);
        supervisor.append(&Block::Command { argv: &argv })?;
        supervisor.append_clock_pair()?;
        Ok(supervisor)
    }

    /// Where ticks come from on this machine.
    pub(crate) fn clock_source(&self) -> ClockSource {
        self.clock_source
    }

    /// Appends a block.
    pub(crate) fn append(&mut self, block: &Block<'_>) -> Result<(), Failure> {
        let Some(len) = block.encode(&mut self.buffer) else {
            let why = "a block is larger than the format allows";
            return Err(Failure::new("write", self.path.display(), why));
        };
        self.file
            .write_all_at(&self.buffer[..len], self.end)
            .map_err(|error| Failure::io("write", &self.path, &error))?;
        self.end += len as u64;
        Ok(())
    }

    /// Appends the clock pair of this moment.
    pub(crate) fn append_clock_pair(&mut self) -> Result<(), Failure> {
        let pair = clock::pair(self.clock_source, PairSource::Supervisor, PAIR_BRACKETS);
        self.last_pair = Some(pair);
        self.append(&Block::ClockPair(pair))
    }

    /// Measures what a span takes on this machine, and appends it. Takes some milliseconds: to be called once the
    /// program has ended.
    pub(crate) fn append_span_cost(&mut self) -> Result<(), Failure> {
        self.append(&Block::SpanCost(SpanCost::measure(self.clock_source)))
    }

    /// Says that supervision ended as it should. The pair of the end is the last one written, so that a later
    /// decode converts times as one that was made before this mark.
    pub(crate) fn mark_clean_end(&self) {
        if let Some(pair) = &self.last_pair {
            self.lock.mark_clean_end(pair);
        }
    }
}

fn header(start: FileStart, settings: Settings, clock_source: ClockSource) -> ProcessHeader {
    ProcessHeader {
        start,
        role: ROLE_SUPERVISOR.into(),
        reserved0: 0.into(),
        parent_pid: sys::parent_id().into(),
        start_time: sys::start_time(0).unwrap_or(0).into(),
        pid_namespace: sys::pid_namespace().into(),
        boot_id: sys::boot_id(),
        created_mono_ns: clock::monotonic_ns().into(),
        created_real_ns: clock::realtime_ns().into(),
        clock_source: (clock_source as u32).into(),
        rank: (-1).into(),
        nominal_hz: clock::nominal_hz(clock_source).into(),
        parent_nonce: 0.into(),
        generation: 0.into(),
        mode: settings.mode.into(),
        level_fd: (-1).into(),
        level_device: 0.into(),
        level_inode: 0.into(),
        level: settings.level.into(),
        ring_bytes: settings.ring_bytes.into(),
        uid: sys::user_id().into(),
        reserved1: 0.into(),
        host: sys::host_name(),
        stem: padded(b"ringscope"),
        process_name: padded(b"ringscope record"),
        reserved2: [0; 128],
    }
}

fn padded(text: &[u8]) -> [u8; 64] {
    let mut field = [0; 64];
    field[..text.len()].copy_from_slice(text);
    field
}

/// The arguments separated by NUL, cut to what a block holds.
fn joined(command: &[OsString]) -> Vec<u8> {
    let arguments: Vec<&[u8]> = command.iter().map(|argument| argument.as_bytes()).collect();
    let mut argv = arguments.join(&0);
    argv.truncate(MAX_BLOCK_LEN - size_of::<u32>());
    argv
}

/// The failure of a call that returned an error number.
pub(crate) fn system_failure(what: &str, path: &Path, errno: i32) -> Failure {
    Failure::io(what, path, &io::Error::from_raw_os_error(errno))
}
