//! Rings of threads that have ended, waiting for new ones.

use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use crate::arena;
use crate::thread::ThreadRing;

/// Rings of one process, at most: far below the 65,530 maps at which the host's own allocations begin to fail.
pub(crate) const MAX_RINGS: usize = 4096;

/// A set of free rings, without locks: a child may fork off at any moment.
pub(crate) struct Pool {
    free_count: AtomicU32,
    /// Apart from what a thread builds on its stack, which may be small.
    places: &'static [AtomicPtr<ThreadRing>; MAX_RINGS],
}

impl Pool {
    /// Without a ring; `None` when there is no memory.
    pub(crate) fn new() -> Option<Pool> {
        type Places = [AtomicPtr<ThreadRing>; MAX_RINGS];
        let places = arena::zeroed(size_of::<Places>(), align_of::<Places>())?;
        Some(Pool {
            free_count: AtomicU32::new(0),
            // SAFETY: memory of that size and alignment, which lives for ever and nobody else has; zeros are null pointers.
            places: unsafe { &*places.cast::<Places>() },
        })
    }

    /// Takes a ring out, for the calling thread alone.
    pub(crate) fn take(&self) -> Option<&'static ThreadRing> {
        if self.free_count.load(Ordering::Acquire) == 0 {
            return None;
        }
        self.places.iter().find_map(|place| {
            if place.load(Ordering::Relaxed).is_null() {
                return None;
            }
            // Acquire pairs with the Release in `give`: the last owner's writes are seen.
            let ring = place.swap(ptr::null_mut(), Ordering::AcqRel);
            // SAFETY: only `give` stores here, references that live for ever.
            let ring = unsafe { ring.as_ref() }?;
            self.free_count.fetch_sub(1, Ordering::Relaxed);
            Some(ring)
        })
    }

    /// Puts a ring in whose thread will not touch it again.
    pub(crate) fn give(&self, ring: &'static ThreadRing) {
        let ring = ptr::from_ref(ring).cast_mut();
        let put = |place: &AtomicPtr<ThreadRing>| {
            place
                .compare_exchange(ptr::null_mut(), ring, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        };
        if self.places.iter().any(put) {
            self.free_count.fetch_add(1, Ordering::Release);
        }
    }
}
