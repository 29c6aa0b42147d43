//! Opening the files of a run when they are cut short, hostile, or no files at all: an error that says where,
//! or what is left, and never a panic, a hang or an allocation that the file's size does not warrant.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use ringscope_ringbuf::block::blocks;
use ringscope_ringbuf::file::{
    FileError, FileErrorKind, FileKind, FileName, LockFile, ProcessFile, RingFile, SegmentFile,
    segment_header,
};
use ringscope_ringbuf::layout::*;
use ringscope_ringbuf::reader::copy_published;

const LIMIT_BYTES: u64 = 1 << 20;

fn golden(kind: FileKind) -> PathBuf {
    let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/v1/every-kind");
    let index = u32::from(kind == FileKind::Spill);
    run.join(
        FileName {
            pid: 4242,
            nonce: 0x0123_4567_89ab_cdef,
            index,
            kind,
        }
        .to_string(),
    )
}

/// Reads a file of each kind as far as a reader would.
fn read(path: &Path, kind: FileKind) -> Result<(), FileError> {
    match kind {
        FileKind::Process => {
            let file = ProcessFile::read(path, LIMIT_BYTES)?;
            blocks(&file.body, &mut 0);
        }
        FileKind::Lock => {
            LockFile::read(path)?;
        }
        FileKind::Ring => {
            let ring = RingFile::open(path)?;
            ring.state()?;
            ring.open_slots()?;
            let mut records = Vec::new();
            copy_published(&mut &ring, 0..u64::MAX, ring.capacity_log2(), &mut records)?;
        }
        FileKind::Drain | FileKind::Spill => {
            let file = SegmentFile::open(path)?;
            for segment in &file.segments {
                let mut records = vec![Record::default(); segment.record_count as usize];
                file.read_records(segment, 0, &mut records)?;
            }
        }
        FileKind::Off => {}
    }
    Ok(())
}

const KINDS: [FileKind; 5] = [
    FileKind::Process,
    FileKind::Lock,
    FileKind::Ring,
    FileKind::Drain,
    FileKind::Spill,
];

#[test]
fn every_truncation_is_an_error_or_leaves_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    for kind in KINDS {
        let bytes = fs::read(golden(kind)).unwrap();
        let needed = match kind {
            FileKind::Process => PROCESS_HEADER_LEN,
            FileKind::Lock => size_of::<LockPage>(),
            FileKind::Ring => ring_header_len(4),
            _ => SEGMENTS_HEADER_LEN,
        };
        let path = dir.path().join("cut");
        fs::write(&path, &bytes).unwrap();
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        for len in (0..=bytes.len()).rev() {
            file.set_len(len as u64).unwrap();
            match read(&path, kind) {
                Ok(()) => assert!(len >= needed, "{kind:?} of {len} bytes was read"),
                Err(error) => {
                    assert!(len < needed, "{kind:?} of {len} bytes: {error}");
                    assert!(matches!(error.kind, FileErrorKind::Short { .. }), "{error}");
                }
            }
        }
    }
}

#[test]
fn a_ring_that_is_cut_short_keeps_the_whole_records_before_the_cut() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cut");
    let bytes = fs::read(golden(FileKind::Ring)).unwrap();
    let all = ring_slots(&golden(FileKind::Ring));
    for len in ring_header_len(4)..bytes.len() {
        fs::write(&path, &bytes[..len]).unwrap();
        let whole = (len - ring_header_len(4)) / RECORD_LEN;
        let slots = ring_slots(&path);
        assert_eq!(slots[..whole], all[..whole]);
        assert!(
            slots[whole..]
                .iter()
                .all(|record| *record == Record::default())
        );
    }
}

fn ring_slots(path: &Path) -> Vec<Record> {
    let ring = RingFile::open(path).unwrap();
    let mut slots = vec![Record::default(); ring.capacity() as usize];
    ring.read_slots(0, &mut slots).unwrap();
    slots
}

#[test]
fn a_segment_that_is_cut_short_keeps_its_whole_records() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cut");
    let bytes = fs::read(golden(FileKind::Spill)).unwrap();
    let records = |file: &SegmentFile| file.segments.iter().map(|s| s.record_count).sum::<u64>();
    for len in SEGMENTS_HEADER_LEN..bytes.len() {
        fs::write(&path, &bytes[..len]).unwrap();
        let file = SegmentFile::open(&path).unwrap();
        // The file's two segments hold 40 and 24 records, each behind a header of one record's size.
        let slots = ((len - SEGMENTS_HEADER_LEN) / RECORD_LEN) as u64;
        let headers = u64::from(slots > 0) + u64::from(slots > 41);
        assert_eq!(records(&file), slots - headers);
        let is_whole = len == SEGMENTS_HEADER_LEN || len == SEGMENTS_HEADER_LEN + 41 * RECORD_LEN;
        assert_eq!(file.damaged_at.is_some(), !is_whole, "{len} bytes");
    }
}

#[test]
fn sizes_near_the_largest_number_are_cut_to_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hostile");
    let bytes = fs::read(golden(FileKind::Spill)).unwrap();
    for base in [0, SEQUENCE_MASK - 1, SEQUENCE_MASK] {
        for count in [41, SEQUENCE_MASK - 1, SEQUENCE_MASK] {
            fs::write(&path, &bytes).unwrap();
            let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
            let header = segment_header(0, base, count);
            file.write_all_at(&header, SEGMENTS_HEADER_LEN as u64)
                .unwrap();
            let file = SegmentFile::open(&path).unwrap();
            assert!(file.segments[0].record_count <= 65);
            read(&path, FileKind::Spill).unwrap();
        }
    }
    for (base, count) in [
        (SEQUENCE_MASK + 1, 1),
        (0, 1 << 63),
        (u64::MAX, u64::MAX),
        (1 << 63, 0),
    ] {
        fs::write(&path, &bytes).unwrap();
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(&segment_header(0, base, count), SEGMENTS_HEADER_LEN as u64)
            .unwrap();
        let file = SegmentFile::open(&path).unwrap();
        assert_eq!(file.segments, []);
        assert_eq!(file.damaged_at, Some(SEGMENTS_HEADER_LEN as u64));
    }
}

#[test]
fn header_fields_that_do_not_fit_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hostile");
    for (kind, static_len, offset, value, what) in [
        (FileKind::Ring, RING_STATIC_LEN, 56, u32::MAX, "capacity"),
        (FileKind::Ring, RING_STATIC_LEN, 56, 26, "capacity"),
        (FileKind::Ring, RING_STATIC_LEN, 60, u32::MAX, "open slots"),
        (FileKind::Ring, RING_STATIC_LEN, 64, 1 << 31, "open slots"),
        (
            FileKind::Ring,
            RING_STATIC_LEN,
            12,
            u32::MAX,
            "header length",
        ),
        (
            FileKind::Ring,
            RING_STATIC_LEN,
            8,
            1 | 33 << 16,
            "record length",
        ),
        (
            FileKind::Ring,
            RING_STATIC_LEN,
            8,
            2 | 32 << 16,
            "format version",
        ),
        (
            FileKind::Ring,
            RING_STATIC_LEN,
            16,
            0x0403_0201,
            "byte order",
        ),
        (
            FileKind::Ring,
            RING_STATIC_LEN,
            32,
            2,
            "incompatible features",
        ),
        (FileKind::Spill, SEGMENTS_HEADER_LEN, 56, 5, "capacity"),
        (
            FileKind::Spill,
            SEGMENTS_HEADER_LEN,
            12,
            128,
            "header length",
        ),
        (
            FileKind::Spill,
            SEGMENTS_HEADER_LEN,
            8,
            1 | 64 << 16,
            "record length",
        ),
        (
            FileKind::Process,
            PROCESS_HEADER_LEN,
            12,
            513,
            "header length",
        ),
        (
            FileKind::Process,
            PROCESS_HEADER_LEN,
            12,
            8,
            "header length",
        ),
        (FileKind::Lock, LOCK_STATIC_LEN, 8, 9, "format version"),
    ] {
        let mut bytes = fs::read(golden(kind)).unwrap();
        bytes[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
        let crc = header_crc(&bytes[..static_len]);
        bytes[20..24].copy_from_slice(&crc.to_le_bytes());
        fs::write(&path, &bytes).unwrap();
        let error = read(&path, kind).unwrap_err();
        assert!(error.to_string().contains(what), "expected {what}: {error}");
    }
}

#[test]
fn every_flip_in_a_static_header_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("flipped");
    for (kind, static_len) in [
        (FileKind::Process, PROCESS_HEADER_LEN),
        (FileKind::Lock, LOCK_STATIC_LEN),
        (FileKind::Ring, RING_STATIC_LEN),
        (FileKind::Spill, SEGMENTS_HEADER_LEN),
    ] {
        let mut bytes = fs::read(golden(kind)).unwrap();
        for at in 0..static_len {
            bytes[at] ^= 0x10;
            fs::write(&path, &bytes).unwrap();
            bytes[at] ^= 0x10;
            assert!(read(&path, kind).is_err(), "{kind:?}: byte {at}");
        }
    }
}

#[test]
fn what_is_no_regular_file_is_refused_without_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    symlink(golden(FileKind::Ring), at("link")).unwrap();
    fs::create_dir(at("directory")).unwrap();
    assert!(
        std::process::Command::new("mkfifo")
            .arg(at("pipe"))
            .status()
            .unwrap()
            .success()
    );
    for path in [at("link"), at("directory"), at("pipe"), "/dev/zero".into()] {
        for kind in KINDS {
            let error = read(&path, kind).unwrap_err();
            assert!(matches!(error.kind, FileErrorKind::NotRegular), "{error}");
        }
    }
    let error = read(&at("missing"), FileKind::Ring).unwrap_err();
    assert!(matches!(error.kind, FileErrorKind::Io(_)), "{error}");
}

#[test]
fn a_process_file_beyond_the_limit_is_refused_before_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sparse");
    fs::write(&path, fs::read(golden(FileKind::Process)).unwrap()).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(1 << 40).unwrap();
    let error = read(&path, FileKind::Process).unwrap_err();
    assert!(
        matches!(
            error.kind,
            FileErrorKind::TooLarge {
                limit: LIMIT_BYTES,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_name_has_one_spelling() {
    assert!(FileName::parse("7-00000000000000ab-3.ring").is_some());
    for text in [
        "+7-00000000000000ab-3.ring",
        "07-00000000000000ab-3.ring",
        "7-00000000000000AB-3.ring",
        "7-+0000000000000ab-3.ring",
        "7-0000000000000ab-3.ring",
        "7-00000000000000ab-03.ring",
        "7-00000000000000ab.ring",
        "7-00000000000000ab-3.process",
        "7-00000000000000ab-3-4.ring",
        "7-00000000000000ab-3.ring.tmp",
        "4294967296-00000000000000ab-3.ring",
        "expected.json",
        "level",
    ] {
        assert_eq!(FileName::parse(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn file_names_survive_the_round_trip(pid: u32, nonce: u64, index: u32, kind in 0usize..6) {
        use FileKind::*;
        let kind = [Process, Lock, Ring, Drain, Spill, Off][kind];
        let index = if matches!(kind, Process | Lock) { 0 } else { index };
        let name = FileName { pid, nonce, index, kind };
        prop_assert_eq!(FileName::parse(&name.to_string()), Some(name));
    }

    #[test]
    fn other_names_never_panic(text: String) {
        let _ = FileName::parse(&text);
    }

    #[test]
    fn flips_anywhere_never_panic(kind in 0usize..5, at: prop::sample::Index, byte: u8) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("flipped");
        let mut bytes = fs::read(golden(KINDS[kind])).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        fs::write(&path, &bytes).unwrap();
        let _ = read(&path, KINDS[kind]);
    }
}
