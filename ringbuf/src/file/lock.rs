//! The lock file: whether the process lives, how it ended, and what it could not record.

use std::io;
use std::path::Path;

use zerocopy::FromBytes;

use super::{FileError, FileErrorKind, RunFile};
use crate::layout::*;

/// A lock file: liveness, end and drop counters of a process.
#[derive(Debug)]
pub struct LockFile {
    /// Its contents.
    pub page: LockPage,
    /// The process that holds the lock; 0 when it is in another pid namespace; `None` when nobody does.
    pub holder: Option<u32>,
}

impl LockFile {
    /// Reads a lock file and asks who holds its lock. Never to be called by the process whose file it is: closing
    /// the file would give its lock up.
    ///
    /// # Errors
    ///
    /// When the file can't be read or its header is damaged.
    pub fn read(path: &Path) -> Result<LockFile, FileError> {
        let file = RunFile::open(path)?;
        let mut bytes = [0; size_of::<LockPage>()];
        file.read_at(0, &mut bytes)?;
        file.check_start(&bytes[..LOCK_STATIC_LEN], LOCK_MAGIC)?;
        let page = LockPage::read_from_bytes(&bytes)
            .map_err(|_| file.unexpected(0, "lock page", size_of::<LockPage>(), bytes.len()))?;
        let holder = crate::sys::lock_holder(file.file()).map_err(|errno| {
            file.error(0, FileErrorKind::Io(io::Error::from_raw_os_error(errno)))
        })?;
        Ok(LockFile { page, holder })
    }

    /// The counter of a cause.
    pub fn drops(&self, cause: DropCause) -> u64 {
        self.page.drops[cause as usize].get()
    }
}
