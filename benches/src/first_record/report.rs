//! The figures, for people and as JSON.

use std::fmt;
use std::fs;
use std::path::Path;

use ringscope_benches::machine::Machine;
use serde::Serialize;

use crate::Firsts;

/// What the threads of one case found.
#[derive(Debug, Serialize)]
pub(crate) struct Case {
    case: &'static str,
    threads: usize,
    first_least_ns: u64,
    first_p50_ns: u64,
    first_max_ns: u64,
    second_p50_ns: u64,
}

impl Case {
    pub(crate) fn new(case: &'static str, found: &[Firsts]) -> Case {
        let sorted = |figure: fn(&Firsts) -> u64| {
            let mut figures: Vec<u64> = found.iter().map(figure).collect();
            figures.sort_unstable();
            figures
        };
        let first = sorted(|found| found.first_ns);
        let second = sorted(|found| found.second_ns);
        let at = |figures: &[u64], index: usize| figures.get(index).copied().unwrap_or(0);
        Case {
            case,
            threads: found.len(),
            first_least_ns: at(&first, 0),
            first_p50_ns: at(&first, first.len() / 2),
            first_max_ns: at(&first, first.len().saturating_sub(1)),
            second_p50_ns: at(&second, second.len() / 2),
        }
    }
}

/// All cases.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    benchmark: &'static str,
    machine: Machine,
    ring_bytes: u64,
    cases: Vec<Case>,
}

impl Report {
    pub(crate) fn new(machine: Machine, ring_bytes: u64, cases: Vec<Case>) -> Report {
        Report {
            benchmark: "first_record",
            machine,
            ring_bytes,
            cases,
        }
    }

    /// Writes the figures to `path` as JSON.
    pub(crate) fn write(&self, path: &Path) -> Result<(), String> {
        let failed = |why: &dyn fmt::Display| format!("write: {}: {why}", path.display());
        let text = serde_json::to_string_pretty(self).map_err(|error| failed(&error))?;
        fs::write(path, text).map_err(|error| failed(&error))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "first span of a thread, ring of {} KiB, us:",
            self.ring_bytes >> 10
        )?;
        let us = |ns: u64| ns as f64 / 1e3;
        for case in &self.cases {
            writeln!(
                f,
                "{:>9.2} p50, {:.2} least, {:.2} most of {} threads; {:.2} the second span: {}",
                us(case.first_p50_ns),
                us(case.first_least_ns),
                us(case.first_max_ns),
                case.threads,
                us(case.second_p50_ns),
                case.case,
            )?;
        }
        Ok(())
    }
}
