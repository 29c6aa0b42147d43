//! Arrows from kernel launches to their executions on devices, drawn on a slice of the time line.
//!
//! Importers sort by time stamp and lose an arrow whose end comes before its start. Where the clocks let an execution
//! begin before its launch, or at the same moment, both ends are put at the launch's start, start first, behind
//! the events that start there.

use std::io;

use crate::event::{Event, EventKind, FLAG_NO_DEVICE_TIME};
use crate::pairs::{Entry, Pairs};
use crate::spill::Spill;

/// A launch or execution of a slice: process, correlation id, ring and sequence, and where it stands.
type Place = (u32, u64, u32, u64, u32);

/// Draws arrows on the events of a slice.
pub(crate) struct Drawing<'a> {
    pub pairs: &'a Pairs,
    pub spill: &'a Spill,
    /// Events will stand by lane, not by time.
    pub is_by_lane: bool,
}

impl Drawing<'_> {
    /// The ends of arrows at `events`; launches that no device time is known of are marked. `process_of`: the host process
    /// of a ring; `lane_of`: the lane of a row.
    pub(crate) fn draw(
        &self,
        events: &mut [Event],
        process_of: impl Fn(u32) -> u32,
        lane_of: impl Fn(u32) -> u32,
    ) -> io::Result<Vec<Event>> {
        let places = places(events, process_of);
        let mut ends = Vec::new();
        let mut search = self.pairs.search(0);
        let mut process = 0;
        for same in places.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            let (of, correlation, ..) = same[0];
            if process != of {
                process = of;
                search = self.pairs.search(process);
            }
            let mut group = Group {
                same,
                events,
                launch: None,
                ends: &mut ends,
                is_by_lane: self.is_by_lane,
            };
            let is_known = correlation != 0
                && search.visit(correlation, self.spill, |entry| {
                    let arrow = self.pairs.arrow(process, entry);
                    group.add(entry, arrow, &lane_of);
                })?;
            if !is_known {
                group.mark();
            }
        }
        Ok(ends)
    }
}

/// The launches and executions of a slice, by process, correlation id, ring and sequence.
fn places(events: &[Event], process_of: impl Fn(u32) -> u32) -> Vec<Place> {
    let place = |(at, event): (u32, &Event)| {
        matches!(event.kind, EventKind::Launch | EventKind::DeviceSpan).then(|| {
            let process = process_of(event.source);
            (process, event.word, event.source, event.sequence, at)
        })
    };
    let mut places: Vec<Place> = (0..).zip(events.iter()).filter_map(place).collect();
    places.sort_unstable();
    places
}

/// The events of a slice with one correlation id.
struct Group<'a> {
    same: &'a [Place],
    events: &'a mut [Event],
    /// The launch that arrows begin at, whether or not it is in the slice.
    launch: Option<Entry>,
    ends: &'a mut Vec<Event>,
    is_by_lane: bool,
}

impl Group<'_> {
    /// Takes the next entry of the correlation id: the launch, then its executions.
    fn add(&mut self, entry: &Entry, arrow: u64, lane_of: impl Fn(u32) -> u32) {
        if entry.is_launch() {
            self.launch = Some(*entry);
        }
        let Some(launch) = self.launch.filter(|_| entry.is_execution()) else {
            return;
        };
        // An end that is no later than its start is drawn right behind it.
        let is_late = entry.start_ns <= launch.start_ns;
        if let Some(event) = self.event(&launch) {
            self.put(event, EventKind::ArrowStart, arrow);
            if is_late && !self.is_by_lane {
                let at = Event {
                    lane: lane_of(entry.row),
                    ..event
                };
                self.put(at, EventKind::ArrowEnd, arrow);
            }
        }
        if is_late && !self.is_by_lane {
            return;
        }
        if let Some(event) = self.event(entry) {
            let start_ns = event.start_ns.max(launch.start_ns);
            let at = Event { start_ns, ..event };
            self.put(at, EventKind::ArrowEnd, arrow);
        }
    }

    /// The event of an entry, if it is in the slice.
    fn event(&self, entry: &Entry) -> Option<Event> {
        let of = |place: &Place| (place.2, place.3);
        let found = self
            .same
            .binary_search_by_key(&(entry.ring, entry.sequence), of);
        let (.., at) = self.same[found.ok()?];
        self.events.get(at as usize).copied()
    }

    fn put(&mut self, at: Event, kind: EventKind, arrow: u64) {
        self.ends.push(Event {
            start_ns: at.start_ns,
            end_ns: at.start_ns,
            word: arrow,
            lane: at.lane,
            kind,
            source: at.source,
            ..Event::BLANK
        });
    }

    /// Nothing is known of what the device did.
    fn mark(&mut self) {
        for (.., at) in self.same {
            let event = &mut self.events[*at as usize];
            if event.kind == EventKind::Launch {
                event.flags |= FLAG_NO_DEVICE_TIME;
            }
        }
    }
}
