//! How much a run may take of the file system.

use std::time::{Duration, Instant};

use super::super::run_dir::RunDirectory;
use crate::size::Size;

/// How much the run may take.
#[derive(Debug)]
pub(crate) struct Budget {
    directory: RunDirectory,
    limit_bytes: u64,
    taken_bytes: u64,
    space_looked_at: Option<Instant>,
}

impl Budget {
    /// Free space below this part of the file system stops the drain.
    const RESERVE_PART: u64 = 16;
    /// How often free space is looked at.
    const SPACE_INTERVAL: Duration = Duration::from_millis(50);

    /// A budget of `limit_bytes` for all files of the run.
    pub(crate) fn new(directory: RunDirectory, limit_bytes: u64) -> Budget {
        Budget {
            directory,
            limit_bytes,
            taken_bytes: 0,
            space_looked_at: None,
        }
    }

    /// So many bytes more are taken.
    pub(super) fn take(&mut self, bytes: u64) {
        self.taken_bytes += bytes;
    }

    /// Why no more may be written, if so.
    pub(super) fn exceeded(&mut self) -> Option<String> {
        if self.taken_bytes > self.limit_bytes {
            return Some(format!(
                "the run takes {}, more than --max-size {}",
                Size::new(self.taken_bytes),
                Size::new(self.limit_bytes)
            ));
        }
        let fresh = |at: &Instant| at.elapsed() < Budget::SPACE_INTERVAL;
        if self.space_looked_at.as_ref().is_some_and(fresh) {
            return None;
        }
        self.space_looked_at = Some(Instant::now());
        let free_bytes = self.directory.free_bytes()?;
        let total_bytes = self.directory.file_system.total_bytes;
        (free_bytes < total_bytes / Budget::RESERVE_PART).then(|| {
            format!(
                "{}: {} free of {}, less than a sixteenth",
                self.directory.path.display(),
                Size::new(free_bytes),
                Size::new(total_bytes)
            )
        })
    }
}
