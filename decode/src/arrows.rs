//! Arrows from kernel launches to their executions on devices.
//!
//! Importers sort by time stamp and lose an arrow whose end comes before its start. Where the clocks let an execution
//! begin before its launch, or at the same moment, both ends are put at the launch's start, start first, behind
//! whichever of the two events stands later in the file.

use std::collections::HashMap;

use crate::event::{Event, EventKind};
use crate::timeline::Timeline;

/// One end of an arrow, to be written behind an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ArrowEnd {
    /// Index of the event that it is written behind.
    behind: usize,
    /// Number of the arrow, from 1.
    pub id: u64,
    /// False for the start, true for the end.
    pub is_end: bool,
    /// CLOCK_MONOTONIC, ns.
    pub at_ns: i64,
    /// Index of the lane that it is drawn on.
    pub lane: u32,
}

/// The arrows of a time line, by event.
pub(crate) struct Arrows {
    ends: Vec<ArrowEnd>,
}

impl Arrows {
    /// Pairs each device span with the first launch of its process that has the same correlation id.
    /// `is_before(a, b)`: event `a` stands before event `b` in the file.
    pub(crate) fn of(timeline: &Timeline, is_before: impl Fn(usize, usize) -> bool) -> Arrows {
        let mut launches: HashMap<(u32, u64), usize> = HashMap::new();
        let of_kind = |kind: EventKind| {
            let events = timeline.events.iter().enumerate();
            events.filter(move |(_, event)| event.kind == kind)
        };
        for (index, event) in of_kind(EventKind::Launch) {
            if let Some(key) = key(timeline, event) {
                launches.entry(key).or_insert(index);
            }
        }
        let mut ends = Vec::new();
        let mut id = 0;
        for (span_at, span) in of_kind(EventKind::DeviceSpan) {
            let launch_at = key(timeline, span).and_then(|key| launches.get(&key).copied());
            let Some((launch_at, launch)) =
                launch_at.and_then(|at| Some((at, timeline.events.get(at)?)))
            else {
                continue;
            };
            id += 1;
            let is_late = span.start_ns <= launch.start_ns;
            let later = if is_before(launch_at, span_at) {
                span_at
            } else {
                launch_at
            };
            ends.push(ArrowEnd {
                behind: if is_late { later } else { launch_at },
                id,
                is_end: false,
                at_ns: launch.start_ns,
                lane: launch.lane,
            });
            ends.push(ArrowEnd {
                behind: if is_late { later } else { span_at },
                id,
                is_end: true,
                at_ns: span.start_ns.max(launch.start_ns),
                lane: span.lane,
            });
        }
        ends.sort_unstable();
        Arrows { ends }
    }

    /// The ends to write behind the event with this index.
    pub(crate) fn behind(&self, event: usize) -> &[ArrowEnd] {
        let first = self.ends.partition_point(|end| end.behind < event);
        let rest = self.ends.get(first..).unwrap_or_default();
        let count = rest.partition_point(|end| end.behind == event);
        rest.get(..count).unwrap_or_default()
    }
}

fn key(timeline: &Timeline, event: &Event) -> Option<(u32, u64)> {
    let lane = timeline.lanes.get(event.lane as usize)?;
    let process = timeline.processes.get(lane.process as usize)?;
    (event.word != 0).then_some((process.host_row, event.word))
}
