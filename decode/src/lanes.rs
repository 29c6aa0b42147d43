//! Lanes: a row whose spans overlap is split, so that on every lane they nest or are disjoint.

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

/// Nodes below a node of the tree over the lanes: two levels serve a thousand lanes, and looking at some nodes that lie side
/// by side is quicker than going down a level. Few in tests, so that they have many levels.
const FANOUT: usize = if cfg!(test) { 3 } else { 8 };

/// Divides the intervals of a row, which come in row order, among as few lanes as come out when each goes to the
/// first lane that takes it: one where it lies inside the innermost open span, or where none is open.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    /// Ends of the spans that are open on each lane, innermost last.
    open_ends: Vec<Vec<i64>>,
    /// A tree over the lanes: the first level holds the lanes themselves, each further one a node for every [`FANOUT`] of the
    /// level before; the last has no more than that many.
    levels: Vec<Vec<Innermost>>,
    /// Deepest nesting on each lane.
    pub depths: Vec<u32>,
    /// Intervals on each lane.
    pub counts: Vec<u64>,
}

/// Least and largest of the innermost open ends of some lanes; the least possible where none is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Innermost {
    least: i64,
    largest: i64,
}

impl Innermost {
    /// Of no lane.
    const NONE: Innermost = Innermost {
        least: i64::MAX,
        largest: i64::MIN,
    };

    fn of(end_ns: i64) -> Innermost {
        Innermost {
            least: end_ns,
            largest: end_ns,
        }
    }

    fn join(self, other: &Innermost) -> Innermost {
        Innermost {
            least: self.least.min(other.least),
            largest: self.largest.max(other.largest),
        }
    }

    /// True when one of the lanes may take an interval: it lies inside its innermost span, or that one is over.
    #[inline]
    fn may_take(self, start_ns: i64, end_ns: i64) -> bool {
        self.least <= start_ns || self.largest >= end_ns
    }
}

impl Splitter {
    /// The number of the lane, from 0, that the next interval goes to.
    pub(crate) fn place(&mut self, start_ns: i64, end_ns: i64) -> u32 {
        let lane = loop {
            let Some(lane) = self.first_candidate(start_ns, end_ns) else {
                break self.add_lane();
            };
            let ends = &mut self.open_ends[lane];
            while ends.pop_if(|end| *end <= start_ns).is_some() {}
            let innermost = ends.last().copied();
            if innermost.is_none_or(|innermost| innermost >= end_ns) {
                break lane;
            }
            // It was taken for one where a span is over; now it shows what is still open.
            self.set(lane, innermost.unwrap_or(i64::MIN));
        };
        self.open_ends[lane].push(end_ns);
        self.set(lane, end_ns);
        self.counts[lane] += 1;
        self.depths[lane] = self.depths[lane].max(self.open_ends[lane].len() as u32);
        lane as u32
    }

    /// The first lane that may take an interval.
    fn first_candidate(&self, start_ns: i64, end_ns: i64) -> Option<usize> {
        let may_take = |node: &Innermost| node.may_take(start_ns, end_ns);
        let mut levels = self.levels.iter().rev();
        let mut at = levels.next()?.iter().position(may_take)?;
        for level in levels {
            let first = at * FANOUT;
            at = first + level[first..].iter().take(FANOUT).position(may_take)?;
        }
        Some(at)
    }

    /// Notes the innermost open end of a lane.
    fn set(&mut self, lane: usize, end_ns: i64) {
        let mut at = lane;
        let mut node = Innermost::of(end_ns);
        for number in 0..self.levels.len() {
            let level = &mut self.levels[number];
            if level[at] == node {
                return;
            }
            level[at] = node;
            at /= FANOUT;
            let siblings = level[at * FANOUT..].iter().take(FANOUT);
            node = siblings.fold(Innermost::NONE, Innermost::join);
        }
    }

    fn add_lane(&mut self) -> usize {
        let lane = self.open_ends.len();
        self.open_ends.push(Vec::new());
        self.depths.push(0);
        self.counts.push(0);
        let mut at = lane;
        for level in &mut self.levels {
            if at == level.len() {
                level.push(Innermost::NONE);
            }
            at /= FANOUT;
        }
        self.add_level();
        lane
    }

    /// Adds a level where the last one has too many nodes.
    fn add_level(&mut self) {
        let level = match self.levels.last() {
            None => vec![Innermost::NONE],
            Some(last) if last.len() > FANOUT => {
                let groups = last.chunks(FANOUT);
                let join =
                    |group: &[Innermost]| group.iter().fold(Innermost::NONE, Innermost::join);
                groups.map(join).collect()
            }
            Some(_) => return,
        };
        self.levels.push(level);
    }
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

    /// Events of one row, divided.
    struct Split {
        lane_of: Vec<u32>,
        depths: Vec<u32>,
    }

    fn split(events: &[Event]) -> Split {
        let mut splitter = Splitter::default();
        let place = |event: &Event| splitter.place(event.start_ns, event.end_ns);
        let lane_of = events.iter().map(place).collect();
        Split {
            lane_of,
            depths: splitter.depths,
        }
    }

    /// The same by trying lane after lane.
    fn split_plainly(events: &[Event]) -> Vec<u32> {
        let mut open: Vec<Vec<i64>> = Vec::new();
        let place = |event: &Event| {
            let takes = |ends: &mut Vec<i64>| {
                ends.retain(|end| *end > event.start_ns);
                ends.last().is_none_or(|end| event.end_ns <= *end)
            };
            let found = open.iter_mut().position(takes);
            let lane = found.unwrap_or_else(|| {
                open.push(Vec::new());
                open.len() - 1
            });
            open[lane].push(event.end_ns);
            lane as u32
        };
        events.iter().map(place).collect()
    }

    fn spans(times: &[(i64, i64)]) -> Vec<Event> {
        let mut events: Vec<Event> = (0..)
            .zip(times)
            .map(|(sequence, (start, len))| event(EventKind::Span, *start, start + len, sequence))
            .collect();
        events.sort_by(|a, b| a.start_ns.cmp(&b.start_ns).then_with(|| row_order(a, b)));
        events
    }

    proptest! {
        #[test]
        fn on_every_lane_spans_nest_or_are_disjoint(
            times in prop::collection::vec((0i64..60, 0i64..300), 0..160),
        ) {
            let events = spans(&times);
            let split = split(&events);
            prop_assert_eq!(&split.lane_of, &split_plainly(&events));
            for lane in 0..split.depths.len() as u32 {
                let on_lane: Vec<&Event> = events
                    .iter()
                    .zip(&split.lane_of)
                    .filter(|(_, of)| **of == lane)
                    .map(|(event, _)| event)
                    .collect();
                prop_assert!(lane == 0 || !on_lane.is_empty());
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
        let events = spans(&[(0, 10), (5, 10), (6, 2), (10, 5), (15, 1)]);
        let split = split(&events);
        assert_eq!(split.lane_of, [0, 1, 0, 0, 0]);
        assert_eq!(split.depths, [2, 1]);
    }

    #[test]
    fn of_equal_spans_the_later_recorded_is_the_parent() {
        let events = spans(&[(5, 5), (5, 5)]);
        assert_eq!(events[0].sequence, 1);
        assert_eq!(split(&events).depths, [2]);
    }
}
