//! What has no duration that a guard could measure: instants, counters, and spans known only afterwards.

use ringscope_ringbuf::layout::Kind;

use crate::clock;
use crate::payload::{Payload, own_words};
use crate::record::Words;
use crate::site::Site;
use crate::thread::{self, ThreadRing};
use crate::track::Track;
use crate::value::{Args, Value};

/// Records an instant at `site`.
#[doc(hidden)]
#[inline(always)]
pub fn instant<A: Args>(site: &'static Site, args: &A, track: Track) {
    if let Some(ring) = thread::current() {
        put_instant(ring, site.id::<A>(ring.process), args, track);
    }
}

/// Records an instant at `site` under a name made at run time.
#[doc(hidden)]
pub fn instant_named<A: Args>(site: &'static Site, name: &[u8], args: &A, track: Track) {
    if let Some(ring) = thread::current() {
        put_instant(ring, site.named_id::<A>(name, ring.process), args, track);
    }
}

#[inline(always)]
fn put_instant<A: Args>(ring: &ThreadRing, site: u32, args: &A, track: Track) {
    let time = clock::ticks();
    let own = own_words();
    let mut payload = Payload::of(args, &own, Some(ring));
    let lane = track.lane_in(ring.process);
    ring.record(
        Words {
            kind: Kind::Instant,
            site,
            lane,
            start: time,
            duration: 0,
        },
        payload,
        &own,
    );
    payload.release(ring);
}

/// Records the value of a counter at `site`.
#[doc(hidden)]
#[inline(always)]
pub fn counter<V: Value>(site: &'static Site, value: &V, track: Track) {
    const { assert!(V::FIXED_LEN.is_some(), "a counter's value is a number") };
    if let Some(ring) = thread::current() {
        let (site, lane) = (site.id::<()>(ring.process), track.lane_in(ring.process));
        let words = Words {
            kind: Kind::Counter,
            site,
            lane,
            start: clock::ticks(),
            duration: 0,
        };
        ring.record_counter(words, V::TYPE, value.word());
    }
}

/// Records the value of a counter at `site` under a name made at run time.
#[doc(hidden)]
pub fn counter_named<V: Value>(site: &'static Site, name: &[u8], value: &V, track: Track) {
    const { assert!(V::FIXED_LEN.is_some(), "a counter's value is a number") };
    if let Some(ring) = thread::current() {
        let (site, lane) = (
            site.named_id::<()>(name, ring.process),
            track.lane_in(ring.process),
        );
        let words = Words {
            kind: Kind::Counter,
            site,
            lane,
            start: clock::ticks(),
            duration: 0,
        };
        ring.record_counter(words, V::TYPE, value.word());
    }
}

/// When a span that is known only afterwards began, and how long it took: CLOCK_MONOTONIC nanoseconds.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Past {
    /// Begin.
    pub start_ns: u64,
    /// Duration.
    pub duration_ns: u64,
}

/// Records a span that is over.
#[doc(hidden)]
#[inline]
pub fn complete_at<A: Args>(site: &'static Site, past: Past, args: &A, track: Track) {
    if let Some(ring) = thread::current() {
        put_complete(ring, site.id::<A>(ring.process), past, args, track);
    }
}

/// Records a span that is over under a name made at run time.
#[doc(hidden)]
pub fn complete_named<A: Args>(
    site: &'static Site,
    name: &[u8],
    past: Past,
    args: &A,
    track: Track,
) {
    if let Some(ring) = thread::current() {
        put_complete(
            ring,
            site.named_id::<A>(name, ring.process),
            past,
            args,
            track,
        );
    }
}

#[inline]
fn put_complete<A: Args>(ring: &ThreadRing, site: u32, past: Past, args: &A, track: Track) {
    use ringscope_ringbuf::layout::DURATION_MAX;
    let own = own_words();
    let mut payload = Payload::of(args, &own, Some(ring));
    let lane = track.lane_in(ring.process);
    let duration = past.duration_ns.min(DURATION_MAX);
    ring.record(
        Words {
            kind: Kind::SpanNs,
            site,
            lane,
            start: past.start_ns,
            duration,
        },
        payload,
        &own,
    );
    payload.release(ring);
}

/// Records a span that is known only afterwards: `start_ns` on CLOCK_MONOTONIC (see [`now_ns`]), `duration_ns` up to
/// three days.
///
/// With arguments, category or level: [`complete!`](crate::complete!), which is also faster for literal names.
pub fn complete(name: impl AsRef<[u8]>, start_ns: u64, duration_ns: u64) {
    crate::complete!(name.as_ref(), start_ns, duration_ns);
}

/// CLOCK_MONOTONIC in nanoseconds.
pub fn now_ns() -> u64 {
    clock::monotonic_ns()
}
