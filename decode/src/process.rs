//! What one process file says: who recorded, and the tables that its records refer to.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use ringscope_ringbuf::block::{self, BadBlock, Block, ClockPair, LaneKind, PairSource, SpanCost};
use ringscope_ringbuf::clock::ClockSource;
use ringscope_ringbuf::file::{FileError, FileErrorKind, LockFile, ProcessFile, padded_text};
use ringscope_ringbuf::layout::{
    DropCause, END_CLEAN, LEVEL_ALL, ProcessHeader, RECORD_LEN, ROLE_SUPERVISOR, RingHeader,
};
use ringscope_ringbuf::payload::{ArgType, take_value};
use ringscope_ringbuf::sys;
use serde::Serialize;

use crate::error::Problem;

/// How a process stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Liveness {
    /// Ended without saying so: a signal, or `_exit`.
    #[serde(rename = "ended without saying so (signal or _exit)")]
    Ended,
    /// Ended by `exit` or by returning from `main`.
    #[serde(rename = "clean")]
    EndedCleanly,
    /// Still running.
    #[serde(rename = "alive")]
    Alive,
}

impl Liveness {
    /// The words that reports use.
    pub fn as_str(self) -> &'static str {
        match self {
            Liveness::Alive => "alive",
            Liveness::EndedCleanly => "clean",
            Liveness::Ended => "ended without saying so (signal or _exit)",
        }
    }
}

/// What the supervisor saw of a process's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// Exit code.
    Exited(i32),
    /// Number of the signal.
    Signaled(i32),
}

impl ExitStatus {
    /// From a wait status as `waitpid` gives it.
    pub fn from_wait_status(status: i32) -> ExitStatus {
        match status & 0x7F {
            0 => ExitStatus::Exited(status >> 8 & 0xFF),
            signal => ExitStatus::Signaled(signal),
        }
    }

    /// Exit code, where there is one.
    pub fn code(self) -> Option<i32> {
        match self {
            ExitStatus::Exited(code) => Some(code),
            ExitStatus::Signaled(_) => None,
        }
    }

    /// Name of the signal, where one ended the process.
    pub fn signal_name(self) -> Option<String> {
        const NAMES: [&str; 31] = [
            "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV",
            "USR2", "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN",
            "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
        ];
        let ExitStatus::Signaled(signal) = self else {
            return None;
        };
        let name = usize::try_from(signal - 1).ok().and_then(|i| NAMES.get(i));
        Some(name.map_or_else(|| format!("signal {signal}"), |name| format!("SIG{name}")))
    }
}

/// Drop counters of a process, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    counts: [u64; DropCause::ALL.len()],
}

impl Drops {
    /// Counter of one cause.
    pub fn get(&self, cause: DropCause) -> u64 {
        self.counts[cause as usize]
    }

    /// Causes that were counted at least once.
    pub fn iter(&self) -> impl Iterator<Item = (DropCause, u64)> + '_ {
        DropCause::ALL
            .into_iter()
            .map(|cause| (cause, self.get(cause)))
            .filter(|(_, count)| *count > 0)
    }
}

/// A ring that could not be made, or came out smaller than wished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RingFailure {
    /// Ring number.
    pub ring_index: u32,
    /// Size as a power of two of records; 0 when it was not made.
    pub capacity_log2: u32,
    /// Size that was wished.
    pub wished_log2: u32,
    /// Error number of the failure, 0 when it was made.
    pub errno: i32,
}

/// A ring of a process: its file, and the segments that were saved from it.
#[derive(Clone, Debug)]
pub struct Ring {
    /// Ring number within the process.
    pub index: u32,
    /// The ring file and its static header, where it could be read.
    pub file: Option<(PathBuf, RingHeader)>,
    /// Segments that the supervisor saved.
    pub drain: Option<PathBuf>,
    /// Segments that the thread itself saved.
    pub spill: Option<PathBuf>,
}

impl Ring {
    /// Records that its files can hold at most.
    pub(crate) fn records_at_most(&self) -> u64 {
        let ring = self.file.as_ref().map(|(path, _)| path);
        let files = [ring, self.drain.as_ref(), self.spill.as_ref()];
        let bytes = files.into_iter().flatten().filter_map(|path| {
            let metadata = path.symlink_metadata().ok()?;
            Some(metadata.len())
        });
        bytes.sum::<u64>() / RECORD_LEN as u64
    }
}

/// The type and value of an argument that is the same in every record of its site.
#[derive(Clone, Debug)]
pub(crate) struct Constant {
    pub key: String,
    pub arg_type: ArgType,
    pub value: Vec<u8>,
}

/// A place in the program.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub name: String,
    pub category: String,
    pub level: u8,
    pub args: Vec<(String, ArgType)>,
    pub constants: Vec<Constant>,
}

impl Site {
    /// Stands in for a site that nobody described.
    pub(crate) fn unknown(id: u32) -> Site {
        Site {
            name: format!("unknown site {id}"),
            category: String::new(),
            level: LEVEL_ALL as u8,
            args: Vec::new(),
            constants: Vec::new(),
        }
    }
}

/// One use of a lane number.
#[derive(Clone, Debug)]
pub(crate) struct LaneGeneration {
    pub kind: LaneKind,
    pub generation: u32,
    pub start_ticks: u64,
    pub device: u32,
    pub stream: u32,
    pub clock_domain: u32,
    pub name: String,
}

/// A thread that wrote a ring from some sequence on.
#[derive(Clone, Debug)]
pub struct Owner {
    /// Thread id.
    pub tid: u32,
    /// First sequence that is the thread's.
    pub first_sequence: u64,
    /// When it took the ring, in ticks.
    pub start_ticks: u64,
    /// Name, possibly empty.
    pub name: String,
}

/// A device clock read between two host clock reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Anchor {
    pub host_before_ticks: u64,
    pub device_ticks: u64,
    pub host_after_ticks: u64,
}

/// What records refer to by number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tables {
    pub sites: HashMap<u32, Site>,
    pub keys: HashMap<u32, String>,
    /// Generations of each lane number, by start.
    pub lanes: HashMap<u16, Vec<LaneGeneration>>,
    /// Owners of each ring, by first sequence.
    pub owners: HashMap<u32, Vec<Owner>>,
    /// Ticks a second and name of each clock domain.
    pub domains: HashMap<u32, (u64, String)>,
    pub anchors: HashMap<u32, Vec<Anchor>>,
}

/// A recorder within a process: one process file and the rings beside it.
#[derive(Clone, Debug)]
pub struct Process {
    /// The process file, or where it should be.
    pub path: PathBuf,
    /// Process id as the process saw it.
    pub pid: u32,
    /// Parent's process id.
    pub parent_pid: u32,
    /// Random number of the recorder.
    pub nonce: u64,
    /// Nonce of the recorder this process was forked from, 0 when it was not.
    pub parent_nonce: u64,
    /// Start time in clock ticks since boot.
    pub start_time: u64,
    /// Inode of the pid namespace.
    pub pid_namespace: u64,
    /// Boot id of the kernel.
    pub boot_id: [u8; 16],
    /// Host name.
    pub host: String,
    /// Name of the process, else the stem of its program's.
    pub name: String,
    /// Stem of its first argument, the program.
    pub stem: String,
    /// Rank, where it has one.
    pub rank: Option<i32>,
    /// [`ringscope_ringbuf::layout::MODE_FLIGHT`] or [`ringscope_ringbuf::layout::MODE_FULL`].
    pub mode: u32,
    /// Level mask, as last changed.
    pub level: u64,
    /// Number of a [`ClockSource`].
    pub clock_source: u32,
    /// Frequency of the clock source as stated, 0 when unknown.
    pub nominal_hz: u64,
    /// CLOCK_MONOTONIC when the process file was made, ns.
    pub created_mono_ns: u64,
    /// CLOCK_REALTIME at the same moment, ns since 1970.
    pub created_real_ns: u64,
    /// How it stands.
    pub liveness: Liveness,
    /// What the supervisor saw of its end.
    pub exit: Option<ExitStatus>,
    /// Records lost and poorer, as the process counted them.
    pub drops: Drops,
    /// Rings, by number.
    pub rings: Vec<Ring>,
    /// Rings that were not made, or smaller than wished.
    pub ring_failures: Vec<RingFailure>,
    /// Remarks of the recorder.
    pub messages: Vec<String>,
    /// Blocks of kinds that this version does not know.
    pub unknown_blocks: u64,
    pub(crate) pairs: Vec<ClockPair>,
    pub(crate) tables: Tables,
}

/// What a supervisor's process file holds beside the tables.
#[derive(Clone, Debug, Default)]
pub(crate) struct SupervisorFacts {
    pub command: Option<Vec<String>>,
    pub exits: Vec<Exit>,
    pub drains: Vec<DrainOutcome>,
    pub span_cost: Option<SpanCost>,
}

/// The supervisor saw a process end.
#[derive(Clone, Copy, Debug)]
pub struct Exit {
    /// Process id as the supervisor sees it.
    pub pid: u32,
    /// Start time of the process.
    pub start_time: u64,
    /// How it ended.
    pub status: ExitStatus,
    /// CLOCK_MONOTONIC when it was seen, ns.
    pub mono_ns: u64,
}

/// What draining a ring came to.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct DrainOutcome {
    /// Nonce of the ring's process.
    pub nonce: u64,
    /// Ring number.
    pub ring_index: u32,
    /// Size of the ring that would have lost nothing, as a power of two of records; 0 when nothing was lost.
    pub wanted_log2: u32,
    /// Slots that were overwritten before they could be drained.
    pub overwritten: u64,
    /// Largest number of slots that stood undrained at once.
    pub high_water: u64,
}

impl Process {
    /// Reads a process file and its lock file; damage inside goes to `problems`.
    pub(crate) fn read(
        path: &Path,
        file: &ProcessFile,
        problems: &mut Vec<Problem>,
    ) -> (Process, SupervisorFacts) {
        let mut process = Process::from_header(path, &file.header);
        let mut supervisor = SupervisorFacts::default();
        let mut damaged_bytes = 0;
        let body_at = file.header.start.header_len.get() as usize;
        for found in block::blocks(&file.body, &mut damaged_bytes) {
            match found.block {
                Ok(block) => process.take_block(&block, &mut supervisor),
                Err(BadBlock::UnknownKind(_)) => process.unknown_blocks += 1,
                Err(BadBlock::Payload(kind)) => problems.push(Problem::new(
                    path,
                    Some((body_at + found.offset) as u64),
                    format!(
                        "block: expected what kind {kind} holds, found something else; skipped"
                    ),
                )),
            }
        }
        if damaged_bytes > 0 {
            let text = format!("blocks: {damaged_bytes} bytes belong to no whole block; skipped");
            problems.push(Problem::new(path, None, text));
        }
        process.sort_tables();
        process.read_lock(file.header.role.get(), problems);
        (process, supervisor)
    }

    /// A process whose file is missing or damaged, as far as the names and headers of its rings tell.
    pub(crate) fn unknown(path: PathBuf, pid: u32, nonce: u64) -> Process {
        Process {
            path,
            pid,
            parent_pid: 0,
            nonce,
            parent_nonce: 0,
            start_time: 0,
            pid_namespace: 0,
            boot_id: [0; 16],
            host: String::new(),
            name: format!("process {pid}"),
            stem: String::new(),
            rank: None,
            mode: 0,
            level: 0,
            clock_source: 0,
            nominal_hz: 0,
            created_mono_ns: u64::MAX,
            created_real_ns: 0,
            liveness: Liveness::Ended,
            exit: None,
            drops: Drops::default(),
            rings: Vec::new(),
            ring_failures: Vec::new(),
            messages: Vec::new(),
            unknown_blocks: 0,
            pairs: Vec::new(),
            tables: Tables::default(),
        }
    }

    fn from_header(path: &Path, header: &ProcessHeader) -> Process {
        let stem = padded_text(&header.stem);
        let named = padded_text(&header.process_name);
        let name = if named.is_empty() {
            stem.clone()
        } else {
            named
        };
        Process {
            parent_pid: header.parent_pid.get(),
            parent_nonce: header.parent_nonce.get(),
            start_time: header.start_time.get(),
            pid_namespace: header.pid_namespace.get(),
            boot_id: header.boot_id,
            host: padded_text(&header.host),
            name,
            stem,
            rank: Some(header.rank.get()).filter(|rank| *rank >= 0),
            mode: header.mode.get(),
            level: header.level.get(),
            clock_source: header.clock_source.get(),
            nominal_hz: header.nominal_hz.get(),
            created_mono_ns: header.created_mono_ns.get(),
            created_real_ns: header.created_real_ns.get(),
            ..Process::unknown(
                path.to_owned(),
                header.start.pid.get(),
                header.start.nonce.get(),
            )
        }
    }

    fn take_block(&mut self, block: &Block<'_>, supervisor: &mut SupervisorFacts) {
        match *block {
            Block::Site(_) | Block::Key { .. } | Block::Lane { .. } => self.take_name(block),
            Block::Owner { .. } | Block::ThreadName { .. } => self.take_thread(block),
            // Whoever takes the ring next says from where on it is its own.
            Block::ThreadEnd { .. } => {}
            Block::ProcessName { name } => self.name = lossy(name),
            Block::ClockPair(pair) => self.pairs.push(pair),
            Block::ClockDomain {
                id,
                frequency_hz,
                name,
            } => {
                let domain = (frequency_hz, lossy(name));
                self.tables.domains.insert(id, domain);
            }
            Block::Anchor {
                domain,
                host_before_ticks,
                device_ticks,
                host_after_ticks,
            } => self.tables.anchors.entry(domain).or_default().push(Anchor {
                host_before_ticks,
                device_ticks,
                host_after_ticks,
            }),
            Block::Ring {
                ring_index,
                capacity_log2,
                wished_log2,
                errno,
            } => {
                if capacity_log2 < wished_log2 {
                    self.ring_failures.push(RingFailure {
                        ring_index,
                        capacity_log2,
                        wished_log2,
                        errno,
                    });
                }
            }
            Block::Message { text } => self.messages.push(lossy(text)),
            Block::Level { mask, .. } => self.level = mask,
            Block::Exit { .. }
            | Block::Command { .. }
            | Block::Drain { .. }
            | Block::SpanCost(_) => {
                supervisor.take(block);
            }
        }
    }

    fn take_name(&mut self, block: &Block<'_>) {
        match *block {
            Block::Site(site) => {
                // Ids are published once: should a damaged file hold one twice, the first stands.
                self.tables
                    .sites
                    .entry(site.id)
                    .or_insert_with(|| own_site(&site));
            }
            Block::Key { id, key } => {
                self.tables.keys.entry(id).or_insert_with(|| lossy(key));
            }
            Block::Lane {
                lane,
                kind,
                generation,
                start_ticks,
                device,
                stream,
                clock_domain,
                name,
            } => self
                .tables
                .lanes
                .entry(lane)
                .or_default()
                .push(LaneGeneration {
                    kind,
                    generation,
                    start_ticks,
                    device,
                    stream,
                    clock_domain,
                    name: lossy(name),
                }),
            _ => {}
        }
    }

    fn take_thread(&mut self, block: &Block<'_>) {
        let owners = &mut self.tables.owners;
        match *block {
            Block::Owner {
                ring_index,
                tid,
                first_sequence,
                start_ticks,
                name,
            } => owners.entry(ring_index).or_default().push(Owner {
                tid,
                first_sequence,
                start_ticks,
                name: lossy(name),
            }),
            Block::ThreadName {
                tid,
                ring_index,
                name,
            } => {
                let of_ring = owners.entry(ring_index).or_default();
                if let Some(owner) = of_ring.iter_mut().rev().find(|owner| owner.tid == tid) {
                    owner.name = lossy(name);
                }
            }
            _ => {}
        }
    }

    fn sort_tables(&mut self) {
        for generations in self.tables.lanes.values_mut() {
            generations.sort_by_key(|g| (g.start_ticks, g.generation));
        }
        for owners in self.tables.owners.values_mut() {
            owners.sort_by_key(|owner| owner.first_sequence);
        }
    }

    /// Liveness, end pair and drop counters, from the lock file and the process table.
    fn read_lock(&mut self, role: u16, problems: &mut Vec<Problem>) {
        let lock = match LockFile::read(&self.path.with_extension("lock")) {
            Ok(lock) => Some(lock),
            // A decoder that only adds a clock pair has no lock file.
            Err(error) if role == ROLE_SUPERVISOR && is_missing(&error) => None,
            Err(error) => {
                problems.push(error.into());
                None
            }
        };
        let ended_cleanly = lock
            .as_ref()
            .is_some_and(|lock| lock.page.end_state.get() == END_CLEAN);
        let is_locked = lock.as_ref().is_some_and(|lock| lock.holder.is_some());
        if let Some(lock) = &lock {
            for cause in DropCause::ALL {
                self.drops.counts[cause as usize] = lock.drops(cause);
            }
            if ended_cleanly {
                self.pairs.push(end_pair(lock));
            }
        }
        self.liveness = if is_locked {
            Liveness::Alive
        } else if ended_cleanly {
            Liveness::EndedCleanly
        } else if self.still_runs() {
            Liveness::Alive
        } else {
            Liveness::Ended
        };
    }

    /// The lock is gone when a program closes all its descriptors: the process table knows better, where it is ours.
    fn still_runs(&self) -> bool {
        self.is_of_this_boot()
            && self.pid_namespace != 0
            && self.pid_namespace == sys::pid_namespace()
            && self.pid != 0
            && sys::start_time(self.pid) == Some(self.start_time)
    }

    pub(crate) fn is_of_this_boot(&self) -> bool {
        self.boot_id != [0; 16] && self.boot_id == sys::boot_id()
    }

    /// The clock pair of a clean end.
    pub(crate) fn end_pair(&self) -> Option<&ClockPair> {
        let is_end = |pair: &&ClockPair| pair.source == PairSource::End as u32;
        self.pairs.iter().rev().find(is_end)
    }

    /// Source of the process's ticks, where this version knows it.
    pub fn clock(&self) -> Option<ClockSource> {
        ClockSource::from_u32(self.clock_source)
    }
}

impl SupervisorFacts {
    fn take(&mut self, block: &Block<'_>) {
        match *block {
            Block::Command { argv } => {
                let argv = argv.strip_suffix(&[0]).unwrap_or(argv);
                self.command = Some(argv.split(|b| *b == 0).map(lossy).collect());
            }
            Block::Exit {
                pid,
                status,
                start_time,
                mono_ns,
            } => self.exits.push(Exit {
                pid,
                start_time,
                status: ExitStatus::from_wait_status(status),
                mono_ns,
            }),
            Block::Drain {
                nonce,
                ring_index,
                wanted_log2,
                overwritten,
                high_water,
            } => self.drains.push(DrainOutcome {
                nonce,
                ring_index,
                wanted_log2,
                overwritten,
                high_water,
            }),
            Block::SpanCost(cost) => self.span_cost = Some(cost),
            _ => {}
        }
    }
}

fn is_missing(error: &FileError) -> bool {
    matches!(&error.kind, FileErrorKind::Io(io) if io.kind() == std::io::ErrorKind::NotFound)
}

fn end_pair(lock: &LockFile) -> ClockPair {
    ClockPair {
        ticks: lock.page.end_ticks.get(),
        mono_ns: lock.page.end_mono_ns.get(),
        real_ns: lock.page.end_real_ns.get(),
        uncertainty_ns: u32::try_from(lock.page.end_uncertainty_ns.get()).unwrap_or(u32::MAX),
        source: PairSource::End as u32,
    }
}

fn own_site(site: &block::Site<'_>) -> Site {
    let constants = site.constants.iter().filter_map(|arg| {
        // A constant that can't be read now never can: it is left out once instead of in every record.
        take_value(&mut &*arg.value, arg.arg_type)?;
        Some(Constant {
            key: lossy(arg.key),
            arg_type: arg.arg_type,
            value: arg.value.to_vec(),
        })
    });
    Site {
        name: lossy(site.name),
        category: lossy(site.category),
        level: site.level,
        args: site
            .args
            .iter()
            .map(|arg| (lossy(arg.key), arg.arg_type))
            .collect(),
        constants: constants.collect(),
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
