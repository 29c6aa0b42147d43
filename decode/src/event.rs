//! Records to events: a main record and its continuations become one [`Event`] on a row, in nanoseconds.

use ringscope_ringbuf::layout::{Kind, Record};

use crate::error::Problem;
use crate::gaps::{self, Hole};
use crate::losses::Losses;
use crate::open_spans;
use crate::process::Ring;
use crate::recorder::{LaneRow, OwnerRow, Recorder};
use crate::source::{Extent, RingSource};

/// What an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

/// Site index of events that have none.
pub(crate) const NO_SITE: u32 = u32::MAX;
/// Site indexes from here on count the unknown sites of one ring, until they get a place in the time line's table.
pub(crate) const UNKNOWN_SITE_BASE: u32 = 1 << 31;

/// One thing on the time line. Compact: tens of millions of them are held, sorted and formatted.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// CLOCK_MONOTONIC at its start, ns.
    pub start_ns: i64,
    /// CLOCK_MONOTONIC at its end, ns; the start for moments.
    pub end_ns: i64,
    /// Correlation, flow id, value or count, as the kind says.
    pub word: u64,
    /// Where its payload starts in its source's bytes.
    pub(crate) payload_at: u64,
    /// Sequence in its ring: later records of a ring have higher ones.
    pub(crate) sequence: u64,
    /// Bytes of payload.
    pub(crate) payload_len: u32,
    /// Index into the time line's sites.
    pub(crate) site: u32,
    /// Index into the time line's lanes (into its rows until lanes are made).
    pub lane: u32,
    /// Index of the ring that it comes from.
    pub(crate) source: u32,
    /// Kind.
    pub kind: EventKind,
    pub(crate) flags: u8,
    /// Type of a counter's value, cause of a loss.
    pub(crate) detail: u8,
}
const _: () = assert!(size_of::<Event>() <= 64);

impl Event {
    /// True for a span that had not ended when the records did.
    pub fn is_open(&self) -> bool {
        self.flags & FLAG_OPEN != 0
    }

    /// Length in ns, 0 for moments.
    pub fn duration_ns(&self) -> u64 {
        self.end_ns.saturating_sub(self.start_ns).max(0) as u64
    }

    /// Order on a row: by start, parents before children; of two equal spans the later recorded is the parent.
    pub(crate) fn row_order(&self, other: &Event) -> std::cmp::Ordering {
        self.start_ns
            .cmp(&other.start_ns)
            .then_with(|| other.end_ns.cmp(&self.end_ns))
            .then_with(|| {
                self.kind
                    .is_interval()
                    .cmp(&other.kind.is_interval())
                    .reverse()
            })
            .then_with(|| other.sequence.cmp(&self.sequence))
            .then_with(|| self.source.cmp(&other.source))
            .then_with(|| self.kind.cmp(&other.kind))
    }
}

/// What one ring comes to.
#[derive(Default)]
pub(crate) struct RingEvents {
    pub events: Vec<Event>,
    /// Payload bytes of the events.
    pub arena: Vec<u8>,
    pub losses: Losses,
    pub problems: Vec<Problem>,
    /// Ids of sites that the process file does not hold, in the order of [`UNKNOWN_SITE_BASE`].
    pub unknown_sites: Vec<u32>,
    /// Main records found.
    pub present: u64,
    /// Records ever reserved, where the ring still says so.
    pub reserved: Option<u64>,
    /// Latest end of a record or start of an open span, ns.
    pub last_ns: Option<i64>,
}

/// Device tasks that arrived together.
#[derive(Clone, Copy)]
struct Batch {
    lane: LaneRow,
    site: u32,
    correlation: u64,
    remaining: u64,
}

/// Decodes one ring of a recorder.
pub(crate) fn decode_ring(recorder: &Recorder, ring: &Ring, source_index: u32) -> RingEvents {
    let source = RingSource::open(ring, recorder.is_alive);
    let mut decoder = Decoder {
        recorder,
        owners: recorder.owners_of(ring),
        owner_at: 0,
        source_index,
        pending: None,
        continuation: Vec::new(),
        batch: None,
        next_sequence: source.extent.map(|extent| extent.base_sequence),
        last_end_ns: None,
        holes: Vec::new(),
        out: RingEvents::default(),
    };
    let problems = source.for_each(|sequence, record| decoder.take(sequence, record));
    decoder.finish_record();
    decoder.out.problems.extend(source.problems.iter().cloned());
    decoder.out.problems.extend(problems);
    decoder.count_losses(source.extent);
    open_spans::add(&mut decoder, &source);
    decoder.out
}

/// The state of a walk over a ring's records.
pub(crate) struct Decoder<'a> {
    pub recorder: &'a Recorder,
    owners: Vec<OwnerRow>,
    owner_at: usize,
    source_index: u32,
    /// Main record whose continuations are being gathered.
    pending: Option<(u64, Record)>,
    continuation: Vec<u8>,
    batch: Option<Batch>,
    /// Sequence that follows the last one seen; `None` before the first where nothing says what it should be.
    next_sequence: Option<u64>,
    last_end_ns: Option<i64>,
    holes: Vec<Hole>,
    pub out: RingEvents,
}

impl Decoder<'_> {
    fn take(&mut self, sequence: u64, record: &Record) {
        let expected = self.next_sequence.unwrap_or(sequence);
        if sequence > expected {
            self.finish_record();
            self.batch = None;
            self.open_hole(expected, sequence);
        }
        self.next_sequence = Some(sequence + 1);
        if record.kind_number() == Kind::Continuation as u8 {
            // Without its record before it, a continuation is the rest of one that is counted as lost already.
            if self.pending.is_some() {
                self.continuation
                    .extend_from_slice(&record.continuation_payload());
            }
            return;
        }
        self.finish_record();
        self.out.present += 1;
        self.pending = Some((sequence, *record));
    }

    fn open_hole(&mut self, first: u64, end: u64) {
        let owner = self.owner(end);
        let from_ns = self.last_end_ns.max(owner.start_ns);
        self.holes.push(Hole {
            first,
            end,
            row: owner.row,
            from_ns,
            to_ns: None,
        });
    }

    /// Who owns the slot; sequences only grow from call to call.
    pub(crate) fn owner(&mut self, sequence: u64) -> OwnerRow {
        while let Some(next) = self.owners.get(self.owner_at + 1)
            && next.first_sequence <= sequence
        {
            self.owner_at += 1;
        }
        self.owners.get(self.owner_at).copied().unwrap_or_default()
    }

    /// Turns the pending record into an event.
    fn finish_record(&mut self) {
        let Some((sequence, record)) = self.pending.take() else {
            return;
        };
        let Some(kind) = Kind::from_u8(record.kind_number()) else {
            self.out.losses.unknown_kind += 1;
            self.continuation.clear();
            return;
        };
        let event = match kind {
            Kind::DeviceTask => self.device_task(sequence, &record),
            Kind::DeviceSpan => self.device_span(sequence, &record),
            _ => Some(self.host_event(sequence, kind, &record)),
        };
        self.continuation.clear();
        if let Some(event) = event {
            self.out.last_ns = self.out.last_ns.max(Some(event.end_ns));
            self.out.events.push(event);
        }
    }

    fn host_event(&mut self, sequence: u64, kind: Kind, record: &Record) -> Event {
        let clock = &self.recorder.clock;
        let start = record.start();
        let (start_ns, end_ns, end_ticks) = match kind {
            Kind::SpanNs => {
                let end = start.saturating_add(record.duration());
                (clock.mono_ns(start), clock.mono_ns(end), None)
            }
            Kind::Span | Kind::SpanLong | Kind::Launch | Kind::Wait => {
                let duration = if kind == Kind::SpanLong {
                    record.w[2]
                } else {
                    record.duration()
                };
                let end = start.saturating_add(duration);
                (clock.ticks(start), clock.ticks(end), Some(end))
            }
            _ => (clock.ticks(start), clock.ticks(start), Some(start)),
        };
        let owner = self.owner(sequence);
        let lane = self.lane(record.lane(), end_ticks, end_ns, owner.row);
        self.saw_host_moment(end_ns);
        let mut event = Event {
            start_ns,
            end_ns,
            word: record.w[2],
            lane: lane.row,
            kind: event_kind(kind),
            ..self.blank(sequence)
        };
        event.site = self.site(record.site());
        match kind {
            Kind::Counter => event.detail = record.w[1] as u8,
            Kind::DeviceBatch => {
                // Its lane is the stream of its tasks; it arrived on the thread itself.
                event.lane = owner.row;
                self.open_batch(lane, &event, record);
                self.put_payload(&mut event, &(record.duration()).to_le_bytes());
                return event;
            }
            _ => {}
        }
        let first = kind.payload_starts_in_w2().then_some(record.w[2]);
        self.put_record_payload(&mut event, first);
        event
    }

    fn open_batch(&mut self, lane: LaneRow, event: &Event, record: &Record) {
        self.batch = Some(Batch {
            lane,
            site: event.site,
            correlation: record.w[2],
            remaining: record.duration(),
        });
    }

    fn device_span(&mut self, sequence: u64, record: &Record) -> Option<Event> {
        let lane = self.stream(record.lane());
        let site = self.site(record.site());
        let Some(device) = lane.and_then(|lane| self.recorder.device_clock(lane)) else {
            self.out.losses.note("device_time_unavailable", 1);
            return None;
        };
        let start = record.start();
        let end = start.saturating_add(record.duration());
        let mut event = Event {
            start_ns: device.to_ns(start),
            end_ns: device.to_ns(end),
            word: record.w[2],
            lane: lane?.row,
            site,
            kind: EventKind::DeviceSpan,
            ..self.blank(sequence)
        };
        self.put_record_payload(&mut event, None);
        Some(event)
    }

    fn device_task(&mut self, sequence: u64, record: &Record) -> Option<Event> {
        let batch = self.batch.filter(|batch| batch.remaining > 0);
        let Some(batch) = batch else {
            self.out.losses.note("device_task_without_batch", 1);
            return None;
        };
        self.batch = Some(Batch {
            remaining: batch.remaining - 1,
            ..batch
        });
        let Some(device) = self.recorder.device_clock(batch.lane) else {
            self.out.losses.note("device_time_unavailable", 1);
            return None;
        };
        let start = record.start();
        let duration = record.w[1] & u32::MAX as u64;
        let received = start.saturating_sub(record.w[1] >> 32);
        let start_ns = device.to_ns(start);
        let waited_ns = start_ns.saturating_sub(device.to_ns(received));
        let mut event = Event {
            start_ns,
            end_ns: device.to_ns(start.saturating_add(duration)),
            word: record.w[2],
            lane: batch.lane.row,
            site: batch.site,
            kind: EventKind::DeviceTask,
            ..self.blank(sequence)
        };
        let mut payload = [0; 24];
        payload[..8].copy_from_slice(&batch.correlation.to_le_bytes());
        payload[8..16].copy_from_slice(&(record.site() as u64).to_le_bytes());
        payload[16..].copy_from_slice(&waited_ns.to_le_bytes());
        self.put_payload(&mut event, &payload);
        Some(event)
    }

    /// An event with nothing but its place filled in.
    pub(crate) fn blank(&self, sequence: u64) -> Event {
        Event {
            start_ns: 0,
            end_ns: 0,
            word: 0,
            payload_at: 0,
            sequence,
            payload_len: 0,
            site: NO_SITE,
            lane: 0,
            source: self.source_index,
            kind: EventKind::Lost,
            flags: 0,
            detail: 0,
        }
    }

    fn saw_host_moment(&mut self, end_ns: i64) {
        self.last_end_ns = self.last_end_ns.max(Some(end_ns));
        for hole in self.holes.iter_mut().rev() {
            if hole.to_ns.is_some() {
                break;
            }
            hole.to_ns = Some(end_ns);
        }
    }

    pub(crate) fn lane(
        &mut self,
        number: u16,
        end_ticks: Option<u64>,
        end_ns: i64,
        owner: u32,
    ) -> LaneRow {
        if number == 0 {
            return LaneRow::host(owner);
        }
        let found = self.recorder.lane(number, end_ticks, end_ns);
        found.unwrap_or_else(|| {
            self.out.losses.note("unknown_lane", 1);
            LaneRow::host(owner)
        })
    }

    /// Device records carry no host time: their stream is the newest with the number.
    fn stream(&mut self, number: u16) -> Option<LaneRow> {
        let found = self.recorder.newest_lane(number);
        if found.is_none() {
            self.out.losses.note("unknown_lane", 1);
        }
        found
    }

    pub(crate) fn site(&mut self, id: u32) -> u32 {
        if let Some(index) = self.recorder.site(id) {
            return index;
        }
        self.out.losses.unknown_site += 1;
        let known = self.out.unknown_sites.iter().position(|known| *known == id);
        let at = known.unwrap_or_else(|| {
            self.out.unknown_sites.push(id);
            self.out.unknown_sites.len() - 1
        });
        UNKNOWN_SITE_BASE | at as u32
    }

    /// Keeps w2 (where it is payload) and the continuations' bytes, unless they are what a record without any
    /// argument has.
    fn put_record_payload(&mut self, event: &mut Event, w2: Option<u64>) {
        let is_bare = self.continuation.is_empty()
            && w2.is_none_or(|w2| w2 == 0 && !self.recorder.has_args(event.site));
        if is_bare {
            return;
        }
        event.payload_at = self.out.arena.len() as u64;
        if let Some(w2) = w2 {
            self.out.arena.extend_from_slice(&w2.to_le_bytes());
        }
        self.out.arena.extend_from_slice(&self.continuation);
        event.payload_len = (self.out.arena.len() as u64 - event.payload_at) as u32;
    }

    pub(crate) fn put_payload(&mut self, event: &mut Event, payload: &[u8]) {
        event.payload_at = self.out.arena.len() as u64;
        event.payload_len = payload.len() as u32;
        self.out.arena.extend_from_slice(payload);
    }

    /// Counts what is missing and makes the gaps visible.
    fn count_losses(&mut self, extent: Option<Extent>) {
        if let (Some(extent), Some(next)) = (extent, self.next_sequence)
            && next < extent.end_sequence
        {
            self.open_hole(next, extent.end_sequence);
        }
        self.out.reserved = extent.and_then(|extent| extent.record_count);
        let gaps = gaps::account(
            std::mem::take(&mut self.holes),
            extent,
            self.out.present,
            self.recorder.is_alive,
            &mut self.out.losses,
        );
        for gap in gaps.iter().filter(|gap| gap.records > 0) {
            let Some(start_ns) = gap.hole.from_ns.or(gap.hole.to_ns) else {
                continue;
            };
            // One that no record follows lasts to the last sign of life, as an open span does.
            let is_last = gap.hole.to_ns.is_none();
            let lost = Event {
                start_ns,
                end_ns: gap.hole.to_ns.map_or(start_ns, |to_ns| to_ns.max(start_ns)),
                word: gap.records,
                lane: gap.hole.row,
                kind: EventKind::Lost,
                flags: if is_last { FLAG_OPEN } else { 0 },
                detail: gap.cause as u8,
                ..self.blank(gap.hole.first)
            };
            self.out.events.push(lost);
        }
    }
}

pub(crate) fn event_kind(kind: Kind) -> EventKind {
    match kind {
        Kind::Instant => EventKind::Instant,
        Kind::Counter => EventKind::Counter,
        Kind::FlowOut => EventKind::FlowOut,
        Kind::FlowIn => EventKind::FlowIn,
        Kind::AsyncBegin => EventKind::AsyncBegin,
        Kind::AsyncEnd => EventKind::AsyncEnd,
        Kind::Launch => EventKind::Launch,
        Kind::Wait => EventKind::Wait,
        Kind::DeviceBatch => EventKind::DeviceBatch,
        Kind::DeviceSpan => EventKind::DeviceSpan,
        Kind::DeviceTask => EventKind::DeviceTask,
        Kind::Span | Kind::SpanNs | Kind::SpanLong | Kind::Continuation => EventKind::Span,
    }
}
