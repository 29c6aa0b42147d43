//! What a call of the drop-in was given.

use core::ptr;

use pyo3_ffi::*;

use crate::arguments::Call;
use crate::interpreter::{ARGS, CAT, DURATION, E2E, LEVEL, NAME, TIME, Word, type_error};

/// Name, category, level and arguments; null where there is none.
pub(crate) struct Given {
    pub(crate) name: *mut PyObject,
    pub(crate) category: *mut PyObject,
    pub(crate) level: *mut PyObject,
    pub(crate) args: *mut PyObject,
    pub(crate) duration_us: *mut PyObject,
    pub(crate) time_us: *mut PyObject,
}

impl Given {
    /// Reads `function(name, *, cat="e2e", level="e2e", args=None)`, and the times of `duration`. `None`, with an
    /// exception set, for what the function does not take.
    #[inline(always)]
    pub(crate) fn read(call: Call, has_times: bool) -> Option<Given> {
        let mut given = Given {
            name: call.positional(0),
            category: E2E.object(),
            level: E2E.object(),
            args: ptr::null_mut(),
            duration_us: ptr::null_mut(),
            time_us: ptr::null_mut(),
        };
        for (keyword, value) in call.keywords() {
            if !given.set(keyword, value, has_times, |word, keyword| word.is(keyword))
                && !given.set(keyword, value, has_times, |word, keyword| {
                    word.equals(keyword)
                })
            {
                type_error(c"unexpected keyword argument: expected name, cat, level and args");
                return None;
            }
        }
        if given.name.is_null() || call.positional_count() > 1 {
            type_error(c"expected the name, and cat, level and args by keyword");
            return None;
        }
        if has_times && given.duration_us.is_null() {
            type_error(c"missing the keyword argument dur_us");
            return None;
        }
        // SAFETY: the object lives for ever.
        if given.args == unsafe { Py_None() } {
            given.args = ptr::null_mut();
        }
        Some(given)
    }

    #[inline(always)]
    fn set(
        &mut self,
        keyword: *mut PyObject,
        value: *mut PyObject,
        has_times: bool,
        is: impl Fn(&Word, *mut PyObject) -> bool,
    ) -> bool {
        if is(&CAT, keyword) {
            self.category = value;
        } else if is(&LEVEL, keyword) {
            self.level = value;
        } else if is(&ARGS, keyword) {
            self.args = value;
        } else if is(&NAME, keyword) && self.name.is_null() {
            self.name = value;
        } else if has_times && is(&DURATION, keyword) {
            self.duration_us = value;
        } else if has_times && is(&TIME, keyword) {
            self.time_us = value;
        } else {
            return false;
        }
        true
    }
}
