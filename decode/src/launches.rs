//! Kernel launches and what became of them on devices: by kernel, by stream, by step and rank.
//!
//! One pass in the order of time, in bounded memory: a launch is forgotten when a quarter of a million later ones were made.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;

use serde::Serialize;

use crate::args;
use crate::distribution::Distribution;
use crate::engine::Scope;
use crate::event::{Event, EventKind};
use crate::lanes::Lane;
use crate::ring::gather::{Gatherer, RowSet};
use crate::rows::{ProcessRow, RowKind};
use crate::timeline::Timeline;

/// Launches, and executions without one, that wait for their other half at most.
const MAX_TRACKED: usize = 1 << 18;
/// Unpaired ones that are listed at most; all are counted.
const MAX_LISTED: usize = 1_000;
/// What the spans of steps are called, before their number.
const STEP_PREFIX: &str = "ProfilerStep#";

/// Times of some spans, in ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Times {
    /// Sum.
    pub total_ns: u64,
    /// Mean.
    pub mean_ns: u64,
    /// Median.
    pub p50_ns: u64,
    /// 99th percentile.
    pub p99_ns: u64,
}

impl Times {
    /// `None` of none: what was not measured is not zero.
    fn of(distribution: &Distribution) -> Option<Times> {
        let total_ns = u64::try_from(distribution.total_ns).unwrap_or(u64::MAX);
        (distribution.count > 0).then(|| Times {
            total_ns,
            mean_ns: total_ns / distribution.count,
            p50_ns: distribution.percentile(50),
            p99_ns: distribution.percentile(99),
        })
    }
}

/// A kernel: launches, and executions on devices, of one name.
#[derive(Clone, Debug, Serialize)]
pub struct Kernel {
    /// Name of the execution, where there is one, else of the launch.
    pub name: String,
    /// Launches by the host.
    pub launches: u64,
    /// Executions on devices.
    pub executions: u64,
    /// Launches that no device time is known of.
    pub unavailable: u64,
    /// Host time of the launches.
    pub host: Option<Times>,
    /// Device time of the executions; `None`: unavailable.
    pub device: Option<Times>,
    /// From the start of the launch to that of the execution.
    pub latency: Option<Times>,
    /// From the end of all that ran on the stream before to the start of the execution.
    pub gap: Option<Times>,
    /// Device time as a part of that of all kernels; `None`: unavailable.
    pub share: Option<f64>,
}

/// A stream of a device.
#[derive(Clone, Debug, Serialize)]
pub struct Stream {
    /// Name of the device, with that of its process.
    pub device_name: String,
    /// Process id of the host process.
    pub pid: u32,
    /// Number of the device.
    pub device: u32,
    /// Number of the stream.
    pub stream: u32,
    /// Executions on it.
    pub executions: u64,
    /// Time in which something ran, ns.
    pub busy_ns: u64,
    /// Time between the first and the last execution in which nothing ran, ns.
    pub idle_ns: u64,
    /// Longest time in which nothing ran, ns.
    pub longest_idle_ns: u64,
}

/// A step of one rank.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StepOfRank {
    /// Rank, or name and id of a process without one.
    pub rank: String,
    /// Time of the step on the host, ns.
    pub wall_ns: u64,
    /// Device time of what began on the process's devices since the step began and before the next one did, ns.
    pub device_ns: u64,
}

/// A step: what stands under its number in all ranks.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// Number.
    pub step: u64,
    /// The rank that took longest.
    pub critical: String,
    /// How much longer it took than the fastest, ns.
    pub spread_ns: u64,
    /// Every rank that made the step.
    pub ranks: Vec<StepOfRank>,
}

/// A launch without an execution, or an execution whose launch is not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lone {
    /// Name.
    pub name: String,
    /// Process id of the host process.
    pub pid: u32,
    /// Correlation id; 0 for none.
    pub correlation: u64,
    /// Start, ns after the run's.
    pub start_ns: i64,
}

/// Those of one sort.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Unpaired {
    /// All of them.
    pub count: u64,
    /// The first ones; of executions with the same correlation id the first alone.
    pub first: Vec<Lone>,
}

/// What a time line says of launches.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Kernels, longest device time first.
    pub kernels: Vec<Kernel>,
    /// Streams, by process, device and number.
    pub streams: Vec<Stream>,
    /// Steps, by number.
    pub steps: Vec<Step>,
    /// Launches without an execution.
    pub launches_without_execution: Unpaired,
    /// Executions without a launch.
    pub executions_without_launch: Unpaired,
}

/// Sums up the launches of a time line, without the first `skip_first` of each name in each process and the first
/// `skip_first` steps.
///
/// # Errors
///
/// When the temporary file fails.
pub fn report(timeline: &Timeline, skip_first: usize) -> io::Result<Report> {
    let mut tally = Tally::new(timeline, skip_first);
    let rings = timeline.engine.all_rings();
    let scope = Scope {
        rings: &rings,
        rows: RowSet::All,
        is_by_lane: false,
    };
    let mut gatherer = Gatherer::default();
    for cut in timeline.cuts.windows(2) {
        let engine = &timeline.engine;
        engine.slice(&mut gatherer, scope, cut[0], cut[1])?;
        let slice = gatherer.slice(timeline);
        for event in slice.events {
            match event.kind {
                EventKind::Launch => tally.launch(event),
                EventKind::DeviceSpan => tally.execution(event, event.word),
                EventKind::DeviceTask => {
                    tally.execution(event, args::task_correlation(slice.payload(event)));
                }
                EventKind::Span => tally.step(event),
                _ => {}
            }
        }
    }
    Ok(tally.into_report())
}

/// Index of a host process, and a correlation id within it.
type Key = (u32, u64);

#[derive(Default)]
struct KernelTally {
    launches: u64,
    unavailable: u64,
    host: Distribution,
    device: Distribution,
    latency: Distribution,
    gap: Distribution,
}

impl KernelTally {
    /// Counts an execution.
    fn add(&mut self, event: &Event, gap_ns: Option<u64>) {
        self.device.add(event.duration_ns());
        if let Some(gap_ns) = gap_ns {
            self.gap.add(gap_ns);
        }
    }
}

#[derive(Default)]
struct StreamTally {
    executions: u64,
    busy_ns: u64,
    idle_ns: u64,
    longest_idle_ns: u64,
    /// End of all that began so far.
    end_ns: Option<i64>,
}

/// A launch that its executions are looked for.
struct Launched {
    start_ns: i64,
    host_ns: u64,
    name: u32,
    is_skipped: bool,
    has_execution: bool,
}

/// Executions that began before their launch, as clocks that are off by little make it seem, or have none: a graph's tasks
/// are many, so they are counted.
struct Early {
    name: u32,
    first_start_ns: i64,
    count: u64,
}

#[derive(Default)]
struct StepTally {
    wall_ns: u64,
    device_ns: u64,
}

impl Launched {
    /// Counts the launch and an execution, which `kernel` has counted already, as a pair.
    fn pair(&mut self, kernel: &mut KernelTally, start_ns: i64) {
        let is_first = !std::mem::replace(&mut self.has_execution, true);
        if self.is_skipped {
            return;
        }
        let latency_ns = start_ns.saturating_sub(self.start_ns).max(0);
        kernel.latency.add(latency_ns as u64);
        if is_first {
            kernel.launches += 1;
            kernel.host.add(self.host_ns);
        }
    }
}

struct Tally<'a> {
    timeline: &'a Timeline,
    skip_first: usize,
    /// Number of the name of each site.
    name_of_site: Vec<u32>,
    names: Vec<String>,
    /// By number of the name.
    kernels: Vec<KernelTally>,
    streams: BTreeMap<(u32, u32), StreamTally>,
    launched: HashMap<Key, Launched>,
    /// Launches in the order they were made.
    launch_order: VecDeque<Key>,
    early: HashMap<Key, Early>,
    early_order: VecDeque<Key>,
    /// Launches seen, by process and name.
    seen: HashMap<(u32, u32), usize>,
    /// By number and process.
    steps: BTreeMap<u64, BTreeMap<u32, StepTally>>,
    /// The step that each process is in.
    current_step: HashMap<u32, u64>,
    without_execution: Unpaired,
    without_launch: Unpaired,
}

impl<'a> Tally<'a> {
    fn new(timeline: &'a Timeline, skip_first: usize) -> Tally<'a> {
        let mut numbers: HashMap<&str, u32> = HashMap::new();
        let mut names = Vec::new();
        let name_of_site = timeline.sites.iter().map(|site| {
            *numbers.entry(&site.name).or_insert_with(|| {
                names.push(site.name.clone());
                names.len() as u32 - 1
            })
        });
        let name_of_site = name_of_site.collect();
        let mut kernels = Vec::new();
        kernels.resize_with(names.len(), KernelTally::default);
        Tally {
            timeline,
            skip_first,
            name_of_site,
            names,
            kernels,
            streams: BTreeMap::new(),
            launched: HashMap::new(),
            launch_order: VecDeque::new(),
            early: HashMap::new(),
            early_order: VecDeque::new(),
            seen: HashMap::new(),
            steps: BTreeMap::new(),
            current_step: HashMap::new(),
            without_execution: Unpaired::default(),
            without_launch: Unpaired::default(),
        }
    }

    /// The lane of an event, the index of its process or device, and that of its host process.
    fn place(&self, event: &Event) -> Option<(&'a Lane, u32, u32)> {
        let lane = self.timeline.lanes.get(event.lane as usize)?;
        let process = self.timeline.processes.get(lane.process as usize)?;
        let host = if process.device.is_some() {
            process.host_row
        } else {
            lane.process
        };
        Some((lane, lane.process, host))
    }

    fn name(&self, event: &Event) -> Option<u32> {
        self.name_of_site.get(event.site as usize).copied()
    }

    /// True for the first ones of a name in a process.
    fn skips(&mut self, host: u32, name: u32) -> bool {
        if self.skip_first == 0 {
            return false;
        }
        let seen = self.seen.entry((host, name)).or_default();
        *seen += 1;
        *seen <= self.skip_first
    }

    fn launch(&mut self, event: &Event) {
        let (Some((_, _, host)), Some(name)) = (self.place(event), self.name(event)) else {
            return;
        };
        let mut launched = Launched {
            start_ns: event.start_ns,
            host_ns: event.duration_ns(),
            name,
            is_skipped: self.skips(host, name),
            has_execution: false,
        };
        let key = (host, event.word);
        if event.word != 0
            && let Some(early) = self.early.remove(&key)
        {
            let kernel = &mut self.kernels[early.name as usize];
            for _ in 0..early.count {
                launched.pair(kernel, early.first_start_ns);
            }
        }
        // A second launch with an id that is in use, or with none, is alone.
        if event.word == 0 || self.launched.contains_key(&key) {
            self.give_up_launch(key, &launched);
            return;
        }
        self.launched.insert(key, launched);
        self.launch_order.push_back(key);
        if self.launch_order.len() > MAX_TRACKED
            && let Some(oldest) = self.launch_order.pop_front()
            && let Some(launched) = self.launched.remove(&oldest)
        {
            self.give_up_launch(oldest, &launched);
        }
    }

    fn give_up_launch(&mut self, key: Key, launched: &Launched) {
        if launched.has_execution || launched.is_skipped {
            return;
        }
        let kernel = &mut self.kernels[launched.name as usize];
        kernel.launches += 1;
        kernel.unavailable += 1;
        kernel.host.add(launched.host_ns);
        let lone = self.lone(key, launched.name, launched.start_ns);
        self.without_execution.add(lone);
    }

    fn give_up_executions(&mut self, key: Key, early: &Early) {
        let lone = self.lone(key, early.name, early.first_start_ns);
        self.without_launch.add(lone);
        self.without_launch.count += early.count - 1;
    }

    fn lone(&self, (host, correlation): Key, name: u32, start_ns: i64) -> Lone {
        let process = self.timeline.processes.get(host as usize);
        Lone {
            name: self.names[name as usize].clone(),
            pid: process.map_or(0, |process| process.pid),
            correlation,
            start_ns: start_ns.saturating_sub(self.timeline.start_ns),
        }
    }

    fn execution(&mut self, event: &Event, correlation: u64) {
        let (Some((lane, device, host)), Some(name)) = (self.place(event), self.name(event)) else {
            return;
        };
        let gap_ns = match lane.kind {
            RowKind::Stream(stream) => self.streams.entry((device, stream)).or_default().add(event),
            RowKind::Thread(_) | RowKind::Track => None,
        };
        if let Some(step) = self.current_step.get(&host)
            && let Some(of_host) = self.steps.get_mut(step).and_then(|s| s.get_mut(&host))
        {
            of_host.device_ns = of_host.device_ns.saturating_add(event.duration_ns());
        }
        let key = (host, correlation);
        let kernel = &mut self.kernels[name as usize];
        if let Some(launched) = self.launched.get_mut(&key) {
            if !launched.is_skipped {
                kernel.add(event, gap_ns);
            }
            launched.pair(kernel, event.start_ns);
            return;
        }
        if !self.skips(host, name) {
            self.kernels[name as usize].add(event, gap_ns);
        }
        self.wait_for_launch(key, name, event.start_ns);
    }

    fn wait_for_launch(&mut self, key: Key, name: u32, start_ns: i64) {
        // What has no id never claimed to have been launched.
        if key.1 == 0 {
            return;
        }
        if let Some(early) = self.early.get_mut(&key) {
            early.count += 1;
            return;
        }
        let early = Early {
            name,
            first_start_ns: start_ns,
            count: 1,
        };
        self.early.insert(key, early);
        self.early_order.push_back(key);
        if self.early_order.len() > MAX_TRACKED
            && let Some(oldest) = self.early_order.pop_front()
            && let Some(early) = self.early.remove(&oldest)
        {
            self.give_up_executions(oldest, &early);
        }
    }

    fn step(&mut self, event: &Event) {
        let Some(name) = self.name(event) else { return };
        let number = self.names[name as usize].strip_prefix(STEP_PREFIX);
        let Some(step) = number.and_then(|number| number.parse::<u64>().ok()) else {
            return;
        };
        let Some((_, _, host)) = self.place(event) else {
            return;
        };
        let of_host = self.steps.entry(step).or_default().entry(host).or_default();
        of_host.wall_ns = of_host.wall_ns.saturating_add(event.duration_ns());
        self.current_step.insert(host, step);
    }

    fn into_report(mut self) -> Report {
        for key in std::mem::take(&mut self.launch_order) {
            if let Some(launched) = self.launched.remove(&key) {
                self.give_up_launch(key, &launched);
            }
        }
        for key in std::mem::take(&mut self.early_order) {
            if let Some(early) = self.early.remove(&key) {
                self.give_up_executions(key, &early);
            }
        }
        Report {
            streams: self.stream_rows(),
            steps: self.step_rows(),
            kernels: kernel_rows(self.names, &self.kernels),
            launches_without_execution: self.without_execution,
            executions_without_launch: self.without_launch,
        }
    }

    /// By process, device and number, whatever was used first.
    fn stream_rows(&self) -> Vec<Stream> {
        let row = |((device, stream), tally): (&(u32, u32), &StreamTally)| {
            let process = self.timeline.processes.get(*device as usize)?;
            let order = (process.host_row, process.device, *stream);
            let row = Stream {
                device_name: process.name.clone(),
                pid: process.pid,
                device: process.device.unwrap_or(0),
                stream: *stream,
                executions: tally.executions,
                busy_ns: tally.busy_ns,
                idle_ns: tally.idle_ns,
                longest_idle_ns: tally.longest_idle_ns,
            };
            Some((order, row))
        };
        let mut rows: Vec<_> = self.streams.iter().filter_map(row).collect();
        rows.sort_by_key(|(order, _)| *order);
        rows.into_iter().map(|(_, row)| row).collect()
    }

    fn step_rows(&self) -> Vec<Step> {
        let rows = self.steps.iter().skip(self.skip_first);
        rows.filter_map(|(step, ranks)| {
            let of_rank = |(host, tally): (&u32, &StepTally)| StepOfRank {
                rank: self
                    .timeline
                    .processes
                    .get(*host as usize)
                    .map_or_else(String::new, rank_name),
                wall_ns: tally.wall_ns,
                device_ns: tally.device_ns,
            };
            let mut ranks: Vec<_> = ranks.iter().collect();
            ranks.sort_by_key(|(host, _)| {
                let process = self.timeline.processes.get(**host as usize);
                let rank = process.and_then(|process| process.rank);
                (rank.is_none(), rank, **host)
            });
            let ranks: Vec<StepOfRank> = ranks.into_iter().map(of_rank).collect();
            let fastest = ranks.iter().map(|rank| rank.wall_ns).min()?;
            // Of several that took as long, the first.
            let critical = ranks.iter().rev().max_by_key(|rank| rank.wall_ns)?;
            Some(Step {
                step: *step,
                critical: critical.rank.clone(),
                spread_ns: critical.wall_ns - fastest,
                ranks,
            })
        })
        .collect()
    }
}

impl Unpaired {
    fn add(&mut self, lone: Lone) {
        self.count += 1;
        if self.first.len() < MAX_LISTED {
            self.first.push(lone);
        }
    }
}

impl StreamTally {
    /// Adds an execution; how long nothing had run before it. Executions come in the order of their starts.
    fn add(&mut self, event: &Event) -> Option<u64> {
        self.executions += 1;
        let end_ns = *self.end_ns.get_or_insert(event.start_ns);
        let is_first = self.executions == 1;
        let gap_ns = event.start_ns.saturating_sub(end_ns).max(0) as u64;
        let busy_from_ns = event.start_ns.max(end_ns);
        self.busy_ns += event.end_ns.saturating_sub(busy_from_ns).max(0) as u64;
        self.idle_ns += gap_ns;
        self.longest_idle_ns = self.longest_idle_ns.max(gap_ns);
        self.end_ns = Some(end_ns.max(event.end_ns));
        (!is_first).then_some(gap_ns)
    }
}

fn rank_name(process: &ProcessRow) -> String {
    match process.rank {
        Some(rank) => format!("rank {rank}"),
        None => format!("{} [{}]", process.name, process.pid),
    }
}

fn kernel_rows(names: Vec<String>, tallies: &[KernelTally]) -> Vec<Kernel> {
    let all_ns: u128 = tallies.iter().map(|tally| tally.device.total_ns).sum();
    let rows = names.into_iter().zip(tallies);
    let rows = rows.filter(|(_, tally)| tally.launches > 0 || tally.device.count > 0);
    let mut rows: Vec<Kernel> = rows
        .map(|(name, tally)| Kernel {
            name,
            launches: tally.launches,
            executions: tally.device.count,
            unavailable: tally.unavailable,
            host: Times::of(&tally.host),
            device: Times::of(&tally.device),
            latency: Times::of(&tally.latency),
            gap: Times::of(&tally.gap),
            share: (tally.device.count > 0)
                .then(|| tally.device.total_ns as f64 / all_ns.max(1) as f64),
        })
        .collect();
    let total_ns = |times: &Option<Times>| times.map_or(0, |times| times.total_ns);
    rows.sort_by(|a, b| {
        (total_ns(&b.device).cmp(&total_ns(&a.device)))
            .then_with(|| total_ns(&b.host).cmp(&total_ns(&a.host)))
            .then_with(|| a.name.cmp(&b.name))
    });
    rows
}
