//! Room for argument values that have no open slot, or do not fit into one: buffers of a thread, without allocation.

use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use ringscope_ringbuf::layout::MAX_VALUE_LEN;

use crate::arena;

/// Words of a long buffer: one value at its longest, and some room for the others.
pub(crate) const LONG_WORDS: usize = (MAX_VALUE_LEN + 512) / 8;
/// Words of a short one, for the usual arguments of spans that are nested deeper than there are open slots.
const SHORT_WORDS: usize = 32;
const LONG_BUFFERS: u32 = 32;
const SHORT_GROUPS: usize = 32;
const GROUP_BUFFERS: u32 = u64::BITS;

/// The buffers of one thread, told apart by numbers: the long ones, then the short ones, group by group.
pub(crate) struct LongValues {
    long: Buffers,
    short: [Buffers; SHORT_GROUPS],
}

impl LongValues {
    pub(crate) const fn new() -> LongValues {
        LongValues {
            long: Buffers::new(),
            short: [const { Buffers::new() }; SHORT_GROUPS],
        }
    }

    /// Number of a free long buffer, whose words are the caller's until it gives it back; `None` when there is none.
    pub(crate) fn take(&self) -> Option<u32> {
        self.long.take(LONG_BUFFERS, LONG_WORDS)
    }

    /// As [`LongValues::take`], for a short one.
    pub(crate) fn take_short(&self) -> Option<u32> {
        (LONG_BUFFERS..)
            .step_by(GROUP_BUFFERS as usize)
            .zip(&self.short)
            .find_map(|(first, group)| Some(first + group.take(GROUP_BUFFERS, SHORT_WORDS)?))
    }

    /// True when the buffer of this number is a short one.
    pub(crate) fn is_short(number: u32) -> bool {
        number >= LONG_BUFFERS
    }

    /// The words of a buffer that was taken.
    pub(crate) fn words(&self, number: u32) -> &[AtomicU64] {
        match self.place(number) {
            Some((group, index, words)) => group.words(index, words),
            None => &[],
        }
    }

    /// Gives a buffer back.
    pub(crate) fn give(&self, number: u32) {
        if let Some((group, index, _)) = self.place(number) {
            group.give(index);
        }
    }

    /// Group of a buffer, its index there, and the words that the group's buffers have.
    fn place(&self, number: u32) -> Option<(&Buffers, u32, usize)> {
        let Some(short) = number.checked_sub(LONG_BUFFERS) else {
            return Some((&self.long, number, LONG_WORDS));
        };
        let group = self.short.get((short / GROUP_BUFFERS) as usize)?;
        Some((group, short % GROUP_BUFFERS, SHORT_WORDS))
    }
}

/// Up to 64 buffers of one size; their memory is mapped when the first one is needed.
struct Buffers {
    memory: AtomicPtr<AtomicU64>,
    /// One bit per buffer in use. Atomic, as a handler or the thread on which a future ends may touch it too.
    taken: AtomicU64,
}

impl Buffers {
    const fn new() -> Buffers {
        Buffers {
            memory: AtomicPtr::new(ptr::null_mut()),
            taken: AtomicU64::new(0),
        }
    }

    fn take(&self, count: u32, words: usize) -> Option<u32> {
        let memory = self.memory.load(Ordering::Acquire);
        if memory.is_null() {
            let new = arena::zeroed(8 * words * count as usize, 8)?;
            // A handler may have been faster; then the new memory stays unused, once.
            let _ = self.memory.compare_exchange(
                memory,
                new.cast(),
                Ordering::AcqRel,
                Ordering::Acquire,
            );
        }
        let free = !self.taken.load(Ordering::Relaxed);
        (free.trailing_zeros()..count).find(|index| {
            let bit = 1 << index;
            self.taken.fetch_or(bit, Ordering::AcqRel) & bit == 0
        })
    }

    fn words(&self, index: u32, words: usize) -> &[AtomicU64] {
        let memory = self.memory.load(Ordering::Acquire);
        if memory.is_null() {
            return &[];
        }
        // SAFETY: `take` mapped memory for all indices it gives, `words` each, which is never unmapped; any words are
        // valid.
        unsafe { core::slice::from_raw_parts(memory.add(index as usize * words), words) }
    }

    fn give(&self, index: u32) {
        self.taken.fetch_and(!(1 << index), Ordering::Release);
    }
}
