//! The clock pair that the first decoder of a run adds, where processes were killed and nobody supervised them.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use ringscope_ringbuf::block::{Block, ClockPair, PairSource, blocks};
use ringscope_ringbuf::clock::{self, ClockSource};
use ringscope_ringbuf::file::{FileKind, FileName, ProcessFile, file_start, seal_process_header};
use ringscope_ringbuf::layout::{ProcessHeader, ROLE_SUPERVISOR};
use ringscope_ringbuf::sys;
use zerocopy::FromZeros;

use crate::process::{Liveness, Process};
use crate::run::Run;

/// One name for all decoders: the file system lets one of those that come at once have it.
const NAME: FileName = FileName {
    pid: 0,
    nonce: u64::from_be_bytes(*b"end pair"),
    index: 0,
    kind: FileKind::Process,
};
/// The file's name begins so until it is whole.
pub const UNFINISHED_PREFIX: &str = ".end-pair-";
/// More than the file is long.
const FILE_LIMIT: u64 = 1 << 16;
/// Brackets of the pair: one costs about 60 ns.
const BRACKETS: u32 = 64;

impl Run {
    /// Ties the ticks of killed processes to this boot's clock once, by a file of its own in the run, so that
    /// every later decode converts as this one, and so does one that runs at the same time. Does nothing where the run
    /// has later pairs already, is of another boot or clock, or can't be written.
    pub fn ensure_end_pair(&mut self) {
        let is_late = |pair: &ClockPair| {
            pair.source == PairSource::Supervisor as u32
                || pair.source == PairSource::Decoder as u32
        };
        let is_covered = self.supervisors.iter().any(|s| s.pairs.iter().any(is_late));
        let source = clock::detect();
        let needs_pair = self.processes.iter().any(|p| {
            p.liveness == Liveness::Ended && p.is_of_this_boot() && p.clock() == Some(source)
        });
        if is_covered || !needs_pair || source == ClockSource::Monotonic {
            return;
        }
        let pair = clock::pair(source, PairSource::Decoder, BRACKETS);
        if let Ok(pair) = write_or_read(self.files_dir(), source, pair) {
            self.add_supervisor_with(pair, source);
        }
    }

    /// Ties the ticks of living processes to the clock at this moment, in what was opened, not in its files: so that
    /// what they record now is converted without guessing how their counter went on. Does nothing for runs of another
    /// boot or clock.
    pub fn add_pair_of_now(&mut self) {
        let source = clock::detect();
        let is_tied = |p: &Process| {
            p.liveness == Liveness::Alive && p.is_of_this_boot() && p.clock() == Some(source)
        };
        if source == ClockSource::Monotonic || !self.processes.iter().any(is_tied) {
            return;
        }
        let pair = clock::pair(source, PairSource::Decoder, BRACKETS);
        self.add_supervisor_with(pair, source);
    }

    /// Adds a supervisor that knows nothing but a pair.
    fn add_supervisor_with(&mut self, pair: ClockPair, source: ClockSource) {
        let path = self.files_dir().join(NAME.to_string());
        let mut supervisor = Process::unknown(path, NAME.pid, NAME.nonce);
        supervisor.boot_id = sys::boot_id();
        supervisor.clock_source = source as u32;
        supervisor.pairs.push(pair);
        self.supervisors.push(supervisor);
    }
}

/// Writes the file with `pair`, or reads the pair of another decoder that was faster. The file appears whole.
fn write_or_read(dir: &Path, source: ClockSource, pair: ClockPair) -> io::Result<ClockPair> {
    let (path, unnamed) = (
        dir.join(NAME.to_string()),
        dir.join(format!("{UNFINISHED_PREFIX}{:016x}", sys::random_u64())),
    );
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unnamed)?
        .write_all(&file_bytes(source, &pair))?;
    let linked = fs::hard_link(&unnamed, &path);
    fs::remove_file(&unnamed)?;
    match linked {
        Ok(()) => Ok(pair),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => read(&path),
        Err(error) => Err(error),
    }
}

fn read(path: &Path) -> io::Result<ClockPair> {
    let file = ProcessFile::read(path, FILE_LIMIT).map_err(|e| io::Error::other(e.to_string()))?;
    let mut damaged_bytes = 0;
    let found = blocks(&file.body, &mut damaged_bytes);
    let pair = found.iter().find_map(|found| match found.block {
        Ok(Block::ClockPair(pair)) => Some(pair),
        _ => None,
    });
    pair.ok_or_else(|| io::Error::other("no clock pair in it"))
}

fn file_bytes(source: ClockSource, pair: &ClockPair) -> Vec<u8> {
    let mut header = ProcessHeader::new_zeroed();
    header.start = file_start(NAME.nonce, NAME.pid, 0, 0);
    header.role = ROLE_SUPERVISOR.into();
    header.parent_pid = sys::parent_id().into();
    header.start_time = sys::start_time(0).unwrap_or(0).into();
    header.pid_namespace = sys::pid_namespace().into();
    header.boot_id = sys::boot_id();
    header.created_mono_ns = pair.mono_ns.into();
    header.created_real_ns = pair.real_ns.into();
    header.clock_source = (source as u32).into();
    header.nominal_hz = clock::nominal_hz(source).into();
    header.rank = (-1).into();
    header.level_fd = (-1).into();
    header.uid = sys::user_id().into();
    header.host = sys::host_name();
    header.stem[..9].copy_from_slice(b"ringscope");
    let mut bytes = seal_process_header(&header).to_vec();
    let mut block = [0; 128];
    let len = Block::ClockPair(*pair).encode(&mut block).unwrap_or(0);
    bytes.extend_from_slice(block.get(..len).unwrap_or_default());
    bytes
}
