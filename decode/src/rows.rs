//! Who is on the time line: processes, threads, tracks and device streams, merged over the recorders that wrote them.
//!
//! Several process files may belong to one process (two recorders in it, or an exec): their threads merge by thread
//! id, their tracks by name. A row becomes one lane, or more where its spans overlap (see [`crate::lanes`]).

use std::collections::HashMap;

use ringscope_ringbuf::block::LaneKind;

use crate::clock::{Clocks, ProcessClock};
use crate::device_clock::{self, Domain};
use crate::losses::Losses;
use crate::process::{ExitStatus, LaneGeneration, Liveness, Process, Ring, Site};
use crate::recorder::{LaneRow, LaneUse, OwnerRow, Recorder, SiteTable};
use crate::run::Run;

/// A process, or a device of one, as the time line shows it.
#[derive(Clone, Debug)]
pub struct ProcessRow {
    /// Process id as the process saw it; for a device, that of its host process.
    pub pid: u32,
    /// Name.
    pub name: String,
    /// Rank, where it has one.
    pub rank: Option<i32>,
    /// Host name.
    pub host: String,
    /// Number of the device, for devices.
    pub device: Option<u32>,
    /// How the process stands.
    pub liveness: Liveness,
    /// What the supervisor saw of its end.
    pub exit: Option<ExitStatus>,
    /// CLOCK_MONOTONIC when the first recorder in it started, ns.
    pub created_ns: i64,
    /// Process id that the trace shows: the real one where it fits, else a made-up one from 2^31 on.
    pub trace_pid: u32,
    /// What the process lost.
    pub losses: Losses,
    /// Nonces of the recorders in it.
    pub nonces: Vec<u64>,
    /// Records that it made, those included that were lost or that a filter leaves out.
    pub made: u64,
    /// Threads that recorded.
    pub threads: u64,
    /// Index of the process itself, for its devices.
    pub(crate) host_row: u32,
    newest_created_ns: i64,
}

/// What a row stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RowKind {
    /// A thread, by id.
    Thread(u32),
    /// A named track or a task of an event loop.
    Track,
    /// A stream of a device, by number.
    Stream(u32),
}

/// A thread, track or stream.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub process: u32,
    pub kind: RowKind,
    pub name: String,
    /// When the name was given: the newest one stands.
    named_ns: i64,
}

/// Everybody on the time line, and one decoding context per process file, in the order of runs and processes.
pub(crate) struct Rows {
    pub processes: Vec<ProcessRow>,
    pub rows: Vec<Row>,
    pub recorders: Vec<Recorder>,
    /// Clock domains of devices, each with the index of its recorder.
    pub domains: Vec<(u32, Domain)>,
    /// Index of the process row of each recorder.
    pub process_of: Vec<u32>,
    pub sites: Vec<Site>,
}

#[derive(PartialEq, Eq, Hash)]
enum RowKey {
    Thread(u32, u32),
    Track(u32, String),
    Stream(u32, u32),
}

/// What makes two process files belong to the same process.
type Identity = (String, [u8; 16], u64, u32, u64);

struct Builder<'a> {
    clocks: &'a Clocks,
    out: Rows,
    process_index: HashMap<Identity, u32>,
    device_index: HashMap<(u32, u32), u32>,
    row_index: HashMap<RowKey, u32>,
}

impl Rows {
    pub(crate) fn of_runs(runs: &[Run], clocks: &Clocks) -> Rows {
        let mut builder = Builder {
            clocks,
            out: Rows {
                processes: Vec::new(),
                rows: Vec::new(),
                recorders: Vec::new(),
                domains: Vec::new(),
                process_of: Vec::new(),
                sites: Vec::new(),
            },
            process_index: HashMap::new(),
            device_index: HashMap::new(),
            row_index: HashMap::new(),
        };
        for process in runs.iter().flat_map(|run| &run.processes) {
            builder.add(process);
        }
        builder.name_the_nameless();
        builder.out
    }
}

impl Builder<'_> {
    fn add(&mut self, process: &Process) {
        let clock = self.clocks.of_process(process);
        let process_row = self.process_row(process, &clock);
        let owners = process
            .rings
            .iter()
            .map(|ring| {
                let owners = self.owners(process, ring, process_row, &clock);
                (ring.index, owners)
            })
            .collect();
        let mut lanes = HashMap::new();
        let mut numbers: Vec<_> = process.tables.lanes.iter().collect();
        numbers.sort_by_key(|(number, _)| **number);
        for (number, generations) in numbers {
            let uses = generations.iter().map(|generation| LaneUse {
                start_ticks: generation.start_ticks,
                start_ns: clock.ticks(generation.start_ticks),
                lane: self.lane_row(process_row, generation, &clock),
            });
            lanes.insert(*number, uses.collect());
        }
        let domains = device_clock::of_process(process, &clock);
        let device_clocks = domains
            .iter()
            .filter_map(|domain| Some((domain.id, domain.conversion.clone()?)));
        let recorder = Recorder {
            is_alive: process.liveness == Liveness::Alive,
            device_clocks: device_clocks.collect(),
            first_site: self.out.sites.len() as u32,
            site_has_args: Vec::new(),
            sites: SiteTable::default(),
            owners,
            lanes,
            clock,
            keys: process.tables.keys.clone(),
        };
        let recorder_index = self.out.recorders.len() as u32;
        let domains = domains.into_iter().map(|domain| (recorder_index, domain));
        self.out.domains.extend(domains);
        let recorder = self.add_sites(process, recorder);
        self.out.recorders.push(recorder);
        self.out.process_of.push(process_row);
    }

    fn add_sites(&mut self, process: &Process, mut recorder: Recorder) -> Recorder {
        let mut sites: Vec<_> = process.tables.sites.iter().collect();
        sites.sort_by_key(|(id, _)| **id);
        for (id, site) in sites {
            let index = self.out.sites.len() as u32;
            recorder.sites.insert(*id, index, !site.args.is_empty());
            recorder.site_has_args.push(!site.args.is_empty());
            self.out.sites.push(site.clone());
        }
        recorder
    }

    fn process_row(&mut self, process: &Process, clock: &ProcessClock) -> u32 {
        let identity = (
            process.host.clone(),
            process.boot_id,
            process.pid_namespace,
            process.pid,
            // Unknown start times tell nothing: such recorders stay apart.
            if process.start_time == 0 {
                process.nonce
            } else {
                process.start_time
            },
        );
        let created_ns = clock.mono_ns(process.created_mono_ns);
        if let Some(index) = self.process_index.get(&identity)
            && let Some(row) = self.out.processes.get_mut(*index as usize)
        {
            row.nonces.push(process.nonce);
            row.liveness = row.liveness.max(process.liveness);
            row.exit = row.exit.or(process.exit);
            row.created_ns = row.created_ns.min(created_ns);
            if created_ns >= row.newest_created_ns {
                row.newest_created_ns = created_ns;
                row.name.clone_from(&process.name);
                row.rank = process.rank.or(row.rank);
            }
            return *index;
        }
        let index = self.out.processes.len() as u32;
        self.process_index.insert(identity, index);
        self.out.processes.push(ProcessRow {
            pid: process.pid,
            name: process.name.clone(),
            rank: process.rank,
            host: process.host.clone(),
            device: None,
            liveness: process.liveness,
            exit: process.exit,
            created_ns,
            trace_pid: 0,
            losses: Losses::default(),
            nonces: vec![process.nonce],
            made: 0,
            threads: 0,
            host_row: index,
            newest_created_ns: created_ns,
        });
        index
    }

    fn owners(
        &mut self,
        process: &Process,
        ring: &Ring,
        process_row: u32,
        clock: &ProcessClock,
    ) -> Vec<OwnerRow> {
        let known = process
            .tables
            .owners
            .get(&ring.index)
            .map_or(&[][..], |o| o);
        let mut rows: Vec<OwnerRow> = known
            .iter()
            .map(|owner| {
                let start_ns = clock.ticks(owner.start_ticks);
                let key = RowKey::Thread(process_row, owner.tid);
                OwnerRow {
                    first_sequence: owner.first_sequence,
                    start_ns: Some(start_ns),
                    row: self.row(key, &owner.name, start_ns),
                }
            })
            .collect();
        if rows.is_empty() {
            // Nobody said whose ring it is: its header names the thread that made it.
            let header = ring.file.as_ref().map(|(_, header)| header);
            let tid = header.map_or(0, |header| header.tid.get());
            rows.push(OwnerRow {
                first_sequence: 0,
                start_ns: header.map(|header| clock.mono_ns(header.created_mono_ns.get())),
                row: self.row(RowKey::Thread(process_row, tid), "", i64::MIN),
            });
        }
        rows
    }

    fn lane_row(
        &mut self,
        process_row: u32,
        lane: &LaneGeneration,
        clock: &ProcessClock,
    ) -> LaneRow {
        let start_ns = clock.ticks(lane.start_ticks);
        if lane.kind != LaneKind::Stream {
            let key = RowKey::Track(process_row, lane.name.clone());
            return LaneRow::host(self.row(key, &lane.name, start_ns));
        }
        let device_row = self.device_row(process_row, lane.device);
        let key = RowKey::Stream(device_row, lane.stream);
        LaneRow {
            row: self.row(key, &lane.name, start_ns),
            clock_domain: Some(lane.clock_domain),
        }
    }

    fn device_row(&mut self, process_row: u32, device: u32) -> u32 {
        if let Some(index) = self.device_index.get(&(process_row, device)) {
            return *index;
        }
        let index = self.out.processes.len() as u32;
        self.device_index.insert((process_row, device), index);
        if let Some(host) = self.out.processes.get(process_row as usize).cloned() {
            self.out.processes.push(ProcessRow {
                name: format!("{} device {device}", host.name),
                device: Some(device),
                ..host
            });
        }
        index
    }

    fn row(&mut self, key: RowKey, name: &str, named_ns: i64) -> u32 {
        let (process, kind) = match &key {
            RowKey::Thread(process, tid) => (*process, RowKind::Thread(*tid)),
            RowKey::Track(process, _) => (*process, RowKind::Track),
            RowKey::Stream(process, stream) => (*process, RowKind::Stream(*stream)),
        };
        let rows = &mut self.out.rows;
        let index = *self.row_index.entry(key).or_insert_with(|| {
            rows.push(Row {
                process,
                kind,
                name: String::new(),
                named_ns: i64::MIN,
            });
            rows.len() as u32 - 1
        });
        if let Some(row) = rows.get_mut(index as usize)
            && !name.is_empty()
            && named_ns >= row.named_ns
        {
            row.name = name.to_owned();
            row.named_ns = named_ns;
        }
        index
    }

    fn name_the_nameless(&mut self) {
        for row in self.out.rows.iter_mut().filter(|row| row.name.is_empty()) {
            let process = self.out.processes.get(row.process as usize);
            let process = process.map_or("", |process| process.name.as_str());
            row.name = match row.kind {
                RowKind::Thread(tid) => format!("{process} {tid}"),
                RowKind::Track => "track".to_owned(),
                RowKind::Stream(stream) => format!("stream {stream}"),
            };
        }
    }
}
