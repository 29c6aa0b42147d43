//! Writes runs as recorders do, through the public interface of `ringscope-ringbuf` alone.

#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "each test file uses a part of this"
)]

pub mod memory;

use std::cell::RefCell;
use std::ffi::CString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use ringscope_decode::{Limits, Options, Order, Run, Timeline, chrome};
use ringscope_ringbuf::block::{Arg, Args, Block, ClockPair, PairSource, Site};
use ringscope_ringbuf::clock::ClockSource;
use ringscope_ringbuf::file::{
    FileKind, FileName, file_start, seal_process_header, segments_header,
};
use ringscope_ringbuf::layout::*;
use ringscope_ringbuf::map::MappedRing;
use ringscope_ringbuf::payload::{ArgType, payload_word, put_text};
use ringscope_ringbuf::reader::pack_duration;
use ringscope_ringbuf::ring::{OpenSpan, Writer};
use serde_json::Value as Json;
use tempfile::TempDir;
use zerocopy::{FromZeros, IntoBytes};

/// CLOCK_MONOTONIC of tick 0 in test runs, and the length of a tick.
pub const MONO_ZERO_NS: u64 = 1_000_000_000;
pub const EPOCH_OFFSET_NS: u64 = 1_700_000_000_000_000_000;

/// Ticks of 10 ns, from [`MONO_ZERO_NS`] on.
pub fn pair_at(ticks: u64) -> ClockPair {
    let mono_ns = MONO_ZERO_NS + ticks * 10;
    ClockPair {
        ticks,
        mono_ns,
        real_ns: EPOCH_OFFSET_NS + mono_ns,
        uncertainty_ns: 20,
        source: PairSource::Start as u32,
    }
}

pub struct TestRun {
    pub dir: TempDir,
}

impl TestRun {
    pub fn new() -> TestRun {
        TestRun {
            dir: TempDir::new().unwrap(),
        }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A process that started at tick 0.
    pub fn process(&self, pid: u32, nonce: u64) -> TestProcess {
        let mut header = ProcessHeader::new_zeroed();
        header.start = file_start(nonce, pid, 0, 0);
        header.role = ROLE_PROCESS.into();
        header.start_time = (1000 + pid as u64).into();
        header.pid_namespace = 7.into();
        header.boot_id = [9; 16];
        header.created_mono_ns = MONO_ZERO_NS.into();
        header.created_real_ns = (EPOCH_OFFSET_NS + MONO_ZERO_NS).into();
        header.clock_source = (ClockSource::Tsc as u32).into();
        header.rank = (-1).into();
        header.mode = MODE_FLIGHT.into();
        header.level = LEVEL_ALL.into();
        header.host[..4].copy_from_slice(b"host");
        header.stem[..4].copy_from_slice(b"stem");
        let process = TestProcess {
            dir: self.path().to_owned(),
            header,
            pid,
            nonce,
            blocks: RefCell::new(Vec::new()),
            lock: RefCell::new(LockPage::new_zeroed()),
        };
        process.block(&Block::ClockPair(pair_at(0)));
        process.block(&Block::ClockPair(pair_at(100_000_000)));
        process
    }

    pub fn open(&self) -> Run {
        Run::open(self.path(), &Limits::default()).unwrap()
    }

    pub fn timeline(&self) -> Timeline {
        self.timeline_with(&Options::default())
    }

    pub fn timeline_with(&self, options: &Options) -> Timeline {
        Timeline::build(&[self.open()], options).unwrap()
    }
}

pub fn trace_bytes(timeline: &Timeline, order: Order) -> Vec<u8> {
    let mut out = Vec::new();
    chrome::write(timeline, order, &mut out, &|_| {}).unwrap();
    out
}

/// The trace, read back by a strict parser.
pub fn trace(timeline: &Timeline) -> Json {
    serde_json::from_slice(&trace_bytes(timeline, Order::Time)).unwrap()
}

/// Events of a trace without the metadata ones.
pub fn events(trace: &Json) -> Vec<Json> {
    let events = trace["traceEvents"].as_array().unwrap();
    events.iter().filter(|e| e["ph"] != "M").cloned().collect()
}

pub fn named<'a>(events: &'a [Json], name: &str) -> Vec<&'a Json> {
    events
        .iter()
        .filter(|event| event["name"] == name)
        .collect()
}

pub struct TestProcess {
    dir: PathBuf,
    pub header: ProcessHeader,
    pub pid: u32,
    pub nonce: u64,
    blocks: RefCell<Vec<u8>>,
    pub lock: RefCell<LockPage>,
}

impl TestProcess {
    pub fn path(&self, kind: FileKind, index: u32) -> PathBuf {
        let name = FileName {
            pid: self.pid,
            nonce: self.nonce,
            index,
            kind,
        };
        self.dir.join(name.to_string())
    }

    pub fn block(&self, block: &Block<'_>) {
        let mut bytes = vec![0; 128 << 10];
        let len = block.encode(&mut bytes).unwrap();
        self.blocks.borrow_mut().extend_from_slice(&bytes[..len]);
    }

    pub fn named(mut self, name: &str) -> TestProcess {
        self.header.process_name[..name.len()].copy_from_slice(name.as_bytes());
        self
    }

    pub fn site(&self, id: u32, name: &str, category: &str, args: &[(&str, ArgType)]) {
        self.site_with(id, name.as_bytes(), category, 1, args, &[]);
    }

    pub fn site_with(
        &self,
        id: u32,
        name: &[u8],
        category: &str,
        level: u8,
        args: &[(&str, ArgType)],
        constants: &[Arg<'_>],
    ) {
        let args: Vec<Arg<'_>> = args
            .iter()
            .map(|(key, arg_type)| Arg {
                key: key.as_bytes(),
                arg_type: *arg_type,
                value: &[],
            })
            .collect();
        self.block(&Block::Site(Site {
            id,
            level,
            run_time: false,
            line: 1,
            name,
            category: category.as_bytes(),
            file: b"test.rs",
            args: Args::List(&args),
            constants: Args::List(constants),
        }));
    }

    pub fn owner(&self, ring_index: u32, tid: u32, first_sequence: u64, ticks: u64, name: &str) {
        self.block(&Block::Owner {
            ring_index,
            tid,
            first_sequence,
            start_ticks: ticks,
            name: name.as_bytes(),
        });
    }

    /// A device clock of 20 ns a tick, which was at zero when the host's was.
    pub fn device_clock(&self, domain: u32) {
        self.clock_domain(domain, 50_000_000);
        self.anchor(domain, [0, 0, 0]);
    }

    /// A device clock that nothing ties to the host's.
    pub fn clock_domain(&self, id: u32, frequency_hz: u64) {
        self.block(&Block::ClockDomain {
            id,
            frequency_hz,
            name: b"sys_cnt",
        });
    }

    /// Ties a device clock to the host's: ticks of the host before, of the device, of the host after.
    pub fn anchor(&self, domain: u32, ticks: [u64; 3]) {
        let [host_before_ticks, device_ticks, host_after_ticks] = ticks;
        self.block(&Block::Anchor {
            domain,
            host_before_ticks,
            device_ticks,
            host_after_ticks,
        });
    }

    /// Gives a lane to a stream of a device.
    pub fn stream(&self, lane: u16, place: (u32, u32), domain: u32, name: &str) {
        self.block(&Block::stream(lane, place, domain, name.as_bytes()));
    }

    pub fn ring(&self, index: u32, capacity_log2: u32, tid: u32) -> TestRing {
        self.ring_from(index, capacity_log2, tid, 0)
    }

    pub fn ring_from(&self, index: u32, capacity_log2: u32, tid: u32, base: u64) -> TestRing {
        let mut header = RingHeader::new_zeroed();
        header.start = file_start(self.nonce, self.pid, index, RECORD_LEN);
        header.capacity_log2 = capacity_log2.into();
        header.open_slot_count = 8.into();
        header.open_slot_len = (OPEN_SLOT_LEN as u32).into();
        header.mode = MODE_FLIGHT.into();
        header.base_sequence = base.into();
        header.created_mono_ns = MONO_ZERO_NS.into();
        header.clock_source = self.header.clock_source;
        header.tid = tid.into();
        let path = self.path(FileKind::Ring, index);
        let c_path = CString::new(path.as_os_str().as_encoded_bytes()).unwrap();
        let map = MappedRing::create(&c_path, &header).unwrap();
        // SAFETY: the mapping lives for ever and this writer is the only one.
        let writer = unsafe { Writer::new(map.memory(), capacity_log2, 8, 1) };
        TestRing {
            path,
            map,
            writer,
            nonce: self.nonce,
            pid: self.pid,
            index,
        }
    }

    pub fn drops(&self, cause: DropCause, count: u64) {
        self.lock.borrow_mut().drops[cause as usize] = count.into();
    }

    /// Writes process and lock file of a process that is dead.
    pub fn finish(&self) {
        let mut bytes = seal_process_header(&self.header).to_vec();
        bytes.extend_from_slice(&self.blocks.borrow());
        fs::write(self.path(FileKind::Process, 0), bytes).unwrap();
        let mut page = self.lock.borrow_mut();
        page.start = file_start(self.nonce, self.pid, 0, 0);
        page.start.magic = LOCK_MAGIC;
        let crc = header_crc(&page.as_bytes()[..LOCK_STATIC_LEN]);
        page.start.crc32 = crc.into();
        let mut bytes = page.as_bytes().to_vec();
        bytes.resize(LOCK_FILE_LEN, 0);
        fs::write(self.path(FileKind::Lock, 0), bytes).unwrap();
    }

    /// As [`TestProcess::finish`], of a process that ended by `exit` at this tick.
    pub fn finish_cleanly(&self, ticks: u64) {
        let pair = pair_at(ticks);
        let mut page = self.lock.borrow_mut();
        page.end_state = END_CLEAN.into();
        page.end_ticks = pair.ticks.into();
        page.end_mono_ns = pair.mono_ns.into();
        page.end_real_ns = pair.real_ns.into();
        page.end_uncertainty_ns = (pair.uncertainty_ns as u64).into();
        drop(page);
        self.finish();
    }
}

pub struct TestRing {
    pub path: PathBuf,
    map: MappedRing,
    pub writer: Writer,
    nonce: u64,
    pid: u32,
    index: u32,
}

impl TestRing {
    /// Writes a record with continuations for `more`; its sequence.
    pub fn put(&self, kind: Kind, site: u32, words: [u64; 3], more: &[u8]) -> u64 {
        self.put_number(kind as u8, site, words, more)
    }

    pub fn put_number(&self, kind: u8, site: u32, words: [u64; 3], more: &[u8]) -> u64 {
        let slots = 1 + more.len().div_ceil(CONTINUATION_PAYLOAD) as u64;
        let sequence = self.writer.reserve(slots);
        if !more.is_empty() {
            let word = |index: usize| payload_word(more, index);
            self.writer
                .publish_continuations(sequence + 1, more.len(), word);
        }
        let site_and_kind = site as u64 | (kind as u64) << KIND_SHIFT;
        self.writer.publish(sequence, words, site_and_kind);
        sequence
    }

    pub fn span(&self, site: u32, start: u64, end: u64) -> u64 {
        self.span_on(site, 0, start, end, &[])
    }

    /// A span whose payload is split between w2 and continuations.
    pub fn span_on(&self, site: u32, lane: u16, start: u64, end: u64, payload: &[u8]) -> u64 {
        let (w2, more) = split_payload(payload);
        let w1 = pack_duration(end - start, lane);
        self.put(Kind::Span, site, [start, w1, w2], more)
    }

    pub fn instant(&self, site: u32, at: u64) -> u64 {
        self.put(Kind::Instant, site, [at, 0, 0], &[])
    }

    /// Reserves a record and dies.
    pub fn torn(&self, slots: u64) {
        self.writer.reserve(slots);
    }

    pub fn open_span(&self, site: u32, lane: u16, start: u64, payload: &[u8]) -> Option<u32> {
        self.open(Kind::Span, site, lane, start, payload)
    }

    /// A launch that never came back.
    pub fn open_launch(&self, site: u32, start: u64, correlation: u64) -> Option<u32> {
        self.open(Kind::Launch, site, 0, start, &correlation.to_le_bytes())
    }

    fn open(&self, kind: Kind, site: u32, lane: u16, start: u64, payload: &[u8]) -> Option<u32> {
        let (w2, more) = split_payload(payload);
        let span = OpenSpan {
            site_and_kind: Record::site_and_kind(site, kind),
            w2,
            lane,
            payload_len: more.len(),
        };
        let slot = self.writer.take_open_slot(site)?;
        let word = |index: usize| payload_word(more, index);
        self.writer.fill_open_payload(slot, more.len(), word);
        self.writer.open(slot, span, || start);
        Some(slot)
    }

    /// Appends the records of these sequences, which must stand in the ring, to a segment file.
    pub fn save(&self, kind: FileKind, number: u32, sequences: std::ops::Range<u64>) {
        let path = self.path.with_extension(kind.extension());
        let capacity_log2 = self.map.capacity_log2();
        let mut file = fs::OpenOptions::new();
        let mut file = file.create(true).append(true).open(&path).unwrap();
        if file.metadata().unwrap().len() == 0 {
            let writer = match kind {
                FileKind::Drain => SEGMENTS_BY_SUPERVISOR,
                _ => SEGMENTS_BY_THREAD,
            };
            let header = segments_header(self.nonce, self.pid, self.index, capacity_log2, writer);
            file.write_all(&header).unwrap();
        }
        let offset = file.metadata().unwrap().len();
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        self.map
            .write_segment(&file, offset, number, sequences)
            .unwrap();
    }

    pub fn header_len(&self) -> u64 {
        ring_header_len(8) as u64
    }
}

/// The first eight bytes as a word, and the rest.
pub fn split_payload(payload: &[u8]) -> (u64, &[u8]) {
    let mut first = [0; 8];
    let len = payload.len().min(8);
    first[..len].copy_from_slice(&payload[..len]);
    (u64::from_le_bytes(first), &payload[len..])
}

/// A payload, built value by value.
#[derive(Default)]
pub struct Payload(pub Vec<u8>);

impl Payload {
    pub fn u64(mut self, value: u64) -> Payload {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub fn bool(mut self, value: bool) -> Payload {
        self.0.push(value as u8);
        self
    }

    pub fn text(mut self, text: &[u8]) -> Payload {
        self.text_cut_to(text, text.len() + 2);
        self
    }

    /// Text with as much room as `room` bytes.
    pub fn text_cut_to(&mut self, text: &[u8], room: usize) {
        let len = self.0.len();
        self.0.resize(len + room, 0);
        let (end, _) = put_text(&mut self.0, len, text).unwrap();
        self.0.truncate(end);
    }

    pub fn late(mut self, key: u32, arg_type: ArgType) -> Payload {
        self.0.extend_from_slice(&key.to_le_bytes());
        self.0.push(arg_type as u8);
        self
    }
}
