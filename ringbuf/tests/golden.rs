//! The golden run of format version 1: the generator still writes its bytes, and reading it through this crate
//! explains every byte and finds what `expected.json` says.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ringscope_ringbuf::block::{Block, Site, blocks};
use ringscope_ringbuf::file::{
    FileKind, FileName, LockFile, ProcessFile, RingFile, SegmentFile, seal_process_header,
    segment_header, segments_header,
};
use ringscope_ringbuf::layout::*;
use ringscope_ringbuf::payload::{ArgType, Value, take_late, take_value};
use ringscope_ringbuf::reader::{OpenState, copy_published};
use serde_json::{Value as Json, json};
use zerocopy::IntoBytes;

#[allow(dead_code, reason = "its `main` is for the example")]
#[path = "../examples/golden/main.rs"]
mod generator;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/v1")
}

fn run_files() -> Vec<(FileName, PathBuf)> {
    let mut files: Vec<_> = fs::read_dir(golden().join("every-kind"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter_map(|path| {
            let name = FileName::parse(path.file_name().unwrap().to_str().unwrap());
            name.map(|name| (name, path))
        })
        .collect();
    files.sort();
    files
}

fn expected() -> Json {
    serde_json::from_slice(&fs::read(golden().join("expected.json")).unwrap()).unwrap()
}

fn files_of(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let bytes = fs::read(&path).unwrap();
            (path.file_name().unwrap().into(), bytes)
        })
        .collect()
}

#[test]
fn the_generator_writes_the_committed_bytes() {
    let fresh = tempfile::tempdir().unwrap();
    generator::write(fresh.path()).unwrap();
    let (new, old) = (fresh.path().join("every-kind"), golden().join("every-kind"));
    assert!(
        files_of(&new) == files_of(&old),
        "the run differs: {} and {}",
        fresh.keep().display(),
        old.display()
    );
}

#[test]
fn the_generator_writes_the_committed_meaning() {
    let fresh = tempfile::tempdir().unwrap();
    generator::write(fresh.path()).unwrap();
    let text = fs::read(fresh.path().join("expected.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Json>(&text).unwrap(), expected());
}

/// Checks that `bytes` is zero except in the ranges that `explained` lists, and takes those as given.
fn assert_explained(bytes: &[u8], explained: &[(usize, Vec<u8>)], what: &Path) {
    let mut rebuilt = vec![0; bytes.len()];
    for (offset, part) in explained {
        rebuilt[*offset..offset + part.len()].copy_from_slice(part);
    }
    let differs = bytes.iter().zip(&rebuilt).position(|(a, b)| a != b);
    assert_eq!(
        differs,
        None,
        "{}: this byte is not explained",
        what.display()
    );
}

#[test]
fn every_byte_of_the_process_files_is_header_block_or_hole() {
    let mut kinds = Vec::new();
    for (name, path) in run_files() {
        if name.kind != FileKind::Process {
            continue;
        }
        let file = ProcessFile::read(&path, 1 << 20).unwrap();
        let mut explained = vec![(0, seal_process_header(&file.header).to_vec())];
        let mut damaged = 0;
        for found in blocks(&file.body, &mut damaged) {
            let at = PROCESS_HEADER_LEN + found.offset;
            let bytes = match found.block {
                Ok(block) => {
                    kinds.push(block.kind() as u16);
                    let mut buffer = vec![0; MAX_BLOCK_LEN];
                    let len = block.encode(&mut buffer).unwrap();
                    buffer[..len].to_vec()
                }
                // The one block of a later version: header, "later" and its padding.
                Err(_) => file.body[found.offset..found.offset + 24].to_vec(),
            };
            explained.push((at, bytes));
        }
        assert_eq!(damaged, 0);
        assert_explained(&fs::read(&path).unwrap(), &explained, &path);
    }
    kinds.sort();
    kinds.dedup();
    assert_eq!(kinds, (1..=16).collect::<Vec<u16>>());
}

#[test]
fn every_byte_of_the_lock_files_is_in_the_page() {
    for (name, path) in run_files() {
        if name.kind == FileKind::Lock {
            let page = LockFile::read(&path).unwrap().page;
            let bytes = fs::read(&path).unwrap();
            assert_eq!(bytes.len(), LOCK_FILE_LEN);
            assert_explained(&bytes, &[(0, page.as_bytes().to_vec())], &path);
        }
    }
}

#[test]
fn every_byte_of_the_rings_is_header_word_slot_or_record() {
    for (name, path) in run_files() {
        if name.kind != FileKind::Ring {
            continue;
        }
        let ring = RingFile::open(&path).unwrap();
        let state = ring.state().unwrap();
        let bytes = fs::read(&path).unwrap();
        let word = |offset: usize, value: u64| (offset, value.to_le_bytes().to_vec());
        let head = state.head.sequence | u64::from(state.head.records_mod) << SEQUENCE_BITS;
        let mut explained = vec![
            (0, ring.header.as_bytes().to_vec()),
            word(RING_HEAD_OFFSET, head),
            word(RING_CONTINUATIONS_OFFSET, state.continuations),
            word(RING_SPILLED_OFFSET, state.spilled),
            word(RING_DRAINED_OFFSET, state.drained),
            (
                RING_DRAIN_ALIVE_OFFSET,
                bytes[RING_DRAIN_ALIVE_OFFSET..][..8].to_vec(),
            ),
        ];
        let slots = ring.header.open_slot_count.get() as usize;
        let open = RING_OPEN_SLOTS_OFFSET..RING_OPEN_SLOTS_OFFSET + slots * OPEN_SLOT_LEN;
        explained.push((open.start, bytes[open].to_vec()));
        let (capacity, log2) = (ring.capacity(), ring.capacity_log2());
        let records_at = ring_header_len(slots);
        for sequence in state.head.sequence.saturating_sub(capacity)..state.head.sequence {
            let mut record = [Record::default()];
            ring.read_slots(sequence % capacity, &mut record).unwrap();
            // Torn: what stands there is the record of one lap before.
            let is_stale = sequence >= capacity && record[0].is_stamped(sequence - capacity, log2);
            let is_published = record[0].is_stamped(sequence, log2);
            let offset = records_at + (sequence % capacity) as usize * RECORD_LEN;
            if is_stale || is_published {
                explained.push((offset, bytemuck::bytes_of(&record[0]).to_vec()));
            }
        }
        assert_explained(&bytes, &explained, &path);
    }
}

#[test]
fn every_byte_of_the_segment_files_is_header_or_record() {
    let mut cut = 0;
    for (name, path) in run_files() {
        let writer = match name.kind {
            FileKind::Drain => SEGMENTS_BY_SUPERVISOR,
            FileKind::Spill => SEGMENTS_BY_THREAD,
            _ => continue,
        };
        let file = SegmentFile::open(&path).unwrap();
        let header = segments_header(name.nonce, name.pid, name.index, MIN_CAPACITY_LOG2, writer);
        let bytes = fs::read(&path).unwrap();
        let mut explained = vec![(0, header.to_vec())];
        for segment in &file.segments {
            let mut records = vec![Record::default(); segment.record_count as usize];
            file.read_records(segment, 0, &mut records).unwrap();
            for (sequence, record) in (segment.base_sequence..).zip(&records) {
                assert!(record.is_stamped(sequence, file.capacity_log2()));
            }
            let at = segment.offset as usize;
            // The writer of the last segment of the drained ring died two records early.
            let ends_early = file.damaged_at == Some(segment.offset + segment.record_count * 32);
            cut += u64::from(ends_early);
            let promised = segment.record_count + if ends_early { 2 } else { 0 };
            let header = segment_header(segment.number, segment.base_sequence, promised);
            explained.push((at - RECORD_LEN, header.to_vec()));
            explained.push((at, bytemuck::cast_slice(&records).to_vec()));
        }
        assert_explained(&bytes, &explained, &path);
    }
    assert_eq!(cut, 1);
}

/// Every published slot of a ring, wherever it is kept.
fn slots_of(pid: u32, nonce: u64, index: u32) -> BTreeMap<u64, Record> {
    let path = |kind| {
        golden().join("every-kind").join(
            FileName {
                pid,
                nonce,
                index,
                kind,
            }
            .to_string(),
        )
    };
    let mut slots = BTreeMap::new();
    for kind in [FileKind::Drain, FileKind::Spill] {
        let Ok(file) = SegmentFile::open(&path(kind)) else {
            continue;
        };
        for segment in &file.segments {
            let mut records = vec![Record::default(); segment.record_count as usize];
            file.read_records(segment, 0, &mut records).unwrap();
            slots.extend((segment.base_sequence..).zip(records));
        }
    }
    let ring = RingFile::open(&path(FileKind::Ring)).unwrap();
    let mut records = Vec::new();
    let log2 = ring.capacity_log2();
    let range = copy_published(&mut &ring, 0..SEQUENCE_MASK, log2, &mut records).unwrap();
    slots.extend(
        range
            .zip(records)
            .filter(|(_, record)| *record != Record::default()),
    );
    slots
}

fn json_of(value: Value<'_>) -> Json {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    match value {
        Value::I64(value) => json!(value),
        Value::U64(value) => json!(value),
        Value::F64(value) => json!(value),
        Value::Bool(value) => json!(value),
        Value::Str { bytes, full_len } if full_len == bytes.len() => json!(text(bytes)),
        Value::Str { bytes, full_len } => json!({ "kept": text(bytes), "full_len": full_len }),
        Value::Json { bytes, .. } => serde_json::from_slice(bytes).unwrap(),
        Value::Hex(value) => json!(format!("{value:#x}")),
        Value::Null => Json::Null,
    }
}

/// The constant, carried and late arguments of a payload.
fn args_of(site: &Site<'_>, mut payload: &[u8]) -> Json {
    let mut args = serde_json::Map::new();
    let key = |key: &[u8]| String::from_utf8(key.to_vec()).unwrap();
    for arg in site.constants.iter() {
        let mut value = arg.value;
        args.insert(
            key(arg.key),
            json_of(take_value(&mut value, arg.arg_type).unwrap()),
        );
    }
    for arg in site.args.iter() {
        args.insert(
            key(arg.key),
            json_of(take_value(&mut payload, arg.arg_type).unwrap()),
        );
    }
    while let Some((id, value)) = take_late(&mut payload) {
        assert_eq!(id, 1, "the only key of the run");
        args.insert("tokens".into(), json_of(value));
    }
    Json::Object(args)
}

/// Checks one expected record against the slots that hold it.
fn assert_record(expected: &Json, slots: &BTreeMap<u64, Record>, site: Option<&Site<'_>>) {
    let sequence = expected["sequence"].as_u64().unwrap();
    let record = slots[&sequence];
    let tail = (sequence + 1..sequence + expected["slots"].as_u64().unwrap())
        .flat_map(|s| slots[&s].continuation_payload());
    let kind = Kind::from_u8(record.kind_number()).unwrap();
    assert_eq!(
        generator::entry::kind_name(kind),
        expected["kind"],
        "{expected}"
    );
    for (key, word) in [
        ("start_ticks", record.w[0]),
        ("ticks", record.w[0]),
        ("start_device_ticks", record.w[0]),
        ("id", record.w[2]),
        ("correlation", record.w[2]),
        ("token", record.w[2]),
        ("count", record.duration()),
        ("register", record.site().into()),
        ("receive_to_start_device_ticks", record.w[1] >> 32),
    ] {
        if let Some(value) = expected.get(key) {
            assert_eq!(*value, word, "{key} of {expected}");
        }
    }
    let duration = match kind {
        Kind::SpanLong => record.w[2],
        Kind::DeviceTask => record.w[1] & 0xFFFF_FFFF,
        _ => record.duration(),
    };
    for key in ["duration_ticks", "duration_device_ticks"] {
        if let Some(value) = expected.get(key) {
            assert_eq!(*value, duration, "{key} of {expected}");
        }
    }
    if kind == Kind::SpanNs {
        assert_eq!(expected["start_ns"], record.start());
        assert_eq!(expected["end_ns"], record.start() + duration);
    }
    if kind == Kind::Counter {
        let value_type = ArgType::from_u8(record.duration() as u8).unwrap();
        let bytes = record.w[2].to_le_bytes();
        assert_eq!(
            expected["value"],
            json_of(take_value(&mut &bytes[..], value_type).unwrap())
        );
    }
    let Some(site) = site else {
        return assert_eq!(kind, Kind::DeviceTask);
    };
    assert_eq!(expected["lane"], record.lane());
    assert_eq!(expected["name"], *String::from_utf8_lossy(site.name));
    assert_eq!(
        expected["category"],
        *String::from_utf8_lossy(site.category)
    );
    assert_eq!(expected["level"], site.level);
    if let Some(args) = expected.get("args") {
        let first = if kind.payload_starts_in_w2() {
            record.w[2].to_le_bytes().to_vec()
        } else {
            vec![]
        };
        let payload: Vec<u8> = first.into_iter().chain(tail).collect();
        assert_eq!(*args, args_of(site, &payload), "{expected}");
    }
}

#[test]
fn the_rings_hold_the_expected_records() {
    let expected = expected();
    let mut kinds = std::collections::BTreeSet::new();
    for process in expected["processes"].as_array().unwrap() {
        let pid = process["pid"].as_u64().unwrap() as u32;
        for ring in process["rings"].as_array().unwrap() {
            let nonce = u64::from_str_radix(ring["nonce"].as_str().unwrap(), 16).unwrap();
            let index = ring["index"].as_u64().unwrap() as u32;
            let name = FileName {
                pid,
                nonce,
                index: 0,
                kind: FileKind::Process,
            };
            let path = golden().join("every-kind").join(name.to_string());
            let file = ProcessFile::read(&path, 1 << 20).unwrap();
            let found = blocks(&file.body, &mut 0);
            let site = |id| {
                found.iter().find_map(|found| match found.block {
                    Ok(Block::Site(site)) if site.id == id => Some(site),
                    _ => None,
                })
            };
            let slots = slots_of(pid, nonce, index);
            for record in ring["records"].as_array().unwrap() {
                let raw = slots[&record["sequence"].as_u64().unwrap()];
                kinds.insert(raw.kind_number());
                let is_task = raw.kind_number() == Kind::DeviceTask as u8;
                assert_record(
                    record,
                    &slots,
                    if is_task { None } else { site(raw.site()) }.as_ref(),
                );
            }
            assert_ring(ring, &slots, pid, nonce, index);
        }
    }
    let all = Kind::ALL.map(|kind| kind as u8);
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), all[..14]);
}

/// The ring's counts, and that it holds no record beyond the expected ones.
fn assert_ring(ring: &Json, slots: &BTreeMap<u64, Record>, pid: u32, nonce: u64, index: u32) {
    let name = FileName {
        pid,
        nonce,
        index,
        kind: FileKind::Ring,
    };
    let file = RingFile::open(&golden().join("every-kind").join(name.to_string())).unwrap();
    let state = file.state().unwrap();
    let base = file.header.base_sequence.get();
    assert_eq!(ring["base_sequence"], base);
    assert_eq!(ring["next_sequence"], state.head.sequence);
    let mut since_base = state.head;
    since_base.sequence -= base;
    assert_eq!(
        ring["reserved"],
        since_base.record_count(state.continuations)
    );
    let mains = slots
        .values()
        .filter(|r| r.kind_number() != Kind::Continuation as u8)
        .count() as u64;
    let known = ring["records"].as_array().unwrap().len() as u64;
    assert_eq!(mains, known + ring["unknown_kind"].as_u64().unwrap());
    let torn = ring["torn"].as_u64().unwrap();
    assert_eq!(
        ring["overwritten"],
        since_base.record_count(state.continuations) - mains - torn
    );
    let open: Vec<Json> = file
        .open_slots()
        .unwrap()
        .into_iter()
        .map(|(index, state)| match state {
            OpenState::Open(slot) => json!([index, slot.start_ticks, slot.lane]),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected: Vec<Json> = ring["open_spans"]
        .as_array()
        .unwrap()
        .iter()
        .map(|span| json!([span["slot"], span["start_ticks"], span["lane"]]))
        .collect();
    assert_eq!(open, expected);
}

#[test]
fn the_lock_files_hold_the_expected_counters_and_ends() {
    let expected = expected();
    for process in expected["processes"].as_array().unwrap() {
        for recorder in process["recorders"].as_array().unwrap() {
            let nonce = u64::from_str_radix(recorder["nonce"].as_str().unwrap(), 16).unwrap();
            let pid = process["pid"].as_u64().unwrap() as u32;
            let name = FileName {
                pid,
                nonce,
                index: 0,
                kind: FileKind::Lock,
            };
            let path = golden().join("every-kind").join(name.to_string());
            let lock = LockFile::read(&path).unwrap();
            for cause in DropCause::ALL {
                let count = recorder["drops"]
                    .get(cause.name())
                    .map_or(0, |n| n.as_u64().unwrap());
                assert_eq!(lock.drops(cause), count, "{}", cause.name());
            }
            let is_clean = process["end"]["how"] == "clean";
            assert_eq!(lock.page.end_state.get() == END_CLEAN, is_clean);
            assert_eq!(lock.holder, None);
        }
    }
}
