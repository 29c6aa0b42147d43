//! Tables: count, total, self time and percentiles of spans by name, category, process, thread, lane or argument.

use std::collections::BTreeMap;

use ringscope_ringbuf::payload::Value;
use serde::Serialize;

use crate::args;
use crate::event::{Event, EventKind};
use crate::lanes::Lane;
use crate::rows::RowKind;
use crate::timeline::Timeline;

/// What makes spans belong to the same row of the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum By {
    /// Name.
    #[default]
    Name,
    /// Category.
    Cat,
    /// Process.
    Process,
    /// Thread: a lane and those made of it since spans overlap.
    Thread,
    /// Lane.
    Lane,
    /// The value of an argument; spans without it are left out.
    Arg(String),
}

/// What rows are sorted by, largest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortKey {
    /// Sum of durations.
    #[default]
    Total,
    /// Sum of durations without those of spans directly inside.
    SelfTime,
    /// Number of spans.
    Count,
    /// Longest span.
    Max,
    /// 99th percentile.
    P99,
}

/// How to make a table.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What makes a row.
    pub by: By,
    /// What rows are sorted by.
    pub sort: SortKey,
    /// Spans of each name that are left out at the start of each process.
    pub skip_first: usize,
    /// Instead of spans: the gaps between consecutive spans of this name on a lane.
    pub gaps: Option<String>,
}

/// A row of the table; percentiles are exact, by nearest rank.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Name, category, process, … as asked for.
    pub key: String,
    /// Spans.
    pub count: u64,
    /// Sum of durations, ns.
    pub total_ns: u64,
    /// The same without spans directly inside, ns.
    pub self_ns: u64,
    /// Mean duration, ns.
    pub mean_ns: u64,
    /// Median duration, ns.
    pub p50_ns: u64,
    /// 90th percentile, ns.
    pub p90_ns: u64,
    /// 99th percentile, ns.
    pub p99_ns: u64,
    /// Longest, ns.
    pub max_ns: u64,
    /// Total as a part of the time from the run's first event to its last.
    pub share: f64,
}

/// The table of a time line's spans and instants. Open spans and losses do not count.
pub fn table(timeline: &Timeline, options: &Options) -> Vec<Row> {
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    let mut seen: BTreeMap<(u32, &str), usize> = BTreeMap::new();
    for span in spans_by_time(timeline) {
        let seen = seen
            .entry((span.lane.process, timeline.name(span.event)))
            .or_default();
        *seen += 1;
        if *seen <= options.skip_first || options.gaps.is_some() {
            continue;
        }
        if let Some(key) = key(timeline, &span, &options.by) {
            let group = groups.entry(key).or_default();
            group.add(span.event.duration_ns(), span.self_ns);
        }
    }
    if let Some(name) = &options.gaps {
        add_gaps(timeline, name, options, &mut groups);
    }
    let mut rows: Vec<Row> = groups
        .into_iter()
        .map(|(key, group)| group.into_row(key, timeline.wall_ns))
        .collect();
    let value = |row: &Row| match options.sort {
        SortKey::Total => row.total_ns,
        SortKey::SelfTime => row.self_ns,
        SortKey::Count => row.count,
        SortKey::Max => row.max_ns,
        SortKey::P99 => row.p99_ns,
    };
    rows.sort_by(|a, b| value(b).cmp(&value(a)).then_with(|| a.key.cmp(&b.key)));
    rows
}

/// Exact percentile by nearest rank of ascending values; 0 of none.
pub(crate) fn percentile(sorted: &[u64], percent: u64) -> u64 {
    let rank = (sorted.len() as u64 * percent).div_ceil(100).max(1);
    sorted.get(rank as usize - 1).copied().unwrap_or(0)
}

#[derive(Default)]
struct Group {
    durations_ns: Vec<u64>,
    self_ns: u64,
}

impl Group {
    fn add(&mut self, duration_ns: u64, self_ns: u64) {
        self.durations_ns.push(duration_ns);
        self.self_ns = self.self_ns.saturating_add(self_ns);
    }

    fn into_row(mut self, key: String, wall_ns: u64) -> Row {
        self.durations_ns.sort_unstable();
        let sorted = &self.durations_ns;
        let total: u128 = sorted.iter().map(|ns| *ns as u128).sum();
        let count = sorted.len() as u64;
        Row {
            key,
            count,
            total_ns: u64::try_from(total).unwrap_or(u64::MAX),
            self_ns: self.self_ns,
            mean_ns: (total / count.max(1) as u128) as u64,
            p50_ns: percentile(sorted, 50),
            p90_ns: percentile(sorted, 90),
            p99_ns: percentile(sorted, 99),
            max_ns: sorted.last().copied().unwrap_or(0),
            share: total as f64 / wall_ns.max(1) as f64,
        }
    }
}

struct Span<'a> {
    event: &'a Event,
    lane: &'a Lane,
    self_ns: u64,
}

/// Instants count as spans of no length, as they do for Perfetto.
fn counts(event: &Event) -> bool {
    let is_span = event.kind.is_interval() && event.kind != EventKind::Lost;
    (is_span || event.kind == EventKind::Instant) && !event.is_open()
}

/// All spans that count, with their self time, by start.
fn spans_by_time(timeline: &Timeline) -> Vec<Span<'_>> {
    let mut spans = Vec::new();
    for lane in &timeline.lanes {
        // Spans around the current one, innermost last.
        let mut around: Vec<usize> = Vec::new();
        for event in timeline.events_of(lane).iter().filter(|e| counts(e)) {
            let is_over = |at: &usize| {
                let outer: &Span<'_> = &spans[*at];
                outer.event.end_ns <= event.start_ns
            };
            while around.last().is_some_and(is_over) {
                around.pop();
            }
            if let Some(parent) = around.last() {
                let parent = &mut spans[*parent];
                parent.self_ns = parent.self_ns.saturating_sub(event.duration_ns());
            }
            around.push(spans.len());
            spans.push(Span {
                event,
                lane,
                self_ns: event.duration_ns(),
            });
        }
    }
    spans.sort_by_key(|span| span.event.start_ns);
    spans
}

fn key(timeline: &Timeline, span: &Span<'_>, by: &By) -> Option<String> {
    let process = timeline.processes.get(span.lane.process as usize)?;
    let process_key = || format!("{} [{}]", process.name, process.pid);
    Some(match by {
        By::Name => timeline.name(span.event).to_owned(),
        By::Cat => timeline.category(span.event).to_owned(),
        By::Process => process_key(),
        By::Thread => format!("{} / {}", process_key(), row_name(timeline, span.lane)),
        By::Lane => format!("{} / {}", process_key(), lane_name(span.lane)),
        By::Arg(wanted) => {
            let mut args = Vec::new();
            args::of_event(
                timeline,
                span.event,
                timeline.payload(span.event),
                &mut args,
            );
            let (_, value) = args.iter().find(|(key, _)| key == wanted)?;
            value_text(value)
        }
    })
}

fn lane_name(lane: &Lane) -> String {
    match lane.kind {
        RowKind::Thread(tid) => format!("{} [{tid}]", lane.name),
        RowKind::Track | RowKind::Stream(_) => lane.name.clone(),
    }
}

/// The name of the lane that an extra one was made of: lanes of a row stand side by side.
fn row_name(timeline: &Timeline, lane: &Lane) -> String {
    let of_row = |other: &&Lane| {
        other.number == 1
            && other.process == lane.process
            && other.kind == lane.kind
            && lane.name.starts_with(&other.name)
    };
    let first = timeline.lanes.iter().find(of_row);
    lane_name(first.filter(|_| lane.number > 1).unwrap_or(lane))
}

fn value_text(value: &Value<'_>) -> String {
    let mut json = Vec::new();
    match value {
        Value::Str { bytes, .. } => return String::from_utf8_lossy(bytes).into_owned(),
        value => crate::json::put_value(&mut json, value),
    }
    String::from_utf8_lossy(&json).into_owned()
}

/// From the end of each span of the name to the start of the next on its lane; nested ones have no gap.
fn add_gaps(
    timeline: &Timeline,
    name: &str,
    options: &Options,
    groups: &mut BTreeMap<String, Group>,
) {
    let mut skipped: BTreeMap<u32, usize> = BTreeMap::new();
    for lane in &timeline.lanes {
        let mut previous_end_ns: Option<i64> = None;
        let spans = timeline.events_of(lane).iter().filter(|e| counts(e));
        for event in spans.filter(|event| timeline.name(event) == name) {
            let skipped = skipped.entry(lane.process).or_default();
            if *skipped < options.skip_first {
                *skipped += 1;
                continue;
            }
            if let Some(end_ns) = previous_end_ns.filter(|end_ns| *end_ns <= event.start_ns) {
                let gap_ns = event.start_ns.abs_diff(end_ns);
                let span = Span {
                    event,
                    lane,
                    self_ns: gap_ns,
                };
                if let Some(key) = key(timeline, &span, &options.by) {
                    groups.entry(key).or_default().add(gap_ns, gap_ns);
                }
            }
            previous_end_ns = previous_end_ns.max(Some(event.end_ns));
        }
    }
}
