//! What has no body that a `with` statement could enclose: instants, counters, spans known only afterwards, arrows,
//! async spans, launches and what runs on devices.

use pyo3_ffi::*;
use ringscope::c_abi::{self, Ring};
use ringscope::dynamic::{self, Event};
use ringscope_ringbuf::layout::Kind;
use ringscope_ringbuf::payload::ArgType;

use crate::arguments::Call;
use crate::frame::Form;
use crate::interpreter::{is_text, none, type_error, with_text};
use crate::payload::Payload;
use crate::{lane, span, thread};

/// What an event function does once it knows the place: the ring, the place's id, the lane, the payload.
type Put = unsafe fn(Ring, u32, u16, &Payload, Call) -> bool;

/// Reads `function(name, …, *, cat, level, args, **keys)` with `own` positional arguments behind the name, and records.
#[inline(always)]
unsafe fn event(
    args: *const *mut PyObject,
    count: Py_ssize_t,
    keywords: *mut PyObject,
    own: usize,
    put: Put,
) -> *mut PyObject {
    // SAFETY: called by the functions below with what the interpreter gave them.
    unsafe {
        let call = Call::new(args, count, keywords);
        if call.positional_count() < own + 1 {
            return type_error(c"missing arguments");
        }
        let mut payload = Payload::EMPTY;
        let Some(place) = call.describe(own, &mut payload) else {
            return core::ptr::null_mut();
        };
        if dynamic::is_enabled(place.level_bit)
            && let Some(ring) = thread::ring()
        {
            let site = place.id(ring);
            if !put(ring, site, lane::current(ring), &payload, call) {
                return core::ptr::null_mut();
            }
        }
    }
    none()
}

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident($own:literal) = $put:ident;)*) => { $(
        $(#[$doc])*
        pub(crate) unsafe extern "C" fn $name(
            _: *mut PyObject,
            args: *const *mut PyObject,
            count: Py_ssize_t,
            keywords: *mut PyObject,
        ) -> *mut PyObject {
            // SAFETY: called by the interpreter.
            unsafe { event(args, count, keywords, $own, $put) }
        }
    )* };
}

events! {
    /// `instant(name, **keys)`
    instant(0) = put_instant;
    /// `counter(name, value)`
    counter(1) = put_counter;
    /// `complete(name, start_ns, duration_ns, **keys)`
    complete(2) = put_complete;
    /// `_flow_out(name, id, **keys)`
    flow_out(1) = put_flow_out;
    /// `_flow_in(name, id, **keys)`
    flow_in(1) = put_flow_in;
    /// `async_begin(name, id, **keys)`
    async_begin(1) = put_async_begin;
    /// `async_end(name, id, **keys)`
    async_end(1) = put_async_end;
    /// `_device_span(name, stream, correlation, start_ticks, duration_ticks, **keys)`
    device_span(4) = put_device_span;
}

/// # Safety
///
/// As for a function that the interpreter calls, in all of these.
#[inline(always)]
unsafe fn put_instant(ring: Ring, site: u32, lane: u16, payload: &Payload, _: Call) -> bool {
    let event = Event {
        kind: Kind::Instant,
        site,
        lane,
        start: c_abi::ticks(),
        duration: 0,
    };
    ring.record(event, payload.word(), payload.rest());
    true
}

unsafe fn put_counter(ring: Ring, site: u32, lane: u16, _: &Payload, call: Call) -> bool {
    let value = call.positional(1);
    // SAFETY: a live object; types are looked at first.
    let value = unsafe {
        if PyFloat_Check(value) != 0 {
            (ArgType::F64, PyFloat_AsDouble(value).to_bits())
        } else {
            (ArgType::I64, PyLong_AsLongLong(value) as u64)
        }
    };
    if raised() {
        return false;
    }
    ring.count_up(site, lane, value);
    true
}

unsafe fn put_complete(ring: Ring, site: u32, lane: u16, payload: &Payload, call: Call) -> bool {
    let (start, duration) = (number(call, 1), number(call, 2));
    if raised() {
        return false;
    }
    let event = Event {
        kind: Kind::SpanNs,
        site,
        lane,
        start,
        duration,
    };
    ring.record(event, payload.word(), payload.rest());
    true
}

unsafe fn put_flow_out(ring: Ring, site: u32, lane: u16, payload: &Payload, call: Call) -> bool {
    put_with_id(Kind::FlowOut, (ring, site, lane), payload, call)
}

unsafe fn put_flow_in(ring: Ring, site: u32, lane: u16, payload: &Payload, call: Call) -> bool {
    put_with_id(Kind::FlowIn, (ring, site, lane), payload, call)
}

unsafe fn put_async_begin(ring: Ring, site: u32, lane: u16, payload: &Payload, call: Call) -> bool {
    put_with_id(Kind::AsyncBegin, (ring, site, lane), payload, call)
}

unsafe fn put_async_end(ring: Ring, site: u32, lane: u16, payload: &Payload, call: Call) -> bool {
    put_with_id(Kind::AsyncEnd, (ring, site, lane), payload, call)
}

fn put_with_id(
    kind: Kind,
    (ring, site, lane): (Ring, u32, u16),
    payload: &Payload,
    call: Call,
) -> bool {
    let id = id(call.positional(1));
    if raised() {
        return false;
    }
    let event = Event {
        kind,
        site,
        lane,
        start: c_abi::ticks(),
        duration: 0,
    };
    ring.record(event, id, payload.bytes());
    true
}

unsafe fn put_device_span(ring: Ring, site: u32, _: u16, payload: &Payload, call: Call) -> bool {
    let (stream, correlation) = (number(call, 1), number(call, 2));
    let (start, duration) = (number(call, 3), number(call, 4));
    if raised() {
        return false;
    }
    if let Some(lane) = lane::of_stream(ring, stream as usize) {
        let event = Event {
            kind: Kind::DeviceSpan,
            site,
            lane,
            start,
            duration,
        };
        ring.record(event, correlation, payload.bytes());
    }
    true
}

/// `_launch_span(name, correlation, is_wait, **keys)`: a span that is the host's side of a launch.
pub(crate) unsafe extern "C" fn launch_span(
    _: *mut PyObject,
    args: *const *mut PyObject,
    count: Py_ssize_t,
    keywords: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by the interpreter; the object is new.
    unsafe {
        let launch = span::new(span::class());
        if launch.is_null() {
            return core::ptr::null_mut();
        }
        let call = Call::new(args, count, keywords);
        if count != 3 {
            Py_DecRef(launch.cast());
            return type_error(c"expected name, correlation, is_wait");
        }
        let is_wait = PyObject_IsTrue(call.positional(2)) == 1;
        let form = Form {
            kind: if is_wait { Kind::Wait } else { Kind::Launch },
            correlation: number(call, 1),
        };
        match call.describe(2, (*launch).payload()) {
            Some(place) if !raised() => {
                (*launch).set_place(place);
                (*launch).set_form(form);
                launch.cast()
            }
            _ => {
                Py_DecRef(launch.cast());
                core::ptr::null_mut()
            }
        }
    }
}

/// A positional argument as a number; negative ones are 0. Leaves an exception when it is none.
fn number(call: Call, index: usize) -> u64 {
    let object = call.positional(index);
    // SAFETY: a live object.
    unsafe {
        let number = PyLong_AsLongLong(object);
        if number == -1 && raised() {
            PyErr_Clear();
            return PyLong_AsUnsignedLongLong(object);
        }
        number.max(0) as u64
    }
}

/// An id: a number as it is, a text by a hash that is the same in every process.
fn id(object: *mut PyObject) -> u64 {
    if is_text(object) {
        return with_text(object, fnv1a);
    }
    // SAFETY: a live object.
    unsafe { PyLong_AsUnsignedLongLongMask(object) }
}

fn fnv1a(text: &[u8]) -> u64 {
    text.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

fn raised() -> bool {
    // SAFETY: the GIL is held.
    unsafe { !PyErr_Occurred().is_null() }
}
