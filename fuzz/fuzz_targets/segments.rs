//! A segment file: its segments lie one behind the other inside the file, and all their records can be read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringscope_fuzz::{file_with, seal_header, seal_segments};
use ringscope_ringbuf::file::SegmentFile;
use ringscope_ringbuf::layout::{
    RECORD_LEN, Record, SEGMENTS_HEADER_LEN, SEGMENTS_MAGIC, SEQUENCE_MASK,
};

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
        end += RECORD_LEN * (1 + segment.record_count as usize);
        let mut records = vec![Record::default(); segment.record_count as usize];
        file.read_records(segment, 0, &mut records)
            .expect("the records are inside the file");
        assert_eq!(
            bytemuck::cast_slice::<_, u8>(&records),
            &bytes[segment.offset as usize..end]
        );
    }
    assert_eq!(file.damaged_at.unwrap_or(bytes.len() as u64), end as u64);
});
