//! `first_record`: what the first record of a thread costs, by what was done for the thread before.
//!
//! Threads are started one after the other, and each times its first span and its second one. That is not typical use:
//! programs start threads rarely, and what comes once matters only to those that can't bear it in the middle of a step. The
//! span's site is known already, as it is when other threads have been there.

mod report;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;

use clap::Parser;
use ringscope::{Config, Level, Mode};
use ringscope_benches::machine::Machine;
use ringscope_benches::scratch::Scratch;
use ringscope_ringbuf::clock::monotonic_ns;
use ringscope_ringbuf::setting::parse_size;

use report::{Case, Report};

/// Measure the first record of threads
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    /// Size of each thread's ring
    #[arg(long, value_name = "SIZE", value_parser = ring_size, default_value = "1MiB")]
    ring_size: u64,
    /// Threads of each case
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    threads: u16,
    /// Directory for the run, which is removed again
    #[arg(long, default_value = "/dev/shm")]
    dir: PathBuf,
    /// Write the figures to this file too, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn ring_size(text: &str) -> Result<u64, String> {
    parse_size(text).ok_or_else(|| "expected a size such as 64KiB or 1MiB".to_string())
}

/// A thread's first span and its second one, ns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Firsts {
    first_ns: u64,
    second_ns: u64,
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("first_record: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<(), String> {
    let machine = Machine::this();
    println!("{machine}");
    let scratch = Scratch::new(&cli.dir)?;
    let config = Config::new()
        .dir(scratch.path())
        .level(Level::DEFAULT)
        .mode(Mode::Flight)
        .ring_size(cli.ring_size);
    ringscope::init(config).map_err(|error| error.to_string())?;
    // Of the process: its site becomes known by it.
    record();
    let count = usize::from(cli.threads);
    let unprepared = living(count, || {})?;
    // Their rings are free by now.
    let pooled = one_after_the_other(count, || {})?;
    let prepared = one_after_the_other(count, ringscope::prepare_thread)?;
    let report = Report::new(
        machine,
        cli.ring_size,
        vec![
            Case::new("unprepared: its ring is made", &unprepared),
            Case::new(
                "pooled: it takes the ring of a thread that has ended",
                &pooled,
            ),
            Case::new("prepared: prepare_thread came before", &prepared),
        ],
    );
    print!("{report}");
    cli.json
        .as_deref()
        .map_or(Ok(()), |path| report.write(path))
}

#[inline(never)]
fn record() {
    let _span = ringscope::span!("first");
}

/// What a thread finds that does `before` first.
fn firsts(before: fn()) -> Firsts {
    before();
    let start_ns = monotonic_ns();
    record();
    let between_ns = monotonic_ns();
    record();
    Firsts {
        first_ns: between_ns - start_ns,
        second_ns: monotonic_ns() - between_ns,
    }
}

/// Threads that all live until the last one has recorded, so that each needs a ring of its own.
fn living(count: usize, before: fn()) -> Result<Vec<Firsts>, String> {
    thread::scope(|scope| {
        let mut ends = Vec::new();
        let mut found = Vec::new();
        for _ in 0..count {
            let (tell, told) = mpsc::channel();
            let (end, ended) = mpsc::channel::<()>();
            scope.spawn(move || {
                // Nobody listens any more when another thread has failed.
                let _ = tell.send(firsts(before));
                let _ = ended.recv();
            });
            ends.push(end);
            found.push(told.recv().map_err(|_| "measure: thread: it panicked")?);
        }
        Ok(found)
    })
}

/// Threads of which each begins when the one before has ended, so that its ring is free.
fn one_after_the_other(count: usize, before: fn()) -> Result<Vec<Firsts>, String> {
    (0..count)
        .map(|_| {
            let thread = thread::spawn(move || firsts(before));
            thread
                .join()
                .map_err(|_| "measure: thread: it panicked".to_string())
        })
        .collect()
}
