//! A place for runs and rings while a benchmark runs.

use std::fs;
use std::path::{Path, PathBuf};

/// A directory of this process's own, removed when it ends.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes the directory in `parent`.
    ///
    /// # Errors
    ///
    /// When it can't be made.
    pub fn new(parent: &Path) -> Result<Scratch, String> {
        let path = parent.join(format!("ringscope-benches-{}", std::process::id()));
        fs::create_dir_all(&path)
            .map_err(|error| format!("create: {}: {error}", path.display()))?;
        Ok(Scratch(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Removes what is in it.
    ///
    /// # Errors
    ///
    /// When something can't be removed.
    pub fn clear(&self) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("remove: {}: {error}", self.0.display());
        fs::remove_dir_all(&self.0)
            .and_then(|()| fs::create_dir(&self.0))
            .map_err(failed)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing is left to try.
        let _ = fs::remove_dir_all(&self.0);
    }
}
