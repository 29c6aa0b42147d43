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
use ringscope_ringbuf::layout::DropCause;

use crate::arguments::Call;
use crate::bound::{self, Bound};
use crate::frame::{Form, Frame, Here};
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
    ///
    /// # Safety
    ///
    /// `span` is alive, and no reference to its fields is in use: code of the host that this runs may use the span too.
    #[inline(always)]
    pub(crate) unsafe fn begin(span: *mut Span) {
        // SAFETY: passed on to the caller.
        unsafe {
            let this = &mut *span;
            let is_plain = this.is_plain && this.first.payload.len() == 0;
            if !is_plain || !this.first.begin_plain(this.place) {
                Span::begin_in_full(span);
            }
        }
    }

    #[inline(never)]
    unsafe fn begin_in_full(span: *mut Span) {
        // SAFETY: as for `begin`; the references end before code of the host runs.
        unsafe {
            if !dynamic::is_enabled((*span).place.level_bit) {
                if (*span).first.is_open() {
                    (*span).take_place(Box::new(Frame::EMPTY));
                }
                return;
            }
            if (*span).late_args.is_null() && Span::begin_first(span) {
                return;
            }
            let shown = Span::own_and_late_args(span);
            let here = Here::find();
            let this = &mut *span;
            if !this.first.is_open() {
                this.first.payload.copy_bytes(shown.bytes());
                if let Some(here) = here {
                    this.first.begin(here, this.place, this.form);
                }
                return;
            }
            let mut frame = Box::new(Frame::EMPTY);
            frame.payload.copy_bytes(shown.bytes());
            if let Some(here) = here {
                frame.begin(here, this.place, this.form);
            }
            this.take_place(frame);
        }
    }

    /// Begins the first entry, whose arguments stand in it already; false when it is open.
    ///
    /// # Safety
    ///
    /// As for [`Span::begin`].
    #[inline(always)]
    unsafe fn begin_first(span: *mut Span) -> bool {
        // Before the entry is looked at: this may run code of the host, which may begin it.
        let here = Here::find();
        // SAFETY: passed on to the caller.
        let this = unsafe { &mut *span };
        if this.first.is_open() {
            return false;
        }
        this.first.payload.truncate(this.own_len);
        if let Some(here) = here {
            this.first.begin(here, this.place, this.form);
        }
        true
    }

    /// Keeps an entry behind the first one; one that is not recorded is kept too, so that ends match.
    #[cold]
    fn take_place(&mut self, frame: Box<Frame>) {
        self.others.get_or_insert_default().push(frame);
    }

    /// The arguments that every entry begins with, and behind them what the dict holds now. May run code of the host.
    ///
    /// # Safety
    ///
    /// As for [`Span::begin`].
    #[inline]
    unsafe fn own_and_late_args(span: *mut Span) -> Payload {
        let mut payload = Payload::EMPTY;
        // SAFETY: passed on to the caller; the dict lives as long as the span.
        unsafe {
            let this = &*span;
            let own = this.first.payload.bytes().get(..this.own_len);
            payload.copy_bytes(own.unwrap_or_default());
            let late_args = this.late_args;
            if !late_args.is_null() {
                argument::put_all(&mut payload, late_args);
            }
        }
        payload
    }

    /// Ends an entry: the newest one of this thread and lane, else the newest.
    ///
    /// # Safety
    ///
    /// As for [`Span::begin`].
    #[inline(always)]
    pub(crate) unsafe fn end(span: *mut Span) {
        // The clock first, so that the span does not contain its own recording.
        let end = counter();
        // SAFETY: passed on to the caller.
        unsafe {
            let this = &mut *span;
            if !this.is_plain || this.others.is_some() || !this.first.end_plain(end) {
                Span::end_in_full(span, end);
            }
        }
    }

    #[inline(never)]
    unsafe fn end_in_full(span: *mut Span, end: u64) {
        let end = if c_abi::reads_counter() {
            end
        } else {
            c_abi::ticks()
        };
        // SAFETY: as for `begin`; the references end before code of the host runs.
        unsafe {
            if !(*span).first.is_open() && (*span).others.is_none() {
                return;
            }
            let has_late = !(*span).late_args.is_null();
            let late = has_late.then(|| Span::own_and_late_args(span));
            let late = late.as_ref().map(Payload::bytes);
            if (*span).others.is_some() {
                return Span::end_another(span, late, end);
            }
            let this = &mut *span;
            this.first.end_with(late, this.form, end);
        }
    }

    #[cold]
    unsafe fn end_another(span: *mut Span, late: Option<&[u8]>, end: u64) {
        let here = Here::find();
        // SAFETY: as for `begin`; no code of the host runs behind this.
        let this = unsafe { &mut *span };
        let newest = this.newest_at(here);
        let Some(others) = &mut this.others else {
            return;
        };
        let frame = match newest {
            Some(Which::First) => return this.first.end_with(late, this.form, end),
            Some(Which::Other(index)) => Some(others.remove(index)),
            None => others.pop(),
        };
        if others.is_empty() {
            this.others = None;
        }
        if let Some(mut frame) = frame {
            frame.end_with(late, this.form, end);
        }
    }

    /// The newest entry that began where records stand now.
    fn newest_at(&self, here: Option<Here>) -> Option<Which> {
        let here = here?;
        let others = self.others.as_deref().map_or(&[][..], |others| others);
        let other = others.iter().rposition(|frame| frame.began_at(here));
        let first = || self.first.began_at(here).then_some(Which::First);
        other.map(Which::Other).or_else(first)
    }

    /// The entry that arguments are set on, and where it is looked for.
    fn entered(&mut self, here: Option<Here>) -> Option<&mut Frame> {
        if self.others.is_none() {
            return Some(&mut self.first).filter(|frame| frame.is_open());
        }
        match self.newest_at(here)? {
            Which::First => Some(&mut self.first),
            Which::Other(index) => self
                .others
                .as_mut()?
                .get_mut(index)
                .map(|frame| &mut **frame),
        }
    }

    /// Adds arguments to the entry that is open.
    ///
    /// # Safety
    ///
    /// As for [`Span::begin`].
    pub(crate) unsafe fn set(span: *mut Span, call: Call) {
        // SAFETY: passed on to the caller; the references end before code of the host runs, which may end the entry.
        unsafe {
            let here = (*span).others.is_some().then(Here::find).flatten();
            let mut payload = Payload::EMPTY;
            match (*span).entered(here) {
                // As many bytes as the entry has, so that what has no room there is cut.
                Some(frame) => payload.copy_bytes(frame.payload.bytes()),
                None => return,
            }
            let len_before = payload.len();
            for (keyword, value) in call.keywords() {
                argument::put(&mut payload, keyword, value);
            }
            let form = (*span).form;
            if let Some(frame) = (*span).entered(here) {
                if !frame.payload.append(&payload.bytes()[len_before..]) {
                    c_abi::count(DropCause::ValueCut);
                }
                frame.show_arguments(form);
            }
        }
    }

    /// Ends the phase and begins the next one, of this name.
    ///
    /// # Safety
    ///
    /// As for [`Span::begin`].
    pub(crate) unsafe fn next(span: *mut Span, name: *mut PyObject) {
        // SAFETY: passed on to the caller; the name is found first, as that may run code of the host.
        unsafe {
            let place = place::named((*span).place, name);
            let this = &mut *span;
            this.place = place;
            if this.first.is_open() {
                this.first.next(place);
            }
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
        if of(object).first.is_open() || of(object).others.is_some() {
            end_all(object.cast());
        }
        let span = of(object);
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

/// # Safety
///
/// As for [`Span::begin`].
#[cold]
unsafe fn end_all(span: *mut Span) {
    let _aside = RaisedAside::begin();
    // SAFETY: passed on to the caller.
    unsafe {
        let form = (*span).form;
        for mut frame in (*span).others.take().into_iter().flat_map(|others| *others) {
            frame.end(form, c_abi::ticks());
        }
        Span::end(span);
    }
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
        Span::begin(object.cast());
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
    unsafe { Span::end(bound::owner(bound).cast()) };
    none()
}

/// Methods that objects hold ready.
pub(crate) const BOUND_METHODS: &[(&CStr, usize)] = &[
    (c"__enter__", offset_of!(Span, enter)),
    (c"__exit__", offset_of!(Span, exit)),
];
