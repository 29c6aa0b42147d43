//! The interpreter's side of the border: method tables, interned words, texts, and the few calls that the stable ABI
//! of Python 3.9 lacks.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use pyo3_ffi::*;

/// `METH_FASTCALL`: in the headers since 3.7, in the stable ABI by name since 3.10.
const METH_FASTCALL: c_int = 0x80;

/// A function that takes its arguments as an array, the values of keywords behind them.
pub(crate) type Fast = unsafe extern "C" fn(
    slf: *mut PyObject,
    args: *const *mut PyObject,
    count: Py_ssize_t,
    keywords: *mut PyObject,
) -> *mut PyObject;

/// A method that takes any positional arguments as an array.
pub(crate) type FastPositional = unsafe extern "C" fn(
    slf: *mut PyObject,
    args: *const *mut PyObject,
    count: Py_ssize_t,
) -> *mut PyObject;

/// A row of a method table; the tables are statics, which the interpreter keeps pointers to.
#[repr(transparent)]
pub(crate) struct Method(PyMethodDef);

// SAFETY: the interpreter only reads method tables.
unsafe impl Sync for Method {}

impl Method {
    /// A function that takes keywords.
    pub(crate) const fn fast(name: &'static CStr, function: Fast, doc: &'static CStr) -> Method {
        // SAFETY: the flags tell the interpreter to call it by its own type.
        let function = unsafe { core::mem::transmute::<Fast, PyCFunction>(function) };
        Method::new(name, function, METH_FASTCALL | METH_KEYWORDS, doc)
    }

    /// A method that takes positional arguments alone.
    pub(crate) const fn positional(
        name: &'static CStr,
        function: FastPositional,
        doc: &'static CStr,
    ) -> Method {
        // SAFETY: the flags tell the interpreter to call it by its own type.
        let function = unsafe { core::mem::transmute::<FastPositional, PyCFunction>(function) };
        Method::new(name, function, METH_FASTCALL, doc)
    }

    /// A function without arguments.
    pub(crate) const fn plain(
        name: &'static CStr,
        function: PyCFunction,
        doc: &'static CStr,
    ) -> Method {
        Method::new(name, function, METH_NOARGS, doc)
    }

    /// A function that takes a tuple.
    pub(crate) const fn tuple(
        name: &'static CStr,
        function: PyCFunction,
        doc: &'static CStr,
    ) -> Method {
        Method::new(name, function, METH_VARARGS, doc)
    }

    /// A function that takes one argument.
    pub(crate) const fn single(
        name: &'static CStr,
        function: PyCFunction,
        doc: &'static CStr,
    ) -> Method {
        Method::new(name, function, METH_O, doc)
    }

    /// The end of a table.
    pub(crate) const END: Method = Method(PyMethodDef::zeroed());

    const fn new(
        name: &'static CStr,
        function: PyCFunction,
        flags: c_int,
        doc: &'static CStr,
    ) -> Method {
        Method(PyMethodDef {
            ml_name: name.as_ptr(),
            ml_meth: PyMethodDefPointer {
                PyCFunction: function,
            },
            ml_flags: flags,
            ml_doc: doc.as_ptr(),
        })
    }

    /// The definition, for the interpreter.
    pub(crate) fn definition(&'static self) -> *mut PyMethodDef {
        ptr::from_ref(&self.0).cast_mut()
    }
}

/// A row of what a type is made from.
pub(crate) fn slot(number: c_int, pfunc: *mut c_void) -> PyType_Slot {
    PyType_Slot {
        slot: number,
        pfunc,
    }
}

/// A new type; null, with an exception set, when it can't be made. Objects have `size_bytes`.
///
/// # Safety
///
/// The slots are true of the type.
pub(crate) unsafe fn make_type(
    name: &'static CStr,
    size_bytes: usize,
    more_flags: u32,
    slots: &[PyType_Slot],
) -> *mut PyTypeObject {
    let mut slots = [slots, &[slot(0, ptr::null_mut())]].concat();
    let mut spec = PyType_Spec {
        name: name.as_ptr(),
        basicsize: size_bytes as c_int,
        itemsize: 0,
        flags: Py_TPFLAGS_DEFAULT as u32 | more_flags,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: passed on to the caller.
    unsafe { PyType_FromSpec(&mut spec).cast() }
}

/// A word that is interned when the module is loaded, so that comparing pointers nearly always tells.
pub(crate) struct Word {
    text: &'static CStr,
    object: AtomicPtr<PyObject>,
}

impl Word {
    const fn new(text: &'static CStr) -> Word {
        Word {
            text,
            object: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// The interned object, borrowed from the module.
    #[inline(always)]
    pub(crate) fn object(&self) -> *mut PyObject {
        self.object.load(Ordering::Relaxed)
    }

    /// True when `object` is this word's interned object.
    #[inline(always)]
    pub(crate) fn is(&self, object: *mut PyObject) -> bool {
        ptr::eq(object, self.object())
    }

    /// True when `object` is a text with these letters.
    pub(crate) fn equals(&self, object: *mut PyObject) -> bool {
        // SAFETY: a live object; the comparison is made for texts alone, and fails for none of them.
        self.is(object)
            || unsafe {
                is_text(object) && PyUnicode_CompareWithASCIIString(object, self.text.as_ptr()) == 0
            }
    }
}

macro_rules! words {
    ($($name:ident = $text:literal;)*) => {
        $(pub(crate) static $name: Word = Word::new($text);)*
        static WORDS: &[&Word] = &[$(&$name),*];
    };
}

words! {
    NAME = c"name";
    CAT = c"cat";
    LEVEL = c"level";
    ARGS = c"args";
    DURATION = c"dur_us";
    TIME = c"ts_us";
    E2E = c"e2e";
    KERNEL = c"kernel";
    VERBOSE = c"verbose";
    DEFAULT = c"default";
    PROFILER = c"_profiler";
}

/// Calls that the stable ABI of 3.9 lacks and every CPython exports; null where one does not.
static TEXT_BYTES: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
static CONTEXT_VALUE: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

/// True where `None` has a count of references: before 3.12.
static COUNTS_NONE: AtomicBool = AtomicBool::new(false);

type TextBytes = unsafe extern "C" fn(*mut PyObject, *mut Py_ssize_t) -> *const c_char;
type ContextValue = unsafe extern "C" fn(*mut PyObject, *mut PyObject, *mut *mut PyObject) -> c_int;

/// To be called once, when the module is loaded. False, with an exception set, without memory.
pub(crate) fn prepare() -> bool {
    for word in WORDS {
        // SAFETY: the text is NUL-terminated, and the GIL is held.
        let object = unsafe { PyUnicode_InternFromString(word.text.as_ptr()) };
        if object.is_null() {
            return false;
        }
        word.object.store(object, Ordering::Relaxed);
    }
    let look_up = |name: &CStr| {
        // SAFETY: the name is NUL-terminated.
        unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) }
    };
    TEXT_BYTES.store(look_up(c"PyUnicode_AsUTF8AndSize"), Ordering::Relaxed);
    CONTEXT_VALUE.store(look_up(c"PyContextVar_Get"), Ordering::Relaxed);
    COUNTS_NONE.store(
        minor_version().is_some_and(|minor| minor < 12),
        Ordering::Relaxed,
    );
    true
}

/// The minor version of the interpreter, a Python 3.
fn minor_version() -> Option<u32> {
    // SAFETY: a text that lives for ever.
    let version = unsafe { CStr::from_ptr(Py_GetVersion()) }.to_str().ok()?;
    let minor = version.strip_prefix("3.")?;
    let digits = minor.find(|c: char| !c.is_ascii_digit())?;
    minor[..digits].parse().ok()
}

/// True for `str` and what is derived from it.
#[inline(always)]
pub(crate) fn is_text(object: *mut PyObject) -> bool {
    // SAFETY: a live object.
    unsafe { PyUnicode_Check(object) != 0 }
}

/// Calls `then` with a text's bytes in UTF-8; lone surrogates become U+FFFD. No exception is left behind.
#[inline]
pub(crate) fn with_text<T>(text: *mut PyObject, then: impl FnOnce(&[u8]) -> T) -> T {
    let function = TEXT_BYTES.load(Ordering::Relaxed);
    if !function.is_null() {
        let mut len: Py_ssize_t = 0;
        // SAFETY: the function of this name has this type; the object is a text, which keeps the bytes.
        unsafe {
            let bytes = core::mem::transmute::<*mut c_void, TextBytes>(function)(text, &mut len);
            if !bytes.is_null() {
                return then(core::slice::from_raw_parts(bytes.cast(), len as usize));
            }
            PyErr_Clear();
        }
    }
    with_encoded_text(text, then)
}

#[cold]
#[inline(never)]
fn with_encoded_text<T>(text: *mut PyObject, then: impl FnOnce(&[u8]) -> T) -> T {
    // SAFETY: the object is a text; the bytes live until they are given back.
    unsafe {
        let bytes = PyUnicode_AsEncodedString(text, c"utf-8".as_ptr(), c"surrogatepass".as_ptr());
        if bytes.is_null() {
            PyErr_Clear();
            return then(b"");
        }
        let (mut start, mut len) = (ptr::null_mut(), 0);
        PyBytes_AsStringAndSize(bytes, &mut start, &mut len);
        let encoded = core::slice::from_raw_parts(start.cast_const().cast::<u8>(), len as usize);
        let result = then(String::from_utf8_lossy(encoded).as_bytes());
        Py_DecRef(bytes);
        result
    }
}

/// The value of a context variable in the current context, a new reference; null where it has none.
#[inline]
pub(crate) fn context_value(variable: *mut PyObject) -> *mut PyObject {
    let function = CONTEXT_VALUE.load(Ordering::Relaxed);
    let mut value = ptr::null_mut();
    // SAFETY: the function of this name has this type; the variable is a context variable, held by the module.
    unsafe {
        if function.is_null() {
            value = PyObject_CallMethod(variable, c"get".as_ptr(), c"O".as_ptr(), Py_None());
        } else {
            let get = core::mem::transmute::<*mut c_void, ContextValue>(function);
            get(variable, ptr::null_mut(), &mut value);
        }
        if value.is_null() {
            PyErr_Clear();
        }
    }
    value
}

/// `None`, as a new reference.
#[inline(always)]
pub(crate) fn none() -> *mut PyObject {
    // SAFETY: the object lives for ever. Since 3.12 nobody counts its references; before, it is one as any other.
    unsafe {
        let none = Py_None();
        if COUNTS_NONE.load(Ordering::Relaxed) {
            (*none).ob_refcnt += 1;
        }
        none
    }
}

/// One more reference to an object of a type of this module, counted in place.
///
/// # Safety
///
/// `object` is alive, and of a type whose objects are never made immortal.
#[inline(always)]
pub(crate) unsafe fn own_reference(object: *mut PyObject) -> *mut PyObject {
    // SAFETY: passed on to the caller; the GIL is held.
    unsafe { (*object).ob_refcnt += 1 };
    object
}

/// One more reference to a live object.
///
/// # Safety
///
/// `object` is alive.
#[inline(always)]
pub(crate) unsafe fn new_reference(object: *mut PyObject) -> *mut PyObject {
    // SAFETY: passed on to the caller.
    unsafe { Py_IncRef(object) };
    object
}

/// Sets a `TypeError` and gives the null that stands for it.
#[cold]
pub(crate) fn type_error(message: &CStr) -> *mut PyObject {
    // SAFETY: the message is NUL-terminated.
    unsafe { PyErr_SetString(PyExc_TypeError, message.as_ptr()) };
    ptr::null_mut()
}

/// Sets a `ValueError` and gives the null that stands for it.
#[cold]
pub(crate) fn value_error(message: &CStr) -> *mut PyObject {
    // SAFETY: the message is NUL-terminated.
    unsafe { PyErr_SetString(PyExc_ValueError, message.as_ptr()) };
    ptr::null_mut()
}

/// The exception that is being raised is put aside while this lives, as code that may raise and catch runs inside it.
pub(crate) struct RaisedAside([*mut PyObject; 3]);

impl RaisedAside {
    /// Puts it aside.
    pub(crate) fn begin() -> RaisedAside {
        let mut aside = [ptr::null_mut(); 3];
        let [kind, value, traceback] = &mut aside;
        // SAFETY: the three places are live.
        unsafe { PyErr_Fetch(kind, value, traceback) };
        RaisedAside(aside)
    }
}

impl Drop for RaisedAside {
    fn drop(&mut self) {
        let [kind, value, traceback] = self.0;
        // SAFETY: what `begin` fetched, given back once.
        unsafe { PyErr_Restore(kind, value, traceback) };
    }
}
