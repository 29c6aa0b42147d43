//! Numbers and ids as calls are given them. Whatever can be one is one: a value that is none must not raise, least of all
//! in a program that runs well as long as nothing is recorded.

use pyo3_ffi::*;
use ringscope_ringbuf::payload::ArgType;

use crate::interpreter::{is_text, with_text};
use crate::json;

/// A counter's value; `None` for what is no number.
pub(crate) fn value(object: *mut PyObject) -> Option<(ArgType, u64)> {
    // SAFETY: a live object, whose type is looked at before it is taken for one of that type.
    unsafe {
        if PyFloat_Check(object) == 0 && PyIndex_Check(object) != 0 {
            let number = PyLong_AsLongLong(object);
            if !took_back_exception() {
                return Some((ArgType::I64, number as u64));
            }
        }
    }
    float(object).map(|number| (ArgType::F64, number.to_bits()))
}

/// A number of 0 or more: what is below is 0, a fraction is cut off. `None` for what is no number, or too large for one.
pub(crate) fn unsigned(object: *mut PyObject) -> Option<u64> {
    // SAFETY: a live object, whose type is looked at before it is taken for one of that type.
    unsafe {
        if PyIndex_Check(object) != 0 {
            let number = PyLong_AsLongLong(object);
            if !took_back_exception() {
                return Some(number.max(0) as u64);
            }
            let number = PyLong_AsUnsignedLongLong(object);
            return (!took_back_exception()).then_some(number);
        }
    }
    let number = float(object).filter(|number| number.is_finite())?;
    (number < u64::MAX as f64).then_some(number as u64)
}

/// An id: an integer as it is, a text by a hash that is the same in every process, all else by the text that it shows.
pub(crate) fn id(object: *mut PyObject) -> u64 {
    if is_text(object) {
        return with_text(object, fnv1a);
    }
    // SAFETY: a live object, whose type is looked at before it is taken for one of that type.
    unsafe {
        if PyIndex_Check(object) != 0 {
            let number = PyNumber_Index(object);
            if !number.is_null() {
                let id = PyLong_AsUnsignedLongLongMask(number);
                Py_DecRef(number);
                return id;
            }
            PyErr_Clear();
        }
    }
    json::with_str(object, fnv1a)
}

fn float(object: *mut PyObject) -> Option<f64> {
    // SAFETY: a live object.
    let number = unsafe { PyFloat_AsDouble(object) };
    (!took_back_exception()).then_some(number)
}

fn fnv1a(text: &[u8]) -> u64 {
    text.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

/// True when an exception was raised, which is gone now.
fn took_back_exception() -> bool {
    // SAFETY: the GIL is held.
    unsafe {
        let raised = !PyErr_Occurred().is_null();
        if raised {
            PyErr_Clear();
        }
        raised
    }
}
