//! `merge`: the fragments of a serving stack's processes become one trace. A fragment is a ring, or a file of JSON
//! lines as older recorders wrote them.

mod lines;
mod splice;

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use ringscope_decode::find_runs;
use ringscope_decode::{
    Filter, Limits, Options, Order, RecordedSince, Run, TimeBase, Timeline, chrome,
};
use ringscope_ringbuf::file::FileName;

use crate::cli::MergeArgs;
use crate::decode;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::losses;
use crate::output::Output;
use crate::size::Size;
use crate::table::grouped;
use lines::Fragments;
use splice::Splice;

const OUTPUT_BUFFER_BYTES: usize = 1 << 20;
/// Directory of the rings beside the files of JSON lines.
const RINGS: &str = "rings";

/// Runs `ringscope merge`.
pub(crate) fn run(args: &MergeArgs) -> Result<ExitCode, Failure> {
    let runs = runs(&args.dirs);
    let fragments = Fragments::read(&args.dirs)?;
    let path = &args.output;
    let failed = |error: std::io::Error| Failure::io("write", path, &error);
    let output = Output::open(path, decode::threads(None))?;
    let mut splice = Splice::new(
        BufWriter::with_capacity(OUTPUT_BUFFER_BYTES, output),
        &fragments,
    );
    if runs.is_empty() {
        splice
            .write_all(b"{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n]}\n")
            .map_err(failed)?;
    } else {
        let timeline =
            Timeline::build(&runs, &options(args)).map_err(|error| Failure::of("decode", error))?;
        losses::complain(&timeline);
        chrome::write(&timeline, Order::Time, &mut splice, &|_| {}).map_err(failed)?;
    }
    let (mut out, events) = splice.finish().map_err(failed)?;
    out.flush().map_err(failed)?;
    let output = out
        .into_inner()
        .map_err(|error| failed(error.into_error()))?;
    let bytes = output.finish(path)?;
    tell(args, path, events, bytes)?;
    Ok(ExitCode::Good)
}

fn options(args: &MergeArgs) -> Options {
    Options {
        filter: Filter {
            recorded_since: args.from_ns.map(|moment_ns| RecordedSince {
                moment_ns,
                sequences: args.session.as_deref().and_then(heads),
            }),
            ..Filter::default()
        },
        time_base: TimeBase::Monotonic,
        ..Options::default()
    }
}

/// How far each ring was written when a session began; `None` where the file does not say it.
fn heads(session: &Path) -> Option<BTreeMap<(u64, u32), u64>> {
    let text = std::fs::read(session).ok()?;
    let session: serde_json::Value = serde_json::from_slice(&text).ok()?;
    let heads = session.get("heads")?.as_object()?.iter();
    let ring_and_head = |(file, head): (&String, &serde_json::Value)| {
        let name = FileName::parse(file)?;
        Some(((name.nonce, name.index), head.as_u64()?))
    };
    Some(heads.filter_map(ring_and_head).collect())
}

/// The runs in these directories, and in those of rings inside them, each once. A directory without a run has none;
/// what can't be read is left out, as all damaged input is.
fn runs(dirs: &[PathBuf]) -> Vec<Run> {
    let mut found: Vec<PathBuf> = Vec::new();
    for dir in dirs {
        for place in [dir.join(RINGS), dir.clone()] {
            for run in find_runs(&place).unwrap_or_default() {
                let run = run.canonicalize().unwrap_or(run);
                if !found.contains(&run) {
                    found.push(run);
                }
            }
        }
    }
    let open = |path: &PathBuf| {
        let mut run = Run::open(path, &Limits::default()).ok()?;
        run.ensure_end_pair();
        Some(run)
    };
    found.iter().filter_map(open).collect()
}

fn tell(args: &MergeArgs, path: &Path, events: u64, bytes: Option<u64>) -> Result<(), Failure> {
    if args.json {
        let line = serde_json::json!({ "events": events, "bytes": bytes });
        return writeln!(std::io::stdout(), "{line}").map_err(|error| Failure::stdout(&error));
    }
    if let Some(bytes) = bytes {
        eprintln!(
            "{}: {} events, {}; show it: ringscope open {}",
            path.display(),
            grouped(events),
            Size::new(bytes),
            path.display()
        );
    }
    Ok(())
}
