//! Packed records: what a supervisor writes in place of 32 bytes each, since writing memory is what draining costs.
//!
//! Each word is told as its difference to the record before, without leading zero bytes; FORMAT.md, "Packed
//! segments", is the specification. A record takes 5 to 10 bytes where the same places record again and again, and
//! never more than [`MAX_PACKED_RECORD_LEN`]. Nothing is lost: the stamp alone is left out, as the sequence says what it is.

use crate::layout::{DURATION_BITS, DURATION_MAX, KIND_SHIFT, Kind, Record, STAMP_SHIFT};

/// The most that one record takes: its control word, three words and a site with its kind.
pub const MAX_PACKED_RECORD_LEN: usize = 2 + 8 + 8 + 8 + 5;
/// The least that one record takes.
pub const MIN_PACKED_RECORD_LEN: usize = 2;
/// In the control word: nothing is published in the slot.
const UNPUBLISHED: u16 = 0xF;
/// Words are written whole, and the next one over their empty bytes: a record is written into so many bytes, of which
/// it then takes a part.
const WINDOW: usize = 64;
const SITE_AND_KIND: u64 = (1 << STAMP_SHIFT) - 1;

/// Bytes that packing `record_count` records may need to work in.
pub const fn packing_room(record_count: usize) -> usize {
    record_count * MAX_PACKED_RECORD_LEN + WINDOW
}

/// What the next record is told by: the words of the record before that is no continuation.
#[derive(Clone, Copy, Debug, Default)]
struct Before {
    site_and_kind: u64,
    end: u64,
    lane: u64,
    payload: u64,
}

/// The words of a record as they are packed: site and kind, start, duration and lane, payload.
type Told = [u64; 4];

impl Before {
    #[inline(always)]
    fn tell(&mut self, record: &Record) -> Told {
        let [w0, w1, w2, w3] = record.w;
        let site_and_kind = w3 & SITE_AND_KIND;
        let told_site = site_and_kind ^ self.site_and_kind;
        if record.kind_number() == Kind::Continuation as u8 {
            return [told_site, w0, w1, w2];
        }
        let end = w0.wrapping_add(w1 & DURATION_MAX);
        let told = [
            told_site,
            fold(end.wrapping_sub(self.end)),
            w1 ^ self.lane,
            fold(w2.wrapping_sub(self.payload)),
        ];
        *self = Before {
            site_and_kind,
            end,
            lane: w1 >> DURATION_BITS << DURATION_BITS,
            payload: w2,
        };
        told
    }

    #[inline(always)]
    fn hear(&mut self, told: Told, stamp: u64) -> Record {
        let site_and_kind = told[0] ^ self.site_and_kind;
        let w3 = site_and_kind | stamp;
        if (site_and_kind >> KIND_SHIFT) as u8 == Kind::Continuation as u8 {
            return Record {
                w: [told[1], told[2], told[3], w3],
            };
        }
        let end = unfold(told[1]).wrapping_add(self.end);
        let w1 = told[2] ^ self.lane;
        let w2 = unfold(told[3]).wrapping_add(self.payload);
        *self = Before {
            site_and_kind,
            end,
            lane: w1 >> DURATION_BITS << DURATION_BITS,
            payload: w2,
        };
        Record {
            w: [end.wrapping_sub(w1 & DURATION_MAX), w1, w2, w3],
        }
    }
}

/// Small differences of either sign become small numbers.
#[inline(always)]
fn fold(difference: u64) -> u64 {
    (difference << 1) ^ ((difference as i64 >> 63) as u64)
}

#[inline(always)]
fn unfold(folded: u64) -> u64 {
    (folded >> 1) ^ (folded & 1).wrapping_neg()
}

/// Packs `records`, the first of which is `first_sequence` of a ring of 2^`capacity_log2` records, into `out`; the
/// bytes that they take there. Records that are not stamped for their sequence come out as unpublished.
///
/// # Panics
///
/// When `out` is shorter than [`packing_room`].
pub fn pack(records: &[Record], first_sequence: u64, capacity_log2: u32, out: &mut [u8]) -> usize {
    let mut before = Before::default();
    let mut at = 0;
    for (sequence, record) in (first_sequence..).zip(records) {
        let Some(window) = out.get_mut(at..).and_then(<[u8]>::first_chunk_mut) else {
            panic!(
                "room for {} records, found {} bytes",
                records.len(),
                out.len()
            );
        };
        if record.is_stamped(sequence, capacity_log2) {
            at += write_words(before.tell(record), window);
        } else {
            window[..2].copy_from_slice(&UNPUBLISHED.to_le_bytes());
            at += 2;
        }
    }
    at
}

/// Writes the control word and the words of a record; the bytes that they take.
#[inline(always)]
fn write_words(told: Told, window: &mut [u8; WINDOW]) -> usize {
    let mut control = 0;
    let mut at = 2;
    for (index, word) in told.into_iter().enumerate() {
        // The mask changes nothing: it shows the compiler that all words stay inside the window.
        let len = byte_len(word) & 0xF;
        window[at..at + 8].copy_from_slice(&word.to_le_bytes());
        control |= (len as u16) << (4 * index);
        at += len;
    }
    window[..2].copy_from_slice(&control.to_le_bytes());
    at
}

#[inline(always)]
fn byte_len(word: u64) -> usize {
    // The lowest bit keeps the processor's instruction defined; it is taken back for a word of 0.
    let bits = 64 - (word | 1).leading_zeros() as usize;
    bits.div_ceil(8) - usize::from(word == 0)
}

/// Unpacks the records from `first_sequence` on, as many as `out` holds; unpublished ones come out as zeros. False
/// when `packed` does not hold as many.
pub fn unpack(packed: &[u8], first_sequence: u64, capacity_log2: u32, out: &mut [Record]) -> bool {
    Unpacker::new(packed, first_sequence, capacity_log2).next(out)
}

/// Unpacks records piece by piece, so that they need not all be held.
#[derive(Debug)]
pub struct Unpacker<'a> {
    packed: &'a [u8],
    at: usize,
    sequence: u64,
    capacity_log2: u32,
    before: Before,
}

impl<'a> Unpacker<'a> {
    /// Of records from `first_sequence` on, in a ring of 2^`capacity_log2` records.
    pub fn new(packed: &'a [u8], first_sequence: u64, capacity_log2: u32) -> Unpacker<'a> {
        Unpacker {
            packed,
            at: 0,
            sequence: first_sequence,
            capacity_log2,
            before: Before::default(),
        }
    }

    /// Unpacks the next records, as many as `out` holds; unpublished ones come out as zeros. False when there are
    /// fewer, or they are damaged.
    pub fn next(&mut self, out: &mut [Record]) -> bool {
        let (packed, mut at, mut before) = (self.packed, self.at, self.before);
        for (sequence, record) in (self.sequence..).zip(&mut *out) {
            let Some(control) = packed.get(at..at + 2) else {
                return false;
            };
            let control = u16::from_le_bytes([control[0], control[1]]);
            at += 2;
            if control == UNPUBLISHED {
                *record = Record::default();
                continue;
            }
            let mut told = Told::default();
            for (index, word) in told.iter_mut().enumerate() {
                let len = usize::from(control >> (4 * index)) & 0xF;
                let Some(heard) = word_at(packed, at, len) else {
                    return false;
                };
                *word = heard;
                at += len;
            }
            // More than site and kind would run into the stamp.
            if told[0] > SITE_AND_KIND {
                return false;
            }
            *record = before.hear(told, Record::stamp(sequence, self.capacity_log2));
        }
        (self.at, self.before) = (at, before);
        self.sequence += out.len() as u64;
        true
    }
}

/// The word of `len` bytes at `at`; `None` when it is not there or longer than a word.
#[inline(always)]
fn word_at(packed: &[u8], at: usize, len: usize) -> Option<u64> {
    if len > size_of::<u64>() {
        return None;
    }
    let mut bytes = [0; size_of::<u64>()];
    if let Some(whole) = packed.get(at..at + size_of::<u64>()) {
        bytes.copy_from_slice(whole);
        let bits = 8 * len as u32;
        // A shift by all 64 bits would leave the word as it is.
        let mask = u64::MAX.checked_shl(bits).map_or(u64::MAX, |above| !above);
        return Some(u64::from_le_bytes(bytes) & mask);
    }
    bytes[..len].copy_from_slice(packed.get(at..at + len)?);
    Some(u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LOG2: u32 = 6;

    fn stamped(sequence: u64, site: u32, kind: Kind, words: [u64; 3]) -> Record {
        let w3 = Record::site_and_kind(site, kind) | Record::stamp(sequence, LOG2);
        Record {
            w: [words[0], words[1], words[2], w3],
        }
    }

    fn packed(records: &[Record], first_sequence: u64) -> Vec<u8> {
        let mut out = vec![0xAA; packing_room(records.len())];
        let len = pack(records, first_sequence, LOG2, &mut out);
        out.truncate(len);
        out
    }

    fn unpacked(bytes: &[u8], first_sequence: u64, count: usize) -> Option<Vec<Record>> {
        let mut out = vec![Record { w: [7; 4] }; count];
        unpack(bytes, first_sequence, LOG2, &mut out).then_some(out)
    }

    #[test]
    fn spans_of_one_place_take_few_bytes() {
        let span = |i: u64| stamped(1000 + i, 3, Kind::Span, [(1 << 50) | (i * 54), 30, 0]);
        let records: Vec<Record> = (0..1000).map(span).collect();
        let bytes = packed(&records, 1000);
        assert!(bytes.len() < 1000 * 5, "{} bytes", bytes.len());
        assert_eq!(unpacked(&bytes, 1000, 1000), Some(records));
    }

    #[test]
    fn the_example_of_the_specification() {
        let records = [
            stamped(64, 2, Kind::Span, [1000, 24, 85]),
            Record::default(),
            stamped(66, 2, Kind::Span, [1100, 20, 86]),
        ];
        // Site 2 and kind 1; 1024 folded; 24; 85 folded. Nothing. The same site; 96 folded; 20; 1 folded.
        let expected = [
            0x25, 0x11, 2, 0, 0, 0, 1, 0x00, 0x08, 24, 170, //
            0x0F, 0x00, //
            0x10, 0x11, 192, 20, 2,
        ];
        assert_eq!(packed(&records, 64), expected);
        assert_eq!(unpacked(&expected, 64, 3).as_deref(), Some(&records[..]));
    }

    #[test]
    fn bytes_that_are_missing_are_noticed_wherever_they_are() {
        let records: Vec<Record> = (0..20)
            .map(|i| stamped(i, i as u32, Kind::Span, [(i * i * i) << 20, i, !i]))
            .collect();
        let bytes = packed(&records, 0);
        for len in 0..bytes.len() {
            assert_eq!(unpacked(&bytes[..len], 0, 20), None, "{len} bytes");
        }
        let lengths_beyond_a_word = [0x09, 0x00, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(unpacked(&lengths_beyond_a_word, 0, 1), None);
        let a_site_beyond_its_bits = [0x06, 0x00, 0, 0, 0, 0, 0, 1];
        assert_eq!(unpacked(&a_site_beyond_its_bits, 0, 1), None);
    }

    fn any_record() -> impl Strategy<Value = Option<(u32, u8, [u64; 3])>> {
        let word = prop_oneof![
            any::<u64>(),
            0..1000u64,
            Just(u64::MAX),
            (0..64u32).prop_map(|bits| 1 << bits)
        ];
        let kind = prop_oneof![any::<u8>(), Just(Kind::Continuation as u8), Just(1)];
        let site = prop_oneof![any::<u32>(), 0..4u32];
        prop::option::weighted(0.9, (site, kind, [word.clone(), word.clone(), word]))
    }

    proptest! {
        #[test]
        fn whatever_was_published_comes_back(
            described in prop::collection::vec(any_record(), 0..100),
            first in 0..1u64 << 40,
        ) {
            let records: Vec<Record> = (first..)
                .zip(&described)
                .map(|(sequence, record)| match record {
                    None => Record::default(),
                    Some((site, kind, [w0, w1, w2])) => {
                        let w3 = u64::from(*site) | u64::from(*kind) << KIND_SHIFT;
                        Record { w: [*w0, *w1, *w2, w3 | Record::stamp(sequence, LOG2)] }
                    }
                })
                .collect();
            let bytes = packed(&records, first);
            prop_assert!(bytes.len() <= records.len() * MAX_PACKED_RECORD_LEN);
            prop_assert!(bytes.len() >= records.len() * MIN_PACKED_RECORD_LEN);
            prop_assert_eq!(unpacked(&bytes, first, records.len()), Some(records));
        }

        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300), first in any::<u64>()) {
            unpacked(&bytes, first >> 1, 100);
        }
    }
}
