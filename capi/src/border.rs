//! The border to C: no panic crosses it, and texts become slices.

use core::ffi::{CStr, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs the body of an exported function; `otherwise` is the answer should it panic.
#[inline(always)]
pub(crate) fn without_panic<T>(otherwise: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(otherwise)
}

/// The bytes of a text of C, empty for a null pointer.
///
/// # Safety
///
/// `text` is null or NUL-terminated, and lives as long as the bytes are used.
pub(crate) unsafe fn bytes<'a>(text: *const c_char) -> &'a [u8] {
    if text.is_null() {
        return &[];
    }
    // SAFETY: passed on to the caller.
    unsafe { CStr::from_ptr(text) }.to_bytes()
}
