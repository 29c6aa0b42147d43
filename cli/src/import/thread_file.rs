//! The records of one thread of an imported process: all of them in segments, beside a ring that says how many they are.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ringscope_ringbuf::clock::ClockSource;
use ringscope_ringbuf::file::{
    FileKind, FileName, file_start, seal_ring_header, segment_header, segments_header,
};
use ringscope_ringbuf::layout::{
    CONTINUATION_PAYLOAD, Kind, MODE_FULL, OPEN_SLOT_LEN, RECORD_LEN, RING_CONTINUATIONS_OFFSET,
    RING_HEAD_OFFSET, RING_SPILLED_OFFSET, Record, RingHeader, SEGMENTS_BY_THREAD, SEQUENCE_MASK,
    ring_header_len,
};
use ringscope_ringbuf::payload::payload_word;

/// The ring holds 2^this records, more than the longest of them takes.
const CAPACITY_LOG2: u32 = 12;
/// Records that are written at once.
const SEGMENT_RECORDS: usize = 1 << 10;

/// A thread's ring and segment file.
#[derive(Debug)]
pub(super) struct ThreadFile {
    ring: FileName,
    tid: u32,
    segments_path: PathBuf,
    pending: Vec<Record>,
    next_sequence: u64,
    record_count: u64,
    continuations: u64,
    segment_count: u32,
    len_bytes: u64,
}

impl ThreadFile {
    /// The records of thread `tid`, in ring `index` of the recorder `process` of the run in `dir`.
    pub(super) fn new(dir: &Path, process: FileName, index: u32, tid: u32) -> ThreadFile {
        let name = |kind| FileName {
            index,
            kind,
            ..process
        };
        ThreadFile {
            ring: name(FileKind::Ring),
            tid,
            segments_path: dir.join(name(FileKind::Spill).to_string()),
            pending: Vec::new(),
            next_sequence: 0,
            record_count: 0,
            continuations: 0,
            segment_count: 0,
            len_bytes: 0,
        }
    }

    pub(super) fn tid(&self) -> u32 {
        self.tid
    }

    pub(super) fn index(&self) -> u32 {
        self.ring.index
    }

    /// Appends a record whose payload behind its words is `tail`.
    ///
    /// # Errors
    ///
    /// When the segment file can't be written.
    pub(super) fn push(
        &mut self,
        words: [u64; 3],
        site_and_kind: u64,
        tail: &[u8],
    ) -> io::Result<()> {
        self.push_slot(words, site_and_kind);
        for chunk in tail.chunks(CONTINUATION_PAYLOAD) {
            let words = [0, 1, 2].map(|index| payload_word(chunk, index));
            let last = payload_word(chunk, 3) as u32;
            self.push_slot(words, Record::site_and_kind(last, Kind::Continuation));
            self.continuations += 1;
        }
        self.record_count += 1;
        if self.pending.len() >= SEGMENT_RECORDS {
            self.write_segment()?;
        }
        Ok(())
    }

    fn push_slot(&mut self, [w0, w1, w2]: [u64; 3], site_and_kind: u64) {
        let stamp = Record::stamp(self.next_sequence, CAPACITY_LOG2);
        self.pending.push(Record {
            w: [w0, w1, w2, site_and_kind | stamp],
        });
        self.next_sequence += 1;
    }

    fn write_segment(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::with_capacity((self.pending.len() + 3) * RECORD_LEN);
        if self.len_bytes == 0 {
            let FileName {
                pid, nonce, index, ..
            } = self.ring;
            let header = segments_header(nonce, pid, index, CAPACITY_LOG2, SEGMENTS_BY_THREAD);
            bytes.extend_from_slice(&header);
        }
        let count = self.pending.len() as u64;
        let header = segment_header(self.segment_count, self.next_sequence - count, count);
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(bytemuck::cast_slice(&self.pending));
        // Opened anew each time: a log may hold more threads than a process may have files open.
        let file = private_file(&self.segments_path)?;
        file.write_all_at(&bytes, self.len_bytes)?;
        self.len_bytes += bytes.len() as u64;
        self.segment_count += 1;
        self.pending.clear();
        Ok(())
    }

    /// Writes what is left, and the ring.
    ///
    /// # Errors
    ///
    /// When a file can't be written.
    pub(super) fn finish(&mut self, dir: &Path) -> io::Result<()> {
        self.write_segment()?;
        let header = RingHeader {
            start: file_start(self.ring.nonce, self.ring.pid, self.ring.index, RECORD_LEN),
            capacity_log2: CAPACITY_LOG2.into(),
            open_slot_count: 0.into(),
            open_slot_len: (OPEN_SLOT_LEN as u32).into(),
            mode: MODE_FULL.into(),
            base_sequence: 0.into(),
            created_ticks: 0.into(),
            created_mono_ns: 0.into(),
            clock_source: (ClockSource::Monotonic as u32).into(),
            tid: self.tid.into(),
            reserved: [0; 24],
        };
        let mut bytes = vec![0; ring_header_len(0)];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(0, &seal_ring_header(&header));
        let head = (self.record_count << 48) | (self.next_sequence & SEQUENCE_MASK);
        put(RING_HEAD_OFFSET, &head.to_le_bytes());
        put(RING_CONTINUATIONS_OFFSET, &self.continuations.to_le_bytes());
        put(RING_SPILLED_OFFSET, &self.next_sequence.to_le_bytes());
        let file = private_file(&dir.join(self.ring.to_string()))?;
        file.write_all_at(&bytes, 0)?;
        // The slots stay empty: the segments hold all records.
        file.set_len((bytes.len() + (RECORD_LEN << CAPACITY_LOG2)) as u64)
    }
}

/// Opens a file that nobody else may read for writing, and makes it where there is none.
pub(super) fn private_file(path: &Path) -> io::Result<File> {
    File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}
