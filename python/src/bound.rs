//! `__enter__` and `__exit__` as the `with` statement finds them.
//!
//! The statement looks both up before it calls them, and binding a method makes an object: together that is half of what
//! the statement costs. So every span holds its two bound methods ready, inside of its own memory, and what stands in
//! the type hands them out. While one is out, it holds the span.

use core::ffi::{CStr, c_void};
use core::mem::offset_of;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use pyo3_ffi::*;

use crate::interpreter::{make_type, new_reference, own_reference, slot, type_error};

/// In the headers since 3.12, and the same bit in all versions since 3.8.
const HAVE_VECTORCALL: u32 = 1 << 11;

/// A method and the object that it is bound to, which it is a field of. Nobody has it while its count is 0.
#[repr(C)]
pub(crate) struct Bound {
    base: PyObject,
    call: vectorcallfunc,
    owner: *mut PyObject,
}

/// What stands in the type of spans under the name of the method.
#[repr(C)]
struct Method {
    base: PyObject,
    /// Where a span has the bound method.
    offset: usize,
    /// Type of the spans.
    class: *mut PyTypeObject,
    /// The method as the type alone has it.
    unbound: *mut PyObject,
}

static BOUND_TYPE: AtomicPtr<PyTypeObject> = AtomicPtr::new(ptr::null_mut());

impl Bound {
    /// The method of a new object; `call` gets the `Bound` as its callable.
    pub(crate) fn new(call: vectorcallfunc, owner: *mut PyObject) -> Bound {
        Bound {
            base: PyObject {
                ob_refcnt: 0,
                ob_type: BOUND_TYPE.load(Ordering::Relaxed),
            },
            call,
            owner,
        }
    }
}

/// What a bound method that is being called is bound to.
///
/// # Safety
///
/// `bound` is a [`Bound`] that somebody holds.
#[inline(always)]
pub(crate) unsafe fn owner(bound: *mut PyObject) -> *mut PyObject {
    // SAFETY: passed on to the caller.
    unsafe { (*bound.cast::<Bound>()).owner }
}

/// `type.__enter__` of an object, or of the type alone.
unsafe extern "C" fn bind(
    method: *mut PyObject,
    object: *mut PyObject,
    _: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by the interpreter on a `Method`; only objects of its class have something at its offset.
    unsafe {
        let method = &*method.cast::<Method>();
        if object.is_null() {
            return new_reference(method.unbound);
        }
        if (*object).ob_type != method.class {
            return type_error(c"a method of ringscope.Span");
        }
        let bound = object.byte_add(method.offset);
        if (*bound).ob_refcnt == 0 {
            own_reference(object);
        }
        own_reference(bound)
    }
}

/// Nobody has the bound method any more.
unsafe extern "C" fn release(bound: *mut PyObject) {
    // SAFETY: called by the interpreter for the last reference. The memory is the owner's, which `bind` took a
    // reference to.
    unsafe {
        let owner = owner(bound);
        if (*owner).ob_refcnt > 1 {
            (*owner).ob_refcnt -= 1;
        } else {
            Py_DecRef(owner);
        }
    }
}

/// A call that is no vector call.
unsafe extern "C" fn call(
    bound: *mut PyObject,
    _: *mut PyObject,
    _: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by the interpreter on a `Bound`, whose function reads no arguments.
    unsafe { ((*bound.cast::<Bound>()).call)(bound, ptr::null(), 0, ptr::null_mut()) }
}

/// Makes the type of bound methods; to be done before any object is made. False, with an exception set, when that fails.
///
/// # Safety
///
/// The GIL is held.
pub(crate) unsafe fn prepare() -> bool {
    let offset = offset_of!(Bound, call) as Py_ssize_t;
    let mut members = [PyMemberDef::default(); 2];
    members[0].name = c"__vectorcalloffset__".as_ptr();
    members[0].type_code = Py_T_PYSSIZET;
    members[0].offset = offset;
    members[0].flags = Py_READONLY;
    let slots = [
        slot(Py_tp_dealloc, release as *mut c_void),
        slot(Py_tp_call, call as *mut c_void),
        slot(Py_tp_members, members.as_mut_ptr().cast()),
    ];
    let name = c"ringscope._ringscope.BoundMethod";
    // SAFETY: the slots are those of a type of `Bound` objects.
    let class = unsafe { make_type(name, size_of::<Bound>(), HAVE_VECTORCALL, &slots) };
    BOUND_TYPE.store(class, Ordering::Relaxed);
    !class.is_null()
}

/// Has objects of a type give the bound methods that they hold at these offsets, under the names of methods that it has.
/// False, with an exception set, when that fails.
///
/// # Safety
///
/// Objects of the type have a [`Bound`] at each offset.
pub(crate) unsafe fn hand_out(
    class: *mut PyTypeObject,
    methods: &[(&'static CStr, usize)],
) -> bool {
    let slots = [slot(Py_tp_descr_get, bind as *mut c_void)];
    // SAFETY: passed on to the caller; new objects are checked, and held by the type for ever.
    unsafe {
        let name = c"ringscope._ringscope.Method";
        let kind = make_type(name, size_of::<Method>(), 0, &slots);
        !kind.is_null()
            && methods.iter().all(|&(name, offset)| {
                let unbound = PyObject_GetAttrString(class.cast(), name.as_ptr());
                let method = PyType_GenericAlloc(kind, 0).cast::<Method>();
                if unbound.is_null() || method.is_null() {
                    return false;
                }
                (*method).offset = offset;
                (*method).class = class;
                (*method).unbound = unbound;
                PyObject_SetAttrString(class.cast(), name.as_ptr(), method.cast()) == 0
            })
    }
}
