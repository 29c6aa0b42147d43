//! What the harness asks the kernel for: cores, page faults, and itself in a new process.

use std::ffi::CString;
use std::io;
use std::mem;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Cores that this thread may run on, the last one first: the first core serves most interrupts.
pub fn allowed_cores() -> Vec<usize> {
    // SAFETY: a CPU set is a plain array of bits; the pointer is live and its size given.
    let set = unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set);
        set
    };
    let limit = libc::CPU_SETSIZE as usize;
    // SAFETY: the index is below the size of the set.
    let is_set = |core: &usize| unsafe { libc::CPU_ISSET(*core, &set) };
    (0..limit).rev().filter(is_set).collect()
}

/// Keeps the calling thread on one core.
///
/// # Errors
///
/// What the kernel says, for a core that this thread may not run on.
pub fn pin_to(core: usize) -> io::Result<()> {
    // SAFETY: as above; the core is one of `allowed_cores`, below the size of the set.
    let outcome = unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set)
    };
    match outcome {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// What the kernel has done with the calling thread so far.
#[derive(Clone, Copy, Debug)]
pub struct ThreadUsage {
    /// Page faults, those included that needed no read.
    pub page_faults: u64,
    /// How often the core was taken away from it.
    pub preemptions: u64,
}

impl ThreadUsage {
    /// Up to now.
    pub fn now() -> ThreadUsage {
        // SAFETY: the structure is plain and live.
        let usage = unsafe {
            let mut usage: libc::rusage = mem::zeroed();
            libc::getrusage(libc::RUSAGE_THREAD, &mut usage);
            usage
        };
        ThreadUsage {
            page_faults: (usage.ru_minflt + usage.ru_majflt) as u64,
            preemptions: usage.ru_nivcsw as u64,
        }
    }
}

/// This program, to be started once more: recording is set up once in a process, so each configuration needs its own.
///
/// # Errors
///
/// When the program's own path can't be found.
pub fn this_program() -> Result<PathBuf, String> {
    std::env::current_exe().map_err(|error| format!("start: this program: {error}"))
}

/// Takes away from `command` what the environment says of recording.
pub fn forget_environment(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.as_bytes().starts_with(b"RINGSCOPE_") {
            command.env_remove(name);
        }
    }
}

/// Runs `command` to its end, with what it says kept back.
///
/// # Errors
///
/// When it can't be started or fails: then also what it said.
pub fn run_quietly(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().display().to_string();
    let output = command
        .output()
        .map_err(|error| format!("start: {program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    Err(format!(
        "run: {program}: {}: {}",
        output.status,
        lines.join("; ")
    ))
}

/// `path` for system calls.
///
/// # Errors
///
/// When there is a NUL byte in it.
pub fn c_path(path: &Path) -> Result<CString, String> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|error| format!("path: {}: {error}", path.display()))
}

/// What an error number means.
pub fn os_error(errno: i32) -> io::Error {
    io::Error::from_raw_os_error(errno)
}
