//! Records to events: a main record becomes an [`Event`] on a row, in nanoseconds.

use ringscope_ringbuf::layout::{Kind, Record};

use crate::clock::TickCursor;
use crate::event::{Event, EventKind, UNKNOWN_SITE_BASE};
use crate::recorder::{LaneRow, OwnerRow, Recorder};

/// Device tasks that arrived together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch {
    lane: LaneRow,
    pub site: u32,
    correlation: u64,
    pub remaining: u64,
}

/// Tasks of a batch whose arrival is put aside: it may lie long behind them, and would make their blocks span that time.
const LARGE_BATCH: u64 = 64;

/// Longest payload that the decoder itself makes.
pub(crate) const MADE_PAYLOAD: usize = 24;

/// The payload of an event.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Payload {
    /// What the record carries: the first word where it belongs to the payload, then its continuations. Without
    /// continuations a word that stands for no argument is none.
    Recorded { word: Option<u64>, is_bare: bool },
    /// Made by the decoder: so many of the bytes.
    Made([u8; MADE_PAYLOAD], usize),
}

/// What is poorer than it could be, as it is noticed on the way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes {
    pub unknown_site: u64,
    pub unknown_kind: u64,
    pub unknown_lane: u64,
    pub device_time_unavailable: u64,
    pub device_task_without_batch: u64,
    /// Ids of sites that the process file does not hold, in the order of [`UNKNOWN_SITE_BASE`].
    pub unknown_sites: Vec<u32>,
}

/// Turns the records of one ring into events, in the order of their sequences.
pub(crate) struct Resolver<'a> {
    pub recorder: &'a Recorder,
    pub clock: TickCursor<'a>,
    /// The device clock that served last, and its number.
    device: Option<(u32, TickCursor<'a>)>,
    owners: &'a [OwnerRow],
    owner_at: usize,
    source: u32,
    pub batch: Option<Batch>,
    pub notes: Notes,
}

impl<'a> Resolver<'a> {
    /// For the ring with number `ring_index` of a recorder; `source` is its index among all rings.
    pub(crate) fn new(recorder: &'a Recorder, ring_index: u32, source: u32) -> Resolver<'a> {
        Resolver {
            recorder,
            clock: recorder.clock.cursor(),
            device: None,
            owners: recorder.owners_of(ring_index),
            owner_at: 0,
            source,
            batch: None,
            notes: Notes::default(),
        }
    }

    /// Goes to another place of the ring.
    pub(crate) fn jump(&mut self, sequence: u64, batch: Option<Batch>) {
        let after = self
            .owners
            .partition_point(|owner| owner.first_sequence <= sequence);
        self.owner_at = after.saturating_sub(1);
        self.batch = batch;
    }

    /// Who owns the slot; sequences only grow from call to call, or from [`Resolver::jump`] on.
    #[inline]
    pub(crate) fn owner(&mut self, sequence: u64) -> OwnerRow {
        while let Some(next) = self.owners.get(self.owner_at + 1)
            && next.first_sequence <= sequence
        {
            self.owner_at += 1;
        }
        self.owners.get(self.owner_at).copied().unwrap_or_default()
    }

    /// The sequence behind the last one of the owner that was asked for last.
    pub(crate) fn owner_end(&self) -> u64 {
        let next = self.owners.get(self.owner_at + 1);
        next.map_or(u64::MAX, |next| next.first_sequence)
    }

    /// The event of a main record; `None` when it can't be placed, which is noted.
    pub(crate) fn resolve(&mut self, sequence: u64, record: &Record) -> Option<(Event, Payload)> {
        match Kind::from_u8(record.kind_number()) {
            None => {
                self.notes.unknown_kind += 1;
                None
            }
            Some(Kind::DeviceTask) => self.device_task(sequence, record),
            Some(Kind::DeviceSpan) => self.device_span(sequence, record),
            Some(kind) => Some(self.host_event(sequence, kind, record)),
        }
    }

    /// True for the arrival of many tasks, which was resolved last.
    #[inline]
    pub(crate) fn is_large_batch(&self, event: &Event) -> bool {
        event.kind == EventKind::DeviceBatch
            && self
                .batch
                .is_some_and(|batch| batch.remaining >= LARGE_BATCH)
    }

    fn host_event(&mut self, sequence: u64, kind: Kind, record: &Record) -> (Event, Payload) {
        let start = record.start();
        let (start_ns, end_ns, end_ticks) = match kind {
            Kind::SpanNs => {
                let clock = &self.recorder.clock;
                let end = start.saturating_add(record.duration());
                (clock.mono_ns(start), clock.mono_ns(end), None)
            }
            _ => {
                let end = start.saturating_add(duration_ticks(kind, record));
                (self.clock.ns(start), self.clock.ns(end), Some(end))
            }
        };
        let owner = self.owner(sequence);
        let lane = self.lane(record.lane(), end_ticks, end_ns, owner.row);
        let mut event = Event {
            start_ns,
            end_ns,
            word: record.w[2],
            lane: lane.row,
            kind: event_kind(kind),
            site: self.site(record.site()),
            ..self.blank(sequence)
        };
        match kind {
            Kind::Counter => event.detail = (record.w[1] as u8).into(),
            Kind::DeviceBatch => {
                // Its lane is the stream of its tasks; it arrived on the thread itself.
                event.lane = owner.row;
                self.batch = Some(Batch {
                    lane,
                    site: event.site,
                    correlation: record.w[2],
                    remaining: record.duration(),
                });
                return (event, made(&record.duration().to_le_bytes()));
            }
            _ => {}
        }
        let word = kind.payload_starts_in_w2().then_some(record.w[2]);
        (event, self.recorded(word, event.site))
    }

    fn recorded(&self, word: Option<u64>, site: u32) -> Payload {
        Payload::Recorded {
            word,
            is_bare: word.is_none_or(|word| word == 0 && !self.recorder.has_args(site)),
        }
    }

    fn device_span(&mut self, sequence: u64, record: &Record) -> Option<(Event, Payload)> {
        let lane = self.stream(record.lane());
        let site = self.site(record.site());
        let Some(device) = lane.and_then(|lane| self.device_clock(lane)) else {
            self.notes.device_time_unavailable += 1;
            return None;
        };
        let start = record.start();
        let end = start.saturating_add(record.duration());
        let (start_ns, end_ns) = (device.ns(start), device.ns(end));
        let event = Event {
            start_ns,
            end_ns,
            word: record.w[2],
            lane: lane?.row,
            site,
            kind: EventKind::DeviceSpan,
            ..self.blank(sequence)
        };
        Some((event, self.recorded(None, site)))
    }

    fn device_task(&mut self, sequence: u64, record: &Record) -> Option<(Event, Payload)> {
        let batch = self.batch.filter(|batch| batch.remaining > 0);
        let Some(batch) = batch else {
            self.notes.device_task_without_batch += 1;
            return None;
        };
        self.batch = Some(Batch {
            remaining: batch.remaining - 1,
            ..batch
        });
        let Some(device) = self.device_clock(batch.lane) else {
            self.notes.device_time_unavailable += 1;
            return None;
        };
        let start = record.start();
        let duration = record.w[1] & u32::MAX as u64;
        let received = start.saturating_sub(record.w[1] >> 32);
        let start_ns = device.ns(start);
        let waited_ns = start_ns.saturating_sub(device.ns(received));
        let end_ns = device.ns(start.saturating_add(duration));
        let event = Event {
            start_ns,
            end_ns,
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
        Some((event, made(&payload)))
    }

    /// The clock of a stream's device; `None` when nothing ties it to the host's.
    #[inline]
    fn device_clock(&mut self, lane: LaneRow) -> Option<&mut TickCursor<'a>> {
        let domain = lane.clock_domain?;
        if self.device.as_ref().is_none_or(|(of, _)| *of != domain) {
            let conversion = self.recorder.device_clocks.get(&domain)?;
            self.device = Some((domain, conversion.cursor(0)));
        }
        self.device.as_mut().map(|(_, clock)| clock)
    }

    /// An event with nothing but its place filled in.
    #[inline]
    pub(crate) fn blank(&self, sequence: u64) -> Event {
        Event {
            sequence,
            source: self.source,
            ..Event::BLANK
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
            self.notes.unknown_lane += 1;
            LaneRow::host(owner)
        })
    }

    /// Device records carry no host time: their stream is the newest with the number.
    fn stream(&mut self, number: u16) -> Option<LaneRow> {
        let found = self.recorder.newest_lane(number);
        if found.is_none() {
            self.notes.unknown_lane += 1;
        }
        found
    }

    #[inline]
    pub(crate) fn site(&mut self, id: u32) -> u32 {
        match self.recorder.site(id) {
            Some(index) => index,
            None => self.unknown_site(id),
        }
    }

    #[cold]
    fn unknown_site(&mut self, id: u32) -> u32 {
        let notes = &mut self.notes;
        notes.unknown_site += 1;
        let known = notes.unknown_sites.iter().position(|known| *known == id);
        let at = known.unwrap_or_else(|| {
            notes.unknown_sites.push(id);
            notes.unknown_sites.len() - 1
        });
        UNKNOWN_SITE_BASE | at as u32
    }
}

/// Length of a host record, 0 for moments.
pub(crate) fn duration_ticks(kind: Kind, record: &Record) -> u64 {
    match kind {
        Kind::Span | Kind::Launch | Kind::Wait => record.duration(),
        Kind::SpanLong => record.w[2],
        _ => 0,
    }
}

fn made(bytes: &[u8]) -> Payload {
    let mut payload = [0; MADE_PAYLOAD];
    payload[..bytes.len()].copy_from_slice(bytes);
    Payload::Made(payload, bytes.len())
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

/// True for spans of the host, which may stand open.
pub(crate) fn is_host_span(kind: EventKind) -> bool {
    matches!(kind, EventKind::Span | EventKind::Launch | EventKind::Wait)
}
