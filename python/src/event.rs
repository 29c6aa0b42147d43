//! What has no body that a `with` statement could enclose: instants, counters, spans known only afterwards, arrows,
//! async spans, launches and what runs on devices.

use pyo3_ffi::*;
use ringscope::c_abi::{self, Ring};
use ringscope::dynamic::{self, Event};
use ringscope_ringbuf::layout::{DropCause, Kind};

use crate::arguments::Call;
use crate::frame::Form;
use crate::interpreter::{none, type_error};
use crate::payload::Payload;
use crate::{lane, number, span, thread};

/// What an event function does once it knows the place: the ring, the place's id, the lane, the payload. `None` when
/// what it was given is no event.
type Put = unsafe fn(Ring, u32, u16, &Payload, Call) -> Option<()>;

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
            if put(ring, site, lane::current(ring), &payload, call).is_none() {
                c_abi::count(DropCause::ValueCut);
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
unsafe fn put_instant(ring: Ring, site: u32, lane: u16, payload: &Payload, _: Call) -> Option<()> {
    let event = Event {
        kind: Kind::Instant,
        site,
        lane,
        start: c_abi::ticks(),
        duration: 0,
    };
    ring.record(event, payload.word(), payload.rest());
    Some(())
}

unsafe fn put_counter(ring: Ring, site: u32, lane: u16, _: &Payload, call: Call) -> Option<()> {
    ring.count_up(site, lane, number::value(call.positional(1))?);
    Some(())
}

unsafe fn put_complete(
    ring: Ring,
    site: u32,
    lane: u16,
    payload: &Payload,
    call: Call,
) -> Option<()> {
    let event = Event {
        kind: Kind::SpanNs,
        site,
        lane,
        start: number::unsigned(call.positional(1))?,
        duration: number::unsigned(call.positional(2))?,
    };
    ring.record(event, payload.word(), payload.rest());
    Some(())
}

macro_rules! with_id {
    ($($put:ident = $kind:ident;)*) => { $(
        unsafe fn $put(
            ring: Ring,
            site: u32,
            lane: u16,
            payload: &Payload,
            call: Call,
        ) -> Option<()> {
            let id = number::id(call.positional(1));
            let event = Event {
                kind: Kind::$kind,
                site,
                lane,
                start: c_abi::ticks(),
                duration: 0,
            };
            ring.record(event, id, payload.bytes());
            Some(())
        }
    )* };
}

with_id! {
    put_flow_out = FlowOut;
    put_flow_in = FlowIn;
    put_async_begin = AsyncBegin;
    put_async_end = AsyncEnd;
}

unsafe fn put_device_span(
    ring: Ring,
    site: u32,
    _: u16,
    payload: &Payload,
    call: Call,
) -> Option<()> {
    let unsigned = |index| number::unsigned(call.positional(index));
    let (stream, correlation) = (unsigned(1)?, unsigned(2)?);
    let event = Event {
        kind: Kind::DeviceSpan,
        site,
        lane: lane::of_stream(ring, stream as usize)?,
        start: unsigned(3)?,
        duration: unsigned(4)?,
    };
    ring.record(event, correlation, payload.bytes());
    Some(())
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
            correlation: number::id(call.positional(1)),
        };
        match call.describe(2, (*launch).payload()) {
            Some(place) => {
                (*launch).set_place(place);
                (*launch).set_form(form);
                launch.cast()
            }
            None => {
                Py_DecRef(launch.cast());
                core::ptr::null_mut()
            }
        }
    }
}

/// `_id(object)`: the id that stands for an object in arrows and async spans.
pub(crate) unsafe extern "C" fn id(_: *mut PyObject, object: *mut PyObject) -> *mut PyObject {
    // SAFETY: the GIL is held.
    unsafe { PyLong_FromUnsignedLongLong(number::id(object)) }
}
