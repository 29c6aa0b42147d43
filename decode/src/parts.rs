//! Dividing a time line into stretches of about equal output.

use std::io;
use std::sync::{Mutex, PoisonError};

use crate::event::Event;
use crate::format::{Format, Sheet, Slice};
use crate::pipeline::{self, Stages};
use crate::ring::gather::Gatherer;
use crate::sequence::Sequence;
use crate::timeline::Timeline;
use crate::trace::Order;

/// Events that are weighed together.
const CHUNK: usize = 1 << 10;

/// Moments, CLOCK_MONOTONIC in ns, that divide `timeline` into stretches of about `len_bytes` each in `format`; the
/// first and the last are the ends of what is kept of it. Everything is formatted once to find them.
///
/// # Errors
///
/// When the temporary file fails.
pub fn by_size(timeline: &Timeline, format: &dyn Format, len_bytes: u64) -> io::Result<Vec<i64>> {
    let mut edges = Vec::new();
    format.head(&mut edges);
    format.tail(&mut edges);
    let room_bytes = len_bytes.saturating_sub(edges.len() as u64).max(1);
    let sizes = timeline.on_threads(|| {
        let weighing = Weighing {
            timeline,
            format,
            sequence: Sequence::new(timeline, Order::Time, format)?,
            sizes: Mutex::default(),
        };
        pipeline::run(&weighing, weighing.sequence.len())?;
        let sizes = weighing.sizes.into_inner();
        Ok::<_, io::Error>(sizes.unwrap_or_else(PoisonError::into_inner))
    })?;
    let (first_ns, end_ns) = timeline.window_ns;
    let mut moments = vec![first_ns];
    let mut filled_bytes = 0;
    for chunk in sizes {
        if filled_bytes > 0 && filled_bytes + chunk.len_bytes > room_bytes {
            moments.push(chunk.start_ns);
            filled_bytes = 0;
        }
        filled_bytes += chunk.len_bytes;
    }
    moments.push(end_ns.saturating_add(1));
    moments.retain(|moment| (first_ns..=end_ns.saturating_add(1)).contains(moment));
    moments.dedup();
    Ok(moments)
}

/// Formats slices to see how much they come to.
struct Weighing<'a> {
    timeline: &'a Timeline,
    format: &'a dyn Format,
    sequence: Sequence<'a>,
    sizes: Mutex<Vec<Chunk>>,
}

/// Some events that stand one after the other.
struct Chunk {
    start_ns: i64,
    len_bytes: u64,
}

#[derive(Default)]
struct Room {
    gatherer: Gatherer,
    bytes: Sheet,
    chunks: Vec<Chunk>,
}

impl Stages for Weighing<'_> {
    type Room = Room;
    type Error = io::Error;

    fn prepare(&self, piece: usize, room: &mut Room) -> io::Result<()> {
        self.sequence.events(piece, &mut room.gatherer)?;
        let whole = room.gatherer.slice(self.timeline);
        let weigh = |events| {
            room.bytes.clear();
            self.format
                .slice(&Slice { events, ..whole }, &mut room.bytes);
            Chunk {
                start_ns: events.first().map_or(0, |event: &Event| event.start_ns),
                len_bytes: room.bytes.len() as u64,
            }
        };
        room.chunks = whole.events.chunks(CHUNK).map(weigh).collect();
        Ok(())
    }

    fn in_turn(&self, _piece: usize, room: &mut Room) -> io::Result<()> {
        let mut sizes = self.sizes.lock().unwrap_or_else(PoisonError::into_inner);
        sizes.append(&mut room.chunks);
        Ok(())
    }

    fn complete(&self, _piece: usize, _room: &mut Room) -> io::Result<()> {
        Ok(())
    }
}
