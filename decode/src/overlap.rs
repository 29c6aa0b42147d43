//! Which rows have to be split: those whose spans overlap, or may.
//!
//! The scan of a ring tells for the spans that stand in it in the order of their ends. What it can't see is looked at
//! here: rows that several rings write, and events that begin long before they were recorded or stand in no ring at all
//! (open spans, losses). Where that would be too much the row counts as one whose spans overlap: dividing it then finds
//! that one lane is enough.

use std::io;

use crate::engine::{Engine, row_order};
use crate::event::{Event, EventKind};
use crate::lanes::{self, MAX_DEPTH};
use crate::ring::gather::{Gatherer, RowSet, Wanted};

/// Events of a row that are looked at one by one.
const MAX_LOOKED_AT: usize = 256;

/// What is known of a row.
#[derive(Default)]
struct RowFacts {
    /// Rings that hold events of it.
    rings: Vec<u32>,
    event_count: u64,
    /// Deepest nesting, or more.
    depth: u32,
    is_broken: bool,
    /// Intervals that the scan could not compare with all others.
    special: Vec<Event>,
    special_count: usize,
}

/// What the rows come to.
pub(crate) struct RowVerdicts {
    /// By row.
    pub is_split: Vec<bool>,
    /// Deepest nesting of rows that are not split.
    pub depths: Vec<u32>,
    pub event_counts: Vec<u64>,
}

/// Looks at all rows.
pub(crate) fn verdicts(engine: &Engine, row_count: usize) -> RowVerdicts {
    let mut rows: Vec<RowFacts> = Vec::new();
    rows.resize_with(row_count, RowFacts::default);
    for (index, ring) in (0..).zip(&engine.rings) {
        for used in &ring.rows {
            let row = &mut rows[used.row as usize];
            row.rings.push(index);
            row.event_count += used.event_count;
            row.depth = row.depth.max(used.nesting.depth);
            row.is_broken |= used.nesting.is_broken;
        }
        let asides = ring.asides.resident().iter().map(|aside| &aside.event);
        for event in asides.chain(ring.extras.iter().map(|(event, _)| event)) {
            rows[event.lane as usize].add_special(index, event);
        }
        if ring.asides.reaches().len() > 0 {
            // Too many to be looked at: nobody knows whose they are.
            for used in &ring.rows {
                rows[used.row as usize].is_broken = true;
            }
        }
        for (event, _) in &ring.extras {
            rows[event.lane as usize].event_count += 1;
        }
    }
    let mut gatherer = Gatherer::default();
    let is_split = (0u32..).zip(&mut rows).map(|(number, row)| {
        row.is_broken
            || row.rings.len() > 1
            || row.depth > MAX_DEPTH
            || row.special_count > MAX_LOOKED_AT
            || overlaps(engine, &mut gatherer, number, row)
    });
    RowVerdicts {
        is_split: is_split.collect(),
        depths: rows.iter().map(|row| row.depth).collect(),
        event_counts: rows.iter().map(|row| row.event_count).collect(),
    }
}

impl RowFacts {
    fn add_special(&mut self, ring: u32, event: &Event) {
        if !self.rings.contains(&ring) {
            self.rings.push(ring);
        }
        if !event.kind.is_interval() {
            return;
        }
        self.special_count += 1;
        if self.special.len() <= MAX_LOOKED_AT {
            self.special.push(*event);
        }
    }
}

/// True when a special interval overlaps another one, or a span near one of its ends.
fn overlaps(engine: &Engine, gatherer: &mut Gatherer, number: u32, row: &mut RowFacts) -> bool {
    if row.special.is_empty() {
        return false;
    }
    let by_start = |a: &Event, b: &Event| a.start_ns.cmp(&b.start_ns);
    row.special
        .sort_by(|a, b| by_start(a, b).then_with(|| row_order(a, b)));
    let lanes = lanes::of_row(&row.special);
    row.depth += lanes[0].depth;
    lanes.len() > 1
        || row.depth > MAX_DEPTH
        || row.special.iter().any(|event| {
            [event.start_ns, event.end_ns].into_iter().any(|moment| {
                gatherer.clear();
                for ring in &row.rings {
                    gatherer.add_around(engine.ring(*ring), moment, number);
                }
                let others = gatherer.events.iter();
                others
                    .filter(|other| other.kind.is_interval())
                    .any(|other| crosses(other, event))
            })
        })
}

fn crosses(a: &Event, b: &Event) -> bool {
    let is_cut = |a: &Event, b: &Event| {
        a.start_ns < b.start_ns && b.start_ns < a.end_ns && a.end_ns < b.end_ns
    };
    is_cut(a, b) || is_cut(b, a)
}

/// Cuts each lost stretch where the next span of its row begins, so that it crosses none.
///
/// # Errors
///
/// When the temporary file fails.
pub(crate) fn clip_losses(engine: &mut Engine, row_count: usize) -> io::Result<()> {
    let mut rings_of_row: Vec<Vec<u32>> = vec![Vec::new(); row_count];
    for (index, ring) in (0..).zip(&engine.rings) {
        for used in &ring.rows {
            rings_of_row[used.row as usize].push(index);
        }
        for (event, _) in &ring.extras {
            rings_of_row[event.lane as usize].push(index);
        }
    }
    let mut gatherer = Gatherer::default();
    let mut clipped = Vec::new();
    for (ring, scanned) in engine.rings.iter().enumerate() {
        for (at, (event, _)) in scanned.extras.iter().enumerate() {
            if event.kind == EventKind::Lost {
                let mut rings = rings_of_row[event.lane as usize].clone();
                rings.dedup();
                let next = next_start(engine, &mut gatherer, &rings, event)?;
                clipped.push((ring, at, next));
            }
        }
    }
    for (ring, at, next) in clipped {
        let event = &mut engine.rings[ring].extras[at].0;
        event.end_ns = event.end_ns.min(next).max(event.start_ns);
    }
    Ok(())
}

/// The first start of a span on the row of a loss, at or behind its start; the loss's end when that comes first.
fn next_start(
    engine: &Engine,
    gatherer: &mut Gatherer,
    rings: &[u32],
    lost: &Event,
) -> io::Result<i64> {
    let (mut from_ns, mut width_ns) = (lost.start_ns, 1i64 << 16);
    loop {
        let to_ns = from_ns
            .saturating_add(width_ns)
            .min(lost.end_ns.saturating_add(1));
        gatherer.clear();
        let wanted = Wanted {
            start_ns: from_ns,
            end_ns: to_ns,
            rows: RowSet::One(lost.lane),
        };
        for ring in rings {
            gatherer.add_ring(engine.ring(*ring), wanted)?;
        }
        let spans = gatherer.events.iter();
        let spans = spans.filter(|e| e.kind.is_interval() && e.kind != EventKind::Lost);
        if let Some(first) = spans.map(|span| span.start_ns).min() {
            return Ok(first);
        }
        // A loss may end where time does, with nothing behind it.
        if to_ns > lost.end_ns || to_ns == i64::MAX {
            return Ok(lost.end_ns);
        }
        from_ns = to_ns;
        width_ns = width_ns.saturating_mul(4);
    }
}
