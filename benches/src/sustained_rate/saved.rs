//! What of a run was saved, counted record by record.

use std::fs;
use std::path::Path;

use ringscope_ringbuf::block::{Block, blocks};
use ringscope_ringbuf::file::{FileKind, FileName, ProcessFile, RingFile, SegmentFile};
use ringscope_ringbuf::layout::Record;

/// Process files of benches are small; one that is larger is no process file.
const PROCESS_FILE_LIMIT: u64 = 64 << 20;
/// Records read at once.
const CHUNK_RECORDS: u64 = 1 << 16;

/// What a run with one ring holds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Saved {
    /// Records found, each once, in the ring and in the segments that the supervisor and the thread wrote.
    pub(crate) found: u64,
    /// What the supervisor counted as overwritten.
    pub(crate) overwritten: u64,
    /// The most records that it was behind.
    pub(crate) high_water: u64,
    /// Records of the ring that it says would have done; 0 when nothing was overwritten.
    pub(crate) wanted_records: u64,
}

impl Saved {
    /// Looks through the files of `run`.
    ///
    /// # Errors
    ///
    /// What could not be read, where and why.
    pub(crate) fn of(run: &Path) -> Result<Saved, String> {
        let failed = |why: &dyn std::fmt::Display| format!("read: {}: {why}", run.display());
        let mut saved = Saved::default();
        let mut sequences = Sequences::default();
        for entry in fs::read_dir(run).map_err(|error| failed(&error))? {
            let path = entry.map_err(|error| failed(&error))?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            match name.and_then(FileName::parse).map(|name| name.kind) {
                Some(FileKind::Process) => {
                    let file = ProcessFile::read(&path, PROCESS_FILE_LIMIT)
                        .map_err(|error| failed(&error))?;
                    saved.take_reports(&file);
                }
                Some(FileKind::Ring) => {
                    sequences.take_ring(&path).map_err(|error| failed(&error))?
                }
                Some(FileKind::Drain | FileKind::Spill) => sequences
                    .take_segments(&path)
                    .map_err(|error| failed(&error))?,
                _ => {}
            }
        }
        saved.found = sequences.count();
        Ok(saved)
    }

    fn take_reports(&mut self, file: &ProcessFile) {
        for found in blocks(&file.body, &mut 0) {
            if let Ok(Block::Drain {
                overwritten,
                high_water,
                wanted_log2,
                ..
            }) = found.block
            {
                self.overwritten += overwritten;
                self.high_water = self.high_water.max(high_water);
                if overwritten > 0 {
                    self.wanted_records = self.wanted_records.max(1 << wanted_log2);
                }
            }
        }
    }
}

/// Which sequences were found.
#[derive(Debug, Default)]
struct Sequences {
    found: Vec<bool>,
}

impl Sequences {
    fn take_ring(&mut self, path: &Path) -> Result<(), ringscope_ringbuf::file::FileError> {
        let ring = RingFile::open(path)?;
        let head = ring.state()?.head.sequence;
        let mut slots = vec![Record::default(); ring.capacity() as usize];
        ring.read_slots(0, &mut slots)?;
        let mask = ring.capacity() - 1;
        for sequence in head.saturating_sub(ring.capacity())..head {
            let record = &slots[(sequence & mask) as usize];
            self.take(sequence, record, ring.capacity_log2());
        }
        Ok(())
    }

    fn take_segments(&mut self, path: &Path) -> Result<(), ringscope_ringbuf::file::FileError> {
        let file = SegmentFile::open(path)?;
        let mut records = Vec::new();
        for segment in &file.segments {
            let mut first = 0;
            while first < segment.record_count {
                let count = CHUNK_RECORDS.min(segment.record_count - first);
                records.resize(count as usize, Record::default());
                file.read_records(segment, first, &mut records)?;
                for (sequence, record) in (segment.base_sequence + first..).zip(&records) {
                    self.take(sequence, record, file.capacity_log2());
                }
                first += count;
            }
        }
        Ok(())
    }

    fn take(&mut self, sequence: u64, record: &Record, capacity_log2: u32) {
        if !record.is_stamped(sequence, capacity_log2) {
            return;
        }
        let index = sequence as usize;
        if self.found.len() <= index {
            self.found.resize((index + 1).next_power_of_two(), false);
        }
        self.found[index] = true;
    }

    fn count(&self) -> u64 {
        self.found.iter().filter(|found| **found).count() as u64
    }
}
