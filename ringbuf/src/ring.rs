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
    OPEN_SLOT_TAKEN, OPEN_SLOT_WORDS, RECORD_WORDS, Record, SEQUENCE_MASK, STAMP_SHIFT,
    STAMP_VALID,
};
use crate::sync::{AtomicU64, Ordering, add_unshared, fence, replace_unshared};

/// Words of an open slot's payload.
pub const OPEN_PAYLOAD_WORDS: usize = OPEN_SLOT_PAYLOAD / 8;
/// Slots of a search that a record's price covers.
const OPEN_SEARCH_SLOTS: u64 = 64;
/// Stands in for the open slots of a ring that has none: a slot that is always taken.
#[cfg(not(loom))]
static NO_OPEN_SLOTS: [AtomicU64; OPEN_SLOT_WORDS] =
    [const { AtomicU64::new(OPEN_SLOT_TAKEN) }; OPEN_SLOT_WORDS];

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
    /// One less than the power of two of open slots that a search may begin at.
    open_slot_mask: u64,
    /// While the sequence is below this, all open slots were found taken a moment ago.
    open_full_until: AtomicU64,
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
    const _: () = assert!(offset_of!(Writer, open_slot_mask) == 64);
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
        ("open_slot_mask", offset_of!(Writer, open_slot_mask), 8),
    ]
};

/// What an open slot shows beside the words of its payload.
#[derive(Clone, Copy, Debug)]
pub struct OpenSpan {
    /// Site id and kind, see [`Record::site_and_kind`].
    pub site_and_kind: u64,
    /// First eight payload bytes.
    pub w2: u64,
    /// Lane.
    pub lane: u16,
    /// Bytes of payload behind w2; no more than [`OPEN_SLOT_PAYLOAD`] of them are shown.
    pub payload_len: usize,
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
        Writer {
            generation,
            head: memory.head,
            slots: memory.slots,
            slot_mask: (1 << capacity_log2) - 1,
            limit: AtomicU64::new(u64::MAX),
            capacity_log2,
            open_slot_count: open_slot_count as u32,
            open_slots: match open_slot_count {
                #[cfg(not(loom))]
                0 => NO_OPEN_SLOTS.as_ptr(),
                _ => memory.open_slots,
            },
            continuations: memory.continuations,
            open_slot_mask: match open_slot_count {
                0 => 0,
                count => (1 << count.ilog2()) - 1,
            },
            open_full_until: AtomicU64::new(0),
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

    /// Writes the continuations of a record, at `sequence` and after: `len` bytes of payload in chunks of 28 bytes, of
    /// which `word(i)` gives the eight from 8 i on, zeros behind the end. To be called before the record itself is
    /// published, whose slot stands before them.
    #[inline(always)]
    pub fn publish_continuations(&self, sequence: u64, len: usize, word: impl Fn(usize) -> u64) {
        let count = len.div_ceil(CONTINUATION_PAYLOAD);
        for index in 0..count {
            // Every second chunk begins in the middle of a word.
            let first = index * CONTINUATION_PAYLOAD / 8;
            let [a, b, c, d] = [
                word(first),
                word(first + 1),
                word(first + 2),
                word(first + 3),
            ];
            let (words, site) = if index % 2 == 0 {
                ([a, b, c], d as u32)
            } else {
                let straddle = |low: u64, high: u64| low >> 32 | high << 32;
                (
                    [straddle(a, b), straddle(b, c), straddle(c, d)],
                    (d >> 32) as u32,
                )
            };
            let site_and_kind = Record::site_and_kind(site, Kind::Continuation);
            self.publish(sequence + index as u64, words, site_and_kind);
        }
        self.count_continuations(count as u64);
    }

    /// As [`Writer::publish_continuations`], for one: 24 bytes of payload in `words`, and four more.
    #[inline(always)]
    pub fn publish_continuation(&self, sequence: u64, words: [u64; 3], last: u32) {
        self.publish(
            sequence,
            words,
            Record::site_and_kind(last, Kind::Continuation),
        );
        self.count_continuations(1);
    }

    #[inline(always)]
    fn count_continuations(&self, count: u64) {
        // SAFETY: valid by the contract of `new`; single-writer by the type.
        add_unshared(unsafe { &*self.continuations }, count);
    }

    /// Takes a free open slot, to be filled by [`Writer::open`] or given back by [`Writer::close`]; `None` when all are
    /// taken. The search begins at `hint`: the site id, so that nested spans find a free one at once, and that no span
    /// waits for what the one before it stored.
    #[inline(always)]
    pub fn take_open_slot(&self, hint: u32) -> Option<u32> {
        let index = (u64::from(hint) & self.open_slot_mask) as u32;
        let index = match self.claim(index) {
            true => index,
            false => self.take_another_open_slot(index)?,
        };
        // Pairs with the fence after a reader's copy of the words: who sees one of the stores that follow sees that
        // the span before it is closed.
        fence(Ordering::Release);
        Some(index)
    }

    /// As [`Writer::take_open_slot`], at `hint` or nowhere: without a call that its caller would have to prepare for.
    #[inline(always)]
    pub fn take_open_slot_at(&self, hint: u32) -> Option<u32> {
        let index = (u64::from(hint) & self.open_slot_mask) as u32;
        if !self.claim(index) {
            return None;
        }
        // Pairs as in `take_open_slot`.
        fence(Ordering::Release);
        Some(index)
    }

    /// Makes a free open slot the caller's, by one instruction that no handler can split; false when it is taken.
    #[inline(always)]
    fn claim(&self, index: u32) -> bool {
        let key = &self.open_slot(index)[0];
        // Looked at first: a failed exchange writes too, and another thread may be closing the span in a slot that
        // is taken.
        key.load(Ordering::Relaxed) == 0 && replace_unshared(key, 0, OPEN_SLOT_TAKEN)
    }

    /// Looks for a free slot behind `index`. When there was none, the next search waits until some records were written:
    /// a thread with more open spans than slots must not look at all of them at every span.
    #[cold]
    #[inline(never)]
    fn take_another_open_slot(&self, index: u32) -> Option<u32> {
        let sequence = self.next_sequence();
        if sequence < self.open_full_until.load(Ordering::Relaxed) {
            return None;
        }
        let behind = (index + 1..self.open_slot_count).chain(0..index);
        let found = behind.into_iter().find(|index| self.claim(*index));
        if found.is_none() {
            let pause = u64::from(self.open_slot_count) / OPEN_SEARCH_SLOTS;
            self.open_full_until
                .store(sequence + pause, Ordering::Relaxed);
        }
        found
    }

    /// The words of an open slot in which the payload behind w2 stands.
    #[inline(always)]
    pub fn open_payload(&self, index: u32) -> &[AtomicU64; OPEN_PAYLOAD_WORDS] {
        debug_assert!(index < self.open_slot_count);
        let first = index as usize * OPEN_SLOT_WORDS + (OPEN_SLOT_WORDS - OPEN_PAYLOAD_WORDS);
        // SAFETY: as in `open_slot`, of which this is the end.
        unsafe { &*self.open_slots.add(first).cast() }
    }

    /// Fills [`Writer::open_payload`] with the first of `len` bytes, of which `word(i)` gives the eight from 8 i on.
    pub fn fill_open_payload(&self, index: u32, len: usize, word: impl Fn(usize) -> u64) {
        let words = self.open_payload(index);
        for (at, place) in words.iter().take(len.div_ceil(8)).enumerate() {
            place.store(word(at), Ordering::Relaxed);
        }
    }

    /// Shows `span` in an open slot whose payload is written; the start that `clock` gave, which is read after
    /// everything but the start and the key is written.
    #[inline(always)]
    pub fn open(&self, index: u32, span: OpenSpan, clock: impl FnOnce() -> u64) -> u64 {
        let slot = self.open_slot(index);
        slot[2].store(span.w2, Ordering::Relaxed);
        slot[3].store(shown_as(span.lane, span.payload_len), Ordering::Relaxed);
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
        start
    }

    /// Shows a longer payload in an open slot (an argument became known late), which begins with what the slot shows
    /// already and whose words are written. The length is stored last, so that a reader sees whole arguments.
    pub fn extend_open(&self, index: u32, w2: u64, payload_len: usize) {
        let slot = self.open_slot(index);
        let lane = slot[3].load(Ordering::Relaxed) as u16;
        // Release twice: the words of the payload come before w2, and w2 before the length.
        slot[2].store(w2, Ordering::Release);
        slot[3].store(shown_as(lane, payload_len), Ordering::Release);
    }

    /// Shows another span in an open slot, with the same lane and payload, begun at `start`: the next phase of a lap.
    #[inline]
    pub fn reopen(&self, index: u32, site_and_kind: u64, start: u64) {
        let slot = self.open_slot(index);
        slot[0].store(OPEN_SLOT_TAKEN, Ordering::Relaxed);
        fence(Ordering::Release);
        slot[1].store(start, Ordering::Relaxed);
        slot[0].store(open_key(site_and_kind, start), Ordering::Release);
    }

    /// The span in this slot has ended, on whatever thread. To be called after its record is published.
    #[inline(always)]
    pub fn close(&self, index: u32) {
        // Pairs with the claim of the slot by its ring's own thread.
        self.open_slot(index)[0].store(0, Ordering::Release);
    }

    /// True when a span of this ring stands open.
    pub fn has_open_spans(&self) -> bool {
        (0..self.open_slot_count).any(|index| self.open_slot(index)[0].load(Ordering::Acquire) != 0)
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

/// Lane and length of the payload as word 3 of an open slot holds them.
#[inline(always)]
fn shown_as(lane: u16, payload_len: usize) -> u64 {
    u64::from(lane) | (payload_len.min(OPEN_SLOT_PAYLOAD) as u64) << 16
}

/// The key of an open slot: site and kind, and the low bits of the start in place of a lap, so that a reader can
/// tell that key and start belong together.
#[inline(always)]
pub fn open_key(site_and_kind: u64, start: u64) -> u64 {
    site_and_kind | STAMP_VALID | (start & LAP_MASK) << STAMP_SHIFT
}
