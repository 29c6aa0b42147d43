//! Payloads: values packed into words. They stand where a reader looks for them after a crash, in the span's open
//! slot, from entry to end, so that they are written once and the guard stays small.

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU64, Ordering};

use ringscope_ringbuf::layout::{DropCause, MAX_VALUE_LEN, OPEN_SLOT_PAYLOAD};
use ringscope_ringbuf::payload::{CUT, floor_char_boundary};

use crate::long_value::{LONG_WORDS, LongValues};
use crate::thread::ThreadRing;
use crate::value::{Args, Value};
use crate::{level, process};

/// Length of a text, and where it is cut its full length behind it.
const TEXT_FRAME: usize = 2 + 4;
/// Bytes kept free for each argument that follows: a fixed value takes 8 at most, a text cut to nothing 6.
const RESERVED_LEN: usize = 8;
/// In place of an open slot's number: the span is not shown while it is open.
pub(crate) const NO_SLOT: u32 = u32::MAX;

/// Words behind a payload's first one, for records that have no open slot.
pub(crate) type OwnWords = [AtomicU64; OPEN_SLOT_PAYLOAD / 8];

/// Such words, all of them 0.
#[inline(always)]
pub(crate) fn own_words() -> OwnWords {
    [const { AtomicU64::new(0) }; OPEN_SLOT_PAYLOAD / 8]
}

/// A payload being written: bytes become words here, so that no byte is read back before it left the store buffer.
#[doc(hidden)]
#[derive(Debug)]
pub struct Out<'a> {
    /// The first word.
    first: u64,
    /// Where the other words go.
    words: &'a [AtomicU64],
    /// The word that is not full yet, zeros behind its bytes.
    pending: u64,
    /// Bytes so far.
    len: usize,
    /// Most bytes; no more than `first` and `words` hold.
    limit: usize,
    /// Bytes at the end that belong to the arguments after this one.
    reserved: usize,
    cut: bool,
}

impl<'a> Out<'a> {
    #[inline(always)]
    fn new(words: &'a [AtomicU64], limit: usize) -> Out<'a> {
        Out {
            first: 0,
            words,
            pending: 0,
            len: 0,
            limit: limit.min(8 + 8 * words.len()),
            reserved: 0,
            cut: false,
        }
    }

    /// Goes on behind the first `len` bytes, of which `first` is the first word.
    fn resume(first: u64, words: &'a [AtomicU64], len: usize, limit: usize) -> Out<'a> {
        let mut out = Out::new(words, limit);
        let pending = match (len % 8, (len / 8).checked_sub(1)) {
            (0, _) => 0,
            (_, None) => first,
            (_, Some(index)) => words
                .get(index)
                .map_or(0, |word| word.load(Ordering::Relaxed)),
        };
        (out.first, out.len, out.pending) = (first, len, pending);
        out
    }

    /// Keeps room for `count` values, each of which is announced by [`Out::begin_value`].
    #[inline(always)]
    pub(crate) fn reserve_values(&mut self, count: usize) {
        self.reserved = count * RESERVED_LEN;
    }

    /// The room kept free for the next value is now its own.
    #[inline(always)]
    pub(crate) fn begin_value(&mut self) {
        self.reserved -= RESERVED_LEN;
    }

    /// Appends a value of `len` bytes, eight at most; `word` is zero behind them.
    #[inline(always)]
    pub(crate) fn fixed(&mut self, word: u64, len: usize) {
        if self.len + len > self.limit {
            self.cut = true;
        } else {
            self.push(word, len);
        }
    }

    /// Appends a text with its length.
    #[inline(always)]
    pub(crate) fn text(&mut self, text: &[u8]) {
        let end = self.len + 2 + text.len();
        if text.len() > MAX_VALUE_LEN || end + self.reserved > self.limit {
            // A copy goes there and comes back, so that this one may live in registers.
            *self = self.copied().with_cut_text(text);
        } else {
            self.push(text.len() as u64, 2);
            self.push_bytes(text);
        }
    }

    #[inline(always)]
    fn copied(&self) -> Out<'a> {
        Out { ..*self }
    }

    #[cold]
    #[inline(never)]
    fn with_cut_text(mut self, text: &[u8]) -> Out<'a> {
        self.cut = true;
        if let Some(room) = self.text_room() {
            let kept = floor_char_boundary(text, room);
            self.push(kept as u64 | u64::from(CUT), 2);
            self.push_bytes(&text[..kept]);
            self.push(text.len().min(u32::MAX as usize) as u64, 4);
        }
        self
    }

    /// Bytes that a text may have which may have to be cut; `None` when not even an empty one fits.
    fn text_room(&self) -> Option<usize> {
        let used = self.len + self.reserved + TEXT_FRAME;
        Some(self.limit.checked_sub(used)?.min(MAX_VALUE_LEN))
    }

    /// Formats text in place; what does not fit is counted, not kept.
    pub(crate) fn formatted(&mut self, text: fmt::Arguments<'_>) {
        let Some(room) = self.text_room() else {
            self.cut = true;
            return;
        };
        let frame_at = self.len;
        self.push(0, 2);
        let mut sink = Sink {
            out: self,
            room,
            kept: 0,
            full_len: 0,
        };
        // An error of the value's own formatter leaves what it wrote before.
        let _ = sink.write_fmt(text);
        let (kept, full_len) = (sink.kept, sink.full_len);
        self.set_byte(frame_at, kept as u8);
        if kept < full_len {
            self.set_byte(frame_at + 1, ((kept as u16 | CUT) >> 8) as u8);
            self.push(full_len.min(u32::MAX as usize) as u64, 4);
            self.cut = true;
        } else {
            self.set_byte(frame_at + 1, (kept >> 8) as u8);
        }
    }

    #[inline(always)]
    fn push_bytes(&mut self, bytes: &[u8]) {
        if let (Some(first), Some(last), 8..=16) =
            (bytes.first_chunk(), bytes.last_chunk(), bytes.len())
        {
            // Most texts are that short: no loop, no bytes one by one.
            let behind = bytes.len() - 8;
            self.push(u64::from_le_bytes(*first), 8);
            self.push(last_bytes(*last, behind), behind);
        } else {
            self.push_chunks(bytes);
        }
    }

    #[inline(always)]
    fn push_chunks(&mut self, bytes: &[u8]) {
        let (whole, tail) = bytes.as_chunks::<8>();
        // As `push` eight bytes at a time, with shifts that stay the same.
        let (index, used) = (self.len / 8, self.len % 8);
        let (left, right) = (8 * used, 63 - 8 * used);
        for (index, chunk) in (index..).zip(whole) {
            let word = u64::from_le_bytes(*chunk);
            self.put_word(index, self.pending | word << left);
            self.pending = word >> right >> 1;
        }
        self.len += 8 * whole.len();
        if !tail.is_empty() {
            self.push(tail_word(bytes, tail), tail.len());
        }
    }

    /// Appends the low `len` bytes of `word`, eight at most; the others are zero. There must be room.
    #[inline(always)]
    fn push(&mut self, word: u64, len: usize) {
        let (index, used) = (self.len / 8, self.len % 8);
        self.pending |= word << (8 * used);
        if used + len >= 8 {
            self.put_word(index, self.pending);
            // Twice, as a shift by 64 is none.
            self.pending = word >> (63 - 8 * used) >> 1;
        }
        self.len += len;
    }

    #[inline(always)]
    fn put_word(&mut self, index: usize, word: u64) {
        match index.checked_sub(1) {
            None => self.first = word,
            Some(index) => {
                if let Some(place) = self.words.get(index) {
                    place.store(word, Ordering::Relaxed);
                }
            }
        }
    }

    /// Sets a byte that was written as 0.
    fn set_byte(&mut self, at: usize, byte: u8) {
        let bits = u64::from(byte) << (at % 8 * 8);
        match (at / 8 == self.len / 8, (at / 8).checked_sub(1)) {
            (true, _) => self.pending |= bits,
            (false, None) => self.first |= bits,
            (false, Some(index)) => {
                if let Some(word) = self.words.get(index) {
                    word.store(word.load(Ordering::Relaxed) | bits, Ordering::Relaxed);
                }
            }
        }
    }

    /// Writes the last word where it is not full.
    #[inline(always)]
    fn flush(&mut self) {
        if !self.len.is_multiple_of(8) {
            self.put_word(self.len / 8, self.pending);
        }
    }
}

/// The last `count` bytes of `bytes` as a word, eight at most.
#[inline(always)]
fn last_bytes(bytes: [u8; 8], count: usize) -> u64 {
    match count {
        0 => 0,
        count => u64::from_le_bytes(bytes) >> (64 - 8 * count),
    }
}

/// The bytes of `tail` (fewer than eight), with which `bytes` ends, as a word.
#[inline(always)]
fn tail_word(bytes: &[u8], tail: &[u8]) -> u64 {
    match bytes.last_chunk::<8>() {
        // One load that overlaps the word before is faster than a copy of unknown length.
        Some(last) => u64::from_le_bytes(*last) >> (64 - 8 * tail.len()),
        None => tail
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

struct Sink<'a, 'b> {
    out: &'a mut Out<'b>,
    room: usize,
    kept: usize,
    full_len: usize,
}

impl Write for Sink<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Once something was cut nothing more is kept, or a later piece would follow the gap.
        if self.kept == self.full_len {
            let keep = floor_char_boundary(text.as_bytes(), self.room - self.kept);
            self.out.push_bytes(&text.as_bytes()[..keep]);
            self.kept += keep;
        }
        self.full_len += text.len();
        Ok(())
    }
}

/// Argument values between a span's entry and its end. The words behind the first stand in the span's open slot, in a
/// buffer of the thread, or with who made the payload.
///
/// Two words and passed by value, so that it lives in registers where it is made and comes back in registers where that
/// is a function of its own: bytes that are stored one width and read back another stall the processor for longer than
/// everything else here takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Payload {
    /// The first eight bytes, zeros behind the end.
    pub(crate) word: u64,
    /// Length of all of it, and from bit 32 on the number of the long buffer in use, plus one; 0 for none.
    extent: u64,
}

impl Payload {
    #[inline(always)]
    pub(crate) const fn empty() -> Payload {
        Payload { word: 0, extent: 0 }
    }

    /// Encodes `args`, into `words` what follows the first word. With a `ring`, values that do not fit there go to one
    /// of its thread's long buffers.
    #[inline(always)]
    pub(crate) fn of<A: Args>(args: &A, words: &[AtomicU64], ring: Option<&ThreadRing>) -> Payload {
        if A::IS_WORD {
            return Payload {
                word: if A::WORD_LEN > 0 {
                    level::let_in(args.word())
                } else {
                    0
                },
                extent: u64::from(A::WORD_LEN),
            };
        }
        if level::keeps_values_out() {
            return Payload::empty();
        }
        let (payload, cut) = Payload::encode(args, words, usize::MAX);
        if cut {
            return Payload::of_long(args, payload, ring);
        }
        payload
    }

    /// The payload, and whether something was cut.
    #[inline(always)]
    fn encode<A: Args>(args: &A, words: &[AtomicU64], limit: usize) -> (Payload, bool) {
        let mut out = Out::new(words, limit);
        args.put(&mut out);
        out.flush();
        let payload = Payload {
            word: out.first,
            extent: out.len as u64,
        };
        (payload, out.cut)
    }

    /// Encodes into a buffer of the thread, a short one if the values fit; the payload that was `cut` when none is free.
    #[cold]
    #[inline(never)]
    fn of_long<A: Args>(args: &A, cut: Payload, ring: Option<&ThreadRing>) -> Payload {
        let Some(ring) = ring else {
            process::count(DropCause::ValueCut);
            return cut;
        };
        if let Some((payload, false)) = Payload::in_buffer(args, ring, LongValues::take_short) {
            return payload;
        }
        let (payload, is_cut) =
            Payload::in_buffer(args, ring, LongValues::take).unwrap_or((cut, true));
        if is_cut {
            process::count(DropCause::ValueCut);
        }
        payload
    }

    /// Encodes into the buffer that `take` gives, if any, and tells whether something was cut; a short buffer is given
    /// back then.
    fn in_buffer<A: Args>(
        args: &A,
        ring: &ThreadRing,
        take: fn(&LongValues) -> Option<u32>,
    ) -> Option<(Payload, bool)> {
        let number = take(&ring.long_values)?;
        let words = ring.long_values.words(number);
        let (payload, is_cut) = Payload::encode(args, words, ring.max_payload());
        if is_cut && LongValues::is_short(number) {
            ring.long_values.give(number);
        }
        Some((payload.in_long(number), is_cut))
    }

    /// True when `word` is all of it.
    #[inline(always)]
    pub(crate) fn is_word(&self) -> bool {
        self.len() <= 8
    }

    /// Length of all of it.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.extent as u32 as usize
    }

    /// Number of the long buffer in use, plus one; 0 for none.
    #[inline(always)]
    fn long(&self) -> u32 {
        (self.extent >> 32) as u32
    }

    /// The same, its words behind the first in the long buffer `number`.
    fn in_long(self, number: u32) -> Payload {
        Payload {
            extent: self.len() as u64 | u64::from(number + 1) << 32,
            ..self
        }
    }

    /// Length of the bytes behind the first word.
    #[inline(always)]
    pub(crate) fn rest_len(&self) -> usize {
        self.len().saturating_sub(8)
    }

    /// All words that the payload may take behind the first.
    #[inline(always)]
    fn words<'a>(&self, own: &'a [AtomicU64], ring: &'a ThreadRing) -> &'a [AtomicU64] {
        match self.long() {
            0 => own,
            long => ring.long_values.words(long - 1),
        }
    }

    /// The words behind the first, if they do not stand in `own`; zeros behind the payload's end in the last one.
    #[inline(always)]
    pub(crate) fn rest<'a>(&self, own: &'a [AtomicU64], ring: &'a ThreadRing) -> &'a [AtomicU64] {
        let words = self.words(own, ring);
        &words[..self.rest_len().div_ceil(8).min(words.len())]
    }

    /// True when the words do not stand with who made the payload.
    #[inline(always)]
    pub(crate) fn is_long(&self) -> bool {
        self.long() != 0
    }

    /// Appends an argument that became known late; false when it had to be cut or does not fit.
    pub(crate) fn append<V: Value>(
        &mut self,
        key_id: u32,
        value: &V,
        own: &[AtomicU64],
        ring: &ThreadRing,
    ) -> bool {
        loop {
            let words = self.words(own, ring);
            let is_longest = self.long() != 0 && !LongValues::is_short(self.long() - 1);
            if self.put_late(words, ring.max_payload(), key_id, value, !is_longest) {
                return true;
            }
            if is_longest {
                return false;
            }
            if !self.move_to_longer(words, ring) {
                return self.put_late(words, ring.max_payload(), key_id, value, false);
            }
        }
    }

    /// Writes a late argument behind the others; false when it was cut, or does not fit. Nothing is left of an argument
    /// that must be `whole` and is not.
    fn put_late<V: Value>(
        &mut self,
        words: &[AtomicU64],
        limit: usize,
        key_id: u32,
        value: &V,
        whole: bool,
    ) -> bool {
        let before = Out::resume(self.word, words, self.len(), limit);
        let mut out = before.copied();
        out.fixed(u64::from(key_id), 4);
        out.fixed(V::TYPE as u64, 1);
        let key_end = out.len;
        value.put(&mut out);
        // A key without a value would be read as damage: keep both or neither.
        let is_there = out.len > key_end && !(whole && out.cut);
        let mut kept = if is_there { out.copied() } else { before };
        kept.flush();
        self.word = kept.first;
        self.extent += (kept.len - self.len()) as u64;
        !out.cut
    }

    /// Goes on in a longer buffer than `words`; false when none is free.
    #[cold]
    #[inline(never)]
    fn move_to_longer(&mut self, words: &[AtomicU64], ring: &ThreadRing) -> bool {
        let buffers = &ring.long_values;
        let short = match self.long() {
            0 => buffers.take_short(),
            _ => None,
        };
        let Some(number) = short.or_else(|| buffers.take()) else {
            return false;
        };
        for (to, from) in buffers.words(number).iter().zip(words) {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        if self.long() != 0 {
            buffers.give(self.long() - 1);
        }
        *self = self.in_long(number);
        true
    }

    /// Gives the long buffer back.
    #[inline(always)]
    pub(crate) fn release(&mut self, ring: &ThreadRing) {
        if self.long() != 0 {
            ring.long_values.give(self.long() - 1);
            *self = Payload::empty();
        }
    }
}

const _: () = assert!(LONG_WORDS * 8 >= MAX_VALUE_LEN + TEXT_FRAME + RESERVED_LEN);
