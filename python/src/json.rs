//! Nested values as JSON, always valid: what JSON has no form for becomes a text.

use core::ptr;

use pyo3_ffi::*;
use ringscope_ringbuf::layout::MAX_VALUE_LEN;

use crate::interpreter::{is_text, new_reference, with_text};

/// Nesting that is followed; deeper values, and lists that hold themselves, are shown as an ellipsis.
const MAX_DEPTH: u32 = 40;

/// Appends `value`. Longer output than an argument can hold is not produced to its end. May run code of the host;
/// no exception is left behind.
pub(crate) fn put(out: &mut Vec<u8>, value: *mut PyObject) {
    put_nested(out, value, 0);
}

fn put_nested(out: &mut Vec<u8>, value: *mut PyObject, depth: u32) {
    if depth > MAX_DEPTH || out.len() > 2 * MAX_VALUE_LEN {
        return put_string(out, "…".as_bytes());
    }
    // SAFETY: a live object, whose type is looked at before it is taken for one of that type.
    unsafe {
        if is_text(value) {
            with_text(value, |text| put_string(out, text));
        } else if value == Py_None() {
            out.extend_from_slice(b"null");
        } else if PyBool_Check(value) != 0 {
            out.extend_from_slice(if value == Py_True() {
                b"true"
            } else {
                b"false"
            });
        } else if PyLong_Check(value) != 0 {
            put_integer(out, value);
        } else if PyFloat_Check(value) != 0 {
            put_float(out, PyFloat_AsDouble(value));
        } else if PyList_Check(value) != 0 || PyTuple_Check(value) != 0 {
            put_list(out, value, depth);
        } else if PyDict_Check(value) != 0 {
            put_dict(out, value, depth);
        } else {
            with_str(value, |text| put_string(out, text));
        }
    }
}

/// # Safety
///
/// `value` is an `int`, or of a type derived from it.
unsafe fn put_integer(out: &mut Vec<u8>, value: *mut PyObject) {
    // SAFETY: passed on to the caller. A type derived from `int` may show itself as it likes, the number does not.
    unsafe {
        let number = PyNumber_Long(value);
        if number.is_null() {
            PyErr_Clear();
            return out.extend_from_slice(b"null");
        }
        let text = PyObject_Str(number);
        if text.is_null() {
            // More digits than the interpreter is willing to write.
            PyErr_Clear();
            put_string(out, "…".as_bytes());
        } else {
            with_text(text, |digits| out.extend_from_slice(digits));
            Py_DecRef(text);
        }
        Py_DecRef(number);
    }
}

fn put_float(out: &mut Vec<u8>, number: f64) {
    if number.is_finite() {
        out.extend_from_slice(format!("{number:?}").as_bytes());
    } else {
        put_string(out, not_a_number(number).as_bytes());
    }
}

/// What stands for a float that JSON has no number for.
pub(crate) fn not_a_number(number: f64) -> &'static str {
    if number.is_nan() {
        "NaN"
    } else if number > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

/// # Safety
///
/// `list` is a list or tuple.
unsafe fn put_list(out: &mut Vec<u8>, list: *mut PyObject, depth: u32) {
    out.push(b'[');
    let mut index = 0;
    // SAFETY: passed on to the caller. Showing an item may run code that changes the list: its length is asked each
    // time, and the item is held.
    unsafe {
        let is_list = PyList_Check(list) != 0;
        let len = || {
            if is_list {
                PyList_Size(list)
            } else {
                PyTuple_Size(list)
            }
        };
        while index < len() {
            let item = if is_list {
                PyList_GetItem(list, index)
            } else {
                PyTuple_GetItem(list, index)
            };
            if item.is_null() {
                PyErr_Clear();
                break;
            }
            if index > 0 {
                out.push(b',');
            }
            new_reference(item);
            put_nested(out, item, depth + 1);
            Py_DecRef(item);
            index += 1;
            if out.len() > 2 * MAX_VALUE_LEN {
                break;
            }
        }
    }
    out.push(b']');
}

/// # Safety
///
/// `dict` is a `dict`, or of a type derived from it.
unsafe fn put_dict(out: &mut Vec<u8>, dict: *mut PyObject, depth: u32) {
    out.push(b'{');
    let start = out.len();
    let (mut at, mut key, mut value) = (0, ptr::null_mut(), ptr::null_mut());
    let mut rewritten = Vec::new();
    // SAFETY: passed on to the caller; key and value are held while host code may run.
    unsafe {
        while PyDict_Next(dict, &mut at, &mut key, &mut value) != 0 {
            new_reference(key);
            new_reference(value);
            let before = out.len();
            if before > start {
                out.push(b',');
            }
            if put_key(out, key, dict, &mut rewritten) {
                out.push(b':');
                put_nested(out, value, depth + 1);
            } else {
                out.truncate(before);
            }
            Py_DecRef(key);
            Py_DecRef(value);
            if out.len() > 2 * MAX_VALUE_LEN {
                break;
            }
        }
    }
    out.push(b'}');
}

/// Appends a key; false, with nothing appended, when it can't be one, or another key of the dict comes out the same.
///
/// # Safety
///
/// `key` is a live object, `dict` a dict. `rewritten` is for this function: keys that became other texts.
unsafe fn put_key(
    out: &mut Vec<u8>,
    key: *mut PyObject,
    dict: *mut PyObject,
    rewritten: &mut Vec<Vec<u8>>,
) -> bool {
    const REPLACEMENT: &[u8] = "\u{FFFD}".as_bytes();
    // SAFETY: passed on to the caller; types are looked at first.
    unsafe {
        if is_text(key) {
            return with_text(key, |text| {
                let is_itself = !text.windows(REPLACEMENT.len()).any(|at| at == REPLACEMENT);
                let is_alone = is_itself || !is_among(rewritten, text);
                if is_alone {
                    put_string(out, text);
                }
                is_alone
            });
        }
        let is_integer = PyLong_Check(key) != 0;
        let is_scalar =
            key == Py_None() || PyBool_Check(key) != 0 || is_integer || PyFloat_Check(key) != 0;
        if !is_scalar {
            return false;
        }
        let mut json = Vec::new();
        put_nested(&mut json, key, 0);
        let bare = json
            .strip_prefix(b"\"")
            .and_then(|json| json.strip_suffix(b"\""));
        // Integers that are not equal differ in their digits, when they have any.
        let is_itself = is_integer && bare.is_none();
        let text = bare.unwrap_or(&json);
        let is_alone = !has_key(dict, text) && (is_itself || !is_among(rewritten, text));
        if is_alone {
            put_string(out, text);
        }
        is_alone
    }
}

/// True when a text was there before; it is from now on.
fn is_among(texts: &mut Vec<Vec<u8>>, text: &[u8]) -> bool {
    let is_there = texts.iter().any(|other| other == text);
    if !is_there {
        texts.push(text.to_vec());
    }
    is_there
}

/// True when a dict has a text as a key.
///
/// # Safety
///
/// `dict` is a dict.
unsafe fn has_key(dict: *mut PyObject, text: &[u8]) -> bool {
    // SAFETY: passed on to the caller; what comparing raises is taken back.
    unsafe {
        let text = PyUnicode_FromStringAndSize(text.as_ptr().cast(), text.len() as Py_ssize_t);
        let has_key = !text.is_null() && PyDict_Contains(dict, text) == 1;
        Py_XDECREF(text);
        PyErr_Clear();
        has_key
    }
}

/// Appends a JSON string; the bytes are UTF-8.
pub(crate) fn put_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for byte in text {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\u005c"),
            0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(*byte),
        }
    }
    out.push(b'"');
}

/// Calls `then` with `str(value)`, or with what stands for a value that can't be shown.
pub(crate) fn with_str<T>(value: *mut PyObject, then: impl FnOnce(&[u8]) -> T) -> T {
    // SAFETY: a live object; whatever its code raises is taken back.
    unsafe {
        let text = PyObject_Str(value);
        if text.is_null() {
            PyErr_Clear();
            return then(b"(can't be shown)");
        }
        let result = with_text(text, then);
        Py_DecRef(text);
        result
    }
}
