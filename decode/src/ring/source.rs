//! Where the records of a ring stand: which sequences in which file at which offset.
//!
//! A ring and its segment files may hold the same sequence more than once; whatever is stamped for it is the record. A
//! ring that is still written is copied first, so that all later looks see the same.

use std::ops::Range;
use std::path::{Path, PathBuf};

use ringscope_ringbuf::file::{
    FileError, FileErrorKind, Packing, RingFile, RingState, Segment, SegmentFile,
};
use ringscope_ringbuf::layout::{RECORD_LEN, RING_HEAD_OFFSET, Record, SEQUENCE_MASK, STAMP_SHIFT};
use ringscope_ringbuf::reader::{Head, OpenSlot, OpenState, copy_published};

use super::recovery;
use crate::error::Problem;
use crate::open_files::{FileId, OpenFiles, read_or_zeros};
use crate::process::Ring;
use crate::spill::Spill;

/// Records of a living ring copied at once.
const COPY_CHUNK: u64 = 1 << 16;

/// Packed records that are unpacked at once.
const UNPACK_PIECE: usize = 1 << 14;

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

/// The files of a decode.
#[derive(Default)]
pub(crate) struct Storage {
    /// Rings and segments.
    pub files: OpenFiles,
    /// What had to be put aside.
    pub spill: Spill,
}

impl Storage {
    /// Fills `out` with the records from `offset` of a file; what it lacks comes out as zeros.
    ///
    /// # Errors
    ///
    /// When it can't be read.
    pub(crate) fn read_records(
        &self,
        home: Home,
        offset: u64,
        out: &mut [Record],
    ) -> Result<(), FileError> {
        match home {
            Home::File(id) => self.files.read_records(id, offset, out),
            Home::Spill => {
                let bytes = bytemuck::cast_slice_mut(out);
                let file = self.spill.file().map_err(spill_failed)?;
                read_or_zeros(file, offset, bytes).map_err(spill_failed)
            }
        }
    }
}

fn spill_failed(error: std::io::Error) -> FileError {
    FileError {
        path: PathBuf::from("temporary file"),
        offset: 0,
        kind: FileErrorKind::Io(error),
    }
}

/// The file that records stand in.
#[derive(Clone, Copy)]
pub(crate) enum Home {
    /// A ring or segment file.
    File(FileId),
    /// The temporary file, for copies of rings that are still written.
    Spill,
}

/// The slots of a ring, in slot order.
#[derive(Clone, Copy)]
pub(crate) struct RingSlots {
    pub home: Home,
    pub capacity_log2: u32,
    first_offset: u64,
}

impl RingSlots {
    pub(crate) fn capacity(&self) -> u64 {
        1 << self.capacity_log2
    }

    pub(crate) fn offset(&self, slot: u64) -> u64 {
        self.first_offset + slot * RECORD_LEN as u64
    }
}

/// Sequences that lie one after the other in a file, and perhaps in others as well.
#[derive(Clone)]
pub(crate) struct Stretch {
    pub sequences: Range<u64>,
    /// Where they stand; of several places the first one that has a record published counts.
    places: Vec<Place>,
}

/// Where the records from some sequence on stand.
#[derive(Clone, Copy)]
struct Place {
    home: Home,
    capacity_log2: u32,
    first: u64,
    first_offset: u64,
}

/// Sequences at a place; of several that hold the same one, the lowest rank comes first.
struct Piece {
    sequences: Range<u64>,
    rank: usize,
    place: Place,
}

/// The records of one ring.
pub(crate) struct RingSource {
    pub extent: Option<Extent>,
    pub open: Vec<(u32, OpenSlot)>,
    /// Open slots that were being changed, or are damaged.
    pub mixed_open: u64,
    pub problems: Vec<Problem>,
    pub capacity_log2: u32,
    /// By sequence, without overlaps.
    pub stretches: Vec<Stretch>,
    pieces: Vec<Piece>,
    /// The slots of a ring that is whole and nobody writes any more: its stamps may contradict its head word.
    still: Option<RingSlots>,
    path: PathBuf,
}

impl RingSource {
    /// Finds the ring's records and those of its segment files. The ring comes first: what is overwritten later
    /// stands in the segments by then. Open slots come before it: a span that ends between is seen twice, which is
    /// noticed, not missed. `is_live`: the ring may still be written.
    pub(crate) fn open(ring: &Ring, is_live: bool, storage: &Storage) -> RingSource {
        let mut source = RingSource {
            extent: None,
            open: Vec::new(),
            mixed_open: 0,
            problems: Vec::new(),
            capacity_log2: 0,
            stretches: Vec::new(),
            pieces: Vec::new(),
            still: None,
            path: PathBuf::new(),
        };
        if let Some((path, _)) = &ring.file
            && let Err(error) = source.add_ring(path, is_live, storage)
        {
            source.problems.push(error.into());
        }
        let segment_files = [&ring.drain, &ring.spill].into_iter().flatten();
        for (rank, path) in (1..).zip(segment_files) {
            if let Err(error) = source.add_segments(path, rank, is_live, storage) {
                source.problems.push(error.into());
            }
        }
        source.lay_out();
        source
    }

    fn add_ring(&mut self, path: &Path, is_live: bool, storage: &Storage) -> Result<(), FileError> {
        let ring = RingFile::open(path)?;
        self.path = path.to_owned();
        self.capacity_log2 = ring.capacity_log2();
        for (index, state) in ring.open_slots()? {
            match state {
                OpenState::Open(slot) => self.open.push((index, slot)),
                OpenState::Mixed => self.mixed_open += 1,
                OpenState::Free => {}
            }
        }
        let state = ring.state()?;
        let base_sequence = ring.header.base_sequence.get() & SEQUENCE_MASK;
        let end_sequence = state.head.sequence;
        let oldest = end_sequence.saturating_sub(ring.capacity());
        let first = base_sequence.max(oldest).min(end_sequence);
        let missing_slots = missing_slots(&ring);
        let mut extent = Extent {
            base_sequence,
            end_sequence,
            window_start: first,
            record_count: Some(record_count(state, base_sequence)),
            missing_slots,
        };
        if missing_slots > 0 {
            let text = format!("ring: the file is cut short: {missing_slots} slots are missing");
            self.problems.push(Problem::new(path, None, text));
        }
        let there = ring.capacity() - missing_slots.min(ring.capacity());
        if is_live {
            let copy = copy_ring(&ring, first..end_sequence, there, storage)?;
            let after = ring.state()?.head.sequence;
            extent.window_start = first.max(after.saturating_sub(ring.capacity()));
            self.add_slots(&copy, first..end_sequence, there);
        } else {
            let slots = RingSlots {
                capacity_log2: ring.capacity_log2(),
                first_offset: ring.header_len(),
                home: Home::File(storage.files.add(ring.into_file())?),
            };
            self.add_slots(&slots, first..end_sequence, there);
            // A writer that goes on stamps slots beyond the head that was read: only a still ring, and a whole one,
            // can contradict it.
            self.still = (missing_slots == 0).then_some(slots);
        }
        self.extent = Some(extent);
        Ok(())
    }

    /// Takes the sequences in that stand in the first `there` slots, lap by lap.
    fn add_slots(&mut self, slots: &RingSlots, sequences: Range<u64>, there: u64) {
        let mut at = sequences.start;
        while at < sequences.end {
            let slot = at & (slots.capacity() - 1);
            let lap_end = sequences.end.min(at + slots.capacity() - slot);
            let end = lap_end.min(at + there.saturating_sub(slot));
            if at < end {
                self.pieces.push(Piece {
                    sequences: at..end,
                    rank: 0,
                    place: Place {
                        home: slots.home,
                        capacity_log2: slots.capacity_log2,
                        first: at,
                        first_offset: slots.offset(slot),
                    },
                });
            }
            at = lap_end;
        }
    }

    fn add_segments(
        &mut self,
        path: &Path,
        rank: usize,
        is_live: bool,
        storage: &Storage,
    ) -> Result<(), FileError> {
        let segments = SegmentFile::open(path)?;
        if let Some(offset) = segments
            .damaged_at
            .filter(|at| !is_live && !is_unfinished(&segments, *at))
        {
            self.problems.push(Problem::new(
                path,
                Some(offset),
                "segment: expected a whole segment, found another thing; the rest of the file is skipped",
            ));
        }
        let capacity_log2 = segments.capacity_log2();
        if self.capacity_log2 == 0 {
            self.capacity_log2 = capacity_log2;
        }
        let found = segments.segments.clone();
        for segment in found.iter().filter(|s| s.packing != Packing::Plain) {
            match unpack_segment(&segments, segment, storage) {
                Ok(place) => self.add_segment(segment, rank, place),
                Err(error) => self.problems.push(error.into()),
            }
        }
        let home = Home::File(storage.files.add(segments.into_file())?);
        for segment in found.iter().filter(|s| s.packing == Packing::Plain) {
            let place = Place {
                home,
                capacity_log2,
                first: segment.base_sequence,
                first_offset: segment.offset,
            };
            self.add_segment(segment, rank, place);
        }
        Ok(())
    }

    fn add_segment(&mut self, segment: &Segment, rank: usize, place: Place) {
        let first = segment.base_sequence;
        self.pieces.push(Piece {
            sequences: first..first.saturating_add(segment.record_count),
            rank,
            place,
        });
    }

    /// Divides the sequences where a piece begins or ends.
    fn lay_out(&mut self) {
        let end = self.extent.map_or(u64::MAX, |extent| extent.end_sequence);
        for piece in &mut self.pieces {
            piece.sequences.end = piece.sequences.end.min(end);
        }
        self.pieces.retain(|piece| !piece.sequences.is_empty());
        self.pieces
            .sort_by_key(|piece| (piece.sequences.start, piece.rank));
        let mut borders: Vec<u64> = Vec::with_capacity(self.pieces.len() * 2);
        for piece in &self.pieces {
            borders.extend([piece.sequences.start, piece.sequences.end]);
        }
        borders.sort_unstable();
        borders.dedup();
        self.stretches.clear();
        let mut pieces = self.pieces.iter().peekable();
        let mut here: Vec<&Piece> = Vec::new();
        for (start, end) in borders.iter().zip(borders.iter().skip(1)) {
            here.retain(|piece| piece.sequences.end > *start);
            while let Some(piece) = pieces.next_if(|piece| piece.sequences.start <= *start) {
                here.push(piece);
            }
            here.sort_by_key(|piece| piece.rank);
            if !here.is_empty() {
                self.stretches.push(Stretch {
                    sequences: *start..*end,
                    places: here.iter().map(|piece| piece.place).collect(),
                });
            }
        }
    }

    /// Checks a head word against the stamps, given whether sequences were missing. True when they contradict it and
    /// the records are now read by their stamps alone.
    pub(crate) fn recover(
        &mut self,
        has_holes: bool,
        storage: &Storage,
    ) -> Result<bool, FileError> {
        let (Some(slots), Some(extent)) = (self.still.take(), self.extent) else {
            return Ok(false);
        };
        let head = extent.end_sequence;
        let is_behind = head < extent.base_sequence;
        let window = extent.window_start..head;
        let is_suspect =
            is_behind || has_holes || recovery::is_published_outside(&slots, storage, &window)?;
        if !is_suspect || !(is_behind || recovery::contradicts(&slots, storage, head)?) {
            return Ok(false);
        }
        let sequences = recovery::sequences(&slots, storage)?;
        self.problems.push(Problem::new(
            &self.path,
            Some(RING_HEAD_OFFSET as u64),
            format!(
                "head word: expected the sequence that the stamps of the ring lead to, found {head}; \
                 read by the stamps alone"
            ),
        ));
        self.extent = Some(Extent {
            base_sequence: extent.base_sequence.min(sequences.start),
            end_sequence: sequences.end,
            window_start: sequences.start,
            record_count: None,
            missing_slots: extent.missing_slots,
        });
        self.pieces.retain(|piece| piece.rank > 0);
        self.add_slots(&slots, sequences, slots.capacity());
        self.lay_out();
        Ok(true)
    }

    /// Reads `out.len()` records of a stretch from sequence `first` on. What is not published may come out as anything
    /// that is not stamped for its sequence.
    ///
    /// # Errors
    ///
    /// When a file can't be read; its records come out as zeros then.
    pub(crate) fn read(
        &self,
        storage: &Storage,
        stretch: &Stretch,
        first: u64,
        out: &mut [Record],
    ) -> Result<(), FileError> {
        let (place, others) = match stretch.places.split_first() {
            Some((place, [])) if place.capacity_log2 == self.capacity_log2 => {
                return place.read(storage, first, out);
            }
            Some(places) => places,
            None => return Ok(()),
        };
        let mut outcome = place.read(storage, first, out);
        let mut other = vec![Record::default(); out.len()];
        place.restamp(first, self.capacity_log2, out);
        for place in others {
            outcome = outcome.and(place.read(storage, first, &mut other));
            place.restamp(first, self.capacity_log2, &mut other);
            for (sequence, (record, other)) in (first..).zip(out.iter_mut().zip(&other)) {
                if !record.is_stamped(sequence, self.capacity_log2) {
                    *record = *other;
                }
            }
        }
        outcome
    }

    /// The stretch that a sequence stands in.
    pub(crate) fn stretch_of(&self, sequence: u64) -> Option<&Stretch> {
        let after = self
            .stretches
            .partition_point(|stretch| stretch.sequences.start <= sequence);
        let stretch = self.stretches.get(after.checked_sub(1)?)?;
        stretch.sequences.contains(&sequence).then_some(stretch)
    }
}

impl Place {
    fn read(&self, storage: &Storage, first: u64, out: &mut [Record]) -> Result<(), FileError> {
        let offset = self.first_offset + (first - self.first) * RECORD_LEN as u64;
        let outcome = storage.read_records(self.home, offset, out);
        if outcome.is_err() {
            out.fill(Record::default());
        }
        outcome
    }

    /// Gives records of a file with another number of slots the stamps that the ring's have.
    fn restamp(&self, first: u64, capacity_log2: u32, records: &mut [Record]) {
        for (sequence, record) in (first..).zip(records) {
            if !record.is_stamped(sequence, self.capacity_log2) {
                *record = Record::default();
            } else if self.capacity_log2 != capacity_log2 {
                let site_and_kind = record.w[3] & ((1 << STAMP_SHIFT) - 1);
                record.w[3] = site_and_kind | Record::stamp(sequence, capacity_log2);
            }
        }
    }
}

/// Copies the slots of `wanted`, as far as the file holds them, to the temporary file: memory follows what is there, not
/// what the header claims.
fn copy_ring(
    ring: &RingFile,
    wanted: Range<u64>,
    there: u64,
    storage: &Storage,
) -> Result<RingSlots, FileError> {
    let capacity = ring.capacity();
    let first_offset = storage.spill.reserve(there * RECORD_LEN as u64);
    let copy = RingSlots {
        home: Home::Spill,
        capacity_log2: ring.capacity_log2(),
        first_offset,
    };
    let mut records = Vec::new();
    let mut at = wanted.start;
    while at < wanted.end {
        let slot = at & (capacity - 1);
        // A whole ring is copied around its end too, since its writer may be at work.
        let (end, next) = if there == capacity {
            let end = wanted.end.min(at + COPY_CHUNK);
            (end, end)
        } else {
            let lap_end = wanted.end.min(at + capacity - slot);
            let there_end = lap_end.min(at + there.saturating_sub(slot));
            let end = there_end.min(at + COPY_CHUNK);
            (end, if end < there_end { end } else { lap_end })
        };
        if at < end {
            let copied = copy_published(&mut &*ring, at..end, ring.capacity_log2(), &mut records)?;
            let slot = copied.start & (capacity - 1);
            let until_end = (capacity - slot).min(records.len() as u64);
            let (low, high) = records.split_at(until_end as usize);
            for (slot, part) in [(slot, low), (0, high)] {
                let bytes: &[u8] = bytemuck::cast_slice(part);
                let written = storage.spill.write_at(copy.offset(slot), bytes);
                written.map_err(spill_failed)?;
            }
        }
        at = next;
    }
    Ok(copy)
}

/// Unpacks a segment to the temporary file: slices are read from anywhere in it, and packed records only from the first
/// on.
fn unpack_segment(
    segments: &SegmentFile,
    segment: &Segment,
    storage: &Storage,
) -> Result<Place, FileError> {
    let spill = &storage.spill;
    let place = Place {
        home: Home::Spill,
        capacity_log2: segments.capacity_log2(),
        first: segment.base_sequence,
        first_offset: spill.reserve(segment.record_count * RECORD_LEN as u64),
    };
    let piece_len = UNPACK_PIECE.min(segment.record_count as usize).max(1);
    let mut piece = vec![Record::default(); piece_len];
    segments.for_each_piece(segment, &mut piece, |first, records| {
        let offset = place.first_offset + (first - place.first) * RECORD_LEN as u64;
        let bytes = bytemuck::cast_slice(records);
        spill.write_at(offset, bytes).map_err(spill_failed)
    })?;
    Ok(place)
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

/// Records ever reserved. The head counts them modulo 2^16 from zero, the sequence from the ring's base.
fn record_count(state: RingState, base_sequence: u64) -> u64 {
    let written = Head {
        sequence: state.head.sequence.saturating_sub(base_sequence),
        records_mod: state.head.records_mod,
    };
    written.record_count(state.continuations)
}
