//! Measures the decoder beside the floor: a loop that formats events of the same length from records in memory, with
//! cached prefixes and raw pointers. Not typical use: the runs are made of one program in a tight loop, so that
//! millions of spans stand close together; a real program's runs have more names and longer gaps.
//!
//! Every figure is of a process of its own, started once more with what it is to do, so that memory is that of one
//! decode alone. Ratios are taken between processes that ran one after the other; each line says what its ratio is of,
//! and what it shall be.

mod device;
mod figure;
mod floor;
mod output;
mod run;
mod spans;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use ringscope_benches::machine::Machine;
use ringscope_benches::scratch::Scratch;
use serde_json::json;

use figure::{Figure, Task};
use spans::Shape;

/// Measures the decoder beside the floor formatter.
#[derive(Debug, Parser)]
struct Options {
    /// Spans of each run
    #[arg(long, value_name = "N", default_value_t = 20_000_000)]
    spans: u64,
    /// Steps of the run of shape `device`: each is 124,800 device tasks
    #[arg(long, value_name = "N", default_value_t = 256)]
    steps: u64,
    /// Where runs and traces are written
    #[arg(long, value_name = "DIR", default_value = "/dev/shm")]
    dir: PathBuf,
    /// Rounds; the median counts
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: usize,
    /// Shapes to measure [default: all but device]
    #[arg(long, value_name = "SHAPE")]
    shape: Vec<Shape>,
    /// Writes the figures here as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(subcommand)]
    part: Option<Part>,
}

/// What the program does when it is started by itself.
#[derive(Debug, Subcommand)]
enum Part {
    /// Record a run
    #[command(hide = true)]
    Record {
        shape: Shape,
        amount: u64,
        dir: PathBuf,
    },
    /// Record what a rank does in a run of devices
    #[command(hide = true)]
    RecordRank { rank: u64, steps: u64, dir: PathBuf },
    /// Do one thing and print its figure
    #[command(hide = true)]
    Measure { task: String },
}

fn main() -> ExitCode {
    let options = Options::parse();
    let outcome = match &options.part {
        Some(Part::Record { shape, amount, dir }) => spans::record(*shape, *amount, dir),
        Some(Part::RecordRank { rank, steps, dir }) => device::record_rank(*rank, *steps, dir),
        Some(Part::Measure { task }) => serde_json::from_str(task)
            .map_err(|error| format!("task: {task}: {error}"))
            .and_then(|task| run::measure(&task)),
        None => compare(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("decode: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(options: &Options) -> Result<(), String> {
    let machine = Machine::this();
    println!("{machine}");
    let scratch = Scratch::new(&options.dir)?;
    let shapes = if options.shape.is_empty() {
        &Shape::SPANS[..]
    } else {
        &options.shape
    };
    let mut figures: Vec<Figure> = Vec::new();
    for shape in shapes {
        scratch.clear()?;
        let amount = match shape {
            Shape::Device => options.steps,
            Shape::Rings4 | Shape::Rings64 | Shape::Asyncio => options.spans,
        };
        let found = figure::of_shape(*shape, amount, options.rounds, scratch.path())?;
        output::print(&found);
        figures.extend(found);
    }
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&json!({"machine": machine, "figures": figures}))
            .map_err(|error| format!("figures: {error}"))?;
        std::fs::write(path, text + "\n")
            .map_err(|error| format!("write: {}: {error}", path.display()))?;
    }
    Ok(())
}

/// The program, started once more for `task`.
fn start(task: &Task) -> Result<Vec<u8>, String> {
    let text = serde_json::to_string(task).map_err(|error| format!("task: {error}"))?;
    start_with(&["measure", &text])
}

fn start_with(arguments: &[&str]) -> Result<Vec<u8>, String> {
    let program = std::env::current_exe().map_err(|error| format!("this program: {error}"))?;
    let output = std::process::Command::new(program)
        .args(arguments)
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(|error| format!("start: {error}"))?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(format!("{}: {}", arguments.join(" "), output.status))
    }
}
