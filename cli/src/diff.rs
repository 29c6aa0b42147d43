//! `diff`: what changed between two runs.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;
use std::str::FromStr;

use ringscope_decode::comparison::{Change, Metric, Rule, Verdict, compare, mean_ns};
use ringscope_decode::stats::{self, Row};
use ringscope_decode::{TimeBase, Timeline};
use serde_json::{Value, json};

use crate::cli::{DiffArgs, MetricName};
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::filter;
use crate::losses;
use crate::selection;
use crate::span_of_time::SpanOfTime;
use crate::table::{self, Align, grouped};

/// A figure of a row, under its name.
type Figure = (&'static str, fn(&Row) -> f64);

/// What is compared, in the order of the columns.
const FIGURES: [Figure; 5] = [
    ("count", |row| row.count as f64),
    ("total", |row| row.total_ns as f64),
    ("mean", mean_ns),
    ("p50", |row| row.p50_ns as f64),
    ("p99", |row| row.p99_ns as f64),
];

/// A growth in percent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Percent {
    /// As a part of the whole.
    part: f64,
}

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Percent, String> {
        let number = text.strip_suffix('%').unwrap_or(text).trim_end();
        match number.parse::<f64>() {
            Ok(percent) if percent.is_finite() && percent >= 0.0 => Ok(Percent {
                part: percent / 100.0,
            }),
            _ => Err(format!("expected a percentage such as 10, found {text:?}")),
        }
    }
}

impl From<MetricName> for Metric {
    fn from(name: MetricName) -> Metric {
        match name {
            MetricName::Typical => Metric::Typical,
            MetricName::Count => Metric::Count,
            MetricName::Total => Metric::Total,
            MetricName::Mean => Metric::Mean,
            MetricName::P50 => Metric::P50,
            MetricName::P99 => Metric::P99,
        }
    }
}

/// Runs `ringscope diff`.
pub(crate) fn run(args: &DiffArgs) -> Result<ExitCode, Failure> {
    let rule = Rule {
        metric: args.metric.into(),
        threshold: args.threshold.part,
        min_count: args.min_count,
        min_total_ns: args.min_total.ns,
    };
    let (a, complaints_a) = rows(args, &args.run_a)?;
    let (b, complaints_b) = rows(args, &args.run_b)?;
    let changes = compare(a, b, &rule);
    let regressed = count(&changes, Verdict::Regressed);
    let text = if args.json {
        json(args, &rule, &changes)?
    } else {
        human(args, &rule, &changes)
    };
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|error| Failure::stdout(&error))?;
    if regressed > 0 {
        return Ok(ExitCode::Strict);
    }
    let complaints = complaints_a + complaints_b;
    Ok(losses::exit_code(complaints, args.reading.effort.strict))
}

/// The table of one side, and how much is missing from it.
fn rows(args: &DiffArgs, run: &Path) -> Result<(Vec<Row>, usize), Failure> {
    let runs = selection::open(&[run.to_owned()], &args.reading.limits.limits())?;
    let options = filter::options(&args.reading.filter, &args.reading.effort, TimeBase::Run);
    let timeline = Timeline::build(&runs, &options).map_err(|error| Failure::of("diff", error))?;
    let is_whole =
        !timeline.losses.any() && timeline.problems.is_empty() && timeline.warnings.is_empty();
    if !is_whole {
        eprintln!("ringscope: diff: of {}:", run.display());
    }
    let complaints = losses::complain(&timeline);
    let options = stats::Options {
        by: args.by.0.clone(),
        skip_first: args.skip_first,
        gaps: args.gaps.clone(),
        ..stats::Options::default()
    };
    let rows = stats::table(&timeline, &options)
        .map_err(|error| Failure::new("diff", "temporary file", error))?;
    Ok((rows, complaints))
}

fn count(changes: &[Change], verdict: Verdict) -> usize {
    let of_verdict = changes.iter().filter(|change| change.verdict == verdict);
    of_verdict.count()
}

/// The word for a verdict; nothing of what has not changed.
fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Unchanged => "",
        Verdict::Regressed => "regressed",
        Verdict::Improved => "improved",
        Verdict::TooLittle => "too little to tell",
        Verdict::OnlyInA => "only in A",
        Verdict::OnlyInB => "only in B",
    }
}

fn json(args: &DiffArgs, rule: &Rule, changes: &[Change]) -> Result<String, Failure> {
    let side = |row: &Option<Row>| match row {
        None => Value::Null,
        Some(row) => json!({
            "count": row.count,
            "total_ns": row.total_ns,
            "mean_ns": row.mean_ns,
            "p50_ns": row.p50_ns,
            "p99_ns": row.p99_ns,
        }),
    };
    let rows: Vec<Value> = changes
        .iter()
        .map(|change| {
            let figures = FIGURES.iter();
            let growths: serde_json::Map<String, Value> = figures
                .map(|(name, figure)| ((*name).to_owned(), json!(change.of(figure))))
                .collect();
            let verdict = match word(change.verdict) {
                "" => "unchanged",
                word => word,
            };
            json!({
                "name": change.key,
                "verdict": verdict,
                "a": side(&change.a),
                "b": side(&change.b),
                "change": growths,
            })
        })
        .collect();
    let report = json!({
        "a": args.run_a.display().to_string(),
        "b": args.run_b.display().to_string(),
        "threshold": rule.threshold,
        "min_count": rule.min_count,
        "min_total_ns": rule.min_total_ns,
        "regressed": count(changes, Verdict::Regressed),
        "rows": rows,
    });
    serde_json::to_string_pretty(&report)
        .map(|text| text + "\n")
        .map_err(|error| Failure::of("diff: JSON", error))
}

fn human(args: &DiffArgs, rule: &Rule, changes: &[Change]) -> String {
    let mut columns = vec![("name", Align::Left)];
    for (name, _) in FIGURES {
        columns.extend([(name, Align::Right), ("change", Align::Right)]);
    }
    columns.push(("", Align::Left));
    let mut table = table::with_columns(&columns);
    for change in changes {
        let mut cells = vec![table::printable(&change.key)];
        for (name, figure) in FIGURES {
            // What is gone is told by what it was.
            let row = change.b.as_ref().or(change.a.as_ref());
            let value = row.map_or(0.0, figure).round() as u64;
            cells.push(match name {
                "count" => grouped(value),
                _ => SpanOfTime::new(value).to_string(),
            });
            cells.push(growth(change, figure));
        }
        cells.push(word(change.verdict).to_owned());
        table.add_row(cells);
    }
    let mut text = format!(
        "A  {}\nB  {}\n\n",
        args.run_a.display(),
        args.run_b.display()
    );
    for line in table::lines(&table) {
        text.push_str(&line);
        text.push('\n');
    }
    let _ = writeln!(
        text,
        "\n{} of {} regressed (beyond {} %, at least {} spans in both, {} in B), {} improved",
        count(changes, Verdict::Regressed),
        changes.len(),
        // A hundredth is no round number in binary, and comes back as one after rounding.
        (rule.threshold * 1e5).round() / 1e3,
        rule.min_count,
        SpanOfTime::new(rule.min_total_ns),
        count(changes, Verdict::Improved),
    );
    text
}

/// A growth with its sign, as short as it can be told.
fn growth(change: &Change, figure: fn(&Row) -> f64) -> String {
    match (change.of(figure), &change.a, &change.b) {
        (Some(growth), ..) if growth.abs() < 0.0005 => "=".to_owned(),
        (Some(growth), ..) if growth >= 9.995 => format!("x{:.1}", growth + 1.0),
        (Some(growth), ..) => format!("{:+.1} %", growth * 100.0),
        (None, Some(_), Some(_)) => "from 0".to_owned(),
        (None, ..) => String::new(),
    }
}
