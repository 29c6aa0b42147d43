//! One entry of a span, from its beginning to its end.

use core::sync::atomic::Ordering;

use ringscope::c_abi::{self, Ring};
use ringscope::dynamic::{self, Event, NO_SLOT};
use ringscope_ringbuf::clock::counter;
use ringscope_ringbuf::layout::{DURATION_MAX, DropCause, Kind, Record};
use ringscope_ringbuf::ring::OpenSpan;

use crate::payload::Payload;
use crate::place::Place;
use crate::{lane, thread};

/// Which kind of record a span becomes.
#[derive(Clone, Copy)]
pub(crate) struct Form {
    pub(crate) kind: Kind,
    /// Goes before the arguments, for launches and waits.
    pub(crate) correlation: u64,
}

impl Form {
    /// A span.
    pub(crate) const SPAN: Form = Form {
        kind: Kind::Span,
        correlation: 0,
    };

    /// What stands in w2, and what follows it.
    #[inline(always)]
    fn words(self, payload: &Payload) -> (u64, &[u8]) {
        if matches!(self.kind, Kind::Span) {
            (payload.word(), payload.rest())
        } else {
            (self.correlation, payload.bytes())
        }
    }
}

/// Where a record stands that is made now.
#[derive(Clone, Copy)]
pub(crate) struct Here {
    ring: Ring,
    lane: u16,
}

impl Here {
    /// The thread's ring, and the lane; `None` when the thread can't record. May run code of the host, which names threads
    /// and tasks.
    #[inline]
    pub(crate) fn find() -> Option<Here> {
        let ring = thread::ring()?;
        Some(Here {
            ring,
            lane: lane::current(ring),
        })
    }
}

/// A span that has begun, or room for one.
pub(crate) struct Frame {
    /// `None` when nothing is open here.
    ring: Option<Ring>,
    start: u64,
    site: u32,
    slot: u32,
    /// As wide as it is read: a load that is wider than the store before it waits for that one.
    lane: u32,
    pub(crate) payload: Payload,
}

impl Frame {
    /// Nothing open, no arguments.
    pub(crate) const EMPTY: Frame = Frame {
        ring: None,
        start: 0,
        site: 0,
        slot: NO_SLOT,
        lane: 0,
        payload: Payload::EMPTY,
    };

    /// Makes the memory at `place` an empty frame without writing more of it than that takes.
    ///
    /// # Safety
    ///
    /// `place` may be written, and holds no frame.
    #[inline(always)]
    pub(crate) unsafe fn begin_at(place: *mut Frame) {
        // SAFETY: passed on to the caller; the other fields are set before they are read.
        unsafe {
            (&raw mut (*place).ring).write(None);
            Payload::begin_at(&raw mut (*place).payload);
        }
    }

    /// True between beginning and end.
    #[inline(always)]
    pub(crate) fn is_open(&self) -> bool {
        self.ring.is_some()
    }

    /// Begins a span without arguments where that takes nothing but its record; false when there is more to do. Calls
    /// nothing, so that its caller has no registers to save.
    #[inline(always)]
    pub(crate) fn begin_plain(&mut self, place: Place) -> bool {
        let Some(ring) = thread::last_ring() else {
            return false;
        };
        // Whoever has a ring knows its level.
        let level = c_abi::level_word().load(Ordering::Relaxed);
        if level & place.level_bit == 0 || self.is_open() || !lane::is_the_threads() {
            return false;
        }
        let writer = ring.writer();
        let Some(site) = place.id_in(writer.generation()) else {
            return false;
        };
        let Some(slot) = writer.take_open_slot_at(site) else {
            return false;
        };
        let shown = OpenSpan {
            site_and_kind: Record::site_and_kind(site, Kind::Span),
            w2: 0,
            lane: 0,
            payload_len: 0,
        };
        (self.site, self.slot, self.lane, self.ring) = (site, slot, 0, Some(ring));
        self.start = writer.open(slot, shown, counter);
        true
    }

    /// Ends a span without arguments where that takes nothing but its record; false when there is more to do. `end` is
    /// the processor's counter.
    #[inline(always)]
    pub(crate) fn end_plain(&mut self, end: u64) -> bool {
        let (Some(began_on), Some(ring)) = (self.ring, thread::last_ring()) else {
            return false;
        };
        let event = self.event(Form::SPAN, end);
        let is_plain = ring.is(began_on)
            && self.payload.len() == 0
            && self.slot != NO_SLOT
            && event.duration <= DURATION_MAX;
        if !is_plain {
            return false;
        }
        let writer = ring.writer();
        let (words, site_and_kind) = dynamic::plain_words(event);
        self.ring = None;
        let sequence = writer.reserve(1);
        if writer.has_room(sequence, 1) {
            writer.publish(sequence, words, site_and_kind);
        } else {
            ring.publish_without_room(sequence, words, site_and_kind);
        }
        writer.close(self.slot);
        true
    }

    /// Begins here; not while it is open. Whether the level is on was asked before.
    pub(crate) fn begin(&mut self, here: Here, place: Place, form: Form) {
        let Here { ring, lane } = here;
        self.lane = lane.into();
        self.site = place.id(ring);
        self.ring = Some(ring);
        let (word, rest) = form.words(&self.payload);
        (self.slot, self.start) = ring.open((form.kind, self.site, lane), word, rest);
    }

    /// Records the span that is open here; `end` was read before anything else was done.
    pub(crate) fn end(&mut self, form: Form, end: u64) {
        let Some(began_on) = self.ring.take() else {
            return;
        };
        let Some(ring) = thread::ring() else {
            // The thread's end has begun: nothing tells that the span ended.
            return;
        };
        if !began_on.is_ours() {
            return c_abi::count(DropCause::InheritedGuard);
        }
        let (word, rest) = form.words(&self.payload);
        ring.record(self.event(form, end), word, rest);
        began_on.close(self.slot);
    }

    /// As `end`, with other arguments than it was shown with.
    pub(crate) fn end_with(&mut self, arguments: Option<&[u8]>, form: Form, end: u64) {
        if let Some(arguments) = arguments.filter(|_| self.is_open()) {
            self.payload.copy_bytes(arguments);
        }
        self.end(form, end);
    }

    /// Ends the span and begins the next one at the same moment, without arguments.
    pub(crate) fn next(&mut self, place: Place) {
        let now = c_abi::ticks();
        let Some(ring) = self.ring.filter(|ring| ring.is_ours()) else {
            return;
        };
        let event = self.event(Form::SPAN, now);
        let (word, rest) = Form::SPAN.words(&self.payload);
        let Some(here) = thread::ring() else {
            return;
        };
        here.record(event, word, rest);
        self.payload.truncate(0);
        self.site = place.id(here);
        self.start = now;
        ring.extend_open(self.slot, 0, &[]);
        ring.reopen(self.slot, self.site, now);
    }

    /// Shows arguments that became known late in the open slot.
    pub(crate) fn show_arguments(&self, form: Form) {
        if let Some(ring) = self.ring.filter(|ring| ring.is_ours()) {
            let (word, rest) = form.words(&self.payload);
            ring.extend_open(self.slot, word, rest);
        }
    }

    /// True when the span began on this thread, and on this lane.
    pub(crate) fn began_at(&self, here: Here) -> bool {
        self.ring.is_some_and(|ring| ring.is(here.ring)) && self.lane == u32::from(here.lane)
    }

    fn event(&self, form: Form, end: u64) -> Event {
        Event {
            kind: form.kind,
            site: self.site,
            lane: self.lane as u16,
            start: self.start,
            // Counters of two cores may differ by a few ticks: a span that moved between them is 0 long.
            duration: end.saturating_sub(self.start),
        }
    }
}
