//! The run directory: where it may lie, and its creation.

use std::ffi::CString;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use ringscope_ringbuf::sys::{self, FileSystem};

use crate::cli::PlaceArgs;
use crate::failure::Failure;

/// Only the owner may look into run directories.
const PRIVATE: u32 = 0o700;
/// Below this much free space /dev/shm is passed over: a few rings would fill it.
const USABLE_SHM_BYTES: u64 = 4 << 20;

/// A run directory that this process has just made.
#[derive(Clone, Debug)]
pub(crate) struct RunDirectory {
    /// Its path, absolute.
    pub(crate) path: PathBuf,
    /// The file system it lies on, as it was at the start.
    pub(crate) file_system: FileSystem,
}

impl RunDirectory {
    /// Makes a run directory where `place`, the environment and the machine say.
    pub(crate) fn create(place: &PlaceArgs) -> Result<RunDirectory, Failure> {
        let parent = parent_of_runs(place);
        ensure_private_parent(&parent)?;
        let parent =
            fs::canonicalize(&parent).map_err(|error| Failure::io("open", &parent, &error))?;
        let file_system = file_system_of(&parent)?;
        if !file_system.keeps_allocated_blocks() && !place.force_dir {
            let why = format!(
                "a full {} file system can kill the recorded program; choose a place on tmpfs, ext4 or xfs with \
                 --dir, or insist with --force-dir",
                file_system.name()
            );
            return Err(Failure::new("record", parent.display(), why));
        }
        let path = parent.join(run_name());
        DirBuilder::new()
            .mode(PRIVATE)
            .create(&path)
            .map_err(|error| Failure::io("create run", &path, &error))?;
        Ok(RunDirectory { path, file_system })
    }

    /// Bytes that the file system still has, as it is now.
    pub(crate) fn free_bytes(&self) -> Option<u64> {
        file_system_of(&self.path)
            .ok()
            .map(|found| found.free_bytes)
    }
}

fn run_name() -> String {
    let now = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S").to_string();
    let nonce = sys::random_u64() as u32;
    format!("run-{now}-{}-{nonce:08x}", sys::process_id())
}

fn file_system_of(path: &Path) -> Result<FileSystem, Failure> {
    let failed = |error: io::Error| Failure::io("look at file system", path, &error);
    let name = CString::new(path.as_os_str().as_bytes()).map_err(|error| failed(error.into()))?;
    FileSystem::of(&name).map_err(|errno| failed(io::Error::from_raw_os_error(errno)))
}

fn parent_of_runs(place: &PlaceArgs) -> PathBuf {
    let named = place.dir.clone().or_else(|| {
        std::env::var_os("RINGSCOPE_DIR")
            .filter(|dir| !dir.is_empty())
            .map(PathBuf::from)
    });
    if let Some(parent) = named {
        return parent;
    }
    let shm = Path::new("/dev/shm");
    let base = if shm_is_usable(shm) {
        shm.to_owned()
    } else {
        std::env::temp_dir()
    };
    base.join(format!("ringscope-{}", sys::user_id()))
}

fn shm_is_usable(shm: &Path) -> bool {
    file_system_of(shm)
        .is_ok_and(|found| found.name() == "tmpfs" && found.free_bytes >= USABLE_SHM_BYTES)
        && fs::metadata(shm).is_ok_and(|found| found.mode() & 0o1002 == 0o1002)
}

/// Makes the parent when it is not there, and refuses one that another user could replace or fill.
fn ensure_private_parent(parent: &Path) -> Result<(), Failure> {
    let made = DirBuilder::new()
        .mode(PRIVATE)
        .recursive(true)
        .create(parent);
    // What stands there already is looked at below, whatever it is.
    if let Err(error) = made
        && fs::symlink_metadata(parent).is_err()
    {
        return Err(Failure::io("create", parent, &error));
    }
    let found =
        fs::symlink_metadata(parent).map_err(|error| Failure::io("open", parent, &error))?;
    let refused = |why: String| Err(Failure::new("record", parent.display(), why));
    if found.is_symlink() {
        return refused("is a symlink: name the directory itself".to_owned());
    }
    if !found.is_dir() {
        return refused("is not a directory".to_owned());
    }
    // The superuser could do anything anyhow: a directory such as /tmp is as good as its mode.
    if found.uid() != sys::user_id() && found.uid() != 0 {
        let why = format!(
            "belongs to user {}, expected user {}",
            found.uid(),
            sys::user_id()
        );
        return refused(why);
    }
    if found.mode() & 0o022 != 0 && found.mode() & 0o1000 == 0 {
        return refused("others may rename files in it: expected mode 0700".to_owned());
    }
    Ok(())
}
