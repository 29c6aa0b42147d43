//! Small file systems of the tests' own, mounted for as long as a test runs.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;

/// A mounted file system.
#[derive(Debug)]
pub struct Mount {
    dir: TempDir,
}

impl Mount {
    /// Mounts a file system of type `kind` with `options`; private to this user.
    ///
    /// # Panics
    ///
    /// When it can't be mounted: see [`is_root`](crate::not_run::is_root).
    pub fn new(kind: &str, options: &str) -> Mount {
        let dir = tempfile::tempdir().expect("a place to mount");
        mount(dir.path(), kind, 0, options);
        let mount = Mount { dir };
        let private = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(mount.path(), private).expect("the root directory is ours");
        mount
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Lets nobody write to it any more.
    pub fn make_read_only(&self) {
        mount(self.path(), "", libc::MS_REMOUNT | libc::MS_RDONLY, "");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let path = c_string(self.path().as_os_str().as_bytes());
        // SAFETY: the path is NUL-terminated. Detached, so that a file still open does not keep the directory.
        unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) };
    }
}

fn mount(at: &Path, kind: &str, flags: libc::c_ulong, options: &str) {
    let (path, kind) = (
        c_string(at.as_os_str().as_bytes()),
        c_string(kind.as_bytes()),
    );
    let options = c_string(options.as_bytes());
    // SAFETY: all texts are NUL-terminated and live until the call returns.
    let mounted = unsafe {
        libc::mount(
            kind.as_ptr(),
            path.as_ptr(),
            kind.as_ptr(),
            flags,
            options.as_ptr().cast(),
        )
    };
    let error = std::io::Error::last_os_error();
    assert_eq!(mounted, 0, "mount {kind:?} at {}: {error}", at.display());
}

fn c_string(bytes: &[u8]) -> CString {
    CString::new(bytes).expect("no NUL inside")
}
