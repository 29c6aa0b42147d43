//! Writing a trace: slices of the time line are formatted in parallel and written in order.

use std::io::{self, Write};

use rayon::prelude::*;

use crate::arrows::Arrows;
use crate::event::{Event, EventKind, NO_SITE};
use crate::format::{Format, Slice};
use crate::lanes::Lane;
use crate::timeline::Timeline;

/// Events formatted by one thread at a time.
const CHUNK: usize = 4096;
/// Chunks formatted before they are written.
const CHUNKS_AT_ONCE: usize = 64;

/// In which order events stand in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// By start over all lanes, parents before children.
    #[default]
    Time,
    /// Lane by lane.
    Lane,
}

/// Writes a trace of `timeline` in `format`; the number of events written, names and flow arrows of launches not counted. `progress` is
/// told now and then how many are done.
///
/// # Errors
///
/// When `out` fails.
pub fn write(
    timeline: &Timeline,
    format: &dyn Format,
    order: Order,
    out: &mut (dyn Write + Send),
    progress: &dyn Fn(u64),
) -> io::Result<u64> {
    let order = match order {
        Order::Lane => None,
        Order::Time => Some(timeline.on_threads(|| time_order(timeline))),
    };
    let arrows = Arrows::of(timeline, |a, b| match order {
        Some(_) => by_time(timeline, a, b).is_lt(),
        None => a < b,
    });
    let mut head = Vec::new();
    format.head(&mut head);
    out.write_all(&head)?;
    let total = timeline.events.len();
    let at_once = CHUNK * CHUNKS_AT_ONCE;
    let mut done = 0;
    while done < total {
        let end = total.min(done + at_once);
        let starts: Vec<usize> = (done..end).step_by(CHUNK).collect();
        let format_chunk = |start: &usize| {
            let range = *start..end.min(start + CHUNK);
            let chunk = Chunk::of(timeline, range, order.as_deref(), &arrows);
            let mut bytes = Vec::with_capacity(chunk.events.len() * 128);
            format.slice(&chunk.slice(timeline), &mut bytes);
            bytes
        };
        let chunks: Vec<Vec<u8>> =
            timeline.on_threads(|| starts.par_iter().map(format_chunk).collect());
        for chunk in &chunks {
            out.write_all(chunk)?;
        }
        done = end;
        progress(done as u64);
    }
    let mut tail = Vec::new();
    format.tail(&mut tail);
    out.write_all(&tail)?;
    Ok(total as u64)
}

/// Indexes of all events by time.
fn time_order(timeline: &Timeline) -> Vec<usize> {
    let mut lanes: Vec<&Lane> = timeline.lanes.iter().collect();
    lanes.sort_by_key(|lane| (lane.pid, lane.tid));
    let mut order = Vec::with_capacity(timeline.events.len());
    for lane in lanes {
        let events = lane.events.clone().zip(timeline.events_of(lane));
        order.extend(events.map(|(index, event)| (event.start_ns, event.end_ns, index)));
    }
    // Each lane is in order already: a stable sort finds these runs and merges them, and keeps lanes by id and the
    // order within a lane where times are equal.
    order.par_sort_by(|a, b| a.0.cmp(&b.0).then_with(|| b.1.cmp(&a.1)));
    order.into_iter().map(|(_, _, index)| index).collect()
}

/// The order of two events in [`time_order`].
fn by_time(timeline: &Timeline, a: usize, b: usize) -> std::cmp::Ordering {
    let key = |index: usize| {
        let event = timeline.events.get(index)?;
        let lane = timeline.lanes.get(event.lane as usize)?;
        let longest_first = std::cmp::Reverse(event.end_ns);
        Some((event.start_ns, longest_first, lane.pid, lane.tid, index))
    };
    key(a).cmp(&key(b))
}

/// Copies of the events of a slice, with the ends of arrows among them.
struct Chunk {
    events: Vec<Event>,
    payloads: Vec<u8>,
}

impl Chunk {
    fn of(
        timeline: &Timeline,
        range: std::ops::Range<usize>,
        order: Option<&[usize]>,
        arrows: &Arrows,
    ) -> Chunk {
        let mut chunk = Chunk {
            events: Vec::with_capacity(range.len()),
            payloads: Vec::new(),
        };
        for at in range {
            let index = order.map_or(at, |order| order[at]);
            let mut event = timeline.events[index];
            let payload = timeline.payload(&event);
            event.payload_at = chunk.payloads.len() as u64;
            chunk.payloads.extend_from_slice(payload);
            chunk.events.push(event);
            for end in arrows.behind(index) {
                chunk.events.push(Event {
                    start_ns: end.at_ns,
                    end_ns: end.at_ns,
                    word: end.id,
                    lane: end.lane,
                    site: NO_SITE,
                    payload_len: 0,
                    kind: if end.is_end {
                        EventKind::ArrowEnd
                    } else {
                        EventKind::ArrowStart
                    },
                    flags: 0,
                    detail: 0,
                    ..event
                });
            }
        }
        chunk
    }

    fn slice<'a>(&'a self, timeline: &'a Timeline) -> Slice<'a> {
        Slice {
            timeline,
            events: &self.events,
            payloads: &self.payloads,
        }
    }
}
