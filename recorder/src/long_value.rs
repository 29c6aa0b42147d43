//! Room for argument values that do not fit into a span's guard: a few buffers a thread, without allocation.

use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use ringscope_ringbuf::layout::MAX_VALUE_LEN;

use crate::arena;
use crate::value::PADDING;

/// Bytes of a buffer: one value at its longest, and some room for the others.
pub(crate) const LONG_LEN: usize = MAX_VALUE_LEN + 512;
/// With the padding behind it.
const BUFFER_LEN: usize = LONG_LEN + PADDING;
const BUFFERS: u32 = 8;

/// The buffers of one thread; their memory is mapped when the first one is needed.
pub(crate) struct LongValues {
    memory: AtomicPtr<u8>,
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

    /// A free buffer of [`LONG_LEN`] bytes, padding not counted, and its number, or `None`.
    pub(crate) fn take(&self) -> Option<(u32, *mut u8)> {
        let mut memory = self.memory.load(Ordering::Acquire);
        if memory.is_null() {
            let new = arena::zeroed(BUFFER_LEN * BUFFERS as usize, 8)?;
            // A handler may have been faster; then the new memory stays unused, once.
            let set =
                self.memory
                    .compare_exchange(memory, new, Ordering::AcqRel, Ordering::Acquire);
            memory = set.map_or_else(|other| other, |_| new);
        }
        let index = (0..BUFFERS).find(|index| {
            let bit = 1 << index;
            self.taken.fetch_or(bit, Ordering::AcqRel) & bit == 0
        })?;
        Some((index, memory.wrapping_add(index as usize * BUFFER_LEN)))
    }

    /// Gives a buffer back.
    pub(crate) fn give(&self, index: u32) {
        self.taken.fetch_and(!(1 << index), Ordering::Release);
    }
}
