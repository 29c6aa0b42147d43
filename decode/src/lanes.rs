//! Lanes: a row whose spans overlap is split, so that on every lane they nest or are disjoint.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::event::Event;
use crate::ring::keys;
use crate::rows::RowKind;

/// A line of the time line.
#[derive(Clone, Debug)]
pub struct Lane {
    /// Index into the time line's processes.
    pub process: u32,
    /// Name; extra lanes of a row end in their number.
    pub name: String,
    /// What its row stands for.
    pub kind: RowKind,
    /// 1 for the row's own lane, 2, 3, … for those made since spans overlap.
    pub number: u32,
    /// Process id that the trace shows.
    pub pid: u32,
    /// Thread id that the trace shows: the real one where it fits, else a made-up one from 2^31 on.
    pub tid: u32,
    /// Deepest nesting of spans.
    pub depth: u32,
    /// Its events.
    pub event_count: u64,
}

/// Importers draw no deeper nesting than this.
pub(crate) const MAX_DEPTH: u32 = 512;

/// Lanes of a block: their innermost ends are compared with an interval's at once. Few in tests, so that they have many.
const BLOCK: usize = if cfg!(test) { 3 } else { 16 };
/// Blocks of a group.
const GROUP: usize = if cfg!(test) { 2 } else { 64 };
/// Innermost end of a lane where no span is open: it takes whatever comes.
const FREE: i64 = i64::MAX;

/// Divides the intervals of rows, which come in row order, among as few lanes as come out when each goes to the first lane
/// of its row that takes it: one where it lies inside the innermost open span, or where none is open.
///
/// Spans are taken off their lanes as soon as they end. Of those that end within their slice [`Ends`] tells which is next;
/// the others wait in a heap.
#[derive(Default)]
pub(crate) struct Splitter {
    rows: Vec<SplitRow>,
    /// Open spans that end behind their slice, the next to end on top.
    waiting: BinaryHeap<Reverse<Waiting>>,
}

/// What is placed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Interval {
    start_ns: i64,
    end_ns: i64,
    row: u32,
}

impl Interval {
    /// Of an event on its row.
    pub(crate) fn of(event: &Event) -> Interval {
        Interval {
            start_ns: event.start_ns,
            end_ns: event.end_ns,
            row: event.lane,
        }
    }

    /// False for what takes no time: nothing can be inside it, and it keeps nothing off its lane.
    fn is_open_for_a_while(&self) -> bool {
        self.end_ns > self.start_ns
    }
}

/// Where an interval was placed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Placed {
    /// End of the span around it on its lane, or [`FREE`].
    outer_end_ns: i64,
    /// Number of the lane within its row, from 0.
    pub lane: u32,
    row: u32,
}

/// An open span. Of two that end at once on a lane the one inside the other is less: the end around it is theirs too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    end_ns: i64,
    placed: Placed,
}

/// The order in which intervals of a slice end, as far as they end before its last one starts.
#[derive(Default)]
pub(crate) struct Ends {
    keys: Vec<u64>,
    other_keys: Vec<u64>,
    /// First start of the slice; keys count from it.
    first_ns: i64,
    /// What ends behind this has no key.
    last_ns: i64,
}

impl Ends {
    /// Looks at the intervals of a slice, which are in row order.
    pub(crate) fn sort(&mut self, intervals: &[Interval]) {
        self.keys.clear();
        let (Some(first), Some(last)) = (intervals.first(), intervals.last()) else {
            return;
        };
        self.first_ns = first.start_ns;
        let has_keys = keys::key(self.since_ns(last.start_ns), intervals.len()).is_some();
        self.last_ns = if has_keys { last.start_ns } else { i64::MIN };
        // Of two that end at once the later placed may be inside the other: it comes first.
        for (index, interval) in intervals.iter().enumerate().rev() {
            if self.has(interval) {
                let key = keys::key(self.since_ns(interval.end_ns), index);
                self.keys.extend(key);
            }
        }
        keys::sort(&mut self.keys, &mut self.other_keys);
    }

    fn since_ns(&self, moment_ns: i64) -> u64 {
        moment_ns.wrapping_sub(self.first_ns) as u64
    }

    /// True when a span of the slice is among them.
    fn has(&self, interval: &Interval) -> bool {
        interval.is_open_for_a_while() && interval.end_ns <= self.last_ns
    }
}

impl Splitter {
    /// For so many rows.
    pub(crate) fn new(rows: usize) -> Splitter {
        let mut splitter = Splitter::default();
        splitter.rows.resize_with(rows, SplitRow::default);
        splitter
    }

    /// The lanes of each row.
    pub(crate) fn into_lanes(self) -> impl Iterator<Item = Vec<SplitLane>> {
        self.rows.into_iter().map(|row| row.lanes)
    }

    /// Places the intervals of the next slice, whose `ends` are sorted.
    pub(crate) fn place(&mut self, intervals: &[Interval], ends: &Ends, placed: &mut Vec<Placed>) {
        placed.clear();
        let mut ending = ends.keys.iter().peekable();
        for interval in intervals {
            // Spans of this slice first: they are inside those of earlier ones.
            let last_key = keys::last_key(ends.since_ns(interval.start_ns));
            while let Some(key) = ending.next_if(|key| **key <= last_key) {
                self.end(placed[keys::index(*key)]);
            }
            self.end_waiting(interval.start_ns);
            let row = &mut self.rows[interval.row as usize];
            let lane = row.first_that_takes(interval.end_ns);
            let place = Placed {
                lane: lane as u32,
                row: interval.row,
                outer_end_ns: row.begin(lane, interval),
            };
            placed.push(place);
            if interval.is_open_for_a_while() && !ends.has(interval) {
                self.waiting.push(Reverse(Waiting {
                    end_ns: interval.end_ns,
                    placed: place,
                }));
            }
        }
        for key in ending {
            self.end(placed[keys::index(*key)]);
        }
    }

    /// Ends the spans of earlier slices that are over at a moment.
    fn end_waiting(&mut self, moment_ns: i64) {
        while let Some(Reverse(next)) = self.waiting.peek()
            && next.end_ns <= moment_ns
        {
            let placed = next.placed;
            self.waiting.pop();
            self.end(placed);
        }
    }

    fn end(&mut self, placed: Placed) {
        self.rows[placed.row as usize].end(placed.lane as usize, placed.outer_end_ns);
    }
}

/// The lanes of a single row with these intervals, which are in row order.
pub(crate) fn of_row(events: &[Event]) -> Vec<SplitLane> {
    let alone = events.iter().map(|event| Interval {
        row: 0,
        ..Interval::of(event)
    });
    let alone: Vec<Interval> = alone.collect();
    let (mut splitter, mut ends) = (Splitter::new(1), Ends::default());
    ends.sort(&alone);
    splitter.place(&alone, &ends, &mut Vec::new());
    splitter.into_lanes().next().unwrap_or_default()
}

/// A lane of a row, as far as its spans have come.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SplitLane {
    /// Its intervals.
    pub count: u64,
    /// Deepest nesting.
    pub depth: u32,
    open: u32,
}

/// A row whose intervals are divided.
#[derive(Default)]
struct SplitRow {
    lanes: Vec<SplitLane>,
    /// Innermost open end of each lane; the least possible where the last block has no lane.
    innermost_ns: Vec<[i64; BLOCK]>,
    /// No innermost end of a block, or of a group of blocks, is behind its bound. Bounds are lowered when somebody looks for
    /// a lane there and finds none.
    block_bounds_ns: Vec<i64>,
    group_bounds_ns: Vec<i64>,
}

impl SplitRow {
    /// The first lane that takes an interval with this end.
    fn first_that_takes(&mut self, end_ns: i64) -> usize {
        for group in 0..self.group_bounds_ns.len() {
            if self.group_bounds_ns[group] < end_ns {
                continue;
            }
            let first = group * GROUP;
            let blocks = first..self.innermost_ns.len().min(first + GROUP);
            for block in blocks.clone() {
                if self.block_bounds_ns[block] < end_ns {
                    continue;
                }
                let ends = &self.innermost_ns[block];
                if let Some(at) = first_at_least(ends, end_ns) {
                    return block * BLOCK + at;
                }
                self.block_bounds_ns[block] = largest(ends);
            }
            self.group_bounds_ns[group] = largest(&self.block_bounds_ns[blocks]);
        }
        self.add_lane()
    }

    #[cold]
    fn add_lane(&mut self) -> usize {
        let number = self.lanes.len();
        let (block, group) = (number / BLOCK, number / BLOCK / GROUP);
        if block == self.innermost_ns.len() {
            self.innermost_ns.push([i64::MIN; BLOCK]);
            self.block_bounds_ns.push(i64::MIN);
        }
        if group == self.group_bounds_ns.len() {
            self.group_bounds_ns.push(i64::MIN);
        }
        self.lanes.push(SplitLane::default());
        self.set(number, FREE);
        number
    }

    /// Puts an interval on a lane; the end of what is around it there.
    fn begin(&mut self, number: usize, interval: &Interval) -> i64 {
        let lane = &mut self.lanes[number];
        lane.count += 1;
        lane.depth = lane.depth.max(lane.open + 1);
        let innermost_ns = &mut self.innermost_ns[number / BLOCK][number % BLOCK];
        let outer_end_ns = *innermost_ns;
        if interval.is_open_for_a_while() {
            lane.open += 1;
            *innermost_ns = interval.end_ns;
        }
        outer_end_ns
    }

    /// Takes the innermost span off a lane, where it was inside one with this end.
    fn end(&mut self, number: usize, outer_end_ns: i64) {
        self.lanes[number].open -= 1;
        self.set(number, outer_end_ns);
    }

    fn set(&mut self, number: usize, end_ns: i64) {
        let block = number / BLOCK;
        self.innermost_ns[block][number % BLOCK] = end_ns;
        let bounds = [
            &mut self.block_bounds_ns[block],
            &mut self.group_bounds_ns[block / GROUP],
        ];
        for bound in bounds {
            *bound = end_ns.max(*bound);
        }
    }
}

/// The first of some ends that is not before another.
#[inline(always)]
fn first_at_least(ends_ns: &[i64; BLOCK], end_ns: i64) -> Option<usize> {
    let mut found = 0u32;
    for (at, end) in ends_ns.iter().enumerate() {
        found |= u32::from(*end >= end_ns) << at;
    }
    (found != 0).then(|| found.trailing_zeros() as usize)
}

fn largest(ends_ns: &[i64]) -> i64 {
    ends_ns.iter().copied().fold(i64::MIN, i64::max)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::engine::row_order;
    use crate::event::{Event, EventKind, NO_SITE};

    fn event(kind: EventKind, start_ns: i64, end_ns: i64, sequence: u64) -> Event {
        Event {
            start_ns,
            end_ns,
            word: 0,
            sequence,
            payload_at: 0,
            payload_len: 0,
            site: NO_SITE,
            lane: 0,
            source: 0,
            kind,
            flags: 0,
            detail: 0,
        }
    }

    /// Events of some rows, divided.
    struct Split {
        lane_of: Vec<u32>,
        /// By row.
        lanes: Vec<Vec<SplitLane>>,
    }

    /// Divides them in slices that end where `cuts` are, as far as those differ.
    fn split(events: &[Event], cuts: &[i64]) -> Split {
        let rows = events.iter().map(|event| event.lane as usize + 1).max();
        let mut splitter = Splitter::new(rows.unwrap_or(0));
        let (mut ends, mut placed, mut lane_of) = (Ends::default(), Vec::new(), Vec::new());
        let slice_of = |event: &Event| cuts.iter().filter(|cut| **cut <= event.start_ns).count();
        for slice in events.chunk_by(|a, b| slice_of(a) == slice_of(b)) {
            let slice: Vec<Interval> = slice.iter().map(Interval::of).collect();
            ends.sort(&slice);
            splitter.place(&slice, &ends, &mut placed);
            lane_of.extend(placed.iter().map(|placed| placed.lane));
        }
        let lanes = splitter.into_lanes().collect();
        Split { lane_of, lanes }
    }

    /// The same by trying lane after lane.
    fn split_plainly(events: &[Event]) -> Split {
        let mut open: Vec<Vec<Vec<i64>>> = Vec::new();
        let mut lanes: Vec<Vec<SplitLane>> = Vec::new();
        let place = |event: &Event| {
            let row = event.lane as usize;
            open.resize(open.len().max(row + 1), Vec::new());
            lanes.resize(open.len(), Vec::new());
            let (open, lanes) = (&mut open[row], &mut lanes[row]);
            let takes = |ends: &mut Vec<i64>| {
                ends.retain(|end| *end > event.start_ns);
                ends.last().is_none_or(|end| event.end_ns <= *end)
            };
            let found = open.iter_mut().position(takes);
            let number = found.unwrap_or_else(|| {
                open.push(Vec::new());
                lanes.push(SplitLane::default());
                open.len() - 1
            });
            open[number].push(event.end_ns);
            lanes[number].count += 1;
            lanes[number].depth = lanes[number].depth.max(open[number].len() as u32);
            number as u32
        };
        Split {
            lane_of: events.iter().map(place).collect(),
            lanes,
        }
    }

    fn spans(times: &[(i64, i64, u32)]) -> Vec<Event> {
        let span = |(sequence, (start, len, row)): (u64, &(i64, i64, u32))| Event {
            lane: *row,
            ..event(EventKind::Span, *start, start + len, sequence)
        };
        let mut events: Vec<Event> = (0..).zip(times).map(span).collect();
        events.sort_by(|a, b| a.start_ns.cmp(&b.start_ns).then_with(|| row_order(a, b)));
        events
    }

    fn facts(lanes: &[SplitLane]) -> Vec<(u64, u32)> {
        lanes.iter().map(|lane| (lane.count, lane.depth)).collect()
    }

    /// Moments and lengths that meet often, a few times so far apart that no keys serve them.
    fn times() -> impl Strategy<Value = Vec<(i64, i64, u32)>> {
        let far = 1i64 << 50;
        let start = prop_oneof![99 => 0i64..60, 1 => far..far + 60];
        let len = prop_oneof![60 => 0i64..300, 10 => 0i64..3, 1 => Just(far), 1 => -5i64..0];
        prop::collection::vec((start, len, 0u32..3), 0..200)
    }

    proptest! {
        #[test]
        fn each_interval_goes_to_the_first_lane_that_takes_it(
            times in times(),
            cuts in prop::collection::vec(0i64..60, 0..6),
        ) {
            let events = spans(&times);
            let (split, expected) = (split(&events, &cuts), split_plainly(&events));
            prop_assert_eq!(&split.lane_of, &expected.lane_of);
            for (found, expected) in split.lanes.iter().zip(&expected.lanes) {
                prop_assert_eq!(facts(found), facts(expected));
            }
        }

        #[test]
        fn on_every_lane_spans_nest_or_are_disjoint(
            times in prop::collection::vec((0i64..60, 0i64..300, 0u32..1), 0..160),
        ) {
            let events = spans(&times);
            let lane_of = split(&events, &[]).lane_of;
            for lane in 0..lane_of.iter().max().map_or(0, |last| last + 1) {
                let all = events.iter().zip(&lane_of);
                let on_lane: Vec<&Event> =
                    all.filter(|(_, of)| **of == lane).map(|(event, _)| event).collect();
                prop_assert!(!on_lane.is_empty());
                for (at, a) in on_lane.iter().enumerate() {
                    for b in &on_lane[at + 1..] {
                        let disjoint = a.end_ns <= b.start_ns || b.end_ns <= a.start_ns;
                        let nested = a.start_ns <= b.start_ns && b.end_ns <= a.end_ns;
                        prop_assert!(disjoint || nested, "{a:?} {b:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn overlapping_spans_take_the_fewest_lanes_and_the_earlier_stays() {
        let events = spans(&[(0, 10, 0), (5, 10, 0), (6, 2, 0), (10, 5, 0), (15, 1, 0)]);
        assert_eq!(split(&events, &[]).lane_of, [0, 1, 0, 0, 0]);
        assert_eq!(facts(&of_row(&events)), [(4, 2), (1, 1)]);
    }

    #[test]
    fn of_equal_spans_the_later_recorded_is_the_parent() {
        let events = spans(&[(5, 5, 0), (5, 5, 0)]);
        assert_eq!(events[0].sequence, 1);
        assert_eq!(facts(&of_row(&events)), [(2, 2)]);
    }
}
