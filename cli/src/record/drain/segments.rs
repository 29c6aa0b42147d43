//! The segment file of a ring, to which its records are appended.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use ringscope_ringbuf::file::{self, FileKind, FileName};
use ringscope_ringbuf::layout::{RECORD_LEN, Record, SEGMENTS_BY_SUPERVISOR};
use ringscope_ringbuf::packed::{pack, packing_room};
use ringscope_ringbuf::sys;

use super::super::supervisor::system_failure;
use crate::failure::Failure;
use crate::kernel::c_path;

/// A segment file, made at the first append.
#[derive(Debug)]
pub(super) struct Segments {
    path: PathBuf,
    name: FileName,
    capacity_log2: u32,
    file: Option<File>,
    len_bytes: u64,
    count: u32,
}

impl Segments {
    /// The segments of the ring `ring` in `run`, which holds 2^`capacity_log2` records.
    pub(super) fn of(run: &Path, ring: FileName, capacity_log2: u32) -> Segments {
        let name = FileName {
            kind: FileKind::Drain,
            ..ring
        };
        Segments {
            path: run.join(name.to_string()),
            name,
            capacity_log2,
            file: None,
            len_bytes: 0,
            count: 0,
        }
    }

    /// Bytes that were written.
    pub(super) fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// Appends `records` as one packed segment; `bytes` is memory to work in.
    pub(super) fn append(
        &mut self,
        first_sequence: u64,
        records: &[Record],
        bytes: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        if records.is_empty() {
            return Ok(());
        }
        let needed = RECORD_LEN + packing_room(records.len());
        if bytes.len() < needed {
            bytes.resize(needed, 0);
        }
        let (header, body) = bytes.split_at_mut(RECORD_LEN);
        let packed_len = pack(records, first_sequence, self.capacity_log2, body);
        header.copy_from_slice(&file::packed_segment_header(
            self.count,
            first_sequence,
            records.len() as u32,
            &body[..packed_len],
        ));
        let (header, body) = (&*header, &body[..packed_len]);
        self.write(header, body)?;
        self.count += 1;
        Ok(())
    }

    fn write(&mut self, header: &[u8], body: &[u8]) -> Result<(), Failure> {
        if self.file.is_none() {
            self.file = Some(self.create()?);
        }
        let Some(file) = &self.file else {
            return Ok(());
        };
        let body_at = self.len_bytes + header.len() as u64;
        // The header last: it stands before whole records only, also when this process is killed in between.
        let written = file
            .write_all_at(body, body_at)
            .and_then(|()| file.write_all_at(header, self.len_bytes));
        if let Err(error) = written {
            // Half a segment would hide those that may follow it.
            let _ = file.set_len(self.len_bytes);
            return Err(Failure::io("drain", &self.path, &error));
        }
        self.len_bytes = body_at + body.len() as u64;
        Ok(())
    }

    fn create(&mut self) -> Result<File, Failure> {
        let file = sys::create_new(&c_path(&self.path)?)
            .map_err(|errno| system_failure("drain", &self.path, errno))?;
        let header = file::packed_segments_header(
            self.name.nonce,
            self.name.pid,
            self.name.index,
            self.capacity_log2,
            SEGMENTS_BY_SUPERVISOR,
        );
        file.write_all_at(&header, 0)
            .map_err(|error| Failure::io("drain", &self.path, &error))?;
        self.len_bytes = header.len() as u64;
        Ok(file)
    }
}
