//! The reading side of a ring: copies what is published, also while the writer goes on.
//!
//! Readers never look at a ring through a mapping: they copy bytes (by `pread`, or word by word under loom),
//! check the copy, and use the copy only.

use core::ops::Range;

use crate::layout::{
    DURATION_BITS, Kind, LAP_MASK, OPEN_SLOT_LEN, OPEN_SLOT_PAYLOAD, OPEN_SLOT_TAKEN, Record,
    SEQUENCE_BITS, SEQUENCE_MASK, STAMP_SHIFT, STAMP_VALID,
};
use crate::sync::{Ordering, fence};

/// What a ring's memory looks like to a reader.
pub trait Source {
    /// Error of a read.
    type Error;

    /// The head word as it is now.
    ///
    /// # Errors
    ///
    /// When it can't be read.
    fn head(&mut self) -> Result<u64, Self::Error>;

    /// Copies the records in slots `first_slot..first_slot + out.len()`, none of them beyond the ring's end.
    ///
    /// # Errors
    ///
    /// When they can't be read.
    fn copy(&mut self, first_slot: u64, out: &mut [Record]) -> Result<(), Self::Error>;
}

/// The two counts that a head word holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Next sequence: slots ever reserved.
    pub sequence: u64,
    /// Records ever reserved, modulo 65,536.
    pub records_mod: u16,
}

impl From<u64> for Head {
    fn from(word: u64) -> Head {
        Head {
            sequence: word & SEQUENCE_MASK,
            records_mod: (word >> SEQUENCE_BITS) as u16,
        }
    }
}

impl Head {
    /// Records ever reserved (continuations not counted), given the header's count of continuations. That count
    /// may lack, or be ahead by, what was being written when the process died; the low bits here make it exact.
    pub fn record_count(self, continuations: u64) -> u64 {
        let about = self.sequence.saturating_sub(continuations);
        let off_by = (self.records_mod.wrapping_sub(about as u16)) as i16;
        about.saturating_add_signed(off_by as i64)
    }
}

/// Copies the slots of `wanted` that still stand in a ring of 2^`capacity_log2` records into `out`, and returns the
/// sequences they are: as [`Copier::copy_published`], for those who copy once.
///
/// # Errors
///
/// When the source can't be read.
pub fn copy_published<S: Source>(
    source: &mut S,
    wanted: Range<u64>,
    capacity_log2: u32,
    out: &mut Vec<Record>,
) -> Result<Range<u64>, S::Error> {
    Copier::default().copy_published(source, wanted, capacity_log2, out)
}

/// Copies from rings again and again; holds the memory for what it compares.
#[derive(Debug, Default)]
pub struct Copier {
    before: Vec<Record>,
    after: Vec<Record>,
}

impl Copier {
    /// Copies the slots of `wanted` that still stand in a ring of 2^`capacity_log2` records into `out`, and returns the
    /// sequences they are: `wanted` cut to what is reserved and not overwritten. Slots that are not published, or were
    /// overwritten while being copied, come out as zeros.
    ///
    /// Correct while the writer goes on: a record counts when its stamp was there before its payload was copied, still
    /// stood there after, and its slot was not reserved again meanwhile. (A slot is stored to without a new reservation when
    /// a signal handler lapped the record that it interrupted.)
    ///
    /// # Errors
    ///
    /// When the source can't be read.
    pub fn copy_published<S: Source>(
        &mut self,
        source: &mut S,
        wanted: Range<u64>,
        capacity_log2: u32,
        out: &mut Vec<Record>,
    ) -> Result<Range<u64>, S::Error> {
        let capacity = 1u64 << capacity_log2;
        let head_before = Head::from(source.head()?).sequence;
        let first = wanted.start.max(head_before.saturating_sub(capacity));
        let end = wanted.end.min(head_before).max(first);
        let len = (end - first) as usize;
        for records in [&mut self.before, &mut self.after, out] {
            records.resize(len, Record::default());
        }

        copy_range(source, first, capacity, &mut self.before)?;
        // Pairs with the stamp's Release store: the second copy sees the payload of every stamp in the first.
        fence(Ordering::Acquire);
        copy_range(source, first, capacity, out)?;
        // Pairs with the writer's fence before its payload: who copied a word of another record in the slot sees the
        // reservation of it and, in the third copy, the zero stamp before it or a later stamp.
        fence(Ordering::Acquire);
        copy_range(source, first, capacity, &mut self.after)?;
        let head_after = Head::from(source.head()?).sequence;

        let overwritten_before = head_after.saturating_sub(capacity);
        let copies = self.before.iter().zip(&self.after).zip(out.iter_mut());
        for (sequence, ((before, after), record)) in (first..).zip(copies) {
            let is_stamped = |copy: &Record| copy.is_stamped(sequence, capacity_log2);
            let is_sound = is_stamped(before) && is_stamped(record) && is_stamped(after);
            if !is_sound || sequence < overwritten_before {
                *record = Record::default();
            }
        }
        Ok(first..end)
    }
}

fn copy_range<S: Source>(
    source: &mut S,
    first: u64,
    capacity: u64,
    out: &mut [Record],
) -> Result<(), S::Error> {
    let slot = first & (capacity - 1);
    let until_end = ((capacity - slot) as usize).min(out.len());
    let (low, high) = out.split_at_mut(until_end);
    source.copy(slot, low)?;
    if high.is_empty() {
        Ok(())
    } else {
        source.copy(0, high)
    }
}

/// Reads a ring by its stamps alone, for rings whose head word is damaged: `slots` are all records of the ring in slot
/// order. Returns the sequence of the oldest possible record and one record per sequence from there, zeros where
/// nothing is published.
///
/// The true lap is known modulo 2^23; the newest lap in the ring is found as the one that most slots agree with. Slots
/// that were reserved and never written may outvote as many records of a lap that has just begun.
pub fn recover_by_stamps(slots: &[Record], capacity_log2: u32) -> (u64, Vec<Record>) {
    debug_assert_eq!(slots.len(), 1 << capacity_log2);
    let lap_of = |record: &Record| {
        (record.w[3] & STAMP_VALID != 0).then_some((record.w[3] >> STAMP_SHIFT) & LAP_MASK)
    };
    let mut laps: Vec<u64> = slots.iter().filter_map(lap_of).collect();
    laps.sort_unstable();
    let Some(common) = laps.chunk_by(|a, b| a == b).max_by_key(|same| same.len()) else {
        return (0, Vec::new());
    };
    // In a sound ring slots 0..k carry lap L and the rest lap L-1; an unpublished slot may carry an older one.
    let split_of = |lap| {
        slots
            .iter()
            .rposition(|r| lap_of(r) == Some(lap))
            .map_or(0, |last| last + 1)
    };
    let agreeing = |lap: &u64| {
        let (low, high) = slots.split_at(split_of(*lap));
        let previous = lap.wrapping_sub(1) & LAP_MASK;
        low.iter().filter(|r| lap_of(r) == Some(*lap)).count()
            + high.iter().filter(|r| lap_of(r) == Some(previous)).count()
    };
    let newest = [common[0], (common[0] + 1) & LAP_MASK]
        .into_iter()
        .filter(|lap| split_of(*lap) > 0)
        .max_by_key(agreeing)
        .unwrap_or(common[0]);
    let previous = newest.wrapping_sub(1) & LAP_MASK;
    let capacity = slots.len();
    let split = split_of(newest);
    let base = newest * capacity as u64;
    let keep = |record: &Record, lap: u64| {
        if lap_of(record) == Some(lap) {
            *record
        } else {
            Record::default()
        }
    };
    let older = if newest == 0 {
        &slots[..0]
    } else {
        &slots[split..]
    };
    let mut records: Vec<Record> = older.iter().map(|r| keep(r, previous)).collect();
    let first = base - records.len() as u64;
    records.extend(slots[..split].iter().map(|r| keep(r, newest)));
    (first, records)
}

/// A span that was open when its slot was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenSlot {
    /// Site id.
    pub site: u32,
    /// Number of the kind.
    pub kind_number: u8,
    /// Start in ticks.
    pub start_ticks: u64,
    /// First eight payload bytes.
    pub w2: u64,
    /// Lane.
    pub lane: u16,
    /// Payload behind w2; `payload_len` of these bytes.
    pub payload: [u8; OPEN_SLOT_PAYLOAD],
    /// Payload bytes that stand in the slot.
    pub payload_len: usize,
}

/// What the bytes of an open slot say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenState {
    /// No span.
    Free,
    /// A span is open.
    Open(OpenSlot),
    /// Key and start do not belong together: damaged, or changed while it was copied.
    Mixed,
}

/// Reads the open slot in `bytes`.
pub fn read_open_slot(bytes: &[u8; OPEN_SLOT_LEN]) -> OpenState {
    let word = |i: usize| u64::from_le_bytes(core::array::from_fn(|b| bytes[i * 8 + b]));
    let (key, start_ticks, w2, meta) = (word(0), word(1), word(2), word(3));
    if key == 0 || key == OPEN_SLOT_TAKEN {
        return OpenState::Free;
    }
    let kind_number = (key >> 32) as u8;
    let matches_start =
        (key >> STAMP_SHIFT) == (STAMP_VALID >> STAMP_SHIFT | start_ticks & LAP_MASK);
    if !matches_start || Kind::from_u8(kind_number).is_none() {
        return OpenState::Mixed;
    }
    let mut payload = [0; OPEN_SLOT_PAYLOAD];
    payload.copy_from_slice(&bytes[32..]);
    let payload_len = ((meta >> 16) as u16 as usize).min(OPEN_SLOT_PAYLOAD);
    OpenState::Open(OpenSlot {
        site: key as u32,
        kind_number,
        start_ticks,
        w2,
        lane: meta as u16,
        payload,
        payload_len,
    })
}

/// Reads an open slot of a ring that may be written meanwhile, from three copies taken one after the other, an
/// Acquire fence between each two; of `before` only key and start are looked at.
///
/// The words belong to the key when the key was there before they were copied, and nothing changed until after:
/// anything else comes out as [`OpenState::Mixed`], not as a span that never was.
pub fn settled_open_slot(
    before: &[u8; OPEN_SLOT_LEN],
    words: &[u8; OPEN_SLOT_LEN],
    after: &[u8; OPEN_SLOT_LEN],
) -> OpenState {
    if before[..16] == words[..16] && words == after {
        read_open_slot(words)
    } else {
        OpenState::Mixed
    }
}

/// The lane in a w1 word built from a duration and a lane.
pub fn pack_duration(duration: u64, lane: u16) -> u64 {
    duration | (lane as u64) << DURATION_BITS
}
