//! State of the module that the GIL guards.

use core::cell::UnsafeCell;

/// A value that only threads with the GIL touch, and never while a reference to it from outside is in use.
pub(crate) struct Guarded<T>(UnsafeCell<T>);

// SAFETY: every function of this module that reaches a value was called by the interpreter, on a thread that holds the
// GIL.
unsafe impl<T> Sync for Guarded<T> {}

impl<T> Guarded<T> {
    pub(crate) const fn new(value: T) -> Guarded<T> {
        Guarded(UnsafeCell::new(value))
    }

    /// The value. Not to be held across a call into the interpreter, which may let another thread have the GIL.
    #[allow(
        clippy::mut_from_ref,
        reason = "the GIL is what makes the access exclusive"
    )]
    #[inline(always)]
    pub(crate) fn get(&self) -> &mut T {
        // SAFETY: the GIL is held, and no caller keeps the reference while it calls the interpreter.
        unsafe { &mut *self.0.get() }
    }
}
