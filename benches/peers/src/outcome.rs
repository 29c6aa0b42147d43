//! The figures: as tables, and as JSON.

use std::fmt;
use std::fs;
use std::path::Path;

use ringscope_benches::machine::Machine;
use ringscope_benches::measurement::Measurement;
use ringscope_benches::rounds::Plan;
use ringscope_benches::table::render;
use serde::{Deserialize, Serialize};

/// The figures of one peer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) peer: String,
    /// How it was set up.
    pub(crate) setting: String,
    pub(crate) threads: usize,
    pub(crate) plan: Plan,
    pub(crate) measurements: Vec<Measurement>,
}

/// All figures.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    benchmark: &'static str,
    pub(crate) machine: Machine,
    pub(crate) outcomes: Vec<Outcome>,
}

impl Outcome {
    /// Reads what [`Outcome::write`] wrote.
    pub(crate) fn read(path: &Path) -> Result<Outcome, String> {
        let failed = |why: &dyn fmt::Display| format!("read: {}: {why}", path.display());
        let text = fs::read_to_string(path).map_err(|error| failed(&error))?;
        serde_json::from_str(&text).map_err(|error| failed(&error))
    }

    /// Writes it as JSON.
    pub(crate) fn write(&self, path: &Path) -> Result<(), String> {
        write_json(self, path)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome {
            peer,
            setting,
            threads,
            measurements,
            ..
        } = self;
        write!(
            f,
            "{peer}: {setting}; threads: {threads}\n{}",
            render(measurements)
        )
    }
}

impl Report {
    /// A report with no figures yet.
    pub(crate) fn new(machine: Machine) -> Report {
        Report {
            benchmark: "peers",
            machine,
            outcomes: Vec::new(),
        }
    }

    /// Writes it as JSON.
    pub(crate) fn write(&self, path: &Path) -> Result<(), String> {
        write_json(self, path)
    }
}

fn write_json<T: Serialize>(value: &T, path: &Path) -> Result<(), String> {
    let failed = |why: &dyn fmt::Display| format!("write: {}: {why}", path.display());
    let text = serde_json::to_string_pretty(value).map_err(|error| failed(&error))?;
    fs::write(path, text + "\n").map_err(|error| failed(&error))
}
