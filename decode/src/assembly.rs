//! The making of a time line: every ring scanned, what is missing counted, rows divided among lanes, ids given, filter
//! compiled.

use std::collections::HashSet;
use std::sync::Arc;

use rayon::prelude::*;

use crate::clock::Clocks;
use crate::device_clock::{DeviceClock, Domain};
use crate::division::{self, Divided};
use crate::engine::{Engine, LaneFilter, Split};
use crate::error::{Error, Problem};
use crate::event::{EventKind, FLAG_OPEN};
use crate::filter::{Bounds, Compiled};
use crate::ids::Ids;
use crate::lanes::{Lane, MAX_DEPTH};
use crate::links::Links;
use crate::losses::Losses;
use crate::overlap::{self, RowVerdicts};
use crate::pairs::Pairs;
use crate::process::{Liveness, Ring, Site};
use crate::ring::gather::{Gatherer, RowSet, Wanted, place_site};
use crate::ring::resolve::is_host_span;
use crate::ring::scan::{self, RingPlace};
use crate::ring::source::Storage;
use crate::rows::{Row, RowKind, Rows};
use crate::run::Run;
use crate::slack::DeviceSlack;
use crate::survey;
use crate::timeline::{Extent, Options, Source, Timeline};

/// Records of a block, unless that makes more than [`MAX_BLOCKS`].
const BLOCK_LEN: u64 = 128;
/// Blocks of all rings together, about: they take 32 bytes each.
const MAX_BLOCKS: u64 = 1 << 19;
/// Largest block.
const MAX_BLOCK_LEN: u64 = 1 << 12;

/// A time line in the making.
pub(crate) struct Assembly<'a> {
    runs: &'a [Run],
    clocks: Clocks,
    rows: Rows,
    engine: Engine,
    warnings: Vec<String>,
    problems: Vec<Problem>,
}

impl<'a> Assembly<'a> {
    pub(crate) fn new(runs: &'a [Run], options: &Options) -> Assembly<'a> {
        let clocks = Clocks::of_runs(runs, &options.shifts_ns);
        let mut rows = Rows::of_runs(runs, &clocks);
        Assembly {
            runs,
            clocks,
            engine: Engine {
                rings: Vec::new(),
                recorders: std::mem::take(&mut rows.recorders),
                storage: Storage::default(),
                lane_of_row: Vec::new(),
                row_of_lane: Vec::new(),
                lane_ranks: Vec::new(),
                split: Split::default(),
                filter: None,
                process_of: Vec::new(),
                pairs: None,
            },
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
        self.scan_rings()?;
        self.place_unknown_sites();
        self.drop_recorded_open_spans()?;
        let now_ns = options.now_ns.map(|ask| ask());
        self.end_open_events(now_ns);
        self.collect_losses();
        self.count_recording();
        let row_count = self.rows.rows.len();
        overlap::clip_losses(&mut self.engine, row_count).map_err(Error::spill)?;
        let verdicts = overlap::verdicts(&self.engine, row_count);
        let cuts = self.engine.cuts(&self.engine.all_rings());
        let divided = division::divide(&self.engine, verdicts.is_split.clone(), cuts.clone());
        let divided = divided.map_err(Error::spill)?;
        let mut lanes = self.make_lanes(&verdicts, &divided);
        self.engine.split = divided.split;
        let extent = self.extent();
        let start_ns = options
            .start_ns
            .unwrap_or_else(|| self.start_ns(extent.first_ns));
        let bounds = Bounds {
            start_ns,
            end_ns: now_ns.or(extent.end_ns).unwrap_or(start_ns),
            epoch_offset_ns: self.clocks.epoch_offset_ns,
        };
        let used = self.used_sites();
        let compiled = Compiled::new(
            &options.filter,
            &self.rows.sites,
            &used,
            bounds,
            &mut self.warnings,
        )?
        .of_rings(self.ring_ids());
        let wall_ns = compiled.window_ns(extent.first_ns.unwrap_or(start_ns), bounds.end_ns);
        let window_ns = compiled.window(extent.first_ns.unwrap_or(start_ns), bounds.end_ns);
        self.warn_of_wall_clocks();
        self.warn_of_ids(&compiled, &lanes);
        self.pair_launches(&compiled)?;
        let before = lanes.iter().map(|lane| lane.event_count).sum();
        let mut event_count = before;
        if !compiled.keeps_all() {
            event_count = self.apply_filter(compiled, &mut lanes, &cuts)?;
            if before > 0 && event_count == 0 {
                self.warnings.push("the filter leaves no event".to_owned());
            }
        }
        self.rank(&lanes);
        self.warn_of_the_unplaced();
        let device_slack = options.device_slack.then(|| {
            let Assembly { rows, engine, .. } = &self;
            DeviceSlack::of(&lanes, &rows.rows, &engine.recorders, &rows.domains)
        });
        let whole = self.finish(options, bounds);
        Ok(Timeline {
            lanes,
            event_count,
            extent,
            wall_ns,
            window_ns,
            is_filtered: event_count < before,
            device_slack,
            pool,
            cuts: whole.engine.cuts_with_clipped(cuts),
            ..whole
        })
    }

    /// The time line without what is known of its events.
    fn finish(self, options: &Options, bounds: Bounds) -> Timeline {
        let mut losses = Losses::default();
        for process in &self.rows.processes {
            losses.add(&process.losses);
        }
        let Bounds {
            start_ns, end_ns, ..
        } = bounds;
        let keys = self.engine.recorders.iter().map(|r| r.keys.clone());
        let sources = self.engine.rings.iter().map(|ring| Source {
            recorder: ring.recorder,
            present: ring.present,
            reserved: ring.reserved,
            losses: ring.losses.clone(),
            last_ns: ring.last_ns,
        });
        Timeline {
            runs: self.runs.iter().map(|run| run.dir.clone()).collect(),
            command: self.runs.iter().find_map(|run| run.command.clone()),
            uncertainty_ns: self.uncertainty(start_ns, end_ns),
            clock_sources: self.clock_sources(),
            device_clocks: self.device_clocks(),
            span_cost: self.runs.iter().find_map(|run| run.span_cost),
            lanes: Vec::new(),
            losses,
            start_ns,
            start_epoch_ns: start_ns.saturating_add(self.clocks.epoch_offset_ns),
            end_ns,
            wall_ns: 0,
            window_ns: (start_ns, end_ns),
            time_base: options.time_base,
            filter: options.filter.clone(),
            shifts_ns: options.shifts_ns.clone(),
            keys: keys.collect(),
            sources: sources.collect(),
            processes: self.rows.processes,
            warnings: self.warnings,
            problems: self.problems,
            sites: self.rows.sites,
            event_count: 0,
            extent: Extent::default(),
            is_filtered: false,
            device_slack: None,
            pool: None,
            cuts: Vec::new(),
            engine: self.engine,
        }
    }

    /// Scans every ring, in the order of runs, processes and ring numbers.
    fn scan_rings(&mut self) -> Result<(), Error> {
        let processes = self.runs.iter().flat_map(|run| &run.processes);
        let rings: Vec<(u32, &Ring)> = (0u32..)
            .zip(processes)
            .flat_map(|(recorder, process)| process.rings.iter().map(move |r| (recorder, r)))
            .collect();
        let records: u64 = rings.iter().map(|(_, ring)| ring.records_at_most()).sum();
        let block_len = (records / MAX_BLOCKS)
            .next_power_of_two()
            .clamp(BLOCK_LEN, MAX_BLOCK_LEN);
        let engine = &self.engine;
        let scan_one = |(source_index, (recorder, ring)): (usize, &(u32, &Ring))| {
            let place = RingPlace {
                recorder: *recorder,
                source_index: source_index as u32,
                block_len,
            };
            let context = &engine.recorders[*recorder as usize];
            scan::scan(context, ring, place, &engine.storage)
        };
        let scanned: Result<Vec<_>, Error> = rings.par_iter().enumerate().map(scan_one).collect();
        self.engine.rings = scanned?;
        Ok(())
    }

    /// Gives every site that nobody described a place in the table, under a name that says so.
    fn place_unknown_sites(&mut self) {
        let Engine {
            rings, recorders, ..
        } = &mut self.engine;
        for ring in rings {
            let recorder = &mut recorders[ring.recorder as usize];
            for id in &mut ring.unknown_sites {
                let place = recorder.site(*id).unwrap_or_else(|| {
                    self.rows.sites.push(Site::unknown(*id));
                    let place = self.rows.sites.len() as u32 - 1;
                    recorder.sites.insert(*id, place, false);
                    place
                });
                *id = place;
            }
            for (_, batch) in &mut ring.batches {
                batch.site = place_site(&ring.unknown_sites, batch.site);
            }
            for (event, _) in &mut ring.extras {
                event.site = place_site(&ring.unknown_sites, event.site);
            }
        }
    }

    /// A span is closed after its record is published: between the two it stands in both places.
    fn drop_recorded_open_spans(&mut self) -> Result<(), Error> {
        let mut gatherer = Gatherer::default();
        for index in self.engine.all_rings() {
            let ring = &mut self.engine.rings[index as usize];
            let mut extras = std::mem::take(&mut ring.extras);
            let mut recorded: HashSet<(i64, u32, u32)> = HashSet::new();
            for (open, _) in extras.iter().filter(|(event, _)| event.is_open()) {
                gatherer.clear();
                let wanted = Wanted {
                    start_ns: open.start_ns,
                    end_ns: open.start_ns.saturating_add(1),
                    rows: RowSet::All,
                };
                let context = self.engine.ring(index);
                gatherer.add_ring(context, wanted).map_err(Error::spill)?;
                let spans = gatherer.events.iter().filter(|e| is_host_span(e.kind));
                recorded.extend(spans.map(|e| (e.start_ns, e.site, e.lane)));
            }
            extras.retain(|(event, _)| {
                !event.is_open()
                    || event.kind == EventKind::Lost
                    || !recorded.contains(&(event.start_ns, event.site, event.lane))
            });
            let ring = &mut self.engine.rings[index as usize];
            let open = extras
                .iter()
                .filter(|(e, _)| e.is_open() && e.kind != EventKind::Lost);
            ring.last_ns = ring
                .last_ns
                .max(open.map(|(event, _)| event.start_ns).max());
            ring.extras = extras;
        }
        Ok(())
    }

    /// What was open when the records ended is drawn up to the last sign of life: of its process when that is
    /// dead, else of the whole run, or now.
    fn end_open_events(&mut self, now_ns: Option<i64>) {
        let count = self.rows.processes.len();
        let mut last_of: Vec<i64> = vec![i64::MIN; count];
        let mut last_of_all = i64::MIN;
        let ends = self.end_moments();
        let rings = self.engine.rings.iter();
        let moments = rings.filter_map(|ring| Some((ring.recorder, ring.last_ns?)));
        for (recorder, ns) in moments.chain(ends) {
            last_of_all = last_of_all.max(ns);
            let process = self.rows.process_of.get(recorder as usize);
            if let Some(last) = process.and_then(|p| last_of.get_mut(*p as usize)) {
                *last = ns.max(*last);
            }
        }
        let Assembly { engine, rows, .. } = self;
        for ring in &mut engine.rings {
            let process = rows.process_of.get(ring.recorder as usize);
            let process = process.copied().unwrap_or(0) as usize;
            let is_alive = rows
                .processes
                .get(process)
                .is_some_and(|p| p.liveness == Liveness::Alive);
            let last = if is_alive {
                now_ns.unwrap_or(last_of_all)
            } else {
                last_of.get(process).copied().unwrap_or(last_of_all)
            };
            let open = ring.extras.iter_mut().map(|(event, _)| event);
            for event in open.filter(|e| e.flags & FLAG_OPEN != 0) {
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
                let context = self.engine.recorders.get(recorder as usize)?;
                Some((recorder, context.clock.mono_ns(pair.mono_ns)))
            })
            .collect()
    }

    fn process_of(&self, recorder: u32) -> usize {
        let process = self.rows.process_of.get(recorder as usize);
        process.copied().unwrap_or(0) as usize
    }

    fn collect_losses(&mut self) {
        let processes = self.runs.iter().flat_map(|run| &run.processes);
        for (recorder, process) in (0u32..).zip(processes) {
            let row = self.process_of(recorder);
            if let Some(row) = self.rows.processes.get_mut(row) {
                row.losses.add_drops(&process.drops);
                row.losses.note("unknown_block", process.unknown_blocks);
            }
        }
        for index in 0..self.engine.rings.len() {
            let ring = &mut self.engine.rings[index];
            self.problems.append(&mut ring.problems);
            let (recorder, losses) = (ring.recorder, ring.losses.clone());
            let row = self.process_of(recorder);
            if let Some(row) = self.rows.processes.get_mut(row) {
                row.losses.add(&losses);
            }
        }
    }

    /// Gives processes what their recording as a whole came to: records made, and threads that made them.
    fn count_recording(&mut self) {
        for row in &self.rows.rows {
            let process = self.rows.processes.get_mut(row.process as usize);
            if let (RowKind::Thread(_), Some(process)) = (row.kind, process) {
                process.threads += 1;
            }
        }
        for index in 0..self.engine.rings.len() {
            let ring = &self.engine.rings[index];
            let (recorder, made) = (ring.recorder, ring.reserved.unwrap_or(ring.present));
            let row = self.process_of(recorder);
            if let Some(row) = self.rows.processes.get_mut(row) {
                row.made = row.made.saturating_add(made);
            }
        }
    }

    /// What the records cover.
    fn extent(&self) -> Extent {
        let mut extent = Extent::default();
        for ring in &self.engine.rings {
            extent.records += ring.event_count;
            extent.open_spans += ring.extras.iter().filter(|(e, _)| e.is_open()).count() as u64;
        }
        let extras = || self.engine.rings.iter().flat_map(|ring| &ring.extras);
        let rings = self.engine.rings.iter();
        extent.first_record_ns = rings.clone().filter_map(|ring| ring.first_ns).min();
        extent.last_record_ns = rings.filter_map(|ring| ring.last_record_ns).max();
        let starts = extras().map(|(event, _)| event.start_ns);
        extent.first_ns = starts.chain(extent.first_record_ns).min();
        let ends = extras().map(|(event, _)| event.end_ns);
        extent.end_ns = ends.chain(extent.last_record_ns).max();
        extent
    }

    /// Start of the run: of its first recorder or, should that be earlier, its first event.
    fn start_ns(&self, first_event_ns: Option<i64>) -> i64 {
        let supervisors = self.runs.iter().flat_map(|run| &run.supervisors);
        let supervisors = supervisors.map(|s| self.clocks.of_process(s).mono_ns(s.created_mono_ns));
        let processes = self.rows.processes.iter().map(|process| process.created_ns);
        let created = supervisors.chain(processes).filter(|ns| *ns < i64::MAX);
        created.chain(first_event_ns).min().unwrap_or(0)
    }

    /// Gives lanes their names and ids, row by row.
    fn make_lanes(&mut self, verdicts: &RowVerdicts, divided: &Divided) -> Vec<Lane> {
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
        self.engine.lane_of_row = vec![0; self.rows.rows.len()];
        let mut lanes: Vec<Lane> = Vec::new();
        for row in row_order {
            self.engine.lane_of_row[row] = lanes.len() as u32;
            let divided = divided.lanes.get(&(row as u32));
            let depths = match divided {
                Some(lanes) => lanes.iter().map(|lane| lane.depth).collect(),
                None => vec![verdicts.depths[row]],
            };
            let first = lanes.len();
            self.lanes_of_row(row, tids[row], &depths, &mut ids, &mut lanes);
            lanes[first].event_count = verdicts.event_counts[row];
            let extra = divided.map_or(&[][..], |lanes| &lanes[1..]);
            for (at, lane) in extra.iter().enumerate() {
                lanes[first].event_count -= lane.count;
                lanes[first + 1 + at].event_count = lane.count;
            }
        }
        lanes
    }

    fn lanes_of_row(
        &mut self,
        row_index: usize,
        tid: u32,
        depths: &[u32],
        ids: &mut Ids,
        lanes: &mut Vec<Lane>,
    ) {
        let row: &Row = &self.rows.rows[row_index];
        for (at, depth) in depths.iter().enumerate() {
            let (name, tid) = match at {
                0 => (row.name.clone(), tid),
                extra => (format!("{} ({})", row.name, extra + 1), ids.made_up()),
            };
            if *depth > MAX_DEPTH {
                self.warnings.push(format!(
                    "lane {name:?}: spans nest {depth} deep, viewers draw {MAX_DEPTH} at most"
                ));
            }
            self.engine.row_of_lane.push(row_index as u32);
            lanes.push(Lane {
                process: row.process,
                name,
                kind: row.kind,
                number: at as u32 + 1,
                pid: self.rows.processes[row.process as usize].trace_pid,
                tid,
                depth: *depth,
                event_count: 0,
            });
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

    fn used_sites(&self) -> Vec<bool> {
        let mut used = vec![false; self.rows.sites.len()];
        for ring in &self.engine.rings {
            for (used, of_ring) in used.iter_mut().zip(&ring.used_sites) {
                *used |= of_ring;
            }
            let extra = ring.extras.iter().map(|(event, _)| event.site);
            for site in extra.chain(ring.unknown_sites.iter().copied()) {
                if let Some(used) = used.get_mut(site as usize) {
                    *used = true;
                }
            }
        }
        used
    }

    /// Hosts share no clock: what ties their times together is told, with how far it moved.
    fn warn_of_wall_clocks(&mut self) {
        let boots = self.clocks.wall_clocks();
        if boots.count < 2 {
            return;
        }
        self.warnings.push(format!(
            "{} hosts (or boots) stand on one time line by their wall clocks, which were corrected by up to {} ns while \
             they recorded; how far they are apart nobody recorded (--align NAME moves processes by a common moment)",
            boots.count, boots.corrected_ns
        ));
    }

    /// Nonce and number of each ring, in the order that they are scanned in.
    fn ring_ids(&self) -> impl Iterator<Item = (u64, u32)> {
        let processes = self.runs.iter().flat_map(|run| &run.processes);
        processes.flat_map(|process| process.rings.iter().map(|ring| (process.nonce, ring.index)))
    }

    fn warn_of_ids(&mut self, compiled: &Compiled, lanes: &[Lane]) {
        let pids = self.rows.processes.iter().map(|process| process.pid);
        let tids = lanes.iter().map(|lane| lane.tid);
        self.warnings.extend(compiled.warn_of_ids(pids, tids));
    }

    /// Pairs launches and executions; without launches there is nothing to draw and nothing to miss.
    fn pair_launches(&mut self, compiled: &Compiled) -> Result<(), Error> {
        let mut links = Vec::new();
        links.resize_with(self.rows.processes.len(), Vec::new);
        let mut has_launches = false;
        for ring in &mut self.engine.rings {
            let open = ring.extras.iter().map(|(event, _)| event);
            let mut of_ring = vec![Links::of_open(open), std::mem::take(&mut ring.links)];
            has_launches |= of_ring.iter().any(|links| links.has_launches);
            of_ring.retain(|links| links.len() > 0);
            let process = self.rows.process_of[ring.recorder as usize];
            links[process as usize].append(&mut of_ring);
        }
        self.engine.process_of.clone_from(&self.rows.process_of);
        if has_launches {
            let spill = &self.engine.storage.spill;
            let pairs = Pairs::of(links, spill, |link| compiled.start_of(link));
            self.engine.pairs = Some(pairs.map_err(Error::spill)?);
        }
        Ok(())
    }

    /// Filters the lanes; how many events are left.
    fn apply_filter(
        &mut self,
        compiled: Compiled,
        lanes: &mut Vec<Lane>,
        cuts: &[i64],
    ) -> Result<u64, Error> {
        let processes = &self.rows.processes;
        let keeps =
            |lane: &Lane| compiled.keeps_lane(processes[lane.process as usize].pid, lane.tid);
        let keeps_lane: Vec<bool> = lanes.iter().map(keeps).collect();
        self.rank(lanes);
        let left = survey::survey(&self.engine, cuts, &compiled, &keeps_lane);
        let mut left = left.map_err(Error::spill)?;
        for (lane, count) in lanes.iter_mut().zip(&left.event_counts) {
            lane.event_count = *count;
        }
        // A lane that was made for overlapping spans has no reason left without them.
        let mut lane_left = Vec::with_capacity(lanes.len());
        let mut count = 0;
        for lane in lanes.iter() {
            lane_left.push(count);
            count += u32::from(lane.number == 1 || lane.event_count > 0);
        }
        lanes.retain(|lane| lane.number == 1 || lane.event_count > 0);
        for clipped in &mut left.clipped {
            clipped.event.lane = lane_left[clipped.event.lane as usize];
        }
        self.engine.filter = Some(LaneFilter {
            compiled,
            keeps_lane,
            lane_left,
            clipped: left.clipped,
        });
        Ok(left.event_counts.iter().sum())
    }

    /// Notes the order of lanes by process and thread id.
    fn rank(&mut self, lanes: &[Lane]) {
        let mut order: Vec<usize> = (0..lanes.len()).collect();
        order.sort_by_key(|at| (lanes[*at].pid, lanes[*at].tid));
        self.engine.lane_ranks = vec![0; lanes.len()];
        for (rank, lane) in (0..).zip(order) {
            self.engine.lane_ranks[lane] = rank;
        }
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
        for recorder in &self.engine.recorders {
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
        for recorder in &self.engine.recorders {
            if !recorder.clock.is_known {
                return None;
            }
            worst = worst.max(recorder.clock.conversion.uncertainty_ns(start_ns, end_ns)?);
        }
        Some(worst)
    }

    fn device_clocks(&self) -> Vec<DeviceClock> {
        let extent = self.extent();
        let first_ns = extent.first_ns.unwrap_or(0);
        let end_ns = extent.end_ns.unwrap_or(first_ns);
        let describe = |(recorder, domain): &(u32, Domain)| {
            let process = self.rows.process_of[*recorder as usize];
            let pid = self.rows.processes[process as usize].pid;
            domain.describe(pid, first_ns, end_ns)
        };
        self.rows.domains.iter().map(describe).collect()
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
