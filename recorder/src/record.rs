//! From values to published records: the one place where each kind's words are put together.

use core::sync::atomic::{AtomicU64, Ordering};

use ringscope_ringbuf::layout::{CONTINUATION_PAYLOAD, DURATION_MAX, Kind, Record};
use ringscope_ringbuf::payload::ArgType;
use ringscope_ringbuf::reader::pack_duration;

use crate::payload::Payload;
use crate::thread::ThreadRing;

/// What the record of a span or event says beside its payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words {
    pub(crate) kind: Kind,
    pub(crate) site: u32,
    pub(crate) lane: u16,
    /// Start, or the time of an event.
    pub(crate) start: u64,
    /// Duration, or what the kind has in its place.
    pub(crate) duration: u64,
}

impl Words {
    /// The first words of the record.
    #[inline(always)]
    fn packed(self, w2: u64) -> [u64; 3] {
        [self.start, pack_duration(self.duration, self.lane), w2]
    }

    /// The last word of the record, without its stamp.
    #[inline(always)]
    fn site_and_kind(self) -> u64 {
        Record::site_and_kind(self.site, self.kind)
    }
}

impl ThreadRing {
    /// Records something whose payload starts in w2; `own` is where the payload's maker keeps the rest.
    #[inline(always)]
    pub(crate) fn record(&self, words: Words, payload: Payload, own: &[AtomicU64]) {
        if payload.is_word() && words.duration <= DURATION_MAX {
            self.put_one(words, payload.word);
        } else {
            self.record_payload(words, payload, own);
        }
    }

    #[inline(never)]
    fn record_payload(&self, words: Words, payload: Payload, own: &[AtomicU64]) {
        let rest = payload.rest(own, self);
        if words.duration > DURATION_MAX {
            let all = |index: usize| match index.checked_sub(1) {
                None => payload.word,
                Some(index) => word_at(rest, index),
            };
            return self.put_day_long(words, payload.len(), all);
        }
        let word = |index: usize| word_at(rest, index);
        self.put(words, payload.word, payload.rest_len(), word);
    }

    /// Records a span of more than 2^48 ticks (a day at 3 GHz): w2 holds the duration, and all `len` bytes of payload,
    /// of which `word(i)` gives the eight from 8 i on, stand behind it.
    pub(crate) fn put_day_long(&self, words: Words, len: usize, word: impl Fn(usize) -> u64) {
        let long = Words {
            kind: Kind::SpanLong,
            duration: DURATION_MAX,
            ..words
        };
        self.put(long, words.duration, len, word);
    }

    /// Records a counter's value; all of the payload follows it.
    #[inline(always)]
    pub(crate) fn record_counter(&self, words: Words, value_type: ArgType, value: u64) {
        let counter = Words {
            kind: Kind::Counter,
            duration: value_type as u64,
            ..words
        };
        self.put_one(counter, value);
    }

    /// A record without continuations.
    #[inline(always)]
    pub(crate) fn put_one(&self, words: Words, w2: u64) {
        let sequence = self.writer.reserve(1);
        if self.writer.has_room(sequence, 1) || self.make_room(sequence, 1) {
            self.publish(sequence, words, w2);
        }
    }

    /// A record with `rest_len` bytes in continuations, which are written before it; see
    /// [`Writer::publish_continuations`] for `word`.
    ///
    /// [`Writer::publish_continuations`]: ringscope_ringbuf::ring::Writer::publish_continuations
    #[inline(always)]
    pub(crate) fn put(&self, words: Words, w2: u64, rest_len: usize, word: impl Fn(usize) -> u64) {
        self.put_packed(words.packed(w2), words.site_and_kind(), rest_len, word);
    }

    /// As [`ThreadRing::put`], for words as they stand in the record.
    #[inline(always)]
    pub(crate) fn put_packed(
        &self,
        words: [u64; 3],
        site_and_kind: u64,
        rest_len: usize,
        word: impl Fn(usize) -> u64,
    ) {
        let slot_count = 1 + rest_len.div_ceil(CONTINUATION_PAYLOAD) as u64;
        let sequence = self.writer.reserve(slot_count);
        if self.writer.has_room(sequence, slot_count) || self.make_room(sequence, slot_count) {
            self.writer
                .publish_continuations(sequence + 1, rest_len, word);
            self.writer.publish(sequence, words, site_and_kind);
        }
    }

    /// Writes a record whose slot is reserved and free, and whose continuations are written.
    #[inline(always)]
    pub(crate) fn publish(&self, sequence: u64, words: Words, w2: u64) {
        self.writer
            .publish(sequence, words.packed(w2), words.site_and_kind());
    }
}

/// A word of a payload, zero behind its end.
#[inline(always)]
pub(crate) fn word_at(words: &[AtomicU64], index: usize) -> u64 {
    words
        .get(index)
        .map_or(0, |word| word.load(Ordering::Relaxed))
}
