//! A ring file: copies hold nothing but records stamped for their sequence, and in a sound ring the stamps alone
//! tell the same as the head word.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringscope_fuzz::file_with;
use ringscope_fuzz::seal::seal_header;
use ringscope_ringbuf::file::RingFile;
use ringscope_ringbuf::layout::{LAP_MASK, RING_MAGIC, RING_STATIC_LEN, Record, SEQUENCE_MASK};
use ringscope_ringbuf::reader::{OpenState, copy_published, recover_by_stamps};

fuzz_target!(|data: &[u8]| {
    let mut bytes = data.to_vec();
    seal_header(&mut bytes, RING_MAGIC, RING_STATIC_LEN);
    let Ok(ring) = RingFile::open(&file_with(&bytes)) else {
        return;
    };
    // Larger capacities than the file has records are legal, and slow.
    let log2 = ring.capacity_log2();
    if log2 > 12 {
        return;
    }
    let state = ring.state().expect("the header is there");
    for (index, open) in ring.open_slots().expect("the header is there") {
        assert!(index < ring.header.open_slot_count.get());
        assert_ne!(open, OpenState::Free);
    }
    let mut copied = Vec::new();
    let range = copy_published(&mut &ring, 0..SEQUENCE_MASK, log2, &mut copied).expect("readable");
    assert_eq!(range.end, state.head.sequence.min(SEQUENCE_MASK));
    assert_eq!(range.end - range.start, ring.capacity().min(range.end));
    let is_sound = check_stamps(range.start, &copied, log2) == ring.capacity();

    let mut slots = vec![Record::default(); ring.capacity() as usize];
    ring.read_slots(0, &mut slots).expect("readable");
    let (first, recovered) = recover_by_stamps(&slots, log2);
    assert!(recovered.len() <= slots.len());
    check_stamps(first, &recovered, log2);
    // The lap is known modulo 2^23; past that the stamps can't tell the true sequence.
    if is_sound && range.end >> log2 <= LAP_MASK {
        assert_eq!((first, recovered), (range.start, copied));
    }
});

/// Checks that every record present is stamped for its sequence; how many are.
fn check_stamps(first: u64, records: &[Record], log2: u32) -> u64 {
    let present = (first..)
        .zip(records)
        .filter(|(_, record)| **record != Record::default());
    present
        .map(|(sequence, record)| assert!(record.is_stamped(sequence, log2)))
        .count() as u64
}
