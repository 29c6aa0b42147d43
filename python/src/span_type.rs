//! `Span` and `Lap` as Python sees them: how they are made, their methods, their types.

use core::ffi::{CStr, c_void};
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use pyo3_ffi::*;

use crate::arguments::Call;
use crate::bound;
use crate::interpreter::{Method, make_type, new_reference, none, own_reference, slot, type_error};
use crate::span::{self, Span};

static LAP_TYPE: AtomicPtr<PyTypeObject> = AtomicPtr::new(ptr::null_mut());
/// Python's part of `span(...)` as a decorator: called with the object and what is decorated.
static DECORATE: AtomicPtr<PyObject> = AtomicPtr::new(ptr::null_mut());

/// `span(name, *, cat, level, args, **keys)`
pub(crate) unsafe extern "C" fn make(
    _: *mut PyObject,
    args: *const *mut PyObject,
    count: Py_ssize_t,
    keywords: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by the interpreter; the object is new.
    unsafe {
        let span = span::new(span::class());
        if span.is_null() {
            return ptr::null_mut();
        }
        let call = Call::new(args, count, keywords);
        match call.describe(0, (*span).payload()) {
            Some(place) => {
                (*span).set_place(place);
                span.cast()
            }
            None => {
                Py_DecRef(span.cast());
                ptr::null_mut()
            }
        }
    }
}

/// `lap(name, *, cat, level, args, **keys)`: begun at once.
pub(crate) unsafe extern "C" fn make_lap(
    _: *mut PyObject,
    args: *const *mut PyObject,
    count: Py_ssize_t,
    keywords: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by the interpreter; the object is new.
    unsafe {
        let lap = span::new(LAP_TYPE.load(Ordering::Relaxed));
        if lap.is_null() {
            return ptr::null_mut();
        }
        let call = Call::new(args, count, keywords);
        let Some(place) = call.describe(0, (*lap).payload()) else {
            Py_DecRef(lap.cast());
            return ptr::null_mut();
        };
        (*lap).set_place(place);
        Span::begin(lap);
        lap.cast()
    }
}

/// `Span(...)`: what `span(...)` gives.
unsafe extern "C" fn construct(
    _: *mut PyTypeObject,
    args: *mut PyObject,
    keywords: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by the interpreter with a tuple and a dict or null; what is built here is given back.
    unsafe {
        let (mut values, names) = (Vec::new(), PyList_New(0));
        let count = PyTuple_Size(args);
        values.extend((0..count).map(|index| PyTuple_GetItem(args, index)));
        let (mut at, mut key, mut value) = (0, ptr::null_mut(), ptr::null_mut());
        while !keywords.is_null() && PyDict_Next(keywords, &mut at, &mut key, &mut value) != 0 {
            PyList_Append(names, key);
            values.push(value);
        }
        let names_tuple = PyList_AsTuple(names);
        Py_XDECREF(names);
        if names_tuple.is_null() {
            return ptr::null_mut();
        }
        let span = make(ptr::null_mut(), values.as_ptr(), count, names_tuple);
        Py_DecRef(names_tuple);
        span
    }
}

/// `Lap(...)` is made by `lap(...)` alone.
unsafe extern "C" fn refuse(
    _: *mut PyTypeObject,
    _: *mut PyObject,
    _: *mut PyObject,
) -> *mut PyObject {
    type_error(c"a Lap is made by ringscope.lap()")
}

/// `span(function)`: a decorator.
unsafe extern "C" fn call(
    object: *mut PyObject,
    args: *mut PyObject,
    keywords: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by the interpreter with a tuple and a dict or null.
    unsafe {
        let has_keywords = !keywords.is_null() && PyDict_Size(keywords) > 0;
        if PyTuple_Size(args) != 1 || has_keywords {
            return type_error(c"a span as a decorator takes the function");
        }
        let function = PyTuple_GetItem(args, 0);
        let decorate = DECORATE.load(Ordering::Relaxed);
        PyObject_CallFunctionObjArgs(decorate, object, function, ptr::null_mut::<PyObject>())
    }
}

/// `_decorate_with(function)`: tells Python's part of decorators.
pub(crate) unsafe extern "C" fn decorate_with(
    _: *mut PyObject,
    function: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by the interpreter; the function is held for ever.
    unsafe { DECORATE.store(new_reference(function), Ordering::Relaxed) };
    none()
}

unsafe extern "C" fn enter(object: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by the interpreter on a span.
    unsafe {
        Span::begin(object.cast());
        own_reference(object)
    }
}

unsafe extern "C" fn enter_lap(object: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by the interpreter on a lap, which has begun.
    unsafe { new_reference(object) }
}

unsafe extern "C" fn exit(
    object: *mut PyObject,
    _: *const *mut PyObject,
    _: Py_ssize_t,
) -> *mut PyObject {
    // SAFETY: called by the interpreter on a span.
    unsafe { Span::end(object.cast()) };
    none()
}

unsafe extern "C" fn end(object: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by the interpreter on a span.
    unsafe { Span::end(object.cast()) };
    none()
}

unsafe extern "C" fn set(
    object: *mut PyObject,
    args: *const *mut PyObject,
    count: Py_ssize_t,
    keywords: *mut PyObject,
) -> *mut PyObject {
    if count != 0 {
        return type_error(c"set: arguments have names, as in set(tokens=3)");
    }
    // SAFETY: called by the interpreter on a span.
    unsafe { Span::set(object.cast(), Call::new(args, count, keywords)) };
    none()
}

unsafe extern "C" fn next(object: *mut PyObject, name: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by the interpreter on a lap; the next phase has its category's default and its level.
    unsafe { Span::next(object.cast(), name) };
    none()
}

unsafe extern "C" fn copy(object: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by the interpreter on a span; the copy is new.
    unsafe {
        let copy = span::new(span::class());
        if copy.is_null() {
            return ptr::null_mut();
        }
        (*copy).copy_from(span::of(object));
        copy.cast()
    }
}

static METHODS: [Method; 7] = [
    Method::plain(c"__enter__", enter, c"Begins the span."),
    Method::positional(
        c"__exit__",
        exit,
        c"Ends the span, also when an exception left its body.",
    ),
    Method::plain(c"begin", enter, c"Begins the span; returns it."),
    Method::plain(c"end", end, c"Ends the span."),
    Method::fast(
        c"set",
        set,
        c"Adds arguments that were not known at the beginning.",
    ),
    Method::plain(
        c"_copy",
        copy,
        c"A new span of the same place and arguments.",
    ),
    Method::END,
];

static LAP_METHODS: [Method; 6] = [
    Method::single(
        c"next",
        next,
        c"Ends the phase and begins the next one at the same moment.",
    ),
    Method::plain(c"__enter__", enter_lap, c""),
    Method::positional(c"__exit__", exit, c"Ends the last phase."),
    Method::plain(c"end", end, c"Ends the last phase."),
    Method::fast(c"set", set, c"Adds arguments to the phase."),
    Method::END,
];

const SPAN_DOC: &CStr = c"Span(name, *, cat='default', level='e2e', args=None, **arguments)\n--\n\nA span: a context manager, a decorator, or begun and ended by hand. It may be used again and again, also while\nit is open, by several threads and tasks.";
const LAP_DOC: &CStr = c"Adjacent spans that share their clock reads; made by lap().";

/// Makes the types and puts them into the module. False, with an exception set, when that fails.
///
/// # Safety
///
/// `module` is the module being made.
pub(crate) unsafe fn add_types(module: *mut PyObject) -> bool {
    let slots = [
        slot(Py_tp_dealloc, span::dealloc as *mut c_void),
        slot(Py_tp_methods, METHODS[0].definition().cast()),
        slot(Py_tp_new, construct as *mut c_void),
        slot(Py_tp_call, call as *mut c_void),
        slot(Py_tp_doc, SPAN_DOC.as_ptr().cast_mut().cast()),
    ];
    let lap_slots = [
        slot(Py_tp_dealloc, span::dealloc as *mut c_void),
        slot(Py_tp_methods, LAP_METHODS[0].definition().cast()),
        slot(Py_tp_new, refuse as *mut c_void),
        slot(Py_tp_doc, LAP_DOC.as_ptr().cast_mut().cast()),
    ];
    // SAFETY: passed on to the caller.
    unsafe {
        bound::prepare()
            && add_type(module, (c"ringscope.Span", c"Span"), &slots, &span::TYPE)
            && bound::hand_out(span::class(), span::BOUND_METHODS)
            && add_type(module, (c"ringscope.Lap", c"Lap"), &lap_slots, &LAP_TYPE)
    }
}

/// # Safety
///
/// `module` is the module being made; the slots are those of a type of [`Span`] objects.
unsafe fn add_type(
    module: *mut PyObject,
    (full_name, name): (&'static CStr, &'static CStr),
    slots: &[PyType_Slot],
    place: &AtomicPtr<PyTypeObject>,
) -> bool {
    // SAFETY: passed on to the caller; the type is held for ever.
    unsafe {
        let class = make_type(full_name, size_of::<Span>(), 0, slots);
        place.store(class, Ordering::Relaxed);
        !class.is_null()
            && PyModule_AddObject(module, name.as_ptr(), new_reference(class.cast())) == 0
    }
}
