//! The system calls that the format's users share: small files, locks, identity, memfds. No function here
//! allocates or takes a lock, so that a child forked from a threaded process may call all of them.

use core::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

fn last_error() -> i32 {
    io::Error::last_os_error()
        .raw_os_error()
        .unwrap_or(libc::EIO)
}

/// Reads the beginning of a file into `out`; bytes read, or the error number. Links are not followed.
///
/// # Errors
///
/// The error number of `open` or `read`.
pub fn read_file(path: &CStr, out: &mut [u8]) -> Result<usize, i32> {
    // SAFETY: `path` is NUL-terminated; the descriptor is owned by the File below and closed by it.
    let file = unsafe {
        let fd = libc::open(
            path.as_ptr(),
            libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOFOLLOW,
        );
        if fd < 0 {
            return Err(last_error());
        }
        File::from_raw_fd(fd)
    };
    let mut len = 0;
    while len < out.len() {
        match io::Read::read(&mut &file, &mut out[len..]) {
            Ok(0) => break,
            Ok(n) => len += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.raw_os_error().unwrap_or(libc::EIO)),
        }
    }
    Ok(len)
}

/// Creates a file that did not exist, for this user alone whatever the umask.
///
/// # Errors
///
/// The error number; EEXIST for anything that stands there, a symlink included.
pub fn create_new(path: &CStr) -> Result<File, i32> {
    let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    // SAFETY: `path` is NUL-terminated; the descriptor, when there is one, is owned by the File alone.
    unsafe {
        let fd = libc::open(path.as_ptr(), flags, 0o600);
        if fd < 0 {
            return Err(last_error());
        }
        libc::fchmod(fd, 0o600);
        Ok(File::from_raw_fd(fd))
    }
}

/// Asks whether a file of this process may grow to `len` bytes. Growing one beyond the limit (`ulimit -f`) would send
/// SIGXFSZ, which ends a program.
///
/// # Errors
///
/// EFBIG when it may not.
pub fn may_grow_to(len: u64) -> Result<(), i32> {
    // SAFETY: rlimit is a plain structure of integers, which the call fills in.
    let limit = unsafe {
        let mut limit: libc::rlimit = core::mem::zeroed();
        if libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit) != 0 {
            return Ok(());
        }
        limit.rlim_cur
    };
    // RLIM_INFINITY is the largest number.
    if len <= limit {
        Ok(())
    } else {
        Err(libc::EFBIG)
    }
}

/// Allocates the blocks of a file, so that later stores into its mapping can't meet a full disk.
///
/// # Errors
///
/// The error number: ENOSPC when the file system is full, EFBIG beyond what files may grow to. The file may then keep a
/// part: remove it.
pub fn allocate(file: &File, len: usize) -> Result<(), i32> {
    may_grow_to(len as u64)?;
    // SAFETY: the descriptor is open as long as `file` lives.
    match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, len as libc::off_t) } {
        0 => Ok(()),
        error => Err(error),
    }
}

/// Removes a file; failures are ignored, as there is nothing left to try.
pub fn remove(path: &CStr) {
    // SAFETY: `path` is NUL-terminated.
    unsafe { libc::unlink(path.as_ptr()) };
}

/// Takes a write lock on the whole file for this process (F_SETLK). The lock goes when the process ends or
/// closes any descriptor of the file; a forked child does not have it.
///
/// # Errors
///
/// The error number, EAGAIN or EACCES when another process holds it.
pub fn lock(file: &File) -> Result<(), i32> {
    let mut lock = whole_file_lock();
    // SAFETY: the descriptor is open, the flock structure is live and filled in.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLK, &mut lock) } {
        0 => Ok(()),
        _ => Err(last_error()),
    }
}

/// The process that holds a lock on the file: `Some(0)` when it is not visible in this pid namespace.
///
/// # Errors
///
/// The error number of `fcntl`.
pub fn lock_holder(file: &File) -> Result<Option<u32>, i32> {
    let mut lock = whole_file_lock();
    // SAFETY: as above.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETLK, &mut lock) } {
        0 if lock.l_type == libc::F_UNLCK as libc::c_short => Ok(None),
        0 => Ok(Some(lock.l_pid.max(0) as u32)),
        _ => Err(last_error()),
    }
}

fn whole_file_lock() -> libc::flock {
    // SAFETY: flock is a plain structure of integers, for which zeros are valid.
    let mut lock: libc::flock = unsafe { core::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock
}

/// The kernel's boot id, binary; zeros when it can't be read.
pub fn boot_id() -> [u8; 16] {
    let mut text = [0u8; 40];
    let len = read_file(c"/proc/sys/kernel/random/boot_id", &mut text).unwrap_or(0);
    let mut id = [0u8; 16];
    let digits = text[..len].iter().filter_map(|c| (*c as char).to_digit(16));
    for (i, digit) in digits.take(32).enumerate() {
        id[i / 2] = id[i / 2] << 4 | digit as u8;
    }
    id
}

/// Start time of a process in clock ticks since boot, from `/proc/PID/stat`; `None` when there is no such
/// process. Pid 0 means the calling process.
pub fn start_time(pid: u32) -> Option<u64> {
    let mut path = [0u8; 32];
    let path = proc_path(&mut path, pid, b"/stat");
    let mut stat = [0u8; 1024];
    let len = read_file(path, &mut stat).ok()?;
    // The command in field 2 may hold spaces and parentheses: count from its last closing one.
    let after = stat[..len].iter().rposition(|c| *c == b')')? + 1;
    let field = stat[after..len]
        .split(|c| *c == b' ')
        .filter(|f| !f.is_empty())
        .nth(19)?;
    core::str::from_utf8(field).ok()?.parse().ok()
}

fn proc_path<'a>(buffer: &'a mut [u8; 32], pid: u32, tail: &[u8]) -> &'a CStr {
    let mut len = 0;
    let mut put = |bytes: &[u8]| {
        buffer[len..len + bytes.len()].copy_from_slice(bytes);
        len += bytes.len();
    };
    put(b"/proc/");
    if pid == 0 {
        put(b"self");
    } else {
        let mut digits = [0u8; 10];
        let mut at = digits.len();
        let mut rest = pid;
        while rest > 0 || at == digits.len() {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        put(&digits[at..]);
    }
    put(tail);
    CStr::from_bytes_until_nul(buffer).unwrap_or(c"/proc/self")
}

/// Inode of the calling process's pid namespace, 0 when unknown.
pub fn pid_namespace() -> u64 {
    // SAFETY: stat is a plain structure of integers; the path is NUL-terminated.
    unsafe {
        let mut stat: libc::stat = core::mem::zeroed();
        if libc::stat(c"/proc/self/ns/pid".as_ptr(), &mut stat) == 0 {
            stat.st_ino
        } else {
            0
        }
    }
}

/// Host name, NUL-padded and cut to 63 bytes.
pub fn host_name() -> [u8; 64] {
    let mut name = [0u8; 64];
    // SAFETY: the buffer is live and its length given; one byte stays for the NUL.
    unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len() - 1) };
    name
}

/// Eight random bytes; from the clock where the kernel gives none yet.
pub fn random_u64() -> u64 {
    let mut bytes = [0u8; 8];
    // SAFETY: the buffer is live and its length given.
    let got =
        unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), libc::GRND_NONBLOCK) };
    if got == bytes.len() as isize {
        u64::from_ne_bytes(bytes)
    } else {
        crate::clock::counter() ^ crate::clock::realtime_ns() << 32
    }
}

/// Id of the calling thread.
pub fn thread_id() -> u32 {
    // By number, since glibc has a function for it only from 2.30 on.
    // SAFETY: gettid takes nothing and can't fail.
    unsafe { libc::syscall(libc::SYS_gettid) as u32 }
}

/// Id of the calling process, asked from the kernel (no cached value survives a raw clone).
pub fn process_id() -> u32 {
    // SAFETY: getpid takes nothing and can't fail.
    unsafe { libc::syscall(libc::SYS_getpid) as u32 }
}

/// Parent of the calling process.
pub fn parent_id() -> u32 {
    // SAFETY: getppid takes nothing and can't fail.
    unsafe { libc::getppid() as u32 }
}

/// User id of the calling process.
pub fn user_id() -> u32 {
    // SAFETY: geteuid takes nothing and can't fail.
    unsafe { libc::geteuid() }
}

/// Name of the calling thread as the kernel has it: at most 15 bytes, NUL-padded.
pub fn thread_name() -> [u8; 16] {
    let mut name = [0u8; 16];
    // SAFETY: PR_GET_NAME writes at most 16 bytes to the buffer.
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    name
}

/// An anonymous file of `len` zero bytes whose size nobody can change any more (sealed against it).
///
/// # Errors
///
/// The error number of the call that failed.
pub fn sealed_memfd(name: &CStr, len: usize) -> Result<OwnedFd, i32> {
    may_grow_to(len as u64)?;
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // SAFETY: `name` is NUL-terminated; the descriptor is owned by the OwnedFd alone.
    unsafe {
        let fd = libc::memfd_create(name.as_ptr(), flags);
        if fd < 0 {
            return Err(last_error());
        }
        let fd = OwnedFd::from_raw_fd(fd);
        let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
        if libc::ftruncate(fd.as_raw_fd(), len as libc::off_t) != 0
            || libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, seals) != 0
        {
            return Err(last_error());
        }
        Ok(fd)
    }
}

/// True for a memfd that can be neither grown nor cut, as [`sealed_memfd`] makes them.
pub fn is_sealed(file: &File) -> bool {
    // SAFETY: the descriptor is open as long as `file` lives; fails for files that know no seals.
    let seals = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GET_SEALS) };
    let wanted = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW;
    seals >= 0 && seals & wanted == wanted
}

/// Device and inode of an open file.
///
/// # Errors
///
/// The error number of `fstat`.
pub fn device_and_inode(fd: RawFd) -> Result<(u64, u64), i32> {
    // SAFETY: stat is a plain structure of integers; the pointer is live.
    unsafe {
        let mut stat: libc::stat = core::mem::zeroed();
        if libc::fstat(fd, &mut stat) != 0 {
            return Err(last_error());
        }
        Ok((stat.st_dev, stat.st_ino))
    }
}

/// What a directory's file system is and has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// `f_type` of statfs(2).
    pub magic: u64,
    /// Bytes that this user may still write.
    pub free_bytes: u64,
    /// Size in bytes.
    pub total_bytes: u64,
}

impl FileSystem {
    /// Asks about the file system that holds `path`.
    ///
    /// # Errors
    ///
    /// The error number of `statfs`.
    pub fn of(path: &CStr) -> Result<FileSystem, i32> {
        // SAFETY: statfs is a plain structure of integers; the pointers are live and NUL-terminated.
        unsafe {
            let mut stat: libc::statfs = core::mem::zeroed();
            if libc::statfs(path.as_ptr(), &mut stat) != 0 {
                return Err(last_error());
            }
            let block = stat.f_bsize as u64;
            Ok(FileSystem {
                magic: stat.f_type as u64 & 0xFFFF_FFFF,
                free_bytes: stat.f_bavail as u64 * block,
                total_bytes: stat.f_blocks as u64 * block,
            })
        }
    }

    /// Name of the file system, where it is one that matters here.
    pub fn name(&self) -> &'static str {
        match self.magic {
            0x0102_1994 => "tmpfs",
            0xEF53 => "ext4",
            0x5846_5342 => "xfs",
            0x9123_683E => "btrfs",
            0x2FC1_2FC1 => "zfs",
            0x794C_7630 => "overlayfs",
            0x6969 => "nfs",
            0xFF53_4D42 => "cifs",
            0xFE53_4D42 => "smb2",
            0x6573_5546 => "fuse",
            0x0102_1997 => "9p",
            0x8584_58F6 => "ramfs",
            _ => "unknown",
        }
    }

    /// True for the file systems on which allocated blocks stay writable in place: tmpfs, ext4 and xfs. Copy-on-write
    /// and network file systems may fail a store into a mapping, which would kill the host.
    pub fn keeps_allocated_blocks(&self) -> bool {
        matches!(self.name(), "tmpfs" | "ext4" | "xfs")
    }
}
