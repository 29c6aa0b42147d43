//! `sustained_rate`: how many records a second `ringscope record` saves without losing one, in full mode.
//!
//! A program that does nothing but record, one span every so many nanoseconds for seconds on end, is run under
//! `ringscope record`; the highest rate at which every record is found afterwards is searched by bisection. That is not
//! typical use: programs record in bursts, and rings take bursts of their own size whatever the rate. The figure says how
//! long a burst may go on. The drain needs a core of its own: with fewer than two the figures mean nothing.

mod probe;
mod saved;
mod search;
mod writer;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::search::Search;
use crate::writer::Writer;

/// Find the highest rate of records that `ringscope record` saves without loss
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    again: Option<Again>,
    #[command(flatten)]
    search: Search,
}

/// This program, started by itself.
#[derive(Debug, Subcommand)]
enum Again {
    /// Record at a pace
    #[command(hide = true)]
    Write(Writer),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.again {
        Some(Again::Write(writer)) => writer.run(),
        None => cli.search.run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("sustained_rate: {why}");
            ExitCode::FAILURE
        }
    }
}
