//! Spans: a guard from entry to end, shown in the ring's header while it is open.

use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering};

use ringscope_ringbuf::layout::{CONTINUATION_PAYLOAD, DURATION_MAX, DropCause, Kind, Record};
use ringscope_ringbuf::ring::OpenSpan;

use crate::name_table::{self, Use};
use crate::payload::{NO_SLOT, Payload};
use crate::record::{Words, word_at};
use crate::site::Site;
use crate::thread::{self, ThreadRing};
use crate::track::Track;
use crate::value::{Args, Value};
use crate::{clock, level, process};

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
        let lane = track.lane_in(ring.process);
        let Some(open_slot) = ring.writer.take_open_slot(site) else {
            return Span::begin_not_shown(ring, site, args, lane);
        };
        let payload = Payload::of(args, ring.writer.open_payload(open_slot), Some(ring));
        let start = open(ring, open_slot, site, lane, payload);
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

    #[cold]
    #[inline(never)]
    fn begin_not_shown<A: Args>(ring: &'static ThreadRing, site: u32, args: &A, lane: u16) -> Span {
        let payload = Payload::of(args, &[], Some(ring));
        Span {
            ring,
            start: start_not_shown(),
            site,
            open_slot: NO_SLOT,
            lane,
            payload: UnsafeCell::new(payload),
            _thread_bound: PhantomData,
        }
    }

    /// Where the payload's words behind the first stand, unless they are in a long buffer.
    fn own_words<'a>(&self, ring: &'a ThreadRing) -> &'a [AtomicU64] {
        match self.open_slot {
            NO_SLOT => &[],
            slot => ring.writer.open_payload(slot),
        }
    }

    /// Adds an argument that was not known at the beginning.
    pub fn record(&self, key: &str, value: impl Value) {
        // SAFETY: null or a ring that lives for ever.
        let Some(ring) = (unsafe { self.ring.as_ref() }).filter(|ring| ring.is_ours()) else {
            return;
        };
        if level::keeps_values_out() {
            return;
        }
        let Some(key_id) =
            name_table::find(Use::Key, key.as_bytes()).map(|key| key.id_in(ring.process))
        else {
            return process::count(DropCause::NameCap);
        };
        // SAFETY: the guard is neither Send nor Sync and hands out no reference: this call alone has the payload.
        let payload = unsafe { &mut *self.payload.get() };
        let own = self.own_words(ring);
        if !payload.append(key_id, &value, own, ring) {
            process::count(DropCause::ValueCut);
        }
        if self.open_slot != NO_SLOT {
            show_long(ring, self.open_slot, *payload);
            ring.writer
                .extend_open(self.open_slot, payload.word, payload.rest_len());
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
        let Some(end) = clock::counter_ticks() else {
            return self.end_by_system_clock();
        };
        // SAFETY: not null, and rings live for ever.
        let ring = unsafe { &*self.ring };
        let words = span_words(self.site, self.lane, self.start, end);
        let payload = self.payload.get_mut();
        if !ring.is_ours() || words.duration > DURATION_MAX {
            return self.end_rare(end);
        }
        if !payload.is_word() {
            return self.end_with_rest(end);
        }
        let sequence = ring.writer.reserve(1);
        if !ring.writer.has_room(sequence, 1) {
            return self.end_without_room(end, sequence);
        }
        ring.publish(sequence, words, payload.word);
        close(ring, self.open_slot);
    }

    #[cold]
    #[inline(never)]
    fn end_by_system_clock(&mut self) {
        self.end_rare(clock::ticks());
    }

    /// Ends a span whose payload does not fit into one word: mostly into one continuation.
    #[inline(never)]
    fn end_with_rest(&mut self, end: u64) {
        // SAFETY: as in `end`.
        let ring = unsafe { &*self.ring };
        let payload = *self.payload.get_mut();
        if payload.is_long() || payload.rest_len() > CONTINUATION_PAYLOAD {
            return self.end_rare(end);
        }
        if self.open_slot == NO_SLOT {
            return self.end_rare(end);
        }
        let sequence = ring.writer.reserve(2);
        if !ring.writer.has_room(sequence, 2) {
            return self.end_with_rest_without_room(end, sequence);
        }
        self.publish_with_rest(ring, end, sequence);
    }

    #[inline(always)]
    fn publish_with_rest(&mut self, ring: &ThreadRing, end: u64, sequence: u64) {
        let payload = *self.payload.get_mut();
        let rest = ring.writer.open_payload(self.open_slot);
        let word = |index: usize| match 8 * index < payload.rest_len() {
            true => rest[index].load(Ordering::Relaxed),
            false => 0,
        };
        let [first, second, third, last] = [word(0), word(1), word(2), word(3)];
        let continuation = [first, second, third];
        ring.writer
            .publish_continuation(sequence + 1, continuation, last as u32);
        let words = span_words(self.site, self.lane, self.start, end);
        ring.publish(sequence, words, payload.word);
        ring.writer.close(self.open_slot);
    }

    #[cold]
    #[inline(never)]
    fn end_with_rest_without_room(&mut self, end: u64, sequence: u64) {
        // SAFETY: as in `end`.
        let ring = unsafe { &*self.ring };
        if ring.make_room(sequence, 2) {
            self.publish_with_rest(ring, end, sequence);
        } else {
            close(ring, self.open_slot);
        }
    }

    #[cold]
    #[inline(never)]
    fn end_rare(&mut self, end: u64) {
        // SAFETY: as in `end`.
        let ring = unsafe { &*self.ring };
        if !ring.is_ours() {
            return process::count_in_child(DropCause::InheritedGuard);
        }
        let words = span_words(self.site, self.lane, self.start, end);
        let own = self.own_words(ring);
        let payload = self.payload.get_mut();
        ring.record(words, *payload, own);
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

/// Shows a span that begins now in `slot`, where its payload stands unless it is long; its start.
#[inline(always)]
fn open(ring: &ThreadRing, slot: u32, site: u32, lane: u16, payload: Payload) -> u64 {
    if payload.is_long() {
        show_long(ring, slot, payload);
    }
    let shown = OpenSpan {
        site_and_kind: Record::site_and_kind(site, Kind::Span),
        w2: payload.word,
        lane,
        payload_len: payload.rest_len(),
    };
    ring.writer.open(slot, shown, clock::ticks)
}

/// As [`open`], with the payload's words behind the first at `rest`.
pub(crate) fn open_with(
    ring: &ThreadRing,
    slot: u32,
    site: u32,
    lane: u16,
    payload: Payload,
    rest: &[AtomicU64],
) -> u64 {
    let word = |index: usize| word_at(rest, index);
    ring.writer
        .fill_open_payload(slot, payload.rest_len(), word);
    open(ring, slot, site, lane, payload)
}

/// Copies the beginning of a long payload to an open slot.
#[cold]
#[inline(never)]
fn show_long(ring: &ThreadRing, slot: u32, payload: Payload) {
    let rest = payload.rest(&[], ring);
    let word = |index: usize| word_at(rest, index);
    ring.writer
        .fill_open_payload(slot, payload.rest_len().min(8 * rest.len()), word);
}

/// The start of a span that is not shown while it is open, which is counted.
pub(crate) fn start_not_shown() -> u64 {
    process::count(DropCause::NotShownWhileOpen);
    clock::ticks()
}

/// Ends what [`open`] began.
#[inline(always)]
pub(crate) fn close(ring: &ThreadRing, slot: u32) {
    if slot != NO_SLOT {
        ring.writer.close(slot);
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
    pub fn next(&mut self, name: &'static str) {
        if self.span.ring.is_null() {
            return;
        }
        let Some(now) = clock::counter_ticks() else {
            return self.next_by_system_clock(name);
        };
        // SAFETY: rings live for ever.
        let ring = unsafe { &*self.span.ring };
        let words = self.phase_words(now);
        let phase = name_table::known_phase(self.site, name, ring.writer.generation());
        // What is rare leaves by its last call, as in `Span::end`.
        let (true, Some(phase)) = (ring.is_ours() && words.duration <= DURATION_MAX, phase) else {
            return self.next_rare(name, now);
        };
        let sequence = ring.writer.reserve(1);
        if !ring.writer.has_room(sequence, 1) {
            return self.next_without_room(phase, now, sequence);
        }
        ring.publish(sequence, words, 0);
        self.go_on(ring, phase, now);
    }

    /// The words of the phase that ends now.
    #[inline(always)]
    fn phase_words(&self, now: u64) -> Words {
        let span = &self.span;
        span_words(span.site, span.lane, span.start, now)
    }

    /// Shows the next phase in the place of the last one.
    #[inline(always)]
    fn go_on(&mut self, ring: &ThreadRing, phase: u32, now: u64) {
        let span = &mut self.span;
        (span.site, span.start) = (phase, now);
        if span.open_slot != NO_SLOT {
            let site_and_kind = Record::site_and_kind(phase, Kind::Span);
            ring.writer.reopen(span.open_slot, site_and_kind, now);
        }
    }

    #[cold]
    #[inline(never)]
    fn next_by_system_clock(&mut self, name: &'static str) {
        self.next_rare(name, clock::ticks());
    }

    #[cold]
    #[inline(never)]
    fn next_rare(&mut self, name: &'static str, now: u64) {
        // SAFETY: as in `next`.
        let ring = unsafe { &*self.span.ring };
        if !ring.is_ours() {
            return;
        }
        ring.record(self.phase_words(now), Payload::empty(), &[]);
        let phase = name_table::find_phase(self.site, name, ring.process);
        self.go_on(ring, phase, now);
    }

    #[cold]
    #[inline(never)]
    fn next_without_room(&mut self, phase: u32, now: u64, sequence: u64) {
        // SAFETY: as in `next`.
        let ring = unsafe { &*self.span.ring };
        if ring.make_room(sequence, 1) {
            ring.publish(sequence, self.phase_words(now), 0);
        }
        self.go_on(ring, phase, now);
    }
}
