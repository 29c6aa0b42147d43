//! A ring and the segments saved from it become one sequence of valid records, with what is missing counted.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::ops::Range;
use std::path::Path;

use ringscope_ringbuf::file::{FileError, RingFile, RingState, Segment, SegmentFile};
use ringscope_ringbuf::layout::{
    LAP_MASK, RECORD_LEN, Record, SEQUENCE_MASK, STAMP_SHIFT, STAMP_VALID,
};
use ringscope_ringbuf::reader::{Head, OpenSlot, OpenState, copy_published, recover_by_stamps};

use crate::error::Problem;
use crate::process::Ring;

/// Records read from a segment at once.
const SEGMENT_CHUNK: usize = 4096;

/// What a ring's header says about how much was written, and which of it the ring can still hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    /// Sequence of the first record ever written.
    pub base_sequence: u64,
    /// Sequence behind the last reserved slot.
    pub end_sequence: u64,
    /// Slots from here on can't have been overwritten: one that is unpublished is torn.
    pub window_start: u64,
    /// Records ever reserved, continuations not counted; `None` when the head word is damaged.
    pub record_count: Option<u64>,
    /// Slots that a truncated file lacks.
    pub missing_slots: u64,
}

/// The records of one ring, ready to be walked.
pub(crate) struct RingSource {
    pub extent: Option<Extent>,
    pub open: Vec<(u32, OpenSlot)>,
    /// Open slots that were being changed, or are damaged.
    pub mixed_open: u64,
    pub problems: Vec<Problem>,
    capacity_log2: u32,
    copy: Vec<Run>,
    segments: Vec<SegmentFile>,
}

/// Records copied from a ring, by sequence; unpublished slots are zeros.
struct Run {
    first: u64,
    records: Vec<Record>,
}

impl RingSource {
    /// Copies the ring's records and opens its segment files. The ring is copied first: what is overwritten
    /// later stands in the segments by then. Open slots come before it: a span that ends between is seen twice,
    /// which is noticed, not missed. `is_live`: the ring may still be written.
    pub(crate) fn open(ring: &Ring, is_live: bool) -> RingSource {
        let mut source = RingSource {
            extent: None,
            open: Vec::new(),
            mixed_open: 0,
            problems: Vec::new(),
            capacity_log2: 0,
            copy: Vec::new(),
            segments: Vec::new(),
        };
        if let Some((path, _)) = &ring.file
            && let Err(error) = source.copy_ring(path, is_live)
        {
            source.problems.push(error.into());
        }
        for path in [&ring.drain, &ring.spill].into_iter().flatten() {
            match SegmentFile::open(path) {
                Ok(file) => source.add_segments(file, is_live),
                Err(error) => source.problems.push(error.into()),
            }
        }
        source
    }

    fn copy_ring(&mut self, path: &Path, is_live: bool) -> Result<(), FileError> {
        let file = RingFile::open(path)?;
        self.capacity_log2 = file.capacity_log2();
        for (index, state) in file.open_slots()? {
            match state {
                OpenState::Open(slot) => self.open.push((index, slot)),
                OpenState::Mixed => self.mixed_open += 1,
                OpenState::Free => {}
            }
        }
        let state = file.state()?;
        let base_sequence = file.header.base_sequence.get() & SEQUENCE_MASK;
        let end_sequence = state.head.sequence;
        let oldest = end_sequence.saturating_sub(file.capacity());
        let first = base_sequence.max(oldest).min(end_sequence);
        self.copy = copy_runs(&file, first..end_sequence)?;
        let after = file.state()?.head.sequence;
        let missing_slots = missing_slots(&file);
        if missing_slots > 0 {
            let text = format!("ring: the file is cut short: {missing_slots} slots are missing");
            self.problems.push(Problem::new(path, None, text));
        }
        self.extent = Some(Extent {
            base_sequence,
            end_sequence,
            window_start: first.max(after.saturating_sub(file.capacity())),
            record_count: Some(record_count(state, base_sequence)),
            missing_slots,
        });
        // A writer that goes on stamps slots beyond the head that was read: only a still ring, and a whole one, can
        // contradict it.
        if !is_live && missing_slots == 0 {
            self.check_head(&file, state, base_sequence)?;
        }
        Ok(())
    }

    /// Falls back to the stamps when those in the ring say that the head word can't be right.
    fn check_head(
        &mut self,
        file: &RingFile,
        state: RingState,
        base_sequence: u64,
    ) -> Result<(), FileError> {
        let head = state.head.sequence;
        let copied = self.copy.iter().flat_map(|run| &run.records);
        let published = copied.filter(|record| is_published(record)).count();
        if head >= base_sequence && published as u64 == file.capacity() {
            return Ok(());
        }
        let mut slots = vec![Record::default(); file.capacity() as usize];
        file.read_slots(0, &mut slots)?;
        if !contradicts(&slots, head, file.capacity_log2()) && head >= base_sequence {
            return Ok(());
        }
        let (first, records) = recover_by_stamps(&slots, file.capacity_log2());
        self.problems.push(Problem::new(
            file.file().path(),
            Some(ringscope_ringbuf::layout::RING_HEAD_OFFSET as u64),
            format!(
                "head word: expected the sequence that the stamps of the ring lead to, found {head}; \
                 read by the stamps alone"
            ),
        ));
        let end_sequence = first + records.len() as u64;
        self.copy = vec![Run { first, records }];
        self.extent = Some(Extent {
            base_sequence: base_sequence.min(first),
            end_sequence,
            window_start: first,
            record_count: None,
            missing_slots: self.extent.map_or(0, |extent| extent.missing_slots),
        });
        Ok(())
    }

    fn add_segments(&mut self, file: SegmentFile, is_live: bool) {
        if let Some(offset) = file
            .damaged_at
            .filter(|at| !is_live && !is_unfinished(&file, *at))
        {
            self.problems.push(Problem::new(
                file.file().path(),
                Some(offset),
                "segment: expected a whole segment, found another thing; the rest of the file is skipped",
            ));
        }
        self.segments.push(file);
    }

    /// Walks all valid records by sequence, each once.
    ///
    /// # Errors
    ///
    /// Nothing fails as a whole: segments that can't be read are left out and told in the answer.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(u64, &Record)) -> Vec<Problem> {
        let end = self.extent.map_or(u64::MAX, |extent| extent.end_sequence);
        let mut heap: BinaryHeap<Reverse<Cursor<'_>>> = BinaryHeap::new();
        heap.extend(self.copy.iter().map(Cursor::over_run).map(Reverse));
        for (rank, file) in self.segments.iter().enumerate() {
            for segment in &file.segments {
                heap.extend(Cursor::over_segment(file, *segment, rank + 1).map(Reverse));
            }
        }
        let mut problems = Vec::new();
        let mut next = 0;
        while let Some(mut top) = heap.peek_mut() {
            let cursor = &mut top.0;
            if cursor.sequence >= end {
                break;
            }
            // An unread segment has no record yet; one that another cursor gave already is passed over.
            if let Some(record) = cursor.record()
                && cursor.sequence >= next
            {
                visit(cursor.sequence, &record);
                next = cursor.sequence + 1;
            }
            match cursor.advance(next) {
                Ok(true) => {}
                Ok(false) => {
                    PeekMut::pop(top);
                }
                Err(error) => {
                    problems.push(error.into());
                    PeekMut::pop(top);
                }
            }
        }
        problems
    }
}

/// True where a segment was being written when its writer died: its header comes last, after its records. Those
/// stand in the ring as well.
fn is_unfinished(file: &SegmentFile, offset: u64) -> bool {
    let mut header = [0; RECORD_LEN];
    let whole = offset + (header.len() as u64) <= file.file().len();
    !whole || (file.file().read_at(offset, &mut header).is_ok() && header == [0; RECORD_LEN])
}

/// Slots that a truncated file lacks; one that is cut in half is no slot.
fn missing_slots(file: &RingFile) -> u64 {
    file.missing_bytes().div_ceil(RECORD_LEN as u64)
}

/// Copies the records of `wanted`, at most a ring of them, as far as the file holds their slots: memory follows what
/// is there, not what the header claims. A whole ring is copied in one go, since its writer may be at work.
fn copy_runs(file: &RingFile, wanted: Range<u64>) -> Result<Vec<Run>, FileError> {
    let capacity = file.capacity();
    let slots_there = capacity - missing_slots(file).min(capacity);
    let mut runs = Vec::new();
    let mut at = wanted.start;
    while at < wanted.end {
        let slot = at & (capacity - 1);
        if slot >= slots_there {
            at += capacity - slot;
            continue;
        }
        let end = if slots_there == capacity {
            wanted.end
        } else {
            wanted.end.min(at + slots_there - slot)
        };
        let mut records = Vec::new();
        let copied = copy_published(&mut &*file, at..end, file.capacity_log2(), &mut records)?;
        runs.push(Run {
            first: copied.start,
            records,
        });
        at = end;
    }
    Ok(runs)
}

/// Records ever reserved. The head counts them modulo 2^16 from zero, the sequence from the ring's base.
fn record_count(state: RingState, base_sequence: u64) -> u64 {
    let written = Head {
        sequence: state.head.sequence.saturating_sub(base_sequence),
        records_mod: state.head.records_mod,
    };
    written.record_count(state.continuations)
}

fn is_published(record: &Record) -> bool {
    record.w[3] & STAMP_VALID != 0
}

/// True when the stamps can't come from a writer whose next sequence is `head`: the slot that it would write next
/// is published already, or more slots carry laps that are too new or too old than fitting ones.
fn contradicts(slots: &[Record], head: u64, capacity_log2: u32) -> bool {
    let mask = (1u64 << capacity_log2) - 1;
    let next = slots.get((head & mask) as usize);
    if next.is_some_and(|record| record.is_stamped(head, capacity_log2)) {
        return true;
    }
    let (mut fitting, mut wrong) = (0u64, 0u64);
    for (slot, record) in (0u64..).zip(slots).filter(|(_, r)| is_published(r)) {
        // The last sequence below `head` that falls into this slot.
        let lap = head.wrapping_sub(slot + 1) >> capacity_log2;
        let stamped = record.w[3] >> STAMP_SHIFT & LAP_MASK;
        match lap.wrapping_sub(stamped) & LAP_MASK {
            // One lap behind: reserved, not written yet when the process died.
            0 => fitting += 1,
            1 => {}
            _ => wrong += 1,
        }
    }
    wrong > fitting
}

/// A place in a run of records that lie one after the other.
struct Cursor<'a> {
    /// Sequence of the record it stands on.
    sequence: u64,
    /// Among equal sequences the lower comes first: the ring's copy, then segments by file.
    rank: usize,
    end: u64,
    place: Place<'a>,
}

enum Place<'a> {
    Ring(&'a Run),
    Segment {
        file: &'a SegmentFile,
        segment: Segment,
        chunk: Vec<Record>,
        chunk_first: u64,
    },
}

impl<'a> Cursor<'a> {
    fn over_run(run: &'a Run) -> Cursor<'a> {
        Cursor {
            sequence: run.first,
            rank: 0,
            end: run.first + run.records.len() as u64,
            place: Place::Ring(run),
        }
    }

    /// Reads nothing yet: a segment is opened when its first sequence comes up.
    fn over_segment(file: &'a SegmentFile, segment: Segment, rank: usize) -> Option<Cursor<'a>> {
        let range: Range<u64> =
            segment.base_sequence..segment.base_sequence.checked_add(segment.record_count)?;
        let cursor = Cursor {
            sequence: range.start,
            rank,
            end: range.end,
            place: Place::Segment {
                file,
                segment,
                chunk: Vec::new(),
                chunk_first: range.start,
            },
        };
        (!range.is_empty()).then_some(cursor)
    }

    /// The record it stands on, when it is there and valid.
    fn record(&self) -> Option<Record> {
        match &self.place {
            Place::Ring(run) => {
                let at = usize::try_from(self.sequence - run.first).ok()?;
                run.records.get(at).copied().filter(is_published)
            }
            Place::Segment {
                file,
                chunk,
                chunk_first,
                ..
            } => {
                let at = usize::try_from(self.sequence - chunk_first).ok()?;
                let record = chunk.get(at).copied()?;
                record
                    .is_stamped(self.sequence, file.capacity_log2())
                    .then_some(record)
            }
        }
    }

    /// Moves to the next valid record at or after `next`; false when there is none.
    fn advance(&mut self, next: u64) -> Result<bool, FileError> {
        self.sequence = self.sequence.max(next);
        while self.sequence < self.end {
            self.fill()?;
            if self.record().is_some() {
                return Ok(true);
            }
            self.sequence += 1;
        }
        Ok(false)
    }

    fn fill(&mut self) -> Result<(), FileError> {
        let Place::Segment {
            file,
            segment,
            chunk,
            chunk_first,
        } = &mut self.place
        else {
            return Ok(());
        };
        let is_inside = (*chunk_first..*chunk_first + chunk.len() as u64).contains(&self.sequence);
        if !is_inside {
            let len = (self.end - self.sequence).min(SEGMENT_CHUNK as u64) as usize;
            chunk.resize(len, Record::default());
            *chunk_first = self.sequence;
            file.read_records(segment, self.sequence - segment.base_sequence, chunk)?;
        }
        Ok(())
    }
}

impl Ord for Cursor<'_> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.sequence, self.rank).cmp(&(other.sequence, other.rank))
    }
}

impl PartialOrd for Cursor<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Cursor<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Cursor<'_> {}
