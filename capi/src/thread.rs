//! The calling thread's ring, and the thread-local pointer to it that the header reads inline.

use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use ringscope::c_abi::{self, Ring};
use ringscope_ringbuf::layout::{DropCause, LEVEL_OFF};
use ringscope_ringbuf::ring::Writer;

use crate::abi::{NO_SLOT, Object};
use crate::border::without_panic;

/// The pointer that the header names. Its section makes it a thread-local variable: in Rust it is never touched, since
/// Rust would take it for a static; `tls.c` stores to it.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".tbss.ringscope_tls")]
#[allow(non_upper_case_globals, reason = "the name is C's")]
pub static ringscope_tls: AtomicPtr<Writer> = AtomicPtr::new(ptr::null_mut());

/// In the thread-local pointer: the thread's end has begun.
const CLOSED: *const Writer = ptr::without_provenance(1);

unsafe extern "C" {
    fn ringscope_private_set_tls(writer: *const Writer);
}

fn set_tls(writer: *const Writer) {
    // SAFETY: stores one word of this thread.
    unsafe { ringscope_private_set_tls(writer) };
}

/// The calling thread's ring, which the header's pointer shows afterwards; `None` when it can't record.
pub(crate) fn attach() -> Option<Ring> {
    // Before the thread can have a ring: its end must be heard of.
    c_abi::at_thread_end(|| set_tls(CLOSED));
    if c_abi::level_word().load(Ordering::Relaxed) == LEVEL_OFF {
        return None;
    }
    let ring = Ring::current()?;
    set_tls(ring.writer());
    Some(ring)
}

/// Tells a shared object's inline code where the words are that it reads.
pub(crate) fn fill_in(object: &Object) {
    let word = |word: &'static AtomicU64| ptr::from_ref(word).cast_mut();
    object
        .generation
        .store(word(c_abi::generation_word()), Ordering::Relaxed);
    object
        .reads_counter
        .store(u64::from(c_abi::reads_counter()), Ordering::Relaxed);
    object
        .level
        .store(word(c_abi::level_word()), Ordering::Relaxed);
}

/// The calling thread's writer, or null when a place of this level is not recorded.
///
/// # Safety
///
/// `object` is the calling object's `ringscope_private_object`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringscope_private_attach(
    object: *mut Object,
    level: u64,
) -> *const Writer {
    without_panic(ptr::null(), || {
        let ring = attach();
        // SAFETY: by the contract; its fields are atomics.
        fill_in(unsafe { &*object });
        // The level was not known before the process looked at its configuration, just now.
        let is_on = c_abi::level_word().load(Ordering::Relaxed) & level != 0;
        ring.filter(|_| is_on)
            .map_or(ptr::null(), |ring| ptr::from_ref(ring.writer()))
    })
}

/// The calling thread's writer, or null when nothing is recorded.
#[unsafe(no_mangle)]
pub extern "C" fn ringscope_thread_writer() -> *const Writer {
    without_panic(ptr::null(), || {
        attach().map_or(ptr::null(), |ring| ptr::from_ref(ring.writer()))
    })
}

/// Makes the calling thread's ring now.
#[unsafe(no_mangle)]
pub extern "C" fn ringscope_prepare_thread() {
    ringscope_thread_writer();
}

/// Makes room for slots that were reserved beyond the limit; false when they must not be written.
///
/// # Safety
///
/// `writer` is the calling thread's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringscope_private_make_room(
    writer: *const Writer,
    sequence: u64,
    slots: u64,
) -> bool {
    // SAFETY: passed on to the caller.
    without_panic(false, || unsafe {
        Ring::of_writer(writer).make_room(sequence, slots)
    })
}

/// Takes an open slot, best the one that `hint` leads to; `UINT32_MAX`, counted, when all are taken.
///
/// # Safety
///
/// `writer` is the calling thread's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringscope_private_take_open_slot(writer: *const Writer, hint: u32) -> u32 {
    without_panic(NO_SLOT, || {
        // SAFETY: passed on to the caller.
        let slot = unsafe { Ring::of_writer(writer) }
            .writer()
            .take_open_slot(hint);
        slot.unwrap_or_else(|| {
            c_abi::count(DropCause::NotShownWhileOpen);
            NO_SLOT
        })
    })
}

/// Counts a span that began before a fork and ended in the child.
#[unsafe(no_mangle)]
pub extern "C" fn ringscope_private_inherited() {
    without_panic((), c_abi::count_inherited);
}

/// Ticks of a clock that is not the processor's counter.
#[unsafe(no_mangle)]
pub extern "C" fn ringscope_private_slow_ticks() -> u64 {
    c_abi::ticks()
}
