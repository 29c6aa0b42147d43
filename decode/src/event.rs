//! What stands on the time line.

use std::cmp::Ordering;

use zerocopy::{Immutable, IntoBytes, KnownLayout, TryFromBytes};

/// What an event is.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    TryFromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(u8)]
pub enum EventKind {
    /// A span of a thread, task or track.
    Span,
    /// The host side of a kernel launch; its word is the correlation id.
    Launch,
    /// The host waits for a launch; its word is the correlation id.
    Wait,
    /// An execution on a device stream; its word is the correlation id.
    DeviceSpan,
    /// A task on a device stream; its word is the task token, its payload register, correlation and receive time.
    DeviceTask,
    /// A stretch in which records were lost; its word is their number.
    Lost,
    /// A moment.
    Instant,
    /// A value at a moment; the word holds it.
    Counter,
    /// An arrow starts; the word is its id.
    FlowOut,
    /// An arrow ends; the word is its id.
    FlowIn,
    /// A span that no lane holds begins; the word is its id.
    AsyncBegin,
    /// It ends.
    AsyncEnd,
    /// Device tasks arrived; the word is the correlation id.
    DeviceBatch,
    /// An arrow from a launch to its execution starts; the word is its number.
    ArrowStart,
    /// It ends.
    ArrowEnd,
}

impl EventKind {
    /// True for kinds with a duration, which nest on their lane.
    pub fn is_interval(self) -> bool {
        self <= EventKind::Lost
    }

    /// The word that reports use.
    pub fn as_str(self) -> &'static str {
        match self {
            EventKind::Span => "span",
            EventKind::Launch => "launch",
            EventKind::Wait => "wait",
            EventKind::DeviceSpan => "device span",
            EventKind::DeviceTask => "device task",
            EventKind::Lost => "lost",
            EventKind::Instant => "instant",
            EventKind::Counter => "counter",
            EventKind::FlowOut => "flow out",
            EventKind::FlowIn => "flow in",
            EventKind::AsyncBegin => "async begin",
            EventKind::AsyncEnd => "async end",
            EventKind::DeviceBatch => "device batch",
            EventKind::ArrowStart => "arrow start",
            EventKind::ArrowEnd => "arrow end",
        }
    }
}

/// Still open when the records ended.
pub(crate) const FLAG_OPEN: u8 = 1;
/// Cut by a time filter.
pub(crate) const FLAG_CLIPPED: u8 = 2;
/// Put aside without its payload, which stands in the ring.
pub(crate) const FLAG_PAYLOAD_IN_RING: u8 = 4;
/// A launch that no device time is known of.
pub(crate) const FLAG_NO_DEVICE_TIME: u8 = 8;

/// The payload is the word.
pub(crate) const PAYLOAD_IN_WORD: u32 = u32::MAX;

/// Site index of events that have none.
pub(crate) const NO_SITE: u32 = u32::MAX;
/// Site indexes from here on count the unknown sites of one ring, until they get a place in the time line's table.
pub(crate) const UNKNOWN_SITE_BASE: u32 = 1 << 31;

/// One thing on the time line. Compact and without padding: slices of them are sorted and formatted, and some wait in a
/// file.
#[derive(Clone, Copy, Debug, TryFromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Event {
    /// CLOCK_MONOTONIC at its start, ns.
    pub start_ns: i64,
    /// CLOCK_MONOTONIC at its end, ns; the start for moments.
    pub end_ns: i64,
    /// Correlation, flow id, value or count, as the kind says.
    pub word: u64,
    /// Sequence in its ring: later records of a ring have higher ones.
    pub(crate) sequence: u64,
    /// Where its payload starts in its slice's bytes, or [`PAYLOAD_IN_WORD`].
    pub(crate) payload_at: u32,
    /// Bytes of payload.
    pub(crate) payload_len: u32,
    /// Index into the time line's sites.
    pub(crate) site: u32,
    /// Index into the time line's lanes (into its rows until lanes are known).
    pub lane: u32,
    /// Index of the ring that it comes from.
    pub(crate) source: u32,
    /// Kind.
    pub kind: EventKind,
    pub(crate) flags: u8,
    /// Type of a counter's value, cause of a loss.
    pub(crate) detail: u16,
}
const _: () = assert!(size_of::<Event>() == 56);

impl Event {
    /// Nothing, nowhere.
    pub(crate) const BLANK: Event = Event {
        start_ns: 0,
        end_ns: 0,
        word: 0,
        sequence: 0,
        payload_at: 0,
        payload_len: 0,
        site: NO_SITE,
        lane: 0,
        source: 0,
        kind: EventKind::Lost,
        flags: 0,
        detail: 0,
    };

    /// Its payload, given the bytes of its slice.
    #[inline]
    pub(crate) fn payload<'a>(&'a self, payloads: &'a [u8]) -> &'a [u8] {
        if self.payload_at == PAYLOAD_IN_WORD {
            return self.word.as_bytes();
        }
        let start = self.payload_at as usize;
        let range = start..start.saturating_add(self.payload_len as usize);
        payloads.get(range).unwrap_or_default()
    }

    /// True for a span that had not ended when the records did.
    pub fn is_open(&self) -> bool {
        self.flags & FLAG_OPEN != 0
    }

    /// Length in ns, 0 for moments.
    pub fn duration_ns(&self) -> u64 {
        self.end_ns.saturating_sub(self.start_ns).max(0) as u64
    }

    /// Order of two events of one row with the same times: of two equal spans the later recorded is the parent.
    pub(crate) fn order_on_row(&self, other: &Event) -> Ordering {
        (other.kind.is_interval().cmp(&self.kind.is_interval()))
            .then_with(|| other.sequence.cmp(&self.sequence))
            .then_with(|| self.source.cmp(&other.source))
            .then_with(|| self.kind.cmp(&other.kind))
    }
}
