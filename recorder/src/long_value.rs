//! Room for argument values that do not fit into a span's open slot: a few buffers a thread, without allocation.

use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

use ringscope_ringbuf::layout::MAX_VALUE_LEN;

use crate::arena;

/// Words of a buffer: one value at its longest, and some room for the others.
pub(crate) const LONG_WORDS: usize = (MAX_VALUE_LEN + 512) / 8;
const BUFFERS: u32 = 32;

/// The buffers of one thread; their memory is mapped when the first one is needed.
pub(crate) struct LongValues {
    memory: AtomicPtr<AtomicU64>,
    /// One bit per buffer in use. Atomic, as a handler or the thread on which a future ends may touch it too.
    taken: AtomicU32,
}

impl LongValues {
    pub(crate) const fn new() -> LongValues {
        LongValues {
            memory: AtomicPtr::new(ptr::null_mut()),
            taken: AtomicU32::new(0),
        }
    }

    /// Number of a free buffer, whose words are the caller's until it gives it back; `None` when there is none.
    pub(crate) fn take(&self) -> Option<u32> {
        let memory = self.memory.load(Ordering::Acquire);
        if memory.is_null() {
            let new = arena::zeroed(LONG_WORDS * BUFFERS as usize * 8, 8)?;
            // A handler may have been faster; then the new memory stays unused, once.
            let _ = self.memory.compare_exchange(
                memory,
                new.cast(),
                Ordering::AcqRel,
                Ordering::Acquire,
            );
        }
        (0..BUFFERS).find(|index| {
            let bit = 1 << index;
            self.taken.fetch_or(bit, Ordering::AcqRel) & bit == 0
        })
    }

    /// The words of a buffer that was taken.
    pub(crate) fn words(&self, index: u32) -> &[AtomicU64] {
        let memory = self.memory.load(Ordering::Acquire);
        if memory.is_null() || index >= BUFFERS {
            return &[];
        }
        // SAFETY: the memory holds all buffers and is never unmapped; any words are valid.
        unsafe { core::slice::from_raw_parts(memory.add(index as usize * LONG_WORDS), LONG_WORDS) }
    }

    /// Gives a buffer back.
    pub(crate) fn give(&self, index: u32) {
        self.taken.fetch_and(!(1 << index), Ordering::Release);
    }
}
