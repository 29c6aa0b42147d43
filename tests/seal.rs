//! Check sums made right, so that hostile bytes get past them.

use ringscope_ringbuf::file::FileKind;
use ringscope_ringbuf::layout::{
    BLOCK_ALIGN, BLOCK_HEADER_LEN, BLOCK_MAGIC, FILE_START_LEN, LOCK_MAGIC, LOCK_STATIC_LEN,
    PACKED_SEGMENT_MAGIC, PROCESS_HEADER_LEN, PROCESS_MAGIC, RECORD_LEN, RING_MAGIC,
    RING_STATIC_LEN, SEGMENT_MAGIC, SEGMENTS_HEADER_LEN, SEGMENTS_MAGIC, header_crc,
};

/// Makes all check sums of a file right, whatever else stands in it.
pub fn seal(kind: FileKind, bytes: &mut [u8]) {
    let (magic, len) = match kind {
        FileKind::Process => (PROCESS_MAGIC, PROCESS_HEADER_LEN),
        FileKind::Lock => (LOCK_MAGIC, LOCK_STATIC_LEN),
        FileKind::Ring => (RING_MAGIC, RING_STATIC_LEN),
        FileKind::Drain | FileKind::Spill => (SEGMENTS_MAGIC, SEGMENTS_HEADER_LEN),
        FileKind::Off => return,
    };
    seal_header(bytes, magic, len);
    match (kind, bytes.get_mut(len..)) {
        (FileKind::Process, Some(body)) => seal_blocks(body),
        (FileKind::Drain | FileKind::Spill, Some(body)) => seal_segments(body),
        _ => {}
    }
}

/// Makes magic and check sum of a file's header right, whose static part has `static_len` bytes.
pub fn seal_header(bytes: &mut [u8], magic: [u8; 8], static_len: usize) {
    if bytes.len() >= static_len.max(FILE_START_LEN) {
        bytes[..8].copy_from_slice(&magic);
        let crc = header_crc(&bytes[..static_len]);
        bytes[20..24].copy_from_slice(&crc.to_le_bytes());
    }
}

/// Makes the check sums of the blocks in a process file's body right.
pub fn seal_blocks(body: &mut [u8]) {
    let mut at = 0;
    while at + BLOCK_HEADER_LEN <= body.len() {
        let field = |offset: usize| u32::from_le_bytes([0, 1, 2, 3].map(|i| body[at + offset + i]));
        let (magic, len) = (field(0), field(8) as usize);
        let payload_at = at + BLOCK_HEADER_LEN;
        if magic != BLOCK_MAGIC || len > body.len() - payload_at {
            at += BLOCK_ALIGN;
            continue;
        }
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&body[at + 4..at + 12]);
        hasher.update(&body[payload_at..payload_at + len]);
        body[at + 12..payload_at].copy_from_slice(&hasher.finalize().to_le_bytes());
        at = payload_at + len.next_multiple_of(BLOCK_ALIGN);
    }
}

/// Makes the check sums of everything that looks like a segment header right, one behind the other.
pub fn seal_segments(body: &mut [u8]) {
    let mut at = 0;
    while at + RECORD_LEN <= body.len() {
        let (header, rest) = body[at..].split_at_mut(RECORD_LEN);
        at += RECORD_LEN;
        let field = |offset: usize| u32::from_le_bytes([0, 1, 2, 3].map(|i| header[offset + i]));
        let (magic, packed_len) = (field(0), field(20) as usize);
        let is_packed = magic == PACKED_SEGMENT_MAGIC;
        if let Some(packed) = rest.get(..packed_len).filter(|_| is_packed) {
            at += packed.len();
            header[28..].copy_from_slice(&crc32fast::hash(packed).to_le_bytes());
        }
        if is_packed || magic == SEGMENT_MAGIC {
            let crc = crc32fast::hash(&header[..24]);
            header[24..28].copy_from_slice(&crc.to_le_bytes());
        }
    }
}
