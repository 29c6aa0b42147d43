//! What the loader calls, and the hooks that the C library has for the end of the process and for forks.

use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::cl::{
    INVALID_VALUE, LAYER_API_VERSION, LAYER_API_VERSION_100, LAYER_NAME, SUCCESS, Status,
};
use crate::{entry, pending, registry, target};

const NAME: &[u8] = b"ringscope\0";
/// How often the hook for the end of the process is set at most: the C library keeps each.
const MAX_END_HOOKS: u32 = 16;

static IS_INITIALISED: AtomicBool = AtomicBool::new(false);
static END_HOOKS: AtomicU32 = AtomicU32::new(0);

/// Tells the loader about the layer.
///
/// # Safety
///
/// `value` is null or has `size` bytes; `size_ret` is null or may be written.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn clGetLayerInfo(
    what: u32,
    size: usize,
    value: *mut c_void,
    size_ret: *mut usize,
) -> Status {
    let version = LAYER_API_VERSION_100.to_ne_bytes();
    let answer = match what {
        LAYER_API_VERSION => &version[..],
        LAYER_NAME => NAME,
        _ => return INVALID_VALUE,
    };
    // SAFETY: passed on to the caller.
    unsafe { give(answer, size, value, size_ret) }
}

/// Answers as the functions `clGet…Info` do.
///
/// # Safety
///
/// `value` is null or has `size` bytes; `size_ret` is null or may be written.
pub(crate) unsafe fn give(
    answer: &[u8],
    size: usize,
    value: *mut c_void,
    size_ret: *mut usize,
) -> Status {
    if !value.is_null() && size < answer.len() {
        return INVALID_VALUE;
    }
    // SAFETY: passed on to the caller; there is room for all of the answer.
    unsafe {
        if !value.is_null() {
            ptr::copy_nonoverlapping(answer.as_ptr(), value.cast(), answer.len());
        }
        if let Some(len) = size_ret.as_mut() {
            *len = answer.len();
        }
    }
    SUCCESS
}

/// Gives the loader the layer's functions. Where nothing can be recorded these are the ones beneath, untouched.
///
/// # Safety
///
/// `beneath` is a table of `count` functions that is never freed; the others may be written.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn clInitLayer(
    count: u32,
    beneath: *const *mut c_void,
    count_ret: *mut u32,
    table_ret: *mut *const *mut c_void,
) -> Status {
    if beneath.is_null() || count_ret.is_null() || table_ret.is_null() {
        return INVALID_VALUE;
    }
    let table = entry::guarded(|| {
        // A second table over the first would call itself for ever.
        if !can_record() || IS_INITIALISED.swap(true, Ordering::AcqRel) {
            return None;
        }
        // SAFETY: as the caller says.
        let functions = unsafe { core::slice::from_raw_parts(beneath, count as usize) };
        if !target::take(functions) {
            return None;
        }
        let mut table = functions.to_vec();
        for (place, function) in entry::functions() {
            if let Some(beneath) = table.get_mut(place).filter(|beneath| !beneath.is_null()) {
                *beneath = function.cast_mut();
            }
        }
        // SAFETY: the handler stores a few words.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
        Some(&*Box::leak(table.into_boxed_slice()))
    });
    // SAFETY: both may be written, as the caller says.
    unsafe {
        *count_ret = count;
        *table_ret = table.map_or(beneath, <[_]>::as_ptr);
    }
    SUCCESS
}

/// True when the process records, or may come to: its level may be changed from outside.
fn can_record() -> bool {
    // Sets the process up, if the environment asks for a recording.
    ringscope::ticks();
    ringscope::status().run.is_some()
}

/// Sees to it that commands that are done are recorded when the process ends: before the implementation is torn down, whose hooks
/// were set before. It may set more of them as it begins to work, so this is called more than once.
pub(crate) fn hook_end() {
    if END_HOOKS.fetch_add(1, Ordering::Relaxed) < MAX_END_HOOKS {
        // SAFETY: the handler calls nothing that has ended by then.
        unsafe { libc::atexit(at_end) };
    } else {
        END_HOOKS.store(MAX_END_HOOKS, Ordering::Relaxed);
    }
}

extern "C" fn at_end() {
    entry::guarded(|| {
        registry::collect_at_end();
        Some(())
    });
}

/// A child's queues are none of its parent's, and locks may have been held when it was forked.
extern "C" fn in_child() {
    registry::forget();
    pending::forget_collectors();
}
