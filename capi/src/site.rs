//! Places in C code: copied, so that they outlive the shared object they stand in, and registered with the recorder.

use core::ffi::{c_char, c_void};
use core::ptr;
use core::sync::atomic::Ordering;
use std::ffi::CStr;

use ringscope::__private::Site as RecorderSite;
use ringscope::c_abi::{self, Ring};
use ringscope_ringbuf::payload::ArgType;
use ringscope_ringbuf::ring::Writer;

use crate::abi::{MAX_ARGUMENTS, Object, Site, Track};
use crate::border::{bytes, without_panic};
use crate::thread::{attach, fill_in};

/// A name, category or file of a place is cut to this many bytes.
const MAX_TEXT_LEN: usize = 4096;

/// Id of a place, registered at its first record; 0, a placeholder, without memory.
///
/// # Safety
///
/// `object` and `site` are the calling code's, `writer` the calling thread's, `name` NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringscope_private_register(
    object: *mut Object,
    writer: *const Writer,
    site: *mut Site,
    name: *const c_char,
    types: u32,
) -> u32 {
    without_panic(0, || {
        // SAFETY: passed on to the caller.
        let (object, ring, site, name) =
            unsafe { (&*object, Ring::of_writer(writer), &*site, bytes(name)) };
        let described = describe(site, name, bytes_of(site.category), u64::from(site.level));
        fill_in(object);
        register(ring, site, described, types)
    })
}

/// As [`ringscope_private_register`], for a phase of a lap: category and level are those of the lap's first site.
///
/// # Safety
///
/// As there; `first` is the site of the lap's first phase.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringscope_private_register_phase(
    object: *mut Object,
    writer: *const Writer,
    site: *mut Site,
    name: *const c_char,
    first: *const Site,
) -> u32 {
    without_panic(0, || {
        // SAFETY: passed on to the caller.
        let (object, ring, site, name, first) = unsafe {
            (
                &*object,
                Ring::of_writer(writer),
                &*site,
                bytes(name),
                &*first,
            )
        };
        fill_in(object);
        let described = describe(site, name, bytes_of(first.category), u64::from(first.level));
        register(ring, site, described, 0)
    })
}

/// Id of a place under a name made at run time.
///
/// # Safety
///
/// As [`ringscope_private_register`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringscope_private_named(
    object: *mut Object,
    writer: *const Writer,
    site: *mut Site,
    name: *const c_char,
    types: u32,
) -> u32 {
    without_panic(0, || {
        // SAFETY: passed on to the caller.
        let (object, ring, site, name) =
            unsafe { (&*object, Ring::of_writer(writer), &*site, bytes(name)) };
        named(object, ring, site, name, types)
    })
}

fn named(object: &Object, ring: Ring, site: &Site, name: &[u8], types: u32) -> u32 {
    if known(site).is_none() {
        fill_in(object);
        let category = bytes_of(site.category);
        let described = describe(site, b"(run-time name)", category, u64::from(site.level));
        register(ring, site, described, types);
    }
    known(site).map_or(0, |known| ring.named_id(known.site, name, known.types))
}

/// The track of this name; the calling thread's lane while nothing is recorded, and past the cap.
///
/// # Safety
///
/// `name` is NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringscope_track_of(name: *const c_char) -> Track {
    let found = without_panic(None, || {
        let ring = attach()?;
        // SAFETY: passed on to the caller.
        let (name, lane) = ring.track(unsafe { bytes(name) })?;
        Some((name, ring.writer().generation(), lane))
    });
    let (name, generation, lane) = found.unwrap_or((ptr::null(), 0, 0));
    Track {
        name: name.cast(),
        generation,
        lane: u32::from(lane),
        reserved: 0,
    }
}

/// Lane of a track that was looked up before a fork.
///
/// # Safety
///
/// `writer` is the calling thread's, `track` came from [`ringscope_track_of`] and is not the thread's lane.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringscope_private_lane(writer: *const Writer, track: *const Track) -> u32 {
    without_panic(0, || {
        // SAFETY: passed on to the caller.
        u32::from(unsafe { Ring::of_writer(writer).lane((*track).name.cast()) })
    })
}

/// What registering a place takes beside the structure itself.
struct Described<'a> {
    name: &'a [u8],
    category: &'a [u8],
    level_bit: u64,
    file: &'a [u8],
}

fn describe<'a>(site: &Site, name: &'a [u8], category: &'a [u8], level_bit: u64) -> Described<'a> {
    Described {
        name,
        category,
        level_bit,
        file: bytes_of(site.file),
    }
}

/// A text of a site, all of which are literals.
fn bytes_of<'a>(text: *const c_char) -> &'a [u8] {
    if text.is_null() {
        return &[];
    }
    // SAFETY: the header's macros put literals here; they live as long as the object whose code is running.
    unsafe { CStr::from_ptr(text) }.to_bytes()
}

/// What the recorder knows of a place; lives for ever.
struct Registered {
    site: &'static RecorderSite,
    types: &'static [ArgType],
}

/// Registers a place and tells it its id; 0 without memory.
fn register(ring: Ring, site: &Site, described: Described<'_>, types: u32) -> u32 {
    let Some(registered) = known(site).or_else(|| make(site, &described, types)) else {
        return 0;
    };
    let id = ring.site_id(registered.site, registered.types);
    site.id.store(id, Ordering::Release);
    id
}

fn known(site: &Site) -> Option<&'static Registered> {
    // SAFETY: only `make` stores here, pointers to what lives for ever.
    unsafe {
        site.registered
            .load(Ordering::Acquire)
            .cast::<Registered>()
            .as_ref()
    }
}

/// Copies a place; the copy of another thread where that was faster.
fn make(site: &Site, described: &Described<'_>, types: u32) -> Option<&'static Registered> {
    let (name, category, file) = (
        copied_text(described.name)?,
        copied_text(described.category)?,
        copied_text(described.file)?,
    );
    let keys = copied_keys(site)?;
    let made = c_abi::place(Registered {
        site: c_abi::site(name, category, described.level_bit, (file, site.line), keys)?,
        types: copied_types(types, keys.len())?,
    })?;
    let made = ptr::from_ref(made).cast_mut().cast::<c_void>();
    // Where another thread was faster its copy counts, and this one is lost.
    let _ = site.registered.compare_exchange(
        ptr::null_mut(),
        made,
        Ordering::AcqRel,
        Ordering::Acquire,
    );
    known(site)
}

fn copied_keys(site: &Site) -> Option<&'static [&'static str]> {
    let count = usize::from(site.argument_count).min(MAX_ARGUMENTS);
    let mut keys = [""; MAX_ARGUMENTS];
    for (copy, key) in keys.iter_mut().zip(&site.keys[..count]) {
        *copy = copied_text(bytes_of(*key))?;
    }
    c_abi::place(keys).map(|keys| &keys[..count])
}

/// The types of a place's arguments, from a byte each.
fn copied_types(types: u32, count: usize) -> Option<&'static [ArgType]> {
    let types = types
        .to_le_bytes()
        .map(|number| ArgType::from_u8(number).unwrap_or(ArgType::Null));
    c_abi::place(types).map(|types| &types[..count])
}

/// A copy that lives for ever, cut where it is too long, and in UTF-8: what is not becomes U+FFFD.
fn copied_text(text: &[u8]) -> Option<&'static str> {
    let mut valid = [0u8; MAX_TEXT_LEN];
    let mut len = 0;
    let mut push = |piece: &str| {
        let keep = piece.floor_char_boundary(piece.len().min(MAX_TEXT_LEN - len));
        valid[len..len + keep].copy_from_slice(&piece.as_bytes()[..keep]);
        len += keep;
    };
    for chunk in text.utf8_chunks() {
        push(chunk.valid());
        if !chunk.invalid().is_empty() {
            push("\u{FFFD}");
        }
    }
    core::str::from_utf8(c_abi::copy(&valid[..len])?).ok()
}
