//! The structures that the library shares with `include/ringscope.h`; the build fails where the two differ.

use core::ffi::{c_char, c_void};
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64};

use ringscope_ringbuf::ring::Writer;

/// Most arguments of a place.
pub(crate) const MAX_ARGUMENTS: usize = 4;
/// Payload bytes that a span holds itself.
pub(crate) const INLINE_LEN: usize = 232;
/// Zeros behind a payload, so that its last continuation can be read whole.
pub(crate) const PADDING: usize = 32;
/// Words of a `ringscope_launch`, of a `ringscope_wait`, of a `ringscope_ticket` and of a `ringscope_clock`.
pub(crate) const LAUNCH_WORDS: usize = 16;
pub(crate) const WAIT_WORDS: usize = 8;
pub(crate) const TICKET_WORDS: usize = 4;
pub(crate) const CLOCK_WORDS: usize = 2;
/// In place of an open slot's number: the span is not shown while it is open.
pub(crate) const NO_SLOT: u32 = u32::MAX;

/// `ringscope_value`
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Value {
    pub(crate) word: u64,
    pub(crate) text: *const u8,
    pub(crate) text_len: u64,
    pub(crate) type_number: u32,
    pub(crate) reserved: u32,
}

/// `ringscope_track`
#[repr(C)]
pub struct Track {
    pub(crate) name: *const c_void,
    pub(crate) generation: u64,
    pub(crate) lane: u32,
    pub(crate) reserved: u32,
}

/// `ringscope_payload`
#[repr(C)]
pub struct Payload {
    /// The first eight bytes.
    pub(crate) word: u64,
    pub(crate) len: u32,
    /// Number of the long buffer in use, plus one; 0 for none.
    pub(crate) long_buffer: u32,
    pub(crate) long_bytes: *mut u8,
    /// All of the payload where it has more than eight bytes and no long buffer.
    pub(crate) bytes: [u8; INLINE_LEN + PADDING],
}

/// `ringscope_span`
#[repr(C)]
pub struct Span {
    pub(crate) writer: *const Writer,
    pub(crate) start: u64,
    pub(crate) site: u32,
    pub(crate) open_slot: u32,
    pub(crate) lane: u32,
    pub(crate) reserved: u32,
    pub(crate) payload: Payload,
}

/// `ringscope_site`
#[repr(C)]
pub struct Site {
    pub(crate) id: AtomicU32,
    pub(crate) line: u32,
    pub(crate) category: *const c_char,
    pub(crate) file: *const c_char,
    pub(crate) registered: AtomicPtr<c_void>,
    pub(crate) keys: [*const c_char; MAX_ARGUMENTS],
    pub(crate) level: u8,
    pub(crate) argument_count: u8,
    pub(crate) reserved: [u8; 6],
}

/// `ringscope_object`
#[repr(C)]
pub struct Object {
    pub(crate) level: AtomicPtr<AtomicU64>,
    pub(crate) generation: AtomicPtr<AtomicU64>,
    pub(crate) reads_counter: AtomicU64,
    pub(crate) unknown_level: u64,
    pub(crate) no_generation: u64,
}

/// `ringscope_config`
#[repr(C)]
pub struct Config {
    pub(crate) size_bytes: u64,
    pub(crate) dir: *const c_char,
    pub(crate) level: *const c_char,
    pub(crate) process_name: *const c_char,
    pub(crate) ring_size_bytes: u64,
    pub(crate) max_size_bytes: u64,
    pub(crate) rank: i32,
    pub(crate) keeps_all_records: bool,
    pub(crate) keeps_values_out: bool,
    pub(crate) reserved: [u8; 2],
}

/// Bytes of a text in [`Status`], its NUL included.
pub(crate) const STATUS_TEXT_LEN: usize = 1024;

/// `ringscope_status`
#[repr(C)]
pub struct Status {
    pub(crate) run: [u8; STATUS_TEXT_LEN],
    pub(crate) refusal: [u8; STATUS_TEXT_LEN],
    pub(crate) level: u64,
}

/// `ringscope_result`
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitResult {
    /// It records.
    Ok = 0,
    /// It recorded already.
    AlreadyRecording = 1,
    /// The files can't be made.
    Refused = 2,
    /// A level that is none, or a structure of another size.
    BadConfig = 3,
}

/// `ringscope_launch_info`
#[repr(C)]
pub struct LaunchInfo {
    pub(crate) size_bytes: u64,
    pub(crate) name: *const c_char,
    pub(crate) device: u32,
    pub(crate) stream: u32,
    pub(crate) rank: i32,
    pub(crate) block_dim: u32,
    pub(crate) thread_count: u32,
    pub(crate) kind: u32,
    pub(crate) correlation: u64,
    pub(crate) parent_correlation: u64,
    pub(crate) size_moved_bytes: u64,
    pub(crate) batch: u64,
    pub(crate) step: u64,
}

/// `ringscope_host_span`
#[repr(C)]
pub struct HostSpan {
    pub(crate) abi_version: u32,
    pub(crate) struct_size: u32,
    pub(crate) invocation_id: u64,
    pub(crate) callable_hash: u64,
    pub(crate) depth: i32,
    pub(crate) reserved: i32,
    pub(crate) timestamp_ns: i64,
    pub(crate) duration_ns: i64,
    pub(crate) name: *const c_char,
    pub(crate) attributes: *const c_char,
}
