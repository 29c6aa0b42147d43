//! Draining: what threads publish in their rings is copied into segment files before it is overwritten.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ringscope_ringbuf::block::Block;
use ringscope_ringbuf::clock;
use ringscope_ringbuf::file::{
    self, FileError, FileErrorKind, FileKind, FileName, RingFile, RingState,
};
use ringscope_ringbuf::layout::{
    Kind, MODE_FULL, RECORD_LEN, RING_DRAIN_ALIVE_OFFSET, RING_DRAINED_OFFSET, Record,
    SEGMENTS_BY_SUPERVISOR, STAMP_VALID,
};
use ringscope_ringbuf::reader::copy_published;
use ringscope_ringbuf::sys;

use super::run_dir::RunDirectory;
use super::supervisor::{c_path, system_failure};
use crate::failure::Failure;
use crate::size::Size;

/// Records copied at once: 256 KiB, which stay in the processor's cache between reading and writing.
const CHUNK_RECORDS: u64 = 8192;
/// Passes that a slot may stay unpublished before what stands behind it is copied.
const PATIENCE_PASSES: u32 = 3;
/// Recording threads take the supervisor for dead when its last sign of life is much older than this.
const ALIVE_INTERVAL_NS: u64 = 250_000_000;

/// A slot that is reserved, and holds up what stands behind it: its writer was preempted in mid-record.
#[derive(Clone, Copy, Debug)]
struct Holdup {
    sequence: u64,
    passes: u32,
}

/// A ring, and the segment file it is drained into.
#[derive(Debug)]
pub(crate) struct DrainedRing {
    name: FileName,
    path: PathBuf,
    ring: RingFile,
    /// The same file, for the two words that the supervisor writes.
    words: File,
    segments: Option<File>,
    segments_len: u64,
    segment_count: u32,
    drained: u64,
    overwritten: u64,
    high_water: u64,
    holdup: Option<Holdup>,
    alive_told_ns: u64,
}

impl DrainedRing {
    /// Opens the ring file `name` of `run`; `None` when it is not one to be drained (flight mode).
    pub(crate) fn open(run: &Path, name: FileName) -> Result<Option<DrainedRing>, FileError> {
        let path = run.join(name.to_string());
        let ring = RingFile::open(&path)?;
        if ring.header.mode.get() != MODE_FULL {
            return Ok(None);
        }
        let words = OpenOptions::new()
            .write(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(&path)
            .map_err(|error| FileError {
                path: path.clone(),
                offset: 0,
                kind: FileErrorKind::Io(error),
            })?;
        let drained = ring.state()?.drained.max(ring.header.base_sequence.get());
        let mut ring = DrainedRing {
            name,
            path,
            ring,
            words,
            segments: None,
            segments_len: 0,
            segment_count: 0,
            drained,
            overwritten: 0,
            high_water: 0,
            holdup: None,
            alive_told_ns: 0,
        };
        // The thread saves its ring itself for as long as nobody has told it that somebody else does.
        let _ = ring.tell(clock::monotonic_ns());
        Ok(Some(ring))
    }

    /// Nonce of the process that writes the ring.
    pub(crate) fn nonce(&self) -> u64 {
        self.name.nonce
    }

    /// Records that the ring holds.
    pub(crate) fn capacity(&self) -> u64 {
        self.ring.capacity()
    }

    /// Bytes of the ring file.
    pub(crate) fn ring_bytes(&self) -> u64 {
        self.ring.file().len()
    }

    /// Copies what was published since the last call; the number of slots that the ring moved on by.
    pub(crate) fn drain(&mut self, buffer: &mut Vec<Record>) -> Result<u64, Failure> {
        let before = self.drained;
        let head = self.look()?.head.sequence;
        while self.drained < head {
            let wanted = self.drained..head.min(self.drained + CHUNK_RECORDS);
            let mut source = &self.ring;
            let copied = copy_published(&mut source, wanted, self.ring.capacity_log2(), buffer)
                .map_err(|error| Failure::of("drain", error))?;
            self.overwritten += copied.start - self.drained;
            self.drained = copied.start;
            let ready = self.ready(&copied, buffer)?;
            let saved = if copied.end < head {
                whole_records(&buffer[..ready])
            } else {
                ready
            };
            self.append(copied.start, &buffer[..saved])?;
            self.drained += saved as u64;
            if ready < buffer.len() {
                break;
            }
        }
        let moved = self.drained - before;
        let now_ns = clock::monotonic_ns();
        if moved > 0 || now_ns - self.alive_told_ns >= ALIVE_INTERVAL_NS {
            self.tell(now_ns)
                .map_err(|error| Failure::io("drain", &self.path, &error))?;
        }
        Ok(moved)
    }

    /// Tells the thread that the supervisor lives, without draining.
    pub(crate) fn refresh(&mut self) {
        let now_ns = clock::monotonic_ns();
        if now_ns - self.alive_told_ns >= ALIVE_INTERVAL_NS {
            // A ring that can't be written to is told when it is drained.
            let _ = self.tell(now_ns);
        }
    }

    /// Takes what a ring lost whose process has ended, and says what draining it came to.
    pub(crate) fn report(&mut self) -> Result<Block<'static>, Failure> {
        let head = self.look()?.head.sequence;
        // What the ring still holds stays there: the decoder reads both.
        let oldest = head.saturating_sub(self.capacity());
        self.overwritten += oldest.saturating_sub(self.drained);
        self.drained = self.drained.max(oldest);
        let wanted = self.high_water.max(self.capacity() + 1);
        Ok(Block::Drain {
            nonce: self.name.nonce,
            ring_index: self.name.index,
            wanted_log2: match self.overwritten {
                0 => 0,
                _ => wanted.next_power_of_two().trailing_zeros(),
            },
            overwritten: self.overwritten,
            high_water: self.high_water,
        })
    }

    /// Reads the ring's words, skips what the thread has saved itself, and notes how far behind the drain is.
    fn look(&mut self) -> Result<RingState, Failure> {
        let state = self
            .ring
            .state()
            .map_err(|error| Failure::of("drain", error))?;
        self.drained = self.drained.max(state.spilled.min(state.head.sequence));
        let behind = state.head.sequence.saturating_sub(self.drained);
        self.high_water = self.high_water.max(behind);
        Ok(state)
    }

    /// How many of the copied records can be saved now: those before the first that is still being written.
    fn ready(&mut self, copied: &Range<u64>, records: &[Record]) -> Result<usize, Failure> {
        let is_published = |record: &Record| record.w[3] & STAMP_VALID != 0;
        if records.iter().all(is_published) {
            return Ok(records.len());
        }
        let head = self
            .ring
            .state()
            .map_err(|error| Failure::of("drain", error))?
            .head
            .sequence;
        let given_up = self.given_up(head);
        let mut in_given_up = false;
        for (index, record) in records.iter().enumerate() {
            let sequence = copied.start + index as u64;
            if is_published(record) {
                in_given_up = false;
            } else if sequence + self.capacity() < head {
                self.overwritten += 1;
            } else if in_given_up || given_up == Some(sequence) {
                // The whole run of slots belongs to the record that was given up.
                in_given_up = true;
            } else {
                self.wait_for(sequence);
                return Ok(index);
            }
        }
        Ok(records.len())
    }

    /// The slot that has held up the drain for too long, if there is one.
    fn given_up(&self, head: u64) -> Option<u64> {
        let holdup = self.holdup?;
        let behind = head.saturating_sub(holdup.sequence);
        (holdup.passes > PATIENCE_PASSES && behind > self.capacity() / 4).then_some(holdup.sequence)
    }

    fn wait_for(&mut self, sequence: u64) {
        let passes = match self.holdup {
            Some(holdup) if holdup.sequence == sequence => holdup.passes + 1,
            _ => 1,
        };
        self.holdup = Some(Holdup { sequence, passes });
    }

    fn append(&mut self, first_sequence: u64, records: &[Record]) -> Result<(), Failure> {
        if records.is_empty() {
            return Ok(());
        }
        if self.segments.is_none() {
            self.create_segments()?;
        }
        let Some(segments) = &self.segments else {
            return Ok(());
        };
        let header = file::segment_header(self.segment_count, first_sequence, records.len() as u64);
        let bytes: &[u8] = bytemuck::cast_slice(records);
        let (header_at, records_at) = (self.segments_len, self.segments_len + RECORD_LEN as u64);
        // The header last: it stands before whole records only, also when this process is killed in between.
        let written = segments
            .write_all_at(bytes, records_at)
            .and_then(|()| segments.write_all_at(&header, header_at));
        if let Err(error) = written {
            // Half a segment would hide those that may follow it.
            let _ = segments.set_len(header_at);
            return Err(Failure::io("drain", &self.path, &error));
        }
        self.segments_len = records_at + bytes.len() as u64;
        self.segment_count += 1;
        Ok(())
    }

    fn create_segments(&mut self) -> Result<(), Failure> {
        let name = FileName {
            kind: FileKind::Drain,
            ..self.name
        };
        let path = self.path.with_file_name(name.to_string());
        let file = sys::create_new(&c_path(&path)?)
            .map_err(|errno| system_failure("drain", &path, errno))?;
        let header = file::segments_header(
            self.name.nonce,
            self.name.pid,
            self.name.index,
            self.ring.capacity_log2(),
            SEGMENTS_BY_SUPERVISOR,
        );
        file.write_all_at(&header, 0)
            .map_err(|error| Failure::io("drain", &path, &error))?;
        self.segments_len = header.len() as u64;
        self.segments = Some(file);
        Ok(())
    }

    /// Tells the thread up to where its ring is saved, and that the supervisor lives.
    fn tell(&mut self, now_ns: u64) -> io::Result<()> {
        const _: () = assert!(RING_DRAIN_ALIVE_OFFSET == RING_DRAINED_OFFSET + 8);
        let mut words = [0; 16];
        words[..8].copy_from_slice(&self.drained.to_le_bytes());
        words[8..].copy_from_slice(&now_ns.to_le_bytes());
        self.words
            .write_all_at(&words, RING_DRAINED_OFFSET as u64)?;
        self.alive_told_ns = now_ns;
        Ok(())
    }
}

/// How many of these records can be saved without parting one from its continuations, which the next copy may find
/// overwritten: all but the last one and what follows it.
fn whole_records(records: &[Record]) -> usize {
    let begins_one = |record: &Record| record.kind_number() != Kind::Continuation as u8;
    match records.iter().rposition(begins_one) {
        None | Some(0) => records.len(),
        Some(last) => last,
    }
}

/// What a pass over all rings found.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pass {
    /// The fullest ring: what it moved on by since the last pass, in parts of its capacity.
    pub(crate) fill: f64,
    /// How long the pass took.
    pub(crate) took: Duration,
}

/// All rings of the run that are drained.
#[derive(Debug)]
pub(crate) struct Drain {
    rings: Vec<DrainedRing>,
    reports: Vec<Block<'static>>,
    buffer: Vec<Record>,
    budget: Budget,
    stopped: Option<String>,
    /// One line per ring that could not be drained.
    pub(crate) failures: Vec<String>,
}

impl Drain {
    /// Nothing to drain yet.
    pub(crate) fn new(budget: Budget) -> Drain {
        Drain {
            rings: Vec::new(),
            reports: Vec::new(),
            buffer: Vec::new(),
            budget,
            stopped: None,
            failures: Vec::new(),
        }
    }

    /// Adds a ring.
    pub(crate) fn add(&mut self, ring: DrainedRing) {
        self.budget.taken_bytes += ring.ring_bytes();
        self.rings.push(ring);
    }

    /// Records that the smallest ring holds.
    pub(crate) fn smallest_capacity(&self) -> Option<u64> {
        self.rings.iter().map(DrainedRing::capacity).min()
    }

    /// Copies what was published since the last pass.
    pub(crate) fn pass(&mut self) -> Pass {
        let started = Instant::now();
        let mut fill: f64 = 0.0;
        if self.stopped.is_none() {
            self.stopped = self.budget.exceeded();
        }
        for ring in &mut self.rings {
            if self.stopped.is_some() {
                ring.refresh();
                continue;
            }
            let before = ring.segments_len;
            match ring.drain(&mut self.buffer) {
                Ok(moved) => fill = fill.max(moved as f64 / ring.capacity() as f64),
                Err(failure) => self.stopped = Some(failure.line().to_owned()),
            }
            self.budget.taken_bytes += ring.segments_len.saturating_sub(before);
        }
        Pass {
            fill,
            took: started.elapsed(),
        }
    }

    /// The process has ended: what its rings still hold stays in them.
    pub(crate) fn process_ended(&mut self, nonce: u64) {
        let (ended, alive) = std::mem::take(&mut self.rings)
            .into_iter()
            .partition(|ring| ring.nonce() == nonce);
        self.rings = alive;
        for ring in Vec::from_iter::<Vec<DrainedRing>>(ended) {
            self.report_ring(ring);
        }
    }

    /// Ends draining; what it came to, ring by ring.
    pub(crate) fn finish(&mut self) -> &[Block<'static>] {
        for ring in std::mem::take(&mut self.rings) {
            self.report_ring(ring);
        }
        &self.reports
    }

    /// Why draining stopped early, if it did.
    pub(crate) fn stopped(&self) -> Option<&str> {
        self.stopped.as_deref()
    }

    fn report_ring(&mut self, mut ring: DrainedRing) {
        match ring.report() {
            Ok(report) => self.reports.push(report),
            Err(failure) => self.failures.push(failure.line().to_owned()),
        }
    }
}

/// How much the run may take.
#[derive(Debug)]
pub(crate) struct Budget {
    directory: RunDirectory,
    limit_bytes: u64,
    taken_bytes: u64,
    space_looked_at: Option<Instant>,
}

impl Budget {
    /// Free space below this part of the file system stops the drain.
    const RESERVE_PART: u64 = 16;
    /// How often free space is looked at.
    const SPACE_INTERVAL: Duration = Duration::from_millis(50);

    /// A budget of `limit_bytes` for all files of the run.
    pub(crate) fn new(directory: RunDirectory, limit_bytes: u64) -> Budget {
        Budget {
            directory,
            limit_bytes,
            taken_bytes: 0,
            space_looked_at: None,
        }
    }

    /// Why no more may be written, if so.
    fn exceeded(&mut self) -> Option<String> {
        if self.taken_bytes > self.limit_bytes {
            return Some(format!(
                "the run takes {}, more than --max-size {}",
                Size::new(self.taken_bytes),
                Size::new(self.limit_bytes)
            ));
        }
        let fresh = |at: &Instant| at.elapsed() < Budget::SPACE_INTERVAL;
        if self.space_looked_at.as_ref().is_some_and(fresh) {
            return None;
        }
        self.space_looked_at = Some(Instant::now());
        let free_bytes = self.directory.free_bytes()?;
        let total_bytes = self.directory.file_system.total_bytes;
        (free_bytes < total_bytes / Budget::RESERVE_PART).then(|| {
            format!(
                "{}: {} free of {}, less than a sixteenth",
                self.directory.path.display(),
                Size::new(free_bytes),
                Size::new(total_bytes)
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_saved_with_its_continuations_or_not_at_all() {
        let record = |kind| Record {
            w: [0, 0, 0, Record::site_and_kind(1, kind)],
        };
        let (span, more) = (record(Kind::Span), record(Kind::Continuation));
        assert_eq!(whole_records(&[span, more, more, span, more]), 3);
        assert_eq!(whole_records(&[more, span, span]), 2);
        // The rest of a record whose beginning was saved, or is lost.
        assert_eq!(whole_records(&[more, more]), 2);
        assert_eq!(whole_records(&[]), 0);
    }
}
