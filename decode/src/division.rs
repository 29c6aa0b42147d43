//! Dividing rows whose spans overlap among lanes: one pass over them by time, which writes down the lane of each span.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, PoisonError};

use zerocopy::IntoBytes;

use crate::engine::{Engine, NumbersPlace, Scope, Split, row_order};
use crate::event::Event;
use crate::lanes::{Ends, Interval, Placed, SplitLane, Splitter};
use crate::pipeline::{self, Stages};
use crate::ring::gather::{Gatherer, RowSet};

/// What the rows were divided into.
pub(crate) struct Divided {
    pub split: Split,
    /// Lanes of each row that has intervals to divide.
    pub lanes: HashMap<u32, Vec<SplitLane>>,
}

/// Divides the rows in `is_split`; `cuts` are the slices that the time line is written in.
///
/// # Errors
///
/// When the temporary file fails.
pub(crate) fn divide(engine: &Engine, is_split: Vec<bool>, cuts: Vec<i64>) -> io::Result<Divided> {
    let holds_some = |ring: &u32| {
        let ring = &engine.rings[*ring as usize];
        let used = ring.rows.iter().map(|used| used.row);
        let extra = ring.extras.iter().map(|(event, _)| event.lane);
        used.chain(extra).any(|row| is_split[row as usize])
    };
    let rings: Vec<u32> = engine.all_rings().into_iter().filter(holds_some).collect();
    let pass = Pass {
        engine,
        rings: &rings,
        is_split: &is_split,
        cuts: &cuts,
        progress: Mutex::new(Progress {
            splitter: Splitter::new(is_split.len()),
            places: Vec::new(),
        }),
    };
    let slices = if rings.is_empty() {
        0
    } else {
        cuts.len().saturating_sub(1)
    };
    pipeline::run(&pass, slices)?;
    let progress = pass.progress.into_inner();
    let Progress { splitter, places } = progress.unwrap_or_else(PoisonError::into_inner);
    let lanes = (0..).zip(splitter.into_lanes());
    Ok(Divided {
        lanes: lanes.filter(|(_, lanes)| !lanes.is_empty()).collect(),
        split: Split {
            is_split,
            rings,
            cuts,
            places,
        },
    })
}

struct Pass<'a> {
    engine: &'a Engine,
    rings: &'a [u32],
    is_split: &'a [bool],
    cuts: &'a [i64],
    progress: Mutex<Progress>,
}

struct Progress {
    splitter: Splitter,
    /// Where the numbers of each slice stand.
    places: Vec<NumbersPlace>,
}

#[derive(Default)]
struct Room {
    gatherer: Gatherer,
    intervals: Vec<Interval>,
    ends: Ends,
    placed: Vec<Placed>,
    numbers: Vec<u32>,
    offset: u64,
}

impl Stages for Pass<'_> {
    type Room = Room;
    type Error = io::Error;

    fn prepare(&self, piece: usize, room: &mut Room) -> io::Result<()> {
        let scope = Scope {
            rings: self.rings,
            rows: RowSet::Listed(self.is_split),
            is_by_lane: false,
        };
        let (from_ns, to_ns) = (self.cuts[piece], self.cuts[piece + 1]);
        self.engine
            .gather(&mut room.gatherer, scope, from_ns, to_ns)?;
        let intervals = &mut room.intervals;
        intervals.clear();
        let visit = |event: &Event| {
            if event.kind.is_interval() {
                intervals.push(Interval::of(event));
            }
        };
        room.gatherer.for_each_in_order(from_ns, row_order, visit);
        room.ends.sort(&room.intervals);
        Ok(())
    }

    fn in_turn(&self, _piece: usize, room: &mut Room) -> io::Result<()> {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let splitter = &mut progress.splitter;
        splitter.place(&room.intervals, &room.ends, &mut room.placed);
        let len_bytes = room.placed.len() * size_of::<u32>();
        room.offset = self.engine.storage.spill.reserve(len_bytes as u64);
        progress.places.push(NumbersPlace {
            offset: room.offset,
            count: room.placed.len(),
        });
        Ok(())
    }

    fn complete(&self, _piece: usize, room: &mut Room) -> io::Result<()> {
        room.numbers.clear();
        let lanes = room.placed.iter().map(|placed| placed.lane);
        room.numbers.extend(lanes);
        let spill = &self.engine.storage.spill;
        spill.write_at(room.offset, room.numbers.as_bytes())
    }
}
