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

/// Lanes looked at together.
const GROUP: usize = 32;

/// Divides the intervals of a row, which come in row order, among as few lanes as come out when each goes to the
/// first lane that takes it: one where it lies inside the innermost open span, or where none is open.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    /// Ends of the spans that are open on each lane, innermost last.
    open_ends: Vec<Vec<i64>>,
    /// The innermost end of each lane; the least possible when none is open.
    innermost: Vec<i64>,
    /// Least and largest of the innermost ends of each group.
    groups: Vec<(i64, i64)>,
    /// Deepest nesting on each lane.
    pub depths: Vec<u32>,
    /// Intervals on each lane.
    pub counts: Vec<u64>,
}

impl Splitter {
    /// The number of the lane, from 0, that the next interval goes to.
    pub(crate) fn place(&mut self, start_ns: i64, end_ns: i64) -> u32 {
        let may_take = |ends: &(i64, i64)| ends.0 <= start_ns || ends.1 >= end_ns;
        let mut group = 0;
        let lane = loop {
            let Some(next) = self.groups[group..].iter().position(may_take) else {
                break self.add_lane();
            };
            group += next;
            if let Some(lane) = self.find_in_group(group, start_ns, end_ns) {
                break lane;
            }
            self.sum_up(group);
            group += 1;
        };
        self.open_ends[lane].push(end_ns);
        self.innermost[lane] = end_ns;
        self.counts[lane] += 1;
        self.depths[lane] = self.depths[lane].max(self.open_ends[lane].len() as u32);
        self.sum_up(lane / GROUP);
        lane as u32
    }

    fn find_in_group(&mut self, group: usize, start_ns: i64, end_ns: i64) -> Option<usize> {
        let first = group * GROUP;
        (first..self.innermost.len().min(first + GROUP)).find(|lane| {
            let innermost = &mut self.innermost[*lane];
            if *innermost <= start_ns {
                let ends = &mut self.open_ends[*lane];
                while ends.last().is_some_and(|end| *end <= start_ns) {
                    ends.pop();
                }
                *innermost = ends.last().copied().unwrap_or(i64::MIN);
            }
            *innermost == i64::MIN || *innermost >= end_ns
        })
    }

    fn add_lane(&mut self) -> usize {
        if self.innermost.len().is_multiple_of(GROUP) {
            self.groups.push((i64::MIN, i64::MIN));
        }
        self.open_ends.push(Vec::new());
        self.innermost.push(i64::MIN);
        self.depths.push(0);
        self.counts.push(0);
        self.innermost.len() - 1
    }

    fn sum_up(&mut self, group: usize) {
        let first = group * GROUP;
        let end = self.innermost.len().min(first + GROUP);
        let (mut least, mut largest) = (i64::MAX, i64::MIN);
        for end_ns in &self.innermost[first..end] {
            least = least.min(*end_ns);
            largest = largest.max(*end_ns);
        }
        self.groups[group] = (least, largest);
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
