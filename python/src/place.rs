//! Places: name, category and level, looked up by the addresses of the texts that Python has for them.

use core::ptr;
use std::collections::HashMap;

use pyo3_ffi::*;
use ringscope::__private::{LEVEL_E2E, LEVEL_KERNEL, LEVEL_VERBOSE, Site};
use ringscope::c_abi::{self, Ring};
use ringscope::dynamic::{self, Handle};

use crate::guarded::Guarded;
use crate::interpreter::{
    DEFAULT, E2E, KERNEL, RaisedAside, VERBOSE, is_text, new_reference, with_text,
};
use crate::json;

const SEEN_PLACES: usize = 1024;
/// Categories that a program may make, at most; others are recorded under the default one.
const MAX_CATEGORIES: usize = 1024;

/// What a span or event is an instance of.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    /// `None` past the cap on names: it is recorded under the site's.
    name: Option<Handle>,
    /// Category and level; `None` without memory.
    site: Option<&'static Site>,
    pub(crate) level_bit: u64,
}

impl Place {
    /// A place that no level records.
    pub(crate) const NOWHERE: Place = Place {
        name: None,
        site: None,
        level_bit: 0,
    };

    /// Id of the place, when the file of the process of this generation holds it.
    #[inline(always)]
    pub(crate) fn id_in(self, generation: u64) -> Option<u32> {
        self.name?.number_in(generation)
    }

    /// Id of the place, which the process's file holds when this returns.
    #[inline(always)]
    pub(crate) fn id(self, ring: Ring) -> u32 {
        match self.name {
            Some(name) => ring.id(name),
            None => self.site.map_or(0, |site| ring.site_id(site, &[])),
        }
    }
}

struct Seen {
    /// Held, so that no other texts get their addresses.
    name: *mut PyObject,
    category: *mut PyObject,
    level_bit: u64,
    place: Place,
}

static SEEN: Guarded<[Seen; SEEN_PLACES]> = Guarded::new(
    [const {
        Seen {
            name: ptr::null_mut(),
            category: ptr::null_mut(),
            level_bit: 0,
            place: Place::NOWHERE,
        }
    }; SEEN_PLACES],
);

/// Sites by category and level; names are looked up under them.
static SITES: Guarded<Option<Sites>> = Guarded::new(None);

type Sites = HashMap<(Vec<u8>, u64), &'static Site>;

/// The place of these texts; a category that is null is the default one.
#[inline(always)]
pub(crate) fn of(name: *mut PyObject, category: *mut PyObject, level_bit: u64) -> Place {
    let category = if category.is_null() {
        DEFAULT.object()
    } else {
        category
    };
    let seen = &SEEN.get()[index(name, level_bit)];
    if ptr::eq(seen.name, name) && ptr::eq(seen.category, category) && seen.level_bit == level_bit {
        return seen.place;
    }
    look_up(name, category, level_bit)
}

/// The place of another name with the category and level of `place`.
pub(crate) fn named(place: Place, name: *mut PyObject) -> Place {
    let handle = |site| with_any_text(name, |name| dynamic::place(site, name));
    Place {
        name: place.site.and_then(handle),
        ..place
    }
}

/// The level bit of a name for a level; `None` for any other text.
#[inline]
pub(crate) fn level_bit(name: *mut PyObject) -> Option<u64> {
    let levels = [
        (&E2E, LEVEL_E2E),
        (&KERNEL, LEVEL_KERNEL),
        (&VERBOSE, LEVEL_VERBOSE),
    ];
    levels
        .iter()
        .find(|(word, _)| word.is(name))
        .or_else(|| levels.iter().find(|(word, _)| word.equals(name)))
        .map(|(_, bit)| *bit)
}

fn index(name: *mut PyObject, level_bit: u64) -> usize {
    ((name.addr() >> 4) ^ level_bit as usize) % SEEN_PLACES
}

#[cold]
#[inline(never)]
fn look_up(name: *mut PyObject, category: *mut PyObject, level_bit: u64) -> Place {
    let site = site_of(category, level_bit);
    let place = Place {
        name: site.and_then(|site| with_any_text(name, |name| dynamic::place(site, name))),
        site,
        level_bit,
    };
    if !is_text(name) || !is_text(category) {
        // A value that is written as text may be written as another one next time.
        return place;
    }
    // SAFETY: the texts are alive, and those that they replace were held.
    unsafe {
        let seen = Seen {
            name: new_reference(name),
            category: new_reference(category),
            level_bit,
            place,
        };
        let before = core::mem::replace(&mut SEEN.get()[index(name, level_bit)], seen);
        Py_XDECREF(before.name);
        Py_XDECREF(before.category);
    }
    place
}

/// The site that stands for a category and level; `None` without memory.
fn site_of(category: *mut PyObject, level_bit: u64) -> Option<&'static Site> {
    let text = with_any_text(category, <[u8]>::to_vec);
    let sites = SITES.get().get_or_insert_with(HashMap::new);
    let is_full = sites.len() >= MAX_CATEGORIES;
    let text = if is_full && !sites.contains_key(&(text.clone(), level_bit)) {
        b"default".to_vec()
    } else {
        text
    };
    if let Some(site) = sites.get(&(text.clone(), level_bit)) {
        return Some(site);
    }
    let category = core::str::from_utf8(c_abi::copy(&text)?).ok()?;
    let site = c_abi::site("(names past the limit)", category, level_bit, ("", 0), &[])?;
    sites.insert((text, level_bit), site);
    Some(site)
}

/// Calls `then` with a text, or with what `str` makes of another object.
pub(crate) fn with_any_text<T>(object: *mut PyObject, then: impl FnOnce(&[u8]) -> T) -> T {
    if is_text(object) {
        return with_text(object, then);
    }
    let _aside = RaisedAside::begin();
    json::with_str(object, then)
}
