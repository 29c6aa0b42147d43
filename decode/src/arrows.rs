//! Arrows from kernel launches to their executions on devices.
//!
//! Importers sort by time stamp and lose an arrow whose end comes before its start. Where the clocks let an execution
//! begin before its launch, or at the same moment, both ends are put at the launch's start, start first, behind
//! the events that start there.

use std::collections::HashMap;

use crate::event::{Event, EventKind};

/// A launch or device span that an arrow may join.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub correlation: u64,
    pub start_ns: i64,
    pub end_ns: i64,
    pub sequence: u64,
    pub row: u32,
    pub site: u32,
    pub is_launch: bool,
}

impl Link {
    pub(crate) fn of(event: &Event) -> Option<Link> {
        let is_launch = event.kind == EventKind::Launch;
        let joins = (is_launch || event.kind == EventKind::DeviceSpan) && event.word != 0;
        joins.then_some(Link {
            correlation: event.word,
            start_ns: event.start_ns,
            end_ns: event.end_ns,
            sequence: event.sequence,
            row: event.lane,
            site: event.site,
            is_launch,
        })
    }
}

/// An end of an arrow, to be drawn with the event of a sequence in its ring, at its start unless something else is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ArrowEnd {
    pub sequence: u64,
    /// Number of the arrow, from 1.
    pub id: u64,
    /// False for the start, true for the end.
    pub is_end: bool,
    pub late: Option<LateEnd>,
}

/// The end of an arrow at its launch's start, behind the execution, whose lane it is drawn on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LateEnd {
    /// To be drawn with the launch when events stand by time: row of the execution.
    WithLaunch { row: u32 },
    /// To be drawn with the execution when events stand by lane.
    WithExecution { at_ns: i64 },
}

/// Pairs each device span with the first launch of its process that has the same correlation id; the ends by ring, each
/// ring's by sequence. `links`: those of each ring; `host_of`: the process of a row, for devices that of their host.
/// `start_of`: where a launch or device span of a ring begins on the time line, if it is there.
pub(crate) fn join(
    links: &[Vec<Link>],
    host_of: impl Fn(u32) -> u32,
    start_of: impl Fn(usize, &Link) -> Option<i64>,
) -> Vec<Vec<ArrowEnd>> {
    let mut launches: HashMap<(u32, u64), (i64, usize, u64)> = HashMap::new();
    for (ring, links) in links.iter().enumerate() {
        for link in links.iter().filter(|link| link.is_launch) {
            let Some(start_ns) = start_of(ring, link) else {
                continue;
            };
            let at = (start_ns, ring, link.sequence);
            let first = launches.entry((host_of(link.row), link.correlation));
            let first = first.or_insert(at);
            *first = at.min(*first);
        }
    }
    let mut ends: Vec<Vec<ArrowEnd>> = vec![Vec::new(); links.len()];
    let mut id = 0;
    for (ring, links) in links.iter().enumerate() {
        for span in links.iter().filter(|link| !link.is_launch) {
            let key = (host_of(span.row), span.correlation);
            let launch = launches.get(&key).copied();
            let Some((start_ns, (launch_ns, launch_ring, launch_sequence))) =
                start_of(ring, span).zip(launch)
            else {
                continue;
            };
            id += 1;
            let start = ArrowEnd {
                sequence: launch_sequence,
                id,
                is_end: false,
                late: None,
            };
            let end = ArrowEnd {
                is_end: true,
                ..start
            };
            ends[launch_ring].push(start);
            if start_ns <= launch_ns {
                ends[launch_ring].push(ArrowEnd {
                    late: Some(LateEnd::WithLaunch { row: span.row }),
                    ..end
                });
                ends[ring].push(ArrowEnd {
                    sequence: span.sequence,
                    late: Some(LateEnd::WithExecution { at_ns: launch_ns }),
                    ..end
                });
            } else {
                ends[ring].push(ArrowEnd {
                    sequence: span.sequence,
                    ..end
                });
            }
        }
    }
    for ends in &mut ends {
        ends.sort_unstable();
    }
    ends
}

/// The ends at the event of a sequence.
pub(crate) fn ends_at(ends: &[ArrowEnd], sequence: u64) -> &[ArrowEnd] {
    let first = ends.partition_point(|end| end.sequence < sequence);
    let rest = &ends[first..];
    let count = rest.partition_point(|end| end.sequence == sequence);
    &rest[..count]
}
