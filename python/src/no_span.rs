//! The span that records nothing: what the drop-in gives while it is off.

use core::ffi::CStr;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use pyo3_ffi::*;

use crate::interpreter::{Method, make_type, none, own_reference, slot};

static OBJECT: AtomicPtr<PyObject> = AtomicPtr::new(ptr::null_mut());

/// The one object, as a new reference.
#[inline(always)]
pub(crate) fn get() -> *mut PyObject {
    // SAFETY: the object is held for ever.
    unsafe { own_reference(OBJECT.load(Ordering::Relaxed)) }
}

unsafe extern "C" fn enter(
    no_span: *mut PyObject,
    _: *const *mut PyObject,
    _: Py_ssize_t,
) -> *mut PyObject {
    // SAFETY: called by the interpreter with the object that the function was made for.
    unsafe { own_reference(no_span) }
}

unsafe extern "C" fn exit(
    _: *mut PyObject,
    _: *const *mut PyObject,
    _: Py_ssize_t,
) -> *mut PyObject {
    none()
}

unsafe extern "C" fn set(
    _: *mut PyObject,
    _: *const *mut PyObject,
    _: Py_ssize_t,
    _: *mut PyObject,
) -> *mut PyObject {
    none()
}

static METHODS: [Method; 2] = [Method::fast(c"set", set, c""), Method::END];

/// Functions of the one object, which the `with` statement finds in its type: a function there is not bound, and binding
/// is most of what a statement costs whose span records nothing.
static FUNCTIONS: [(&CStr, Method); 2] = [
    (c"__enter__", Method::positional(c"__enter__", enter, c"")),
    (c"__exit__", Method::positional(c"__exit__", exit, c"")),
];

/// Makes the object. False, with an exception set, when that fails.
///
/// # Safety
///
/// The GIL is held.
pub(crate) unsafe fn prepare() -> bool {
    let slots = [slot(Py_tp_methods, METHODS[0].definition().cast())];
    let name = c"ringscope._ringscope.NoSpan";
    // SAFETY: passed on to the caller; the type, its one object and its functions are held for ever.
    unsafe {
        let class = make_type(name, size_of::<PyObject>(), 0, &slots).cast::<PyObject>();
        if class.is_null() {
            return false;
        }
        let object = PyObject_CallObject(class, ptr::null_mut());
        OBJECT.store(object, Ordering::Relaxed);
        !object.is_null()
            && FUNCTIONS.iter().all(|(name, function)| {
                let function = PyCFunction_NewEx(function.definition(), object, ptr::null_mut());
                !function.is_null() && PyObject_SetAttrString(class, name.as_ptr(), function) == 0
            })
    }
}
