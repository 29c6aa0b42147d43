//! Reading a ring by its stamps alone, where its head word can't be right.
//!
//! As `ringscope_ringbuf::reader::recover_by_stamps`, of rings that are too large to be held.

use std::collections::BTreeMap;
use std::ops::Range;

use ringscope_ringbuf::file::FileError;
use ringscope_ringbuf::layout::{LAP_MASK, Record, STAMP_SHIFT, STAMP_VALID};

use super::source::{RingSlots, Storage};

/// Slots read at once.
const CHUNK: u64 = 1 << 12;
/// Laps that are told apart: a sound ring has two.
const MAX_LAPS: usize = 1 << 12;

fn lap_of(record: &Record) -> Option<u64> {
    let is_published = record.w[3] & STAMP_VALID != 0;
    is_published.then_some(record.w[3] >> STAMP_SHIFT & LAP_MASK)
}

/// Visits the slots in `range`.
fn for_each_slot(
    ring: &RingSlots,
    storage: &Storage,
    range: Range<u64>,
    mut visit: impl FnMut(u64, &Record),
) -> Result<(), FileError> {
    let mut records = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let len = CHUNK.min(range.end - at);
        records.resize(len as usize, Record::default());
        storage.read_records(ring.home, ring.offset(at), &mut records)?;
        for (slot, record) in (at..).zip(&records) {
            visit(slot, record);
        }
        at += len;
    }
    Ok(())
}

/// True when a slot is published that the head word says was never written: `window` are the sequences that it says
/// stand in the ring.
pub(super) fn is_published_outside(
    ring: &RingSlots,
    storage: &Storage,
    window: &Range<u64>,
) -> Result<bool, FileError> {
    let capacity = ring.capacity();
    let used = window.end - window.start;
    let first_unused = window.end & (capacity - 1);
    let unused = capacity - used.min(capacity);
    let until_end = unused.min(capacity - first_unused);
    let mut found = false;
    for range in [
        first_unused..first_unused + until_end,
        0..unused - until_end,
    ] {
        for_each_slot(ring, storage, range, |_, record| {
            found |= lap_of(record).is_some();
        })?;
    }
    Ok(found)
}

/// True when the stamps can't come from a writer whose next sequence is `head`: the slot that it would write next
/// is published already, or more slots carry laps that are too new or too old than fitting ones.
pub(super) fn contradicts(
    ring: &RingSlots,
    storage: &Storage,
    head: u64,
) -> Result<bool, FileError> {
    let next_slot = head & (ring.capacity() - 1);
    let (mut fitting, mut wrong, mut is_next_published) = (0u64, 0u64, false);
    for_each_slot(ring, storage, 0..ring.capacity(), |slot, record| {
        if slot == next_slot {
            is_next_published = record.is_stamped(head, ring.capacity_log2);
        }
        if let Some(stamped) = lap_of(record) {
            // The last sequence below `head` that falls into this slot.
            let lap = head.wrapping_sub(slot + 1) >> ring.capacity_log2;
            match lap.wrapping_sub(stamped) & LAP_MASK {
                // One lap behind: reserved, not written yet when the process died.
                0 => fitting += 1,
                1 => {}
                _ => wrong += 1,
            }
        }
    })?;
    Ok(is_next_published || wrong > fitting)
}

/// How often a lap is stamped, and where for the last time.
#[derive(Clone, Copy, Default)]
struct LapUse {
    count: u64,
    split: u64,
}

/// The sequences that the stamps lead to; empty when nothing is published.
pub(super) fn sequences(ring: &RingSlots, storage: &Storage) -> Result<Range<u64>, FileError> {
    let capacity = ring.capacity();
    let mut laps: BTreeMap<u64, LapUse> = BTreeMap::new();
    for_each_slot(ring, storage, 0..capacity, |slot, record| {
        if let Some(lap) = lap_of(record)
            && (laps.len() < MAX_LAPS || laps.contains_key(&lap))
        {
            let lap = laps.entry(lap).or_default();
            lap.count += 1;
            lap.split = slot + 1;
        }
    })?;
    let Some((common, _)) = laps.iter().max_by_key(|(_, lap)| lap.count) else {
        return Ok(0..0);
    };
    // In a sound ring slots 0..k carry lap L and the rest lap L-1; an unpublished slot may carry an older one.
    let candidates = [*common, (common + 1) & LAP_MASK];
    let of = |lap: u64| laps.get(&lap).copied().unwrap_or_default();
    let mut agreeing = candidates.map(|lap| of(lap).count);
    for_each_slot(ring, storage, 0..capacity, |slot, record| {
        for (lap, agreeing) in candidates.iter().zip(&mut agreeing) {
            let is_older = lap_of(record) == Some(lap.wrapping_sub(1) & LAP_MASK);
            *agreeing += u64::from(is_older && slot >= of(*lap).split);
        }
    })?;
    let newest = if of(candidates[1]).split > 0 && agreeing[1] >= agreeing[0] {
        candidates[1]
    } else {
        candidates[0]
    };
    let base = newest * capacity;
    let split = of(newest).split;
    let older = if newest == 0 { 0 } else { capacity - split };
    Ok(base - older..base + split)
}
