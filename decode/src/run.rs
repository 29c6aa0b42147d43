//! A run: the files of one directory, sorted by process and ring, their headers and tables read and checked.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ringscope_ringbuf::block::{ClockPair, PairSource, SpanCost};
use ringscope_ringbuf::file::{FileKind, FileName, ProcessFile, RingFile};
use ringscope_ringbuf::layout::{ROLE_PROCESS, ROLE_SUPERVISOR};

use crate::error::{Error, ErrorKind, Problem};
use crate::pack::{self, Scratch};
use crate::process::{DrainOutcome, Exit, Liveness, Process, Ring, SupervisorFacts};

/// What a decoder refuses to read, so that a damaged or hostile run can't exhaust it.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest process file in bytes.
    pub process_file_bytes: u64,
    /// Largest number of files in a run.
    pub files: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            process_file_bytes: 256 << 20,
            files: 100_000,
        }
    }
}

/// A process that could not record at all, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffProcess {
    /// Process id.
    pub pid: u32,
    /// Error number of what failed.
    pub errno: i32,
}

/// A run, open for decoding. Records are read when a time line or a report is made of it.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its directory, or the pack that it came in.
    pub dir: PathBuf,
    /// Recorders, oldest first.
    pub processes: Vec<Process>,
    /// `ringscope record` and decoders, which only add clock pairs and facts.
    pub supervisors: Vec<Process>,
    /// The command that `ringscope record` ran.
    pub command: Option<Vec<String>>,
    /// Ends that the supervisor saw.
    pub exits: Vec<Exit>,
    /// What draining the rings came to.
    pub drains: Vec<DrainOutcome>,
    /// What a span took on the machine, measured by the supervisor.
    pub span_cost: Option<SpanCost>,
    /// Processes that could not record.
    pub off: Vec<OffProcess>,
    /// Damage that was skipped.
    pub problems: Vec<Problem>,
    bytes_on_disk: u64,
    /// Where the files of a pack lie as long as the run is open.
    unpacked: Option<Arc<Scratch>>,
}

/// The paths of one recorder's files.
#[derive(Default)]
struct RecorderFiles {
    process: Option<PathBuf>,
    rings: BTreeMap<u32, [Option<PathBuf>; 3]>,
}

impl RecorderFiles {
    fn place(&mut self, name: FileName, path: PathBuf) {
        let place = match name.kind {
            FileKind::Process => {
                self.process = Some(path);
                return;
            }
            FileKind::Ring => 0,
            FileKind::Drain => 1,
            FileKind::Spill => 2,
            // Found by the name of the process file, and by no other way.
            FileKind::Lock | FileKind::Off => return,
        };
        self.rings.entry(name.index).or_default()[place] = Some(path);
    }
}

impl Run {
    /// Opens the run in the directory `path`, or the pack of that name: reads names, process files, lock files and
    /// ring headers. A pack is unpacked into a temporary directory that goes with the run.
    ///
    /// # Errors
    ///
    /// When the directory can't be read, holds no file of a run, or more than the limit allows; when a pack is damaged or
    /// can't be unpacked. Damage to single files is told in [`Run::problems`].
    pub fn open(path: &Path, limits: &Limits) -> Result<Run, Error> {
        if path.is_file() {
            Run::open_pack(path, limits)
        } else {
            Run::open_dir(path, limits)
        }
    }

    fn open_pack(path: &Path, limits: &Limits) -> Result<Run, Error> {
        if !pack::is_pack(path) {
            return Err(Error::at(path, ErrorKind::NotARun));
        }
        let len_bytes = path.metadata().map_or(0, |metadata| metadata.len());
        let scratch = pack::unpack(path, limits)?;
        let mut run = Run::open_dir(scratch.path(), limits).map_err(|error| Error {
            path: Some(path.to_owned()),
            ..error
        })?;
        run.dir = path.to_owned();
        run.bytes_on_disk = len_bytes;
        run.unpacked = Some(Arc::new(scratch));
        let mut problems = std::mem::take(&mut run.problems);
        problems
            .iter_mut()
            .for_each(|problem| run.show_in_pack(problem));
        run.problems = problems;
        Ok(run)
    }

    fn open_dir(dir: &Path, limits: &Limits) -> Result<Run, Error> {
        let entries = std::fs::read_dir(dir).map_err(|error| Error::io(dir, error))?;
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| Error::io(dir, error))?;
            if let Some(name) = entry.file_name().to_str().and_then(FileName::parse) {
                files.push((name, entry.path()));
            }
            if files.len() > limits.files {
                let limit = limits.files;
                return Err(Error::at(dir, ErrorKind::TooManyFiles { limit }));
            }
        }
        let marks = |kind| matches!(kind, FileKind::Process | FileKind::Ring | FileKind::Off);
        if !files.iter().any(|(name, _)| marks(name.kind)) {
            return Err(Error::at(dir, ErrorKind::NotARun));
        }
        Ok(Run::from_files(dir, files, limits))
    }

    /// Opens single files: for each ring its process file, for each process file its rings, where they lie beside it.
    ///
    /// # Errors
    ///
    /// When a name is not that of a ring or process file, or its directory can't be read.
    pub fn open_files(paths: &[PathBuf], limits: &Limits) -> Result<Vec<Run>, Error> {
        let mut by_dir: BTreeMap<PathBuf, Vec<FileName>> = BTreeMap::new();
        for path in paths {
            let name = path.file_name().and_then(|name| name.to_str());
            let name = name
                .and_then(FileName::parse)
                .filter(|name| matches!(name.kind, FileKind::Process | FileKind::Ring))
                .ok_or_else(|| Error::at(path, ErrorKind::NotAFileOfARun))?;
            std::fs::symlink_metadata(path).map_err(|error| Error::io(path, error))?;
            let parent = path.parent().filter(|dir| !dir.as_os_str().is_empty());
            let dir = parent.unwrap_or(Path::new(".")).to_owned();
            by_dir.entry(dir).or_default().push(name);
        }
        let open = |(dir, names): (PathBuf, Vec<FileName>)| {
            let mut run = Run::open(&dir, limits)?;
            run.keep_only(&names);
            Ok(run)
        };
        by_dir.into_iter().map(open).collect()
    }

    fn keep_only(&mut self, names: &[FileName]) {
        let has = |nonce: u64, kind: FileKind, index: u32| {
            names
                .iter()
                .any(|n| n.nonce == nonce && n.kind == kind && n.index == index)
        };
        for process in &mut self.processes {
            let nonce = process.nonce;
            if !has(nonce, FileKind::Process, 0) {
                process
                    .rings
                    .retain(|ring| has(nonce, FileKind::Ring, ring.index));
            }
        }
        self.processes
            .retain(|p| has(p.nonce, FileKind::Process, 0) || !p.rings.is_empty());
        let kept: Vec<u64> = self.processes.iter().map(|p| p.nonce).collect();
        self.problems.retain(|problem| {
            let name = problem.path.file_name().and_then(|name| name.to_str());
            let name = name.and_then(FileName::parse);
            name.is_none_or(|name| kept.contains(&name.nonce))
        });
        self.off.clear();
    }

    fn from_files(dir: &Path, files: Vec<(FileName, PathBuf)>, limits: &Limits) -> Run {
        let mut run = Run {
            dir: dir.to_owned(),
            processes: Vec::new(),
            supervisors: Vec::new(),
            command: None,
            exits: Vec::new(),
            drains: Vec::new(),
            span_cost: None,
            off: Vec::new(),
            problems: Vec::new(),
            bytes_on_disk: 0,
            unpacked: None,
        };
        let mut recorders: BTreeMap<(u32, u64), RecorderFiles> = BTreeMap::new();
        for (name, path) in files {
            run.bytes_on_disk += path.symlink_metadata().map_or(0, |m| m.blocks() * 512);
            if name.kind == FileKind::Off {
                run.off.push(OffProcess {
                    pid: name.pid,
                    errno: name.index as i32,
                });
            } else {
                let recorder = recorders.entry((name.pid, name.nonce)).or_default();
                recorder.place(name, path);
            }
        }
        for ((pid, nonce), files) in recorders {
            run.add_recorder(pid, nonce, files, limits);
        }
        run.assign_exits();
        run.adopt_orphans();
        run.processes
            .sort_by_key(|p| (p.created_mono_ns, p.pid, p.nonce));
        run.off.sort_by_key(|off| (off.pid, off.errno));
        run
    }

    fn add_recorder(&mut self, pid: u32, nonce: u64, files: RecorderFiles, limits: &Limits) {
        if files.process.is_none() && files.rings.is_empty() {
            return;
        }
        let (mut process, facts, role) = self.read_process(pid, nonce, files.process, limits);
        self.command = facts.command.or(self.command.take());
        self.exits.extend(facts.exits);
        self.drains.extend(facts.drains);
        self.span_cost = facts.span_cost.or(self.span_cost);
        if role == ROLE_SUPERVISOR {
            self.supervisors.push(process);
            return;
        }
        for (index, [ring, drain, spill]) in files.rings {
            let file = ring.and_then(|path| match RingFile::open(&path) {
                Ok(ring) => Some((path, ring.header)),
                Err(error) => {
                    self.problems.push(error.into());
                    None
                }
            });
            process.rings.push(Ring {
                index,
                file,
                drain,
                spill,
            });
        }
        self.processes.push(process);
    }

    /// The process file of a recorder, or what its name tells when it is missing or damaged; and its role.
    fn read_process(
        &mut self,
        pid: u32,
        nonce: u64,
        path: Option<PathBuf>,
        limits: &Limits,
    ) -> (Process, SupervisorFacts, u16) {
        let name = FileName {
            pid,
            nonce,
            index: 0,
            kind: FileKind::Process,
        };
        let Some(path) = path else {
            let path = self.dir.join(name.to_string());
            let text =
                "expected the process file of the rings beside it, found none: names are unknown";
            self.problems.push(Problem::new(&path, None, text));
            let process = Process::unknown(path, pid, nonce);
            return (process, SupervisorFacts::default(), ROLE_PROCESS);
        };
        match ProcessFile::read(&path, limits.process_file_bytes) {
            Ok(file) => {
                let (process, facts) = Process::read(&path, &file, &mut self.problems);
                (process, facts, file.header.role.get())
            }
            Err(error) => {
                self.problems.push(error.into());
                let process = Process::unknown(path, pid, nonce);
                (process, SupervisorFacts::default(), ROLE_PROCESS)
            }
        }
    }

    fn assign_exits(&mut self) {
        for process in &mut self.processes {
            let seen = self
                .exits
                .iter()
                .rev()
                .find(|exit| exit.pid == process.pid && exit.start_time == process.start_time);
            process.exit = seen.map(|exit| exit.status);
        }
    }

    /// Rings without a process file get a clock: that of their headers, on the run's boot when it has just one.
    fn adopt_orphans(&mut self) {
        let known = |p: &&Process| p.boot_id != [0; 16];
        let mut boots: Vec<[u8; 16]> = self
            .processes
            .iter()
            .chain(&self.supervisors)
            .filter(known)
            .map(|p| p.boot_id)
            .collect();
        boots.sort_unstable();
        boots.dedup();
        let offset = self.processes.iter().find(known).map(|p| {
            (
                p.created_real_ns.wrapping_sub(p.created_mono_ns),
                p.nominal_hz,
            )
        });
        for process in self.processes.iter_mut().filter(|p| p.clock_source == 0) {
            let headers = process.rings.iter().filter_map(|ring| ring.file.as_ref());
            let headers: Vec<_> = headers.map(|(_, header)| *header).collect();
            let Some(first) = headers.first() else {
                continue;
            };
            process.clock_source = first.clock_source.get();
            process.created_mono_ns = first.created_mono_ns.get();
            if let [boot_id] = boots[..] {
                process.boot_id = boot_id;
            }
            if let Some((real_offset_ns, nominal_hz)) = offset {
                process.created_real_ns = process.created_mono_ns.wrapping_add(real_offset_ns);
                process.nominal_hz = nominal_hz;
            }
            process.pairs.extend(headers.iter().map(|header| ClockPair {
                ticks: header.created_ticks.get(),
                mono_ns: header.created_mono_ns.get(),
                real_ns: 0,
                // Two plain reads: worse than any pair that was taken with care.
                uncertainty_ns: 1_000_000,
                source: PairSource::Ring as u32,
            }));
        }
    }

    /// Where the run's files lie: its directory, or the one that its pack was unpacked into.
    pub(crate) fn files_dir(&self) -> &Path {
        self.unpacked
            .as_ref()
            .map_or(&self.dir, |scratch| scratch.path())
    }

    /// Makes a problem of an unpacked file one of the pack: the directory that it lay in is gone when people read it.
    pub(crate) fn show_in_pack(&self, problem: &mut Problem) {
        let Some(unpacked) = &self.unpacked else {
            return;
        };
        if let Ok(name) = problem.path.strip_prefix(unpacked.path()) {
            problem.path = self.dir.join(name);
        }
    }

    /// Bytes that the run's files take on disk.
    pub fn bytes_on_disk(&self) -> u64 {
        self.bytes_on_disk
    }

    /// True while a process of the run, or its supervisor, lives.
    pub fn is_alive(&self) -> bool {
        let mut all = self.processes.iter().chain(&self.supervisors);
        all.any(|process| process.liveness == Liveness::Alive)
    }
}
