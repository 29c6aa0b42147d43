//! Spans: a guard from entry to end, shown in the ring's header while it is open.

use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::ptr;

use ringscope_ringbuf::layout::{DURATION_MAX, DropCause, Kind, Record};
use ringscope_ringbuf::ring::OpenSpan;

use crate::name_table::{self, Use};
use crate::record::Words;
use crate::site::Site;
use crate::thread::{self, ThreadRing};
use crate::track::Track;
use crate::value::{Args, Payload, Value};
use crate::{clock, process};

/// In place of an open slot's number: the span is not shown while it is open.
const NO_SLOT: u32 = u32::MAX;

/// A span that has begun; it is recorded when the guard is dropped. Made by [`span!`](crate::span!).
///
/// It belongs to the thread it began on:
///
/// ```compile_fail
/// let span = ringscope::span!("work");
/// std::thread::spawn(move || drop(span));
/// ```
#[must_use = "a span ends when its guard is dropped: bind it, as in `let _span = …`"]
#[derive(Debug)]
pub struct Span {
    /// Null when nothing is recorded.
    ring: *const ThreadRing,
    start: u64,
    site: u32,
    open_slot: u32,
    lane: u16,
    payload: UnsafeCell<Payload>,
    /// May not change threads: its ring has one writer.
    _thread_bound: PhantomData<*const ()>,
}

impl Span {
    /// A guard that records nothing.
    #[doc(hidden)]
    #[inline(always)]
    pub fn disabled() -> Span {
        Span {
            ring: ptr::null(),
            start: 0,
            site: 0,
            open_slot: NO_SLOT,
            lane: 0,
            payload: UnsafeCell::new(Payload::empty()),
            _thread_bound: PhantomData,
        }
    }

    /// Begins a span at `site`.
    #[doc(hidden)]
    #[inline(always)]
    pub fn enter<A: Args>(site: &'static Site, args: &A, track: Track) -> Span {
        match thread::current() {
            Some(ring) => Span::begin(ring, site.id::<A>(ring.process), args, track),
            None => Span::disabled(),
        }
    }

    /// Begins a span at `site` under a name made at run time.
    #[doc(hidden)]
    #[inline]
    pub fn enter_named<A: Args>(site: &'static Site, name: &[u8], args: &A, track: Track) -> Span {
        match thread::current() {
            Some(ring) => Span::begin(ring, site.named_id::<A>(name, ring.process), args, track),
            None => Span::disabled(),
        }
    }

    #[inline(always)]
    fn begin<A: Args>(ring: &'static ThreadRing, site: u32, args: &A, track: Track) -> Span {
        let payload = Payload::of(args, Some(ring));
        let lane = track.lane_in(ring.process);
        let (open_slot, start) = open(ring, site, lane, &payload);
        Span {
            ring,
            start,
            site,
            open_slot,
            lane,
            payload: UnsafeCell::new(payload),
            _thread_bound: PhantomData,
        }
    }

    /// Adds an argument that was not known at the beginning.
    pub fn record(&self, key: &str, value: impl Value) {
        // SAFETY: null or a ring that lives for ever.
        let Some(ring) = (unsafe { self.ring.as_ref() }).filter(|ring| ring.is_ours()) else {
            return;
        };
        let Some(key_id) =
            name_table::find(Use::Key, key.as_bytes()).map(|key| key.id_in(ring.process))
        else {
            return process::count(DropCause::NameCap);
        };
        // SAFETY: the guard is neither Send nor Sync and hands out no reference: this call alone has the payload.
        let payload = unsafe { &mut *self.payload.get() };
        if !payload.append(key_id, &value, ring) {
            process::count(DropCause::ValueCut);
        }
        if self.open_slot != NO_SLOT {
            ring.writer
                .extend_open(self.open_slot, payload.word, payload.rest());
        }
    }

    /// True when the span will be recorded.
    pub fn is_recorded(&self) -> bool {
        !self.ring.is_null()
    }

    /// Records the span. A function of its own, so that the check in [`Drop`] is inlined where nothing is recorded;
    /// what is rare leaves it by its last call, so that it needs no stack.
    fn end(&mut self) {
        // The clock first, so that the span does not contain its own recording.
        let end = clock::ticks();
        // SAFETY: not null, and rings live for ever.
        let ring = unsafe { &*self.ring };
        let words = span_words(self.site, self.lane, self.start, end);
        let payload = self.payload.get_mut();
        if !ring.is_ours() || !payload.is_word() || words.duration > DURATION_MAX {
            return self.end_rare(end);
        }
        let sequence = ring.writer.reserve(1);
        if !ring.writer.has_room(sequence, 1) {
            return self.end_without_room(end, sequence);
        }
        ring.publish(sequence, words, payload.word);
        close(ring, self.open_slot);
    }

    #[inline(never)]
    fn end_rare(&mut self, end: u64) {
        // SAFETY: as in `end`.
        let ring = unsafe { &*self.ring };
        if !ring.is_ours() {
            return process::count_in_child(DropCause::InheritedGuard);
        }
        let payload = self.payload.get_mut();
        ring.record(span_words(self.site, self.lane, self.start, end), payload);
        close(ring, self.open_slot);
        payload.release(ring);
    }

    #[cold]
    #[inline(never)]
    fn end_without_room(&mut self, end: u64, sequence: u64) {
        // SAFETY: as in `end`.
        let ring = unsafe { &*self.ring };
        if ring.make_room(sequence, 1) {
            let words = span_words(self.site, self.lane, self.start, end);
            ring.publish(sequence, words, self.payload.get_mut().word);
        }
        close(ring, self.open_slot);
    }
}

impl Drop for Span {
    #[inline(always)]
    fn drop(&mut self) {
        if !self.ring.is_null() {
            self.end();
        }
    }
}

/// Shows a span that begins now; its slot and its start.
#[inline(always)]
pub(crate) fn open(ring: &ThreadRing, site: u32, lane: u16, payload: &Payload) -> (u32, u64) {
    let site_and_kind = Record::site_and_kind(site, Kind::Span);
    let shown = OpenSpan {
        site_and_kind,
        w2: payload.word,
        lane,
        payload: payload.rest(),
    };
    match ring.writer.open(shown, clock::ticks) {
        (Some(slot), start) => (slot, start),
        (None, start) => {
            process::count(DropCause::NotShownWhileOpen);
            (NO_SLOT, start)
        }
    }
}

/// Ends what [`open`] began on this thread.
#[inline(always)]
pub(crate) fn close(ring: &ThreadRing, slot: u32) {
    if slot != NO_SLOT {
        ring.writer.close(slot);
    }
}

/// Ends what [`open`] began, for spans that end on another thread than they began on.
pub(crate) fn close_elsewhere(ring: &ThreadRing, slot: u32) {
    if slot != NO_SLOT && ring.is_ours() {
        ring.writer.close_from_another_thread(slot);
    }
}

/// The words of a span's record.
#[inline(always)]
pub(crate) fn span_words(site: u32, lane: u16, start: u64, end: u64) -> Words {
    // Counters of two cores may differ by a few ticks: a span that moved between them is 0 long, not 600 years.
    Words {
        kind: Kind::Span,
        site,
        lane,
        start,
        duration: end.saturating_sub(start),
    }
}

/// Adjacent spans that share their clock reads: the end of each is the start of the next. Made by
/// [`lap!`](crate::lap!).
#[must_use = "the last phase ends when the guard is dropped: bind it"]
#[derive(Debug)]
pub struct Lap {
    site: &'static Site,
    span: Span,
}

impl Lap {
    /// Begins the first phase.
    #[doc(hidden)]
    #[inline(always)]
    pub fn enter(site: &'static Site, track: Track) -> Lap {
        Lap {
            site,
            span: Span::enter(site, &(), track),
        }
    }

    /// A guard that records nothing.
    #[doc(hidden)]
    #[inline(always)]
    pub fn disabled(site: &'static Site) -> Lap {
        Lap {
            site,
            span: Span::disabled(),
        }
    }

    /// Ends the phase and begins the next one at the same moment.
    #[inline]
    pub fn next(&mut self, name: &'static str) {
        if self.span.ring.is_null() {
            return;
        }
        let now = clock::ticks();
        // SAFETY: rings live for ever.
        let ring = unsafe { &*self.span.ring };
        if !ring.is_ours() {
            return;
        }
        let span = &mut self.span;
        ring.record(
            span_words(span.site, span.lane, span.start, now),
            span.payload.get_mut(),
        );
        span.site = self.site.phase_id(name, ring.process);
        span.start = now;
        if span.open_slot != NO_SLOT {
            ring.writer.reopen(
                span.open_slot,
                Record::site_and_kind(span.site, Kind::Span),
                now,
            );
        }
    }
}
