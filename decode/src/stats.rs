//! Tables: count, total, self time and percentiles of spans by name, category, process, thread, lane or argument.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::io;

use rayon::prelude::*;
use ringscope_ringbuf::payload::Value;
use serde::Serialize;

use crate::args;
use crate::distribution::Distribution;
use crate::engine::Scope;
use crate::event::{Event, EventKind};
use crate::format::Slice;
use crate::lanes::Lane;
use crate::process::Site;
use crate::ring::gather::{Gatherer, RowSet};
use crate::rows::RowKind;
use crate::timeline::Timeline;

/// What makes spans belong to the same row of the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum By {
    /// Name; launches, waits, executions and tasks of one name apart.
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

/// A row of the table. Percentiles are by nearest rank; exact up to 1,024 spans a row, within 0.05 % beyond.
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
///
/// # Errors
///
/// When the temporary file fails.
pub fn table(timeline: &Timeline, options: &Options) -> io::Result<Vec<Row>> {
    let naming = Naming::new(timeline, options);
    let strands = strands(timeline, options);
    let tally = |strand: &Strand| Tally::of(timeline, options, &naming, strand);
    let tallies: io::Result<Vec<Tally<'_>>> =
        timeline.on_threads(|| strands.par_iter().map(tally).collect());
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for tally in tallies? {
        for (key, group) in tally.keys.into_iter().zip(tally.groups) {
            match groups.entry(key) {
                Entry::Vacant(place) => drop(place.insert(group)),
                Entry::Occupied(mut place) => place.get_mut().join(group),
            }
        }
    }
    let mut rows: Vec<Row> = groups
        .into_iter()
        .filter(|(_, group)| group.durations.count > 0)
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
    Ok(rows)
}

/// Rings whose events are looked at together, by time.
struct Strand {
    rings: Vec<u32>,
    cuts: Vec<i64>,
}

/// Every ring by itself, but those together that rows are divided over; all together where the order of spans in a
/// process counts.
fn strands(timeline: &Timeline, options: &Options) -> Vec<Strand> {
    let engine = &timeline.engine;
    let together = if options.skip_first > 0 {
        engine.all_rings()
    } else {
        engine.split.rings.clone()
    };
    let alone = engine.all_rings().into_iter();
    let alone = alone.filter(|ring| !together.contains(ring));
    let mut strands: Vec<Strand> = alone
        .map(|ring| Strand {
            rings: vec![ring],
            cuts: timeline.cuts_of(&[ring]),
        })
        .collect();
    strands.push(Strand {
        rings: together,
        cuts: timeline.cuts.clone(),
    });
    strands
}

/// Which numbers stand for which names.
struct Naming<'a> {
    /// By site: equal names have equal numbers.
    name_of_site: Vec<u32>,
    /// The same of what rows are made of, unless that is an argument.
    key_of: Keys<'a>,
    keys: Vec<String>,
    /// Number of the name whose gaps are asked for.
    gaps_of: Option<u32>,
}

/// What a launch consists of, each a row of its own under one name; all others first.
const PARTS: [Option<EventKind>; 5] = [
    None,
    Some(EventKind::Launch),
    Some(EventKind::Wait),
    Some(EventKind::DeviceSpan),
    Some(EventKind::DeviceTask),
];

/// Index of a kind in [`PARTS`].
#[inline]
fn part(kind: EventKind) -> usize {
    match kind {
        EventKind::Launch => 1,
        EventKind::Wait => 2,
        EventKind::DeviceSpan => 3,
        EventKind::DeviceTask => 4,
        _ => 0,
    }
}

/// What decides over the row of a span.
enum Keys<'a> {
    /// By site and part of a launch.
    Name(Vec<[u32; PARTS.len()]>),
    Site(Vec<u32>),
    Lane(Vec<u32>),
    Arg(&'a str),
}

/// Numbers texts in the order they come.
#[derive(Default)]
struct Numbers {
    by_text: HashMap<String, u32>,
    texts: Vec<String>,
}

impl Numbers {
    fn of(&mut self, text: &str) -> u32 {
        if let Some(number) = self.by_text.get(text) {
            return *number;
        }
        let number = self.texts.len() as u32;
        self.by_text.insert(text.to_owned(), number);
        self.texts.push(text.to_owned());
        number
    }
}

impl<'a> Naming<'a> {
    fn new(timeline: &'a Timeline, options: &'a Options) -> Naming<'a> {
        let mut names = Numbers::default();
        let sites = timeline.sites.iter();
        let name_of_site = sites.map(|site| names.of(&site.name)).collect();
        let gaps_of = options.gaps.as_deref();
        let mut keys = Numbers::default();
        let key_of = match &options.by {
            By::Name => {
                let sites = timeline.sites.iter();
                let mut key = |name: &str, part: &Option<EventKind>| match part {
                    Some(kind) => keys.of(&format!("{name} ({})", kind.as_str())),
                    None => keys.of(name),
                };
                let of_site = |site: &Site| PARTS.each_ref().map(|part| key(&site.name, part));
                Keys::Name(sites.map(of_site).collect())
            }
            By::Cat => {
                let sites = timeline.sites.iter();
                Keys::Site(sites.map(|site| keys.of(&site.category)).collect())
            }
            By::Process | By::Thread | By::Lane => {
                let lanes = timeline.lanes.iter();
                let key = |lane| keys.of(&lane_key(timeline, lane, &options.by));
                Keys::Lane(lanes.map(key).collect())
            }
            By::Arg(wanted) => Keys::Arg(wanted),
        };
        Naming {
            name_of_site,
            key_of,
            keys: keys.texts,
            gaps_of: gaps_of.map(|name| names.of(name)),
        }
    }
}

fn lane_key(timeline: &Timeline, lane: &Lane, by: &By) -> String {
    let process = timeline.processes.get(lane.process as usize);
    let process = process.map_or_else(String::new, |p| format!("{} [{}]", p.name, p.pid));
    match by {
        By::Thread => format!("{process} / {}", row_name(timeline, lane)),
        By::Lane => format!("{process} / {}", lane_name(lane)),
        _ => process,
    }
}

#[derive(Default)]
struct Group {
    durations: Distribution,
    self_ns: u64,
}

impl Group {
    fn join(&mut self, other: Group) {
        self.durations.join(other.durations);
        self.self_ns = self.self_ns.saturating_add(other.self_ns);
    }

    fn into_row(self, key: String, wall_ns: u64) -> Row {
        let durations = &self.durations;
        let total = durations.total_ns;
        Row {
            key,
            count: durations.count,
            total_ns: u64::try_from(total).unwrap_or(u64::MAX),
            self_ns: self.self_ns,
            mean_ns: (total / u128::from(durations.count.max(1))) as u64,
            p50_ns: durations.percentile(50),
            p90_ns: durations.percentile(90),
            p99_ns: durations.percentile(99),
            max_ns: durations.max_ns,
            share: total as f64 / wall_ns.max(1) as f64,
        }
    }
}

/// A span that later ones may stand inside.
struct Around {
    end_ns: i64,
    self_ns: u64,
    /// The group that its self time belongs to.
    group: Option<u32>,
}

/// Sums over the events of some rings, as they come by time.
struct Tally<'a> {
    timeline: &'a Timeline,
    options: &'a Options,
    naming: &'a Naming<'a>,
    keys: Vec<String>,
    key_numbers: HashMap<String, u32>,
    groups: Vec<Group>,
    /// By lane, innermost last.
    around: Vec<Vec<Around>>,
    /// By lane: the end of the last span whose gaps are asked for.
    previous_end_ns: Vec<Option<i64>>,
    /// Spans seen, by process, name and part of a launch.
    seen: HashMap<(u32, u32, usize), usize>,
}

impl<'a> Tally<'a> {
    fn of(
        timeline: &'a Timeline,
        options: &'a Options,
        naming: &'a Naming<'a>,
        strand: &Strand,
    ) -> io::Result<Tally<'a>> {
        let mut tally = Tally {
            timeline,
            options,
            naming,
            keys: naming.keys.clone(),
            key_numbers: HashMap::new(),
            groups: Vec::new(),
            around: Vec::new(),
            previous_end_ns: vec![None; timeline.lanes.len()],
            seen: HashMap::new(),
        };
        tally.groups.resize_with(tally.keys.len(), Group::default);
        tally.around.resize_with(timeline.lanes.len(), Vec::new);
        let scope = Scope {
            rings: &strand.rings,
            rows: RowSet::All,
            is_by_lane: false,
        };
        let mut gatherer = Gatherer::default();
        for cut in strand.cuts.windows(2) {
            let engine = &timeline.engine;
            engine.slice(&mut gatherer, scope, cut[0], cut[1])?;
            let slice = gatherer.slice(timeline);
            for event in slice.events.iter().filter(|event| counts(event)) {
                tally.add(&slice, event);
            }
        }
        for lane in 0..tally.around.len() {
            tally.leave(lane, i64::MAX);
        }
        Ok(tally)
    }

    fn add(&mut self, slice: &Slice<'_>, event: &Event) {
        let lane = event.lane as usize;
        let name = self.naming.name_of_site.get(event.site as usize).copied();
        if let Some(gaps_of) = self.naming.gaps_of {
            if name == Some(gaps_of) && !self.skips(event, gaps_of) {
                self.add_gap(slice, event);
            }
            return;
        }
        let duration_ns = event.duration_ns();
        self.leave(lane, event.start_ns);
        if let Some(parent) = self.around[lane].last_mut() {
            parent.self_ns = parent.self_ns.saturating_sub(duration_ns);
        }
        let is_skipped = name.is_some_and(|name| self.skips(event, name));
        let group = if is_skipped {
            None
        } else {
            self.group(slice, event)
        };
        if let Some(group) = group {
            self.groups[group as usize].durations.add(duration_ns);
        }
        self.around[lane].push(Around {
            end_ns: event.end_ns,
            self_ns: duration_ns,
            group,
        });
    }

    /// Ends the spans of a lane that are over at a moment.
    #[inline]
    fn leave(&mut self, lane: usize, moment_ns: i64) {
        while let Some(over) = self.around[lane].pop_if(|around| around.end_ns <= moment_ns) {
            if let Some(group) = over.group {
                let self_ns = &mut self.groups[group as usize].self_ns;
                *self_ns = self_ns.saturating_add(over.self_ns);
            }
        }
    }

    /// True for the first spans of a name in a process.
    #[inline]
    fn skips(&mut self, event: &Event, name: u32) -> bool {
        if self.options.skip_first == 0 {
            return false;
        }
        let lane = self.timeline.lanes.get(event.lane as usize);
        let process = lane.map_or(0, |lane| lane.process);
        let seen = self
            .seen
            .entry((process, name, part(event.kind)))
            .or_default();
        *seen += 1;
        *seen <= self.options.skip_first
    }

    #[inline]
    fn group(&mut self, slice: &Slice<'_>, event: &Event) -> Option<u32> {
        match &self.naming.key_of {
            Keys::Name(keys) => keys
                .get(event.site as usize)
                .map(|parts| parts[part(event.kind)]),
            Keys::Site(keys) => keys.get(event.site as usize).copied(),
            Keys::Lane(keys) => keys.get(event.lane as usize).copied(),
            Keys::Arg(wanted) => {
                let mut args = Vec::new();
                args::of_event(slice.timeline, event, slice.payload(event), &mut args);
                let (_, value) = args.iter().find(|(key, _)| key == wanted)?;
                let text = value_text(value);
                Some(self.group_of_text(text))
            }
        }
    }

    fn group_of_text(&mut self, text: String) -> u32 {
        if let Some(number) = self.key_numbers.get(&text) {
            return *number;
        }
        let number = self.groups.len() as u32;
        self.groups.push(Group::default());
        self.keys.push(text.clone());
        self.key_numbers.insert(text, number);
        number
    }

    /// From the end of each span to the start of the next on its lane; nested ones have no gap.
    fn add_gap(&mut self, slice: &Slice<'_>, event: &Event) {
        let lane = event.lane as usize;
        let previous = self.previous_end_ns[lane];
        if let Some(end_ns) = previous.filter(|end_ns| *end_ns <= event.start_ns)
            && let Some(group) = self.group(slice, event)
        {
            let gap_ns = event.start_ns.abs_diff(end_ns);
            let group = &mut self.groups[group as usize];
            group.durations.add(gap_ns);
            group.self_ns = group.self_ns.saturating_add(gap_ns);
        }
        self.previous_end_ns[lane] = previous.max(Some(event.end_ns));
    }
}

/// Instants count as spans of no length, as they do for Perfetto.
fn counts(event: &Event) -> bool {
    let is_span = event.kind.is_interval() && event.kind != EventKind::Lost;
    (is_span || event.kind == EventKind::Instant) && !event.is_open()
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
