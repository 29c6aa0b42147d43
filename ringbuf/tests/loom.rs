//! The ring protocol under the model checker: the shipped `Writer`, `copy_published` and `settled_open_slot` over
//! heap memory, one writing and one reading thread, every interleaving and every value the memory model allows.
//!
//! Loads and stores of different words may be seen out of order here, as on aarch64. Each model asks the same
//! question: is what a reader accepts ever anything but what was published under that sequence? And after the
//! writer's end: is everything there? Run by `ci/loom`, which also runs the mutants that must fail.
#![cfg(loom)]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::convert::Infallible;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering, fence};
use loom::thread;
use ringscope_ringbuf::layout::{
    CONTINUATION_PAYLOAD, Kind, OPEN_SLOT_LEN, OPEN_SLOT_WORDS, RECORD_WORDS, Record, SEQUENCE_MASK,
};
use ringscope_ringbuf::payload::payload_word;
use ringscope_ringbuf::reader::{OpenState, Source, copy_published, settled_open_slot};
use ringscope_ringbuf::registration::Registration;
use ringscope_ringbuf::ring::{OpenSpan, RingMemory, Writer};

/// Two slots: the third record wraps.
const CAPACITY_LOG2: u32 = 1;
const CAPACITY: u64 = 1 << CAPACITY_LOG2;
/// Site of the spans that the models record.
const SITE: u32 = 7;

/// A ring's words on the heap.
struct Ring {
    head: AtomicU64,
    continuations: AtomicU64,
    open_slots: Vec<AtomicU64>,
    slots: Vec<AtomicU64>,
}

impl Ring {
    fn new() -> Arc<Ring> {
        let zeros = |count| (0..count).map(|_| AtomicU64::new(0)).collect();
        Arc::new(Ring {
            head: AtomicU64::new(0),
            continuations: AtomicU64::new(0),
            open_slots: zeros(OPEN_SLOT_WORDS),
            slots: zeros(CAPACITY as usize * RECORD_WORDS),
        })
    }

    fn writer(&self) -> Writer {
        let memory = RingMemory {
            head: &self.head,
            continuations: &self.continuations,
            open_slots: self.open_slots.as_ptr(),
            slots: self.slots.as_ptr(),
        };
        // SAFETY: every model holds the ring's Arc longer than the writer, makes the next writer only after the
        // last use of the one before, and the vectors have the sizes that `new` demands.
        unsafe { Writer::new(memory, CAPACITY_LOG2, 1, 0) }
    }

    fn copy(&self, wanted: std::ops::Range<u64>) -> Vec<(u64, Record)> {
        let mut out = Vec::new();
        let Ok(range) = copy_published(&mut &*self, wanted, CAPACITY_LOG2, &mut out);
        range
            .zip(out)
            .filter(|(_, record)| *record != Record::default())
            .collect()
    }

    /// Copies the first `words` words of the open slot; the rest reads as zero.
    fn copy_open_slot(&self, words: usize) -> [u8; OPEN_SLOT_LEN] {
        let mut bytes = [0; OPEN_SLOT_LEN];
        for (chunk, word) in bytes.chunks_mut(8).zip(&self.open_slots).take(words) {
            chunk.copy_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
        }
        bytes
    }

    /// The open slot as readers of files take it: key and start, all words, all words again.
    fn open_slot(&self) -> OpenState {
        let before = self.copy_open_slot(2);
        fence(Ordering::Acquire);
        let words = self.copy_open_slot(4);
        fence(Ordering::Acquire);
        settled_open_slot(&before, &words, &self.copy_open_slot(4))
    }
}

/// The words that copies take. The payload's three words are stored alike, so that one of them stands for all, and
/// the models stay small enough to be exhausted.
const COPIED_WORDS: [usize; 2] = [0, 3];

/// Relaxed loads, word by word: the weakest copy there is.
impl Source for &Ring {
    type Error = Infallible;

    fn head(&mut self) -> Result<u64, Infallible> {
        Ok(self.head.load(Ordering::Relaxed))
    }

    fn copy(&mut self, first_slot: u64, out: &mut [Record]) -> Result<(), Infallible> {
        let words = self.slots.chunks(RECORD_WORDS).skip(first_slot as usize);
        for (record, words) in out.iter_mut().zip(words) {
            for word in COPIED_WORDS {
                record.w[word] = words[word].load(Ordering::Relaxed);
            }
        }
        Ok(())
    }
}

/// Payload of the record published as `sequence`; no word of it stands in another record.
fn payload(sequence: u64) -> [u64; 3] {
    [1, 2, 3].map(|word| (sequence + 1) * 10 + word)
}

fn publish(writer: &Writer, sequence: u64) {
    writer.publish(
        sequence,
        payload(sequence),
        Record::site_and_kind(SITE, Kind::Span),
    );
}

fn write(writer: &Writer) {
    publish(writer, writer.reserve(1));
}

fn assert_whole(copied: &[(u64, Record)]) {
    for (sequence, record) in copied {
        assert_eq!(
            record.start(),
            payload(*sequence)[0],
            "torn record accepted as sequence {sequence}"
        );
        assert_eq!((record.site(), record.kind_number()), (SITE, 1));
    }
}

fn sequences(copied: &[(u64, Record)]) -> Vec<u64> {
    copied.iter().map(|(sequence, _)| *sequence).collect()
}

/// Runs `before` and then `writing` on the writer's thread while this one copies `wanted`; afterwards the ring must
/// hold exactly `kept`.
fn model(
    before: fn(&Writer),
    writing: fn(&Writer),
    wanted: std::ops::Range<u64>,
    kept: &'static [u64],
) {
    loom::model(move || {
        let ring = Ring::new();
        before(&ring.writer());
        let writing_ring = Arc::clone(&ring);
        let thread = thread::spawn(move || writing(&writing_ring.writer()));
        assert_whole(&ring.copy(wanted.clone()));
        thread.join().unwrap();
        let copied = ring.copy(0..SEQUENCE_MASK);
        assert_whole(&copied);
        assert_eq!(sequences(&copied), kept);
    });
}

#[test]
fn snapshot_while_the_first_record_is_written() {
    model(|_| {}, write, 0..1, &[0]);
}

#[test]
fn snapshot_of_two_slots_while_the_second_is_written() {
    model(write, write, 0..2, &[0, 1]);
}

#[test]
fn record_that_is_overwritten_while_it_is_copied() {
    let fill = |writer: &Writer| (0..2).for_each(|_| write(writer));
    model(fill, write, 0..1, &[1, 2]);
}

#[test]
fn record_that_overwrites_another_while_it_is_copied() {
    let fill = |writer: &Writer| (0..2).for_each(|_| write(writer));
    model(fill, write, 2..3, &[1, 2]);
}

/// A signal handler records while the thread is between reserving and publishing.
#[test]
fn nested_writer() {
    let nested = |writer: &Writer| {
        let outer = writer.reserve(1);
        write(writer);
        publish(writer, outer);
    };
    for wanted in [0..1, 1..2] {
        model(|_| {}, nested, wanted, &[0, 1]);
    }
}

/// A handler records so much that it laps the record it interrupted: that record's late stores hit a newer one,
/// which then must come out as missing, never as a mixture.
#[test]
fn nested_writer_laps_the_record_it_interrupts() {
    let handler_done = |writer: &Writer| {
        assert_eq!(writer.reserve(1), 0);
        (0..2).for_each(|_| write(writer));
    };
    model(handler_done, |writer| publish(writer, 0), 2..3, &[1]);
}

/// The main record is stamped last: who sees it in one copy sees its continuation in the next.
#[test]
fn record_with_continuation() {
    const TAIL: [u8; CONTINUATION_PAYLOAD] = *b"01234567________________89ab";
    loom::model(|| {
        let ring = Ring::new();
        let writing_ring = Arc::clone(&ring);
        let thread = thread::spawn(move || {
            let writer = writing_ring.writer();
            let sequence = writer.reserve(2);
            writer.publish_continuations(sequence + 1, TAIL.len(), |index| {
                payload_word(&TAIL, index)
            });
            publish(&writer, sequence);
        });
        let main = ring.copy(0..1);
        assert_whole(&main);
        let continuation = ring.copy(1..2);
        assert!(main.is_empty() || !continuation.is_empty());
        for (_, record) in &continuation {
            let payload = record.continuation_payload();
            assert_eq!((&payload[..8], &payload[24..]), (&TAIL[..8], &TAIL[24..]));
        }
        thread.join().unwrap();
        assert_eq!(sequences(&ring.copy(0..2)), [0, 1]);
        assert_eq!(ring.continuations.load(Ordering::Relaxed), 1);
    });
}

/// Starts of two spans of the same site.
const STARTS: [u64; 2] = [5, 6];
/// A start whose key is that of `STARTS[0]`: the key holds its low 23 bits only.
const SAME_KEY_START: u64 = STARTS[0] + (1 << 23);

fn open(writer: &Writer, start: u64) -> u32 {
    let index = writer.take_open_slot(SITE).unwrap();
    show(writer, index, start);
    index
}

/// Shows a span in a slot that is taken.
fn show(writer: &Writer, index: u32, start: u64) {
    let span = OpenSpan {
        site_and_kind: Record::site_and_kind(SITE, Kind::Span),
        w2: start * 2,
        lane: 0,
        payload_len: 0,
    };
    writer.open(index, span, || start);
}

fn assert_open_slot(state: OpenState) {
    if let OpenState::Open(slot) = state {
        assert!([STARTS[0], STARTS[1], SAME_KEY_START].contains(&slot.start_ticks));
        assert_eq!(
            slot.w2,
            slot.start_ticks * 2,
            "argument of another span than the start"
        );
        assert_eq!((slot.site, slot.kind_number), (SITE, Kind::Span as u8));
    }
}

#[test]
fn span_that_opens_and_closes_while_its_slot_is_copied() {
    loom::model(|| {
        let ring = Ring::new();
        let writing_ring = Arc::clone(&ring);
        let thread = thread::spawn(move || {
            let writer = writing_ring.writer();
            writer.close(open(&writer, STARTS[0]));
        });
        assert_open_slot(ring.open_slot());
        thread.join().unwrap();
        assert_eq!(ring.open_slot(), OpenState::Free);
    });
}

#[test]
fn slot_that_passes_to_another_span_while_it_is_copied() {
    loom::model(|| {
        let ring = Ring::new();
        let writer = ring.writer();
        let index = open(&writer, STARTS[0]);
        let writing_ring = Arc::clone(&ring);
        let thread = thread::spawn(move || {
            // The first writer is not used any more; its closed slot is free in the new one as well.
            let writer = writing_ring.writer();
            writer.close(index);
            open(&writer, STARTS[1]);
        });
        assert_open_slot(ring.open_slot());
        thread.join().unwrap();
        assert!(matches!(ring.open_slot(), OpenState::Open(slot) if slot.start_ticks == STARTS[1]));
    });
}

/// The key must not stand before the start: the start that a closed span left may go with it as well.
#[test]
fn slot_that_opens_again_with_the_same_key() {
    loom::model(|| {
        let ring = Ring::new();
        let writer = ring.writer();
        writer.close(open(&writer, STARTS[0]));
        let index = writer.take_open_slot(SITE).unwrap();
        let writing_ring = Arc::clone(&ring);
        let thread = thread::spawn(move || show(&writing_ring.writer(), index, SAME_KEY_START));
        let state = ring.open_slot();
        assert_open_slot(state);
        if let OpenState::Open(slot) = state {
            assert_eq!(slot.start_ticks, SAME_KEY_START);
        }
        thread.join().unwrap();
        assert!(matches!(ring.open_slot(), OpenState::Open(_)));
    });
}

/// The next phase of a lap begins in the slot of the one before.
#[test]
fn lap_that_goes_on_while_its_slot_is_copied() {
    loom::model(|| {
        let ring = Ring::new();
        let index = open(&ring.writer(), STARTS[0]);
        let writing_ring = Arc::clone(&ring);
        let next = Record::site_and_kind(SITE + 1, Kind::Span);
        let thread = thread::spawn(move || writing_ring.writer().reopen(index, next, STARTS[1]));
        if let OpenState::Open(slot) = ring.open_slot() {
            assert!(
                [(SITE, STARTS[0]), (SITE + 1, STARTS[1])].contains(&(slot.site, slot.start_ticks))
            );
        }
        thread.join().unwrap();
        assert!(matches!(ring.open_slot(), OpenState::Open(slot) if slot.site == SITE + 1));
    });
}

/// Two threads meet a place for the first time. Whatever id each of them records under, the file has it by then; and both
/// record under the same from then on.
#[test]
fn place_that_two_threads_register() {
    const SIGNATURE: u32 = 3;
    struct Place {
        registration: Registration,
        /// What is written to the file: an entry an id.
        file: [AtomicU64; 2],
    }
    fn meet(place: &Place, own_id: u32) -> u32 {
        let id = place.registration.id(SIGNATURE).unwrap_or_else(|| {
            place.file[own_id as usize].store(1, Ordering::Relaxed);
            place.registration.settle(SIGNATURE, own_id)
        });
        let entry = place.file[id as usize].load(Ordering::Relaxed);
        assert_eq!(entry, 1, "an id that the file does not have");
        id
    }
    loom::model(|| {
        let place = Arc::new(Place {
            registration: Registration::new(),
            file: [AtomicU64::new(0), AtomicU64::new(0)],
        });
        let other = Arc::clone(&place);
        let thread = thread::spawn(move || meet(&other, 1));
        let mine = meet(&place, 0);
        assert_eq!(thread.join().unwrap(), mine);
        assert_eq!(place.registration.any_id(), Some(mine));
    });
}

/// A supervisor saves the ring and says how far; the thread overwrites no further than that. Every record that was made is
/// whole in what was saved, or in the ring.
#[test]
fn ring_that_rolls_over_while_it_is_saved() {
    loom::model(|| {
        let ring = Ring::new();
        {
            let writer = ring.writer();
            (0..CAPACITY).for_each(|_| write(&writer));
        }
        let drained = Arc::new(AtomicU64::new(0));
        let (writing_ring, told) = (Arc::clone(&ring), Arc::clone(&drained));
        let thread = thread::spawn(move || {
            let writer = writing_ring.writer();
            // Pairs with the supervisor's store: its copy came before.
            writer.set_limit(told.load(Ordering::Acquire) + CAPACITY);
            if writer.has_room(writer.next_sequence(), 1) {
                write(&writer);
            }
        });
        let saved = ring.copy(0..1);
        assert_whole(&saved);
        assert_eq!(sequences(&saved), [0], "overwritten before it was saved");
        drained.store(1, Ordering::Release);
        thread.join().unwrap();
        let left = ring.copy(0..SEQUENCE_MASK);
        assert_whole(&left);
        assert!([vec![0, 1], vec![1, 2]].contains(&sequences(&left)));
    });
}
