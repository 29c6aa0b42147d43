//! What a process records, and where: from the environment, from code, or inherited over a fork.

use core::ffi::CStr;

use ringscope_ringbuf::layout::{
    LEVEL_ALL, LEVEL_E2E, LEVEL_KERNEL, LEVEL_OFF, MAX_OPEN_SLOTS, MODE_FLIGHT, MODE_FULL,
};
use ringscope_ringbuf::room::ring_log2;
use ringscope_ringbuf::setting::{DEFAULT_LEVEL, parse_level, parse_size};

use crate::path::Path;

/// Which spans are recorded: a set of levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level(pub(crate) u64);

impl Level {
    /// Nothing.
    pub const OFF: Level = Level(LEVEL_OFF);
    /// End-to-end spans.
    pub const E2E: Level = Level(LEVEL_E2E);
    /// Kernel spans.
    pub const KERNEL: Level = Level(LEVEL_KERNEL);
    /// Every span.
    pub const VERBOSE: Level = Level(LEVEL_ALL);
    /// End-to-end and kernel spans.
    pub const DEFAULT: Level = Level(DEFAULT_LEVEL);

    /// Both sets together.
    pub const fn and(self, other: Level) -> Level {
        Level(self.0 | other.0)
    }

    /// Reads `off`, or `e2e`, `kernel` and `verbose` joined by commas.
    pub fn parse(text: &str) -> Option<Level> {
        parse_level(text).map(Level)
    }
}

/// Which records are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Mode {
    /// The newest of every thread, as many as a ring holds.
    Flight = MODE_FLIGHT,
    /// All.
    Full = MODE_FULL,
}

/// Settings for [`crate::init`]. The environment that `ringscope record` sets goes before them.
///
/// ```no_run
/// use ringscope::{Config, Level, Mode};
/// ringscope::init(Config::new().dir("/dev/shm/runs").level(Level::VERBOSE).mode(Mode::Full)).ok();
/// ```
#[derive(Clone, Copy)]
pub struct Config {
    /// The run's directory, once there is one.
    pub(crate) run: Path,
    /// Directory in which the run's directory is made.
    pub(crate) parent: Path,
    pub(crate) level: u64,
    pub(crate) mode: Mode,
    pub(crate) ring_bytes: u64,
    pub(crate) max_bytes: u64,
    pub(crate) open_slots: usize,
    pub(crate) process_name: Path,
    pub(crate) rank: i32,
    pub(crate) keeps_values_out: bool,
    pub(crate) log: bool,
    pub(crate) force_dir: bool,
    /// True when something asked for recording; false means off and silent.
    pub(crate) wanted: bool,
}

/// Default size of a ring, in bytes of records.
pub(crate) const DEFAULT_RING_BYTES: u64 = 1 << 20;
/// Default limit of what `full` mode writes, in bytes.
const DEFAULT_MAX_BYTES: u64 = 4 << 30;
/// Open slots of a ring.
const DEFAULT_OPEN_SLOTS: usize = 64;

impl Default for Config {
    fn default() -> Config {
        Config::new()
    }
}

impl Config {
    /// Recording in flight mode with 1 MiB a thread, in `/dev/shm/ringscope-UID`.
    pub const fn new() -> Config {
        Config {
            run: Path::new(),
            parent: Path::new(),
            level: DEFAULT_LEVEL,
            mode: Mode::Flight,
            ring_bytes: DEFAULT_RING_BYTES,
            max_bytes: DEFAULT_MAX_BYTES,
            open_slots: DEFAULT_OPEN_SLOTS,
            process_name: Path::new(),
            rank: -1,
            keeps_values_out: false,
            log: false,
            force_dir: false,
            wanted: true,
        }
    }

    /// Directory in which a directory for the run is made.
    pub fn dir(mut self, dir: impl AsRef<std::path::Path>) -> Config {
        self.parent = Path::from_bytes(dir.as_ref().as_os_str().as_encoded_bytes());
        self
    }

    /// The run's own directory, of mode 0700, for processes that share a run; else each makes one in [`Config::dir`].
    pub fn run_dir(mut self, run: impl AsRef<std::path::Path>) -> Config {
        self.run = Path::from_bytes(run.as_ref().as_os_str().as_encoded_bytes());
        self
    }

    /// Which spans are recorded; [`Level::OFF`] arms the process, so that `ringscope level` can switch it on.
    pub fn level(mut self, level: Level) -> Config {
        self.level = level.0;
        self
    }

    /// Which records are kept.
    pub fn mode(mut self, mode: Mode) -> Config {
        self.mode = mode;
        self
    }

    /// Bytes of records that a thread's ring holds: rounded up to a power of two, 16 KiB to 1 GiB.
    pub fn ring_size(mut self, bytes: u64) -> Config {
        self.ring_bytes = bytes;
        self
    }

    /// Bytes that full mode may write to files before it goes on as flight mode does.
    pub fn max_size(mut self, bytes: u64) -> Config {
        self.max_bytes = bytes;
        self
    }

    /// Spans of a thread that are shown while they are open, at most; 64 to 1,024.
    pub fn open_slots(mut self, count: usize) -> Config {
        self.open_slots = count.clamp(DEFAULT_OPEN_SLOTS, MAX_OPEN_SLOTS);
        self
    }

    /// Name of the process in traces; cut to 63 bytes.
    pub fn process_name(mut self, name: &str) -> Config {
        self.process_name = Path::from_bytes(name.as_bytes());
        self
    }

    /// Rank of the process among those that run the same job.
    pub fn rank(mut self, rank: u32) -> Config {
        self.rank = rank.min(i32::MAX as u32) as i32;
        self
    }

    /// Keeps argument values out of the files: spans and instants are recorded without arguments. Names, counters and
    /// correlations are recorded all the same.
    pub fn without_argument_values(mut self) -> Config {
        self.keeps_values_out = true;
        self
    }

    /// The configuration with what the environment says put over it.
    pub(crate) fn with_environment(mut self) -> Config {
        let get = |name| environment(name);
        if let Some(run) = get(c"RINGSCOPE_RUN") {
            self.run = Path::from_bytes(run);
            self.wanted = true;
        }
        if let Some(dir) = get(c"RINGSCOPE_DIR") {
            self.parent = Path::from_bytes(dir);
            self.wanted = true;
        }
        if let Some(level) = text(c"RINGSCOPE_LEVEL").and_then(parse_level) {
            self.level = level;
            self.wanted |= level != LEVEL_OFF;
        }
        match get(c"RINGSCOPE_MODE") {
            Some(b"full") => self.mode = Mode::Full,
            Some(b"flight") => self.mode = Mode::Flight,
            _ => {}
        }
        if let Some(bytes) = text(c"RINGSCOPE_RING_SIZE").and_then(parse_size) {
            self.ring_bytes = bytes;
        }
        if let Some(bytes) = text(c"RINGSCOPE_MAX_SIZE").and_then(parse_size) {
            self.max_bytes = bytes;
        }
        if let Some(name) = get(c"RINGSCOPE_PROCESS_NAME") {
            self.process_name = Path::from_bytes(name);
        }
        let ranks = [c"RINGSCOPE_RANK", c"RANK", c"LOCAL_RANK", c"SLURM_PROCID"];
        let rank = ranks
            .iter()
            .find_map(|name| text(name)?.trim().parse().ok().filter(|r| *r >= 0));
        self.rank = rank.unwrap_or(self.rank);
        match get(c"RINGSCOPE_ARGS") {
            Some(b"off") => self.keeps_values_out = true,
            Some(b"on") => self.keeps_values_out = false,
            _ => {}
        }
        self.log = get(c"RINGSCOPE_LOG") == Some(b"stderr");
        self.force_dir = get(c"RINGSCOPE_FORCE_DIR") == Some(b"1");
        self
    }

    /// What a process gets that nobody configured by code.
    pub(crate) fn from_environment() -> Config {
        Config {
            wanted: false,
            ..Config::new()
        }
        .with_environment()
    }

    /// Records of a ring as a power of two, from the size in bytes.
    pub(crate) fn ring_log2(&self) -> u32 {
        ring_log2(self.ring_bytes)
    }
}

/// An environment variable, empty ones included.
fn environment(name: &CStr) -> Option<&'static [u8]> {
    // SAFETY: `name` is NUL-terminated. The value is read at once, during start-up; a host that changes its
    // environment on another thread at that moment breaks every getenv in the process, not just this one.
    unsafe {
        let value = libc::getenv(name.as_ptr());
        (!value.is_null()).then(|| CStr::from_ptr(value).to_bytes())
    }
}

fn text(name: &CStr) -> Option<&'static str> {
    environment(name).and_then(|value| core::str::from_utf8(value).ok())
}

/// Value of `TMPDIR`, for the place of runs.
pub(crate) fn temporary_dir() -> Option<&'static [u8]> {
    environment(c"TMPDIR").filter(|dir| !dir.is_empty())
}
