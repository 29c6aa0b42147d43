//! From values to published records: the one place where each kind's words are put together.

use ringscope_ringbuf::layout::{CONTINUATION_PAYLOAD, DURATION_MAX, Kind, Record};
use ringscope_ringbuf::payload::ArgType;
use ringscope_ringbuf::reader::pack_duration;

use crate::thread::ThreadRing;
use crate::value::Payload;

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

impl ThreadRing {
    /// Records something whose payload starts in w2.
    #[inline(always)]
    pub(crate) fn record(&self, words: Words, payload: &Payload) {
        if payload.is_word() && words.duration <= DURATION_MAX {
            self.put_one(words, payload.word);
        } else {
            self.record_payload(words, payload);
        }
    }

    #[inline(never)]
    fn record_payload(&self, words: Words, payload: &Payload) {
        if words.duration > DURATION_MAX {
            self.record_long(words, payload);
        } else {
            self.put(words, payload.word, payload.padded_rest());
        }
    }

    /// Records a counter's value; all of the payload follows it.
    #[inline(always)]
    pub(crate) fn record_counter(&self, words: Words, value_type: ArgType, value: u64) {
        self.put(
            Words {
                kind: Kind::Counter,
                duration: value_type as u64,
                ..words
            },
            value,
            &[],
        );
    }

    /// A span of more than 2^48 ticks (a day at 3 GHz): w2 holds the duration, and the payload moves behind it.
    #[cold]
    #[inline(never)]
    fn record_long(&self, words: Words, payload: &Payload) {
        let mut bytes = [0u8; crate::value::INLINE_LEN];
        let rest = &payload.rest()[..payload.rest().len().min(bytes.len() - 8)];
        bytes[..8].copy_from_slice(&payload.word.to_le_bytes());
        bytes[8..8 + rest.len()].copy_from_slice(rest);
        let long = Words {
            kind: Kind::SpanLong,
            duration: DURATION_MAX,
            ..words
        };
        self.put(long, words.duration, &bytes[..8 + rest.len()]);
    }

    /// A record without continuations.
    #[inline(always)]
    fn put_one(&self, words: Words, w2: u64) {
        let sequence = self.writer.reserve(1);
        if self.writer.has_room(sequence, 1) || self.make_room(sequence, 1) {
            self.publish(sequence, words, w2);
        }
    }

    /// A record with `rest` in continuations, which are written before it.
    #[inline(always)]
    pub(crate) fn put(&self, words: Words, w2: u64, rest: &[u8]) {
        let slot_count = 1 + rest.len().div_ceil(CONTINUATION_PAYLOAD) as u64;
        let sequence = self.writer.reserve(slot_count);
        if self.writer.has_room(sequence, slot_count) || self.make_room(sequence, slot_count) {
            self.writer.publish_continuations(sequence + 1, rest);
            self.publish(sequence, words, w2);
        }
    }

    /// Writes a record whose slot is reserved and free, and whose continuations are written.
    #[inline(always)]
    pub(crate) fn publish(&self, sequence: u64, words: Words, w2: u64) {
        let site_and_kind = Record::site_and_kind(words.site, words.kind);
        let w1 = pack_duration(words.duration, words.lane);
        self.writer
            .publish(sequence, [words.start, w1, w2], site_and_kind);
    }
}
