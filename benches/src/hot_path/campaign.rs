//! All configurations, one after the other, each in processes of its own.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use clap::Args;
use ringscope_benches::instructions::{Counter, read_callgrind};
use ringscope_benches::kernel::{allowed_cores, forget_environment, run_quietly};
use ringscope_benches::machine::Machine;
use ringscope_benches::measurement::Measurement;
use ringscope_benches::rounds::Plan;
use ringscope_benches::scratch::Scratch;
use ringscope_benches::system_calls;

use crate::configuration::{Capture, Configuration, ring_size};
use crate::losses::losses_of;
use crate::pass::{Measured, Pass, PassArgs};
use crate::report::{Means, Outcome, Report, Skipped};

/// Calls of a case under callgrind, which needs a hundred times as long and always counts the same.
const CALLGRIND_CALLS: u64 = 10_000;
/// What `ringscope record` may write; more than any configuration does.
const MAX_SIZE: &str = "64GiB";

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Campaign {
    /// Measure just enough to show that everything works
    #[arg(long)]
    quick: bool,
    /// Write the figures to this file too, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Rounds; each measures every case once [default: 25]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    rounds: Option<u16>,
    /// Calls of a case in a round [default: 100000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    calls: Option<u32>,
    /// How records are kept
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "flight,full,full-supervised"
    )]
    capture: Vec<Capture>,
    /// Sizes of each thread's ring
    #[arg(long, value_name = "SIZE", value_delimiter = ',', value_parser = ring_size)]
    #[arg(default_value = "64KiB,1MiB,64MiB")]
    ring_size: Vec<u64>,
    /// Threads that record at once
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1,2")]
    threads: Vec<usize>,
    /// Directory for runs and rings; what is written there is removed again
    #[arg(long, default_value = "/dev/shm")]
    dir: PathBuf,
    /// The `ringscope` program, for full mode under its supervision
    #[arg(long, value_name = "PROGRAM")]
    ringscope: Option<PathBuf>,
    /// The `valgrind` program, for instruction counts where the kernel lends no counter
    #[arg(long, value_name = "PROGRAM", default_value = "valgrind")]
    valgrind: PathBuf,
}

impl Campaign {
    /// Measures all of it, prints the tables and writes the JSON.
    pub(crate) fn run(&self) -> Result<(), String> {
        let machine = Machine::this();
        println!("{machine}");
        let scratch = Scratch::new(&self.dir)?;
        let mut report = Report::new(machine, self.plan(), self.means());
        for configuration in Configuration::product(&self.capture, &self.ring_size, &self.threads) {
            match self.obstacle(&configuration) {
                Some(why) => report.skipped.push(Skipped { configuration, why }),
                None => {
                    let outcome = self.measure(configuration, &report.means, &scratch)?;
                    println!("\n{outcome}");
                    report.configurations.push(outcome);
                }
            }
        }
        println!("\n{report}");
        match &self.json {
            Some(path) => report.write(path),
            None => Ok(()),
        }
    }

    fn plan(&self) -> Plan {
        let plan = if self.quick {
            Plan::QUICK
        } else {
            Plan::THOROUGH
        };
        Plan {
            rounds: self.rounds.map_or(plan.rounds, usize::from),
            calls: self.calls.map_or(plan.calls, u64::from),
            ..plan
        }
    }

    /// How counts are come by on this machine.
    fn means(&self) -> Means {
        let traced = system_calls::count(Command::new("true"), 0);
        let by_valgrind = || run_quietly(Command::new(&self.valgrind).arg("--version"));
        Means {
            page_faults: "getrusage",
            system_calls: traced.map_or_else(|why| format!("n/a: {why}"), |_| "ptrace".to_string()),
            instructions: match Counter::open() {
                Ok(_) => "processor".to_string(),
                Err(error) => match by_valgrind() {
                    Ok(()) => "callgrind".to_string(),
                    Err(why) => format!("n/a: perf_event_open: {error}; {why}"),
                },
            },
        }
    }

    /// Why a configuration can't be measured here.
    fn obstacle(&self, configuration: &Configuration) -> Option<String> {
        let cores = allowed_cores().len();
        if configuration.threads > cores {
            return Some(format!(
                "cores: expected {}, found {cores}",
                configuration.threads
            ));
        }
        let supervised = configuration.capture == Capture::FullSupervised;
        (supervised && self.ringscope.is_none())
            .then(|| "record: expected --ringscope PROGRAM, found none".to_string())
    }

    fn measure(
        &self,
        configuration: Configuration,
        means: &Means,
        scratch: &Scratch,
    ) -> Result<Outcome, String> {
        let pass = |pass: Pass| PassArgs {
            pass,
            configuration,
            plan: self.plan(),
            dir: scratch.path().to_path_buf(),
            outcome: scratch.path().join("outcome.json"),
        };
        let measured: Measured = self.outcome_of(&pass(Pass::Measure))?;
        let losses = losses_of(&measured.run)?;
        let mut measurements = measured.measurements;
        if means.system_calls == "ptrace" {
            let counts: Vec<u64> = self.outcome_of(&pass(Pass::Trace))?;
            let calls = self.plan().calls * configuration.threads as u64;
            for (measurement, count) in measurements.iter_mut().zip(counts) {
                let records = calls * measurement.records_per_call;
                let per_million = count as f64 * 1e6 / records as f64;
                measurement.system_calls_per_million = Some(per_million);
            }
        }
        if means.instructions == "callgrind" && configuration.threads == 1 {
            self.count_instructions(pass(Pass::Callgrind), &mut measurements)?;
        }
        scratch.clear()?;
        Ok(Outcome {
            configuration,
            ticks_per_ns: measured.ticks_per_ns,
            work_turns: measured.work_turns,
            losses,
            measurements,
        })
    }

    fn outcome_of<T: serde::de::DeserializeOwned>(&self, pass: &PassArgs) -> Result<T, String> {
        self.run_pass(pass, &[])?;
        pass.read_outcome()
    }

    /// Starts this program for a pass: under `ringscope record` and `runner`, where there are such.
    fn run_pass(&self, pass: &PassArgs, runner: &[OsString]) -> Result<(), String> {
        let mut line: Vec<OsString> = Vec::new();
        if let (Capture::FullSupervised, Some(ringscope)) =
            (pass.configuration.capture, &self.ringscope)
        {
            line.push(ringscope.into());
            line.extend(
                [
                    "record",
                    "--mode",
                    "full",
                    "--no-decode",
                    "--max-size",
                    MAX_SIZE,
                ]
                .map(OsString::from),
            );
            line.extend([
                "--ring-size".into(),
                pass.configuration.ring_bytes.to_string().into(),
            ]);
            line.extend(["--dir".into(), pass.dir.clone().into(), "--".into()]);
        }
        line.extend_from_slice(runner);
        line.extend(pass.command_line()?);
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]);
        forget_environment(&mut command);
        run_quietly(&mut command)
    }

    fn count_instructions(
        &self,
        mut pass: PassArgs,
        measurements: &mut [Measurement],
    ) -> Result<(), String> {
        pass.plan.calls = pass.plan.calls.min(CALLGRIND_CALLS);
        let counts_dir = pass.dir.join("callgrind");
        fs::create_dir(&counts_dir)
            .map_err(|error| format!("create: {}: {error}", counts_dir.display()))?;
        let mut out_file = OsString::from("--callgrind-out-file=");
        out_file.push(counts_dir.join("counts"));
        let runner = [
            self.valgrind.clone().into(),
            "--tool=callgrind".into(),
            out_file,
        ];
        self.run_pass(&pass, &runner)?;
        let counts: HashMap<String, u64> = read_callgrind(&counts_dir)?.into_iter().collect();
        let nothing = counts.get("loop").copied().unwrap_or(0);
        for measurement in measurements {
            let records = pass.plan.calls * measurement.records_per_call;
            let count = counts.get(&measurement.case).copied();
            measurement.instructions =
                count.map(|count| (count as f64 - nothing as f64) / records as f64);
        }
        Ok(())
    }
}
