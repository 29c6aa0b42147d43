//! What recording costs on this machine: a span as the recorder makes it, beside the floor below which none can go.

use std::hint::black_box;

pub use crate::block::SpanCost;
use crate::clock::{self, ClockSource};
use crate::layout::{Kind, OPEN_SLOT_WORDS, RECORD_WORDS, Record};
use crate::ring::{OpenSpan, RingMemory, Writer};
use crate::sync::{AtomicU64, Ordering};

/// Records of the ring that is written: 1 MiB, as rings are by default.
const CAPACITY_LOG2: u32 = 15;
const OPEN_SLOTS: usize = 64;
/// Rounds, each of which measures both; their medians are taken, so that what disturbs a few does not count.
const ROUNDS: usize = 21;
const SITE: u32 = 1;
/// Spans of a round.
const SPANS: u64 = 4_000;

impl SpanCost {
    /// Measures both with ticks from `source`, which takes about 4 ms.
    pub fn measure(source: ClockSource) -> SpanCost {
        let memory = TrialRing::new();
        let writer = memory.writer();
        let mut spans = [0; ROUNDS];
        let mut floors = [0; ROUNDS];
        for round in 0..ROUNDS {
            floors[round] = picoseconds_of(|| memory.store_at_floor(source));
            spans[round] = picoseconds_of(|| record_span(&writer, source));
        }
        spans.sort_unstable();
        floors.sort_unstable();
        SpanCost {
            span_ps: spans[ROUNDS / 2],
            floor_ps: floors[ROUNDS / 2],
        }
    }
}

/// What one call takes, from many.
fn picoseconds_of(mut call: impl FnMut()) -> u64 {
    let start_ns = clock::monotonic_ns();
    for _ in 0..SPANS {
        call();
    }
    (clock::monotonic_ns() - start_ns) * 1_000 / SPANS
}

/// The steps of a span in the recorder, in its order: clock last at the entry, first at the exit.
#[inline(always)]
fn record_span(writer: &Writer, source: ClockSource) {
    let site_and_kind = Record::site_and_kind(SITE, Kind::Span);
    let shown = OpenSpan {
        site_and_kind,
        w2: 0,
        lane: 0,
        payload_len: 0,
    };
    let slot = writer.take_open_slot(SITE);
    let start_ticks = match slot {
        Some(slot) => writer.open(slot, shown, || clock::ticks(source)),
        None => clock::ticks(source),
    };
    let end_ticks = clock::ticks(source);
    let sequence = writer.reserve(1);
    if writer.has_room(sequence, 1) {
        let duration_ticks = end_ticks.wrapping_sub(start_ticks);
        writer.publish(sequence, [start_ticks, duration_ticks, 0], site_and_kind);
    }
    if let Some(slot) = slot {
        writer.close(slot);
    }
}

/// A ring in private memory: what a record costs does not depend on what is mapped, as long as it is populated.
struct TrialRing {
    head: AtomicU64,
    continuations: AtomicU64,
    open_slots: Box<[AtomicU64]>,
    slots: Box<[AtomicU64]>,
    floor_at: std::cell::Cell<usize>,
}

impl TrialRing {
    fn new() -> TrialRing {
        let words = |count: usize| (0..count).map(|_| AtomicU64::new(0)).collect();
        TrialRing {
            head: AtomicU64::new(0),
            continuations: AtomicU64::new(0),
            open_slots: words(OPEN_SLOTS * OPEN_SLOT_WORDS),
            slots: words(RECORD_WORDS << CAPACITY_LOG2),
            floor_at: std::cell::Cell::new(0),
        }
    }

    /// The only writer of this ring.
    fn writer(&self) -> Writer {
        let memory = RingMemory {
            head: &raw const self.head,
            continuations: &raw const self.continuations,
            open_slots: self.open_slots.as_ptr(),
            slots: self.slots.as_ptr(),
        };
        // SAFETY: the words live in `self`, as many as the capacity and the open slots take, and `measure` makes one
        // writer and drops it before them.
        unsafe { Writer::new(memory, CAPACITY_LOG2, OPEN_SLOTS, 0) }
    }

    /// Two clock reads and a store of 32 bytes.
    #[inline(always)]
    fn store_at_floor(&self, source: ClockSource) {
        let at = self.floor_at.get();
        self.floor_at
            .set((at + RECORD_WORDS) & ((RECORD_WORDS << CAPACITY_LOG2) - 1));
        let start_ticks = clock::ticks(source);
        let end_ticks = clock::ticks(source);
        let words = [start_ticks, end_ticks.wrapping_sub(start_ticks), 0, 1];
        for (slot, word) in self.slots[at..at + RECORD_WORDS].iter().zip(words) {
            slot.store(word, Ordering::Relaxed);
        }
        black_box(self);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_takes_some_time_and_is_published() {
        let cost = SpanCost::measure(clock::detect());
        assert!(cost.span_ps > 0 && cost.floor_ps > 0, "{cost:?}");

        let ring = TrialRing::new();
        let writer = ring.writer();
        record_span(&writer, ClockSource::Monotonic);
        let w3 = ring.slots[RECORD_WORDS - 1].load(Ordering::Relaxed);
        assert!(Record { w: [0, 0, 0, w3] }.is_stamped(0, CAPACITY_LOG2));
        assert!(!writer.has_open_spans());
    }
}
