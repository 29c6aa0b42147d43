#![doc = include_str!("../FORMAT.md")]
// Every structure below repeats a table of FORMAT.md; the const assertions keep the two from drifting apart.

use core::mem::{offset_of, size_of};

use bytemuck::{Pod, Zeroable};
use zerocopy::little_endian::{I32, U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

#[cfg(target_endian = "big")]
compile_error!(
    "ringscope files are little-endian and their live words are mapped: big-endian hosts are not supported"
);

/// Version that this crate writes, and the only one it reads.
pub const FORMAT_VERSION: u16 = 1;
/// Stands in every file header; a file of a big-endian host reads as 0x04030201.
pub const BYTE_ORDER: u32 = 0x0102_0304;
/// Bytes of one record.
pub const RECORD_LEN: usize = 32;
/// 64-bit words of one record.
pub const RECORD_WORDS: usize = RECORD_LEN / 8;
/// Incompatible feature of segment files: there may be packed segments.
pub const FEATURE_PACKED_SEGMENTS: u64 = 1;
/// Incompatible feature bits that this crate understands.
pub const KNOWN_INCOMPATIBLE: u64 = FEATURE_PACKED_SEGMENTS;

/// First eight bytes of a process file.
pub const PROCESS_MAGIC: [u8; 8] = *b"RSPROC\r\n";
/// First eight bytes of a lock file.
pub const LOCK_MAGIC: [u8; 8] = *b"RSLOCK\r\n";
/// First eight bytes of a ring file.
pub const RING_MAGIC: [u8; 8] = *b"RSRING\r\n";
/// First eight bytes of a segment file.
pub const SEGMENTS_MAGIC: [u8; 8] = *b"RSSEGS\r\n";

// ---- records -------------------------------------------------------------------------------------------------

/// One 32-byte record: four little-endian words whose meaning depends on the kind in the last one.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Record {
    /// The words w0 to w3.
    pub w: [u64; RECORD_WORDS],
}
const _: () = assert!(size_of::<Record>() == RECORD_LEN);

/// Bits of a duration in w1; the lane stands above them.
pub const DURATION_BITS: u32 = 48;
/// Largest duration that w1 holds, in ticks; longer spans use [`Kind::SpanLong`].
pub const DURATION_MAX: u64 = (1 << DURATION_BITS) - 1;
/// Bits of a sequence number; the head word counts records above them.
pub const SEQUENCE_BITS: u32 = 48;
/// Selects the sequence part of the head word.
pub const SEQUENCE_MASK: u64 = (1 << SEQUENCE_BITS) - 1;
/// One record in the record-count part of the head word.
pub const HEAD_RECORD_ONE: u64 = 1 << SEQUENCE_BITS;
/// Position of the stamp in w3.
pub const STAMP_SHIFT: u32 = 40;
/// The bit of w3 that says "published".
pub const STAMP_VALID: u64 = 1 << 63;
/// Bits of the lap in a stamp.
pub const LAP_MASK: u64 = (1 << 23) - 1;
/// Position of the kind in w3.
pub const KIND_SHIFT: u32 = 32;
/// Payload bytes that a continuation carries: w0 to w2 and the site field.
pub const CONTINUATION_PAYLOAD: usize = 28;
/// Largest number of continuations of one record.
pub const MAX_CONTINUATIONS: usize = 1023;
/// Smallest ring, as the power of two of its records (2 KiB of records).
pub const MIN_CAPACITY_LOG2: u32 = 6;
/// Largest ring, as the power of two of its records (1 GiB): lap and sequence still fit a stamp.
pub const MAX_CAPACITY_LOG2: u32 = 25;
const _: () = assert!(MAX_CAPACITY_LOG2 + 23 <= SEQUENCE_BITS);

/// What a record says. Unknown kinds are skipped and counted by readers.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// w0 start ticks, w1 duration ticks and lane, w2 first payload bytes.
    Span = 1,
    /// As [`Kind::Span`] with start and duration in CLOCK_MONOTONIC nanoseconds.
    SpanNs = 2,
    /// As [`Kind::Span`]; w2 holds the whole duration in ticks, the payload starts in the continuations.
    SpanLong = 3,
    /// w0 time in ticks, w1 lane, w2 first payload bytes.
    Instant = 4,
    /// w0 time in ticks, w1 lane and (bits 0 to 7) the value's [`crate::payload::ArgType`], w2 value.
    Counter = 5,
    /// w0 time in ticks, w1 lane, w2 flow id: an arrow starts here.
    FlowOut = 6,
    /// w0 time in ticks, w1 lane, w2 flow id: an arrow ends here.
    FlowIn = 7,
    /// w0 time in ticks, w1 lane, w2 id: a span that no lane holds begins.
    AsyncBegin = 8,
    /// w0 time in ticks, w1 lane, w2 id: it ends.
    AsyncEnd = 9,
    /// Host side of a kernel launch: w0 start ticks, w1 duration ticks and lane, w2 correlation id.
    Launch = 10,
    /// The host waits for a launch: w0 start ticks, w1 duration ticks and lane, w2 correlation id.
    Wait = 11,
    /// w0 start and w1 duration in ticks of the stream's clock domain, w1 stream lane, w2 correlation id.
    DeviceSpan = 12,
    /// Stands before the device tasks that arrived together: w0 host ticks, w1 count and stream lane, w2 correlation id.
    DeviceBatch = 13,
    /// w0 start in device ticks, w1 duration 32 and receive-to-start 32, w2 task token, site field: register id.
    DeviceTask = 14,
    /// 28 bytes more payload of the record before it.
    Continuation = 255,
}

impl Kind {
    /// Every kind of format version 1.
    pub const ALL: [Kind; 15] = [
        Kind::Span,
        Kind::SpanNs,
        Kind::SpanLong,
        Kind::Instant,
        Kind::Counter,
        Kind::FlowOut,
        Kind::FlowIn,
        Kind::AsyncBegin,
        Kind::AsyncEnd,
        Kind::Launch,
        Kind::Wait,
        Kind::DeviceSpan,
        Kind::DeviceBatch,
        Kind::DeviceTask,
        Kind::Continuation,
    ];

    /// The kind with this number, if version 1 has one.
    pub fn from_u8(number: u8) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| *kind as u8 == number)
    }

    /// True where w2 is the first eight bytes of the payload, false where it is a word of its own.
    pub fn payload_starts_in_w2(self) -> bool {
        matches!(self, Kind::Span | Kind::SpanNs | Kind::Instant)
    }
}

impl Record {
    /// The last word without its stamp: site and kind.
    #[inline(always)]
    pub fn site_and_kind(site: u32, kind: Kind) -> u64 {
        site as u64 | (kind as u64) << KIND_SHIFT
    }

    /// The stamp of `sequence` in a ring of 2^`capacity_log2` records, in place in w3.
    #[inline(always)]
    pub fn stamp(sequence: u64, capacity_log2: u32) -> u64 {
        STAMP_VALID | ((sequence >> capacity_log2) & LAP_MASK) << STAMP_SHIFT
    }

    /// The sequence that begins the lap behind that of `sequence`.
    #[inline]
    pub fn lap_end(sequence: u64, capacity_log2: u32) -> u64 {
        (sequence | ((1 << capacity_log2) - 1)).saturating_add(1)
    }

    /// True when the record was published as `sequence` of a ring of 2^`capacity_log2` records.
    pub fn is_stamped(&self, sequence: u64, capacity_log2: u32) -> bool {
        self.w[3] >> STAMP_SHIFT == Record::stamp(sequence, capacity_log2) >> STAMP_SHIFT
    }

    /// Stamp and kind of a [`Kind::Span`] that is published as `sequence` of such a ring: the same for all sequences of
    /// a lap.
    #[inline]
    pub fn span_mark(sequence: u64, capacity_log2: u32) -> u64 {
        (Record::stamp(sequence, capacity_log2) | (Kind::Span as u64) << KIND_SHIFT) >> KIND_SHIFT
    }

    /// True when the record has this [`Record::span_mark`] and is of the thread itself.
    #[inline]
    pub fn is_plain_span(&self, span_mark: u64) -> bool {
        self.w[3] >> KIND_SHIFT == span_mark && self.w[1] >> DURATION_BITS == 0
    }

    /// Start (or time) in w0.
    pub fn start(&self) -> u64 {
        self.w[0]
    }

    /// Low 48 bits of w1.
    pub fn duration(&self) -> u64 {
        self.w[1] & DURATION_MAX
    }

    /// Lane of the record: 0 is the thread that owns the ring.
    pub fn lane(&self) -> u16 {
        (self.w[1] >> DURATION_BITS) as u16
    }

    /// Site id, or the register id of a device task, or payload of a continuation.
    pub fn site(&self) -> u32 {
        self.w[3] as u32
    }

    /// Number of the kind; see [`Kind::from_u8`].
    pub fn kind_number(&self) -> u8 {
        (self.w[3] >> KIND_SHIFT) as u8
    }

    /// The 28 payload bytes of a continuation.
    pub fn continuation_payload(&self) -> [u8; CONTINUATION_PAYLOAD] {
        let mut bytes = [0; CONTINUATION_PAYLOAD];
        for (chunk, word) in bytes.chunks_mut(8).zip(self.w) {
            chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
        }
        bytes
    }
}

// ---- levels and loss causes ----------------------------------------------------------------------------------

/// Level bit of end-to-end spans.
pub const LEVEL_E2E: u64 = 1;
/// Level bit of kernel spans.
pub const LEVEL_KERNEL: u64 = 2;
/// Level bit of verbose spans.
pub const LEVEL_VERBOSE: u64 = 4;
/// Every level: what `verbose` in a level set means.
pub const LEVEL_ALL: u64 = LEVEL_E2E | LEVEL_KERNEL | LEVEL_VERBOSE;
/// Nothing is recorded.
pub const LEVEL_OFF: u64 = 0;
/// The level word of a process that has not looked at its configuration yet: every site asks.
pub const LEVEL_UNKNOWN: u64 = 1 << 63 | LEVEL_ALL;

/// Why a record is missing, or less than it could be; the index of its counter in the lock file.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DropCause {
    /// The thread has no ring: it could not be created, or the cap on rings was reached.
    NoRing = 0,
    /// A guard that was made before a fork ended in the child.
    InheritedGuard = 1,
    /// A call after the thread's end had begun.
    LateThread = 2,
    /// A signal handler, or another thread, recorded while the process or thread was being set up.
    NestedSetup = 3,
    /// A run-time name past the cap, recorded under a placeholder name (the record is kept).
    NameCap = 4,
    /// A track past the cap, recorded on the thread's lane (the record is kept).
    LaneCap = 5,
    /// A signal handler recorded while a full ring was being written out, and no slot was left.
    NestedSpill = 6,
    /// The site could not be written to the process file: the record shows a placeholder (the record is kept).
    UnknownSite = 7,
    /// A value was cut to what fits (the record is kept, the value says so).
    ValueCut = 8,
    /// No open slot was free: the span is recorded, but would not have been shown while open.
    NotShownWhileOpen = 9,
    /// Records that were overwritten since their segment could not be written (full disk, size limit).
    SpillFailed = 10,
    /// A device task that was delivered without a start: an empty place (nothing is missing).
    EmptyTask = 11,
    /// A span in a structure of another library that is not one to be forwarded: of an unknown version, or damaged.
    RefusedSpan = 12,
}

impl DropCause {
    /// Every cause, in the order of the counters.
    pub const ALL: [DropCause; 13] = [
        DropCause::NoRing,
        DropCause::InheritedGuard,
        DropCause::LateThread,
        DropCause::NestedSetup,
        DropCause::NameCap,
        DropCause::LaneCap,
        DropCause::NestedSpill,
        DropCause::UnknownSite,
        DropCause::ValueCut,
        DropCause::NotShownWhileOpen,
        DropCause::SpillFailed,
        DropCause::EmptyTask,
        DropCause::RefusedSpan,
    ];

    /// Name in JSON and tables.
    pub fn name(self) -> &'static str {
        match self {
            DropCause::NoRing => "no_ring",
            DropCause::InheritedGuard => "inherited_guard",
            DropCause::LateThread => "late_thread",
            DropCause::NestedSetup => "nested_setup",
            DropCause::NameCap => "name_cap",
            DropCause::LaneCap => "lane_cap",
            DropCause::NestedSpill => "nested_spill",
            DropCause::UnknownSite => "unknown_site",
            DropCause::ValueCut => "value_cut",
            DropCause::NotShownWhileOpen => "not_shown_while_open",
            DropCause::SpillFailed => "spill_failed",
            DropCause::EmptyTask => "empty_task",
            DropCause::RefusedSpan => "refused_span",
        }
    }

    /// True when a whole record is missing and no ring counts it; false when the record is there but poorer, or
    /// when the ring's own sequence numbers tell the loss.
    pub fn loses_record(self) -> bool {
        matches!(
            self,
            DropCause::NoRing
                | DropCause::InheritedGuard
                | DropCause::LateThread
                | DropCause::NestedSetup
                | DropCause::RefusedSpan
        )
    }
}

/// Counters in the lock file.
pub const DROP_COUNTERS: usize = 32;
const _: () = assert!(DropCause::ALL.len() <= DROP_COUNTERS);

// ---- file headers --------------------------------------------------------------------------------------------

/// What every file begins with; the crc covers `header_len` bytes with `magic` and `crc32` taken as zero.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub struct FileStart {
    /// Kind of file; written last.
    pub magic: [u8; 8],
    /// [`FORMAT_VERSION`].
    pub version: U16,
    /// [`RECORD_LEN`] in rings and segments, 0 elsewhere.
    pub record_len: U16,
    /// Bytes from the file's start to its body.
    pub header_len: U32,
    /// [`BYTE_ORDER`].
    pub byte_order: U32,
    /// Check sum of the static part of the header.
    pub crc32: U32,
    /// Features that an older reader may ignore.
    pub features_compatible: U64,
    /// Features that an older reader must refuse.
    pub features_incompatible: U64,
    /// Random number of the recorder that wrote the file.
    pub nonce: U64,
    /// Process id, as the process itself saw it.
    pub pid: U32,
    /// Ring number within the process, 0 in other files.
    pub index: U32,
}
/// Bytes of [`FileStart`].
pub const FILE_START_LEN: usize = 56;
const _: () = assert!(size_of::<FileStart>() == FILE_START_LEN);
const _: () = assert!(offset_of!(FileStart, header_len) == 12);
const _: () = assert!(offset_of!(FileStart, crc32) == 20);
const _: () = assert!(offset_of!(FileStart, features_compatible) == 24);
const _: () = assert!(offset_of!(FileStart, nonce) == 40);

/// Role of a process file: a program that records.
pub const ROLE_PROCESS: u16 = 1;
/// Role of a process file: `ringscope record`, which holds clock pairs, the command and exit statuses.
pub const ROLE_SUPERVISOR: u16 = 2;

/// Capture mode: the newest records of every ring are kept.
pub const MODE_FLIGHT: u32 = 1;
/// Capture mode: all records are kept.
pub const MODE_FULL: u32 = 2;

/// Header of a process file.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub struct ProcessHeader {
    /// Common part.
    pub start: FileStart,
    /// [`ROLE_PROCESS`] or [`ROLE_SUPERVISOR`].
    pub role: U16,
    /// Zero.
    pub reserved0: U16,
    /// Parent's process id.
    pub parent_pid: U32,
    /// Start time of the process in clock ticks since boot (`/proc/PID/stat`, field 22).
    pub start_time: U64,
    /// Inode of the pid namespace.
    pub pid_namespace: U64,
    /// Boot id of the kernel, binary.
    pub boot_id: [u8; 16],
    /// CLOCK_MONOTONIC when the file was made, in ns.
    pub created_mono_ns: U64,
    /// CLOCK_REALTIME at the same moment, in ns since 1970.
    pub created_real_ns: U64,
    /// Number of a [`crate::clock::ClockSource`].
    pub clock_source: U32,
    /// Rank of the process, -1 when it has none.
    pub rank: I32,
    /// Frequency that the kernel or the processor states for the clock source, 0 when unknown.
    pub nominal_hz: U64,
    /// Nonce of the recorder this process was forked from, 0 when it was not.
    pub parent_nonce: U64,
    /// Generation that the process's rings carry.
    pub generation: U64,
    /// [`MODE_FLIGHT`] or [`MODE_FULL`].
    pub mode: U32,
    /// File descriptor of the level word's memfd in the process, -1 when there is none.
    pub level_fd: I32,
    /// Device number of that memfd.
    pub level_device: U64,
    /// Inode of that memfd.
    pub level_inode: U64,
    /// Level mask when the file was made.
    pub level: U64,
    /// Bytes of records that a ring should have.
    pub ring_bytes: U64,
    /// User id.
    pub uid: U32,
    /// Zero.
    pub reserved1: U32,
    /// Host name, UTF-8, NUL-padded.
    pub host: [u8; 64],
    /// Stem of the program's file name, NUL-padded.
    pub stem: [u8; 64],
    /// Process name, NUL-padded; a later PROCESS_NAME block replaces it.
    pub process_name: [u8; 64],
    /// Zero.
    pub reserved2: [u8; 128],
}
/// Bytes of [`ProcessHeader`].
pub const PROCESS_HEADER_LEN: usize = 512;
const _: () = assert!(size_of::<ProcessHeader>() == PROCESS_HEADER_LEN);
const _: () = assert!(offset_of!(ProcessHeader, role) == 56);
const _: () = assert!(offset_of!(ProcessHeader, start_time) == 64);
const _: () = assert!(offset_of!(ProcessHeader, boot_id) == 80);
const _: () = assert!(offset_of!(ProcessHeader, created_mono_ns) == 96);
const _: () = assert!(offset_of!(ProcessHeader, clock_source) == 112);
const _: () = assert!(offset_of!(ProcessHeader, parent_nonce) == 128);
const _: () = assert!(offset_of!(ProcessHeader, mode) == 144);
const _: () = assert!(offset_of!(ProcessHeader, level) == 168);
const _: () = assert!(offset_of!(ProcessHeader, uid) == 184);
const _: () = assert!(offset_of!(ProcessHeader, host) == 192);
const _: () = assert!(offset_of!(ProcessHeader, process_name) == 320);
const _: () = assert!(offset_of!(ProcessHeader, reserved2) == 384);

/// The lock file: one page, mapped by its process, which also holds a write lock (F_SETLK) on it while it lives.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub struct LockPage {
    /// Common part; the crc covers the first 64 bytes.
    pub start: FileStart,
    /// Zero.
    pub reserved0: [u8; 8],
    /// 0 while the process runs, [`END_CLEAN`] when it ended by `exit`.
    pub end_state: U64,
    /// Ticks of the clock pair taken at the end.
    pub end_ticks: U64,
    /// CLOCK_MONOTONIC of that pair, in ns.
    pub end_mono_ns: U64,
    /// CLOCK_REALTIME of that pair, in ns since 1970.
    pub end_real_ns: U64,
    /// Half the bracket of that pair, in ns.
    pub end_uncertainty_ns: U64,
    /// Zero.
    pub reserved1: [u8; 24],
    /// Counters by [`DropCause`].
    pub drops: [U64; DROP_COUNTERS],
}
/// Bytes of the static part of a lock file's header that its crc covers.
pub const LOCK_STATIC_LEN: usize = 64;
/// Bytes of a lock file.
pub const LOCK_FILE_LEN: usize = 4096;
/// `end_state` of a process that ended by `exit` or by returning from `main`.
pub const END_CLEAN: u64 = 1;
/// Offset of the end state in a lock file.
pub const LOCK_END_OFFSET: usize = 64;
/// Offset of the drop counters in a lock file.
pub const LOCK_DROPS_OFFSET: usize = 128;
const _: () = assert!(offset_of!(LockPage, end_state) == LOCK_END_OFFSET);
const _: () = assert!(offset_of!(LockPage, drops) == LOCK_DROPS_OFFSET);
const _: () = assert!(size_of::<LockPage>() == 384 && size_of::<LockPage>() <= LOCK_FILE_LEN);

/// Static part of a ring file's header.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub struct RingHeader {
    /// Common part; the crc covers [`RING_STATIC_LEN`] bytes.
    pub start: FileStart,
    /// The ring holds 2^this records.
    pub capacity_log2: U32,
    /// Open slots in the header.
    pub open_slot_count: U32,
    /// Bytes of an open slot, [`OPEN_SLOT_LEN`].
    pub open_slot_len: U32,
    /// [`MODE_FLIGHT`] or [`MODE_FULL`].
    pub mode: U32,
    /// Sequence of the first record ever written to the ring.
    pub base_sequence: U64,
    /// Ticks when the ring was made.
    pub created_ticks: U64,
    /// CLOCK_MONOTONIC when the ring was made, in ns.
    pub created_mono_ns: U64,
    /// Number of a [`crate::clock::ClockSource`].
    pub clock_source: U32,
    /// Thread id of the first owner.
    pub tid: U32,
    /// Zero.
    pub reserved: [u8; 24],
}
/// Bytes of [`RingHeader`], all of them covered by its crc.
pub const RING_STATIC_LEN: usize = 128;
const _: () = assert!(size_of::<RingHeader>() == RING_STATIC_LEN);
const _: () = assert!(offset_of!(RingHeader, base_sequence) == 72);
const _: () = assert!(offset_of!(RingHeader, clock_source) == 96);

/// Offset of the head word: next sequence in the low 48 bits, records (not slots) mod 65,536 above.
pub const RING_HEAD_OFFSET: usize = 192;
/// Offset of the count of continuations written.
pub const RING_CONTINUATIONS_OFFSET: usize = 200;
/// Offset of the sequence up to which the thread itself has written segments.
pub const RING_SPILLED_OFFSET: usize = 208;
/// Offset of the sequence up to which the supervisor has written segments (written by pwrite).
pub const RING_DRAINED_OFFSET: usize = 256;
/// Offset of the supervisor's last sign of life, CLOCK_MONOTONIC in ns (written by pwrite).
pub const RING_DRAIN_ALIVE_OFFSET: usize = 264;
/// Offset of the first open slot.
pub const RING_OPEN_SLOTS_OFFSET: usize = 512;
/// Bytes of an open slot.
pub const OPEN_SLOT_LEN: usize = 128;
/// 64-bit words of an open slot.
pub const OPEN_SLOT_WORDS: usize = OPEN_SLOT_LEN / 8;
/// Payload bytes behind w2 that an open slot shows.
pub const OPEN_SLOT_PAYLOAD: usize = OPEN_SLOT_LEN - 32;
/// Key of an open slot that is taken and not yet, or no more, shown: to a reader it is free.
pub const OPEN_SLOT_TAKEN: u64 = 1;
/// Largest number of open slots.
pub const MAX_OPEN_SLOTS: usize = 1024;

/// Bytes from the start of a ring file to its first record.
pub const fn ring_header_len(open_slot_count: usize) -> usize {
    (RING_OPEN_SLOTS_OFFSET + open_slot_count * OPEN_SLOT_LEN).next_multiple_of(4096)
}
const _: () = assert!(ring_header_len(64) == 12_288);
const _: () = assert!(ring_header_len(MAX_OPEN_SLOTS) == 135_168);

/// Who wrote a segment file: the supervisor (`.drain`).
pub const SEGMENTS_BY_SUPERVISOR: u32 = 1;
/// Who wrote a segment file: the recording thread itself (`.spill`).
pub const SEGMENTS_BY_THREAD: u32 = 2;

/// Header of a segment file.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub struct SegmentsHeader {
    /// Common part; the crc covers the whole header.
    pub start: FileStart,
    /// The ring holds 2^this records: stamps of the records in here are checked against it.
    pub capacity_log2: U32,
    /// [`SEGMENTS_BY_SUPERVISOR`] or [`SEGMENTS_BY_THREAD`].
    pub writer: U32,
}
/// Bytes of [`SegmentsHeader`].
pub const SEGMENTS_HEADER_LEN: usize = 64;
const _: () = assert!(size_of::<SegmentsHeader>() == SEGMENTS_HEADER_LEN);

/// Stands before the records of one segment.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub struct SegmentHeader {
    /// [`SEGMENT_MAGIC`].
    pub magic: U32,
    /// 0, 1, 2, … within the file.
    pub number: U32,
    /// Sequence of the first record.
    pub base_sequence: U64,
    /// Records that follow.
    pub record_count: U64,
    /// crc32 of the 24 bytes before it.
    pub crc32: U32,
    /// Zero.
    pub reserved: U32,
}
const _: () = assert!(size_of::<SegmentHeader>() == RECORD_LEN);
/// First four bytes of a segment header ("SEGM").
pub const SEGMENT_MAGIC: u32 = u32::from_le_bytes(*b"SEGM");

/// Stands before the packed records of one segment, in place of a [`SegmentHeader`].
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub struct PackedSegmentHeader {
    /// [`PACKED_SEGMENT_MAGIC`].
    pub magic: U32,
    /// As in a [`SegmentHeader`].
    pub number: U32,
    /// Sequence of the first record.
    pub base_sequence: U64,
    /// Records that follow.
    pub record_count: U32,
    /// Bytes that they take.
    pub packed_len: U32,
    /// crc32 of the 24 bytes before it.
    pub crc32: U32,
    /// crc32 of the packed bytes.
    pub packed_crc32: U32,
}
const _: () = assert!(size_of::<PackedSegmentHeader>() == RECORD_LEN);
/// First four bytes of a packed segment's header ("SEGP").
pub const PACKED_SEGMENT_MAGIC: u32 = u32::from_le_bytes(*b"SEGP");

/// Stands before the payload of every block of a process file.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub struct BlockHeader {
    /// [`BLOCK_MAGIC`].
    pub magic: U32,
    /// Number of a [`crate::block::BlockKind`].
    pub kind: U16,
    /// Zero.
    pub reserved: U16,
    /// Bytes of payload behind this header; the next block begins at the next multiple of eight.
    pub len: U32,
    /// crc32 of kind, reserved, len and the payload.
    pub crc32: U32,
}
/// Bytes of [`BlockHeader`].
pub const BLOCK_HEADER_LEN: usize = 16;
const _: () = assert!(size_of::<BlockHeader>() == BLOCK_HEADER_LEN);
/// First four bytes of a block ("RSBK").
pub const BLOCK_MAGIC: u32 = u32::from_le_bytes(*b"RSBK");
/// Blocks start at multiples of this.
pub const BLOCK_ALIGN: usize = 8;
/// Largest payload of a block.
pub const MAX_BLOCK_LEN: usize = 1 << 20;
/// Longest name, category or key in bytes; longer ones are cut.
pub const MAX_NAME_LEN: usize = 16 << 10;
/// Longest string value in bytes; longer ones are cut and say so.
pub const MAX_VALUE_LEN: usize = 16 << 10;

/// The check sum of a header: crc32 of `bytes` with the magic and the crc field taken as zero.
pub fn header_crc(bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[0; 8]);
    hasher.update(&bytes[8..20]);
    hasher.update(&[0; 4]);
    hasher.update(&bytes[24..]);
    hasher.finalize()
}
