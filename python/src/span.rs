//! Span objects: what `span(...)` and `Span(...)` give.
//!
//! The memory of objects is kept in a list when they die, since most live as long as one `with` statement. An object
//! may be entered several times at once (from tasks and threads, or nested): the first entry stands in the object, the
//! others behind it. `bound.rs` has what the `with` statement calls, `span_type.rs` what Python sees.

use core::ffi::CStr;
use core::mem::offset_of;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use pyo3_ffi::*;
use ringscope::{c_abi, dynamic};
use ringscope_ringbuf::clock::counter;

use crate::arguments::Call;
use crate::bound::{self, Bound};
use crate::frame::{Form, Frame};
use crate::guarded::Guarded;
use crate::interpreter::{RaisedAside, new_reference, none, own_reference};
use crate::payload::Payload;
use crate::place::Place;
use crate::{argument, place};

/// Objects whose memory is kept.
const KEPT: usize = 64;

/// A span object.
#[repr(C)]
pub(crate) struct Span {
    base: PyObject,
    enter: Bound,
    exit: Bound,
    place: Place,
    form: Form,
    /// Every entry is a span without arguments, but for those that are set on it.
    is_plain: bool,
    /// A dict that is read at the end, and shown while the span is open; or null. Of a kept object: the next one.
    late_args: *mut PyObject,
    /// Bytes of the first frame's payload that every entry begins with.
    own_len: usize,
    first: Frame,
    /// Entries that began while the first one was open, the newest last; `None` for none.
    others: Option<Box<Others>>,
}

/// Boxed, as frames hold their bytes, and would be moved.
type Others = Vec<Box<Frame>>;

/// The type of spans, once it is made.
pub(crate) static TYPE: AtomicPtr<PyTypeObject> = AtomicPtr::new(ptr::null_mut());
/// Dead objects, each of which holds on to its type, and their number.
static FREE: Guarded<(*mut Span, usize)> = Guarded::new((ptr::null_mut(), 0));

/// A new object, with nothing open; null, with an exception set, without memory.
#[inline(always)]
pub(crate) fn new(class: *mut PyTypeObject) -> *mut Span {
    // SAFETY: the GIL is held. Memory from the list is as large as new memory, and nobody else has it; every field
    // that is read is written first.
    unsafe {
        let (kept, count) = FREE.get();
        let span = *kept;
        if span.is_null() || (*span).base.ob_type != class {
            return allocate(class);
        }
        *kept = (*span).late_args.cast();
        *count -= 1;
        (*span).base.ob_refcnt = 1;
        clear(span);
        span
    }
}

/// # Safety
///
/// `span` has no fields that hold anything.
#[inline(always)]
unsafe fn clear(span: *mut Span) {
    // SAFETY: passed on to the caller.
    unsafe {
        (&raw mut (*span).form).write(Form::SPAN);
        (&raw mut (*span).late_args).write(ptr::null_mut());
        (&raw mut (*span).own_len).write(0);
        Frame::begin_at(&raw mut (*span).first);
        (&raw mut (*span).others).write(None);
    }
}

#[cold]
#[inline(never)]
unsafe fn allocate(class: *mut PyTypeObject) -> *mut Span {
    // SAFETY: new memory, of the type's size.
    unsafe {
        let memory = PyObject_Malloc(size_of::<Span>());
        if memory.is_null() {
            return PyErr_NoMemory().cast();
        }
        let span = PyObject_Init(memory.cast(), class).cast::<Span>();
        (&raw mut (*span).enter).write(Bound::new(enter_bound, span.cast()));
        (&raw mut (*span).exit).write(Bound::new(exit_bound, span.cast()));
        (&raw mut (*span).place).write(Place::NOWHERE);
        clear(span);
        span
    }
}

/// The type of spans.
#[inline(always)]
pub(crate) fn class() -> *mut PyTypeObject {
    TYPE.load(Ordering::Relaxed)
}

impl Span {
    /// Sets where the span is; to be done before anything else.
    #[inline(always)]
    pub(crate) fn set_place(&mut self, place: Place) {
        self.place = place;
        self.own_len = self.first.payload.len();
        self.is_plain = self.own_len == 0;
    }

    /// Sets what kind of record it becomes; to be done after the place.
    pub(crate) fn set_form(&mut self, form: Form) {
        self.form = form;
        self.is_plain = false;
    }

    /// Arguments of every entry.
    #[inline(always)]
    pub(crate) fn payload(&mut self) -> &mut Payload {
        &mut self.first.payload
    }

    /// Sets a dict that is read when the span ends.
    #[inline(always)]
    pub(crate) fn set_late_args(&mut self, args: *mut PyObject) {
        // SAFETY: a live object; the reference is given back by `clear`.
        self.late_args = unsafe { new_reference(args) };
        self.is_plain = false;
    }

    /// Begins an entry.
    #[inline(always)]
    pub(crate) fn begin(&mut self) {
        let is_plain = self.is_plain && self.first.payload.len() == 0;
        if !is_plain || !self.first.begin_plain(self.place) {
            self.begin_in_full();
        }
    }

    #[inline(never)]
    fn begin_in_full(&mut self) {
        if self.first.is_open() {
            return self.begin_another();
        }
        if !dynamic::is_enabled(self.place.level_bit) {
            return;
        }
        self.first.payload.truncate(self.own_len);
        if !self.late_args.is_null() {
            argument::put_all(&mut self.first.payload, self.late_args);
        }
        self.first.begin(self.place, self.form);
    }

    /// Begins an entry while another one is open; one that is not recorded takes a place too, so that ends match.
    #[cold]
    #[inline(never)]
    fn begin_another(&mut self) {
        let mut frame = Box::new(Frame::EMPTY);
        let own = self.first.payload.bytes().get(..self.own_len);
        frame.payload.copy_bytes(own.unwrap_or_default());
        if dynamic::is_enabled(self.place.level_bit) {
            frame.begin(self.place, self.form);
        }
        self.others.get_or_insert_default().push(frame);
    }

    /// Ends an entry: the newest one of this thread and lane, else the newest.
    #[inline(always)]
    pub(crate) fn end(&mut self) {
        // The clock first, so that the span does not contain its own recording.
        let end = counter();
        if !self.is_plain || self.others.is_some() || !self.first.end_plain(end) {
            self.end_in_full(end);
        }
    }

    #[inline(never)]
    fn end_in_full(&mut self, end: u64) {
        let end = if c_abi::reads_counter() {
            end
        } else {
            c_abi::ticks()
        };
        if self.others.is_some() {
            return self.end_another(end);
        }
        if self.first.is_open() {
            if !self.late_args.is_null() {
                read_late(&mut self.first, self.own_len, self.late_args);
            }
            self.first.end(self.form, end);
        }
    }

    #[cold]
    #[inline(never)]
    fn end_another(&mut self, end: u64) {
        let here = self.newest_here();
        let Some(others) = &mut self.others else {
            return;
        };
        let frame = match here {
            Some(Which::First) => return self.first.end(self.form, end),
            Some(Which::Other(index)) => Some(others.remove(index)),
            None => others.pop(),
        };
        if others.is_empty() {
            self.others = None;
        }
        if let Some(mut frame) = frame {
            frame.end(self.form, end);
        }
    }

    fn newest_here(&self) -> Option<Which> {
        let others = self.others.as_deref().map_or(&[][..], |others| others);
        let other = others.iter().rposition(|frame| frame.began_here());
        let first = || self.first.began_here().then_some(Which::First);
        other.map(Which::Other).or_else(first)
    }

    /// The entry that arguments are set on.
    fn entered(&mut self) -> Option<&mut Frame> {
        if self.others.is_none() {
            return Some(&mut self.first).filter(|frame| frame.is_open());
        }
        match self.newest_here()? {
            Which::First => Some(&mut self.first),
            Which::Other(index) => self
                .others
                .as_mut()?
                .get_mut(index)
                .map(|frame| &mut **frame),
        }
    }

    /// Adds arguments to the entry that is open.
    pub(crate) fn set(&mut self, call: Call) {
        let form = self.form;
        let Some(frame) = self.entered() else {
            return;
        };
        for (keyword, value) in call.keywords() {
            argument::put(&mut frame.payload, keyword, value);
        }
        frame.show_arguments(form);
    }

    /// Ends the phase and begins the next one, of this name.
    pub(crate) fn next(&mut self, name: *mut PyObject) {
        self.place = place::named(self.place, name);
        if self.first.is_open() {
            self.first.next(self.place);
        }
    }

    /// Makes this new span one of the same place and arguments.
    pub(crate) fn copy_from(&mut self, original: &Span) {
        let own = original.first.payload.bytes().get(..original.own_len);
        self.payload().copy_bytes(own.unwrap_or_default());
        self.set_place(original.place);
        self.form = original.form;
        self.is_plain = original.is_plain;
    }
}

/// An entry of a span object.
enum Which {
    First,
    Other(usize),
}

/// Replaces what was shown while the span was open by what the dict holds now.
#[inline]
fn read_late(frame: &mut Frame, own_len: usize, args: *mut PyObject) {
    frame.payload.truncate(own_len);
    argument::put_all(&mut frame.payload, args);
}

/// # Safety
///
/// `object` is a span that is alive, and no other reference to its fields is in use.
#[inline(always)]
pub(crate) unsafe fn of<'a>(object: *mut PyObject) -> &'a mut Span {
    // SAFETY: passed on to the caller.
    unsafe { &mut *object.cast::<Span>() }
}

pub(crate) unsafe extern "C" fn dealloc(object: *mut PyObject) {
    // SAFETY: called by the interpreter for the last reference. A span that is open ends with its object, as a guard
    // would; the exception that is being raised stays as it is.
    unsafe {
        let span = of(object);
        if span.first.is_open() || span.others.is_some() {
            end_all(span);
        }
        if !span.late_args.is_null() {
            Py_DecRef(span.late_args);
        }
        ptr::drop_in_place(&raw mut span.first);
        let (kept, count) = FREE.get();
        let class = span.base.ob_type;
        if *count < KEPT && class == TYPE.load(Ordering::Relaxed) {
            span.late_args = kept.cast();
            *kept = span;
            *count += 1;
        } else {
            PyObject_Free(object.cast());
            Py_DecRef(class.cast());
        }
    }
}

#[cold]
fn end_all(span: &mut Span) {
    let _aside = RaisedAside::begin();
    for mut frame in span.others.take().into_iter().flat_map(|others| *others) {
        frame.end(span.form, c_abi::ticks());
    }
    span.end();
}

/// `__enter__` as the `with` statement calls it.
unsafe extern "C" fn enter_bound(
    bound: *mut PyObject,
    _: *const *mut PyObject,
    _: usize,
    _: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by the interpreter on what a span holds.
    unsafe {
        let object = bound::owner(bound);
        of(object).begin();
        own_reference(object)
    }
}

/// `__exit__` as the `with` statement calls it.
unsafe extern "C" fn exit_bound(
    bound: *mut PyObject,
    _: *const *mut PyObject,
    _: usize,
    _: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by the interpreter on what a span holds.
    unsafe { of(bound::owner(bound)).end() };
    none()
}

/// Methods that objects hold ready.
pub(crate) const BOUND_METHODS: &[(&CStr, usize)] = &[
    (c"__enter__", offset_of!(Span, enter)),
    (c"__exit__", offset_of!(Span, exit)),
];
