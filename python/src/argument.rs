//! From Python's values to arguments: what JSON can carry stays what it is, all else becomes text.

use core::ffi::c_int;
use core::ptr;

use pyo3_ffi::*;
use ringscope::c_abi;
use ringscope_ringbuf::layout::DropCause;
use ringscope_ringbuf::payload::ArgType;

use crate::interpreter::{RaisedAside, is_text, new_reference, with_text};
use crate::payload::Payload;
use crate::{json, key};

/// Appends an argument. A key that can't be one is left out, and a value that does not fit is cut; both are counted.
/// No exception is left behind.
#[inline]
pub(crate) fn put(payload: &mut Payload, key: *mut PyObject, value: *mut PyObject) {
    if c_abi::keeps_values_out() {
        return;
    }
    // A full payload first: its keys would take places of the table for nothing.
    let is_put =
        !payload.is_full() && key::number(key).is_some_and(|key| put_value(payload, key, value));
    if !is_put {
        c_abi::count(DropCause::ValueCut);
    }
}

#[inline]
fn put_value(payload: &mut Payload, key: u32, value: *mut PyObject) -> bool {
    // SAFETY: a live object, whose type is looked at before it is taken for one of that type.
    unsafe {
        if PyLong_CheckExact(value) != 0 {
            put_integer(payload, key, value)
        } else if is_text(value) {
            with_text(value, |text| payload.put_text(key, ArgType::Str, text))
        } else if PyFloat_Check(value) != 0 {
            put_float(payload, key, value)
        } else {
            put_other(payload, key, value)
        }
    }
}

/// # Safety
///
/// `value` is an `int`, or of a type derived from it.
unsafe fn put_integer(payload: &mut Payload, key: u32, value: *mut PyObject) -> bool {
    let mut overflow: c_int = 0;
    // SAFETY: passed on to the caller.
    let number = unsafe { PyLong_AsLongLongAndOverflow(value, &mut overflow) };
    if overflow == 0 {
        return payload.put_word(key, ArgType::I64, number as u64);
    }
    // SAFETY: as above; the exception of one that is larger still is taken back.
    unsafe {
        let number = PyLong_AsUnsignedLongLong(value);
        if PyErr_Occurred().is_null() {
            return payload.put_word(key, ArgType::U64, number);
        }
        PyErr_Clear();
    }
    put_json(payload, key, value)
}

/// # Safety
///
/// `value` is a `float`, or of a type derived from it.
unsafe fn put_float(payload: &mut Payload, key: u32, value: *mut PyObject) -> bool {
    // SAFETY: passed on to the caller.
    let number = unsafe { PyFloat_AsDouble(value) };
    if number.is_finite() {
        payload.put_word(key, ArgType::F64, number.to_bits())
    } else {
        payload.put_text(key, ArgType::Str, json::not_a_number(number).as_bytes())
    }
}

#[inline(never)]
fn put_other(payload: &mut Payload, key: u32, value: *mut PyObject) -> bool {
    // SAFETY: a live object; types are looked at first.
    unsafe {
        if value == Py_None() {
            return payload.put_small(key, None);
        }
        if PyBool_Check(value) != 0 {
            return payload.put_small(key, Some(value == Py_True()));
        }
        if PyLong_Check(value) != 0 {
            return put_integer(payload, key, value);
        }
        if PyList_Check(value) != 0 || PyTuple_Check(value) != 0 || PyDict_Check(value) != 0 {
            return put_json(payload, key, value);
        }
    }
    let _aside = RaisedAside::begin();
    json::with_str(value, |text| payload.put_text(key, ArgType::Str, text))
}

fn put_json(payload: &mut Payload, key: u32, value: *mut PyObject) -> bool {
    let _aside = RaisedAside::begin();
    let mut text = Vec::with_capacity(64);
    json::put(&mut text, value);
    payload.put_text(key, ArgType::Json, &text)
}

/// Appends every item of a mapping, or a value that is none under the key `args`.
pub(crate) fn put_all(payload: &mut Payload, args: *mut PyObject) {
    // SAFETY: a live object; types are looked at first.
    unsafe {
        if args == Py_None() {
        } else if PyDict_Check(args) != 0 {
            put_dict(payload, args);
        } else {
            put_mapping(payload, args);
        }
    }
}

/// # Safety
///
/// `dict` is a `dict`, or of a type derived from it.
unsafe fn put_dict(payload: &mut Payload, dict: *mut PyObject) {
    let (mut at, mut key, mut value) = (0, ptr::null_mut(), ptr::null_mut());
    // SAFETY: passed on to the caller. Writing a value as text may run code that changes the dict: both are held.
    unsafe {
        while PyDict_Next(dict, &mut at, &mut key, &mut value) != 0 {
            new_reference(key);
            new_reference(value);
            put(payload, key, value);
            Py_DecRef(key);
            Py_DecRef(value);
        }
    }
}

#[cold]
fn put_mapping(payload: &mut Payload, args: *mut PyObject) {
    let _aside = RaisedAside::begin();
    // SAFETY: a live object; a mapping gives a new dict of its items, and what does not is shown as it is.
    unsafe {
        let dict = PyDict_New();
        if !dict.is_null() && PyDict_Update(dict, args) == 0 {
            put_dict(payload, dict);
        } else {
            PyErr_Clear();
            put(payload, crate::interpreter::ARGS.object(), args);
        }
        if !dict.is_null() {
            Py_DecRef(dict);
        }
    }
}
