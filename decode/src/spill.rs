//! The temporary file of a decode: what has to wait and does not fit into memory. It has no name and is gone with the
//! process; it lies in `$TMPDIR`, else `/tmp`.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// A file that pieces are appended to from any thread, made when the first one comes.
#[derive(Default)]
pub(crate) struct Spill {
    file: OnceLock<File>,
    len_bytes: AtomicU64,
}

impl Spill {
    /// Reserves room; its offset.
    pub(crate) fn reserve(&self, len_bytes: u64) -> u64 {
        self.len_bytes.fetch_add(len_bytes, Ordering::Relaxed)
    }

    /// Appends a piece; its offset.
    pub(crate) fn append(&self, piece: &[u8]) -> io::Result<u64> {
        let offset = self.reserve(piece.len() as u64);
        self.write_at(offset, piece)?;
        Ok(offset)
    }

    /// Writes to reserved room.
    pub(crate) fn write_at(&self, offset: u64, piece: &[u8]) -> io::Result<()> {
        self.file()?.write_all_at(piece, offset)
    }

    /// Fills `out` with what was written at `offset`.
    pub(crate) fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file()?.read_exact_at(out, offset)
    }

    /// The file itself.
    pub(crate) fn file(&self) -> io::Result<&File> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let file = tempfile::tempfile()?;
        Ok(self.file.get_or_init(|| file))
    }
}
