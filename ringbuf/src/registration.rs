//! How a place in the program gets its id: written to the file first, known to other threads after.

use crate::sync::{AtomicU64, Ordering};

/// The id of a place, once it has one, and the signature of its arguments.
#[derive(Debug)]
pub struct Registration {
    /// Signature above, id below; 0 before.
    word: AtomicU64,
}

impl Registration {
    /// Of a place that has no id yet.
    #[cfg(not(loom))]
    pub const fn new() -> Registration {
        Registration {
            word: AtomicU64::new(0),
        }
    }

    /// As above; the model checker's atomics are no constants.
    #[cfg(loom)]
    pub fn new() -> Registration {
        Registration {
            word: AtomicU64::new(0),
        }
    }

    /// The id, when the place has one for arguments of this signature (never 0).
    #[inline(always)]
    pub fn id(&self, signature: u32) -> Option<u32> {
        // Pairs with the store of `settle`: who sees an id knows that the file has it.
        let word = self.word.load(Ordering::Acquire);
        ((word >> 32) as u32 == signature).then_some(word as u32)
    }

    /// The id, whatever its signature.
    pub fn any_id(&self) -> Option<u32> {
        let word = self.word.load(Ordering::Acquire);
        (word != 0).then_some(word as u32)
    }

    /// Makes `id`, which the file has by now, the place's own; the one that it has when another thread was faster.
    pub fn settle(&self, signature: u32, id: u32) -> u32 {
        let word = u64::from(signature) << 32 | u64::from(id);
        let (stored, seen) = (Ordering::AcqRel, Ordering::Acquire);
        match self.word.compare_exchange(0, word, stored, seen) {
            Ok(_) => id,
            Err(faster) => faster as u32,
        }
    }
}

impl Default for Registration {
    fn default() -> Registration {
        Registration::new()
    }
}
