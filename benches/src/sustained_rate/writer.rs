//! The recorded program: one span after the other, at a pace.

use std::ffi::OsString;
use std::fs;
use std::hint;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use ringscope_benches::kernel::{allowed_cores, pin_to, this_program};
use ringscope_ringbuf::clock::{counter, monotonic_ns};
use serde::{Deserialize, Serialize};

/// How long ticks are compared with nanoseconds.
const CALIBRATION: Duration = Duration::from_millis(20);
/// A writer that is later than this (its core was taken away) lets the time go instead of catching up in a burst.
const FORGIVEN_NS: f64 = 20_000.0;

/// A writer, as its command line says.
#[derive(Clone, Debug, Args)]
pub(crate) struct Writer {
    /// Records a second; as fast as it goes where there is none
    #[arg(long)]
    pub(crate) rate: Option<f64>,
    /// Records to make
    #[arg(long)]
    pub(crate) records: u64,
    /// File for what it came to
    #[arg(long)]
    pub(crate) outcome: PathBuf,
}

/// What a writer came to.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Written {
    /// Spans recorded.
    pub(crate) records: u64,
    /// From before the first to after the last.
    pub(crate) elapsed_ns: u64,
}

impl Written {
    /// Records a second.
    pub(crate) fn rate(&self) -> f64 {
        self.records as f64 * 1e9 / self.elapsed_ns.max(1) as f64
    }
}

impl Writer {
    /// The command line of this writer.
    pub(crate) fn command_line(&self) -> Result<Vec<OsString>, String> {
        let mut line = vec![this_program()?.into_os_string(), "write".into()];
        if let Some(rate) = self.rate {
            line.extend(["--rate".into(), rate.to_string().into()]);
        }
        line.extend(["--records".into(), self.records.to_string().into()]);
        line.extend(["--outcome".into(), self.outcome.clone().into()]);
        Ok(line)
    }

    /// Records, and writes what it came to.
    pub(crate) fn run(&self) -> Result<(), String> {
        if let Some(core) = allowed_cores().first() {
            pin_to(*core).map_err(|error| format!("pin: core {core}: {error}"))?;
        }
        let ticks_per_ns = ticks_per_ns();
        ringscope::prepare_thread();
        let started_ns = monotonic_ns();
        match self.rate {
            Some(rate) => record_at(1e9 / rate * ticks_per_ns, self.records, ticks_per_ns),
            None => (0..self.records).for_each(|_| record()),
        }
        let written = Written {
            records: self.records,
            elapsed_ns: monotonic_ns() - started_ns,
        };
        let failed =
            |why: &dyn std::fmt::Display| format!("write: {}: {why}", self.outcome.display());
        let text = serde_json::to_string(&written).map_err(|error| failed(&error))?;
        fs::write(&self.outcome, text).map_err(|error| failed(&error))
    }

    /// What it came to.
    pub(crate) fn read_outcome(&self) -> Result<Written, String> {
        let failed =
            |why: &dyn std::fmt::Display| format!("read: {}: {why}", self.outcome.display());
        let text = fs::read_to_string(&self.outcome).map_err(|error| failed(&error))?;
        serde_json::from_str(&text).map_err(|error| failed(&error))
    }
}

#[inline(always)]
fn record() {
    let _span = ringscope::span!("paced");
}

fn record_at(interval_ticks: f64, records: u64, ticks_per_ns: f64) {
    let forgiven_ticks = FORGIVEN_NS * ticks_per_ns;
    let first = counter();
    let mut due_ticks = 0.0;
    for _ in 0..records {
        let mut now_ticks = (counter() - first) as f64;
        while now_ticks < due_ticks {
            hint::spin_loop();
            now_ticks = (counter() - first) as f64;
        }
        due_ticks = due_ticks.max(now_ticks - forgiven_ticks) + interval_ticks;
        record();
    }
}

fn ticks_per_ns() -> f64 {
    let (start_ticks, start_ns) = (counter(), monotonic_ns());
    while monotonic_ns() - start_ns < CALIBRATION.as_nanos() as u64 {
        hint::spin_loop();
    }
    (counter() - start_ticks) as f64 / (monotonic_ns() - start_ns) as f64
}
