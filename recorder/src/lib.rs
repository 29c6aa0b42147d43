//! Records spans, instants and counters at the cost of two clock reads and one 32-byte store each, into files that
//! outlive the process.
//!
//! ```
//! fn step(n: u64) {
//!     let span = ringscope::span!("step", n, cat = "worker");
//!     ringscope::counter!("queue_depth", 3);
//!     span.record("tokens", 17); // known late
//! }
//! # step(1);
//! ```
//!
//! Nothing is recorded, and nothing costs more than a load and a branch, until the environment says so
//! (`ringscope record -- PROGRAM` sets it) or [`init`] is called. Whatever goes wrong later turns recording off, or counts a
//! drop, and never disturbs the program.
//!
//! Where to start reading: `span.rs` is the life of a span; `record.rs` turns it into words for the ring; `thread.rs`
//! and `process.rs` are the cold paths behind it.

mod arena;
#[cfg(feature = "c-abi")]
#[doc(hidden)]
pub mod c_abi;
mod clock;
mod config;
mod device;
#[cfg(feature = "dynamic")]
#[doc(hidden)]
pub mod dynamic;
mod event;
mod future;
mod launch;
mod level;
mod long_value;
mod macros;
mod name_table;
mod path;
mod payload;
mod place;
mod pool;
mod process;
mod record;
mod site;
mod span;
mod spill;
mod thread;
mod track;
mod undisturbed;
mod value;

use std::fmt;
use std::path::PathBuf;

pub use config::{Config, Level, Mode};
pub use device::{ClockDomain, DeviceTask, clock_domain, ticks};
pub use event::{complete, now_ns};
pub use future::{FutureSpan, InSpan, InSpanFuture};
pub use launch::{Launch, LaunchKind, LaunchTicket, Wait, step};
/// Records one span a call of the function, also of an async one (from its first poll to its end).
///
/// Options: `name = "…"` (default: the function's), `cat = "…"`, `level = kernel`, `args(step, n = tokens.len())`.
///
/// ```
/// #[ringscope::instrument(cat = "worker", args(n = tokens.len()))]
/// fn prefill(tokens: &[u32]) {}
/// # prefill(&[1, 2]);
/// ```
pub use ringscope_macros::instrument;
pub use span::{Lap, Span};
pub use thread::{prepare_thread, set_thread_name};
pub use track::{Track, track};
pub use value::{Debugged, Displayed, Value};

/// What the macros expand to; no part of the API.
#[doc(hidden)]
pub mod __private {
    pub use crate::event::{
        Past, complete_at, complete_named, counter, counter_named, instant, instant_named,
    };
    pub use crate::launch::{LaunchSite, Shape, correlation};
    pub use crate::site::Site;
    pub use crate::value::{Args, Debugged, Displayed};
    pub use ringscope_ringbuf::layout::{LEVEL_E2E, LEVEL_KERNEL, LEVEL_VERBOSE};

    /// True when a site with this level bit is to be recorded.
    #[inline(always)]
    pub fn enabled(level_bit: u64) -> bool {
        !cfg!(feature = "compiled-out") && crate::level::enabled(level_bit)
    }

    /// The bytes of a name made at run time.
    #[inline(always)]
    pub fn name_bytes<T: AsRef<[u8]> + ?Sized>(name: &T) -> &[u8] {
        name.as_ref()
    }
}

/// Why [`init`] did not start a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InitError {
    /// The process records already.
    AlreadyRecording,
    /// The files could not be made; the text says what, where and why. The process goes on, not recording.
    Refused(String),
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InitError::AlreadyRecording => f.write_str("recording: this process: records already"),
            InitError::Refused(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for InitError {}

/// Starts recording as `config` says; what the environment says goes first. To be called before the first record.
///
/// # Errors
///
/// When the process records already, or its files can't be made. The program may ignore both.
pub fn init(config: Config) -> Result<(), InitError> {
    if process::recording().is_some() || !process::configure(config) {
        return match process::refusal() {
            Some(refusal) if process::recording().is_none() => {
                Err(InitError::Refused(refusal.to_string()))
            }
            _ => Err(InitError::AlreadyRecording),
        };
    }
    Ok(())
}

/// What the process records now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The run's directory; `None` when the process has no files.
    pub run: Option<PathBuf>,
    /// Levels that are recorded.
    pub level: Level,
    /// Why the process does not record, where something failed.
    pub refusal: Option<String>,
}

/// What the process records now; sets nothing up.
pub fn status() -> Status {
    use std::os::unix::ffi::OsStrExt;
    let run =
        process::recording().map(|p| std::ffi::OsStr::from_bytes(p.config.run.as_bytes()).into());
    let level = if run.is_some() {
        Level(level::mask())
    } else {
        Level::OFF
    };
    Status {
        run,
        level,
        refusal: process::refusal().map(|refusal| refusal.to_string()),
    }
}

/// Switches what this process records; false when it has no files to record to.
pub fn set_level(level: Level) -> bool {
    let Some(process) = process::current() else {
        return false;
    };
    level::set_mask(level.0);
    let ticks = clock::ticks();
    process.append(&ringscope_ringbuf::block::Block::Level {
        ticks,
        mask: level.0,
    });
    true
}

/// Names the process in traces; the default is the stem of the program's name.
pub fn set_process_name(name: &str) {
    if level::mask() == ringscope_ringbuf::layout::LEVEL_OFF {
        return;
    }
    if let Some(process) = process::current() {
        process.append(&ringscope_ringbuf::block::Block::ProcessName {
            name: name.as_bytes(),
        });
    }
}
