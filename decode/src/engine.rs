//! The events of a time line, slice by slice: gathered from the rings, sorted, laid on lanes and filtered whenever they
//! are asked for. Nothing is held but where they are.

use std::cmp::Ordering;
use std::io;
use std::ops::Range;

use zerocopy::IntoBytes;

use crate::arrows::Drawing;
use crate::event::{Event, EventKind};
use crate::filter::Compiled;
use crate::pairs::Pairs;
use crate::recorder::Recorder;
use crate::ring::gather::{Gatherer, RingContext, RowSet, Wanted};
use crate::ring::index::Reach;
use crate::ring::plain::PlainGatherer;
use crate::ring::scan::ScannedRing;
use crate::ring::source::Storage;

/// Events of a slice, about: they, their records and their text fit into a processor's own cache.
const SLICE: usize = 1 << 11;
/// Most events of a slice, about.
const LARGEST_SLICE: usize = 1 << 15;
/// So many times the events of the blocks that two slices share make a slice, so that few blocks are read twice.
const SLICE_PER_SHARED: u64 = 3;

/// Where the events are, and what becomes of them on the way out.
pub(crate) struct Engine {
    /// In the order of runs, processes and ring numbers.
    pub rings: Vec<ScannedRing>,
    /// Processes of all runs, in order.
    pub recorders: Vec<Recorder>,
    pub storage: Storage,
    /// Index of the first lane of each row.
    pub lane_of_row: Vec<u32>,
    /// Index of the row of each lane, before a filter takes lanes out.
    pub row_of_lane: Vec<u32>,
    /// Place of each lane by process and thread id.
    pub lane_ranks: Vec<u32>,
    pub split: Split,
    pub filter: Option<LaneFilter>,
    /// Index of the process of each recorder.
    pub process_of: Vec<u32>,
    /// Launches and what became of them; `None` without launches and executions.
    pub pairs: Option<Pairs>,
}

/// Rows whose spans overlap, or seem to.
#[derive(Default)]
pub(crate) struct Split {
    /// By row.
    pub is_split: Vec<bool>,
    /// Rings that hold events of them.
    pub rings: Vec<u32>,
    /// The slices that numbers of lanes were given in.
    pub cuts: Vec<i64>,
    /// Where the numbers of each slice stand: one for each interval of a split row, in order.
    pub places: Vec<NumbersPlace>,
}

/// Some numbers of lanes in the temporary file.
#[derive(Clone, Copy)]
pub(crate) struct NumbersPlace {
    pub offset: u64,
    pub count: usize,
}

/// A filter, lane by lane.
pub(crate) struct LaneFilter {
    pub compiled: Compiled,
    /// By lane, before those that nothing is left of were taken out.
    pub keeps_lane: Vec<bool>,
    /// The lane that is left in its place.
    pub lane_left: Vec<u32>,
    /// Events that begin before the filter's time and reach into it.
    pub clipped: Vec<ClippedEvent>,
}

/// An event that now begins with the filter's time.
pub(crate) struct ClippedEvent {
    pub row: u32,
    pub event: Event,
    pub payload: Vec<u8>,
}

/// Which rings and rows to look at.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub rings: &'a [u32],
    pub rows: RowSet<'a>,
    /// Events will stand by lane, not by time.
    pub is_by_lane: bool,
}

impl Engine {
    pub(crate) fn ring(&self, index: u32) -> RingContext<'_> {
        let ring = &self.rings[index as usize];
        RingContext {
            recorder: &self.recorders[ring.recorder as usize],
            ring,
            source_index: index,
            storage: &self.storage,
        }
    }

    pub(crate) fn all_rings(&self) -> Vec<u32> {
        (0..self.rings.len() as u32).collect()
    }

    /// Moments that divide the events of some rings into slices, the first and the last included; fewer than two when
    /// there are no events.
    pub(crate) fn cuts(&self, rings: &[u32]) -> Vec<i64> {
        let reaches = rings.iter().flat_map(|index| {
            let ring = &self.rings[*index as usize];
            ring.reaches.iter().chain(ring.asides.reaches().iter())
        });
        let singles = rings.iter().flat_map(|index| {
            let ring = &self.rings[*index as usize];
            let resident = ring.asides.resident().iter().map(|aside| &aside.event);
            resident.chain(ring.extras.iter().map(|(event, _)| event))
        });
        slice_up(reaches, singles)
    }

    /// The same for a row that is not split and stands in some blocks of one ring.
    pub(crate) fn cuts_of_row(&self, row: u32, ring: u32, blocks: Range<usize>) -> Vec<i64> {
        let ring = &self.rings[ring as usize];
        let resident = ring.asides.resident().iter().map(|aside| &aside.event);
        let singles = resident.chain(ring.extras.iter().map(|(event, _)| event));
        slice_up(
            ring.reaches.range(blocks),
            singles.filter(|event| event.lane == row),
        )
    }

    /// The slices, and one more where events that a filter clipped begin behind all others.
    pub(crate) fn cuts_with_clipped(&self, mut cuts: Vec<i64>) -> Vec<i64> {
        let from_ns = match &self.filter {
            Some(filter) if !filter.clipped.is_empty() => filter.compiled.first_ns(),
            _ => return cuts,
        };
        if cuts.last().is_some_and(|last| *last <= from_ns) {
            cuts.push(from_ns.saturating_add(1));
        }
        cuts
    }

    /// Gathers the events that start in `from_ns..to_ns`, on their rows, unordered.
    pub(crate) fn gather(
        &self,
        gatherer: &mut Gatherer,
        scope: Scope<'_>,
        from_ns: i64,
        to_ns: i64,
    ) -> io::Result<()> {
        gatherer.clear();
        gatherer.keeps_order = scope.rings.len() == 1;
        let wanted = Wanted {
            start_ns: from_ns,
            end_ns: to_ns,
            rows: scope.rows,
        };
        for ring in scope.rings {
            gatherer.add_ring(self.ring(*ring), wanted)?;
        }
        Ok(())
    }

    /// Gathers the events that start in `from_ns..to_ns`, on their lanes, filtered and in order.
    pub(crate) fn slice(
        &self,
        gatherer: &mut Gatherer,
        scope: Scope<'_>,
        from_ns: i64,
        to_ns: i64,
    ) -> io::Result<()> {
        self.gather(gatherer, scope, from_ns, to_ns)?;
        self.lay_on_lanes(gatherer, from_ns, to_ns)?;
        if let Some(filter) = &self.filter {
            filter.apply(gatherer, scope, from_ns, to_ns);
            gatherer.sort(from_ns, |a, b| self.order(a, b));
        }
        if let Some(pairs) = &self.pairs {
            self.add_arrows(pairs, gatherer, scope.is_by_lane)?;
        }
        Ok(())
    }

    /// Gathers the events that start in `from_ns..to_ns` in order, where they are nothing but plain spans that keep their
    /// rows and that no filter looks at; false where not.
    pub(crate) fn plain_slice(
        &self,
        gatherer: &mut PlainGatherer,
        scope: Scope<'_>,
        from_ns: i64,
        to_ns: i64,
    ) -> bool {
        if self.filter.is_some()
            || self.pairs.is_some()
            || scope
                .rings
                .iter()
                .any(|ring| self.split.rings.binary_search(ring).is_ok())
        {
            return false;
        }
        gatherer.clear(scope.rings.len() == 1);
        let wanted = Wanted {
            start_ns: from_ns,
            end_ns: to_ns,
            rows: scope.rows,
        };
        let mut rings = scope.rings.iter();
        let is_plain = rings.all(|ring| {
            let added = gatherer.add_ring(self.ring(*ring), wanted, &self.lane_of_row);
            added.is_ok()
        });
        if is_plain {
            gatherer.sort(&self.lane_ranks);
        }
        is_plain
    }

    /// Replaces rows by lanes and puts the events in order.
    pub(crate) fn lay_on_lanes(
        &self,
        gatherer: &mut Gatherer,
        from_ns: i64,
        to_ns: i64,
    ) -> io::Result<()> {
        let is_split = |event: &Event| self.split.is_split[event.lane as usize];
        let has_split = !self.split.rings.is_empty() && gatherer.events.iter().any(is_split);
        if !has_split {
            for event in &mut gatherer.events {
                event.lane = self.lane_of_row[event.lane as usize];
            }
            gatherer.sort(from_ns, |a, b| self.order(a, b));
            return Ok(());
        }
        gatherer.sort(from_ns, row_order);
        let numbers = self.lane_numbers(from_ns, to_ns)?;
        let mut numbers = numbers.iter();
        for event in &mut gatherer.events {
            let number = if is_split(event) && event.kind.is_interval() {
                numbers.next().copied().unwrap_or(0)
            } else {
                0
            };
            event.lane = self.lane_of_row[event.lane as usize] + number;
        }
        gatherer.settle(|a, b| self.order(a, b));
        Ok(())
    }

    /// The numbers of the lanes that the intervals of split rows in this time go to, in row order.
    fn lane_numbers(&self, from_ns: i64, to_ns: i64) -> io::Result<Vec<u32>> {
        let split = &self.split;
        let slice = split.cuts.partition_point(|cut| *cut <= from_ns) - 1;
        debug_assert!(split.cuts[slice] == from_ns && split.cuts[slice + 1] == to_ns);
        let place = split.places[slice];
        let mut numbers = vec![0u32; place.count];
        let spill = &self.storage.spill;
        spill.read_at(place.offset, numbers.as_mut_bytes())?;
        Ok(numbers)
    }

    /// The order of events that start at the same moment: the longest first, by lane, parents before children; arrows
    /// behind all of them.
    pub(crate) fn order(&self, a: &Event, b: &Event) -> Ordering {
        let rank = |event: &Event| self.lane_ranks.get(event.lane as usize).copied();
        let is_arrow = |event: &Event| event.kind >= EventKind::ArrowStart;
        (is_arrow(a).cmp(&is_arrow(b)))
            .then_with(|| b.end_ns.cmp(&a.end_ns))
            .then_with(|| {
                if is_arrow(a) {
                    (a.word, a.kind).cmp(&(b.word, b.kind))
                } else {
                    rank(a).cmp(&rank(b))
                }
            })
            .then_with(|| a.order_on_row(b))
    }

    /// Adds the ends of arrows at the launches and device spans of a slice.
    fn add_arrows(
        &self,
        pairs: &Pairs,
        gatherer: &mut Gatherer,
        is_by_lane: bool,
    ) -> io::Result<()> {
        let drawing = Drawing {
            pairs,
            spill: &self.storage.spill,
            is_by_lane,
        };
        let process_of = |ring: u32| {
            let recorder = self.rings[ring as usize].recorder;
            self.process_of[recorder as usize]
        };
        let ends = drawing.draw(&mut gatherer.events, process_of, |row| {
            let lane = self.lane_of_row[row as usize];
            match &self.filter {
                Some(filter) => filter.lane_left[lane as usize],
                None => lane,
            }
        })?;
        if ends.is_empty() {
            return Ok(());
        }
        gatherer.events.extend(ends);
        let by_time = |a: &Event, b: &Event| a.start_ns.cmp(&b.start_ns);
        gatherer
            .events
            .sort_by(|a, b| by_time(a, b).then_with(|| self.order(a, b)));
        Ok(())
    }
}

/// Moments that divide events into slices, the first and the last included: those of blocks, and single ones.
fn slice_up<'a>(
    reaches: impl Iterator<Item = &'a Reach>,
    singles: impl Iterator<Item = &'a Event>,
) -> Vec<i64> {
    let mut starts: Vec<(i64, u32)> = Vec::new();
    let mut first_ns = i64::MAX;
    // Events of blocks, each times the time that its block spans.
    let mut event_time: u128 = 0;
    for reach in reaches.filter(|reach| reach.count > 0) {
        first_ns = first_ns.min(reach.first_ns);
        starts.push((reach.last_ns, reach.count));
        let span_ns = reach.last_ns.abs_diff(reach.first_ns);
        event_time += u128::from(span_ns) * u128::from(reach.count);
    }
    for event in singles {
        first_ns = first_ns.min(event.start_ns);
        starts.push((event.start_ns, 1));
    }
    starts.sort_unstable();
    let mut cuts = Vec::new();
    let Some((last_ns, _)) = starts.last().copied() else {
        return cuts;
    };
    // Events of the blocks that meet at a moment, on the average.
    let shared = event_time / u128::from(last_ns.abs_diff(first_ns).max(1));
    let target = (shared as u64).saturating_mul(SLICE_PER_SHARED) as usize;
    let target = target.clamp(SLICE, LARGEST_SLICE);
    cuts.push(first_ns);
    let mut count = 0;
    for (start_ns, more) in starts {
        count += more as usize;
        if count >= target && start_ns < last_ns {
            cuts.push(start_ns + 1);
            count = 0;
        }
    }
    cuts.push(last_ns.saturating_add(1));
    cuts.dedup();
    cuts
}

/// The order of events that start at the same moment while they stand on rows: on each row, parents before children.
pub(crate) fn row_order(a: &Event, b: &Event) -> Ordering {
    b.end_ns
        .cmp(&a.end_ns)
        .then_with(|| a.lane.cmp(&b.lane))
        .then_with(|| a.order_on_row(b))
}

impl LaneFilter {
    /// Keeps what passes and starts in the slice or is cut at its start.
    fn apply(&self, gatherer: &mut Gatherer, scope: Scope<'_>, from_ns: i64, to_ns: i64) {
        gatherer.events.retain_mut(|event| {
            let starts_before = event.start_ns < self.compiled.first_ns();
            let is_kept =
                !starts_before && self.keeps_lane[event.lane as usize] && self.compiled.keep(event);
            event.lane = self.lane_left[event.lane as usize];
            is_kept
        });
        for clipped in &self.clipped {
            let event = clipped.event;
            let is_here = event.start_ns >= from_ns && event.start_ns < to_ns;
            let is_asked_for = scope.rows.has(clipped.row);
            if is_here && is_asked_for && scope.rings.contains(&event.source) {
                gatherer.push(event, &clipped.payload);
            }
        }
    }
}
