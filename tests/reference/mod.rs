//! The reference decoder: reads a run in the plainest way there is, to judge the real one.
//!
//! Single-threaded, whole files in memory, a list of everything, integers of 128 bits, no filters and no lanes beyond
//! rows. It shares the file format with the real decoder (`ringscope-ringbuf`) and nothing else. Damage is not its
//! matter: it expects sound files and panics on others.
//!
//! Included by tests with `mod reference;`.

#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "each test that includes this uses a part of it"
)]
#![allow(
    clippy::unwrap_used,
    reason = "a test helper: a file that it can't read fails the test"
)]

mod args;
mod clock;
mod names;
mod pairs;
mod ring;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ringscope_ringbuf::file::{FileKind, FileName};
use ringscope_ringbuf::layout::{DURATION_MAX, Kind, ROLE_SUPERVISOR};
use serde_json::{Map, Value};

use clock::Clock;
use names::{Identity, Names, Stream};
pub use pairs::Arrow;

/// What an event is, in the words of the real decoder's reports.
pub type KindName = &'static str;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Name and id of the process; of a device, those of its process with the device's number.
    pub process: String,
    pub pid: u32,
    /// Name of the thread, track or stream.
    pub track: String,
    pub kind: KindName,
    pub name: String,
    pub category: String,
    /// CLOCK_MONOTONIC, ns.
    pub start_ns: i128,
    /// 0 for moments.
    pub duration_ns: i128,
    /// Values as JSON; `correlation` and the like are the real decoder's additions and not here.
    pub args: Map<String, Value>,
    /// Correlation, flow id, or value of a counter: what w2 holds where it is no payload.
    pub word: Option<u64>,
    /// What ties launches and executions together; 0 for all others. That of a task is its batch's.
    pub correlation: u64,
    identity: Identity,
}

/// A span that had not ended.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenSpan {
    pub pid: u32,
    pub track: String,
    pub name: String,
    pub start_ns: i128,
    pub args: Map<String, Value>,
}

/// Everything in a run.
#[derive(Debug, Default)]
pub struct Decoded {
    pub events: Vec<Event>,
    pub open: Vec<OpenSpan>,
    pub arrows: Vec<Arrow>,
    pub overwritten: u64,
    pub torn: u64,
    pub unknown_kind: u64,
    pub unknown_site: u64,
    /// Device records whose clock nothing ties to the host's.
    pub unplaced: u64,
}

/// Decodes the run in `dir`. Its processes must be dead.
pub fn decode(dir: &Path) -> Decoded {
    let mut names: Vec<FileName> = fs::read_dir(dir)
        .unwrap()
        .filter_map(|entry| FileName::parse(entry.unwrap().file_name().to_str().unwrap()))
        .collect();
    names.sort();
    let of_kind = |kind| names.iter().filter(move |name| name.kind == kind);
    let all: Vec<Names> = of_kind(FileKind::Process)
        .map(|name| Names::read(dir, *name))
        .collect();
    let titles = titles(&all);
    let mut decoded = Decoded::default();
    for process in all.iter().filter(|process| process.role != ROLE_SUPERVISOR) {
        let clock = Clock::of(process, &all);
        for name in of_kind(FileKind::Ring).filter(|name| name.nonce == process.nonce) {
            let ring = ring::read(dir, *name);
            decoded.overwritten += ring.overwritten;
            decoded.torn += ring.torn;
            let mut walk = Walk {
                process,
                titles: &titles,
                clock: &clock,
                ring_index: name.index,
                batch: None,
                out: &mut decoded,
            };
            for record in &ring.records {
                walk.record(record);
            }
            for slot in &ring.open {
                walk.open(slot, &ring);
            }
        }
    }
    pairs::pair(&mut decoded);
    decoded
}

/// Names of processes and threads over all recorders in them: the newest one stands.
struct Titles {
    process: BTreeMap<names::Identity, String>,
    thread: BTreeMap<(names::Identity, u32), String>,
}

fn titles(all: &[Names]) -> Titles {
    let mut by_age: Vec<&Names> = all.iter().collect();
    by_age.sort_by_key(|names| names.created_mono_ns);
    let mut titles = Titles {
        process: BTreeMap::new(),
        thread: BTreeMap::new(),
    };
    let mut threads = Vec::new();
    for names in by_age {
        titles
            .process
            .insert(names.identity.clone(), names.name.clone());
        for owner in &names.owners {
            threads.push((owner.start_ticks, names.identity.clone(), owner));
        }
    }
    threads.sort_by_key(|(start_ticks, ..)| *start_ticks);
    for (_, identity, owner) in threads {
        if !owner.name.is_empty() {
            titles
                .thread
                .insert((identity, owner.tid), owner.name.clone());
        }
    }
    titles
}

/// Device tasks that follow.
#[derive(Clone)]
struct Batch {
    stream: Stream,
    site: u32,
    count: u64,
    correlation: u64,
}

/// A device record with its name.
struct OnDevice {
    stream: Option<Stream>,
    kind: KindName,
    name: String,
    site: u32,
    /// Start and end in ticks.
    times: (i128, i128),
    args: Map<String, Value>,
    word: u64,
    correlation: u64,
}

struct Walk<'a> {
    process: &'a Names,
    titles: &'a Titles,
    clock: &'a Clock,
    ring_index: u32,
    batch: Option<Batch>,
    out: &'a mut Decoded,
}

impl Walk<'_> {
    fn record(&mut self, record: &ring::Whole) {
        if record.after_hole {
            self.batch = None;
        }
        let Some(kind) = Kind::from_u8(record.main.kind_number()) else {
            self.out.unknown_kind += 1;
            return;
        };
        match kind {
            Kind::DeviceSpan => self.device_span(record),
            Kind::DeviceTask => self.device_task(record),
            _ => self.host(kind, record),
        }
    }

    fn host(&mut self, kind: Kind, record: &ring::Whole) {
        let [w0, w1, w2, _] = record.main.w;
        let duration = match kind {
            Kind::Span | Kind::SpanNs | Kind::Launch | Kind::Wait => w1 & DURATION_MAX,
            Kind::SpanLong => w2,
            _ => 0,
        };
        let (start_ns, end_ns, lane_end) = if kind == Kind::SpanNs {
            let (start, end) = (w0 as i128, w0 as i128 + duration as i128);
            (start, end, names::Moment::Ns(end))
        } else {
            let (start, end) = (w0 as i128, w0 as i128 + duration as i128);
            let (start_ns, end_ns) = (self.clock.ns(start), self.clock.ns(end));
            (start_ns, end_ns, names::Moment::Ticks(end))
        };
        let lane = (w1 >> 48) as u16;
        let track = if kind == Kind::DeviceBatch {
            let stream = self.process.newest_stream(lane);
            self.batch = stream.map(|stream| Batch {
                stream,
                site: record.main.site(),
                count: w1 & DURATION_MAX,
                correlation: w2,
            });
            self.thread(record.sequence)
        } else {
            self.track(lane, lane_end, record.sequence)
        };
        let payload_word = kind.payload_starts_in_w2().then_some(w2);
        let mut payload = payload_word.map_or(Vec::new(), |w2| w2.to_le_bytes().to_vec());
        payload.extend_from_slice(&record.payload);
        let args = if matches!(kind, Kind::Counter | Kind::DeviceBatch) {
            Map::new()
        } else {
            args::read(self.process, record.main.site(), &payload)
        };
        let word = (!kind.payload_starts_in_w2() && kind != Kind::SpanLong).then_some(w2);
        let event = Event {
            process: self.titles.process[&self.process.identity].clone(),
            pid: self.process.pid,
            track,
            kind: kind_name(kind),
            name: self.site_name(record.main.site()),
            category: self.category(record.main.site()),
            start_ns,
            duration_ns: end_ns - start_ns,
            args,
            word,
            correlation: if kind == Kind::Launch { w2 } else { 0 },
            identity: self.process.identity.clone(),
        };
        self.out.events.push(event);
    }

    fn device_span(&mut self, record: &ring::Whole) {
        let [w0, w1, w2, _] = record.main.w;
        let stream = self.process.newest_stream((w1 >> 48) as u16);
        let name = self.site_name(record.main.site());
        let end = w0 as i128 + (w1 & DURATION_MAX) as i128;
        self.device(OnDevice {
            stream,
            kind: "device span",
            name,
            site: record.main.site(),
            times: (w0 as i128, end),
            args: args::read(self.process, record.main.site(), &record.payload),
            word: w2,
            correlation: w2,
        });
    }

    fn device_task(&mut self, record: &ring::Whole) {
        let [w0, w1, w2, _] = record.main.w;
        let Some(batch) = self.batch.clone().filter(|batch| batch.count > 0) else {
            return;
        };
        let site = batch.site;
        self.batch = Some(Batch {
            count: batch.count - 1,
            ..batch.clone()
        });
        let name = match self.process.sites.get(&site) {
            Some(site) => site.name.clone(),
            None => format!("unknown site {site}"),
        };
        let end = w0 as i128 + (w1 & 0xFFFF_FFFF) as i128;
        self.device(OnDevice {
            stream: Some(batch.stream),
            kind: "device task",
            name,
            site,
            times: (w0 as i128, end),
            args: Map::new(),
            word: w2,
            correlation: batch.correlation,
        });
    }

    fn device(&mut self, record: OnDevice) {
        let clock = record.stream.as_ref().and_then(|stream| {
            let anchors = self.process.anchors.get(&stream.clock_domain)?;
            let hz = self.process.domains.get(&stream.clock_domain);
            Some(Clock::of_device(
                anchors,
                hz.copied().unwrap_or(0),
                self.clock,
            ))
        });
        let (Some(stream), Some(clock)) = (record.stream, clock) else {
            self.out.unplaced += 1;
            return;
        };
        let (start_ns, end_ns) = (clock.ns(record.times.0), clock.ns(record.times.1));
        let process = &self.titles.process[&self.process.identity];
        let event = Event {
            process: format!("{process} device {}", stream.device),
            pid: self.process.pid,
            track: stream.name,
            kind: record.kind,
            name: record.name,
            category: self.category(record.site),
            start_ns,
            duration_ns: end_ns - start_ns,
            args: record.args,
            word: Some(record.word),
            correlation: record.correlation,
            identity: self.process.identity.clone(),
        };
        self.out.events.push(event);
    }

    fn open(&mut self, slot: &ring::Open, ring: &ring::Ring) {
        let is_recorded = ring.records.iter().any(|record| {
            let is_span = matches!(Kind::from_u8(record.main.kind_number()), Some(kind) if is_host_span(kind));
            is_span
                && record.main.w[0] == slot.start_ticks
                && record.main.site() == slot.site
                && record.main.lane() == slot.lane
        });
        if is_recorded {
            return;
        }
        let name = self.site_name(slot.site);
        let track = self.track(
            slot.lane,
            names::Moment::Ticks(slot.start_ticks as i128),
            u64::MAX,
        );
        self.out.open.push(OpenSpan {
            pid: self.process.pid,
            track,
            name,
            start_ns: self.clock.ns(slot.start_ticks as i128),
            args: args::read(self.process, slot.site, &slot.payload),
        });
    }

    fn site_name(&mut self, id: u32) -> String {
        match self.process.sites.get(&id) {
            Some(site) => site.name.clone(),
            None => {
                self.out.unknown_site += 1;
                format!("unknown site {id}")
            }
        }
    }

    fn category(&self, id: u32) -> String {
        let site = self.process.sites.get(&id);
        site.map_or(String::new(), |site| site.category.clone())
    }

    fn track(&self, lane: u16, end: names::Moment, sequence: u64) -> String {
        let on_lane = self.process.lane_at(lane, end, self.clock);
        on_lane.unwrap_or_else(|| self.thread(sequence))
    }

    fn thread(&self, sequence: u64) -> String {
        let tid = self.process.owner_tid(self.ring_index, sequence);
        let identity = self.process.identity.clone();
        match self.titles.thread.get(&(identity, tid)) {
            Some(name) => name.clone(),
            None => format!("{} {tid}", self.titles.process[&self.process.identity]),
        }
    }
}

fn is_host_span(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Span | Kind::SpanLong | Kind::Launch | Kind::Wait
    )
}

fn kind_name(kind: Kind) -> KindName {
    match kind {
        Kind::Span | Kind::SpanNs | Kind::SpanLong => "span",
        Kind::Instant => "instant",
        Kind::Counter => "counter",
        Kind::FlowOut => "flow out",
        Kind::FlowIn => "flow in",
        Kind::AsyncBegin => "async begin",
        Kind::AsyncEnd => "async end",
        Kind::Launch => "launch",
        Kind::Wait => "wait",
        Kind::DeviceBatch => "device batch",
        Kind::DeviceSpan => "device span",
        Kind::DeviceTask => "device task",
        Kind::Continuation => "continuation",
    }
}
