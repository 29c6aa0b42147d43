//! One run under `ringscope record` at one rate.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ringscope_benches::kernel::{forget_environment, run_quietly};
use ringscope_benches::scratch::Scratch;
use serde::Serialize;

use crate::saved::Saved;
use crate::writer::Writer;

/// What `ringscope record` may write; more than any probe does.
const MAX_SIZE: &str = "64GiB";

/// What a probe came to.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Probe {
    /// The rate that was asked for, records a second; `None` for as fast as it goes.
    pub(crate) asked_rate: Option<f64>,
    /// The rate that came of it.
    pub(crate) rate: f64,
    /// Records made.
    pub(crate) records: u64,
    /// Records that were not found afterwards.
    pub(crate) lost: u64,
    /// The most bytes of records that the drain was behind.
    pub(crate) high_water_bytes: u64,
    /// The ring that `record` says would have done; 0 when nothing was lost.
    pub(crate) wanted_ring_bytes: u64,
}

/// How probes are made.
#[derive(Debug)]
pub(crate) struct Prober<'a> {
    /// The `ringscope` program.
    pub(crate) ringscope: &'a Path,
    /// Bytes of a ring.
    pub(crate) ring_bytes: u64,
    /// Seconds that a probe takes at the rate asked for.
    pub(crate) seconds: f64,
    /// Place for its run.
    pub(crate) scratch: &'a Scratch,
}

impl Prober<'_> {
    /// Records for some seconds at `rate`.
    ///
    /// # Errors
    ///
    /// When the run fails, or what is lost is not what `record` says.
    pub(crate) fn probe(&self, rate: Option<f64>) -> Result<Probe, String> {
        let writer = Writer {
            rate,
            records: (rate.unwrap_or(FULL_SPEED) * self.seconds) as u64,
            outcome: self.scratch.path().join("outcome.json"),
        };
        let mut command = Command::new(self.ringscope);
        command.args([
            "record",
            "--mode",
            "full",
            "--no-decode",
            "--max-size",
            MAX_SIZE,
        ]);
        command.args(["--ring-size", &self.ring_bytes.to_string()]);
        command.arg("--dir").arg(self.scratch.path());
        command.arg("--").args(writer.command_line()?);
        forget_environment(&mut command);
        run_quietly(&mut command)?;
        let written = writer.read_outcome()?;
        let saved = Saved::of(&self.run()?)?;
        self.scratch.clear()?;
        let lost = written.records - saved.found;
        if lost != saved.overwritten {
            return Err(format!(
                "count: losses: expected the {lost} records that are missing, found {} reported",
                saved.overwritten
            ));
        }
        const RECORD_BYTES: u64 = ringscope_ringbuf::layout::RECORD_LEN as u64;
        Ok(Probe {
            asked_rate: rate,
            rate: written.rate(),
            records: written.records,
            lost,
            high_water_bytes: saved.high_water * RECORD_BYTES,
            wanted_ring_bytes: saved.wanted_records * RECORD_BYTES,
        })
    }

    /// The directory of the run that was made.
    fn run(&self) -> Result<PathBuf, String> {
        let dir = self.scratch.path();
        let failed = |why: &dyn std::fmt::Display| format!("find run: {}: {why}", dir.display());
        for entry in fs::read_dir(dir).map_err(|error| failed(&error))? {
            let path = entry.map_err(|error| failed(&error))?.path();
            if path.is_dir() {
                return Ok(path);
            }
        }
        Err(failed(&"expected one, found none"))
    }
}

/// About what a loop of spans reaches, records a second; sets how many records such a probe makes.
const FULL_SPEED: f64 = 45e6;
