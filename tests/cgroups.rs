//! Memory cgroups of the tests' own, of either version.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A memory cgroup with a limit, removed when it is dropped.
#[derive(Debug)]
pub struct MemoryGroup {
    dir: PathBuf,
}

impl MemoryGroup {
    /// A cgroup whose processes may take `limit_bytes` together; `name` tells those of one test process apart.
    ///
    /// # Errors
    ///
    /// Why there can be none on this machine.
    pub fn new(name: &str, limit_bytes: u64) -> Result<MemoryGroup, String> {
        let (parent, limit_file) = memory_controller()?;
        let dir = parent.join(format!("ringscope-test-{}-{name}", std::process::id()));
        fs::create_dir(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        let group = MemoryGroup { dir };
        let limit = group.dir.join(limit_file);
        fs::write(&limit, limit_bytes.to_string())
            .map_err(|error| format!("{}: {error}", limit.display()))?;
        Ok(group)
    }

    /// Has `command` start inside.
    pub fn put(&self, command: &mut Command) {
        let procs = self.dir.join("cgroup.procs");
        let join = move || fs::write(&procs, "0");
        // SAFETY: the child that runs this is a fork of a test thread; it opens, writes and closes one file.
        unsafe { command.pre_exec(join) };
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // Left over when a process still lives in it, which the test has said already.
        let _ = fs::remove_dir(&self.dir);
    }
}

/// Where memory cgroups are made, and the name of the file that holds their limit.
fn memory_controller() -> Result<(PathBuf, &'static str), String> {
    let root = Path::new("/sys/fs/cgroup");
    let controllers = fs::read_to_string(root.join("cgroup.subtree_control")).unwrap_or_default();
    if controllers.split_whitespace().any(|name| name == "memory") {
        return Ok((root.to_owned(), "memory.max"));
    }
    let version_1 = root.join("memory");
    if version_1.join("memory.limit_in_bytes").exists() {
        return Ok((version_1, "memory.limit_in_bytes"));
    }
    Err("no memory cgroup can be made below /sys/fs/cgroup".to_string())
}
