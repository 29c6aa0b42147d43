//! Perfetto's own format: a sequence of packets, each a protocol buffer.
//!
//! A span is two packets, its begin and its end; names, categories and keys are written once and referred to by number.
//! Packets belong to *sequences*, which have clocks and defaults of their own. Each lane with many events gets one: its
//! packets need not name the track, and tell the time that passed since the packet before. The other lanes share a
//! sequence whose packets name track and time. Where a slice begins, the clocks of the lanes in it are set anew, so that
//! slices can be written in any order.

mod fields;
mod names;
mod plain;
mod slice;
mod tasks;
mod tracks;
mod wire;

use std::io::{self, Write};

use fields::{chrome, clock, defaults, packet, trace};
use names::Names;
use plain::{PlainWriter, SpanTemplate};
use slice::SliceWriter;
use tasks::TaskAnnotations;
use tracks::Tracks;
use wire::{put_bytes, put_message, put_uint};

use crate::format::{Format, PlainSlice, Sheet, Slice};
use crate::json;
use crate::timeline::Timeline;
use crate::trace::{self as traces, Order, Output};

/// The sequence of all lanes that have none of their own.
const SHARED_SEQUENCE: u64 = 1;
/// Clocks of a sequence: one that counts from packet to packet, and the absolute time that it is set by. Both are in ns
/// on the scale of the trace.
const DELTA_CLOCK: u64 = 64;
const ABSOLUTE_CLOCK: u64 = 65;
/// Most lanes with sequences of their own: up to sequence 127, the number of one takes one byte.
const MAX_OWN_SEQUENCES: usize = 126;
/// Events that a lane needs to have for each text that its sequence repeats.
const EVENTS_PER_TEXT: u64 = 32;

/// Writes the trace of `timeline` in Perfetto's format; see [`traces::write`].
///
/// # Errors
///
/// When `out` fails.
pub fn write(
    timeline: &Timeline,
    order: Order,
    out: &mut (dyn Write + Send),
    progress: &(dyn Fn(u64) + Sync),
) -> io::Result<u64> {
    let format = Perfetto::new(timeline);
    traces::write(timeline, &format, order, Output::Stream(out), progress)
}

/// Perfetto's format, for one time line.
pub struct Perfetto<'a> {
    timeline: &'a Timeline,
    names: Names,
    tracks: Tracks<'a>,
    /// By site.
    templates: Vec<Option<SpanTemplate>>,
    tasks: TaskAnnotations,
    /// For each lane the index among those that have a sequence of their own, in the order of [`Perfetto::busy`].
    own_sequence: Vec<Option<usize>>,
    /// Lanes that have a sequence of their own.
    busy: Vec<u32>,
    /// What to subtract from CLOCK_MONOTONIC for a time stamp, ns.
    base_ns: i64,
}

impl<'a> Perfetto<'a> {
    /// The format, for one time line.
    pub fn new(timeline: &'a Timeline) -> Perfetto<'a> {
        let names = Names::of(timeline);
        let busy = busy_lanes(timeline, names.len() as u64 * EVENTS_PER_TEXT);
        let mut own_sequence = vec![None; timeline.lanes.len()];
        for (index, lane) in busy.iter().enumerate() {
            own_sequence[*lane as usize] = Some(index);
        }
        let sites = timeline.sites.iter().enumerate();
        let templates = sites.map(|(index, site)| SpanTemplate::of(site, index, &names));
        Perfetto {
            timeline,
            templates: templates.collect(),
            tasks: TaskAnnotations::of(timeline, &names),
            names,
            tracks: Tracks::of(timeline),
            own_sequence,
            busy,
            base_ns: timeline.base_ns(),
        }
    }
}

/// The lanes with the most events, of those that have more than `least`.
fn busy_lanes(timeline: &Timeline, least: u64) -> Vec<u32> {
    let lanes = (0..)
        .zip(&timeline.lanes)
        .map(|(index, lane)| (lane.event_count, index));
    let mut lanes: Vec<(u64, u32)> = lanes.filter(|(events, _)| *events > least).collect();
    lanes.sort_unstable_by_key(|(events, lane)| (std::cmp::Reverse(*events), *lane));
    lanes.truncate(MAX_OWN_SEQUENCES);
    lanes.into_iter().map(|(_, lane)| lane).collect()
}

/// Number of the sequence of a busy lane.
fn sequence_of(busy: usize) -> u64 {
    SHARED_SEQUENCE + 1 + busy as u64
}

impl Format for Perfetto<'_> {
    fn head(&self, out: &mut Vec<u8>) {
        put_clocks(out, SHARED_SEQUENCE, |out| {
            let epoch_ns = self.timeline.base_epoch_ns();
            put_clock(out, clock::BOOTTIME, 0, false);
            put_clock(out, clock::REALTIME, epoch_ns as u64, false);
            put_uint(out, clock::PRIMARY, clock::BOOTTIME);
        });
        put_message(out, trace::PACKET, |out| {
            put_uint(out, packet::SEQUENCE_ID, SHARED_SEQUENCE);
            put_uint(out, packet::SEQUENCE_FLAGS, packet::STATE_CLEARED);
            self.names.put_tables(out);
        });
        self.tracks.put(out);
        for (index, lane) in self.busy.iter().enumerate() {
            let sequence = sequence_of(index);
            put_message(out, trace::PACKET, |out| {
                put_uint(out, packet::SEQUENCE_ID, sequence);
                put_uint(out, packet::SEQUENCE_FLAGS, packet::STATE_CLEARED);
                put_message(out, packet::DEFAULTS, |out| {
                    put_uint(out, defaults::CLOCK_ID, DELTA_CLOCK);
                    put_message(out, defaults::TRACK_EVENT, |out| {
                        put_uint(out, defaults::TRACK_UUID, Tracks::of_lane(*lane));
                    });
                });
                self.names.put_tables(out);
            });
            put_clocks(out, sequence, |out| {
                put_clock(out, clock::BOOTTIME, 0, false);
                put_clock(out, ABSOLUTE_CLOCK, 0, false);
            });
        }
    }

    fn slice(&self, slice: &Slice<'_>, out: &mut Sheet) {
        out.append(|out| SliceWriter::new(self, *slice, out).write());
    }

    fn plain_slice(&self, slice: &PlainSlice<'_>, out: &mut Sheet) {
        PlainWriter::new(self, out).write(slice);
    }

    /// Where the trace comes from and what is missing, as one text.
    fn tail(&self, out: &mut Vec<u8>) {
        let mut metadata = Vec::new();
        json::put_tree(&mut metadata, &crate::chrome::metadata(self.timeline));
        put_message(out, trace::PACKET, |out| {
            put_uint(out, packet::SEQUENCE_ID, SHARED_SEQUENCE);
            put_message(out, packet::CHROME_EVENTS, |out| {
                put_message(out, chrome::METADATA, |out| {
                    put_bytes(out, chrome::NAME, b"ringscope");
                    put_bytes(out, chrome::JSON_VALUE, &metadata);
                });
            });
        });
    }
}

/// Appends a packet that says what several clocks show at one moment.
fn put_clocks(out: &mut Vec<u8>, sequence: u64, put: impl FnOnce(&mut Vec<u8>)) {
    put_message(out, trace::PACKET, |out| {
        put_uint(out, packet::SEQUENCE_ID, sequence);
        put_message(out, packet::CLOCK_SNAPSHOT, put);
    });
}

fn put_clock(out: &mut Vec<u8>, id: u64, at_ns: u64, is_incremental: bool) {
    put_message(out, clock::CLOCKS, |out| {
        put_uint(out, clock::ID, id);
        put_uint(out, clock::TIMESTAMP, at_ns);
        if is_incremental {
            put_uint(out, clock::IS_INCREMENTAL, 1);
        }
    });
}
