//! Lanes: a row whose spans overlap is split, so that on every lane they nest or are disjoint.

use crate::event::{Event, EventKind};
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
    /// Its events in the time line's list.
    pub(crate) events: std::ops::Range<usize>,
}

/// Events of one row, divided.
pub(crate) struct Split {
    /// For each event the number of its lane, from 0.
    pub lane_of: Vec<u32>,
    /// Deepest nesting on each lane.
    pub depths: Vec<u32>,
}

/// Divides the events of a row, which stand in row order, among as few lanes as come out when each span goes to the
/// first lane that takes it: one where it lies inside the innermost open span, or where none is open. Moments stay
/// on the first lane.
pub(crate) fn split(events: &[Event]) -> Split {
    let mut open_ends: Vec<Vec<i64>> = vec![Vec::new()];
    let mut split = Split {
        lane_of: Vec::with_capacity(events.len()),
        depths: vec![0],
    };
    for event in events {
        if !event.kind.is_interval() {
            split.lane_of.push(0);
            continue;
        }
        let takes = |ends: &mut Vec<i64>| {
            while ends.last().is_some_and(|end| *end <= event.start_ns) {
                ends.pop();
            }
            ends.last().is_none_or(|end| event.end_ns <= *end)
        };
        let lane = match open_ends.iter_mut().position(takes) {
            Some(lane) => lane,
            None => {
                open_ends.push(Vec::new());
                split.depths.push(0);
                open_ends.len() - 1
            }
        };
        open_ends[lane].push(event.end_ns);
        split.depths[lane] = split.depths[lane].max(open_ends[lane].len() as u32);
        split.lane_of.push(lane as u32);
    }
    split
}

/// Cuts each lost stretch of a row where the next span begins, so that it crosses none: `events` by start.
pub(crate) fn clip_losses(events: &mut [Event]) {
    let mut next_start = i64::MAX;
    let mut at = events.len();
    while at > 0 {
        // All events that start at one moment, as what starts with a loss cuts it as well.
        let moment = events[at - 1].start_ns;
        let first = events[..at].partition_point(|event| event.start_ns < moment);
        let group = &mut events[first..at];
        let is_span = |e: &Event| e.kind.is_interval() && e.kind != EventKind::Lost;
        if group.iter().any(is_span) {
            next_start = moment;
        }
        for event in group.iter_mut().filter(|e| e.kind == EventKind::Lost) {
            event.end_ns = event.end_ns.min(next_start).max(event.start_ns);
        }
        at = first;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::NO_SITE;

    fn event(kind: EventKind, start_ns: i64, end_ns: i64, sequence: u64) -> Event {
        Event {
            start_ns,
            end_ns,
            word: 0,
            payload_at: 0,
            sequence,
            payload_len: 0,
            site: NO_SITE,
            lane: 0,
            source: 0,
            kind,
            flags: 0,
            detail: 0,
        }
    }

    fn spans(times: &[(i64, i64)]) -> Vec<Event> {
        let mut events: Vec<Event> = (0..)
            .zip(times)
            .map(|(sequence, (start, len))| event(EventKind::Span, *start, start + len, sequence))
            .collect();
        events.sort_by(Event::row_order);
        events
    }

    proptest! {
        #[test]
        fn on_every_lane_spans_nest_or_are_disjoint(
            times in prop::collection::vec((0i64..60, 0i64..30), 0..60),
        ) {
            let events = spans(&times);
            let split = split(&events);
            prop_assert_eq!(split.lane_of.len(), events.len());
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

        #[test]
        fn clipped_losses_cross_nothing(
            times in prop::collection::vec((0i64..60, 0i64..30), 0..40),
            losses in prop::collection::vec((0i64..60, 0i64..90), 1..4),
        ) {
            // Whatever started before a loss lasts longer or is over: true of records in sequence.
            let mut events = spans(&times);
            events.retain(|e| losses.iter().all(|(at, _)| e.start_ns >= *at || e.end_ns <= *at));
            let lanes = split(&events).depths.len();
            for (start, len) in &losses {
                events.push(event(EventKind::Lost, *start, start + len, 0));
            }
            events.sort_by(Event::row_order);
            clip_losses(&mut events);
            events.sort_by(Event::row_order);
            // Two losses may cross each other; alone they move no span.
            if losses.len() == 1 {
                prop_assert_eq!(split(&events).depths.len(), lanes);
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
