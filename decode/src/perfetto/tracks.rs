//! Tracks: a process has its own, and below it those of its threads, of its other lanes, and of its counters.

use std::collections::{BTreeMap, HashMap};

use super::fields::{packet, trace, track};
use super::wire::{put_message, put_text, put_uint};
use crate::event::Event;
use crate::lanes::Lane;
use crate::rows::{ProcessRow, RowKind};
use crate::timeline::Timeline;

/// Numbers of tracks: lanes from 1 on, so that events refer to most of them by one byte; then processes; then
/// counters by process and name.
pub(super) struct Tracks<'a> {
    timeline: &'a Timeline,
    /// For each site the first one of its name: counters of a process that have one name are one.
    same_name: Vec<u64>,
}

impl<'a> Tracks<'a> {
    pub(super) fn of(timeline: &'a Timeline) -> Tracks<'a> {
        let mut first = HashMap::new();
        let sites = (0..).zip(&timeline.sites);
        let same_name =
            sites.map(|(index, site)| *first.entry(site.name.as_str()).or_insert(index));
        Tracks {
            timeline,
            same_name: same_name.collect(),
        }
    }

    pub(super) fn of_lane(lane: u32) -> u64 {
        lane as u64 + 1
    }

    fn of_process(&self, process: u32) -> u64 {
        (self.timeline.lanes.len() + 1) as u64 + process as u64
    }

    /// The track of a counter.
    pub(super) fn of_counter(&self, event: &Event) -> u64 {
        let sites = self.same_name.len() as u64;
        let site = self
            .same_name
            .get(event.site as usize)
            .copied()
            .unwrap_or(sites);
        let lane = self.timeline.lanes.get(event.lane as usize);
        let process = lane.map_or(0, |lane| lane.process) as u64;
        self.of_process(self.timeline.processes.len() as u32) + process * (sites + 1) + site
    }

    /// Appends the packets that describe processes and lanes.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let shown = (0..)
            .zip(&self.timeline.lanes)
            .filter(|(_, lane)| self.timeline.shows(lane));
        let shown: Vec<(u32, &Lane)> = shown.collect();
        let mut ranks = BTreeMap::new();
        for (_, lane) in &shown {
            let rank = ranks.len() as u64;
            if !ranks.contains_key(&lane.process)
                && let Some(process) = self.timeline.processes.get(lane.process as usize)
            {
                ranks.insert(lane.process, rank);
                put_track(out, self.of_process(lane.process), |out| {
                    put_process(out, process, rank)
                });
            }
        }
        for (rank, (index, lane)) in (0..).zip(shown) {
            put_track(out, Tracks::of_lane(index), |out| match lane.kind {
                RowKind::Thread(_) if lane.number == 1 && has_thread_ids(lane) => {
                    put_thread(out, lane, rank);
                }
                _ => {
                    put_uint(out, track::PARENT_UUID, self.of_process(lane.process));
                    put_text(out, track::NAME, &lane.name);
                    put_uint(out, track::SIBLING_RANK, rank);
                    // Two tasks of one name are two.
                    put_uint(out, track::SIBLING_MERGE, track::NO_MERGE);
                }
            });
        }
    }

    /// Appends the packet that describes the counter of `event`.
    pub(super) fn put_counter(&self, event: &Event, out: &mut Vec<u8>) {
        let lane = self.timeline.lanes.get(event.lane as usize);
        put_track(out, self.of_counter(event), |out| {
            put_uint(
                out,
                track::PARENT_UUID,
                self.of_process(lane.map_or(0, |lane| lane.process)),
            );
            put_text(out, track::NAME, self.timeline.name(event));
            put_message(out, track::COUNTER, |_| {});
        });
    }
}

fn put_track(out: &mut Vec<u8>, uuid: u64, put: impl FnOnce(&mut Vec<u8>)) {
    put_message(out, trace::PACKET, |out| {
        put_uint(out, packet::SEQUENCE_ID, super::SHARED_SEQUENCE);
        put_message(out, packet::TRACK_DESCRIPTOR, |out| {
            put_uint(out, track::UUID, uuid);
            put(out);
        });
    });
}

fn put_process(out: &mut Vec<u8>, process: &ProcessRow, rank: u64) {
    put_uint(out, track::CHILD_ORDERING, track::BY_RANK);
    put_message(out, track::PROCESS, |out| {
        put_uint(out, track::PID, process.trace_pid as u64);
        put_text(out, track::PROCESS_NAME, &process.name);
        put_uint(out, track::SORT_INDEX, rank);
        for label in labels(process) {
            put_text(out, track::LABELS, &label);
        }
    });
}

/// Ids of threads have 31 bits here: made-up ones would become negative, and belong to no process.
fn has_thread_ids(lane: &Lane) -> bool {
    lane.pid.max(lane.tid) <= i32::MAX as u32
}

fn put_thread(out: &mut Vec<u8>, lane: &Lane, rank: u64) {
    put_uint(out, track::SIBLING_RANK, rank);
    put_message(out, track::THREAD, |out| {
        put_uint(out, track::PID, lane.pid as u64);
        put_uint(out, track::TID, lane.tid as u64);
        put_uint(out, track::SORT_INDEX, rank);
        put_text(out, track::THREAD_NAME, &lane.name);
    });
}

/// What the viewer shows beside a process's name.
fn labels(process: &ProcessRow) -> Vec<String> {
    if process.device.is_some() {
        return Vec::new();
    }
    let mut labels = vec![process.liveness.as_str().to_owned()];
    labels.extend(process.rank.map(|rank| format!("rank {rank}")));
    let signal = process.exit.and_then(|exit| exit.signal_name());
    labels.extend(signal.map(|signal| format!("killed by {signal}")));
    labels
}
