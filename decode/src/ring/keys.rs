//! Sort keys: when an event starts within its slice, and which event it is.

use std::cmp::Ordering;

/// Bits of a key that number the event; those above count nanoseconds from the slice's start.
const INDEX_BITS: u32 = 22;
/// Bits that one pass of the sort looks at, at most.
const DIGIT_BITS: u32 = 11;

/// The key of an event that starts so long after its slice; `None` when it is too late in it, or the events are too many.
#[inline(always)]
pub(crate) fn key(since_ns: u64, index: usize) -> Option<u64> {
    let fits = since_ns >> (u64::BITS - INDEX_BITS) == 0 && index >> INDEX_BITS == 0;
    fits.then_some(since_ns << INDEX_BITS | index as u64)
}

/// The last key of a moment within the time of keys.
#[inline(always)]
pub(crate) fn last_key(since_ns: u64) -> u64 {
    since_ns << INDEX_BITS | ((1 << INDEX_BITS) - 1)
}

/// The event of a key.
#[inline(always)]
pub(crate) fn index(key: u64) -> usize {
    (key & ((1 << INDEX_BITS) - 1)) as usize
}

/// The time of a key, ns from the slice's start.
#[inline(always)]
fn since_ns(key: u64) -> u64 {
    key >> INDEX_BITS
}

/// Puts sorted keys of the same moment in the order of their events.
pub(crate) fn settle(keys: &mut [u64], order: impl Fn(usize, usize) -> Ordering) {
    for tie in keys.chunk_by_mut(|a, b| since_ns(*a) == since_ns(*b)) {
        if tie.len() > 1 {
            tie.sort_unstable_by(|a, b| order(index(*a), index(*b)));
        }
    }
}

/// Sorts keys whose events come in the order of their numbers by time, the lowest digits first; `other` is room.
pub(crate) fn sort(keys: &mut Vec<u64>, other: &mut Vec<u64>) {
    let mut used = 0;
    for key in &*keys {
        used |= since_ns(*key);
    }
    let bits = u64::BITS - used.leading_zeros();
    let digit_bits = bits.div_ceil(bits.div_ceil(DIGIT_BITS).max(1)).max(1);
    other.resize(keys.len(), 0);
    for shift in (INDEX_BITS..INDEX_BITS + bits).step_by(digit_bits as usize) {
        let digit = |key: u64| (key >> shift) as usize & ((1 << digit_bits) - 1);
        let mut places = [0u32; 1 << DIGIT_BITS];
        let places = &mut places[..1 << digit_bits];
        for key in &*keys {
            places[digit(*key)] += 1;
        }
        let mut sum = 0;
        for place in places.iter_mut() {
            sum += std::mem::replace(place, sum);
        }
        for key in &*keys {
            let place = &mut places[digit(*key)];
            other[*place as usize] = *key;
            *place += 1;
        }
        std::mem::swap(keys, other);
    }
}
