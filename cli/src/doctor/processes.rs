//! What recording asks of processes: locks that tell the living, pages that a fork wipes, words that can be shared.

use std::fs::{self, File};
use std::thread;

use ringscope_ringbuf::file::{FileKind, LockFile, file_start};
use ringscope_ringbuf::layout::LOCK_STATIC_LEN;
use ringscope_ringbuf::map::MappedLock;
use ringscope_ringbuf::sys;

use super::check::Check;
use super::room::TrialRun;
use crate::kernel::{self, DirectoryWatch, ProcessFd, c_path};

/// Takes a process's lock in the run; a child says whether it sees it.
pub(super) fn lock(run: &TrialRun) -> Check {
    let seen = lock_is_seen(run);
    let found = match &seen {
        Ok(true) => "a living process is told from a dead one by its lock".to_owned(),
        Ok(false) => "a child does not see the lock of its parent".to_owned(),
        Err(why) => format!("no lock: {why}"),
    };
    Check::ok("lock", found).fail_if(
        !matches!(seen, Ok(true)),
        "dead processes would pass for living ones: choose a place on a local file system with --dir",
    )
}

fn lock_is_seen(run: &TrialRun) -> Result<bool, String> {
    let path = run.path_of(FileKind::Lock, 0);
    let name = c_path(&path).map_err(|failure| failure.line().to_owned())?;
    let mut start = file_start(0, sys::process_id(), 0, 0);
    start.header_len = (LOCK_STATIC_LEN as u32).into();
    let lock = MappedLock::create(&name, &start)
        .map_err(|errno| std::io::Error::from_raw_os_error(errno).to_string())?;
    let parent = sys::process_id();
    let seen =
        kernel::ask_child(|| LockFile::read(&path).is_ok_and(|found| found.holder == Some(parent)));
    drop(lock);
    seen.map_err(|error| error.to_string())
}

/// Lets a fork wipe a page.
pub(super) fn fork() -> Check {
    let wiped = kernel::fork_wipes_page();
    let found = match &wiped {
        Ok(true) => "a child finds its page wiped, and opens rings of its own".to_owned(),
        Ok(false) => "a child finds its parent's page".to_owned(),
        Err(error) => format!("no page can be marked to be wiped: {error}"),
    };
    Check::ok("fork", found).fail_if(
        !matches!(wiped, Ok(true)),
        "a child would write into its parent's rings: MADV_WIPEONFORK takes Linux 4.14 and a sandbox that allows it",
    )
}

/// Makes the file in which the level stands.
pub(super) fn level() -> Check {
    let made = sys::sealed_memfd(c"ringscope-doctor", size_of::<u64>()).map(File::from);
    let is_sealed = made.as_ref().is_ok_and(sys::is_sealed);
    let found = match made {
        Ok(_) if is_sealed => "its word can be shared, and the file is sealed".to_owned(),
        Ok(_) => "its file can't be sealed".to_owned(),
        Err(errno) => format!("no memfd: {}", std::io::Error::from_raw_os_error(errno)),
    };
    Check::ok("level", found).warn_if(
        !is_sealed,
        "`ringscope level` can't switch running processes: memfd_create takes a sandbox that allows it",
    )
}

/// Asks how processes and files are watched.
pub(super) fn watching(run: &TrialRun) -> Check {
    let watch = DirectoryWatch::new(&run.directory.path);
    let process = ProcessFd::open(sys::process_id());
    let proc = fs::metadata("/proc/self/stat");
    let obstacles: Vec<String> = [
        watch.err().map(|error| format!("inotify: {error}")),
        process.err().map(|error| format!("pidfd_open: {error}")),
        proc.err().map(|error| format!("/proc: {error}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    let found = match obstacles.is_empty() {
        true => "new files and ends of processes are told at once".to_owned(),
        false => obstacles.join(", "),
    };
    Check::ok("watching", found).warn_if(
        !obstacles.is_empty(),
        "ends of processes are seen late or not at all: more inotify instances (sysctl fs.inotify.max_user_instances), \
         a mounted /proc, a sandbox that allows pidfd_open",
    )
}

/// Counts the processors that may be used.
pub(super) fn processors() -> Check {
    let count = thread::available_parallelism().map_or(1, usize::from);
    let found = format!("{count} may be used");
    Check::ok("processors", found)
        .with("count", count)
        .warn_if(
            count < 2,
            "saving the rings takes turns with the program in full mode: larger rings (--ring-size), or --mode flight",
        )
}
