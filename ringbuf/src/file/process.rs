//! The process file: who recorded, and the tables its records refer to.

use std::path::Path;

use zerocopy::FromBytes;

use super::{FileError, FileErrorKind, RunFile, sealed};
use crate::layout::*;

/// A process file: who recorded, and the tables its records refer to.
#[derive(Debug)]
pub struct ProcessFile {
    /// Identity.
    pub header: ProcessHeader,
    /// Everything behind the header; see [`crate::block::blocks`].
    pub body: Vec<u8>,
}

impl ProcessFile {
    /// Reads a process file of at most `limit_bytes`.
    ///
    /// # Errors
    ///
    /// When the file can't be read, is larger, or its header is damaged.
    pub fn read(path: &Path, limit_bytes: u64) -> Result<ProcessFile, FileError> {
        let file = RunFile::open(path)?;
        if file.len() > limit_bytes {
            return Err(file.error(
                0,
                FileErrorKind::TooLarge {
                    limit: limit_bytes,
                    found: file.len(),
                },
            ));
        }
        let mut bytes = vec![0; file.len() as usize];
        file.read_at(0, &mut bytes)?;
        let Some(head) = bytes.get(..PROCESS_HEADER_LEN) else {
            let kind = FileErrorKind::Short {
                expected: PROCESS_HEADER_LEN as u64,
                found: file.len(),
            };
            return Err(file.error(0, kind));
        };
        file.check_start(head, PROCESS_MAGIC)?;
        let header = ProcessHeader::read_from_bytes(head)
            .map_err(|_| file.unexpected(0, "process header", PROCESS_HEADER_LEN, head.len()))?;
        let body_at = header.start.header_len.get() as usize;
        if body_at < PROCESS_HEADER_LEN || !body_at.is_multiple_of(BLOCK_ALIGN) {
            return Err(file.unexpected(12, "header length", PROCESS_HEADER_LEN, body_at));
        }
        Ok(ProcessFile {
            header,
            body: bytes.split_off(body_at.min(bytes.len())),
        })
    }
}

/// Fills in magic and check sum of a process file's header: the bytes to write.
pub fn seal_process_header(header: &ProcessHeader) -> [u8; PROCESS_HEADER_LEN] {
    let mut header = *header;
    header.start.magic = PROCESS_MAGIC;
    header.start.header_len = (PROCESS_HEADER_LEN as u32).into();
    sealed(header, |header| &mut header.start)
}
