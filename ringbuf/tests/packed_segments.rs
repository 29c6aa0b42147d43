//! Files of packed segments: what was saved comes back, or its segment is refused as a whole.

use std::fs;
use std::path::Path;

use ringscope_ringbuf::file::{
    FileError, Packing, SegmentFile, packed_segment_header, packed_segments_header, segment_header,
};
use ringscope_ringbuf::layout::{
    Kind, RECORD_LEN, Record, SEGMENTS_BY_SUPERVISOR, SEGMENTS_HEADER_LEN,
};
use ringscope_ringbuf::packed::{pack, packing_room};

const LOG2: u32 = 6;

/// Spans and continuations of all sizes, and a slot in eleven that was not published.
fn record(sequence: u64) -> Record {
    let kind = match sequence % 5 {
        4 => Kind::Continuation,
        _ => Kind::Span,
    };
    let w3 = Record::site_and_kind(sequence as u32 % 3, kind) | Record::stamp(sequence, LOG2);
    match sequence % 11 {
        10 => Record::default(),
        bits => Record {
            w: [
                (1 << 50) | (sequence << bits),
                1 << (4 * bits),
                sequence,
                w3,
            ],
        },
    }
}

fn records(first: u64, count: u64) -> Vec<Record> {
    (first..first + count).map(record).collect()
}

/// A packed segment, a plain one and a packed one.
fn file_bytes() -> Vec<u8> {
    let mut bytes = packed_segments_header(7, 8, 0, LOG2, SEGMENTS_BY_SUPERVISOR).to_vec();
    let packed = |number, first, count| {
        let records = records(first, count);
        let mut body = vec![0; packing_room(records.len())];
        let len = pack(&records, first, LOG2, &mut body);
        let header = packed_segment_header(number, first, count as u32, &body[..len]);
        [&header[..], &body[..len]].concat()
    };
    bytes.extend(packed(0, 0, 40));
    bytes.extend(segment_header(1, 40, 10));
    bytes.extend(bytemuck::cast_slice::<_, u8>(&records(40, 10)));
    bytes.extend(packed(2, 64, 25));
    bytes
}

/// The records of every segment that can be read, by the sequence of its first one.
fn read(path: &Path) -> Result<Vec<(u64, Vec<Record>)>, FileError> {
    let file = SegmentFile::open(path)?;
    let mut found = Vec::new();
    for segment in &file.segments {
        let mut records = vec![Record::default(); segment.record_count as usize];
        if file.read_records(segment, 0, &mut records).is_ok() {
            found.push((segment.base_sequence, records));
        }
    }
    Ok(found)
}

#[test]
fn plain_and_packed_segments_stand_in_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("whole");
    fs::write(&path, file_bytes()).unwrap();
    let expected =
        [(0, 40), (40, 10), (64, 25)].map(|(first, count)| (first, records(first, count)));
    assert_eq!(read(&path).unwrap(), expected);

    let file = SegmentFile::open(&path).unwrap();
    assert_eq!(file.damaged_at, None);
    assert!(file.segments[0].stored_len() < 40 * RECORD_LEN as u64 / 2);
    let mut part = vec![Record::default(); 5];
    file.read_records(&file.segments[2], 17, &mut part).unwrap();
    assert_eq!(part, records(81, 5));
    let mut too_many = vec![Record::default(); 26];
    let error = file.read_records(&file.segments[2], 0, &mut too_many);
    assert!(error.unwrap_err().to_string().contains("packed records"));
}

#[test]
fn a_file_that_is_cut_short_keeps_what_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cut");
    let bytes = file_bytes();
    fs::write(&path, &bytes).unwrap();
    let whole = SegmentFile::open(&path).unwrap().segments;
    for len in SEGMENTS_HEADER_LEN..bytes.len() {
        fs::write(&path, &bytes[..len]).unwrap();
        for (index, (first, found)) in read(&path).unwrap().into_iter().enumerate() {
            assert_eq!(found, records(first, found.len() as u64), "{len} bytes");
            if whole[index].packing != Packing::Plain {
                assert_eq!(found.len() as u64, whole[index].record_count, "{len} bytes");
            }
        }
    }
}

#[test]
fn a_flipped_bit_never_gives_a_wrong_packed_record() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("flipped");
    let bytes = file_bytes();
    fs::write(&path, &bytes).unwrap();
    let plain = SegmentFile::open(&path).unwrap().segments[1];
    let plain_bytes = plain.offset as usize..(plain.offset + plain.stored_len()) as usize;
    for at in (SEGMENTS_HEADER_LEN..bytes.len()).filter(|at| !plain_bytes.contains(at)) {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            fs::write(&path, &flipped).unwrap();
            for (first, found) in read(&path).unwrap() {
                assert_eq!(
                    found,
                    records(first, found.len() as u64),
                    "byte {at}, bit {bit}"
                );
            }
        }
    }
}
