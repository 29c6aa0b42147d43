//! The seam between the time line and what is written of it: a format turns slices of events into bytes.
//!
//! A trace is the format's head, its slices in order, and its tail. Slices are formatted on several threads at once, in
//! any order, so a format keeps no state from one to the next: what is to be written once (names, interned strings)
//! belongs into the head, whose tables ([`Timeline::lanes`], the sites, the keys) are complete before the first slice.

use crate::event::{Event, EventKind};
use crate::ring::plain::{PlainGatherer, PlainSpan};
pub use crate::sheet::Sheet;
use crate::timeline::Timeline;

/// A format that traces are written in.
pub trait Format: Sync {
    /// Appends what stands before the first event.
    fn head(&self, out: &mut Vec<u8>);

    /// Appends the events of a slice, in their order. The same slice always gives the same bytes.
    fn slice(&self, slice: &Slice<'_>, out: &mut Sheet);

    /// Appends plain spans, in their order: the same bytes as their events come to.
    fn plain_slice(&self, slice: &PlainSlice<'_>, out: &mut Sheet) {
        let events: Vec<Event> = slice.events().collect();
        let slice = Slice {
            timeline: slice.timeline,
            events: &events,
            payloads: &[],
        };
        self.slice(&slice, out);
    }

    /// Appends what stands behind the last event.
    fn tail(&self, out: &mut Vec<u8>);
}

/// Plain spans that stand one after the other in a trace: those of a [`Timeline`]'s own threads, with one integer argument
/// at most.
#[derive(Clone, Copy)]
pub struct PlainSlice<'a> {
    /// The time line, whose tables the spans refer to.
    pub timeline: &'a Timeline,
    pub(crate) spans: &'a PlainGatherer,
}

impl<'a> PlainSlice<'a> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &'a PlainSpan> + use<'a> {
        self.spans.iter()
    }

    fn events(&self) -> impl Iterator<Item = Event> + use<'a> {
        let timeline = self.timeline;
        self.spans
            .iter()
            .map(move |span| timeline.plain_event(span))
    }
}

/// Events that stand one after the other in a trace: some of those of a [`Timeline`], in the order asked for.
#[derive(Clone, Copy)]
pub struct Slice<'a> {
    /// The time line, whose tables the events refer to.
    pub timeline: &'a Timeline,
    /// The events, in order.
    pub events: &'a [Event],
    pub(crate) payloads: &'a [u8],
}

impl<'a> Slice<'a> {
    /// Events but the arrows between launches and their executions.
    pub(crate) fn record_count(&self) -> u64 {
        if self.timeline.engine.pairs.is_none() {
            return self.events.len() as u64;
        }
        let is_record = |event: &&Event| event.kind < EventKind::ArrowStart;
        let records = self.events.iter().filter(is_record);
        records.count() as u64
    }

    /// Payload bytes of one of the events: values of the site's arguments, then late ones.
    #[inline]
    pub(crate) fn payload(&self, event: &'a Event) -> &'a [u8] {
        event.payload(self.payloads)
    }
}
