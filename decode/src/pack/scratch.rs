//! Where packs are unpacked: directories of their own that vanish with who uses them.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use ringscope_ringbuf::sys;

const PREFIX: &str = "ringscope-unpacked-";
/// Attempts to make a directory, each of which another process may take for one that was left behind.
const ATTEMPTS: usize = 8;

/// A directory that is removed when this is dropped.
///
/// Its owner holds a lock on it. A process that is killed leaves its directory behind, without a lock: the next one
/// that unpacks removes it.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
    _lock: File,
}

impl Scratch {
    /// Makes a directory in `$TMPDIR`, else /tmp.
    pub(crate) fn create() -> io::Result<Scratch> {
        let parent = parent();
        remove_stale_in(&parent);
        for _ in 0..ATTEMPTS {
            let path = parent.join(format!("{PREFIX}{:016x}", sys::random_u64()));
            DirBuilder::new().mode(0o700).create(&path)?;
            if let Some(lock) = lock(&path)? {
                return Ok(Scratch { path, _lock: lock });
            }
        }
        Err(io::Error::other("directories made here vanish at once"))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What can't be removed now is by whoever unpacks next.
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn parent() -> PathBuf {
    let temporary = std::env::var_os("TMPDIR").filter(|dir| !dir.is_empty());
    temporary.map_or_else(|| PathBuf::from("/tmp"), PathBuf::from)
}

/// Locks the directory; `None` where another process removed it before the lock was there.
fn lock(path: &Path) -> io::Result<Option<File>> {
    let directory = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    directory.lock()?;
    Ok(is_same(&directory, path).then_some(directory))
}

fn is_same(handle: &File, path: &Path) -> bool {
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    let of_path = fs::symlink_metadata(path).map(identity).ok();
    of_path.is_some() && of_path == handle.metadata().map(identity).ok()
}

/// Removes what processes that were killed had unpacked.
pub fn remove_stale() {
    remove_stale_in(&parent());
}

fn remove_stale_in(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        let is_named_so = entry.file_name().to_string_lossy().starts_with(PREFIX);
        // Another user's directory is theirs to remove, and a link may lead anywhere.
        let is_ours = || {
            entry
                .metadata()
                .is_ok_and(|m| m.is_dir() && m.uid() == sys::user_id())
        };
        if is_named_so && is_ours() {
            remove_if_unlocked(&entry.path());
        }
    }
}

fn remove_if_unlocked(path: &Path) {
    let Ok(directory) = File::open(path) else {
        return;
    };
    match directory.try_lock() {
        Ok(()) => {
            let _ = fs::remove_dir_all(path);
        }
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_use_stays_and_what_was_left_behind_goes() {
        let parent = tempfile::tempdir().unwrap();
        let path = |name: &str| parent.path().join(name);
        let (used, left, other) = (
            path("ringscope-unpacked-1"),
            path("ringscope-unpacked-2"),
            path("other"),
        );
        for dir in [&used, &left, &other] {
            fs::create_dir(dir).unwrap();
            fs::write(dir.join("file"), b"x").unwrap();
        }
        std::os::unix::fs::symlink(&other, path("ringscope-unpacked-3")).unwrap();
        let lock = File::open(&used).unwrap();
        lock.lock().unwrap();
        remove_stale_in(parent.path());
        assert!(used.exists() && other.join("file").exists());
        assert!(!left.exists());
        drop(lock);
        remove_stale_in(parent.path());
        assert!(!used.exists() && other.exists());
    }

    #[test]
    fn a_directory_that_another_process_removed_is_not_locked() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("made");
        assert!(lock(&path).unwrap().is_none());
        fs::create_dir(&path).unwrap();
        assert!(lock(&path).unwrap().is_some());
        let opened = File::open(&path).unwrap();
        fs::remove_dir(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(!is_same(&opened, &path));
    }

    #[test]
    fn a_directory_goes_with_its_owner() {
        let scratch = Scratch::create().unwrap();
        let path = scratch.path().to_owned();
        fs::write(path.join("file"), b"x").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        drop(scratch);
        assert!(!path.exists());
    }
}
