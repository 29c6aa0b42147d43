//! `record`: the life of a recording, from the run directory to the summary.

mod child;
mod drain;
mod footing;
pub(crate) mod intercept;
mod processes;
pub(crate) mod run_dir;
mod schedule;
mod summary;
mod supervisor;
mod trace;
mod watch;

use std::env;
use std::ffi::OsString;
use std::str::FromStr;

use ringscope_ringbuf::layout::{MODE_FLIGHT, MODE_FULL};

use crate::cli::{Mode, RecordArgs};
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::kernel::{self, Signals};
use crate::level::LevelSet;
use crate::size::Size;
use child::Program;
use drain::{Budget, Drain};
use run_dir::RunDirectory;
use schedule::Schedule;
use supervisor::Supervisor;
use watch::Watch;

pub(crate) const DEFAULT_RING_SIZE: Size = Size { bytes: 1 << 20 };
const DEFAULT_MAX_SIZE: Size = Size { bytes: 4 << 30 };

/// What is recorded: the arguments, else the environment, else the defaults.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    level: LevelSet,
    mode: Mode,
    ring_size: Size,
    max_size: Size,
}

impl Settings {
    fn resolve(args: &RecordArgs) -> Result<Settings, Failure> {
        let capture = &args.capture;
        Ok(Settings {
            level: setting(capture.level, "RINGSCOPE_LEVEL", LevelSet::DEFAULT)?,
            mode: setting(capture.mode, "RINGSCOPE_MODE", Mode::Full)?,
            ring_size: setting(capture.ring_size, "RINGSCOPE_RING_SIZE", DEFAULT_RING_SIZE)?,
            max_size: setting(capture.max_size, "RINGSCOPE_MAX_SIZE", DEFAULT_MAX_SIZE)?,
        })
    }

    /// The mode as files have it.
    fn mode_number(&self) -> u32 {
        match self.mode {
            Mode::Full => MODE_FULL,
            Mode::Flight => MODE_FLIGHT,
        }
    }
}

/// An argument, else what the environment says, else the default.
pub(crate) fn setting<T: FromStr<Err = String>>(
    argument: Option<T>,
    variable: &'static str,
    default: T,
) -> Result<T, Failure> {
    if let Some(value) = argument {
        return Ok(value);
    }
    match env::var(variable) {
        Ok(text) if !text.trim().is_empty() => text
            .parse()
            .map_err(|why| Failure::new("record", variable, why).with_code(ExitCode::Usage)),
        _ => Ok(default),
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Mode, String> {
        clap::ValueEnum::from_str(text, true)
            .map_err(|_| format!("expected full or flight, found {text:?}"))
    }
}

/// The environment that the program and its children record by.
fn environment(
    args: &RecordArgs,
    settings: &Settings,
    directory: &RunDirectory,
) -> Vec<(&'static str, OsString)> {
    let level = Schedule::first_level(&args.capture, settings.level);
    let mode = match settings.mode {
        Mode::Full => "full",
        Mode::Flight => "flight",
    };
    let mut environment = vec![
        ("RINGSCOPE_RUN", directory.path.clone().into_os_string()),
        ("RINGSCOPE_LEVEL", level.to_string().into()),
        ("RINGSCOPE_MODE", mode.into()),
        (
            "RINGSCOPE_RING_SIZE",
            settings.ring_size.bytes.to_string().into(),
        ),
        (
            "RINGSCOPE_MAX_SIZE",
            settings.max_size.bytes.to_string().into(),
        ),
    ];
    if args.place.force_dir {
        environment.push(("RINGSCOPE_FORCE_DIR", "1".into()));
    }
    if args.capture.no_args {
        environment.push(("RINGSCOPE_ARGS", "off".into()));
    }
    environment
}

/// Runs `ringscope record`.
pub(crate) fn run(args: &RecordArgs) -> Result<ExitCode, Failure> {
    let settings = Settings::resolve(args)?;
    let directory = RunDirectory::create(&args.place)?;
    let signals = Signals::block().map_err(|error| Failure::new("record", "signals", error))?;
    let started = start(args, &settings, &directory, &signals);
    let (supervisor, program) = match started {
        Ok(started) => started,
        Err(failure) => {
            // Nothing was recorded: nothing is to be left behind.
            let _ = crate::gc::remove_run(&directory.path);
            return Err(failure);
        }
    };
    kernel::raise_open_file_limit();
    kernel::wake_punctually();
    let schedule = Schedule::start(directory.path.clone(), &args.capture, settings.level);
    let drain = Drain::new(Budget::new(directory.clone(), settings.max_size.bytes));
    let watch = Watch::new(directory.clone(), supervisor, drain, schedule, program);
    let outcome = watch.until_end(&signals)?;
    let code = outcome.end.exit_code();
    summary::conclude(args, &settings, &directory, &signals, &outcome);
    Ok(code)
}

fn start(
    args: &RecordArgs,
    settings: &Settings,
    directory: &RunDirectory,
    signals: &Signals,
) -> Result<(Supervisor, Program), Failure> {
    let header_settings = supervisor::Settings {
        mode: settings.mode_number(),
        level: Schedule::first_level(&args.capture, settings.level).mask,
        ring_bytes: settings.ring_size.bytes,
    };
    let supervisor = Supervisor::create(&directory.path, header_settings, &args.command)?;
    let mut environment = environment(args, settings, directory);
    environment.extend(args.intercept.environment()?);
    let program = Program::start(&args.command, environment, signals)?;
    Ok((supervisor, program))
}
