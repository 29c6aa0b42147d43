//! A process file: whatever its bytes, every block found in it means the same after it was written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringscope_fuzz::file_with;
use ringscope_fuzz::seal::{seal_blocks, seal_header};
use ringscope_ringbuf::block::{Block, blocks};
use ringscope_ringbuf::file::{ProcessFile, seal_process_header};
use ringscope_ringbuf::layout::{MAX_BLOCK_LEN, PROCESS_HEADER_LEN, PROCESS_MAGIC};

fuzz_target!(|data: &[u8]| {
    check_blocks(data);
    let mut bytes = data.to_vec();
    seal_header(&mut bytes, PROCESS_MAGIC, PROCESS_HEADER_LEN);
    if let Some(body) = bytes.get_mut(PROCESS_HEADER_LEN..) {
        seal_blocks(body);
    }
    if let Ok(file) = ProcessFile::read(&file_with(&bytes), 1 << 20) {
        let len = file.header.start.header_len.get();
        if len as usize == PROCESS_HEADER_LEN {
            assert_eq!(
                seal_process_header(&file.header)[..],
                bytes[..PROCESS_HEADER_LEN]
            );
        }
        check_blocks(&file.body);
    }
});

fn check_blocks(body: &[u8]) {
    let mut damaged_bytes = 0;
    let found = blocks(body, &mut damaged_bytes);
    assert!(damaged_bytes <= body.len());
    let mut buffer = vec![0; MAX_BLOCK_LEN + 32];
    for block in found.iter().filter_map(|found| found.block.ok()) {
        let Some(len) = block.encode(&mut buffer) else {
            continue;
        };
        let once = buffer[..len].to_vec();
        let again = blocks(&once, &mut damaged_bytes);
        assert_eq!(again.len(), 1);
        let again = again[0].block.expect("what was encoded can be decoded");
        // Names longer than a writer may write are cut by the writer.
        assert!(again == block || has_long_name(&block));
        let len = again.encode(&mut buffer).expect("it fitted before");
        assert_eq!(once, buffer[..len]);
    }
}

/// Whether a text of the block exceeds what writers keep; its Debug form is at least as long as the text.
fn has_long_name(block: &Block<'_>) -> bool {
    format!("{block:?}").len() > ringscope_ringbuf::layout::MAX_NAME_LEN
}
