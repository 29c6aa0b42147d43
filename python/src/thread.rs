//! The calling thread's ring, found by one thread-local word, and the name that Python has for the thread.

use core::cell::Cell;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use pyo3_ffi::*;
use ringscope::c_abi::{self, Ring};

use crate::interpreter::{RaisedAside, with_text};
use crate::key;

thread_local! {
    /// The thread's ring once it has one, until its end begins. Without a destructor, so that it can always be read.
    static RING: Cell<Option<Ring>> = const { Cell::new(None) };
}

/// `threading._active`: thread objects by identity.
static THREADS: AtomicPtr<PyObject> = AtomicPtr::new(ptr::null_mut());

/// The calling thread's ring; `None` when it can't record, which is counted.
#[inline(always)]
pub(crate) fn ring() -> Option<Ring> {
    match RING.get() {
        Some(ring) if ring.is_ours() => Some(ring),
        _ => new_ring(),
    }
}

/// A number that tells living threads apart, the same in a forked child.
#[inline(always)]
pub(crate) fn number() -> usize {
    RING.with(|ring| ptr::from_ref(ring).addr())
}

#[cold]
#[inline(never)]
fn new_ring() -> Option<Ring> {
    // Before the thread can have a ring: its end must be heard of.
    c_abi::at_thread_end(|| RING.set(None));
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
