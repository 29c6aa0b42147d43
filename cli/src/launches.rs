//! `stats --launches`: kernels, streams, steps, and what has no other half.

use std::fmt::Write;

use ringscope_decode::Timeline;
use ringscope_decode::launches::{Kernel, Report, Step, Stream, Times, Unpaired};

use crate::failure::Failure;
use crate::span_of_time::SpanOfTime;
use crate::table::{self, Align, grouped, printable};

/// Ranks that have a column of their own at most.
const MAX_RANKS: usize = 16;
/// Unpaired ones that are shown of each sort; JSON has more.
const SHOWN_UNPAIRED: usize = 10;
/// What stands where nothing is known.
const UNAVAILABLE: &str = "unavailable";

/// The report as JSON, with the device clocks that its times rest on.
pub(crate) fn json(report: &Report, timeline: &Timeline) -> Result<String, Failure> {
    let failed = |error| Failure::of("stats: JSON", error);
    let mut value = serde_json::to_value(report).map_err(failed)?;
    value["device_clocks"] = serde_json::to_value(&timeline.device_clocks).map_err(failed)?;
    serde_json::to_string_pretty(&value)
        .map(|text| text + "\n")
        .map_err(failed)
}

/// The report as people read it.
pub(crate) fn human(report: &Report, timeline: &Timeline) -> String {
    let mut text = String::new();
    if report.kernels.is_empty() && report.steps.is_empty() {
        text.push_str("no launch, no device span and no step was recorded\n");
        return text;
    }
    section(&mut text, &kernels(&report.kernels));
    section(&mut text, &streams(&report.streams));
    section(&mut text, &clocks(timeline));
    section(&mut text, &steps(&report.steps));
    let launches = "launches without an execution";
    unpaired(&mut text, launches, &report.launches_without_execution);
    let executions = "executions without a launch";
    unpaired(&mut text, executions, &report.executions_without_launch);
    text
}

/// Appends the lines of a table, if it has any below its head.
fn section(text: &mut String, lines: &[String]) {
    if lines.len() < 2 {
        return;
    }
    if !text.is_empty() {
        text.push('\n');
    }
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
}

fn time(times: Option<Times>, figure: impl Fn(Times) -> u64) -> String {
    match times {
        Some(times) => SpanOfTime::new(figure(times)).to_string(),
        None => UNAVAILABLE.to_owned(),
    }
}

fn kernels(kernels: &[Kernel]) -> Vec<String> {
    let mut table = table::with_columns(&[
        ("kernel", Align::Left),
        ("launches", Align::Right),
        ("host total", Align::Right),
        ("mean", Align::Right),
        ("executions", Align::Right),
        ("device total", Align::Right),
        ("mean", Align::Right),
        ("p99", Align::Right),
        ("share", Align::Right),
        ("launch to start p50", Align::Right),
        ("p99", Align::Right),
        ("gap mean", Align::Right),
    ]);
    for kernel in kernels {
        table.add_row([
            printable(&kernel.name),
            grouped(kernel.launches),
            time(kernel.host, |host| host.total_ns),
            time(kernel.host, |host| host.mean_ns),
            grouped(kernel.executions),
            time(kernel.device, |device| device.total_ns),
            time(kernel.device, |device| device.mean_ns),
            time(kernel.device, |device| device.p99_ns),
            match kernel.share {
                Some(share) => format!("{:.1} %", share * 100.0),
                None => UNAVAILABLE.to_owned(),
            },
            time(kernel.latency, |latency| latency.p50_ns),
            time(kernel.latency, |latency| latency.p99_ns),
            time(kernel.gap, |gap| gap.mean_ns),
        ]);
    }
    table::lines(&table)
}

fn streams(streams: &[Stream]) -> Vec<String> {
    let mut table = table::with_columns(&[
        ("stream", Align::Left),
        ("pid", Align::Right),
        ("executions", Align::Right),
        ("busy", Align::Right),
        ("idle", Align::Right),
        ("longest idle", Align::Right),
        ("busy share", Align::Right),
    ]);
    for stream in streams {
        let span_ns = (stream.busy_ns + stream.idle_ns).max(1);
        table.add_row([
            format!(
                "{} stream {}",
                printable(&stream.device_name),
                stream.stream
            ),
            stream.pid.to_string(),
            grouped(stream.executions),
            SpanOfTime::new(stream.busy_ns).to_string(),
            SpanOfTime::new(stream.idle_ns).to_string(),
            SpanOfTime::new(stream.longest_idle_ns).to_string(),
            format!("{:.1} %", stream.busy_ns as f64 * 100.0 / span_ns as f64),
        ]);
    }
    table::lines(&table)
}

fn clocks(timeline: &Timeline) -> Vec<String> {
    let mut table = table::with_columns(&[
        ("device clock", Align::Left),
        ("pid", Align::Right),
        ("tied by", Align::Left),
        ("times within", Align::Right),
        ("drift", Align::Right),
    ]);
    for clock in &timeline.device_clocks {
        let within = clock
            .uncertainty_ns
            .map(|ns| SpanOfTime::new(ns).to_string());
        let drift = clock.drift_ppm.map(|ppm| format!("{ppm:+.1} ppm"));
        table.add_row([
            format!("{} ({})", printable(&clock.name), clock.domain),
            clock.pid.to_string(),
            clock.alignment.as_str().to_owned(),
            within.unwrap_or_else(|| "unknown".to_owned()),
            drift.unwrap_or_else(|| "unknown".to_owned()),
        ]);
    }
    table::lines(&table)
}

/// A row per step, a column per rank: host time, and device time behind it.
fn steps(steps: &[Step]) -> Vec<String> {
    let mut names: Vec<&str> = Vec::new();
    for rank in steps.iter().flat_map(|step| &step.ranks) {
        if !names.contains(&rank.rank.as_str()) {
            names.push(&rank.rank);
        }
    }
    names.truncate(MAX_RANKS);
    let shown: Vec<String> = names.iter().map(|name| printable(name)).collect();
    let mut columns = vec![("step", Align::Right)];
    columns.extend(shown.iter().map(|name| (name.as_str(), Align::Right)));
    columns.extend([("critical", Align::Left), ("spread", Align::Right)]);
    let mut table = table::with_columns(&columns);
    for step in steps {
        let mut cells = vec![step.step.to_string()];
        cells.extend(names.iter().map(|name| {
            let found = step.ranks.iter().find(|rank| rank.rank == *name);
            found.map_or_else(
                || "missing".to_owned(),
                |rank| {
                    let wall = SpanOfTime::new(rank.wall_ns);
                    format!("{wall} ({} on devices)", SpanOfTime::new(rank.device_ns))
                },
            )
        }));
        cells.push(printable(&step.critical));
        cells.push(SpanOfTime::new(step.spread_ns).to_string());
        table.add_row(cells);
    }
    table::lines(&table)
}

fn unpaired(text: &mut String, what: &str, unpaired: &Unpaired) {
    if unpaired.count == 0 {
        return;
    }
    let _ = writeln!(text, "\n{} {what}:", grouped(unpaired.count));
    for lone in unpaired.first.iter().take(SHOWN_UNPAIRED) {
        let _ = writeln!(
            text,
            "  {}, correlation {}, process {}, {:.6} s after the start",
            printable(&lone.name),
            lone.correlation,
            lone.pid,
            lone.start_ns as f64 / 1e9
        );
    }
    let more = unpaired.count.saturating_sub(SHOWN_UNPAIRED as u64);
    if more > 0 {
        let _ = writeln!(
            text,
            "  and {} more (--json lists the first thousand)",
            grouped(more)
        );
    }
}
