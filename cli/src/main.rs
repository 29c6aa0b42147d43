//! `ringscope`: records programs, decodes what they left, and looks into it.

#![deny(unsafe_code)]

mod align;
mod cli;
mod decode;
mod diff;
mod doctor;
mod exit_code;
mod failure;
mod filter;
mod gc;
mod import;
mod inspect;
#[allow(unsafe_code, reason = "all system calls that std does not offer")]
mod kernel;
mod launches;
mod level;
mod losses;
mod ls;
mod merge;
mod open;
mod output;
mod pack;
mod record;
mod selection;
mod shell;
mod size;
mod snapshot;
mod span_of_time;
mod split;
mod stats;
mod table;

use std::process;

use clap::Parser;

use cli::{Cli, Command};
use exit_code::ExitCode;
use failure::Failure;

fn main() -> process::ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to standard output and are no failure; a closed pipe is none either.
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::Usage.into()
            } else {
                ExitCode::Good.into()
            };
        }
    };
    match run(&cli.command) {
        Ok(code) => code.into(),
        Err(failure) if failure.is_broken_pipe() => ExitCode::Good.into(),
        Err(failure) => {
            eprintln!("ringscope: {}", failure.line());
            failure.code.into()
        }
    }
}

fn run(command: &Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Record(args) => record::run(args),
        Command::Decode(args) => decode::run(args),
        Command::Snapshot(args) => snapshot::run(args),
        Command::Stats(args) => stats::run(args),
        Command::Diff(args) => diff::run(args),
        Command::Open(args) => open::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Ls(args) => ls::run(args),
        Command::Gc(args) => gc::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Level(args) => level::run(args),
        Command::Pack(args) => pack::run(args),
        Command::Merge(args) => merge::run(args),
        Command::Import(args) => import::run(args),
        Command::Completions(args) => shell::completions(args),
        Command::Man(args) => shell::man(args),
    }
}
