//! The reader against a plain model of a ring: what was published and is not overwritten, and nothing else.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::collection::vec;
use proptest::prelude::*;
use ringscope_ringbuf::layout::{
    Kind, LAP_MASK, MIN_CAPACITY_LOG2, RECORD_WORDS, Record, SEQUENCE_MASK,
};
use ringscope_ringbuf::payload::payload_word;
use ringscope_ringbuf::reader::{Head, Source, copy_published, recover_by_stamps};
use ringscope_ringbuf::ring::{RingMemory, Writer};

const LOG2: u32 = MIN_CAPACITY_LOG2;
const CAPACITY: u64 = 1 << LOG2;

/// A ring on the heap, and what was published in it.
struct Ring {
    head: Box<AtomicU64>,
    continuations: Box<AtomicU64>,
    slots: Vec<AtomicU64>,
    published: BTreeMap<u64, Record>,
    record_count: u64,
}

/// What a program does to a ring.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A record with so many continuations.
    Write(u64),
    /// A record that is reserved and never written.
    Tear(u64),
    /// As `Tear`, with the stamp already invalid.
    TearInvalidated,
    /// A record inside another.
    Nest,
}

impl Ring {
    fn new(first_sequence: u64) -> Ring {
        Ring {
            head: Box::new(AtomicU64::new(first_sequence)),
            continuations: Box::default(),
            slots: (0..CAPACITY * RECORD_WORDS as u64)
                .map(|_| AtomicU64::new(0))
                .collect(),
            published: BTreeMap::new(),
            record_count: 0,
        }
    }

    fn after(first_sequence: u64, steps: &[Step]) -> Ring {
        let mut ring = Ring::new(first_sequence);
        let memory = RingMemory {
            head: &*ring.head,
            continuations: &*ring.continuations,
            open_slots: std::ptr::null(),
            slots: ring.slots.as_ptr(),
        };
        // SAFETY: the boxes and the vector outlive the writer and do not move; no open slot is ever asked for.
        let writer = unsafe { Writer::new(memory, LOG2, 0, 0) };
        for step in steps {
            ring.take(&writer, *step);
        }
        ring
    }

    fn take(&mut self, writer: &Writer, step: Step) {
        self.record_count += 1;
        match step {
            Step::Write(continuations) => {
                let sequence = writer.reserve(1 + continuations);
                if continuations > 0 {
                    let payload = vec![7; 28 * continuations as usize];
                    writer.publish_continuations(sequence + 1, payload.len(), |index| {
                        payload_word(&payload, index)
                    });
                }
                self.publish(writer, sequence, continuations);
            }
            Step::Tear(slots) => {
                writer.reserve(slots);
            }
            Step::TearInvalidated => {
                let slot = (writer.reserve(1) % CAPACITY) as usize;
                self.slots[slot * RECORD_WORDS + 3].store(0, Ordering::Relaxed);
            }
            Step::Nest => {
                let outer = writer.reserve(1);
                self.take(writer, Step::Write(0));
                self.publish(writer, outer, 0);
            }
        }
    }

    fn publish(&mut self, writer: &Writer, sequence: u64, continuations: u64) {
        let site_and_kind = Record::site_and_kind(sequence as u32, Kind::Span);
        writer.publish(sequence, [sequence; 3], site_and_kind);
        for at in sequence..=sequence + continuations {
            self.published
                .insert(at, self.slots()[(at % CAPACITY) as usize]);
        }
    }

    fn slots(&self) -> Vec<Record> {
        let word = |i: usize| self.slots[i].load(Ordering::Relaxed);
        (0..CAPACITY as usize)
            .map(|slot| Record {
                w: std::array::from_fn(|i| word(slot * RECORD_WORDS + i)),
            })
            .collect()
    }

    fn next_sequence(&self) -> u64 {
        Head::from(self.head.load(Ordering::Relaxed)).sequence
    }

    /// The records that must be found between two sequences.
    fn kept(&self, wanted: std::ops::Range<u64>) -> BTreeMap<u64, Record> {
        let oldest = self.next_sequence().saturating_sub(CAPACITY);
        let start = wanted.start.max(oldest);
        let range = start..wanted.end.max(start);
        self.published
            .range(range)
            .map(|(sequence, record)| (*sequence, *record))
            .collect()
    }
}

impl Source for &Ring {
    type Error = Infallible;

    fn head(&mut self) -> Result<u64, Infallible> {
        Ok(self.head.load(Ordering::Relaxed))
    }

    fn copy(&mut self, first_slot: u64, out: &mut [Record]) -> Result<(), Infallible> {
        let first = first_slot as usize;
        out.copy_from_slice(&self.slots()[first..first + out.len()]);
        Ok(())
    }
}

fn copied(ring: &Ring, wanted: std::ops::Range<u64>) -> BTreeMap<u64, Record> {
    let mut out = Vec::new();
    let oldest = ring.next_sequence().saturating_sub(CAPACITY);
    let start = wanted.start.max(oldest);
    let Ok(range) = copy_published(&mut &*ring, wanted, LOG2, &mut out);
    assert_eq!(range.start, start);
    assert_eq!(range.end - range.start, out.len() as u64);
    found(range.start, &out)
}

fn found(first: u64, records: &[Record]) -> BTreeMap<u64, Record> {
    let present = (first..)
        .zip(records)
        .filter(|(_, record)| **record != Record::default());
    present
        .map(|(sequence, record)| (sequence, *record))
        .collect()
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => Just(Step::Write(0)),
        3 => (1u64..5).prop_map(Step::Write),
        1 => (1u64..4).prop_map(Step::Tear),
        1 => Just(Step::TearInvalidated),
        1 => Just(Step::Nest),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn copies_hold_what_was_published(
        first in prop_oneof![Just(0), Just(CAPACITY - 1), Just((1u64 << 29) - 20), 0..1u64 << 47],
        steps in vec(step(), 0..200),
        from in 0u64..250,
        len in 0u64..250,
    ) {
        let ring = Ring::after(first, &steps);
        prop_assert_eq!(copied(&ring, 0..SEQUENCE_MASK), ring.kept(0..SEQUENCE_MASK));
        let wanted = first + from..first + from + len;
        prop_assert_eq!(copied(&ring, wanted.clone()), ring.kept(wanted));
    }

    #[test]
    fn stamps_alone_find_what_copies_find(laps in 0u64..1000, steps in vec(step(), 0..200)) {
        let ring = Ring::after(laps * CAPACITY, &steps);
        let (first, records) = recover_by_stamps(&ring.slots(), LOG2);
        let recovered = found(first, &records);
        let kept = ring.kept(0..SEQUENCE_MASK);
        for (sequence, record) in &recovered {
            prop_assert_eq!(ring.published.get(sequence), Some(record));
        }
        let missing = kept.keys().filter(|sequence| !recovered.contains_key(sequence)).count();
        let oldest = ring.next_sequence().saturating_sub(CAPACITY);
        let torn = (oldest.max(laps * CAPACITY)..ring.next_sequence())
            .filter(|sequence| !kept.contains_key(sequence))
            .count();
        prop_assert!(missing < torn.max(1), "{} of {} records missing, {} torn", missing, kept.len(), torn);
    }

    #[test]
    fn record_counts_are_exact(
        records in 0u64..1 << 40,
        continuations in 0u64..1 << 40,
        in_flight in -32_000i64..32_000,
    ) {
        let head = Head {
            sequence: records + continuations,
            records_mod: records as u16,
        };
        let counted = continuations.saturating_add_signed(in_flight);
        prop_assert_eq!(head.record_count(counted), records);
    }

    #[test]
    fn the_head_word_counts_records(steps in vec(step(), 0..300)) {
        let ring = Ring::after(0, &steps);
        let head = Head::from(ring.head.load(Ordering::Relaxed));
        let continuations = ring.continuations.load(Ordering::Relaxed);
        prop_assert_eq!(head.record_count(continuations), ring.record_count);
    }
}

#[test]
fn rings_around_every_wrap() {
    for laps in 0..4 {
        for count in [
            laps * CAPACITY - laps.min(1),
            laps * CAPACITY,
            laps * CAPACITY + 1,
        ] {
            let ring = Ring::after(0, &vec![Step::Write(0); count as usize]);
            let kept = copied(&ring, 0..SEQUENCE_MASK);
            assert_eq!(kept, ring.kept(0..SEQUENCE_MASK));
            assert_eq!(kept.len() as u64, count.min(CAPACITY));
            let (first, records) = recover_by_stamps(&ring.slots(), LOG2);
            assert_eq!(found(first, &records), kept);
        }
    }
}

#[test]
fn the_last_lap_before_stamps_begin_again_is_found() {
    for count in [1, CAPACITY - 1, CAPACITY] {
        let ring = Ring::after(LAP_MASK * CAPACITY, &vec![Step::Write(0); count as usize]);
        let (first, records) = recover_by_stamps(&ring.slots(), LOG2);
        assert_eq!(found(first, &records), copied(&ring, 0..SEQUENCE_MASK));
        assert_eq!(found(first, &records).len() as u64, count);
    }
}

#[test]
fn a_late_store_of_a_lapped_record_is_not_taken_for_a_newer_one() {
    let mut ring = Ring::new(0);
    let memory = RingMemory {
        head: &*ring.head,
        continuations: &*ring.continuations,
        open_slots: std::ptr::null(),
        slots: ring.slots.as_ptr(),
    };
    // SAFETY: as in `Ring::after`.
    let writer = unsafe { Writer::new(memory, LOG2, 0, 0) };
    let lapped = writer.reserve(1);
    for _ in 0..CAPACITY {
        ring.take(&writer, Step::Write(0));
    }
    writer.publish(lapped, [1; 3], Record::site_and_kind(1, Kind::Span));
    let kept = copied(&ring, 0..SEQUENCE_MASK);
    assert_eq!(
        kept.keys().copied().collect::<Vec<_>>(),
        (1..CAPACITY).collect::<Vec<_>>()
    );
}
