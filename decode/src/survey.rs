//! What a filter leaves: a pass over all events before the first is written, since lanes without events are not named.

use std::io;
use std::sync::{Mutex, PoisonError};

use crate::engine::{ClippedEvent, Engine, Scope};
use crate::filter::Compiled;
use crate::pipeline::{self, Stages};
use crate::ring::gather::{Gatherer, RowSet};

/// What is left.
pub(crate) struct Left {
    /// Events on each lane.
    pub event_counts: Vec<u64>,
    /// Events that begin before the filter's time and reach into it.
    pub clipped: Vec<ClippedEvent>,
}

/// Passes over the events of the whole time line, slice by slice; lanes that `keeps_lane` denies lose theirs.
///
/// # Errors
///
/// When the temporary file fails.
pub(crate) fn survey(
    engine: &Engine,
    cuts: &[i64],
    compiled: &Compiled,
    keeps_lane: &[bool],
) -> io::Result<Left> {
    let pass = Pass {
        engine,
        rings: engine.all_rings(),
        cuts,
        compiled,
        keeps_lane,
        left: Mutex::new(Left {
            event_counts: vec![0; keeps_lane.len()],
            clipped: Vec::new(),
        }),
    };
    pipeline::run(&pass, cuts.len().saturating_sub(1))?;
    Ok(pass
        .left
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner))
}

struct Pass<'a> {
    engine: &'a Engine,
    rings: Vec<u32>,
    cuts: &'a [i64],
    compiled: &'a Compiled,
    keeps_lane: &'a [bool],
    left: Mutex<Left>,
}

impl Stages for Pass<'_> {
    type Room = Gatherer;
    type Error = io::Error;

    fn prepare(&self, piece: usize, gatherer: &mut Gatherer) -> io::Result<()> {
        let scope = Scope {
            rings: &self.rings,
            rows: RowSet::All,
            is_by_lane: false,
        };
        let (from_ns, to_ns) = (self.cuts[piece], self.cuts[piece + 1]);
        self.engine.gather(gatherer, scope, from_ns, to_ns)?;
        self.engine.lay_on_lanes(gatherer, from_ns, to_ns)
    }

    fn in_turn(&self, _piece: usize, gatherer: &mut Gatherer) -> io::Result<()> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        for event in &gatherer.events {
            let lane = event.lane as usize;
            let mut kept = *event;
            if !self.keeps_lane[lane] || !self.compiled.keep(&mut kept) {
                continue;
            }
            left.event_counts[lane] += 1;
            if event.start_ns < self.compiled.first_ns() {
                left.clipped.push(ClippedEvent {
                    row: self.engine.row_of_lane[lane],
                    event: kept,
                    payload: event.payload(&gatherer.payloads).to_vec(),
                });
            }
        }
        Ok(())
    }

    fn complete(&self, _piece: usize, _gatherer: &mut Gatherer) -> io::Result<()> {
        Ok(())
    }
}
