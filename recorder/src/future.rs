//! Spans over futures: from the first poll to completion or drop, whatever threads poll them.

use core::future::Future;
use core::pin::Pin;
use core::sync::atomic::AtomicU64;
use core::task::{Context, Poll};

use crate::clock;
use crate::payload::{NO_SLOT, Payload};
use crate::site::Site;
use crate::span::{close, open_with, span_words, start_not_shown};
use crate::thread::{self, ThreadRing};
use crate::track::Track;
use crate::value::Args;

/// Words of a payload behind the first: eight continuations.
const WORDS: usize = 28;

/// A span that has not begun; made by [`future_span!`](crate::future_span!) for [`InSpan::in_span`].
#[derive(Debug)]
pub struct FutureSpan {
    state: State,
    site: u32,
    track: Track,
    payload: Payload,
    /// The payload's words behind the first.
    words: [AtomicU64; WORDS],
}

// SAFETY: the payload's words stand beside it (it was made without a ring, so it has no long buffer), and the ring
// in `state` is used from another thread for `close` only.
unsafe impl Send for FutureSpan {}

#[derive(Clone, Copy, Debug)]
enum State {
    Disabled,
    Waiting,
    Open {
        ring: *const ThreadRing,
        slot: u32,
        start: u64,
    },
}

impl FutureSpan {
    /// A span that is never recorded.
    #[doc(hidden)]
    pub fn disabled() -> FutureSpan {
        FutureSpan {
            state: State::Disabled,
            site: 0,
            track: Track::THREAD,
            payload: Payload::empty(),
            words: [const { AtomicU64::new(0) }; WORDS],
        }
    }

    /// A span at `site`.
    #[doc(hidden)]
    pub fn new<A: Args>(site: &'static Site, args: &A, track: Track) -> FutureSpan {
        match thread::current() {
            Some(ring) => FutureSpan::waiting(site.id::<A>(ring.process), args, track),
            None => FutureSpan::disabled(),
        }
    }

    /// A span at `site` under a name made at run time.
    #[doc(hidden)]
    pub fn new_named<A: Args>(
        site: &'static Site,
        name: &[u8],
        args: &A,
        track: Track,
    ) -> FutureSpan {
        match thread::current() {
            Some(ring) => FutureSpan::waiting(site.named_id::<A>(name, ring.process), args, track),
            None => FutureSpan::disabled(),
        }
    }

    fn waiting<A: Args>(site: u32, args: &A, track: Track) -> FutureSpan {
        let mut span = FutureSpan::disabled();
        (span.state, span.site, span.track) = (State::Waiting, site, track);
        span.payload = Payload::of(args, &span.words, None);
        span
    }

    fn begin(&mut self) {
        if !matches!(self.state, State::Waiting) {
            return;
        }
        self.state = State::Disabled;
        if let Some(ring) = thread::current() {
            let lane = self.track.lane_in(ring.process);
            let slot = ring.writer.take_open_slot(self.site);
            let rest = self.payload.rest(&self.words, ring);
            let start = match slot {
                Some(slot) => open_with(ring, slot, self.site, lane, self.payload, rest),
                None => start_not_shown(),
            };
            let slot = slot.unwrap_or(NO_SLOT);
            self.state = State::Open { ring, slot, start };
        }
    }

    fn end(&mut self) {
        let State::Open { ring, slot, start } = self.state else {
            return;
        };
        let end = clock::ticks();
        self.state = State::Disabled;
        // SAFETY: rings live for ever.
        let began_on = unsafe { &*ring };
        let Some(here) = thread::current() else {
            if began_on.is_ours() {
                close(began_on, slot);
            }
            return;
        };
        if !began_on.is_ours() {
            return crate::process::count_in_child(
                ringscope_ringbuf::layout::DropCause::InheritedGuard,
            );
        }
        here.record(
            span_words(self.site, self.track.lane_in(here.process), start, end),
            self.payload,
            &self.words,
        );
        close(began_on, slot);
    }
}

impl Drop for FutureSpan {
    fn drop(&mut self) {
        self.end();
    }
}

/// Puts a future into a span.
pub trait InSpan: Future + Sized {
    /// The future, recorded as one span from its first poll until it completes or is dropped.
    ///
    /// ```
    /// use ringscope::InSpan;
    /// async fn answer(id: u64) -> u64 { id }
    /// let future = answer(7).in_span(ringscope::future_span!("answer", id = 7u64));
    /// # drop(future);
    /// ```
    fn in_span(self, span: FutureSpan) -> InSpanFuture<Self> {
        InSpanFuture { future: self, span }
    }
}

impl<F: Future> InSpan for F {}

/// What [`InSpan::in_span`] gives.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct InSpanFuture<F> {
    future: F,
    span: FutureSpan,
}

impl<F: Future> Future for InSpanFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: `future` is pinned as the whole is and never moved out; `span` is not pinned.
        let (future, span) = unsafe {
            let this = self.get_unchecked_mut();
            (Pin::new_unchecked(&mut this.future), &mut this.span)
        };
        span.begin();
        let poll = future.poll(context);
        if poll.is_ready() {
            span.end();
        }
        poll
    }
}
