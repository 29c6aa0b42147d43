//! Keys of arguments: looked up by the address of the text that Python has for them, which is interned nearly always.

use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering};
use std::collections::HashMap;

use pyo3_ffi::*;
use ringscope::dynamic::{self, Handle};

use crate::guarded::Guarded;
use crate::interpreter::{is_text, new_reference, with_text};

const PLACES: usize = 512;
/// Keys that a process may have: they share a table with the names of spans, which must not fill up with the keys of
/// dicts that are data.
const MAX_KEYS: usize = 4096;

/// A key that was seen.
#[derive(Clone, Copy)]
struct Seen {
    /// Held, so that no other text gets its address.
    text: *mut PyObject,
    number: u32,
}

static SEEN: Guarded<[Seen; PLACES]> = Guarded::new(
    [Seen {
        text: ptr::null_mut(),
        number: 0,
    }; PLACES],
);
/// All keys by their letters; also so that a child's file gets them before its first record.
static ALL: Guarded<Option<HashMap<Vec<u8>, Handle>>> = Guarded::new(None);
/// Generation of the process whose file holds them all.
static PUBLISHED: AtomicU64 = AtomicU64::new(0);

/// The number of a key, or `None` when it can't be one.
#[inline]
pub(crate) fn number(text: *mut PyObject) -> Option<u32> {
    let seen = SEEN.get()[(text.addr() >> 4) % PLACES];
    if ptr::eq(seen.text, text) {
        return Some(seen.number);
    }
    look_up(text)
}

/// True when this very text was a key before. A word that is also a keyword of a call may be: one that is not
/// interned, as the key of a dict.
#[inline]
pub(crate) fn is_known(text: *mut PyObject) -> bool {
    ptr::eq(SEEN.get()[(text.addr() >> 4) % PLACES].text, text)
}

#[cold]
#[inline(never)]
fn look_up(object: *mut PyObject) -> Option<u32> {
    if is_text(object) {
        return remember(object);
    }
    // SAFETY: a live object; what JSON makes texts of as keys becomes one.
    unsafe {
        let is_named = PyBool_Check(object) != 0 || object == Py_None();
        let text = if is_named {
            let name: &core::ffi::CStr = match object {
                object if object == Py_True() => c"true",
                object if object == Py_False() => c"false",
                _ => c"null",
            };
            PyUnicode_InternFromString(name.as_ptr())
        } else if PyLong_Check(object) != 0 || PyFloat_Check(object) != 0 {
            PyObject_Str(object)
        } else {
            return None;
        };
        if text.is_null() {
            PyErr_Clear();
            return None;
        }
        let number = remember(text);
        Py_DecRef(text);
        number
    }
}

fn remember(text: *mut PyObject) -> Option<u32> {
    let number = with_text(text, named)?;
    // SAFETY: the text is alive, and the one that it replaces was held.
    unsafe {
        let place = &mut SEEN.get()[(text.addr() >> 4) % PLACES];
        let before = place.text;
        *place = Seen {
            text: new_reference(text),
            number,
        };
        Py_DecRef(before);
    }
    Some(number)
}

/// The number of the key with these letters; `None` past the limit.
fn named(text: &[u8]) -> Option<u32> {
    let all = ALL.get().get_or_insert_default();
    if let Some(known) = all.get(text) {
        return Some(known.number());
    }
    if all.len() >= MAX_KEYS {
        return None;
    }
    let handle = dynamic::key(text)?;
    all.insert(text.to_vec(), handle);
    dynamic::publish(handle);
    Some(handle.number())
}

/// Writes all keys to the file of a process that is new: a payload may be older than the process that records it.
pub(crate) fn publish_all(generation: u64) {
    if PUBLISHED.swap(generation, Ordering::Relaxed) != generation {
        for handle in ALL.get().iter().flat_map(HashMap::values) {
            dynamic::publish(*handle);
        }
    }
}
