//! What bindings for dynamic languages need beside the Rust API; no part of that API. Names are looked up once and
//! kept, payloads come encoded, and tasks take turns on lanes.

use ringscope_ringbuf::block::{Block, LaneKind};
use ringscope_ringbuf::layout::{DURATION_MAX, DropCause, Kind, Record};
use ringscope_ringbuf::payload::{ArgType, payload_word};
use ringscope_ringbuf::reader::pack_duration;
use ringscope_ringbuf::ring::OpenSpan;

use crate::c_abi::Ring;
use crate::config::Config;
use crate::name_table::{self, Name, Use};
use crate::record::Words;
use crate::site::Site;
use crate::span::{close, start_not_shown};
use crate::value::signature;
use crate::{clock, level, process};

/// In place of an open slot's number: the span is not shown while it is open.
pub const NO_SLOT: u32 = crate::payload::NO_SLOT;

/// True when places of this level are recorded; looks at the process's configuration where nobody did.
#[inline(always)]
pub fn is_enabled(level_bit: u64) -> bool {
    level::enabled(level_bit)
}

/// Makes `config` what the process records with should the environment ask for it.
pub fn set_default(config: Config) {
    process::set_default(config);
}

/// Ends this process's recording as `exit` would, and begins one with `config`, in files of its own; false when those
/// can't be made. No thread may be recording meanwhile.
pub fn restart(config: Config) -> bool {
    process::restart(config)
}

/// A name made at run time, looked up once.
#[derive(Clone, Copy)]
pub struct Handle(&'static Name);

/// A place: category, level and a name made at run time. Its arguments all have keys. `None` past the cap on names,
/// which is counted.
pub fn place(site: &'static Site, name: &[u8]) -> Option<Handle> {
    let what = Use::Site {
        site,
        signature: signature(&[]),
        types: &[],
    };
    found(what, name, DropCause::NameCap)
}

/// A place under a name made at run time, with arguments of these types; `None` past the cap on names, which is counted.
pub fn place_of_types(
    site: &'static Site,
    name: &[u8],
    types: &'static [ArgType],
) -> Option<Handle> {
    let what = Use::Site {
        site,
        signature: signature(types),
        types,
    };
    found(what, name, DropCause::NameCap)
}

/// The key of an argument; `None` past the cap on names, which is counted.
pub fn key(text: &[u8]) -> Option<Handle> {
    found(Use::Key, text, DropCause::NameCap)
}

/// The track of this name; `None` past the cap, which is counted.
pub fn track(name: &[u8]) -> Option<Handle> {
    found(Use::Track, name, DropCause::LaneCap)
}

impl Handle {
    /// The number of the name: the same in every process, whose file has to hold the name first.
    #[inline(always)]
    pub fn number(self) -> u32 {
        self.0.number()
    }

    /// The number, when the file of the process of this generation holds the name.
    #[inline(always)]
    pub fn number_in(self, generation: u64) -> Option<u32> {
        self.0.number_in(generation)
    }
}

/// Writes a name to the file of this process, where it has one and the name isn't there.
pub fn publish(handle: Handle) {
    if let Some(process) = process::recording() {
        handle.0.id_in(process);
    }
}

fn found(what: Use, text: &[u8], cap: DropCause) -> Option<Handle> {
    let name = name_table::find(what, text);
    if name.is_none() {
        process::count(cap);
    }
    name.map(Handle)
}

/// The words of a record whose payload is empty.
#[inline(always)]
pub fn plain_words(event: Event) -> ([u64; 3], u64) {
    let duration = pack_duration(event.duration, event.lane);
    let site_and_kind = Record::site_and_kind(event.site, event.kind);
    ([event.start, duration, 0], site_and_kind)
}

/// What a record says beside its payload.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// Kind of the record.
    pub kind: Kind,
    /// Id of its place.
    pub site: u32,
    /// Lane; 0 for the thread's.
    pub lane: u16,
    /// Time or start, in the kind's own unit.
    pub start: u64,
    /// Duration, or what the kind has in its place.
    pub duration: u64,
}

impl Ring {
    /// Id of a name in this process, whose file holds it when this returns.
    #[inline(always)]
    pub fn id(self, handle: Handle) -> u32 {
        handle.0.id_in(self.0.process)
    }

    /// Shows a span that begins now; its slot (or [`NO_SLOT`]) and its start. `word` is w2, `rest` what follows.
    #[inline(always)]
    pub fn open(self, event: (Kind, u32, u16), word: u64, rest: &[u8]) -> (u32, u64) {
        let (kind, site, lane) = event;
        let writer = &self.0.writer;
        let Some(slot) = writer.take_open_slot(site) else {
            return (NO_SLOT, start_not_shown());
        };
        if !rest.is_empty() {
            writer.fill_open_payload(slot, rest.len(), |index| payload_word(rest, index));
        }
        let shown = OpenSpan {
            site_and_kind: Record::site_and_kind(site, kind),
            w2: word,
            lane,
            payload_len: rest.len(),
        };
        (slot, writer.open(slot, shown, clock::ticks))
    }

    /// Closes what [`Ring::open`] opened on this ring, on whatever thread, after its record is written.
    #[inline(always)]
    pub fn close(self, slot: u32) {
        close(self.0, slot);
    }

    /// Writes a record: `word` is w2, `rest` what follows it.
    #[inline(always)]
    pub fn record(self, event: Event, word: u64, rest: &[u8]) {
        let words = Words {
            kind: event.kind,
            site: event.site,
            lane: event.lane,
            start: event.start,
            duration: event.duration,
        };
        if event.duration > DURATION_MAX {
            return self.record_day_long_event(words, word, rest);
        }
        if rest.is_empty() {
            self.0.put_one(words, word);
        } else {
            let next = |index: usize| payload_word(rest, index);
            self.0.put(words, word, rest.len(), next);
        }
    }

    /// A span in ticks has a long form; all others are cut.
    #[cold]
    #[inline(never)]
    fn record_day_long_event(self, words: Words, word: u64, rest: &[u8]) {
        if words.kind == Kind::Span {
            let all = |index: usize| match index.checked_sub(1) {
                None => word,
                Some(index) => payload_word(rest, index),
            };
            return self.0.put_day_long(words, 8 + rest.len(), all);
        }
        let duration = DURATION_MAX;
        let next = |index: usize| payload_word(rest, index);
        self.0
            .put(Words { duration, ..words }, word, rest.len(), next);
    }

    /// Writes a plain record whose slot is reserved and was not free.
    #[cold]
    #[inline(never)]
    pub fn publish_without_room(self, sequence: u64, words: [u64; 3], site_and_kind: u64) {
        if self.0.make_room(sequence, 1) {
            self.0.writer.publish(sequence, words, site_and_kind);
        }
    }

    /// Records a counter's value.
    #[inline]
    pub fn count_up(self, site: u32, lane: u16, value: (ArgType, u64)) {
        let words = Words {
            kind: Kind::Counter,
            site,
            lane,
            start: clock::ticks(),
            duration: 0,
        };
        self.0.record_counter(words, value.0, value.1);
    }

    /// Appends the clock of a device to the process's file.
    pub fn publish_clock_domain(self, id: u32, frequency_hz: u64, name: &[u8]) -> bool {
        self.0.process.append(&Block::ClockDomain {
            id,
            frequency_hz,
            name,
        })
    }

    /// Appends a pair of host and device time to the process's file.
    pub fn publish_anchor(self, domain: u32, before: u64, device: u64, after: u64) -> bool {
        self.0.process.append(&Block::Anchor {
            domain,
            host_before_ticks: before,
            device_ticks: device,
            host_after_ticks: after,
        })
    }

    /// True when both are the same.
    #[inline(always)]
    pub fn is(self, other: Ring) -> bool {
        core::ptr::eq(self.0, other.0)
    }

    /// Shows another span in an open slot, begun at `start`.
    #[inline]
    pub fn reopen(self, slot: u32, site: u32, start: u64) {
        if slot != NO_SLOT {
            let site_and_kind = Record::site_and_kind(site, Kind::Span);
            self.0.writer.reopen(slot, site_and_kind, start);
        }
    }

    /// Shows a longer payload in an open slot.
    pub fn extend_open(self, slot: u32, word: u64, rest: &[u8]) {
        if slot != NO_SLOT {
            let writer = &self.0.writer;
            writer.fill_open_payload(slot, rest.len(), |index| payload_word(rest, index));
            writer.extend_open(slot, word, rest.len());
        }
    }

    /// Generation of the process: what was published in another one has to be again.
    #[inline(always)]
    pub fn generation(self) -> u64 {
        self.0.process.generation
    }
}

/// A lane beside those of threads and tracks.
#[derive(Debug)]
pub struct SharedLane {
    number: u16,
    kind: LaneKind,
    /// Device, stream and clock domain, for streams.
    device: [u32; 3],
    name: Vec<u8>,
    published: u64,
}

impl SharedLane {
    /// A new lane; `None` when all numbers are taken, which is counted.
    pub fn new(kind: LaneKind, name: &[u8], device: [u32; 3]) -> Option<SharedLane> {
        let Some(number) = name_table::new_lane() else {
            process::count(DropCause::LaneCap);
            return None;
        };
        Some(SharedLane {
            number,
            kind,
            device,
            name: name.to_vec(),
            published: 0,
        })
    }

    /// Number of the lane in this process, whose file holds its name when this returns.
    #[inline]
    pub fn number_in(&mut self, ring: Ring) -> u16 {
        if self.published != ring.generation() {
            self.publish(ring);
        }
        self.number
    }

    #[cold]
    fn publish(&mut self, ring: Ring) {
        let [device, stream, clock_domain] = self.device;
        // Also after a failure: one try, or a full disk would cost a system call a record.
        self.published = ring.generation();
        ring.0.process.append(&Block::Lane {
            lane: self.number,
            kind: self.kind,
            generation: 0,
            start_ticks: 0,
            device,
            stream,
            clock_domain,
            name: &self.name,
        });
    }
}
