//! `doctor`: what this machine gives to a recording, and whether it is fit for one.

mod check;
mod clock;
mod limits;
mod processes;
mod room;
mod tls;

use std::io::{self, Write};
use std::thread;

use ringscope_ringbuf::block::SpanCost;
use ringscope_ringbuf::clock::ClockSource;
use ringscope_ringbuf::room::ring_log2;

use crate::cli::DoctorArgs;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::record::{DEFAULT_RING_SIZE, setting};
use check::{Check, State};
use clock::{Calibration, rounded};
use limits::Plan;
use room::TrialRun;

/// Threads a processor that a program is taken to have.
const THREADS_A_PROCESSOR: u32 = 4;
/// A span that costs so many times the floor is not what this machine can do.
const POOR_COST: f64 = 1.5;

/// Runs `ringscope doctor`.
pub(crate) fn run(args: &DoctorArgs) -> Result<ExitCode, Failure> {
    let calibration = Calibration::take();
    let cost = SpanCost::measure(calibration.source);
    let mut checks = vec![
        calibration.clock(),
        calibration.error(),
        span_cost(cost, calibration.source),
        processes::processors(),
    ];
    checks.extend(place_checks(args)?);
    checks.extend([processes::fork(), processes::level(), tls::storage()]);
    let text = if args.json {
        json(&checks, cost)?
    } else {
        human(&checks)
    };
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|error| Failure::stdout(&error))?;
    verdict(&checks)
}

/// What depends on the place of runs, and on what is planned there.
fn place_checks(args: &DoctorArgs) -> Result<Vec<Check>, Failure> {
    let ring_size = setting(args.ring_size, "RINGSCOPE_RING_SIZE", DEFAULT_RING_SIZE)?;
    let processors = thread::available_parallelism().map_or(1, usize::from) as u32;
    let plan = Plan {
        threads: args.threads.unwrap_or(processors * THREADS_A_PROCESSOR),
        ring_log2: ring_log2(ring_size.bytes),
    };
    let mut checks = match TrialRun::create(&args.place) {
        Ok(run) => vec![
            run.place(),
            run.space(plan.threads, ring_size),
            run.ring(ring_size),
            processes::lock(&run),
            processes::watching(&run),
        ],
        Err(failure) => vec![Check::ok("place", failure.line()).fail_if(
            true,
            "no run can be made: choose another place with --dir or RINGSCOPE_DIR",
        )],
    };
    checks.extend(limits::checks(plan));
    Ok(checks)
}

/// What a span costs here, beside the floor.
fn span_cost(cost: SpanCost, source: ClockSource) -> Check {
    let (span_ns, floor_ns) = (cost.span_ps as f64 / 1e3, cost.floor_ps as f64 / 1e3);
    let ratio = span_ns / floor_ns.max(f64::MIN_POSITIVE);
    let found = format!(
        "{span_ns:.1} ns a span, {ratio:.2} x the floor of {floor_ns:.1} ns: two reads of {source} and one store of 32 \
         bytes"
    );
    Check::ok("cost", found)
        .with("span_ns", span_ns)
        .with("floor_ns", floor_ns)
        .with("ratio", rounded(ratio))
        .warn_if(
            ratio > POOR_COST,
            "the machine was busy, or this program was compiled without optimisation: measure again",
        )
}

fn human(checks: &[Check]) -> String {
    let mut text: String = checks.iter().map(|check| format!("{check}\n")).collect();
    let count = |state| checks.iter().filter(|check| check.state == state).count();
    text.push_str(match (count(State::Fail), count(State::Warn)) {
        (0, 0) => "fit: this machine gives all that it can to a recording\n",
        (0, _) => "fit, with warnings: this machine could give more to a recording\n",
        _ => "unfit: this machine gives too little to a recording\n",
    });
    text
}

fn json(checks: &[Check], cost: SpanCost) -> Result<String, Failure> {
    let is_fit = checks.iter().all(|check| check.state != State::Fail);
    let report = serde_json::json!({
        "fit": is_fit,
        "cost": {
            "span_ns": cost.span_ps as f64 / 1e3,
            "floor_ns": cost.floor_ps as f64 / 1e3,
        },
        "checks": checks,
    });
    serde_json::to_string_pretty(&report)
        .map(|text| text + "\n")
        .map_err(|error| Failure::of("doctor: JSON", error))
}

/// Good, or a failure that names the checks which say that the machine is unfit.
fn verdict(checks: &[Check]) -> Result<ExitCode, Failure> {
    let failed: Vec<&str> = checks
        .iter()
        .filter(|check| check.state == State::Fail)
        .map(|check| check.name)
        .collect();
    if failed.is_empty() {
        return Ok(ExitCode::Good);
    }
    let why = format!("unfit for recording: {}", failed.join(", "));
    Err(Failure::new("doctor", "this machine", why))
}
