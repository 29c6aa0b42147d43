//! A range that has begun, and marks, which have no duration.

use ringscope::__private::{LEVEL_E2E, enabled};
use ringscope::c_abi::{self, Ring};
use ringscope::dynamic;
use ringscope_ringbuf::layout::Kind;

use crate::abi::SharedRing;
use crate::event::{Encoded, Event};

/// A range that is shown while it is open.
#[derive(Debug)]
pub(crate) struct OpenRange {
    /// Where it is shown.
    ring: SharedRing,
    slot: u32,
    site: u32,
    lane: u16,
    start: u64,
    arguments: Encoded,
}

impl OpenRange {
    /// Begins a range on the calling thread's lane, or on the track of its domain; `None` when nothing is recorded.
    pub(crate) fn begin(event: &Event<'_>, on_track: bool) -> Option<OpenRange> {
        if !enabled(LEVEL_E2E) {
            return None;
        }
        let ring = Ring::current()?;
        let track = match on_track {
            true => dynamic::track(event.domain.track.as_bytes()),
            false => None,
        };
        let lane = track.map_or(0, |track| ring.id(track) as u16);
        let (site, arguments) = event.encode(ring);
        let shown = (Kind::Span, site, lane);
        let (slot, start) = ring.open(shown, arguments.word(), arguments.rest());
        Some(OpenRange {
            ring: SharedRing::of(ring),
            slot,
            site,
            lane,
            start,
            arguments,
        })
    }

    /// Records the range, which ended at `end_ticks`, on whatever thread.
    pub(crate) fn end(&self, end_ticks: u64) {
        let shown_in = self.ring.get();
        if !shown_in.is_ours() {
            return c_abi::count_inherited();
        }
        if let Some(ring) = Ring::current() {
            let event = dynamic::Event {
                kind: Kind::Span,
                site: self.site,
                lane: self.lane,
                start: self.start,
                // Counters of two cores may differ by a few ticks.
                duration: end_ticks.saturating_sub(self.start),
            };
            ring.record(event, self.arguments.word(), self.arguments.rest());
        }
        shown_in.close(self.slot);
    }

    /// Ends the range without a record.
    pub(crate) fn forget(&self) {
        self.ring.get().close(self.slot);
    }
}

/// Records a mark.
pub(crate) fn mark(event: &Event<'_>) {
    if !enabled(LEVEL_E2E) {
        return;
    }
    let Some(ring) = Ring::current() else {
        return;
    };
    let time = c_abi::ticks();
    let (site, arguments) = event.encode(ring);
    let event = dynamic::Event {
        kind: Kind::Instant,
        site,
        lane: 0,
        start: time,
        duration: 0,
    };
    ring.record(event, arguments.word(), arguments.rest());
}
