//! The files of a run, read straight through `ringscope-ringbuf`, with no decoder between.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use ringscope_ringbuf::block::{Block, ClockPair, blocks};
use ringscope_ringbuf::file::{
    FileError, FileErrorKind, FileKind, FileName, LockFile, ProcessFile, RingFile, SegmentFile,
};
use ringscope_ringbuf::layout::{DropCause, END_CLEAN, ProcessHeader, Record};
use ringscope_ringbuf::payload::ArgType;
use ringscope_ringbuf::reader::copy_published;

/// A place in the program.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// Name; what is not UTF-8 became U+FFFD.
    pub name: String,
    /// Keys and types of the arguments.
    pub args: Vec<(String, ArgType)>,
}

/// A thread that had a ring.
#[derive(Clone, Debug)]
pub struct Owner {
    /// Thread id.
    pub tid: u32,
    /// Its first sequence in the ring.
    pub first_sequence: u64,
    /// One past its last sequence, where it said so.
    pub end_sequence: Option<u64>,
}

/// What the records of a process refer to.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    /// Sites by id.
    pub sites: HashMap<u32, Site>,
    /// Keys of late arguments by id.
    pub keys: HashMap<u32, String>,
    /// Names of lanes by number.
    pub lanes: HashMap<u16, String>,
    /// Owners by ring, oldest first.
    pub owners: HashMap<u32, Vec<Owner>>,
    /// Clock pairs in file order.
    pub pairs: Vec<ClockPair>,
    /// Sizes of the rings as powers of two: got and wished.
    pub ring_sizes: HashMap<u32, (u32, u32)>,
    /// Bytes that are no block.
    pub damaged_bytes: usize,
}

/// A ring and the segments saved from it.
#[derive(Debug)]
pub struct Ring {
    /// Number within the process.
    pub index: u32,
    /// The ring.
    pub file: RingFile,
    /// Segment files.
    pub segments: Vec<SegmentFile>,
}

/// A process that recorded.
#[derive(Debug)]
pub struct Process {
    /// Identity.
    pub header: ProcessHeader,
    /// What its records refer to.
    pub tables: Tables,
    /// Its rings by number.
    pub rings: Vec<Ring>,
    /// Its lock file.
    pub lock: LockFile,
}

/// A run's processes, and the files whose header was not complete when their writer died.
#[derive(Debug, Default)]
pub struct RunFiles {
    /// Processes by process id and nonce.
    pub processes: Vec<Process>,
    /// Files that had not got their magic yet.
    pub unborn: Vec<PathBuf>,
    /// Files that say why a process does not record.
    pub off: Vec<FileName>,
}

/// A file's contents, or `None` when its magic is not there yet.
fn born<T>(result: Result<T, FileError>, unborn: &mut Vec<PathBuf>) -> Result<Option<T>, String> {
    let error = match result {
        Ok(file) => return Ok(Some(file)),
        Err(error) => error,
    };
    let starts_with_zeros = match &error.kind {
        FileErrorKind::Unexpected {
            what: "magic",
            found,
            ..
        } => found == "\\x00".repeat(8).as_str(),
        FileErrorKind::Short { .. } => {
            let start = std::fs::read(&error.path).unwrap_or_default();
            start.iter().take(8).all(|byte| *byte == 0)
        }
        _ => false,
    };
    if starts_with_zeros {
        unborn.push(error.path);
        Ok(None)
    } else {
        Err(error.to_string())
    }
}

impl RunFiles {
    /// Reads the run in `dir`.
    ///
    /// # Errors
    ///
    /// When a file that was complete once can't be read, or has a foreign name.
    pub fn read(dir: &Path) -> Result<RunFiles, String> {
        let mut by_process: BTreeMap<(u32, u64), Vec<(FileName, PathBuf)>> = BTreeMap::new();
        let mut run = RunFiles::default();
        for entry in std::fs::read_dir(dir).map_err(|e| format!("{}: {e}", dir.display()))? {
            let path = entry.map_err(|e| e.to_string())?.path();
            let text = path.file_name().unwrap_or_default().to_string_lossy();
            if text == "level" {
                continue;
            }
            let name = FileName::parse(&text).ok_or(format!("{text}: a foreign file"))?;
            if name.kind == FileKind::Off {
                run.off.push(name);
                continue;
            }
            let files = by_process.entry((name.pid, name.nonce)).or_default();
            files.push((name, path));
        }
        for files in by_process.into_values() {
            if let Some(process) = Process::read(files, &mut run.unborn)? {
                run.processes.push(process);
            }
        }
        Ok(run)
    }
}

impl Process {
    fn read(
        mut files: Vec<(FileName, PathBuf)>,
        unborn: &mut Vec<PathBuf>,
    ) -> Result<Option<Process>, String> {
        files.sort();
        let path_of = |kind| {
            let found = files.iter().find(|(name, _)| name.kind == kind);
            found.map(|(_, path)| path.clone())
        };
        let (Some(process), Some(lock)) = (path_of(FileKind::Process), path_of(FileKind::Lock))
        else {
            unborn.extend(files.into_iter().map(|(_, path)| path));
            return Ok(None);
        };
        let lock = born(LockFile::read(&lock), unborn)?;
        let process = born(ProcessFile::read(&process, 1 << 30), unborn)?;
        let mut rings = Vec::new();
        for (name, path) in files.iter().filter(|(name, _)| name.kind == FileKind::Ring) {
            if let Some(file) = born(RingFile::open(path), unborn)? {
                rings.push(Ring {
                    index: name.index,
                    file,
                    segments: Vec::new(),
                });
            }
        }
        let is_segments = |kind| matches!(kind, FileKind::Drain | FileKind::Spill);
        for (name, path) in files.iter().filter(|(name, _)| is_segments(name.kind)) {
            let ring = rings.iter_mut().find(|ring| ring.index == name.index);
            let ring = ring.ok_or(format!("{}: no such ring", path.display()))?;
            ring.segments.extend(born(SegmentFile::open(path), unborn)?);
        }
        let (Some(lock), Some(process)) = (lock, process) else {
            return Ok(None);
        };
        Ok(Some(Process {
            header: process.header,
            tables: Tables::read(&process.body)?,
            rings,
            lock,
        }))
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.header.start.pid.get()
    }

    /// True when it ended by `exit`.
    pub fn ended_cleanly(&self) -> bool {
        self.lock.page.end_state.get() == END_CLEAN
    }

    /// The counters that are not zero.
    pub fn drops(&self) -> Vec<(DropCause, u64)> {
        let counts = DropCause::ALL.map(|cause| (cause, self.lock.drops(cause)));
        counts.into_iter().filter(|(_, count)| *count > 0).collect()
    }
}

impl Tables {
    /// Two threads that meet a name at once may both write it, then alike.
    fn put_site(&mut self, id: u32, site: Site) -> Result<(), String> {
        match self.sites.insert(id, site.clone()) {
            Some(other) if other != site => Err(format!("site {id} is {other:?} and {site:?}")),
            _ => Ok(()),
        }
    }

    fn read(body: &[u8]) -> Result<Tables, String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut damaged_bytes = 0;
        let mut tables = Tables::default();
        for found in blocks(body, &mut damaged_bytes) {
            match found
                .block
                .map_err(|bad| format!("block at byte {}: {bad:?}", found.offset))?
            {
                Block::Site(site) => {
                    let arg =
                        |arg: ringscope_ringbuf::block::Arg<'_>| (text(arg.key), arg.arg_type);
                    let args = site.args.iter().map(arg).collect();
                    let name = text(site.name);
                    tables.put_site(site.id, Site { name, args })?;
                }
                Block::Key { id, key } => drop(tables.keys.insert(id, text(key))),
                Block::Lane { lane, name, .. } => drop(tables.lanes.insert(lane, text(name))),
                Block::Owner {
                    ring_index,
                    tid,
                    first_sequence,
                    ..
                } => tables.owners.entry(ring_index).or_default().push(Owner {
                    tid,
                    first_sequence,
                    end_sequence: None,
                }),
                Block::ThreadEnd {
                    ring_index,
                    end_sequence,
                    ..
                } => {
                    let owners = tables.owners.entry(ring_index).or_default();
                    let last = owners.last_mut().ok_or("a thread ended that never began")?;
                    last.end_sequence = Some(end_sequence);
                }
                Block::ClockPair(pair) => tables.pairs.push(pair),
                Block::Ring {
                    ring_index,
                    capacity_log2,
                    wished_log2,
                    ..
                } => drop(
                    tables
                        .ring_sizes
                        .insert(ring_index, (capacity_log2, wished_log2)),
                ),
                _ => {}
            }
        }
        tables.damaged_bytes = damaged_bytes;
        Ok(tables)
    }
}

/// What a ring holds, its segments included.
#[derive(Clone, Debug)]
pub struct Contents {
    /// Sequence of the first of `records`.
    pub first: u64,
    /// One record a sequence, `None` where nothing is published.
    pub records: Vec<Option<Record>>,
    /// Records ever reserved, as the head word counts them.
    pub reserved: u64,
    /// Slots ever reserved.
    pub head: u64,
}

impl Ring {
    /// Everything that stands in the ring and its segments.
    ///
    /// # Errors
    ///
    /// When they can't be read, or a segment and the ring differ.
    pub fn contents(&self) -> Result<Contents, String> {
        let state = self.file.state().map_err(|e| e.to_string())?;
        let log2 = self.file.capacity_log2();
        let mut window = Vec::new();
        let range = copy_published(&mut &self.file, 0..u64::MAX, log2, &mut window)
            .map_err(|e| e.to_string())?;
        let saved = self.saved()?;
        let first = saved
            .keys()
            .next()
            .map_or(range.start, |s| *s.min(&range.start));
        let mut records = Vec::new();
        for sequence in first..range.end {
            let in_ring = sequence
                .checked_sub(range.start)
                .map(|at| window[at as usize])
                .filter(|record| record.is_stamped(sequence, log2));
            let in_segment = saved.get(&sequence).copied();
            if let (Some(ring), Some(segment)) = (in_ring, in_segment)
                && ring != segment
            {
                return Err(format!("sequence {sequence}: ring and segment differ"));
            }
            records.push(in_ring.or(in_segment));
        }
        Ok(Contents {
            first,
            records,
            reserved: state.head.record_count(state.continuations),
            head: state.head.sequence,
        })
    }

    /// The records in segments that are stamped for their sequence.
    fn saved(&self) -> Result<BTreeMap<u64, Record>, String> {
        let mut saved = BTreeMap::new();
        for file in &self.segments {
            for segment in &file.segments {
                let mut records = vec![Record::default(); segment.record_count as usize];
                file.read_records(segment, 0, &mut records)
                    .map_err(|e| e.to_string())?;
                let numbered = (segment.base_sequence..).zip(records);
                saved.extend(numbered.filter(|(s, r)| r.is_stamped(*s, file.capacity_log2())));
            }
        }
        Ok(saved)
    }

    /// All slots of the ring in slot order, whatever they hold.
    ///
    /// # Errors
    ///
    /// When they can't be read.
    pub fn slots(&self) -> Result<Vec<Record>, String> {
        let mut slots = vec![Record::default(); self.file.capacity() as usize];
        self.file
            .read_slots(0, &mut slots)
            .map_err(|e| e.to_string())?;
        Ok(slots)
    }
}
