//! A segment file: its segments lie one behind the other inside the file, and all their records can be read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringscope_fuzz::file_with;
use ringscope_fuzz::seal::{seal_header, seal_segments};
use ringscope_ringbuf::file::{Packing, Segment, SegmentFile};
use ringscope_ringbuf::layout::{
    RECORD_LEN, Record, SEGMENTS_HEADER_LEN, SEGMENTS_MAGIC, SEQUENCE_MASK,
};
use ringscope_ringbuf::packed::{pack, packing_room, unpack};

fuzz_target!(|data: &[u8]| {
    let mut bytes = data.to_vec();
    seal_header(&mut bytes, SEGMENTS_MAGIC, SEGMENTS_HEADER_LEN);
    if let Some(body) = bytes.get_mut(SEGMENTS_HEADER_LEN..) {
        seal_segments(body);
    }
    let Ok(file) = SegmentFile::open(&file_with(&bytes)) else {
        return;
    };
    let mut end = SEGMENTS_HEADER_LEN;
    for segment in &file.segments {
        assert_eq!(segment.offset as usize, end + RECORD_LEN);
        assert!(segment.base_sequence <= SEQUENCE_MASK);
        end = (segment.offset + segment.stored_len()) as usize;
        let mut records = vec![Record::default(); segment.record_count as usize];
        let read = file.read_records(segment, 0, &mut records);
        match segment.packing {
            Packing::Plain => {
                read.expect("the records are inside the file");
                assert_eq!(
                    bytemuck::cast_slice::<_, u8>(&records),
                    &bytes[segment.offset as usize..end]
                );
            }
            Packing::Packed { .. } if read.is_ok() => check_repacked(&file, segment, &records),
            Packing::Packed { .. } => {}
        }
    }
    assert_eq!(file.damaged_at.unwrap_or(bytes.len() as u64), end as u64);
});

/// What was unpacked comes back when it is packed again.
fn check_repacked(file: &SegmentFile, segment: &Segment, records: &[Record]) {
    let (base, log2) = (segment.base_sequence, file.capacity_log2());
    let mut bytes = vec![0; packing_room(records.len())];
    let len = pack(records, base, log2, &mut bytes);
    let mut again = vec![Record::default(); records.len()];
    assert!(unpack(&bytes[..len], base, log2, &mut again));
    assert_eq!(again, records);
}
