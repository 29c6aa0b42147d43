//! All figures: as tables, and as JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use ringscope_benches::machine::Machine;
use ringscope_benches::measurement::Measurement;
use ringscope_benches::rounds::Plan;
use ringscope_benches::table::render;
use serde::Serialize;

use crate::configuration::Configuration;

/// What the program found out.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    benchmark: &'static str,
    machine: Machine,
    plan: Plan,
    /// How counts were come by.
    pub(crate) means: Means,
    /// What was measured.
    pub(crate) configurations: Vec<Outcome>,
    /// What could not be measured here.
    pub(crate) skipped: Vec<Skipped>,
}

/// How counts were come by; `n/a: why` where they were not.
#[derive(Debug, Serialize)]
pub(crate) struct Means {
    /// Page faults.
    pub(crate) page_faults: &'static str,
    /// System calls.
    pub(crate) system_calls: String,
    /// Instructions.
    pub(crate) instructions: String,
}

/// The figures of one configuration.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    #[serde(flatten)]
    pub(crate) configuration: Configuration,
    /// Ticks of the counter per ns.
    pub(crate) ticks_per_ns: f64,
    /// Turns of a step of the work that spans were measured around.
    pub(crate) work_turns: u32,
    /// Records that were dropped, by cause; empty when all is well.
    pub(crate) losses: BTreeMap<String, u64>,
    /// The cases.
    pub(crate) measurements: Vec<Measurement>,
}

/// A configuration that could not be measured, and why.
#[derive(Debug, Serialize)]
pub(crate) struct Skipped {
    #[serde(flatten)]
    pub(crate) configuration: Configuration,
    pub(crate) why: String,
}

impl Report {
    /// A report with no figures yet.
    pub(crate) fn new(machine: Machine, plan: Plan, means: Means) -> Report {
        Report {
            benchmark: "hot_path",
            machine,
            plan,
            means,
            configurations: Vec::new(),
            skipped: Vec::new(),
        }
    }

    /// Writes it as JSON.
    pub(crate) fn write(&self, path: &Path) -> Result<(), String> {
        let failed = |why: &dyn fmt::Display| format!("write: {}: {why}", path.display());
        let text = serde_json::to_string_pretty(self).map_err(|error| failed(&error))?;
        fs::write(path, text + "\n").map_err(|error| failed(&error))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan {
            rounds,
            calls,
            samples,
        } = self.plan;
        writeln!(
            f,
            "{rounds} rounds of {calls} calls and {samples} single calls; medians; per record."
        )?;
        let Means {
            system_calls,
            page_faults,
            instructions,
        } = &self.means;
        write!(
            f,
            "System calls by {system_calls}, page faults by {page_faults}, instructions by {instructions}."
        )?;
        for Skipped { configuration, why } in &self.skipped {
            write!(f, "\nNot measured: {configuration}: {why}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.configuration, render(&self.measurements))?;
        for (cause, count) in &self.losses {
            write!(f, "\nNot all was recorded: {cause}: {count}")?;
        }
        Ok(())
    }
}
