//! `peers`: what a span costs with other recorders, beside the same floor and by the same harness as `hot_path`.
//!
//! Each peer runs in processes of its own, set up as its documentation says, in the cheapest way in which it still
//! keeps its records. It measures calls in a tight loop, which is not typical use, see `hot_path`; and it favours the
//! peers: their memory is warm, and nobody reads what they recorded.

mod clocks;
mod fastrace;
mod measureme;
mod outcome;
mod peer;
mod puffin;
mod ringscope;
mod tracing;
mod tracing_chrome;
mod tracy;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::{Args, Parser, Subcommand};
use ringscope_benches::kernel::{allowed_cores, forget_environment, run_quietly, this_program};
use ringscope_benches::machine::Machine;
use ringscope_benches::measurement::summarise;
use ringscope_benches::rounds::{Plan, measure};

use crate::outcome::{Outcome, Report};
use crate::peer::Peer;

/// Measure what a span costs with other recorders, beside two clock reads and one 32-byte store
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    again: Option<Again>,
    #[command(flatten)]
    campaign: Campaign,
}

/// This program, started by itself.
#[derive(Debug, Subcommand)]
enum Again {
    /// Measure one peer
    #[command(hide = true)]
    Pass(Pass),
}

/// What to measure.
#[derive(Debug, Args)]
struct Campaign {
    /// Measure just enough to show that everything works
    #[arg(long)]
    quick: bool,
    /// Write the figures to this file too, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Peers to measure [default: all]
    #[arg(long, value_delimiter = ',')]
    peer: Vec<Peer>,
    /// Threads that record at once
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1,2")]
    threads: Vec<usize>,
    /// Directory for what the peers write; it is removed again
    #[arg(long, default_value = "/dev/shm")]
    dir: PathBuf,
}

/// One peer in one process.
#[derive(Debug, Args)]
struct Pass {
    #[arg(long)]
    peer: Peer,
    #[arg(long)]
    threads: usize,
    #[command(flatten)]
    plan: Plan,
    #[arg(long)]
    dir: PathBuf,
    #[arg(long)]
    outcome: PathBuf,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.again {
        Some(Again::Pass(pass)) => pass.run(),
        None => cli.campaign.run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("peers: {why}");
            ExitCode::FAILURE
        }
    }
}

impl Pass {
    fn run(&self) -> Result<(), String> {
        let troupe = self.peer.set_up(&self.dir)?;
        let cast = |thread| troupe.cast(&self.dir, thread);
        let rounds = measure(&self.plan, self.threads, &cast)?;
        let outcome = Outcome {
            peer: self.peer.name(),
            setting: self.peer.setting().to_string(),
            threads: self.threads,
            plan: self.plan,
            measurements: summarise(&rounds),
        };
        outcome.write(&self.outcome)
    }
}

impl Campaign {
    fn run(&self) -> Result<(), String> {
        let mut report = Report::new(Machine::this());
        println!("{}", report.machine);
        let scratch = self
            .dir
            .join(format!("ringscope-peers-{}", std::process::id()));
        let outcome = self.measure_all(&mut report, &scratch);
        // What could not be removed was not made.
        let _ = fs::remove_dir_all(&scratch);
        outcome?;
        self.json.as_ref().map_or(Ok(()), |path| report.write(path))
    }

    fn measure_all(&self, report: &mut Report, scratch: &Path) -> Result<(), String> {
        let peers = if self.peer.is_empty() {
            Peer::all()
        } else {
            self.peer.clone()
        };
        let cores = allowed_cores().len();
        for peer in peers {
            for threads in self.threads.iter().filter(|threads| **threads <= cores) {
                let outcome = self.measure(peer, *threads, scratch)?;
                println!("\n{outcome}");
                report.outcomes.push(outcome);
            }
        }
        Ok(())
    }

    fn measure(&self, peer: Peer, threads: usize, scratch: &Path) -> Result<Outcome, String> {
        fs::create_dir_all(scratch)
            .map_err(|error| format!("create: {}: {error}", scratch.display()))?;
        let plan = if self.quick { Plan::QUICK } else { peer.plan() };
        let outcome = scratch.join("outcome.json");
        let mut command = Command::new(this_program()?);
        command.args([
            "pass",
            "--peer",
            &peer.name(),
            "--threads",
            &threads.to_string(),
        ]);
        command.args([
            "--rounds",
            &plan.rounds.to_string(),
            "--calls",
            &plan.calls.to_string(),
        ]);
        command.args(["--samples", &plan.samples.to_string()]);
        command
            .arg("--dir")
            .arg(scratch)
            .arg("--outcome")
            .arg(&outcome);
        forget_environment(&mut command);
        run_quietly(&mut command)?;
        let outcome = Outcome::read(&outcome)?;
        fs::remove_dir_all(scratch)
            .map_err(|error| format!("remove: {}: {error}", scratch.display()))?;
        Ok(outcome)
    }
}
