//! Rings of the golden run, written by the shipped writer, and the segments saved from them.

use std::ffi::CString;
use std::fs;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use ringscope_ringbuf::clock::ClockSource;
use ringscope_ringbuf::file::{FileKind, FileName, file_start, segments_header};
use ringscope_ringbuf::layout::{
    CONTINUATION_PAYLOAD, Kind, MIN_CAPACITY_LOG2, OPEN_SLOT_LEN, RECORD_LEN, RING_DRAINED_OFFSET,
    Record, RingHeader,
};
use ringscope_ringbuf::map::MappedRing;
use ringscope_ringbuf::payload::payload_word;
use ringscope_ringbuf::ring::{OpenSpan, Writer};
use serde_json::{Value, json};

use super::clock::mono_ns;
use super::entry::{Entry, split_payload};
use super::site::{Datum, Place};

/// Open slots of every golden ring.
const OPEN_SLOTS: usize = 4;
const CAPACITY: u64 = 1 << MIN_CAPACITY_LOG2;

/// Which ring, of whom, and when it was made.
pub(crate) struct Identity {
    pub(crate) pid: u32,
    pub(crate) nonce: u64,
    pub(crate) index: u32,
    pub(crate) base_sequence: u64,
    pub(crate) created_ticks: u64,
    pub(crate) tid: u32,
    pub(crate) mode: u32,
}

/// A ring being written, with a memory of what went in.
pub(crate) struct Ring {
    identity: Identity,
    path: PathBuf,
    map: MappedRing,
    writer: Writer,
    /// Sequence, slots and meaning of every record published.
    published: Vec<(u64, u64, Option<Value>)>,
    owners: Vec<Value>,
    tid: u32,
    reserved_records: u64,
    torn: u64,
    saved: Vec<Range<u64>>,
    open_spans: Vec<Value>,
}

impl Ring {
    pub(crate) fn create(dir: &Path, identity: Identity) -> Ring {
        let header = RingHeader {
            start: file_start(identity.nonce, identity.pid, identity.index, RECORD_LEN),
            capacity_log2: MIN_CAPACITY_LOG2.into(),
            open_slot_count: (OPEN_SLOTS as u32).into(),
            open_slot_len: (OPEN_SLOT_LEN as u32).into(),
            mode: identity.mode.into(),
            base_sequence: identity.base_sequence.into(),
            created_ticks: identity.created_ticks.into(),
            created_mono_ns: mono_ns(identity.created_ticks).into(),
            clock_source: (ClockSource::Tsc as u32).into(),
            tid: identity.tid.into(),
            reserved: [0; 24],
        };
        let path = dir.join(file_name(&identity, FileKind::Ring));
        let c_path = CString::new(path.as_os_str().as_bytes()).expect("no NUL in a path");
        let map = MappedRing::create(&c_path, &header).expect("the ring can be created");
        // SAFETY: the mapping is never unmapped, was made for this capacity and these open slots, and has no
        // other writer: its file is new.
        let writer = unsafe { Writer::new(map.memory(), MIN_CAPACITY_LOG2, OPEN_SLOTS, 1) };
        Ring {
            tid: identity.tid,
            identity,
            path,
            map,
            writer,
            published: Vec::new(),
            owners: Vec::new(),
            reserved_records: 0,
            torn: 0,
            saved: Vec::new(),
            open_spans: Vec::new(),
        }
    }

    /// From here on the records are this thread's; `name` is what readers call it.
    pub(crate) fn pass_to(&mut self, tid: u32, name: &str) {
        self.tid = tid;
        let first = self.writer.next_sequence();
        self.owners
            .push(json!({ "tid": tid, "name": name, "first_sequence": first }));
    }

    /// Writes a record; its sequence.
    pub(crate) fn write(&mut self, entry: Entry) -> u64 {
        let slots = 1 + entry.tail.len().div_ceil(CONTINUATION_PAYLOAD) as u64;
        let sequence = self.writer.reserve(slots);
        self.publish(sequence, slots, entry);
        sequence
    }

    /// Writes records that must stand one behind the other.
    pub(crate) fn write_together(&mut self, entries: Vec<Entry>) {
        let first = self.writer.reserve_many(entries.len() as u64);
        for (sequence, entry) in (first..).zip(entries) {
            assert!(entry.tail.is_empty());
            self.publish(sequence, 1, entry);
        }
    }

    fn publish(&mut self, sequence: u64, slots: u64, entry: Entry) {
        if !entry.tail.is_empty() {
            let word = |index: usize| payload_word(&entry.tail, index);
            self.writer
                .publish_continuations(sequence + 1, entry.tail.len(), word);
        }
        self.writer
            .publish(sequence, entry.words, entry.site_and_kind);
        let meaning = entry.meaning.map(|mut meaning| {
            meaning.insert("sequence".into(), sequence.into());
            meaning.insert("slots".into(), slots.into());
            meaning.insert("tid".into(), self.tid.into());
            Value::Object(meaning)
        });
        self.published.push((sequence, slots, meaning));
        self.reserved_records += 1;
    }

    /// Reserves a record and dies before it is written.
    pub(crate) fn tear(&mut self, slots: u64) {
        self.writer.reserve(slots);
        self.reserved_records += 1;
        self.torn += 1;
    }

    /// Enters a span and never leaves it; its open slot.
    pub(crate) fn open(&mut self, place: &Place, start: u64, lane: u16, data: &[Datum]) -> u32 {
        let (payload, args) = place.arguments(data);
        let (w2, tail) = split_payload(&payload);
        let site_and_kind = Record::site_and_kind(place.id, Kind::Span);
        let span = OpenSpan {
            site_and_kind,
            w2,
            lane,
            payload_len: tail.len(),
        };
        let slot = self
            .writer
            .take_open_slot(self.open_spans.len() as u32)
            .expect("an open slot is free");
        let word = |index: usize| payload_word(&tail, index);
        self.writer.fill_open_payload(slot, tail.len(), word);
        self.writer.open(slot, span, || start);
        self.open_spans.push(json!({ "slot": slot, "name": place.name, "category": place.category,
            "tid": self.tid, "lane": lane, "start_ticks": start, "start_ns": mono_ns(start), "args": args }));
        slot
    }

    /// Leaves a span that [`Ring::open`] entered.
    pub(crate) fn close(&mut self, slot: u32) {
        self.writer.close(slot);
        self.open_spans.retain(|span| span["slot"] != slot);
    }

    pub(crate) fn next_sequence(&self) -> u64 {
        self.writer.next_sequence()
    }

    /// Saves segments the way the supervisor does, or the thread itself, and says so in the ring. The last segment
    /// may lack records: its writer died. To be called while all of the ranges stand in the ring.
    pub(crate) fn save(
        &mut self,
        kind: FileKind,
        writer: u32,
        ranges: &[Range<u64>],
        lacking: u64,
    ) {
        let Identity {
            pid, nonce, index, ..
        } = self.identity;
        let path = self.path.with_file_name(file_name(&self.identity, kind));
        let header = segments_header(nonce, pid, index, MIN_CAPACITY_LOG2, writer);
        fs::write(&path, header).expect("the segment file can be written");
        let file = fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .expect("it is there");
        let mut end = header.len() as u64;
        for (number, range) in (0..).zip(ranges) {
            let written = self.map.write_segment(&file, end, number, range.clone());
            end += written.expect("the segment can be written");
            self.saved.push(range.clone());
        }
        if let (true, Some(cut)) = (lacking > 0, self.saved.last_mut()) {
            let there = cut.end - cut.start;
            file.set_len(end - lacking * RECORD_LEN as u64)
                .expect("the file can be cut");
            cut.end = cut.start + there - lacking;
        }
        let saved_to = self.saved.last().map_or(0, |range| range.end);
        if kind == FileKind::Spill {
            self.map.set_spilled(saved_to);
        } else {
            let ring = fs::OpenOptions::new()
                .write(true)
                .open(&self.path)
                .expect("it is there");
            let words = [
                saved_to.to_le_bytes(),
                mono_ns(super::clock::LATE_TICKS).to_le_bytes(),
            ];
            ring.write_all_at(words.as_flattened(), RING_DRAINED_OFFSET as u64)
                .expect("the ring can be written");
        }
    }

    /// What a reader of the run finds: the records that are still somewhere, and how many are not.
    pub(crate) fn meaning(&self) -> Value {
        let head = self.writer.next_sequence();
        let in_ring = head
            .saturating_sub(CAPACITY)
            .max(self.identity.base_sequence)..head;
        let is_present = |first: u64, slots: u64| {
            (first..first + slots).all(|sequence| {
                in_ring.contains(&sequence) || self.saved.iter().any(|r| r.contains(&sequence))
            })
        };
        let present: Vec<_> = self
            .published
            .iter()
            .filter(|(first, slots, _)| is_present(*first, *slots))
            .collect();
        let records: Vec<_> = present
            .iter()
            .filter_map(|(_, _, meaning)| meaning.clone())
            .collect();
        json!({
            "nonce": format!("{:016x}", self.identity.nonce),
            "index": self.identity.index,
            "capacity": CAPACITY,
            "base_sequence": self.identity.base_sequence,
            "next_sequence": head,
            "owners": self.owners,
            "reserved": self.reserved_records,
            "overwritten": self.reserved_records - present.len() as u64 - self.torn,
            "torn": self.torn,
            "unknown_kind": present.len() - records.len(),
            "open_spans": self.open_spans,
            "records": records,
        })
    }
}

fn file_name(identity: &Identity, kind: FileKind) -> String {
    let Identity {
        pid, nonce, index, ..
    } = *identity;
    FileName {
        pid,
        nonce,
        index,
        kind,
    }
    .to_string()
}
