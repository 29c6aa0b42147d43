//! Where a run lies: its directory, the file system under it, and how much of it rings may take.

#![expect(
    clippy::result_large_err,
    reason = "a refusal carries its path in place: boxing it would allocate"
)]

use core::fmt::Write;
use std::io;

use ringscope_ringbuf::clock::realtime_ns;
use ringscope_ringbuf::room::ring_budget_bytes;
use ringscope_ringbuf::sys::{self, FileSystem};

use crate::config::{Config, temporary_dir};
use crate::path::Path;

/// Why a process does not record.
#[derive(Clone, Copy)]
pub(crate) struct Refusal {
    /// What was tried.
    pub(crate) what: &'static str,
    /// Where.
    pub(crate) path: Path,
    /// Why.
    pub(crate) why: Why,
}

#[derive(Clone, Copy)]
pub(crate) enum Why {
    Errno(i32),
    Text(&'static str),
    FileSystem(&'static str),
}

impl core::fmt::Display for Refusal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}: {}: ", self.what, self.path)?;
        match self.why {
            Why::Errno(errno) => write!(f, "{}", io::Error::from_raw_os_error(errno)),
            Why::Text(text) => f.write_str(text),
            Why::FileSystem(name) => write!(
                f,
                "the file system is {name}; tmpfs, ext4 and xfs are safe to map (RINGSCOPE_FORCE_DIR=1 overrides)"
            ),
        }
    }
}

impl Refusal {
    pub(crate) fn errno(&self) -> i32 {
        match self.why {
            Why::Errno(errno) => errno,
            Why::Text(_) => libc::EPERM,
            Why::FileSystem(_) => libc::EOPNOTSUPP,
        }
    }
}

/// The run's directory, checked: the one the supervisor made, or a new one.
pub(crate) fn run_dir(config: &Config) -> Result<Path, Refusal> {
    let run = if config.run.is_empty() {
        new_run_dir(config)?
    } else {
        config.run
    };
    check_owned(&run)?;
    check_file_system(&run, config.force_dir)?;
    Ok(run)
}

fn new_run_dir(config: &Config) -> Result<Path, Refusal> {
    let parent = if config.parent.is_empty() {
        default_parent()
    } else {
        config.parent
    };
    make_dir(&parent, true)?;
    check_owned(&parent)?;
    check_file_system(&parent, config.force_dir)?;
    let mut name = Path::new();
    write_run_name(&mut name);
    let run = parent.join(name);
    make_dir(&run, false)?;
    Ok(run)
}

/// `/dev/shm/ringscope-UID`, or the same below `$TMPDIR` where there is no /dev/shm.
fn default_parent() -> Path {
    let shm_is_tmpfs = FileSystem::of(c"/dev/shm").is_ok_and(|fs| fs.name() == "tmpfs");
    let mut parent = Path::from_bytes(if shm_is_tmpfs {
        b"/dev/shm"
    } else {
        temporary_dir().unwrap_or(b"/tmp")
    });
    // Writing to a path can't fail.
    let _ = write!(parent, "/ringscope-{}", sys::user_id());
    parent
}

/// `run-YYYYMMDD-HHMMSS-PID-NONCE`, in UTC.
fn write_run_name(name: &mut Path) {
    let seconds = realtime_ns() / 1_000_000_000;
    let (year, month, day) = civil_date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    let (pid, nonce) = (sys::process_id(), sys::random_u64() as u32);
    // Writing to a path can't fail.
    let _ = write!(
        name,
        "run-{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}-{pid}-{nonce:08x}"
    );
}

/// Year, month and day of a day count since 1970, by counting eras of 400 years from 1 March 0000.
fn civil_date(days_since_1970: u64) -> (u64, u64, u64) {
    let days = days_since_1970 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

fn make_dir(path: &Path, may_exist: bool) -> Result<(), Refusal> {
    // SAFETY: the path is NUL-terminated.
    let made = unsafe { libc::mkdir(path.as_c_str().as_ptr(), 0o700) };
    if made == 0 {
        // SAFETY: as above; the umask may have taken bits that the owner needs.
        unsafe { libc::chmod(path.as_c_str().as_ptr(), 0o700) };
        return Ok(());
    }
    let errno = last_errno();
    if may_exist && errno == libc::EEXIST {
        return Ok(());
    }
    Err(Refusal {
        what: "create directory",
        path: *path,
        why: Why::Errno(errno),
    })
}

/// A directory of this user, no link, and not open to others without the sticky bit: nobody else plants files in it.
fn check_owned(path: &Path) -> Result<(), Refusal> {
    let refuse = |why| {
        Err(Refusal {
            what: "check directory",
            path: *path,
            why,
        })
    };
    // SAFETY: stat is a plain structure of integers; the path is NUL-terminated.
    let stat = unsafe {
        let mut stat: libc::stat = core::mem::zeroed();
        if libc::lstat(path.as_c_str().as_ptr(), &mut stat) != 0 {
            return refuse(Why::Errno(last_errno()));
        }
        stat
    };
    let open_to_others = stat.st_mode & 0o022 != 0 && stat.st_mode & libc::S_ISVTX == 0;
    if stat.st_mode & libc::S_IFMT != libc::S_IFDIR {
        refuse(Why::Text(
            "expected a directory, found a link or another file",
        ))
    } else if stat.st_uid != sys::user_id() {
        refuse(Why::Text("the directory belongs to another user"))
    } else if open_to_others {
        refuse(Why::Text("others may write to the directory"))
    } else {
        Ok(())
    }
}

fn check_file_system(path: &Path, force: bool) -> Result<(), Refusal> {
    let refuse = |why| {
        Err(Refusal {
            what: "check file system",
            path: *path,
            why,
        })
    };
    match FileSystem::of(path.as_c_str()) {
        Err(errno) => refuse(Why::Errno(errno)),
        Ok(fs) if force || fs.keeps_allocated_blocks() => Ok(()),
        Ok(fs) => refuse(Why::FileSystem(fs.name())),
    }
}

/// Bytes that all rings of a process may take; none where that can't be told.
pub(crate) fn ring_budget(run: &Path) -> u64 {
    FileSystem::of(run.as_c_str()).map_or(0, |found| ring_budget_bytes(&found))
}

pub(crate) fn last_errno() -> i32 {
    io::Error::last_os_error()
        .raw_os_error()
        .unwrap_or(libc::EIO)
}

#[cfg(test)]
mod tests {
    use super::civil_date;

    #[test]
    fn dates_of_known_days() {
        assert_eq!(civil_date(0), (1970, 1, 1));
        assert_eq!(civil_date(11_016), (2000, 2, 29));
        assert_eq!(civil_date(20_781), (2026, 11, 24));
    }
}
