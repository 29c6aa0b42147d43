//! `pack`: a run becomes one file.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use ringscope_decode::{Run, pack};

use crate::cli::PackArgs;
use crate::decode;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::output::Target;
use crate::selection;
use crate::size::Size;

/// Ending of a pack's name.
const EXTENSION: &str = ".tar.zst";

/// Runs `ringscope pack`.
pub(crate) fn run(args: &PackArgs) -> Result<ExitCode, Failure> {
    let run = selection::open_one(args.run.as_deref(), &args.limits.limits())?;
    let path = args.output.clone().unwrap_or_else(|| default_name(&run));
    let failed = |error: std::io::Error| Failure::io("pack", &path, &error);
    let mut output = BufWriter::new(Target::open(&path)?);
    let bar = progress_bar(run.bytes_on_disk());
    let done = |bytes| bar.set_position(bytes);
    let threads = decode::threads(None) as u32;
    let packed = pack::write(&run, &mut output, threads, &done).map_err(failed)?;
    output.flush().map_err(failed)?;
    bar.finish_and_clear();
    let output = output
        .into_inner()
        .map_err(|error| failed(error.into_error()))?;
    if let Some(bytes) = output.finish()? {
        eprintln!(
            "{}: {} files, {} of {} in use, {} packed",
            path.display(),
            packed.files,
            Size::new(packed.used_bytes),
            Size::new(packed.run_bytes),
            Size::new(bytes)
        );
    }
    Ok(ExitCode::Good)
}

/// A bar on standard error, hidden where that is no terminal.
fn progress_bar(run_bytes: u64) -> ProgressBar {
    let bar = ProgressBar::new(run_bytes);
    if let Ok(style) =
        ProgressStyle::with_template("{bar:40} {percent:>3} %  {bytes_per_sec}  {eta}")
    {
        bar.set_style(style);
    }
    bar
}

/// The run's name, in the current directory.
fn default_name(run: &Run) -> PathBuf {
    let name = run.dir.canonicalize().ok();
    let name = name.as_deref().and_then(Path::file_name);
    let mut name = name.unwrap_or("run".as_ref()).to_owned();
    name.push(EXTENSION);
    PathBuf::from(name)
}
