//! What is set once in a process: how records are kept, the size of a ring, how many threads record.

use std::fmt;

use clap::{Args, ValueEnum};
use ringscope::Mode;
use ringscope_ringbuf::setting::parse_size;
use serde::{Deserialize, Serialize};

/// How records are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Capture {
    /// The newest of each thread
    Flight,
    /// All; each thread saves its ring itself
    Full,
    /// All; `ringscope record` saves the rings
    FullSupervised,
}

impl Capture {
    /// The recorder's name for it.
    pub(crate) fn mode(self) -> Mode {
        match self {
            Capture::Flight => Mode::Flight,
            Capture::Full | Capture::FullSupervised => Mode::Full,
        }
    }
}

/// One process's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Args, Serialize, Deserialize)]
pub(crate) struct Configuration {
    /// How records are kept
    #[arg(long)]
    pub(crate) capture: Capture,
    /// Size of each thread's ring, a power of two such as 1MiB
    #[arg(long, value_name = "SIZE", value_parser = ring_size)]
    pub(crate) ring_bytes: u64,
    /// Threads that record at once
    #[arg(long)]
    pub(crate) threads: usize,
}

impl Configuration {
    /// Every combination of `captures`, `ring_bytes` and `threads`.
    pub(crate) fn product(
        captures: &[Capture],
        ring_bytes: &[u64],
        threads: &[usize],
    ) -> Vec<Configuration> {
        let mut all = Vec::new();
        for capture in captures {
            for ring_bytes in ring_bytes {
                all.extend(threads.iter().map(|threads| Configuration {
                    capture: *capture,
                    ring_bytes: *ring_bytes,
                    threads: *threads,
                }));
            }
        }
        all
    }
}

impl fmt::Display for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.capture {
            Capture::Flight => "flight mode",
            Capture::Full => "full mode, saved by the thread itself",
            Capture::FullSupervised => "full mode under `ringscope record`",
        })?;
        let kibibytes = self.ring_bytes >> 10;
        match kibibytes >> 10 {
            0 => write!(f, ", ring of {kibibytes} KiB")?,
            mebibytes => write!(f, ", ring of {mebibytes} MiB")?,
        }
        match self.threads {
            1 => f.write_str(", one thread"),
            threads => write!(f, ", {threads} threads"),
        }
    }
}

/// Reads a ring's size. The recorder makes none below 16 KiB, and would round others up.
pub(crate) fn ring_size(text: &str) -> Result<u64, String> {
    parse_size(text)
        .filter(|bytes| bytes.is_power_of_two() && (16 << 10..=1 << 30).contains(bytes))
        .ok_or_else(|| "expected a power of two from 16KiB to 1GiB".to_string())
}
