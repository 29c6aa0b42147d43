//! `stats`: how often and how long.

use std::io::{self, Write};

use ringscope_decode::launches::report;
use ringscope_decode::stats::{self, By, Row, SortKey};
use ringscope_decode::{TimeBase, Timeline};

use crate::cli::{SortName, StatsArgs};
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::filter;
use crate::launches;
use crate::losses;
use crate::selection;
use crate::span_of_time::SpanOfTime;
use crate::table::{self, Align, grouped};

impl From<SortName> for SortKey {
    fn from(name: SortName) -> SortKey {
        match name {
            SortName::Total => SortKey::Total,
            SortName::SelfTime => SortKey::SelfTime,
            SortName::Count => SortKey::Count,
            SortName::Max => SortKey::Max,
            SortName::P99 => SortKey::P99,
        }
    }
}

/// Runs `ringscope stats`.
pub(crate) fn run(args: &StatsArgs) -> Result<ExitCode, Failure> {
    let runs = selection::open(&args.runs, &args.reading.limits.limits())?;
    let options = filter::options(&args.reading.filter, &args.reading.effort, TimeBase::Run);
    let timeline =
        Timeline::build(&runs, &options).map_err(|error| Failure::of("decode", error))?;
    let complaints = losses::complain(&timeline);
    let text = if args.launches {
        of_launches(args, &timeline)?
    } else {
        of_spans(args, &timeline)?
    };
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|error| Failure::stdout(&error))?;
    Ok(losses::exit_code(complaints, args.reading.effort.strict))
}

fn of_launches(args: &StatsArgs, timeline: &Timeline) -> Result<String, Failure> {
    let report = report(timeline, args.skip_first)
        .map_err(|error| Failure::new("stats", "temporary file", error))?;
    if args.json {
        launches::json(&report, timeline)
    } else {
        Ok(launches::human(&report, timeline))
    }
}

fn of_spans(args: &StatsArgs, timeline: &Timeline) -> Result<String, Failure> {
    let rows = stats::table(
        timeline,
        &stats::Options {
            by: args.by.0.clone(),
            sort: args.sort.into(),
            skip_first: args.skip_first,
            gaps: args.gaps.clone(),
        },
    )
    .map_err(|error| Failure::new("stats", "temporary file", error))?;
    if rows.is_empty() && timeline.event_count > 0 {
        eprintln!("ringscope: stats: {}", why_empty(args, timeline));
    }
    if args.json {
        json(&rows)
    } else if args.csv {
        Ok(csv(&rows))
    } else {
        Ok(human(&rows))
    }
}

/// Why a table of events has no row.
fn why_empty(args: &StatsArgs, timeline: &Timeline) -> String {
    match (&args.gaps, &args.by.0) {
        (Some(name), _) => {
            let near = timeline.near_misses(name);
            format!("--gaps {name:?}: no two spans of this name follow each other on a lane{near}")
        }
        (None, By::Arg(key)) => format!("--by arg:{key}: no span has this argument"),
        (None, _) => "there is no span among the events".to_owned(),
    }
}

fn json(rows: &[Row]) -> Result<String, Failure> {
    let objects: Vec<serde_json::Value> = rows
        .iter()
        .map(|row| {
            serde_json::json!({
                "name": row.key,
                "count": row.count,
                "total_ns": row.total_ns,
                "self_ns": row.self_ns,
                "mean_ns": row.mean_ns,
                "p50_ns": row.p50_ns,
                "p90_ns": row.p90_ns,
                "p99_ns": row.p99_ns,
                "max_ns": row.max_ns,
                "share": row.share,
            })
        })
        .collect();
    serde_json::to_string_pretty(&objects)
        .map(|text| text + "\n")
        .map_err(|error| Failure::of("stats: JSON", error))
}

fn csv(rows: &[Row]) -> String {
    let mut text =
        "name,count,total_ns,self_ns,mean_ns,p50_ns,p90_ns,p99_ns,max_ns,share\n".to_owned();
    for row in rows {
        text.push_str(&quoted(&row.key));
        for number in [
            row.count,
            row.total_ns,
            row.self_ns,
            row.mean_ns,
            row.p50_ns,
            row.p90_ns,
            row.p99_ns,
            row.max_ns,
        ] {
            text.push_str(&format!(",{number}"));
        }
        text.push_str(&format!(",{:.6}\n", row.share));
    }
    text
}

/// A field of RFC 4180, quoted where it has to be.
fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

fn human(rows: &[Row]) -> String {
    let mut table = table::with_columns(&[
        ("name", Align::Left),
        ("count", Align::Right),
        ("total", Align::Right),
        ("self", Align::Right),
        ("mean", Align::Right),
        ("p50", Align::Right),
        ("p90", Align::Right),
        ("p99", Align::Right),
        ("max", Align::Right),
        ("share", Align::Right),
    ]);
    for row in rows {
        let time = |ns: u64| SpanOfTime::new(ns).to_string();
        table.add_row([
            table::printable(&row.key),
            grouped(row.count),
            time(row.total_ns),
            time(row.self_ns),
            time(row.mean_ns),
            time(row.p50_ns),
            time(row.p90_ns),
            time(row.p99_ns),
            time(row.max_ns),
            format!("{:.1} %", row.share * 100.0),
        ]);
    }
    table::lines(&table).join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_where_they_must() {
        assert_eq!(quoted("decode_step"), "decode_step");
        assert_eq!(quoted("a,\"b\""), "\"a,\"\"b\"\"\"");
    }
}
