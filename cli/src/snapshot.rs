//! `snapshot`: the last seconds of a run, which may still be recorded.

use ringscope_decode::{TimeBound, Timeline};
use ringscope_ringbuf::clock;

use crate::cli::SnapshotArgs;
use crate::decode;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::filter;
use crate::losses;
use crate::output::{self, Output};
use crate::selection;

/// Runs `ringscope snapshot`.
pub(crate) fn run(args: &SnapshotArgs) -> Result<ExitCode, Failure> {
    let mut run = selection::open_one(args.run.as_deref(), &args.limits.limits())?;
    let mut options =
        filter::options_at_any_time(&args.filter, &args.effort, args.trace.time_base.into());
    options.filter.from = Some(TimeBound::FromEnd(args.last.ns));
    if run.is_alive() {
        run.add_pair_of_now();
        options.now_ns = Some(|| i64::try_from(clock::monotonic_ns()).unwrap_or(i64::MAX));
    }
    let runs = [run];
    let path = output::expand(&args.trace.output, decode::first_pid(&runs));
    let output = Output::open(&path, decode::threads(args.effort.jobs))?;
    let timeline =
        Timeline::build(&runs, &options).map_err(|error| Failure::of("snapshot", error))?;
    let complaints = losses::complain(&timeline);
    let format = args
        .trace
        .format
        .unwrap_or_else(|| decode::format_of(&path));
    let written = decode::write_trace(&timeline, format, args.trace.order.into(), output, &path)?;
    decode::tell(&path, &written);
    Ok(losses::exit_code(complaints, args.effort.strict))
}
