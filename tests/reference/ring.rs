//! A ring and its segments: every record that anybody still has, and how many are gone.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ringscope_ringbuf::file::{FileKind, FileName};
use ringscope_ringbuf::layout::*;

/// A main record with the payload of its continuations.
pub struct Whole {
    pub sequence: u64,
    pub main: Record,
    pub payload: Vec<u8>,
    /// True when sequences are missing before it.
    pub after_hole: bool,
}

/// An open slot.
pub struct Open {
    pub site: u32,
    pub start_ticks: u64,
    pub lane: u16,
    pub payload: Vec<u8>,
}

pub struct Ring {
    pub records: Vec<Whole>,
    pub open: Vec<Open>,
    pub overwritten: u64,
    pub torn: u64,
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn record_at(bytes: &[u8], at: usize) -> Record {
    Record {
        w: [0, 8, 16, 24].map(|word| u64_at(bytes, at + word)),
    }
}

pub fn read(dir: &Path, name: FileName) -> Ring {
    let bytes = fs::read(dir.join(name.to_string())).unwrap();
    let header_len = u32_at(&bytes, 12) as usize;
    let log2 = u32_at(&bytes, 56);
    let base = u64_at(&bytes, 72);
    let head = u64_at(&bytes, RING_HEAD_OFFSET);
    let end = head & SEQUENCE_MASK;
    let window_start = base.max(end.saturating_sub(1 << log2));

    let mut slots: BTreeMap<u64, Record> = BTreeMap::new();
    for kind in [FileKind::Drain, FileKind::Spill] {
        let path = dir.join(FileName { kind, ..name }.to_string());
        if fs::exists(&path).unwrap() {
            add_segments(&fs::read(path).unwrap(), log2, end, &mut slots);
        }
    }
    for sequence in window_start..end {
        let slot = (sequence % (1 << log2)) as usize;
        let record = record_at(&bytes, header_len + slot * RECORD_LEN);
        if record.is_stamped(sequence, log2) {
            slots.insert(sequence, record);
        }
    }

    let records = assemble(&slots);
    let is_missing = |sequence: &u64| !slots.contains_key(sequence);
    let torn_runs = (window_start..end)
        .filter(|s| is_missing(s) && (*s == window_start || !is_missing(&(s - 1))))
        .count() as u64;
    // Continuations are counted in the header; the head's upper bits make the number of records exact.
    let about = (end - base).saturating_sub(u64_at(&bytes, RING_CONTINUATIONS_OFFSET));
    let off_by = ((head >> SEQUENCE_BITS) as u16).wrapping_sub(about as u16) as i16;
    let reserved = about.saturating_add_signed(off_by as i64);
    let lost = reserved - records.len() as u64;
    let any_overwritten = (base..window_start).any(|sequence| is_missing(&sequence));
    let torn = if any_overwritten {
        torn_runs.min(lost)
    } else {
        lost
    };
    Ring {
        records,
        open: open_slots(&bytes),
        overwritten: lost - torn,
        torn,
    }
}

fn add_segments(bytes: &[u8], log2: u32, end: u64, slots: &mut BTreeMap<u64, Record>) {
    let mut at = SEGMENTS_HEADER_LEN;
    while at + RECORD_LEN <= bytes.len() {
        if &bytes[at..at + 4] == b"SEGP" {
            at = add_packed(bytes, at, log2, end, slots);
            continue;
        }
        let (base, count) = (u64_at(bytes, at + 8), u64_at(bytes, at + 16));
        at += RECORD_LEN;
        for sequence in base..base + count {
            let record = record_at(bytes, at);
            at += RECORD_LEN;
            if record.is_stamped(sequence, log2) && sequence < end {
                slots.insert(sequence, record);
            }
        }
    }
}

/// Adds a packed segment, by the letter of FORMAT.md; where the next one begins.
fn add_packed(
    bytes: &[u8],
    at: usize,
    log2: u32,
    end: u64,
    slots: &mut BTreeMap<u64, Record>,
) -> usize {
    let (base, count) = (u64_at(bytes, at + 8), u32_at(bytes, at + 16));
    let body_at = at + RECORD_LEN;
    let body = &bytes[body_at..body_at + u32_at(bytes, at + 20) as usize];
    let mut rest = body;
    let mut take = |len: usize| {
        let mut word = [0; 8];
        word[..len].copy_from_slice(&rest[..len]);
        rest = &rest[len..];
        u64::from_le_bytes(word)
    };
    let unfold = |folded: u64| match folded % 2 {
        0 => folded / 2,
        _ => (folded / 2).wrapping_add(1).wrapping_neg(),
    };
    const LANE: u64 = 0xFFFF << 48;
    let (mut site_and_kind, mut sum, mut lane, mut payload) = (0u64, 0u64, 0u64, 0u64);
    for sequence in base..base + u64::from(count) {
        let control = take(2);
        if control == 15 {
            continue;
        }
        let values = [0, 4, 8, 12].map(|bit| take((control >> bit) as usize & 15));
        let own = values[0] ^ site_and_kind;
        let w3 = own | Record::stamp(sequence, log2);
        let w = if own >> 32 == Kind::Continuation as u64 {
            [values[1], values[2], values[3], w3]
        } else {
            site_and_kind = own;
            sum = sum.wrapping_add(unfold(values[1]));
            let w1 = values[2] ^ lane;
            lane = w1 & LANE;
            payload = payload.wrapping_add(unfold(values[3]));
            [sum.wrapping_sub(w1 & !LANE), w1, payload, w3]
        };
        if sequence < end {
            slots.insert(sequence, Record { w });
        }
    }
    body_at + body.len()
}

fn assemble(slots: &BTreeMap<u64, Record>) -> Vec<Whole> {
    let mut records: Vec<Whole> = Vec::new();
    // Sequence up to which the newest record reaches without a hole.
    let mut reaches = 0;
    let mut has_main = false;
    let mut after_hole = false;
    for (sequence, record) in slots {
        if *sequence != reaches {
            has_main = false;
            after_hole = true;
        }
        reaches = sequence + 1;
        if record.kind_number() != Kind::Continuation as u8 {
            has_main = true;
            records.push(Whole {
                sequence: *sequence,
                main: *record,
                payload: Vec::new(),
                after_hole,
            });
            after_hole = false;
        } else if has_main {
            let last = records.last_mut().unwrap();
            last.payload
                .extend_from_slice(&record.continuation_payload());
        }
    }
    records
}

fn open_slots(bytes: &[u8]) -> Vec<Open> {
    let count = u32_at(bytes, 60) as usize;
    (0..count)
        .map(|index| RING_OPEN_SLOTS_OFFSET + index * OPEN_SLOT_LEN)
        .filter(|at| u64_at(bytes, *at) > 1)
        .map(|at| {
            let meta = u64_at(bytes, at + 24);
            let len = (meta >> 16) as u16 as usize;
            Open {
                site: u64_at(bytes, at) as u32,
                start_ticks: u64_at(bytes, at + 8),
                lane: meta as u16,
                payload: bytes[at + 16..at + 24]
                    .iter()
                    .chain(&bytes[at + 32..at + 32 + len])
                    .copied()
                    .collect(),
            }
        })
        .collect()
}
