//! The process's clock: which counter its records carry.

use core::sync::atomic::{AtomicU32, Ordering};

pub(crate) use ringscope_ringbuf::clock::{ClockSource, monotonic_ns, pair, realtime_ns};
use ringscope_ringbuf::clock::{counter, detect};

/// Number of the source; set before the first record, the same ever after.
static SOURCE: AtomicU32 = AtomicU32::new(ClockSource::Monotonic as u32);

/// Chooses the source; returns it.
pub(crate) fn choose() -> ClockSource {
    let source = detect();
    SOURCE.store(source as u32, Ordering::Relaxed);
    source
}

/// The chosen source.
pub(crate) fn source() -> ClockSource {
    ClockSource::from_u32(SOURCE.load(Ordering::Relaxed)).unwrap_or(ClockSource::Monotonic)
}

/// Ticks of the chosen source, now.
#[inline(always)]
pub(crate) fn ticks() -> u64 {
    counter_ticks().unwrap_or_else(monotonic_ticks)
}

/// As [`ticks`], if that takes no call: for functions that do without a stack frame otherwise.
#[inline(always)]
pub(crate) fn counter_ticks() -> Option<u64> {
    // aarch64 always has its counter; elsewhere the branch is always taken the same way.
    let reads_counter = cfg!(target_arch = "aarch64")
        || SOURCE.load(Ordering::Relaxed) != ClockSource::Monotonic as u32;
    reads_counter.then(counter)
}

#[cold]
#[inline(never)]
fn monotonic_ticks() -> u64 {
    monotonic_ns()
}
