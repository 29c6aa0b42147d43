//! What every thread was doing: how each process stands, what its rings hold and lack, the spans open on them and the
//! last records before the end.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;

use ringscope_ringbuf::layout::RECORD_LEN;
use serde::Serialize;

use crate::args;
use crate::engine::row_order;
use crate::error::Error;
use crate::event::Event;
use crate::json;
use crate::process::{Drops, Liveness, Process, Ring, RingFailure};
use crate::ring::gather::Gatherer;
use crate::run::{Limits, OffProcess, Run};
use crate::stats;
use crate::timeline::{Options, Source, Timeline};

/// A run, or several, as they stand.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Directories of the runs.
    pub runs: Vec<PathBuf>,
    /// The command, where `ringscope record` started it.
    pub command: Option<Vec<String>>,
    /// CLOCK_REALTIME of the start, ns since 1970.
    pub start_epoch_ns: i64,
    /// How far off a moment may be, ns; `None` when unknown.
    pub uncertainty_ns: Option<u64>,
    /// Recorders, by start.
    pub processes: Vec<ProcessReport>,
    /// Processes that could not record: pid and error number.
    pub off: Vec<(u32, i32)>,
    /// Damage that was skipped.
    pub problems: Vec<String>,
}

/// A recorder in a process.
#[derive(Debug, Serialize)]
pub struct ProcessReport {
    /// Process id as the process saw it.
    pub pid: u32,
    /// Parent's process id.
    pub parent_pid: u32,
    /// Name.
    pub name: String,
    /// Rank, where it has one.
    pub rank: Option<i32>,
    /// How it stands.
    pub end: Liveness,
    /// Name of the signal that ended it, where the supervisor saw it.
    pub signal: Option<String>,
    /// Exit code, where the supervisor saw it.
    pub exit_code: Option<i32>,
    /// End of the last record or start of the last open span, ns after the run's start.
    pub last_sign_of_life_ns: Option<i64>,
    /// Rings, by number.
    pub rings: Vec<RingReport>,
    /// Drop counters by cause.
    pub drops: BTreeMap<&'static str, u64>,
    /// Remarks of the recorder.
    pub messages: Vec<String>,
    /// Rings that were not made, or smaller than wished.
    pub ring_failures: Vec<RingFailure>,
}

/// A ring and the thread that has it.
#[derive(Debug, Serialize)]
pub struct RingReport {
    /// Ring number.
    pub ring_index: u32,
    /// Thread id of its last owner.
    pub tid: u32,
    /// Name of its last owner, possibly empty.
    pub thread_name: String,
    /// Records that it holds at once.
    pub capacity_records: u64,
    /// Bytes of these.
    pub ring_bytes: u64,
    /// Records ever written, where the ring says so.
    pub records: Option<u64>,
    /// Records that are there.
    pub present: u64,
    /// Lost: overwritten by newer ones.
    pub overwritten: u64,
    /// Lost: in flight when the process died.
    pub torn: u64,
    /// Lost: in a damaged part of a file.
    pub damaged: u64,
    /// Spans that had not ended, outermost first.
    pub open_spans: Vec<OpenSpan>,
    /// The last records, oldest first.
    pub last_records: Vec<LastRecord>,
    /// End of the last record or start of the last open span, ns after the run's start.
    pub last_sign_of_life_ns: Option<i64>,
}

/// A span that had not ended.
#[derive(Debug, Serialize)]
pub struct OpenSpan {
    /// Name.
    pub name: String,
    /// Category.
    pub category: String,
    /// Arguments, as far as they were known and fit.
    pub args: serde_json::Map<String, serde_json::Value>,
    /// Start, ns after the run's start.
    pub start_ns: i64,
    /// Time up to the last sign of life of its process, ns.
    pub open_for_ns: u64,
    /// 99th percentile of the ended spans of this name, ns.
    pub usual_p99_ns: Option<u64>,
    /// Open spans around it.
    pub depth: u32,
}

/// One of the last records.
#[derive(Debug, Serialize)]
pub struct LastRecord {
    /// Name.
    pub name: String,
    /// `span`, `instant`, `counter`, …
    pub kind: &'static str,
    /// Start, ns after the run's start.
    pub start_ns: i64,
    /// Duration, ns; 0 for moments.
    pub duration_ns: u64,
    /// Arguments.
    pub args: serde_json::Map<String, serde_json::Value>,
}

/// Looks at runs, with the `last` records of each ring; works on living ones too.
///
/// # Errors
///
/// As [`Timeline::build`].
pub fn report(runs: &[Run], last: usize) -> Result<Report, Error> {
    let timeline = Timeline::build(runs, &Options::default())?;
    let usual = usual_durations(&timeline).map_err(Error::spill)?;
    let looker = Looker {
        timeline: &timeline,
        usual,
        last,
    };
    let mut source_index = 0;
    let mut processes = Vec::new();
    for process in runs.iter().flat_map(|run| &run.processes) {
        let first = source_index;
        source_index += process.rings.len();
        processes.push(looker.process(process, first));
    }
    let off = |off: &OffProcess| (off.pid, off.errno);
    Ok(Report {
        runs: timeline.runs.clone(),
        command: timeline.command.clone(),
        start_epoch_ns: timeline.start_epoch_ns,
        uncertainty_ns: timeline.uncertainty_ns,
        processes,
        off: runs
            .iter()
            .flat_map(|run| run.off.iter().map(off))
            .collect(),
        problems: timeline.problems.iter().map(|p| p.to_string()).collect(),
    })
}

/// Looks at single ring and process files; what stands beside them is used to name things.
///
/// # Errors
///
/// When a path is no file of a run, or as [`report`].
pub fn report_files(files: &[PathBuf], last: usize, limits: &Limits) -> Result<Report, Error> {
    report(&Run::open_files(files, limits)?, last)
}

struct Looker<'a> {
    timeline: &'a Timeline,
    usual: HashMap<String, u64>,
    last: usize,
}

impl Looker<'_> {
    fn process(&self, process: &Process, first_source: usize) -> ProcessReport {
        let sources = (first_source..).zip(&process.rings);
        let rings: Vec<RingReport> = sources
            .filter_map(|(index, ring)| {
                let source = self.timeline.sources.get(index)?;
                Some(self.ring(process, ring, source, index as u32))
            })
            .collect();
        ProcessReport {
            pid: process.pid,
            parent_pid: process.parent_pid,
            name: process.name.clone(),
            rank: process.rank,
            end: process.liveness,
            signal: process.exit.and_then(|exit| exit.signal_name()),
            exit_code: process.exit.and_then(|exit| exit.code()),
            last_sign_of_life_ns: rings.iter().filter_map(|r| r.last_sign_of_life_ns).max(),
            rings,
            drops: drops_by_name(&process.drops),
            messages: process.messages.clone(),
            ring_failures: process.ring_failures.clone(),
        }
    }

    fn ring(&self, process: &Process, ring: &Ring, source: &Source, index: u32) -> RingReport {
        let header = ring.file.as_ref().map(|(_, header)| header);
        let owner = process
            .tables
            .owners
            .get(&ring.index)
            .and_then(|o| o.last());
        let capacity_records = header.map_or(0, |header| 1 << header.capacity_log2.get());
        let relative = |ns: i64| ns.saturating_sub(self.timeline.start_ns);
        RingReport {
            ring_index: ring.index,
            tid: owner.map_or_else(|| header.map_or(0, |h| h.tid.get()), |owner| owner.tid),
            thread_name: owner.map(|owner| owner.name.clone()).unwrap_or_default(),
            capacity_records,
            ring_bytes: capacity_records * RECORD_LEN as u64,
            records: source.reserved,
            present: source.present,
            overwritten: source.losses.overwritten,
            torn: source.losses.torn,
            damaged: source.losses.damaged,
            open_spans: self.open_spans(index),
            last_records: self.last_records(index),
            last_sign_of_life_ns: source.last_ns.map(relative),
        }
    }

    fn open_spans(&self, index: u32) -> Vec<OpenSpan> {
        let ring = self.timeline.engine.ring(index).ring;
        let open = ring.extras.iter().filter(|(event, _)| event.is_open());
        let mut open: Vec<_> = open.collect();
        open.sort_by(|(a, _), (b, _)| a.start_ns.cmp(&b.start_ns).then_with(|| row_order(a, b)));
        let mut depths: HashMap<u32, u32> = HashMap::new();
        open.into_iter()
            .map(|(event, payload)| {
                let depth = depths.entry(event.lane).or_default();
                *depth += 1;
                OpenSpan {
                    name: self.timeline.name(event).to_owned(),
                    category: self.timeline.category(event).to_owned(),
                    args: self.args(event, payload),
                    start_ns: event.start_ns.saturating_sub(self.timeline.start_ns),
                    open_for_ns: event.duration_ns(),
                    usual_p99_ns: self.usual.get(self.timeline.name(event)).copied(),
                    depth: *depth - 1,
                }
            })
            .collect()
    }

    fn last_records(&self, index: u32) -> Vec<LastRecord> {
        let mut gatherer = Gatherer::default();
        gatherer.add_last(self.timeline.engine.ring(index), self.last);
        let slice = gatherer.slice(self.timeline);
        let skipped = slice.events.len().saturating_sub(self.last);
        let records = slice.events.iter().skip(skipped);
        records
            .map(|event| LastRecord {
                name: self.timeline.name(event).to_owned(),
                kind: event.kind.as_str(),
                start_ns: event.start_ns.saturating_sub(self.timeline.start_ns),
                duration_ns: event.duration_ns(),
                args: self.args(event, slice.payload(event)),
            })
            .collect()
    }

    fn args(&self, event: &Event, payload: &[u8]) -> serde_json::Map<String, serde_json::Value> {
        let mut args = Vec::new();
        args::of_event(self.timeline, event, payload, &mut args);
        args.retain(|(key, _)| !key.starts_with("ringscope."));
        args.into_iter()
            .map(|(key, value)| {
                let mut text = Vec::new();
                json::put_value(&mut text, &value);
                (
                    key.into_owned(),
                    serde_json::from_slice(&text).unwrap_or_default(),
                )
            })
            .collect()
    }
}

fn drops_by_name(drops: &Drops) -> BTreeMap<&'static str, u64> {
    drops.iter().map(|(cause, n)| (cause.name(), n)).collect()
}

/// 99th percentile of the ended spans of each name; looked for only where a span stands open.
fn usual_durations(timeline: &Timeline) -> io::Result<HashMap<String, u64>> {
    if timeline.extent.open_spans == 0 {
        return Ok(HashMap::new());
    }
    let rows = stats::table(timeline, &stats::Options::default())?;
    Ok(rows.into_iter().map(|row| (row.key, row.p99_ns)).collect())
}
