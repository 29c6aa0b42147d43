//! Configuration, status and names: what is called now and then.

use core::ffi::{CStr, c_char, c_int, c_ulonglong};
use core::ptr;
use core::sync::atomic::Ordering;
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;

use pyo3_ffi::*;
use ringscope::c_abi::{self, Ring};
use ringscope::{Config, Level, Mode, dynamic};
use ringscope_ringbuf::setting::level_name;

use crate::interpreter::{none, value_error, with_text};
use crate::{lane, thread};

/// Spans that are shown while they are open: tasks that wait have them by the hundred.
const OPEN_SLOTS: usize = 1024;

/// What is recorded with when the environment asks for it.
pub(crate) fn set_default() {
    dynamic::set_default(Config::new().open_slots(OPEN_SLOTS));
}

/// `_start(dir, run_dir, level, full, ring_size, max_size, process_name, rank)`: begins a recording, after ending the
/// one of before; directories and the name are bytes, empty for none, the level may be `None`, sizes 0, the rank -1.
pub(crate) unsafe extern "C" fn start(_: *mut PyObject, args: *mut PyObject) -> *mut PyObject {
    let (mut dir, mut run_dir, mut level, mut name) =
        (ptr::null(), ptr::null(), ptr::null(), ptr::null());
    let (mut full, mut rank): (c_int, c_int) = (0, -1);
    let (mut ring_bytes, mut max_bytes): (c_ulonglong, c_ulonglong) = (0, 0);
    // SAFETY: called by the interpreter; the format names the types of the places. Bytes and texts live as long as the tuple.
    unsafe {
        let format = c"yyzpKKyi";
        let parsed = PyArg_ParseTuple(
            args,
            format.as_ptr(),
            &raw mut dir,
            &raw mut run_dir,
            &raw mut level,
            &raw mut full,
            &raw mut ring_bytes,
            &raw mut max_bytes,
            &raw mut name,
            &raw mut rank,
        );
        if parsed == 0 {
            return ptr::null_mut();
        }
        let mut config = Config::new().open_slots(OPEN_SLOTS);
        if let Some(dir) = bytes(dir) {
            config = config.dir(OsStr::from_bytes(dir));
        }
        if let Some(run_dir) = bytes(run_dir) {
            config = config.run_dir(OsStr::from_bytes(run_dir));
        }
        if let Some(level) = bytes(level) {
            let Some(level) = core::str::from_utf8(level).ok().and_then(Level::parse) else {
                return value_error(
                    c"level: expected off, or e2e, kernel, verbose joined by commas",
                );
            };
            config = config.level(level);
        }
        if let Some(name) = bytes(name) {
            config = config.process_name(&String::from_utf8_lossy(name));
        }
        config = config.mode(if full != 0 { Mode::Full } else { Mode::Flight });
        if ring_bytes != 0 {
            config = config.ring_size(ring_bytes);
        }
        if max_bytes != 0 {
            config = config.max_size(max_bytes);
        }
        if let Ok(rank) = u32::try_from(rank) {
            config = config.rank(rank);
        }
        PyBool_FromLong(dynamic::restart(config).into())
    }
}

unsafe fn bytes<'a>(text: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: null, or a text that the tuple of arguments keeps.
    let bytes = (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_bytes());
    bytes.filter(|bytes| !bytes.is_empty())
}

/// `_status()`: run in bytes, level and refusal, `None` where there is none.
pub(crate) unsafe extern "C" fn status(_: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    let status = ringscope::status();
    let c_text = |text: &[u8]| CString::new(text).unwrap_or_default();
    let run = status.run.map(|run| c_text(run.as_os_str().as_bytes()));
    let refusal = status.refusal.map(|refusal| c_text(refusal.as_bytes()));
    let level = c_text(level_name(c_abi::mask_of(status.level)).as_bytes());
    let pointer = |text: &Option<CString>| text.as_ref().map_or(ptr::null(), |text| text.as_ptr());
    // SAFETY: NUL-terminated, or null for `None`; the last two are UTF-8.
    unsafe {
        Py_BuildValue(
            c"yzz".as_ptr(),
            pointer(&run),
            level.as_ptr(),
            pointer(&refusal),
        )
    }
}

/// `_set_level(level)`
pub(crate) unsafe extern "C" fn set_level(_: *mut PyObject, level: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by the interpreter; the type is looked at first.
    unsafe {
        let is_text = PyUnicode_Check(level) != 0;
        let parse = |text: &[u8]| core::str::from_utf8(text).ok().and_then(Level::parse);
        let parsed = if is_text {
            with_text(level, parse)
        } else {
            None
        };
        match parsed {
            Some(level) => PyBool_FromLong(ringscope::set_level(level).into()),
            None => value_error(c"level: expected off, or e2e, kernel, verbose joined by commas"),
        }
    }
}

/// `_is_enabled(level)`
pub(crate) unsafe extern "C" fn is_enabled(
    _: *mut PyObject,
    level: *mut PyObject,
) -> *mut PyObject {
    match crate::place::level_bit(level) {
        // SAFETY: the GIL is held.
        Some(bit) => unsafe { PyBool_FromLong(dynamic::is_enabled(bit).into()) },
        None => value_error(c"level: expected e2e, kernel or verbose"),
    }
}

/// `process_name(name)`
pub(crate) unsafe extern "C" fn process_name(
    _: *mut PyObject,
    name: *mut PyObject,
) -> *mut PyObject {
    crate::place::with_any_text(name, |name| {
        ringscope::set_process_name(&String::from_utf8_lossy(name));
    });
    none()
}

/// `thread_name(name)`
pub(crate) unsafe extern "C" fn thread_name(
    _: *mut PyObject,
    name: *mut PyObject,
) -> *mut PyObject {
    if ring_if_on().is_some() {
        crate::place::with_any_text(name, |name| {
            ringscope::set_thread_name(&String::from_utf8_lossy(name));
        });
    }
    none()
}

/// `now_ns()`
pub(crate) unsafe extern "C" fn now_ns(_: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: the GIL is held.
    unsafe { PyLong_FromUnsignedLongLong(ringscope::now_ns()) }
}

/// `_ticks()`
pub(crate) unsafe extern "C" fn ticks(_: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: the GIL is held.
    unsafe { PyLong_FromUnsignedLongLong(ringscope::ticks()) }
}

/// `_track(variable, name)`: the number of a track, or `None`.
pub(crate) unsafe extern "C" fn track(_: *mut PyObject, args: *mut PyObject) -> *mut PyObject {
    let (mut variable, mut name) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: called by the interpreter; the variable is the module's, which holds it.
    unsafe {
        let format = c"OO";
        if PyArg_ParseTuple(args, format.as_ptr(), &raw mut variable, &raw mut name) == 0 {
            return ptr::null_mut();
        }
        let number = crate::place::with_any_text(name, |name| lane::track(variable, name));
        number.map_or_else(none, |number| PyLong_FromSize_t(number))
    }
}

/// `_stream(device, stream, clock_domain, name)`: the number of a device stream's lane, or `None`.
pub(crate) unsafe extern "C" fn stream(_: *mut PyObject, args: *mut PyObject) -> *mut PyObject {
    let (mut device, mut number, mut domain) = (0u32, 0u32, 0u32);
    let mut name = ptr::null_mut();
    // SAFETY: called by the interpreter.
    unsafe {
        let format = c"IIIO";
        let parsed = PyArg_ParseTuple(
            args,
            format.as_ptr(),
            &raw mut device,
            &raw mut number,
            &raw mut domain,
            &raw mut name,
        );
        if parsed == 0 {
            return ptr::null_mut();
        }
        let device = [device, number, domain];
        let lane = crate::place::with_any_text(name, |name| lane::stream(name, device));
        lane.map_or_else(none, |lane| PyLong_FromSize_t(lane))
    }
}

/// `_publish_clock_domain(id, frequency_hz, name)`: false when nothing is recorded.
pub(crate) unsafe extern "C" fn publish_clock_domain(
    _: *mut PyObject,
    args: *mut PyObject,
) -> *mut PyObject {
    let (mut id, mut frequency_hz, mut name) = (0u32, 0 as c_ulonglong, ptr::null_mut());
    // SAFETY: called by the interpreter.
    unsafe {
        let format = c"IKO";
        let parsed = PyArg_ParseTuple(
            args,
            format.as_ptr(),
            &raw mut id,
            &raw mut frequency_hz,
            &raw mut name,
        );
        if parsed == 0 {
            return ptr::null_mut();
        }
        let publish = |ring: Ring| {
            crate::place::with_any_text(name, |name| {
                ring.publish_clock_domain(id, frequency_hz, name)
            })
        };
        PyBool_FromLong(ring_if_on().is_some_and(publish).into())
    }
}

/// `_publish_anchor(domain, host_before_ticks, device_ticks, host_after_ticks)`: false when nothing is recorded.
pub(crate) unsafe extern "C" fn publish_anchor(
    _: *mut PyObject,
    args: *mut PyObject,
) -> *mut PyObject {
    let mut domain = 0u32;
    let (mut before, mut device, mut after): (c_ulonglong, c_ulonglong, c_ulonglong) = (0, 0, 0);
    // SAFETY: called by the interpreter.
    unsafe {
        let format = c"IKKK";
        let parsed = PyArg_ParseTuple(
            args,
            format.as_ptr(),
            &raw mut domain,
            &raw mut before,
            &raw mut device,
            &raw mut after,
        );
        if parsed == 0 {
            return ptr::null_mut();
        }
        let publish = |ring: Ring| ring.publish_anchor(domain, before, device, after);
        PyBool_FromLong(ring_if_on().is_some_and(publish).into())
    }
}

/// `_generation()`: differs between a process and its forked child, and between two recordings; 0 while off.
pub(crate) unsafe extern "C" fn generation(_: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    let generation = c_abi::generation_word().load(Ordering::Relaxed);
    // SAFETY: the GIL is held.
    unsafe { PyLong_FromUnsignedLongLong(generation) }
}

/// The calling thread's ring, while anything is recorded.
fn ring_if_on() -> Option<Ring> {
    if dynamic::is_enabled(c_abi::mask_of(Level::VERBOSE)) {
        thread::ring()
    } else {
        None
    }
}
