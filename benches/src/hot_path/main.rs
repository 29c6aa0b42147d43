//! `hot_path`: what one record costs, beside the floor.
//!
//! It measures calls in a tight loop, with caches, branch predictors and the store buffer to themselves, again and again
//! from the same place. That is not typical use: programs record here and there, with cold caches, and get
//! something done in between. The loop shows the cost itself, and changes of it; the column `+work` comes nearer to what
//! a program feels, as it takes the difference that a span makes to 80 ns of work. `docs/measuring.md` explains every
//! column.

mod bare_record;
mod campaign;
mod cases;
mod configuration;
mod foreign;
mod launches;
mod losses;
mod pass;
mod report;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::campaign::Campaign;
use crate::pass::PassArgs;

/// Measure what one record costs, beside two clock reads and one 32-byte store
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
    /// Do one pass for one configuration
    #[command(hide = true)]
    Pass(PassArgs),
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
            eprintln!("hot_path: {why}");
            ExitCode::FAILURE
        }
    }
}
