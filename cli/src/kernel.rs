//! What is asked of the kernel beyond std: signals as a descriptor, process descriptors, a directory watch, waiting,
//! limits, children. All unsafe code of the command line stands here.

use std::ffi::CString;
use std::fmt;
use std::fs;
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::failure::Failure;
use crate::size::Size;

fn checked(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Owns the descriptor that a call has just returned.
fn owned(result: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: the descriptor is new, and nobody else knows it.
    checked(result).map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The path as system calls take it.
pub(crate) fn c_path(path: &Path) -> Result<CString, Failure> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|error| Failure::io("open", path, &error.into()))
}

/// A signal that was sent to this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signal {
    /// Its number.
    pub(crate) number: i32,
    /// True when the kernel sent it (the terminal's Ctrl-C), which then reached the whole foreground group.
    pub(crate) from_kernel: bool,
}

impl Signal {
    /// True when people or their supervisors mean "stop" by it.
    pub(crate) fn asks_to_stop(self) -> bool {
        matches!(
            self.number,
            libc::SIGINT | libc::SIGTERM | libc::SIGHUP | libc::SIGQUIT
        )
    }
}

/// Signals that `record` passes on; blocked, and read from a descriptor instead.
#[derive(Debug)]
pub(crate) struct Signals {
    fd: OwnedFd,
    previous: libc::sigset_t,
}

impl Signals {
    /// Signals that are passed on to the program.
    const PASSED_ON: [libc::c_int; 6] = [
        libc::SIGINT,
        libc::SIGTERM,
        libc::SIGHUP,
        libc::SIGQUIT,
        libc::SIGUSR1,
        libc::SIGUSR2,
    ];

    /// Blocks the signals in this thread and in those that it starts from here on.
    pub(crate) fn block() -> io::Result<Signals> {
        let mut previous = MaybeUninit::<libc::sigset_t>::uninit();
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: sigemptyset fills `set` in before anything reads it; pthread_sigmask fills `previous` in.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for signal in Signals::PASSED_ON {
                libc::sigaddset(set.as_mut_ptr(), signal);
            }
            let set = set.assume_init();
            match libc::pthread_sigmask(libc::SIG_BLOCK, &set, previous.as_mut_ptr()) {
                0 => {}
                error => return Err(io::Error::from_raw_os_error(error)),
            }
            let fd = owned(libc::signalfd(
                -1,
                &set,
                libc::SFD_CLOEXEC | libc::SFD_NONBLOCK,
            ))?;
            Ok(Signals {
                fd,
                previous: previous.assume_init(),
            })
        }
    }

    /// The next signal that has arrived.
    pub(crate) fn next(&self) -> Option<Signal> {
        let mut info = MaybeUninit::<libc::signalfd_siginfo>::zeroed();
        let len = size_of::<libc::signalfd_siginfo>();
        // SAFETY: the buffer is live and `len` long; signalfd_siginfo is integers, valid when zero.
        let (got, info) = unsafe {
            let got = libc::read(self.fd.as_raw_fd(), info.as_mut_ptr().cast(), len);
            (got, info.assume_init())
        };
        (got == len as isize).then_some(Signal {
            number: info.ssi_signo as i32,
            from_kernel: info.ssi_code == libc::SI_KERNEL,
        })
    }

    /// Gives the program the signal mask that this process was started with.
    pub(crate) fn restore_in(&self, command: &mut Command) {
        let mask = self.previous;
        // SAFETY: the closure makes one async-signal-safe call and touches nothing but its own copy of the mask.
        unsafe {
            command.pre_exec(move || {
                match libc::pthread_sigmask(libc::SIG_SETMASK, &mask, std::ptr::null_mut()) {
                    0 => Ok(()),
                    error => Err(io::Error::from_raw_os_error(error)),
                }
            });
        }
    }
}

impl AsRawFd for Signals {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// Sends a signal to the program. Its pid can't mean another process while it has not been waited for.
pub(crate) fn send_signal(pid: u32, signal: i32) {
    // SAFETY: kill takes two integers; a failure (it has just ended) leaves nothing to do.
    unsafe { libc::kill(pid as libc::pid_t, signal) };
}

/// A descriptor of a process: readable from when it has ended.
#[derive(Debug)]
pub(crate) struct ProcessFd {
    fd: OwnedFd,
    pid: u32,
}

impl ProcessFd {
    /// A descriptor of the process that has this id now.
    pub(crate) fn open(pid: u32) -> io::Result<ProcessFd> {
        // SAFETY: the call takes two integers and returns a descriptor, closed on exec by itself.
        let result = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        Ok(ProcessFd {
            fd: owned(result as libc::c_int)?,
            pid,
        })
    }

    /// True when the process has ended.
    pub(crate) fn has_ended(&self) -> bool {
        wait_readable(&[self.fd.as_raw_fd()], Duration::ZERO)
    }

    /// Wait status of a process that has ended, also of one that is not a child and has been waited for by its
    /// parent (Linux 6.15); before that, of one that its parent has not waited for yet.
    pub(crate) fn wait_status(&self) -> Option<i32> {
        // The kernel tells it from when the parent has waited, `/proc` until then, which may be between the first two.
        self.told_wait_status()
            .or_else(|| zombie_wait_status(self.pid))
            .or_else(|| self.told_wait_status())
    }

    fn told_wait_status(&self) -> Option<i32> {
        // SAFETY: pidfd_info is integers, valid when zero.
        let mut info: libc::pidfd_info = unsafe { MaybeUninit::zeroed().assume_init() };
        info.mask = libc::PIDFD_INFO_EXIT as u64;
        // SAFETY: the request's number says how long the structure is, and `info` is one.
        let result = unsafe { libc::ioctl(self.fd.as_raw_fd(), libc::PIDFD_GET_INFO, &mut info) };
        (result == 0 && info.mask & libc::PIDFD_INFO_EXIT as u64 != 0).then_some(info.exit_code)
    }
}

impl AsRawFd for ProcessFd {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// Field 52 of `/proc/PID/stat`, which is the wait status while the state in field 3 is Z.
fn zombie_wait_status(pid: u32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(") ")?;
    let mut fields = after_name.split_ascii_whitespace();
    let is_zombie = fields.next()? == "Z";
    let status = fields.nth(48)?.parse().ok()?;
    is_zombie.then_some(status)
}

/// Says when files appear in a directory.
#[derive(Debug)]
pub(crate) struct DirectoryWatch {
    fd: OwnedFd,
}

impl DirectoryWatch {
    /// Watches `directory`.
    pub(crate) fn new(directory: &Path) -> io::Result<DirectoryWatch> {
        let path = CString::new(directory.as_os_str().as_bytes())?;
        let events = libc::IN_CREATE | libc::IN_MOVED_TO;
        // SAFETY: the path is NUL-terminated, the descriptor open.
        unsafe {
            let fd = owned(libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK))?;
            checked(libc::inotify_add_watch(
                fd.as_raw_fd(),
                path.as_ptr(),
                events,
            ))?;
            Ok(DirectoryWatch { fd })
        }
    }

    /// True when something appeared since the last call.
    pub(crate) fn take_events(&self) -> bool {
        let mut buffer = [0u8; 4096];
        let mut any = false;
        // SAFETY: the buffer is live and its length given; what the events say is not looked at.
        while unsafe {
            libc::read(
                self.fd.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
            )
        } > 0
        {
            any = true;
        }
        any
    }
}

impl AsRawFd for DirectoryWatch {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// Waits until one of the descriptors can be read (or its other end is closed), at most for `timeout`; whether one can.
pub(crate) fn wait_readable(fds: &[RawFd], timeout: Duration) -> bool {
    let mut polled: Vec<libc::pollfd> = fds
        .iter()
        .map(|fd| libc::pollfd {
            fd: *fd,
            events: libc::POLLIN,
            revents: 0,
        })
        .collect();
    let timeout = libc::timespec {
        tv_sec: timeout.as_secs() as libc::time_t,
        tv_nsec: timeout.subsec_nanos() as libc::c_long,
    };
    let count = polled.len() as libc::nfds_t;
    // SAFETY: the array is live and as long as `count` says; no mask is given.
    unsafe { libc::ppoll(polled.as_mut_ptr(), count, &timeout, std::ptr::null()) > 0 }
}

/// Lets this process open as many files as the machine allows: three for every ring that is drained. To be called
/// after the program was started, which keeps the limit it had.
pub(crate) fn raise_open_file_limit() {
    // SAFETY: rlimit is two integers, filled in by getrlimit before setrlimit reads them.
    unsafe {
        let mut limit: libc::rlimit = MaybeUninit::zeroed().assume_init();
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
    }
}

/// Lets this thread wake when its time has come, and run at once when it does: by default the kernel adds up to 50 us,
/// and lets another thread on the same core go on for some milliseconds, in which a busy thread fills a ring several
/// times. Its share of the core stays what it was. To be called after the program was started, which would inherit it.
pub(crate) fn wake_punctually() {
    /// The shortest slice that the kernel takes, ns.
    const SLICE_NS: u64 = 100_000;
    // SAFETY: prctl takes two integers; sched_attr is integers, valid when zero, filled in by sched_getattr before
    // sched_setattr reads it. A kernel that does not know slices (before 6.12) ignores or refuses this one.
    unsafe {
        libc::prctl(libc::PR_SET_TIMERSLACK, 1);
        let mut attributes: libc::sched_attr = MaybeUninit::zeroed().assume_init();
        let size = size_of::<libc::sched_attr>() as libc::c_uint;
        if libc::syscall(libc::SYS_sched_getattr, 0, &mut attributes, size, 0) == 0 {
            attributes.sched_runtime = SLICE_NS;
            libc::syscall(libc::SYS_sched_setattr, 0, &attributes, 0);
        }
    }
}

/// Moves this thread to another core, where it may use one, and lets it run on all of them again. A kernel that wakes a
/// thread on the core it was on last leaves it beside a thread that is bound to that core and never sleeps.
pub(crate) fn leave_core() {
    // SAFETY: cpu_set_t is an array of bits, filled in by sched_getaffinity before it is read; the number of the core is
    // the kernel's own, and CPU_CLR leaves alone what lies beyond the set.
    unsafe {
        let mut all: libc::cpu_set_t = MaybeUninit::zeroed().assume_init();
        let size = size_of::<libc::cpu_set_t>();
        let core = libc::sched_getcpu();
        if core < 0 || libc::sched_getaffinity(0, size, &mut all) != 0 || libc::CPU_COUNT(&all) < 2
        {
            return;
        }
        let mut others = all;
        libc::CPU_CLR(core as usize, &mut others);
        if libc::sched_setaffinity(0, size, &others) == 0 {
            libc::sched_setaffinity(0, size, &all);
        }
    }
}

/// A limit of the kernel; `None` where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    /// The most that is allowed.
    pub(crate) value: Option<u64>,
}

impl Limit {
    fn of(value: libc::rlim_t) -> Limit {
        Limit {
            value: (value != libc::RLIM_INFINITY).then_some(value),
        }
    }

    /// True when less than `needed` is allowed.
    pub(crate) fn is_below(self, needed: u64) -> bool {
        self.value.is_some_and(|value| value < needed)
    }

    /// As a size.
    pub(crate) fn in_bytes(self) -> String {
        self.value.map_or_else(
            || "unlimited".to_owned(),
            |value| Size::new(value).to_string(),
        )
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value {
            Some(value) => value.fmt(f),
            None => f.write_str("unlimited"),
        }
    }
}

/// The limit that holds for this process now.
pub(crate) fn soft_limit(resource: libc::__rlimit_resource_t) -> Limit {
    Limit::of(limits(resource).rlim_cur)
}

/// The limit to which this process may raise the soft one.
pub(crate) fn hard_limit(resource: libc::__rlimit_resource_t) -> Limit {
    Limit::of(limits(resource).rlim_max)
}

fn limits(resource: libc::__rlimit_resource_t) -> libc::rlimit {
    // SAFETY: rlimit is two integers, filled in by the call.
    unsafe {
        let mut limits: libc::rlimit = MaybeUninit::zeroed().assume_init();
        libc::getrlimit(resource, &mut limits);
        limits
    }
}

/// What a forked child answers to `question`. To be called while this process has one thread.
pub(crate) fn ask_child(question: impl FnOnce() -> bool) -> io::Result<bool> {
    // SAFETY: this process has one thread, so the child finds no lock held that nobody there would release; it ends
    // without running anything of the parent's.
    let child = checked(unsafe {
        match libc::fork() {
            0 => libc::_exit(if question() { CHILD_SAYS_YES } else { 0 }),
            child => child,
        }
    })?;
    let mut status = 0;
    // SAFETY: the status is live; the child is this process's own and has not been waited for.
    while checked(unsafe { libc::waitpid(child, &mut status, 0) }).map_or_else(
        |error| error.kind() == io::ErrorKind::Interrupted,
        |_| false,
    ) {}
    Ok(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == CHILD_SAYS_YES)
}

/// Exit status by which the child of [`ask_child`] says yes.
const CHILD_SAYS_YES: libc::c_int = 17;

/// True when a child finds zeros in a page that its parent has written to and marked to be wiped.
pub(crate) fn fork_wipes_page() -> io::Result<bool> {
    const PAGE_LEN: usize = 4096;
    // SAFETY: a new anonymous page, which nobody else knows; it is written and read inside its length, and unmapped once
    // at the end, when no child reads it any more.
    unsafe {
        let page = libc::mmap(
            std::ptr::null_mut(),
            PAGE_LEN,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let word = page.cast::<u64>();
        word.write_volatile(1);
        let marked = checked(libc::madvise(page, PAGE_LEN, libc::MADV_WIPEONFORK));
        let wiped = marked.and_then(|_| ask_child(|| word.read_volatile() == 0));
        libc::munmap(page, PAGE_LEN);
        wiped
    }
}
