//! Numbers of the fields and values used, as `protos/perfetto/trace` of Perfetto has them.

/// `Trace`.
pub(super) mod trace {
    pub(in crate::perfetto) const PACKET: u32 = 1;
}

/// `TracePacket`.
pub(super) mod packet {
    pub(in crate::perfetto) const CHROME_EVENTS: u32 = 5;
    pub(in crate::perfetto) const CLOCK_SNAPSHOT: u32 = 6;
    pub(in crate::perfetto) const TIMESTAMP: u32 = 8;
    pub(in crate::perfetto) const SEQUENCE_ID: u32 = 10;
    pub(in crate::perfetto) const TRACK_EVENT: u32 = 11;
    pub(in crate::perfetto) const INTERNED_DATA: u32 = 12;
    pub(in crate::perfetto) const SEQUENCE_FLAGS: u32 = 13;
    pub(in crate::perfetto) const DEFAULTS: u32 = 59;
    pub(in crate::perfetto) const TRACK_DESCRIPTOR: u32 = 60;
    /// `SEQ_INCREMENTAL_STATE_CLEARED`.
    pub(in crate::perfetto) const STATE_CLEARED: u64 = 1;
}

/// `TracePacketDefaults`.
pub(super) mod defaults {
    pub(in crate::perfetto) const TRACK_EVENT: u32 = 11;
    pub(in crate::perfetto) const CLOCK_ID: u32 = 58;
    /// Of `TrackEventDefaults`.
    pub(in crate::perfetto) const TRACK_UUID: u32 = 11;
}

/// `ClockSnapshot` and its `Clock`.
pub(super) mod clock {
    pub(in crate::perfetto) const CLOCKS: u32 = 1;
    pub(in crate::perfetto) const PRIMARY: u32 = 2;
    pub(in crate::perfetto) const ID: u32 = 1;
    pub(in crate::perfetto) const TIMESTAMP: u32 = 2;
    pub(in crate::perfetto) const IS_INCREMENTAL: u32 = 3;

    pub(in crate::perfetto) const REALTIME: u64 = 1;
    pub(in crate::perfetto) const BOOTTIME: u64 = 6;
}

/// `InternedData`, and `iid` and `name` of everything in it.
pub(super) mod interned {
    pub(in crate::perfetto) const CATEGORIES: u32 = 1;
    pub(in crate::perfetto) const NAMES: u32 = 2;
    pub(in crate::perfetto) const KEYS: u32 = 3;
    pub(in crate::perfetto) const IID: u32 = 1;
    pub(in crate::perfetto) const TEXT: u32 = 2;
}

/// `TrackEvent`.
pub(super) mod event {
    pub(in crate::perfetto) const CATEGORY_IIDS: u32 = 3;
    pub(in crate::perfetto) const ANNOTATIONS: u32 = 4;
    pub(in crate::perfetto) const LEGACY_EVENT: u32 = 6;
    pub(in crate::perfetto) const TYPE: u32 = 9;
    pub(in crate::perfetto) const NAME_IID: u32 = 10;
    pub(in crate::perfetto) const TRACK_UUID: u32 = 11;
    pub(in crate::perfetto) const COUNTER_VALUE: u32 = 30;
    pub(in crate::perfetto) const DOUBLE_COUNTER_VALUE: u32 = 44;

    pub(in crate::perfetto) const SLICE_BEGIN: u64 = 1;
    pub(in crate::perfetto) const SLICE_END: u64 = 2;
    pub(in crate::perfetto) const INSTANT: u64 = 3;
    pub(in crate::perfetto) const COUNTER: u64 = 4;
}

/// `TrackEvent.LegacyEvent`: what has no form of its own.
pub(super) mod legacy {
    pub(in crate::perfetto) const PHASE: u32 = 2;
    pub(in crate::perfetto) const UNSCOPED_ID: u32 = 6;
    pub(in crate::perfetto) const BIND_TO_ENCLOSING: u32 = 12;
}

/// `DebugAnnotation`.
pub(super) mod annotation {
    pub(in crate::perfetto) const NAME_IID: u32 = 1;
    pub(in crate::perfetto) const BOOL: u32 = 2;
    pub(in crate::perfetto) const UINT: u32 = 3;
    pub(in crate::perfetto) const INT: u32 = 4;
    pub(in crate::perfetto) const DOUBLE: u32 = 5;
    pub(in crate::perfetto) const STRING: u32 = 6;
    pub(in crate::perfetto) const POINTER: u32 = 7;
    pub(in crate::perfetto) const NAME: u32 = 10;
    pub(in crate::perfetto) const DICT_ENTRIES: u32 = 11;
    pub(in crate::perfetto) const ARRAY_VALUES: u32 = 12;
}

/// `TrackDescriptor` and what describes its kinds.
pub(super) mod track {
    pub(in crate::perfetto) const UUID: u32 = 1;
    pub(in crate::perfetto) const NAME: u32 = 2;
    pub(in crate::perfetto) const PROCESS: u32 = 3;
    pub(in crate::perfetto) const THREAD: u32 = 4;
    pub(in crate::perfetto) const PARENT_UUID: u32 = 5;
    pub(in crate::perfetto) const COUNTER: u32 = 8;
    pub(in crate::perfetto) const CHILD_ORDERING: u32 = 11;
    pub(in crate::perfetto) const SIBLING_RANK: u32 = 12;
    pub(in crate::perfetto) const SIBLING_MERGE: u32 = 15;
    /// `EXPLICIT`: children by rank.
    pub(in crate::perfetto) const BY_RANK: u64 = 3;
    /// `SIBLING_MERGE_BEHAVIOR_NONE`.
    pub(in crate::perfetto) const NO_MERGE: u64 = 2;

    /// Of `ProcessDescriptor` and `ThreadDescriptor`.
    pub(in crate::perfetto) const PID: u32 = 1;
    /// Of `ThreadDescriptor`.
    pub(in crate::perfetto) const TID: u32 = 2;
    /// Of both.
    pub(in crate::perfetto) const SORT_INDEX: u32 = 3;
    /// Of `ThreadDescriptor`.
    pub(in crate::perfetto) const THREAD_NAME: u32 = 5;
    /// Of `ProcessDescriptor`.
    pub(in crate::perfetto) const PROCESS_NAME: u32 = 6;
    /// Of `ProcessDescriptor`.
    pub(in crate::perfetto) const LABELS: u32 = 8;
}

/// `ChromeEventBundle` and its `ChromeMetadata`.
pub(super) mod chrome {
    pub(in crate::perfetto) const METADATA: u32 = 2;
    pub(in crate::perfetto) const NAME: u32 = 1;
    pub(in crate::perfetto) const JSON_VALUE: u32 = 5;
}
