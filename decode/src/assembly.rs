//! The making of a time line: every ring decoded, events divided among rows and lanes, ids given, filter applied.

use std::collections::HashMap;
use std::sync::Arc;

use rayon::prelude::*;

use crate::clock::Clocks;
use crate::error::{Error, Problem};
use crate::event::{self, Event, EventKind, FLAG_OPEN, NO_SITE, RingEvents, UNKNOWN_SITE_BASE};
use crate::filter::{Bounds, Compiled};
use crate::ids::Ids;
use crate::lanes::{self, Lane};
use crate::losses::Losses;
use crate::process::{Liveness, Site};
use crate::rows::{Row, RowKind, Rows};
use crate::run::Run;
use crate::timeline::{Options, Source, Timeline};

/// Importers draw no deeper nesting than this.
const MAX_DEPTH: u32 = 512;

/// Events of one lane, before they are put together.
struct LaneEvents {
    lane: Lane,
    events: Vec<Event>,
}

/// A time line in the making.
pub(crate) struct Assembly<'a> {
    runs: &'a [Run],
    clocks: Clocks,
    rows: Rows,
    warnings: Vec<String>,
    problems: Vec<Problem>,
}

impl<'a> Assembly<'a> {
    pub(crate) fn new(runs: &'a [Run]) -> Assembly<'a> {
        let clocks = Clocks::of_runs(runs);
        let rows = Rows::of_runs(runs, &clocks);
        Assembly {
            runs,
            clocks,
            rows,
            warnings: Vec::new(),
            problems: runs.iter().flat_map(|r| r.problems.clone()).collect(),
        }
    }

    pub(crate) fn build(
        mut self,
        options: &Options,
        pool: Option<Arc<rayon::ThreadPool>>,
    ) -> Result<Timeline, Error> {
        let mut rings = self.decode_rings();
        self.place_unknown_sites(&mut rings);
        self.end_open_events(&mut rings);
        self.collect_losses(&mut rings);
        let sources = take_sources(&mut rings);
        let row_events = divide_by_row(rings, self.rows.rows.len());
        let used = used_sites(&row_events, self.rows.sites.len());
        let first_ns = row_events.iter().flatten().map(|e| e.start_ns).min();
        let end_ns = row_events.iter().flatten().map(|e| e.end_ns).max();
        let start_ns = self.start_ns(first_ns);
        let bounds = Bounds {
            start_ns,
            end_ns: end_ns.unwrap_or(start_ns),
            epoch_offset_ns: self.clocks.epoch_offset_ns,
        };
        let mut lanes = self.make_lanes(row_events);
        let sites = &self.rows.sites;
        let filter = Compiled::new(&options.filter, sites, &used, bounds, &mut self.warnings)?;
        let is_filtered = self.apply_filter(&filter, &mut lanes);
        let wall_ns = filter.window_ns(first_ns.unwrap_or(start_ns), bounds.end_ns);
        self.warn_of_the_unplaced();
        let (lanes, events) = join(lanes);
        let whole = self.finish(options, bounds);
        Ok(Timeline {
            lanes,
            events,
            wall_ns,
            sources,
            is_filtered,
            pool,
            ..whole
        })
    }

    /// The time line without its events.
    fn finish(self, options: &Options, bounds: Bounds) -> Timeline {
        let mut losses = Losses::default();
        for process in &self.rows.processes {
            losses.add(&process.losses);
        }
        let Bounds {
            start_ns, end_ns, ..
        } = bounds;
        Timeline {
            runs: self.runs.iter().map(|run| run.dir.clone()).collect(),
            command: self.runs.iter().find_map(|run| run.command.clone()),
            uncertainty_ns: self.uncertainty(start_ns, end_ns),
            clock_sources: self.clock_sources(),
            processes: self.rows.processes,
            lanes: Vec::new(),
            events: Vec::new(),
            losses,
            start_ns,
            start_epoch_ns: start_ns.saturating_add(self.clocks.epoch_offset_ns),
            end_ns,
            wall_ns: 0,
            time_base: options.time_base,
            warnings: self.warnings,
            problems: self.problems,
            filter: options.filter.clone(),
            sites: self.rows.sites,
            keys: self.rows.recorders.into_iter().map(|r| r.keys).collect(),
            sources: Vec::new(),
            is_filtered: false,
            pool: None,
        }
    }

    /// Decodes every ring, in the order of runs, processes and ring numbers.
    fn decode_rings(&self) -> Vec<(u32, RingEvents)> {
        let processes = self.runs.iter().flat_map(|run| &run.processes);
        let rings: Vec<_> = (0u32..)
            .zip(processes)
            .flat_map(|(recorder, process)| process.rings.iter().map(move |r| (recorder, r)))
            .collect();
        rings
            .par_iter()
            .enumerate()
            .filter_map(|(index, (recorder, ring))| {
                let context = self.rows.recorders.get(*recorder as usize)?;
                Some((*recorder, event::decode_ring(context, ring, index as u32)))
            })
            .collect()
    }

    /// Gives every site that nobody described a place in the table, under a name that says so.
    fn place_unknown_sites(&mut self, rings: &mut [(u32, RingEvents)]) {
        let mut places: HashMap<(u32, u32), u32> = HashMap::new();
        for (recorder, ring) in rings {
            let sites = &mut self.rows.sites;
            let mut place = |id: &u32| {
                *places.entry((*recorder, *id)).or_insert_with(|| {
                    sites.push(Site::unknown(*id));
                    sites.len() as u32 - 1
                })
            };
            let places: Vec<u32> = ring.unknown_sites.iter().map(&mut place).collect();
            if places.is_empty() {
                continue;
            }
            for event in &mut ring.events {
                if event.site != NO_SITE && event.site >= UNKNOWN_SITE_BASE {
                    let at = (event.site - UNKNOWN_SITE_BASE) as usize;
                    event.site = places.get(at).copied().unwrap_or(NO_SITE);
                }
            }
        }
    }

    /// What was open when the records ended is drawn up to the last sign of life: of its process when that is
    /// dead, else of the whole run.
    fn end_open_events(&self, rings: &mut [(u32, RingEvents)]) {
        let count = self.rows.processes.len();
        let mut last_of: Vec<i64> = vec![i64::MIN; count];
        let mut last_of_all = i64::MIN;
        let ends = self.end_moments();
        let moments = rings
            .iter()
            .filter_map(|(recorder, ring)| Some((*recorder, ring.last_ns?)))
            .chain(ends);
        for (recorder, ns) in moments {
            last_of_all = last_of_all.max(ns);
            let process = self.rows.process_of.get(recorder as usize);
            if let Some(last) = process.and_then(|p| last_of.get_mut(*p as usize)) {
                *last = ns.max(*last);
            }
        }
        for (recorder, ring) in rings {
            let process = self.process_of(*recorder);
            let is_alive = self
                .rows
                .processes
                .get(process)
                .is_some_and(|p| p.liveness == Liveness::Alive);
            let last = if is_alive {
                last_of_all
            } else {
                last_of.get(process).copied().unwrap_or(last_of_all)
            };
            for event in ring.events.iter_mut().filter(|e| e.flags & FLAG_OPEN != 0) {
                event.end_ns = last.max(event.start_ns);
                if event.kind == EventKind::Lost {
                    event.flags &= !FLAG_OPEN;
                }
            }
        }
    }

    /// The clean ends of recorders.
    fn end_moments(&self) -> Vec<(u32, i64)> {
        let processes = self.runs.iter().flat_map(|run| &run.processes);
        (0u32..)
            .zip(processes)
            .filter_map(|(recorder, process)| {
                let pair = process.end_pair()?;
                let context = self.rows.recorders.get(recorder as usize)?;
                Some((recorder, context.clock.mono_ns(pair.mono_ns)))
            })
            .collect()
    }

    fn process_of(&self, recorder: u32) -> usize {
        let process = self.rows.process_of.get(recorder as usize);
        process.copied().unwrap_or(0) as usize
    }

    fn collect_losses(&mut self, rings: &mut [(u32, RingEvents)]) {
        let processes = self.runs.iter().flat_map(|run| &run.processes);
        for (recorder, process) in (0u32..).zip(processes) {
            let row = self.process_of(recorder);
            if let Some(row) = self.rows.processes.get_mut(row) {
                row.losses.add_drops(&process.drops);
                row.losses.note("unknown_block", process.unknown_blocks);
            }
        }
        for (recorder, ring) in rings {
            self.problems.append(&mut ring.problems);
            let row = self.process_of(*recorder);
            if let Some(row) = self.rows.processes.get_mut(row) {
                row.losses.add(&ring.losses);
            }
        }
    }

    /// Start of the run: of its first recorder or, should that be earlier, its first event.
    fn start_ns(&self, first_event_ns: Option<i64>) -> i64 {
        let supervisors = self.runs.iter().flat_map(|run| &run.supervisors);
        let supervisors = supervisors.map(|s| self.clocks.of_process(s).mono_ns(s.created_mono_ns));
        let processes = self.rows.processes.iter().map(|process| process.created_ns);
        let created = supervisors.chain(processes).filter(|ns| *ns < i64::MAX);
        created.chain(first_event_ns).min().unwrap_or(0)
    }

    /// Sorts and splits the rows, and gives lanes their ids.
    fn make_lanes(&mut self, mut rows: Vec<Vec<Event>>) -> Vec<LaneEvents> {
        let splits: Vec<lanes::Split> = rows
            .par_iter_mut()
            .map(|events| {
                events.par_sort_unstable_by(Event::row_order);
                if events.iter().any(|event| event.kind == EventKind::Lost) {
                    lanes::clip_losses(events);
                    events.par_sort_unstable_by(Event::row_order);
                }
                lanes::split(events)
            })
            .collect();
        let process_order = self.order_processes();
        let mut ids = Ids::default();
        self.assign_pids(&process_order, &mut ids);
        let mut row_order: Vec<usize> = (0..self.rows.rows.len()).collect();
        let mut place = vec![0; process_order.len()];
        for (at, process) in process_order.iter().enumerate() {
            place[*process] = at;
        }
        row_order.sort_by_cached_key(|row| self.row_key(&place, *row));
        let tids = self.assign_tids(&row_order, &mut ids);
        let mut lanes = Vec::new();
        for row in row_order {
            let events = std::mem::take(&mut rows[row]);
            self.lanes_of_row(row, tids[row], events, &splits[row], &mut ids, &mut lanes);
        }
        lanes
    }

    fn lanes_of_row(
        &mut self,
        row: usize,
        tid: u32,
        events: Vec<Event>,
        split: &lanes::Split,
        ids: &mut Ids,
        lanes: &mut Vec<LaneEvents>,
    ) {
        let row: &Row = &self.rows.rows[row];
        let first = lanes.len();
        for (at, depth) in split.depths.iter().enumerate() {
            let (name, tid) = match at {
                0 => (row.name.clone(), tid),
                extra => (format!("{} ({})", row.name, extra + 1), ids.made_up()),
            };
            if *depth > MAX_DEPTH {
                self.warnings.push(format!(
                    "lane {name:?}: spans nest {depth} deep, viewers draw {MAX_DEPTH} at most"
                ));
            }
            lanes.push(LaneEvents {
                lane: Lane {
                    process: row.process,
                    name,
                    kind: row.kind,
                    number: at as u32 + 1,
                    pid: self.rows.processes[row.process as usize].trace_pid,
                    tid,
                    depth: *depth,
                    events: 0..0,
                },
                events: Vec::new(),
            });
        }
        if split.depths.len() == 1 {
            lanes[first].events = events;
            return;
        }
        for (event, lane) in events.into_iter().zip(&split.lane_of) {
            lanes[first + *lane as usize].events.push(event);
        }
    }

    /// Processes by start, their devices after all of them.
    fn order_processes(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.rows.processes.len()).collect();
        let processes = &self.rows.processes;
        order.sort_by_key(|at| {
            let process = &processes[*at];
            let device = process.device.map(|device| (process.host_row, device));
            (
                device.is_some(),
                process.created_ns,
                process.pid,
                device,
                *at,
            )
        });
        order
    }

    fn assign_pids(&mut self, order: &[usize], ids: &mut Ids) {
        for at in order {
            let process = &mut self.rows.processes[*at];
            process.trace_pid = if process.device.is_some() {
                ids.made_up()
            } else {
                ids.pid(process.pid)
            };
        }
    }

    fn row_key(&self, place: &[usize], row: usize) -> (usize, bool, RowKind, String) {
        let row = &self.rows.rows[row];
        let process = &self.rows.processes[row.process as usize];
        let is_main = row.kind == RowKind::Thread(process.pid);
        let place = place[row.process as usize];
        (place, !is_main, row.kind, row.name.clone())
    }

    fn assign_tids(&self, order: &[usize], ids: &mut Ids) -> Vec<u32> {
        let mut tids = vec![0; order.len()];
        for wanted_kind in [0, 1, 2] {
            for at in order {
                let (kind, tid) = match self.rows.rows[*at].kind {
                    RowKind::Thread(tid) => (0, tid),
                    RowKind::Stream(stream) => (1, stream),
                    RowKind::Track => (2, 0),
                };
                if kind == wanted_kind {
                    // No real id is 0: it asks for a made-up one.
                    tids[*at] = ids.tid(tid);
                }
            }
        }
        tids
    }

    /// Filters the lanes; true when something was filtered away.
    fn apply_filter(&mut self, compiled: &Compiled<'_>, lanes: &mut Vec<LaneEvents>) -> bool {
        let pids = self.rows.processes.iter().map(|process| process.pid);
        let tids = lanes.iter().map(|lane| lane.lane.tid);
        self.warnings.extend(compiled.warn_of_ids(pids, tids));
        let count = |lanes: &[LaneEvents]| lanes.iter().map(|l| l.events.len()).sum::<usize>();
        let before = count(lanes);
        let processes = &self.rows.processes;
        lanes.par_iter_mut().for_each(|lane| {
            let pid = processes[lane.lane.process as usize].pid;
            if compiled.keeps_lane(pid, lane.lane.tid) {
                compiled.apply(&mut lane.events);
            } else {
                lane.events.clear();
            }
        });
        let after = count(lanes);
        if before > 0 && after == 0 {
            self.warnings.push("the filter leaves no event".to_owned());
        }
        // A lane that was made for overlapping spans has no reason left without them.
        lanes.retain(|lane| lane.lane.number == 1 || !lane.events.is_empty());
        after < before
    }

    fn warn_of_the_unplaced(&mut self) {
        let noted = |cause| -> u64 {
            let notes = self.rows.processes.iter().map(|p| &p.losses.notes);
            notes.filter_map(|notes| notes.get(cause)).sum()
        };
        let unavailable = noted("device_time_unavailable");
        if unavailable > 0 {
            self.warnings.push(format!(
                "{unavailable} device records are not shown: nothing ties their clocks to the host's"
            ));
        }
        let mut unknown_clocks = 0;
        for recorder in &self.rows.recorders {
            unknown_clocks += !recorder.clock.is_known as u64;
        }
        if unknown_clocks > 0 {
            self.warnings.push(format!(
                "{unknown_clocks} process files hold no clock pair: their ticks are taken for nanoseconds"
            ));
        }
    }

    fn uncertainty(&self, start_ns: i64, end_ns: i64) -> Option<u64> {
        let mut worst = 0;
        for recorder in &self.rows.recorders {
            if !recorder.clock.is_known {
                return None;
            }
            worst = worst.max(recorder.clock.conversion.uncertainty_ns(start_ns, end_ns)?);
        }
        Some(worst)
    }

    fn clock_sources(&self) -> Vec<String> {
        let processes = self.runs.iter().flat_map(|run| &run.processes);
        let mut names: Vec<String> = processes
            .map(|process| match process.clock() {
                Some(source) => source.to_string(),
                None => format!("unknown {}", process.clock_source),
            })
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

fn take_sources(rings: &mut [(u32, RingEvents)]) -> Vec<Source> {
    rings
        .iter_mut()
        .map(|(recorder, ring)| Source {
            recorder: *recorder,
            present: ring.present,
            reserved: ring.reserved,
            losses: std::mem::take(&mut ring.losses),
            last_ns: ring.last_ns,
            arena: std::mem::take(&mut ring.arena),
        })
        .collect()
}

fn divide_by_row(rings: Vec<(u32, RingEvents)>, row_count: usize) -> Vec<Vec<Event>> {
    let mut rows: Vec<Vec<Event>> = vec![Vec::new(); row_count];
    for (_, ring) in rings {
        for event in ring.events {
            if let Some(row) = rows.get_mut(event.lane as usize) {
                row.push(event);
            }
        }
    }
    rows
}

fn used_sites(rows: &[Vec<Event>], site_count: usize) -> Vec<bool> {
    let mut used = vec![false; site_count];
    for event in rows.iter().flatten() {
        if let Some(used) = used.get_mut(event.site as usize) {
            *used = true;
        }
    }
    used
}

fn join(lanes: Vec<LaneEvents>) -> (Vec<Lane>, Vec<Event>) {
    let total = lanes.iter().map(|lane| lane.events.len()).sum();
    let mut all = Vec::with_capacity(total);
    let mut joined = Vec::with_capacity(lanes.len());
    for (index, mut lane) in (0u32..).zip(lanes) {
        let start = all.len();
        all.extend(lane.events.into_iter().map(|event| Event {
            lane: index,
            ..event
        }));
        lane.lane.events = start..all.len();
        joined.push(lane.lane);
    }
    (joined, all)
}
