//! A run as one file: a tar archive, compressed by zstd, that holds what its files use and no more.
//!
//! The archive holds the run's directory with its files in it, so that `tar --zstd -xf` makes the run again; a run
//! packed by `tar --zstd -c` is a pack as well. A ring is stored without the slots that were never written, as a sparse
//! file (the header of GNU tar's type `S`). What is read back is trusted in nothing.

mod reader;
mod scratch;
mod writer;

use std::fs::File;
use std::io::Read;
use std::path::Path;

pub(crate) use reader::unpack;
pub(crate) use scratch::Scratch;
pub use scratch::remove_stale;
pub use writer::{Packed, write};

/// What a file that zstd wrote begins with.
const ZSTD_MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();

/// Name of the file that holds the level of processes that start later.
const LEVEL_FILE: &str = "level";

/// True when `path` is a regular file that begins as a pack does.
pub fn is_pack(path: &Path) -> bool {
    // A pipe would be waited for, and what was read would be gone.
    if !path.is_file() {
        return false;
    }
    let mut magic = [0; ZSTD_MAGIC.len()];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    read.is_ok() && magic == ZSTD_MAGIC
}
