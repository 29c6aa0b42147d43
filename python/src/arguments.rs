//! What a call was given: name, category, level, and the arguments of the span or event.

use core::ptr;

use pyo3_ffi::*;
use ringscope::__private::LEVEL_E2E;

use crate::interpreter::{ARGS, CAT, LEVEL, NAME, type_error, value_error};
use crate::payload::Payload;
use crate::place::{self, Place};
use crate::{argument, key};

/// The arguments of a call as the interpreter passes them: an array, the values of keywords last.
#[derive(Clone, Copy)]
pub(crate) struct Call {
    args: *const *mut PyObject,
    positional_count: usize,
    /// A tuple, or null.
    keywords: *mut PyObject,
}

impl Call {
    /// # Safety
    ///
    /// As the interpreter passed them to a function of the type [`crate::interpreter::Fast`], and used in it only.
    #[inline(always)]
    pub(crate) unsafe fn new(
        args: *const *mut PyObject,
        count: Py_ssize_t,
        keywords: *mut PyObject,
    ) -> Call {
        Call {
            args,
            positional_count: count as usize,
            keywords,
        }
    }

    /// A positional argument; null where there are fewer.
    #[inline(always)]
    pub(crate) fn positional(self, index: usize) -> *mut PyObject {
        if index < self.positional_count {
            // SAFETY: the array holds as many.
            unsafe { *self.args.add(index) }
        } else {
            ptr::null_mut()
        }
    }

    /// Positional arguments.
    #[inline(always)]
    pub(crate) fn positional_count(self) -> usize {
        self.positional_count
    }

    /// Keywords with their values.
    #[inline(always)]
    pub(crate) fn keywords(self) -> impl Iterator<Item = (*mut PyObject, *mut PyObject)> {
        let count = if self.keywords.is_null() {
            0
        } else {
            // SAFETY: a tuple with one text for each value behind the positional ones.
            unsafe { PyTuple_Size(self.keywords) as usize }
        };
        (0..count).map(move |index| {
            // SAFETY: as above.
            unsafe {
                let keyword = PyTuple_GetItem(self.keywords, index as Py_ssize_t);
                (keyword, *self.args.add(self.positional_count + index))
            }
        })
    }

    /// Name, category, level and arguments of `function(name, *, cat, level, args, **keys)`, arguments appended to
    /// `payload`; the first `skipped` positional arguments behind the name are the function's own. `None`, with an
    /// exception set, when there is no name or the level is none.
    #[inline(always)]
    pub(crate) fn describe(self, skipped: usize, payload: &mut Payload) -> Option<Place> {
        let name = self.positional(0);
        if !self.keywords.is_null() || name.is_null() || self.positional_count > 1 + skipped {
            return self.describe_with_keywords(skipped, payload);
        }
        Some(place::of(name, ptr::null_mut(), LEVEL_E2E))
    }

    #[inline(never)]
    fn describe_with_keywords(self, skipped: usize, payload: &mut Payload) -> Option<Place> {
        if self.positional_count > 1 + skipped {
            type_error(c"too many positional arguments: the arguments of a span have names");
            return None;
        }
        let mut name = self.positional(0);
        let (mut category, mut args, mut level_bit) = (ptr::null_mut(), ptr::null_mut(), LEVEL_E2E);
        for (keyword, value) in self.keywords() {
            match Reserved::of(keyword) {
                None => argument::put(payload, keyword, value),
                Some(Reserved::Category) => category = value,
                Some(Reserved::Args) => args = value,
                Some(Reserved::Name) if name.is_null() => name = value,
                Some(Reserved::Name) => argument::put(payload, keyword, value),
                Some(Reserved::Level) => {
                    let Some(bit) = place::level_bit(value) else {
                        value_error(c"level: expected e2e, kernel or verbose");
                        return None;
                    };
                    level_bit = bit;
                }
            }
        }
        if name.is_null() {
            type_error(c"missing the name, the first argument");
            return None;
        }
        if !args.is_null() {
            argument::put_all(payload, args);
        }
        Some(place::of(name, category, level_bit))
    }
}

/// Keywords that are no arguments of the span.
enum Reserved {
    Name,
    Category,
    Level,
    Args,
}

impl Reserved {
    #[inline]
    fn of(keyword: *mut PyObject) -> Option<Reserved> {
        if CAT.is(keyword) {
            Some(Reserved::Category)
        } else if LEVEL.is(keyword) {
            Some(Reserved::Level)
        } else if ARGS.is(keyword) {
            Some(Reserved::Args)
        } else if NAME.is(keyword) {
            Some(Reserved::Name)
        } else if key::is_known(keyword) {
            None
        } else {
            Reserved::of_letters(keyword)
        }
    }

    /// A keyword whose text is not interned, or that is new.
    #[cold]
    fn of_letters(keyword: *mut PyObject) -> Option<Reserved> {
        if CAT.equals(keyword) {
            Some(Reserved::Category)
        } else if LEVEL.equals(keyword) {
            Some(Reserved::Level)
        } else if ARGS.equals(keyword) {
            Some(Reserved::Args)
        } else if NAME.equals(keyword) {
            Some(Reserved::Name)
        } else {
            None
        }
    }
}
