//! The calling thread's ring, and the name that Python has for the thread.
//!
//! Thread-local words of a module that is loaded late are found by a call, and the static block, where they would be
//! found without one, is often used up in hosts with many libraries. So the ring of the thread that recorded last stands
//! in a static, with the thread's pointer; the thread-local word is for when threads take turns.

use core::cell::Cell;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use pyo3_ffi::*;
use ringscope::c_abi::{self, Ring};

use crate::guarded::Guarded;
use crate::interpreter::{RaisedAside, with_text};
use crate::key;

thread_local! {
    /// The thread's ring once it has one, until its end begins. Without a destructor, so that it can always be read.
    static RING: Cell<Option<Ring>> = const { Cell::new(None) };
}

/// `threading._active`: thread objects by identity.
static THREADS: AtomicPtr<PyObject> = AtomicPtr::new(ptr::null_mut());

/// The pointer of the thread that recorded last, 0 once its end has begun, and its ring. Only where the process's clock
/// is the processor's counter.
static LAST_THREAD: AtomicUsize = AtomicUsize::new(0);
static LAST_RING: Guarded<Option<Ring>> = Guarded::new(None);

/// The calling thread's ring; `None` when it can't record, which is counted.
#[inline(always)]
pub(crate) fn ring() -> Option<Ring> {
    last_ring().or_else(ring_of_another)
}

/// The calling thread's ring, where it was the last one to record: found without a call.
#[inline(always)]
pub(crate) fn last_ring() -> Option<Ring> {
    if LAST_THREAD.load(Ordering::Relaxed) != number() {
        return None;
    }
    LAST_RING.get().filter(|ring| ring.is_ours())
}

/// The ring of a thread that was not the last one.
#[inline(never)]
fn ring_of_another() -> Option<Ring> {
    let ring = match RING.get() {
        Some(ring) if ring.is_ours() => ring,
        _ => new_ring()?,
    };
    if c_abi::reads_counter() {
        *LAST_RING.get() = Some(ring);
        LAST_THREAD.store(number(), Ordering::Relaxed);
    }
    Some(ring)
}

/// The thread gets no ring any more, and its pointer may become another thread's. Called without the GIL.
fn forget_ring() {
    RING.set(None);
    let _ = LAST_THREAD.compare_exchange(number(), 0, Ordering::Relaxed, Ordering::Relaxed);
}

/// A number that tells living threads apart, the same in a forked child: the thread pointer.
#[inline(always)]
pub(crate) fn number() -> usize {
    let pointer: usize;
    // SAFETY: reads the word at which the C library keeps the pointer itself.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!("mov {}, fs:[0]", out(reg) pointer, options(nostack, pure, readonly, preserves_flags));
    }
    // SAFETY: reads a register.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        core::arch::asm!("mrs {}, tpidr_el0", out(reg) pointer, options(nostack, pure, nomem, preserves_flags));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        pointer = RING.with(|ring| core::ptr::from_ref(ring).addr());
    }
    pointer
}

#[cold]
#[inline(never)]
fn new_ring() -> Option<Ring> {
    // Before the thread can have a ring: its end must be heard of.
    c_abi::at_thread_end(forget_ring);
    let ring = Ring::current()?;
    key::publish_all(ring.generation());
    if !RING.get().is_some_and(Ring::is_ours) {
        RING.set(Some(ring));
        let _aside = RaisedAside::begin();
        name_thread();
    }
    Some(ring)
}

/// Gives the thread the name that `threading` has for it. A thread that Python did not start has none there, and must
/// not get one: that would stay behind it.
fn name_thread() {
    // SAFETY: the GIL is held. Objects are checked for null, and given back once.
    unsafe {
        let active = active_threads();
        let identity = PyThread_get_thread_ident();
        let identity = PyLong_FromUnsignedLong(identity);
        if active.is_null() || identity.is_null() {
            return PyErr_Clear();
        }
        let thread = PyDict_GetItemWithError(active, identity);
        Py_DecRef(identity);
        if thread.is_null() {
            return PyErr_Clear();
        }
        let name = PyObject_GetAttrString(thread, c"name".as_ptr());
        if name.is_null() {
            return PyErr_Clear();
        }
        if PyUnicode_Check(name) != 0 {
            with_text(name, |name| {
                ringscope::set_thread_name(&String::from_utf8_lossy(name));
            });
        }
        Py_DecRef(name);
    }
}

/// `threading._active`, held from the first look on; null where `threading` is another module's.
unsafe fn active_threads() -> *mut PyObject {
    let known = THREADS.load(Ordering::Relaxed);
    if !known.is_null() {
        return known;
    }
    // SAFETY: as in `name_thread`.
    unsafe {
        let module = PyImport_ImportModule(c"threading".as_ptr());
        if module.is_null() {
            return ptr::null_mut();
        }
        let active = PyObject_GetAttrString(module, c"_active".as_ptr());
        Py_DecRef(module);
        if !active.is_null() && PyDict_Check(active) != 0 {
            THREADS.store(active, Ordering::Relaxed);
        }
        THREADS.load(Ordering::Relaxed)
    }
}
