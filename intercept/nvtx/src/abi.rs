//! The border to C: NVTX's tables of functions are filled, and its structures become [`Event`]s. Layouts and numbers are those
//! of NVTX 3, `nvToolsExt.h` and `nvtxDetail/nvtxTypes.h`. No panic leaves a function, and `errno` stays what it was.

use core::ffi::{CStr, c_char, c_int, c_uint, c_void};
use core::fmt;
use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ringscope::c_abi::{self, Ring};

use crate::domain::{self, Domain};
use crate::event::{Event, KnownPlace, Payload};
use crate::{range, stack, started, thread_name};

/// What a function of NVTX is until its caller gives it its type back.
type Function = unsafe extern "C" fn();
/// A module's functions: for each number the place where a pointer to its function stands.
type FunctionTable = *mut *mut Option<Function>;

const EXPORT_CALLBACKS: u32 = 1;
const MODULE_CORE: c_int = 1;
const MODULE_CORE2: c_int = 5;

const MESSAGE_ASCII: i32 = 1;
const MESSAGE_UNICODE: i32 = 2;
const MESSAGE_REGISTERED: i32 = 3;

/// The name of what carries no message.
const UNNAMED: &[u8] = b"(no message)";

#[repr(C)]
struct ExportedCallbacks {
    struct_size: usize,
    get_module_function_table:
        unsafe extern "C" fn(c_int, *mut FunctionTable, *mut c_uint) -> c_int,
}

#[repr(C)]
struct Attributes {
    version: u16,
    size: u16,
    category: u32,
    color_type: i32,
    color: u32,
    payload_type: i32,
    reserved: i32,
    payload: u64,
    message_type: i32,
    message: *const c_void,
}

const _: () = assert!(size_of::<Attributes>() == 48 && size_of::<usize>() == 8);

/// A text that the program registered; its handle is its address.
struct Registered {
    text: &'static [u8],
    place: KnownPlace,
}

/// A ring that threads hand to one another with the range that is shown in it.
#[derive(Clone, Copy)]
pub(crate) struct SharedRing(Ring);

// SAFETY: rings live for ever; of what `SharedRing` gives out, other threads use what is atomic: whether the ring is the
// process's, and closing an open slot.
unsafe impl Send for SharedRing {}

impl SharedRing {
    pub(crate) fn of(ring: Ring) -> SharedRing {
        SharedRing(ring)
    }

    pub(crate) fn get(self) -> Ring {
        self.0
    }
}

impl fmt::Debug for SharedRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedRing")
    }
}

/// Fills the tables of an NVTX header, which calls this when its first function is called; 0 when it has no such tables.
///
/// # Safety
///
/// `get_export_table` is the function of that type that NVTX passes.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn InitializeInjectionNvtx2(
    get_export_table: Option<unsafe extern "C" fn(u32) -> *const c_void>,
) -> c_int {
    at_border(0, || {
        let Some(get_export_table) = get_export_table else {
            return 0;
        };
        // SAFETY: the table of this number has this type, and lives as long as the program's NVTX.
        let callbacks = unsafe {
            let table = get_export_table(EXPORT_CALLBACKS).cast::<ExportedCallbacks>();
            let Some(callbacks) = table.as_ref() else {
                return 0;
            };
            callbacks
        };
        if callbacks.struct_size < size_of::<ExportedCallbacks>() {
            return 0;
        }
        // The domain without a name is made while no other thread can be here.
        let has_memory = domain::default().is_some();
        // SAFETY: the functions have the types that their numbers stand for.
        let filled = unsafe {
            fill(callbacks, MODULE_CORE, &core_functions())
                && fill(callbacks, MODULE_CORE2, &core2_functions())
        };
        c_int::from(has_memory && filled)
    })
}

/// # Safety
///
/// The functions of the module have these numbers and types.
unsafe fn fill(
    callbacks: &ExportedCallbacks,
    module: c_int,
    functions: &[(usize, *const ())],
) -> bool {
    let (mut table, mut size): (FunctionTable, c_uint) = (core::ptr::null_mut(), 0);
    // SAFETY: two live places are filled in; a table has as many places as its size says.
    unsafe {
        if (callbacks.get_module_function_table)(module, &mut table, &mut size) == 0
            || table.is_null()
        {
            return false;
        }
        for (number, function) in functions {
            // An older header has a shorter table.
            if *number < size as usize
                && let Some(place) = (*table.add(*number)).as_mut()
            {
                *place = Some(core::mem::transmute::<*const (), Function>(*function));
            }
        }
    }
    true
}

fn core_functions() -> [(usize, *const ()); 15] {
    [
        (1, mark_ex as *const ()),
        (2, mark_a as *const ()),
        (3, mark_w as *const ()),
        (4, range_start_ex as *const ()),
        (5, range_start_a as *const ()),
        (6, range_start_w as *const ()),
        (7, range_end as *const ()),
        (8, range_push_ex as *const ()),
        (9, range_push_a as *const ()),
        (10, range_push_w as *const ()),
        (11, range_pop as *const ()),
        (12, name_category_a as *const ()),
        (13, name_category_w as *const ()),
        (14, name_os_thread_a as *const ()),
        (15, name_os_thread_w as *const ()),
    ]
}

/// All but resources (6 and 7), which are not recorded, and `nvtxInitialize` (15), which has nothing left to do.
fn core2_functions() -> [(usize, *const ()); 12] {
    [
        (1, domain_mark_ex as *const ()),
        (2, domain_range_start_ex as *const ()),
        (3, domain_range_end as *const ()),
        (4, domain_range_push_ex as *const ()),
        (5, domain_range_pop as *const ()),
        (8, domain_name_category_a as *const ()),
        (9, domain_name_category_w as *const ()),
        (10, domain_register_string_a as *const ()),
        (11, domain_register_string_w as *const ()),
        (12, domain_create_a as *const ()),
        (13, domain_create_w as *const ()),
        (14, domain_destroy as *const ()),
    ]
}

/// Runs the body of a function that C calls; `otherwise` is the answer should it panic.
fn at_border<T>(otherwise: T, body: impl FnOnce() -> T) -> T {
    // SAFETY: the calling thread's own `errno`.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let before = unsafe { *errno };
    let answer = catch_unwind(AssertUnwindSafe(body)).unwrap_or(otherwise);
    // SAFETY: as above.
    unsafe { *errno = before };
    answer
}

/// The bytes of a text, empty for a null pointer.
///
/// # Safety
///
/// `text` is null or NUL-terminated, and lives as long as the bytes are used.
unsafe fn narrow<'a>(text: *const c_char) -> Cow<'a, [u8]> {
    if text.is_null() {
        return Cow::Borrowed(&[]);
    }
    // SAFETY: passed on to the caller.
    Cow::Borrowed(unsafe { CStr::from_ptr(text) }.to_bytes())
}

/// A text of wide characters in UTF-8, empty for a null pointer.
///
/// # Safety
///
/// `text` is null or ends with a 0.
unsafe fn wide<'a>(text: *const libc::wchar_t) -> Cow<'a, [u8]> {
    let mut converted = String::new();
    let mut next = text;
    // SAFETY: not read beyond the 0 at its end.
    unsafe {
        while !next.is_null() && *next != 0 {
            let character = char::from_u32(*next as u32);
            converted.push(character.unwrap_or(char::REPLACEMENT_CHARACTER));
            next = next.add(1);
        }
    }
    Cow::Owned(converted.into_bytes())
}

/// The domain of a handle, the nameless one for null.
///
/// # Safety
///
/// `handle` is null or came from [`created`].
unsafe fn domain_of(handle: *const Domain) -> Option<&'static Domain> {
    // SAFETY: passed on to the caller; domains live for ever.
    unsafe { handle.as_ref() }.or_else(domain::default)
}

/// Calls `then` with what `attributes` say; `otherwise` is the answer when there is no domain to say it in.
///
/// # Safety
///
/// `domain` is a handle of a domain or null; `attributes` is null or points to as many bytes as its size says, with a message of
/// its type.
unsafe fn with_event<T>(
    domain: *const Domain,
    attributes: *const Attributes,
    otherwise: T,
    then: impl FnOnce(&Event<'_>) -> T,
) -> T {
    let answer = at_border(None, || {
        // SAFETY: passed on to the caller.
        let domain = unsafe { domain_of(domain) }?;
        // SAFETY: passed on to the caller.
        let attributes = unsafe { copied(attributes) };
        // SAFETY: passed on to the caller.
        let (message, known) = unsafe { message(&attributes) };
        Some(then(&Event {
            domain,
            name: named(&message),
            known,
            category: attributes.category,
            payload: payload(&attributes),
        }))
    });
    answer.unwrap_or(otherwise)
}

/// As much of the attributes as the program's header knows, zeros for the rest.
///
/// # Safety
///
/// As [`with_event`].
unsafe fn copied(attributes: *const Attributes) -> Attributes {
    // SAFETY: zeros are numbers and a null pointer.
    let mut copy: Attributes = unsafe { core::mem::zeroed() };
    if !attributes.is_null() {
        // SAFETY: passed on to the caller; version and size are there in all versions.
        unsafe {
            let len = usize::from((*attributes).size).min(size_of::<Attributes>());
            let to = (&raw mut copy).cast::<u8>();
            core::ptr::copy_nonoverlapping(attributes.cast::<u8>(), to, len);
        }
    }
    copy
}

/// # Safety
///
/// As [`with_event`].
unsafe fn message<'a>(attributes: &Attributes) -> (Cow<'a, [u8]>, Option<&'static KnownPlace>) {
    let text = attributes.message;
    // SAFETY: passed on to the caller; the handle of a registered text is its address.
    unsafe {
        match attributes.message_type {
            MESSAGE_ASCII => (narrow(text.cast()), None),
            MESSAGE_UNICODE => (wide(text.cast()), None),
            MESSAGE_REGISTERED => match text.cast::<Registered>().as_ref() {
                Some(registered) => (Cow::Borrowed(registered.text), Some(&registered.place)),
                None => (Cow::Borrowed(&[]), None),
            },
            _ => (Cow::Borrowed(&[]), None),
        }
    }
}

/// The name of what carries this message.
fn named(message: &[u8]) -> &[u8] {
    if message.is_empty() { UNNAMED } else { message }
}

/// The number that the attributes carry; extended payloads (NVTX's own schemas) are not recorded.
fn payload(attributes: &Attributes) -> Option<Payload> {
    let word = attributes.payload;
    let low = word as u32;
    match attributes.payload_type {
        1 => Some(Payload::Unsigned(word)),
        2 => Some(Payload::Signed(word as i64)),
        3 => Some(Payload::Float(f64::from_bits(word))),
        4 => Some(Payload::Unsigned(u64::from(low))),
        5 => Some(Payload::Signed(i64::from(low as i32))),
        6 => Some(Payload::Float(f64::from(f32::from_bits(low)))),
        _ => None,
    }
}

/// Functions of the nameless domain that take a message alone, narrow and wide.
macro_rules! of_message {
    ($narrow:ident, $wide:ident, $answer:ty, $otherwise:expr, $then:expr) => {
        unsafe extern "C" fn $narrow(message: *const c_char) -> $answer {
            at_border($otherwise, || {
                // SAFETY: NVTX passes a text or null.
                let message = unsafe { narrow(message) };
                of_text(&message, $otherwise, $then)
            })
        }

        unsafe extern "C" fn $wide(message: *const libc::wchar_t) -> $answer {
            at_border($otherwise, || {
                // SAFETY: NVTX passes a text or null.
                let message = unsafe { wide(message) };
                of_text(&message, $otherwise, $then)
            })
        }
    };
}

/// Calls `then` with an event of the nameless domain that is nothing but a message.
fn of_text<T>(message: &[u8], otherwise: T, then: impl FnOnce(&Event<'_>) -> T) -> T {
    let Some(domain) = domain::default() else {
        return otherwise;
    };
    then(&Event {
        domain,
        name: named(message),
        known: None,
        category: 0,
        payload: None,
    })
}

of_message!(mark_a, mark_w, (), (), range::mark);
of_message!(
    range_start_a,
    range_start_w,
    u64,
    started::NO_ID,
    started::start
);
of_message!(
    range_push_a,
    range_push_w,
    c_int,
    stack::NO_RANGE,
    stack::push
);

unsafe extern "C" fn mark_ex(attributes: *const Attributes) {
    // SAFETY: as NVTX promises for all attributes: null, or as long as they say, with the message that they say.
    unsafe { domain_mark_ex(core::ptr::null(), attributes) }
}

unsafe extern "C" fn range_start_ex(attributes: *const Attributes) -> u64 {
    // SAFETY: as in `mark_ex`.
    unsafe { domain_range_start_ex(core::ptr::null(), attributes) }
}

unsafe extern "C" fn range_push_ex(attributes: *const Attributes) -> c_int {
    // SAFETY: as in `mark_ex`.
    unsafe { domain_range_push_ex(core::ptr::null(), attributes) }
}

unsafe extern "C" fn range_end(id: u64) {
    at_border((), || started::end(id));
}

unsafe extern "C" fn range_pop() -> c_int {
    // SAFETY: null is a domain.
    unsafe { domain_range_pop(core::ptr::null()) }
}

unsafe extern "C" fn domain_mark_ex(domain: *const Domain, attributes: *const Attributes) {
    // SAFETY: as in `mark_ex`; handles of domains come from `domain_create_a` and `domain_create_w`.
    unsafe { with_event(domain, attributes, (), range::mark) }
}

unsafe extern "C" fn domain_range_start_ex(
    domain: *const Domain,
    attributes: *const Attributes,
) -> u64 {
    // SAFETY: as in `domain_mark_ex`.
    unsafe { with_event(domain, attributes, started::NO_ID, started::start) }
}

unsafe extern "C" fn domain_range_push_ex(
    domain: *const Domain,
    attributes: *const Attributes,
) -> c_int {
    // SAFETY: as in `domain_mark_ex`.
    unsafe { with_event(domain, attributes, stack::NO_RANGE, stack::push) }
}

unsafe extern "C" fn domain_range_end(_domain: *const Domain, id: u64) {
    at_border((), || started::end(id));
}

unsafe extern "C" fn domain_range_pop(domain: *const Domain) -> c_int {
    at_border(stack::NO_RANGE, || {
        // SAFETY: as in `domain_mark_ex`.
        unsafe { domain_of(domain) }.map_or(stack::NO_RANGE, stack::pop)
    })
}

unsafe extern "C" fn name_category_a(category: u32, name: *const c_char) {
    // SAFETY: null is a domain, and NVTX passes a text or null.
    unsafe { domain_name_category_a(core::ptr::null(), category, name) }
}

unsafe extern "C" fn name_category_w(category: u32, name: *const libc::wchar_t) {
    // SAFETY: as in `name_category_a`.
    unsafe { domain_name_category_w(core::ptr::null(), category, name) }
}

unsafe extern "C" fn domain_name_category_a(
    domain: *const Domain,
    category: u32,
    name: *const c_char,
) {
    at_border((), || {
        // SAFETY: as in `domain_mark_ex`, and NVTX passes a text or null.
        let (domain, name) = unsafe { (domain_of(domain), narrow(name)) };
        if let Some(domain) = domain {
            domain.name_category(category, &name);
        }
    });
}

unsafe extern "C" fn domain_name_category_w(
    domain: *const Domain,
    category: u32,
    name: *const libc::wchar_t,
) {
    at_border((), || {
        // SAFETY: as in `domain_name_category_a`.
        let (domain, name) = unsafe { (domain_of(domain), wide(name)) };
        if let Some(domain) = domain {
            domain.name_category(category, &name);
        }
    });
}

unsafe extern "C" fn name_os_thread_a(tid: u32, name: *const c_char) {
    at_border((), || {
        // SAFETY: NVTX passes a text or null.
        let text = unsafe { narrow(name) };
        thread_name::give(tid, &text)
    });
}

unsafe extern "C" fn name_os_thread_w(tid: u32, name: *const libc::wchar_t) {
    at_border((), || {
        // SAFETY: NVTX passes a text or null.
        let text = unsafe { wide(name) };
        thread_name::give(tid, &text)
    });
}

/// The handle of a text: registered texts live for ever, as NVTX has no call that ends one.
fn registered(text: &[u8]) -> *const Registered {
    let placed = c_abi::copy(text).and_then(|text| {
        c_abi::place(Registered {
            text,
            place: KnownPlace::default(),
        })
    });
    placed.map_or(core::ptr::null(), core::ptr::from_ref)
}

unsafe extern "C" fn domain_register_string_a(
    _domain: *const Domain,
    text: *const c_char,
) -> *const Registered {
    at_border(core::ptr::null(), || {
        // SAFETY: NVTX passes a text or null.
        let text = unsafe { narrow(text) };
        registered(&text)
    })
}

unsafe extern "C" fn domain_register_string_w(
    _domain: *const Domain,
    text: *const libc::wchar_t,
) -> *const Registered {
    at_border(core::ptr::null(), || {
        // SAFETY: NVTX passes a text or null.
        let text = unsafe { wide(text) };
        registered(&text)
    })
}

/// The handle of the domain of this name, the nameless one's without memory.
fn created(name: &[u8]) -> *const Domain {
    domain::named(name).map_or(core::ptr::null(), core::ptr::from_ref)
}

unsafe extern "C" fn domain_create_a(name: *const c_char) -> *const Domain {
    at_border(core::ptr::null(), || {
        // SAFETY: NVTX passes a text or null.
        let text = unsafe { narrow(name) };
        created(&text)
    })
}

unsafe extern "C" fn domain_create_w(name: *const libc::wchar_t) -> *const Domain {
    at_border(core::ptr::null(), || {
        // SAFETY: NVTX passes a text or null.
        let text = unsafe { wide(name) };
        created(&text)
    })
}

/// A domain lives for ever: ranges that are still open belong to it, and it is found again by its name.
unsafe extern "C" fn domain_destroy(_domain: *const Domain) {}
