//! The hot part of `ringscope.profile`: what the serving stack calls for every span.
//!
//! A recorder has a target, the configuration that its records go by. The process records by one configuration at a
//! time; where a recorder's target is another one, Python's part switches over first.

use core::ffi::{c_int, c_void};
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use pyo3_ffi::*;
use ringscope::__private::{LEVEL_E2E, LEVEL_VERBOSE};
use ringscope::{c_abi, dynamic};
use ringscope_ringbuf::layout::Kind;

use crate::arguments::Call;
use crate::given::Given;
use crate::interpreter::{
    E2E, Method, PROFILER, RaisedAside, make_type, new_reference, none, own_reference, slot,
    type_error,
};
use crate::payload::Payload;
use crate::place::{self, Place};
use crate::{argument, lane, no_span, span, thread};

/// The base of `ProfileRecorder`.
#[repr(C)]
struct Recorder {
    base: PyObject,
    /// Bits of the levels that are recorded.
    levels: u64,
    /// Number of the configuration that its records go by.
    target: u64,
    is_active: bool,
    /// Every level is recorded, also those that have no name here.
    is_verbose: bool,
    /// It is the recorder of the process that this one was forked from.
    is_parents: bool,
}

static TYPE: AtomicPtr<PyTypeObject> = AtomicPtr::new(ptr::null_mut());
/// The namespace of `ringscope.profile.recorder`, and its `get_profiler`.
static NAMESPACE: AtomicPtr<PyObject> = AtomicPtr::new(ptr::null_mut());
static GET_PROFILER: AtomicPtr<PyObject> = AtomicPtr::new(ptr::null_mut());
/// The recorder that was found last, held.
static KNOWN: AtomicPtr<PyObject> = AtomicPtr::new(ptr::null_mut());
/// Number of the configuration that the process records by: 0 is that of the environment.
static TARGET: AtomicU64 = AtomicU64::new(0);

impl Recorder {
    /// The level bit that a record of this level has; `None` when it is not recorded.
    #[inline(always)]
    fn includes(&self, level: *mut PyObject) -> Option<u64> {
        if !self.is_active {
            return None;
        }
        let bit = if E2E.is(level) {
            Some(LEVEL_E2E)
        } else {
            place::level_bit(level)
        };
        match bit {
            Some(bit) if self.is_verbose || self.levels & bit != 0 => Some(bit),
            None if self.is_verbose => Some(LEVEL_VERBOSE),
            _ => None,
        }
    }
}

/// # Safety
///
/// `object` is a recorder that is alive.
#[inline(always)]
unsafe fn of<'a>(object: *mut PyObject) -> &'a mut Recorder {
    // SAFETY: passed on to the caller.
    unsafe { &mut *object.cast::<Recorder>() }
}

/// Makes the process record by the recorder's configuration; no exception is left behind.
#[inline(always)]
unsafe fn aim(object: *mut PyObject) {
    // SAFETY: passed on to the caller.
    unsafe {
        if of(object).target != TARGET.load(Ordering::Relaxed) {
            switch_over(object);
        }
    }
}

#[cold]
#[inline(never)]
unsafe fn switch_over(object: *mut PyObject) {
    let _aside = RaisedAside::begin();
    // SAFETY: passed on to the caller.
    unsafe {
        let result = PyObject_CallMethod(object, c"_switch_over".as_ptr(), ptr::null());
        if result.is_null() {
            PyErr_Clear();
            // Not tried again at every record.
            of(object).is_active = false;
        }
        Py_XDECREF(result);
    }
}

/// The process's recorder, borrowed, where it is the one that was found before; else null.
#[inline(always)]
unsafe fn known_profiler() -> *mut PyObject {
    // SAFETY: the namespace is held for ever, and so is the recorder that is known.
    unsafe {
        let namespace = NAMESPACE.load(Ordering::Relaxed);
        let profiler = PyDict_GetItemWithError(namespace, PROFILER.object());
        let is_known = ptr::eq(profiler, KNOWN.load(Ordering::Relaxed)) && !profiler.is_null();
        if is_known && !of(profiler).is_parents {
            profiler
        } else {
            ptr::null_mut()
        }
    }
}

/// True where the process's recorder is known, and records nothing.
#[inline(always)]
unsafe fn is_off() -> bool {
    // SAFETY: the recorder is only looked at.
    unsafe {
        let known = known_profiler();
        !known.is_null() && !of(known).is_active
    }
}

/// The process's recorder, a new reference; null, with an exception set, when it can't be had.
#[inline(always)]
unsafe fn profiler() -> *mut PyObject {
    // SAFETY: a recorder is of a type of this module, or derived from one.
    unsafe {
        let known = known_profiler();
        if known.is_null() {
            find_profiler()
        } else {
            own_reference(known)
        }
    }
}

#[cold]
#[inline(never)]
unsafe fn find_profiler() -> *mut PyObject {
    // SAFETY: the function is held for ever; what it gives is checked. The recorder that was known is given back last,
    // as that may run code.
    unsafe {
        let found = PyObject_CallObject(GET_PROFILER.load(Ordering::Relaxed), ptr::null_mut());
        if found.is_null() {
            return found;
        }
        if !is_recorder(found) {
            Py_DecRef(found);
            return type_error(c"get_profiler: expected a ProfileRecorder");
        }
        let known = KNOWN.swap(new_reference(found), Ordering::Relaxed);
        Py_XDECREF(known);
        found
    }
}

unsafe fn is_recorder(object: *mut PyObject) -> bool {
    // SAFETY: a live object.
    unsafe { PyObject_TypeCheck(object, TYPE.load(Ordering::Relaxed)) != 0 }
}

/// A span of the recorder, or the one that records nothing.
#[inline(always)]
unsafe fn make_span(recorder: *mut PyObject, given: &Given) -> *mut PyObject {
    // SAFETY: passed on to the caller.
    unsafe {
        let Some(level_bit) = of(recorder).includes(given.level) else {
            return no_span::get();
        };
        aim(recorder);
        let made = span::new(span::class());
        if !made.is_null() {
            (*made).set_place(place::of(given.name, given.category, level_bit));
            if !given.args.is_null() {
                (*made).set_late_args(given.args);
            }
        }
        made.cast()
    }
}

unsafe fn put_instant(recorder: *mut PyObject, given: &Given) {
    // SAFETY: passed on to the caller.
    unsafe { put(recorder, given, Kind::Instant, c_abi::ticks, 0) };
}

unsafe fn put_duration(recorder: *mut PyObject, given: &Given) {
    // SAFETY: passed on to the caller; what is no number counts as 0.
    unsafe {
        let _aside = RaisedAside::begin();
        let number = |object: *mut PyObject| {
            let number = PyFloat_AsDouble(object);
            PyErr_Clear();
            if number.is_finite() { number } else { 0.0 }
        };
        // A saturating conversion: a duration below 0 is 0.
        let duration_ns = (number(given.duration_us).trunc() * 1e3) as u64;
        let is_now = given.time_us.is_null() || given.time_us == Py_None();
        let start_ns = if is_now {
            ringscope::now_ns().saturating_sub(duration_ns)
        } else {
            exact_ns(given.time_us).unwrap_or_else(|| (number(given.time_us) * 1e3) as u64)
        };
        put(recorder, given, Kind::SpanNs, || start_ns, duration_ns);
    }
}

/// Nanoseconds of an `int` of microseconds, which a float would round.
unsafe fn exact_ns(object: *mut PyObject) -> Option<u64> {
    // SAFETY: a live object, whose type is looked at first.
    unsafe {
        if PyLong_Check(object) == 0 {
            return None;
        }
        let number = PyLong_AsLongLong(object);
        if !PyErr_Occurred().is_null() {
            PyErr_Clear();
            return None;
        }
        u64::try_from(number).ok()?.checked_mul(1000)
    }
}

#[inline(always)]
unsafe fn put(
    recorder: *mut PyObject,
    given: &Given,
    kind: Kind,
    start: impl FnOnce() -> u64,
    duration: u64,
) {
    // SAFETY: passed on to the caller.
    let level_bit = unsafe {
        let Some(level_bit) = of(recorder).includes(given.level) else {
            return;
        };
        aim(recorder);
        level_bit
    };
    if !dynamic::is_enabled(level_bit) {
        return;
    }
    let Some(ring) = thread::ring() else {
        return;
    };
    // Only now the clock is known: it is chosen when the process is set up.
    let start = start();
    let mut payload = Payload::EMPTY;
    if !given.args.is_null() {
        argument::put_all(&mut payload, given.args);
    }
    let place: Place = place::of(given.name, given.category, level_bit);
    let event = dynamic::Event {
        kind,
        site: place.id(ring),
        lane: lane::current(ring),
        start,
        duration,
    };
    ring.record(event, payload.word(), payload.rest());
}

macro_rules! functions {
    ($($function:ident, $method:ident($has_times:literal), off $off:expr, on $body:expr;)*) => { $(
        /// For the process's recorder.
        unsafe extern "C" fn $function(
            _: *mut PyObject,
            args: *const *mut PyObject,
            count: Py_ssize_t,
            keywords: *mut PyObject,
        ) -> *mut PyObject {
            // SAFETY: called by the interpreter.
            unsafe {
                let Some(given) = Given::read(Call::new(args, count, keywords), $has_times) else {
                    return ptr::null_mut();
                };
                if is_off() {
                    return $off;
                }
                let recorder = profiler();
                if recorder.is_null() {
                    return ptr::null_mut();
                }
                let result = $body(recorder, &given);
                Py_DecRef(recorder);
                result
            }
        }

        /// For a recorder.
        unsafe extern "C" fn $method(
            recorder: *mut PyObject,
            args: *const *mut PyObject,
            count: Py_ssize_t,
            keywords: *mut PyObject,
        ) -> *mut PyObject {
            // SAFETY: called by the interpreter on a recorder.
            unsafe {
                match Given::read(Call::new(args, count, keywords), $has_times) {
                    Some(given) => $body(recorder, &given),
                    None => ptr::null_mut(),
                }
            }
        }
    )* };
}

functions! {
    profile_span, span(false), off no_span::get(), on |recorder, given| make_span(recorder, given);
    profile_instant, instant(false), off none(), on |recorder, given| {
        put_instant(recorder, given);
        none()
    };
    profile_duration, duration(true), off none(), on |recorder, given| {
        put_duration(recorder, given);
        none()
    };
}

/// `_configure(levels, is_verbose, target)`
unsafe extern "C" fn configure(recorder: *mut PyObject, args: *mut PyObject) -> *mut PyObject {
    let (mut levels, mut target) = (0u64, 0u64);
    let mut is_verbose: c_int = 0;
    // SAFETY: called by the interpreter on a recorder.
    unsafe {
        let format = c"KpK";
        let parsed = PyArg_ParseTuple(
            args,
            format.as_ptr(),
            &raw mut levels,
            &raw mut is_verbose,
            &raw mut target,
        );
        if parsed == 0 {
            return ptr::null_mut();
        }
        let recorder = of(recorder);
        recorder.levels = levels;
        recorder.is_verbose = is_verbose != 0;
        recorder.target = target;
    }
    none()
}

/// `_set_active(flag)`
unsafe extern "C" fn set_active(recorder: *mut PyObject, flag: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by the interpreter on a recorder.
    unsafe { of(recorder).is_active = PyObject_IsTrue(flag) == 1 };
    none()
}

/// `_is_active()`
unsafe extern "C" fn is_active(recorder: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by the interpreter on a recorder.
    unsafe { PyBool_FromLong(of(recorder).is_active.into()) }
}

/// `_set_parents()`: this process was forked from the recorder's.
unsafe extern "C" fn set_parents(recorder: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by the interpreter on a recorder.
    unsafe { of(recorder).is_parents = true };
    none()
}

/// `_set_target(number)`: what the process records by from now on.
unsafe extern "C" fn set_target(_: *mut PyObject, number: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by the interpreter.
    let number = unsafe { PyLong_AsUnsignedLongLongMask(number) };
    TARGET.store(number, Ordering::Relaxed);
    none()
}

/// `_serve(namespace, get_profiler)`: tells the functions where the process's recorder stands.
unsafe extern "C" fn serve(_: *mut PyObject, args: *mut PyObject) -> *mut PyObject {
    let (mut namespace, mut get_profiler) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: called by the interpreter; both are held for ever.
    unsafe {
        let format = c"OO";
        let parsed = PyArg_ParseTuple(
            args,
            format.as_ptr(),
            &raw mut namespace,
            &raw mut get_profiler,
        );
        if parsed == 0 {
            return ptr::null_mut();
        }
        NAMESPACE.store(new_reference(namespace), Ordering::Relaxed);
        GET_PROFILER.store(new_reference(get_profiler), Ordering::Relaxed);
    }
    none()
}

unsafe extern "C" fn dealloc(object: *mut PyObject) {
    // SAFETY: called by the interpreter for the last reference; a type made from a specification is held by its
    // objects.
    unsafe {
        let class = Py_TYPE(object);
        // Objects of a class derived in Python come from the collector's memory.
        let free = PyType_GetSlot(class, Py_tp_free);
        core::mem::transmute::<*mut c_void, freefunc>(free)(object.cast());
        Py_DecRef(class.cast());
    }
}

pub(crate) static FUNCTIONS: [Method; 6] = [
    Method::fast(c"profile_span", profile_span, c"profile_span(name, *, cat='e2e', level='e2e', args=None)\n--\n\nA span of the process's recorder."),
    Method::fast(c"profile_instant", profile_instant, c"profile_instant(name, *, cat='e2e', level='e2e', args=None)\n--\n\nRecords a moment."),
    Method::fast(c"profile_duration", profile_duration, c"profile_duration(name, *, dur_us, cat='e2e', level='e2e', args=None, ts_us=None)\n--\n\nRecords a span that is over."),
    Method::single(c"_set_target", set_target, c""),
    Method::tuple(c"_serve", serve, c""),
    Method::END,
];

static METHODS: [Method; 8] = [
    Method::fast(c"span", span, c"span($self, name, *, cat='e2e', level='e2e', args=None)\n--\n\nA span; args is read when it ends."),
    Method::fast(c"instant", instant, c"instant($self, name, *, cat='e2e', level='e2e', args=None)\n--\n\nRecords a moment."),
    Method::fast(c"duration", duration, c"duration($self, name, *, dur_us, cat='e2e', level='e2e', args=None, ts_us=None)\n--\n\nRecords a span that is over."),
    Method::tuple(c"_configure", configure, c""),
    Method::single(c"_set_active", set_active, c""),
    Method::plain(c"_is_active", is_active, c""),
    Method::plain(c"_set_parents", set_parents, c""),
    Method::END,
];

/// Makes the type and the span that records nothing. False, with an exception set, when that fails.
///
/// # Safety
///
/// `module` is the module being made.
pub(crate) unsafe fn add_types(module: *mut PyObject) -> bool {
    let slots = [
        slot(Py_tp_dealloc, dealloc as *mut c_void),
        slot(Py_tp_new, PyType_GenericNew as *mut c_void),
        slot(Py_tp_methods, METHODS[0].definition().cast()),
    ];
    let name = c"ringscope._ringscope.Recorder";
    // SAFETY: passed on to the caller; the type is held for ever.
    unsafe {
        let size = size_of::<Recorder>();
        let class = make_type(name, size, Py_TPFLAGS_BASETYPE as u32, &slots);
        if class.is_null() || !no_span::prepare() {
            return false;
        }
        TYPE.store(class, Ordering::Relaxed);
        PyModule_AddObject(module, c"Recorder".as_ptr(), new_reference(class.cast())) == 0
            && PyModule_AddFunctions(module, FUNCTIONS[0].definition()) == 0
    }
}
