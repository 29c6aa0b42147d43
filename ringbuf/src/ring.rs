//! The writing side of a ring: reserve, invalidate, write, stamp; and the open slots beside it.
//!
//! One thread writes a ring, and signal handlers that run on that thread. The protocol, per record:
//!
//! 1. one instruction adds to the head word: the slots are this call's, whoever interrupts it;
//! 2. the slot's stamp is set to zero, then a Release fence;
//! 3. the payload is written;
//! 4. the stamp is stored with Release: from here on the record counts.
//!
//! A reader that finds a stamp which does not match the sequence it looks for has found an unpublished slot. The
//! memory belongs to the caller: a mapped file in programs, the heap in tests and under loom.

use crate::layout::{
    CONTINUATION_PAYLOAD, HEAD_RECORD_ONE, Kind, LAP_MASK, MAX_OPEN_SLOTS, OPEN_SLOT_PAYLOAD,
    OPEN_SLOT_WORDS, RECORD_WORDS, Record, SEQUENCE_MASK, STAMP_SHIFT, STAMP_VALID,
};
use crate::sync::{AtomicU64, Ordering, add_unshared, fence, replace_unshared, set_bits_unshared};

const OPEN_FREE_WORDS: usize = MAX_OPEN_SLOTS / 64;
/// In word 3 of an open slot: the span ended on another thread, the slot is to be freed by its own.
const CLOSED_ELSEWHERE: u64 = 1 << 63;

/// Where a ring's words lie. All pointers are to `AtomicU64`s.
#[derive(Clone, Copy, Debug)]
pub struct RingMemory {
    /// The head word.
    pub head: *const AtomicU64,
    /// The count of continuations.
    pub continuations: *const AtomicU64,
    /// First word of the first open slot.
    pub open_slots: *const AtomicU64,
    /// First word of the first record.
    pub slots: *const AtomicU64,
}

/// The single writer of a ring. Neither `Clone` nor `Sync`: one thread at a time, and handlers on top of it.
///
/// `#[repr(C)]`: C code reads the first words inline, see "The inline ABI" in FORMAT.md.
#[repr(C)]
#[derive(Debug)]
pub struct Writer {
    generation: u64,
    head: *const AtomicU64,
    slots: *const AtomicU64,
    slot_mask: u64,
    /// Reservations that end beyond this sequence must make room first; `u64::MAX` in flight mode.
    limit: AtomicU64,
    capacity_log2: u32,
    open_slot_count: u32,
    open_slots: *const AtomicU64,
    continuations: *const AtomicU64,
    /// One bit per free open slot.
    open_free: [AtomicU64; OPEN_FREE_WORDS],
}

#[cfg(not(loom))]
mod abi {
    use super::Writer;
    use core::mem::offset_of;
    const _: () = assert!(offset_of!(Writer, generation) == 0);
    const _: () = assert!(offset_of!(Writer, head) == 8);
    const _: () = assert!(offset_of!(Writer, slots) == 16);
    const _: () = assert!(offset_of!(Writer, slot_mask) == 24);
    const _: () = assert!(offset_of!(Writer, limit) == 32);
    const _: () = assert!(offset_of!(Writer, capacity_log2) == 40);
    const _: () = assert!(offset_of!(Writer, open_slot_count) == 44);
    const _: () = assert!(offset_of!(Writer, open_slots) == 48);
    const _: () = assert!(offset_of!(Writer, continuations) == 56);
    const _: () = assert!(offset_of!(Writer, open_free) == 64);
}

/// Name, offset and length in bytes of every field that C code reads inline: the C header is checked against them.
#[cfg(not(loom))]
pub const WRITER_FIELDS: [(&str, usize, usize); 10] = {
    use core::mem::offset_of;
    [
        ("generation", offset_of!(Writer, generation), 8),
        ("head", offset_of!(Writer, head), 8),
        ("slots", offset_of!(Writer, slots), 8),
        ("slot_mask", offset_of!(Writer, slot_mask), 8),
        ("limit", offset_of!(Writer, limit), 8),
        ("capacity_log2", offset_of!(Writer, capacity_log2), 4),
        ("open_slot_count", offset_of!(Writer, open_slot_count), 4),
        ("open_slots", offset_of!(Writer, open_slots), 8),
        ("continuations", offset_of!(Writer, continuations), 8),
        (
            "open_free",
            offset_of!(Writer, open_free),
            8 * OPEN_FREE_WORDS,
        ),
    ]
};

/// What an open slot shows; `payload` is what follows w2, cut to [`OPEN_SLOT_PAYLOAD`] bytes.
#[derive(Clone, Copy, Debug)]
pub struct OpenSpan<'a> {
    /// Site id and kind, see [`Record::site_and_kind`].
    pub site_and_kind: u64,
    /// First eight payload bytes.
    pub w2: u64,
    /// Lane.
    pub lane: u16,
    /// Payload behind w2.
    pub payload: &'a [u8],
}

impl Writer {
    /// A writer for a ring of 2^`capacity_log2` records whose next sequence is the one in the head word.
    ///
    /// # Safety
    ///
    /// As long as the writer lives:
    /// - `memory.head` and `memory.continuations` each point to one `AtomicU64`, `memory.open_slots` to
    ///   `open_slot_count` times [`OPEN_SLOT_WORDS`] and `memory.slots` to 2^`capacity_log2` times
    ///   [`RECORD_WORDS`] of them;
    /// - no other writer exists for this memory, in this process or another.
    pub unsafe fn new(
        memory: RingMemory,
        capacity_log2: u32,
        open_slot_count: usize,
        generation: u64,
    ) -> Writer {
        debug_assert!(open_slot_count <= MAX_OPEN_SLOTS);
        let free_bits = |word: usize| match open_slot_count.saturating_sub(word * 64) {
            0 => 0,
            n if n >= 64 => u64::MAX,
            n => (1 << n) - 1,
        };
        Writer {
            generation,
            head: memory.head,
            slots: memory.slots,
            slot_mask: (1 << capacity_log2) - 1,
            limit: AtomicU64::new(u64::MAX),
            capacity_log2,
            open_slot_count: open_slot_count as u32,
            open_slots: memory.open_slots,
            continuations: memory.continuations,
            open_free: core::array::from_fn(|word| AtomicU64::new(free_bits(word))),
        }
    }

    /// Generation of the process that made the ring; another one means that a fork lies between.
    #[inline(always)]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Records that the ring holds.
    pub fn capacity(&self) -> u64 {
        self.slot_mask + 1
    }

    /// The ring holds 2^this records.
    pub fn capacity_log2(&self) -> u32 {
        self.capacity_log2
    }

    /// Sequence of the next reservation.
    pub fn next_sequence(&self) -> u64 {
        self.head_word().load(Ordering::Relaxed) & SEQUENCE_MASK
    }

    /// Reservations that end beyond `sequence` will be told so by [`Writer::has_room`].
    pub fn set_limit(&self, sequence: u64) {
        self.limit.store(sequence, Ordering::Relaxed);
    }

    /// Reserves one record of `slot_count` slots (itself and its continuations); the sequence of the first.
    #[inline(always)]
    pub fn reserve(&self, slot_count: u64) -> u64 {
        add_unshared(self.head_word(), HEAD_RECORD_ONE + slot_count) & SEQUENCE_MASK
    }

    /// Reserves `record_count` records of one slot each; the sequence of the first.
    #[inline(always)]
    pub fn reserve_many(&self, record_count: u64) -> u64 {
        add_unshared(
            self.head_word(),
            (HEAD_RECORD_ONE + 1).wrapping_mul(record_count),
        ) & SEQUENCE_MASK
    }

    /// True when the reservation may be written at once, without saving what stands in its slots.
    #[inline(always)]
    pub fn has_room(&self, sequence: u64, slot_count: u64) -> bool {
        sequence + slot_count <= self.limit.load(Ordering::Relaxed)
    }

    /// Writes and publishes the slot reserved as `sequence`; `site_and_kind` is w3 without its stamp.
    #[inline(always)]
    pub fn publish(&self, sequence: u64, words: [u64; 3], site_and_kind: u64) {
        let slot = self.slot(sequence);
        let stamped = site_and_kind | Record::stamp(sequence, self.capacity_log2);
        if cfg!(ringscope_mutant = "stamp_first") {
            slot[3].store(stamped, Ordering::Release);
            fence(Ordering::Release);
        } else if !cfg!(ringscope_mutant = "no_invalidate") {
            slot[3].store(0, Ordering::Relaxed);
        }
        // Pairs with the fence before `copy_published` reads the head again: who sees one of the stores below
        // sees the reservation and the zero stamp too.
        fence(Ordering::Release);
        slot[0].store(words[0], Ordering::Relaxed);
        slot[1].store(words[1], Ordering::Relaxed);
        slot[2].store(words[2], Ordering::Relaxed);
        if !cfg!(ringscope_mutant = "stamp_first") {
            // Pairs with the fence after the first copy of `copy_published`: who sees this stamp sees the payload.
            slot[3].store(stamped, Ordering::Release);
        }
    }

    /// Writes the continuations of a record, at `sequence` and after: `payload` in chunks of 28 bytes, the last one
    /// padded with zeros. To be called before the record itself is published, whose slot stands before them.
    #[inline]
    pub fn publish_continuations(&self, sequence: u64, payload: &[u8]) {
        let (whole, tail) = payload.as_chunks::<CONTINUATION_PAYLOAD>();
        for (at, chunk) in (sequence..).zip(whole) {
            self.publish_continuation(at, chunk);
        }
        if !tail.is_empty() {
            let mut chunk = [0; CONTINUATION_PAYLOAD];
            chunk[..tail.len()].copy_from_slice(tail);
            self.publish_continuation(sequence + whole.len() as u64, &chunk);
        }
        let count = payload.len().div_ceil(CONTINUATION_PAYLOAD) as u64;
        // SAFETY: valid by the contract of `new`; single-writer by the type.
        add_unshared(unsafe { &*self.continuations }, count);
    }

    #[inline(always)]
    fn publish_continuation(&self, sequence: u64, chunk: &[u8; CONTINUATION_PAYLOAD]) {
        let word = |at: usize| u64::from_le_bytes(core::array::from_fn(|i| chunk[at + i]));
        let site = u32::from_le_bytes(core::array::from_fn(|i| chunk[24 + i]));
        let words = [word(0), word(8), word(16)];
        self.publish(
            sequence,
            words,
            Record::site_and_kind(site, Kind::Continuation),
        );
    }

    /// Takes a free open slot and shows `span` in it; the slot, or `None` when all are taken, and the start that
    /// `clock` gave. The clock is read after everything but the start and the key is written.
    #[inline(always)]
    pub fn open(&self, span: OpenSpan<'_>, clock: impl FnOnce() -> u64) -> (Option<u32>, u64) {
        let Some(index) = self.take_open_slot() else {
            return (None, clock());
        };
        let slot = self.open_slot(index);
        // Pairs with the fence after a reader's copy of the words: who sees one of the stores below sees that the
        // span before it is closed.
        fence(Ordering::Release);
        slot[2].store(span.w2, Ordering::Relaxed);
        let payload = &span.payload[..span.payload.len().min(OPEN_SLOT_PAYLOAD)];
        slot[3].store(
            span.lane as u64 | (payload.len() as u64) << 16,
            Ordering::Relaxed,
        );
        store_bytes(&slot[4..], payload);
        let start = clock();
        let key = open_key(span.site_and_kind, start);
        if cfg!(ringscope_mutant = "key_first") {
            slot[0].store(key, Ordering::Release);
            fence(Ordering::Release);
            slot[1].store(start, Ordering::Relaxed);
        } else {
            slot[1].store(start, Ordering::Relaxed);
            slot[0].store(key, Ordering::Release);
        }
        (Some(index), start)
    }

    /// Shows a longer payload in an open slot (an argument became known late): `payload`, what follows w2, begins
    /// with what the slot shows already. The length is stored last, so that a reader sees whole arguments.
    pub fn extend_open(&self, index: u32, w2: u64, payload: &[u8]) {
        let slot = self.open_slot(index);
        let payload = &payload[..payload.len().min(OPEN_SLOT_PAYLOAD)];
        let lane = slot[3].load(Ordering::Relaxed) & 0xFFFF;
        store_bytes(&slot[4..], payload);
        slot[2].store(w2, Ordering::Release);
        slot[3].store(lane | (payload.len() as u64) << 16, Ordering::Release);
    }

    /// Shows another span in an open slot, with the same lane and payload, begun at `start`: the next phase of a lap.
    #[inline]
    pub fn reopen(&self, index: u32, site_and_kind: u64, start: u64) {
        let slot = self.open_slot(index);
        slot[0].store(0, Ordering::Relaxed);
        fence(Ordering::Release);
        slot[1].store(start, Ordering::Relaxed);
        slot[0].store(open_key(site_and_kind, start), Ordering::Release);
    }

    /// The span in this slot has ended. To be called by the ring's own thread, after the span's record is published.
    #[inline(always)]
    pub fn close(&self, index: u32) {
        self.open_slot(index)[0].store(0, Ordering::Release);
        set_bits_unshared(&self.open_free[index as usize / 64], 1 << (index % 64));
    }

    /// As [`Writer::close`], for a span that ended on another thread: the ring's own thread finds the slot again
    /// when it runs out of free ones.
    pub fn close_from_another_thread(&self, index: u32) {
        let slot = self.open_slot(index);
        slot[3].store(CLOSED_ELSEWHERE, Ordering::Relaxed);
        // Pairs with the load in `reclaim_closed_slots`.
        slot[0].store(0, Ordering::Release);
    }

    /// True when a span of this ring stands open.
    pub fn has_open_spans(&self) -> bool {
        (0..self.open_slot_count).any(|index| self.open_slot(index)[0].load(Ordering::Acquire) != 0)
    }

    #[inline(always)]
    fn take_open_slot(&self) -> Option<u32> {
        loop {
            let free = self.open_free[0].load(Ordering::Relaxed);
            if free == 0 {
                return self.take_open_slot_slow();
            }
            if replace_unshared(&self.open_free[0], free, free & (free - 1)) {
                return Some(free.trailing_zeros());
            }
        }
    }

    /// Takes a free open slot where the first ones are all taken; C code looks at those itself.
    pub fn take_any_open_slot(&self) -> Option<u32> {
        self.take_open_slot_slow()
    }

    #[cold]
    #[inline(never)]
    fn take_open_slot_slow(&self) -> Option<u32> {
        let words = (self.open_slot_count as usize).div_ceil(64);
        for _round in 0..2 {
            for word in 0..words {
                let free = self.open_free[word].load(Ordering::Relaxed);
                if free != 0 && replace_unshared(&self.open_free[word], free, free & (free - 1)) {
                    return Some((word * 64) as u32 + free.trailing_zeros());
                }
            }
            if !self.reclaim_closed_slots() {
                return None;
            }
        }
        None
    }

    /// Frees the slots that other threads closed; their mark tells them from a slot that a call which this one
    /// interrupts is about to fill.
    fn reclaim_closed_slots(&self) -> bool {
        let mut found = false;
        for index in 0..self.open_slot_count {
            let (word, bit) = (&self.open_free[index as usize / 64], 1u64 << (index % 64));
            let slot = self.open_slot(index);
            if word.load(Ordering::Relaxed) & bit == 0
                && slot[0].load(Ordering::Acquire) == 0
                && slot[3].load(Ordering::Relaxed) & CLOSED_ELSEWHERE != 0
            {
                slot[3].store(0, Ordering::Relaxed);
                set_bits_unshared(word, bit);
                found = true;
            }
        }
        found
    }

    #[inline(always)]
    fn head_word(&self) -> &AtomicU64 {
        // SAFETY: valid by the contract of `new`.
        unsafe { &*self.head }
    }

    #[inline(always)]
    fn slot(&self, sequence: u64) -> &[AtomicU64; RECORD_WORDS] {
        let first = (sequence & self.slot_mask) as usize * RECORD_WORDS;
        // SAFETY: the mask keeps the index below the capacity, whose words are valid by the contract of `new`.
        unsafe { &*self.slots.add(first).cast() }
    }

    #[inline(always)]
    fn open_slot(&self, index: u32) -> &[AtomicU64; OPEN_SLOT_WORDS] {
        debug_assert!(index < self.open_slot_count);
        // SAFETY: indices come from `take_open_slot`, below `open_slot_count`, valid by the contract of `new`.
        unsafe { &*self.open_slots.add(index as usize * OPEN_SLOT_WORDS).cast() }
    }
}

/// Stores bytes as little-endian words, the last one padded with zeros.
#[inline(always)]
fn store_bytes(words: &[AtomicU64], bytes: &[u8]) {
    let (whole, tail) = bytes.as_chunks::<8>();
    for (word, chunk) in words.iter().zip(whole) {
        word.store(u64::from_le_bytes(*chunk), Ordering::Relaxed);
    }
    if let (false, Some(word)) = (tail.is_empty(), words.get(whole.len())) {
        word.store(tail_word(bytes, tail), Ordering::Relaxed);
    }
}

/// The bytes of `tail` (fewer than eight), with which `bytes` ends, as a word.
#[inline(always)]
fn tail_word(bytes: &[u8], tail: &[u8]) -> u64 {
    match bytes.last_chunk::<8>() {
        // One load that overlaps the word before is faster than a copy of unknown length.
        Some(last) => u64::from_le_bytes(*last) >> (64 - 8 * tail.len()),
        None => tail
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// The key of an open slot: site and kind, and the low bits of the start in place of a lap, so that a reader can
/// tell that key and start belong together.
#[inline(always)]
pub fn open_key(site_and_kind: u64, start: u64) -> u64 {
    site_and_kind | STAMP_VALID | (start & LAP_MASK) << STAMP_SHIFT
}
