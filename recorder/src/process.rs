//! What a process has of its own: its files, its rings, its generation. Set up at the first record, and again in
//! a child at its first one.

#![expect(
    clippy::result_large_err,
    reason = "a refusal carries its path in place: boxing it would allocate"
)]

use core::fmt::{self, Write};
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};

use ringscope_ringbuf::block::{Block, PairSource};
use ringscope_ringbuf::clock::nominal_hz;
use ringscope_ringbuf::file::{FileKind, FileName, file_start, seal_process_header};
use ringscope_ringbuf::layout::{
    DropCause, LEVEL_OFF, PROCESS_HEADER_LEN, ProcessHeader, ROLE_PROCESS,
};
use ringscope_ringbuf::map::MappedLock;
use ringscope_ringbuf::setting::{level_name, parse_level};
use ringscope_ringbuf::sys;

use crate::config::{Config, Mode};
use crate::path::Path;
use crate::place::{self, Refusal, Why};
use crate::pool::Pool;
use crate::undisturbed::{SignalsHeld, Undisturbed};
use crate::{arena, clock, level, site};

/// Generation of a process that does not record. Real generations are even as well, and larger.
const OFF_GENERATION: u64 = 2;
/// How often a thread yields to the one that sets the process up before it drops its record.
const SETUP_YIELDS: u32 = 20_000;
/// Brackets of a clock pair at start and end: one costs about 60 ns.
const START_BRACKETS: u32 = 64;

/// The current process, or the parent in a child that has not recorded yet.
static PROCESS: AtomicPtr<Process> = AtomicPtr::new(ptr::null_mut());
/// Settings given by code, for the process and its children.
static CODE_CONFIG: AtomicPtr<Config> = AtomicPtr::new(ptr::null_mut());
/// Why the process does not record, for [`crate::status`].
static REFUSAL: AtomicPtr<Refusal> = AtomicPtr::new(ptr::null_mut());
static CANARY_ARMED: AtomicBool = AtomicBool::new(false);
static END_HOOKED: AtomicBool = AtomicBool::new(false);

/// A process that records. Lives as long as the process does.
pub(crate) struct Process {
    pub(crate) generation: u64,
    pub(crate) nonce: u64,
    pub(crate) pid: u32,
    pub(crate) config: Config,
    pub(crate) supervised: bool,
    pub(crate) pool: Pool,
    /// Bytes that rings may still take.
    pub(crate) budget: AtomicU64,
    /// Bytes that segments took.
    pub(crate) spilled_bytes: AtomicU64,
    /// Number of the next ring.
    pub(crate) next_ring: AtomicU32,
    /// A ring was made smaller than wished, or not at all, and `RINGSCOPE_LOG` was told.
    pub(crate) told_of_small_ring: AtomicBool,
    path: Path,
    inode: u64,
    /// Where the next block goes.
    end: AtomicU64,
    lock: MappedLock,
    level_fd: i32,
    level_inode: u64,
}

/// The process's recording, set up if it has not been; `None` when it is off.
pub(crate) fn current() -> Option<&'static Process> {
    for _ in 0..SETUP_YIELDS {
        match level::generation() {
            0 => set_up_first(),
            OFF_GENERATION => return None,
            claim if claim & 1 != 0 => {
                if !wait_for_set_up(claim) {
                    return None;
                }
            }
            _ => return recording(),
        }
    }
    None
}

/// The recording of this process, if it is set up.
pub(crate) fn recording() -> Option<&'static Process> {
    let generation = level::generation();
    // SAFETY: only `publish` stores to PROCESS, pointers into the arena, which live for ever.
    let process = unsafe { PROCESS.load(Ordering::Acquire).as_ref() }?;
    (process.generation == generation).then_some(process)
}

/// Counts something that was lost, where readers find it also after a crash.
#[cold]
#[inline(never)]
pub(crate) fn count(cause: DropCause) {
    count_many(cause, 1);
}

/// As [`count`], for several at once.
#[cold]
pub(crate) fn count_many(cause: DropCause, number: u64) {
    if let Some(process) = recording() {
        process
            .lock
            .drop_counter(cause)
            .fetch_add(number, Ordering::Relaxed);
    }
}

/// As [`count`], in a child that may not be set up yet.
#[cold]
#[inline(never)]
pub(crate) fn count_in_child(cause: DropCause) {
    if current().is_some() {
        count(cause);
    }
}

/// False when waiting is of no use: this very thread sets the process up.
fn wait_for_set_up(claim: u64) -> bool {
    let owner = (claim >> 1) as u32;
    if owner == sys::thread_id() {
        return false;
    }
    // SAFETY: signal 0 only asks whether the thread exists in this process.
    let alive = unsafe { libc::syscall(libc::SYS_tgkill, sys::process_id(), owner, 0) } == 0;
    if alive {
        std::thread::yield_now();
    } else {
        // A fork came while another thread of the parent was setting up: that thread does not exist here.
        let _ = level::generation_word().compare_exchange(
            claim,
            0,
            Ordering::AcqRel,
            Ordering::Relaxed,
        );
    }
    true
}

/// Apart from its caller, through which every new thread goes: what stands on the stack here is large.
#[cold]
#[inline(never)]
fn set_up_first() {
    let config = effective_config();
    if !config.wanted {
        return stay_off(&config);
    }
    let (_undisturbed, _held) = (Undisturbed::begin(), SignalsHeld::begin());
    let claim = u64::from(sys::thread_id()) << 1 | 1;
    if level::generation_word()
        .compare_exchange(0, claim, Ordering::AcqRel, Ordering::Relaxed)
        .is_err()
    {
        return;
    }
    if !CANARY_ARMED.swap(true, Ordering::Relaxed) {
        level::arm_canary();
    }
    let generation = set_up(&config);
    if generation.is_none() {
        level::set_mask(LEVEL_OFF);
    }
    level::generation_word().store(generation.unwrap_or(OFF_GENERATION), Ordering::Release);
}

/// Nobody asked for recording: off without a system call.
fn stay_off(config: &Config) {
    let word = level::generation_word();
    if word
        .compare_exchange(0, OFF_GENERATION, Ordering::AcqRel, Ordering::Relaxed)
        .is_err()
    {
        return;
    }
    level::set_mask(LEVEL_OFF);
    if config.log {
        log(format_args!(
            "off: neither RINGSCOPE_RUN nor RINGSCOPE_DIR nor RINGSCOPE_LEVEL is set"
        ));
    }
}

/// The parent's configuration in a child, else what code and environment say.
fn effective_config() -> Config {
    // SAFETY: as in `recording`.
    if let Some(parent) = unsafe { PROCESS.load(Ordering::Acquire).as_ref() } {
        return Config {
            level: level::mask(),
            ..parent.config
        };
    }
    // SAFETY: only `configure` stores here, pointers into the arena.
    match unsafe { CODE_CONFIG.load(Ordering::Acquire).as_ref() } {
        Some(config) => config.with_environment(),
        None => Config::from_environment(),
    }
}

/// Makes `config` the process's configuration and sets it up; false when it is set up already.
pub(crate) fn configure(config: Config) -> bool {
    let Some(config) = arena::place(config) else {
        return false;
    };
    CODE_CONFIG.store(ptr::from_ref(config).cast_mut(), Ordering::Release);
    // A process that looked at its environment and found nothing may still be configured by code.
    let word = level::generation_word();
    let _ = word.compare_exchange(OFF_GENERATION, 0, Ordering::AcqRel, Ordering::Relaxed);
    if level::generation() > OFF_GENERATION && level::generation() & 1 == 0 {
        return false;
    }
    current().is_some()
}

/// Makes `config` what the process records with should the environment ask for it.
#[cfg(feature = "dynamic")]
pub(crate) fn set_default(config: Config) {
    let config = Config {
        wanted: false,
        ..config
    };
    if let Some(config) = arena::place(config) {
        CODE_CONFIG.store(ptr::from_ref(config).cast_mut(), Ordering::Release);
    }
}

/// Ends this process's recording as `exit` would, and begins one with `config`, in files of its own. Rings of before
/// are a parent's from now on. No thread may be recording meanwhile.
#[cfg(feature = "dynamic")]
pub(crate) fn restart(config: Config) -> bool {
    if let Some(process) = recording() {
        at_end();
        process.close_inherited();
    }
    PROCESS.store(ptr::null_mut(), Ordering::Release);
    REFUSAL.store(ptr::null_mut(), Ordering::Release);
    level::generation_word().store(0, Ordering::Release);
    configure(config)
}

/// Why the process does not record.
pub(crate) fn refusal() -> Option<Refusal> {
    // SAFETY: only `refuse` stores here, pointers into the arena.
    unsafe { REFUSAL.load(Ordering::Acquire).as_ref() }.copied()
}

/// Creates the process's files; its generation, or `None` when it can't record.
fn set_up(config: &Config) -> Option<u64> {
    let run = match place::run_dir(config) {
        Ok(run) => run,
        Err(refusal) => {
            refuse(config, refusal);
            return None;
        }
    };
    let config = Config {
        run: absolute(&run),
        ..*config
    };
    let nonce = sys::random_u64();
    match Process::create(config, nonce) {
        Ok(process) => {
            publish(process);
            Some(process.generation)
        }
        Err(refusal) => {
            let name = off_name(nonce, refusal.errno());
            // An empty file takes no block: it can say so even on a full disk.
            let _ = sys::create_new(config.run.join(name).as_c_str());
            refuse(&config, refusal);
            None
        }
    }
}

fn off_name(nonce: u64, errno: i32) -> FileName {
    FileName {
        pid: sys::process_id(),
        nonce,
        index: errno as u32,
        kind: FileKind::Off,
    }
}

fn refuse(config: &Config, refusal: Refusal) {
    if config.log {
        log(format_args!("off: {refusal}"));
    }
    if let Some(refusal) = arena::place(refusal) {
        REFUSAL.store(ptr::from_ref(refusal).cast_mut(), Ordering::Release);
    }
}

/// Makes the process known; sites that earlier code registered are written to its file first.
fn publish(process: &'static Process) {
    // SAFETY: as in `recording`. A child's file descriptors of its parent's files are of no use to it.
    if let Some(parent) = unsafe { PROCESS.load(Ordering::Acquire).as_ref() } {
        parent.close_inherited();
    }
    site::publish_all(process);
    PROCESS.store(ptr::from_ref(process).cast_mut(), Ordering::Release);
    if !END_HOOKED.swap(true, Ordering::Relaxed) {
        // SAFETY: registers a function that lives as long as the program.
        unsafe { libc::atexit(at_end) };
    }
    if process.config.log {
        let (config, mib) = (
            &process.config,
            process.config.ring_bytes as f64 / f64::from(1 << 20),
        );
        let mode = if config.mode == Mode::Full {
            "full"
        } else {
            "flight"
        };
        let level = level_name(level::mask());
        log(format_args!(
            "on: level {level}, mode {mode}, rings {mib} MiB, run {}",
            config.run
        ));
    }
}

extern "C" fn at_end() {
    if let Some(process) = recording() {
        process.lock.mark_clean_end(&clock::pair(
            clock::source(),
            PairSource::End,
            START_BRACKETS,
        ));
    }
}

/// One line on standard error, for `RINGSCOPE_LOG=stderr`.
pub(crate) fn log(text: fmt::Arguments<'_>) {
    let mut line = Path::new();
    // Writing to a path can't fail; a longer line is cut.
    let _ = writeln!(line, "ringscope: pid {}: {text}", sys::process_id());
    // SAFETY: writes from a live buffer; a closed standard error is no concern of ours.
    unsafe { libc::write(2, line.as_bytes().as_ptr().cast(), line.as_bytes().len()) };
}

fn absolute(path: &Path) -> Path {
    if path.as_bytes().first() == Some(&b'/') {
        return *path;
    }
    let mut directory = [0u8; 1024];
    // SAFETY: the buffer is live and its length given.
    let known = unsafe { !libc::getcwd(directory.as_mut_ptr().cast(), directory.len()).is_null() };
    let len = directory.iter().position(|b| *b == 0).unwrap_or(0);
    if known {
        Path::from_bytes(&directory[..len]).join(path)
    } else {
        *path
    }
}

impl Process {
    fn create(config: Config, nonce: u64) -> Result<&'static Process, Refusal> {
        let pid = sys::process_id();
        let source = clock::choose();
        let generation = (sys::random_u64() & !1).max(OFF_GENERATION + 2);
        let mask = run_level(&config);
        let (level_fd, level_inode, level_device) = share_level(mask, config.keeps_values_out);
        let config = Config {
            level: mask,
            ..config
        };

        let lock_path = config.run.join(FileName {
            pid,
            nonce,
            index: 0,
            kind: FileKind::Lock,
        });
        let refuse = |what, path, errno| Refusal {
            what,
            path,
            why: Why::Errno(errno),
        };
        let lock = MappedLock::create(lock_path.as_c_str(), &file_start(nonce, pid, 0, 0))
            .map_err(|errno| refuse("create lock file", lock_path, errno))?;

        let identity = Identity {
            nonce,
            pid,
            generation,
            level_fd,
            level_inode,
            level_device,
            source,
        };
        let header = seal_process_header(&identity.header(&config));
        let path = config.run.join(FileName {
            pid,
            nonce,
            index: 0,
            kind: FileKind::Process,
        });
        let inode = write_header(&path, &header).map_err(|errno| {
            sys::remove(path.as_c_str());
            sys::remove(lock_path.as_c_str());
            refuse("create process file", path, errno)
        })?;

        let no_memory = refuse("allocate memory", Path::new(), libc::ENOMEM);
        let process = Process {
            generation,
            nonce,
            pid,
            supervised: !config.run.is_empty() && is_supervised(),
            pool: Pool::new().ok_or(no_memory)?,
            budget: AtomicU64::new(place::ring_budget(&config.run)),
            spilled_bytes: AtomicU64::new(0),
            next_ring: AtomicU32::new(0),
            told_of_small_ring: AtomicBool::new(false),
            config,
            path,
            inode,
            end: AtomicU64::new(PROCESS_HEADER_LEN as u64),
            lock,
            level_fd,
            level_inode,
        };
        let process = arena::place(process).ok_or(no_memory)?;
        process.append(&Block::ClockPair(clock::pair(
            source,
            PairSource::Start,
            START_BRACKETS,
        )));
        Ok(process)
    }

    /// Writes a block to the process file; false when it can't be written. The file is opened anew each time: a
    /// host may close all descriptors and use their numbers for its own files.
    pub(crate) fn append(&self, block: &Block<'_>) -> bool {
        let (_undisturbed, _held) = (Undisturbed::begin(), SignalsHeld::begin());
        let mut small = [0u8; 1024];
        match block.encode(&mut small) {
            Some(len) => self.append_bytes(&small[..len]).is_ok(),
            None => self.append_long(block),
        }
    }

    #[cold]
    #[inline(never)]
    fn append_long(&self, block: &Block<'_>) -> bool {
        // Name, category, file and keys of a site, each at its longest.
        let Some(buffer) = arena::zeroed(128 << 10, 1) else {
            return false;
        };
        // SAFETY: memory of that length, which nobody else has.
        let buffer = unsafe { core::slice::from_raw_parts_mut(buffer, 128 << 10) };
        let written = block
            .encode(buffer)
            .is_some_and(|len| self.append_bytes(&buffer[..len]).is_ok());
        // SAFETY: unmaps what `zeroed` mapped for this call alone (it is larger than a quarter chunk).
        unsafe { libc::munmap(buffer.as_mut_ptr().cast(), buffer.len()) };
        written
    }

    fn append_bytes(&self, bytes: &[u8]) -> Result<(), i32> {
        let offset = self.end.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let errno = |error: std::io::Error| error.raw_os_error().unwrap_or(libc::EIO);
        let file = self.open_own()?;
        sys::may_grow_to(offset + bytes.len() as u64)?;
        file.write_all_at(bytes, offset).map_err(errno)
    }

    fn open_own(&self) -> Result<File, i32> {
        let flags = libc::O_WRONLY | libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK;
        // SAFETY: the path is NUL-terminated; the descriptor is owned by the File alone.
        let file = unsafe {
            let fd = libc::open(self.path.as_c_str().as_ptr(), flags);
            if fd < 0 {
                return Err(place::last_errno());
            }
            File::from_raw_fd(fd)
        };
        let inode = file.metadata().map_or(0, |m| m.ino());
        if inode == self.inode {
            Ok(file)
        } else {
            Err(libc::ESTALE)
        }
    }

    /// A path in the run's directory for a file of this process.
    pub(crate) fn path_of(&self, kind: FileKind, index: u32) -> Path {
        self.config.run.join(FileName {
            pid: self.pid,
            nonce: self.nonce,
            index,
            kind,
        })
    }

    /// Closes the descriptors that a forked child has of its parent's files.
    fn close_inherited(&self) {
        self.lock.close_inherited();
        let still_ours =
            sys::device_and_inode(self.level_fd).is_ok_and(|(_, inode)| inode == self.level_inode);
        if still_ours {
            // SAFETY: the descriptor is the parent's memfd, as its inode says, and nothing here uses it.
            unsafe { libc::close(self.level_fd) };
        }
    }
}

/// True when `ringscope record` runs this process.
fn is_supervised() -> bool {
    // SAFETY: the name is NUL-terminated; see `config` about reading the environment.
    unsafe { !libc::getenv(c"RINGSCOPE_RUN".as_ptr()).is_null() }
}

/// What `ringscope level` said for the whole run, else the configuration's level.
fn run_level(config: &Config) -> u64 {
    let mut text = [0u8; 64];
    let len = sys::read_file(config.run.join("level").as_c_str(), &mut text).unwrap_or(0);
    let said = core::str::from_utf8(&text[..len])
        .ok()
        .filter(|text| !text.trim().is_empty());
    said.and_then(parse_level).unwrap_or(config.level)
}

/// Puts the level word where `ringscope level` reaches it: descriptor, inode and device of its memfd.
fn share_level(mask: u64, keeps_values_out: bool) -> (i32, u64, u64) {
    level::keep_values_out(keeps_values_out);
    level::set_mask(mask);
    let shared = level::share_level_word(mask).and_then(|fd: OwnedFd| {
        let (device, inode) = sys::device_and_inode(fd.as_raw_fd())?;
        // Stays open: it is the way in for `ringscope level`, by /proc/PID/fd.
        Ok((fd.into_raw_fd(), inode, device))
    });
    shared.unwrap_or_else(|_| {
        level::unshare_level_word();
        (-1, 0, 0)
    })
}

/// Creates the process file with its header; its inode.
fn write_header(path: &Path, header: &[u8; PROCESS_HEADER_LEN]) -> Result<u64, i32> {
    let errno = |error: std::io::Error| error.raw_os_error().unwrap_or(libc::EIO);
    let file = sys::create_new(path.as_c_str())?;
    sys::may_grow_to(header.len() as u64)?;
    // The magic last: who finds it finds the rest.
    file.write_all_at(&header[8..], 8).map_err(errno)?;
    file.write_all_at(&header[..8], 0).map_err(errno)?;
    file.metadata().map(|m| m.ino()).map_err(errno)
}

/// What tells this process from all others.
struct Identity {
    nonce: u64,
    pid: u32,
    generation: u64,
    level_fd: i32,
    level_inode: u64,
    level_device: u64,
    source: clock::ClockSource,
}

impl Identity {
    fn header(&self, config: &Config) -> ProcessHeader {
        // SAFETY: as in `recording`.
        let parent = unsafe { PROCESS.load(Ordering::Acquire).as_ref() };
        let stem = program_stem();
        let name = if config.process_name.is_empty() {
            &stem[..]
        } else {
            config.process_name.as_bytes()
        };
        let mono_ns = clock::monotonic_ns();
        ProcessHeader {
            start: file_start(self.nonce, self.pid, 0, 0),
            role: ROLE_PROCESS.into(),
            reserved0: 0.into(),
            parent_pid: sys::parent_id().into(),
            start_time: sys::start_time(0).unwrap_or(0).into(),
            pid_namespace: sys::pid_namespace().into(),
            boot_id: sys::boot_id(),
            created_mono_ns: mono_ns.into(),
            created_real_ns: clock::realtime_ns().into(),
            clock_source: (self.source as u32).into(),
            rank: config.rank.into(),
            nominal_hz: nominal_hz(self.source).into(),
            parent_nonce: parent.map_or(0, |p| p.nonce).into(),
            generation: self.generation.into(),
            mode: (config.mode as u32).into(),
            level_fd: self.level_fd.into(),
            level_device: self.level_device.into(),
            level_inode: self.level_inode.into(),
            level: config.level.into(),
            ring_bytes: config.ring_bytes.into(),
            uid: sys::user_id().into(),
            reserved1: 0.into(),
            host: sys::host_name(),
            stem: padded(&stem),
            process_name: padded(name),
            reserved2: [0; 128],
        }
    }
}

/// `text` cut to 63 bytes and padded with NULs.
fn padded(text: &[u8]) -> [u8; 64] {
    let mut field = [0u8; 64];
    let text = &text[..text
        .iter()
        .position(|b| *b == 0)
        .unwrap_or(text.len())
        .min(63)];
    field[..text.len()].copy_from_slice(text);
    field
}

/// File name of argv[0] without its extension, NUL-padded.
fn program_stem() -> [u8; 64] {
    let mut command = [0u8; 1024];
    let len = sys::read_file(c"/proc/self/cmdline", &mut command).unwrap_or(0);
    let program = command[..len].split(|b| *b == 0).next().unwrap_or_default();
    let file = program.rsplit(|b| *b == b'/').next().unwrap_or_default();
    let stem = file
        .iter()
        .rposition(|b| *b == b'.')
        .filter(|dot| *dot > 0)
        .map_or(file, |dot| &file[..dot]);
    padded(stem)
}
