//! Argument values: what may be one, and how several become a payload.

use core::fmt::{self, Write};
use core::mem::MaybeUninit;

use ringscope_ringbuf::layout::{CONTINUATION_PAYLOAD, DropCause, MAX_VALUE_LEN};
use ringscope_ringbuf::payload::{ArgType, put_text};

use crate::long_value::LONG_LEN;
use crate::process;
use crate::thread::ThreadRing;

/// Something that can be the value of an argument. Strings and integers are; wrap others by `%` ([`Display`]) or
/// `?` ([`Debug`]) in the macros.
///
/// [`Display`]: core::fmt::Display
/// [`Debug`]: core::fmt::Debug
pub trait Value {
    /// Type in the file.
    #[doc(hidden)]
    const TYPE: ArgType;
    /// Length in the payload, for types that have one.
    #[doc(hidden)]
    const FIXED_LEN: Option<usize>;
    /// The value as little-endian bytes in a word, for types of fixed length.
    #[doc(hidden)]
    fn word(&self) -> u64 {
        0
    }
    /// Appends the value.
    #[doc(hidden)]
    fn put(&self, out: &mut Out<'_>);
}

/// A payload being written.
#[doc(hidden)]
#[derive(Debug)]
pub struct Out<'a> {
    bytes: &'a mut [MaybeUninit<u8>],
    /// Bytes written so far; all of them are initialised.
    len: usize,
    /// Bytes at the end that belong to the arguments after this one.
    reserved: usize,
    cut: bool,
}

impl<'a> Out<'a> {
    fn new(bytes: &'a mut [MaybeUninit<u8>]) -> Out<'a> {
        Out {
            bytes,
            len: 0,
            reserved: 0,
            cut: false,
        }
    }

    /// Up to `wanted` bytes behind what was written, zeroed; fewer where the room ends.
    fn room(&mut self, wanted: usize) -> &mut [u8] {
        let end = self
            .bytes
            .len()
            .saturating_sub(self.reserved)
            .min(self.len + wanted)
            .max(self.len);
        let room = &mut self.bytes[self.len..end];
        room.fill(MaybeUninit::new(0));
        // SAFETY: just filled in.
        unsafe { room.assume_init_mut() }
    }

    /// The room kept free for the next value is now its own.
    fn begin_value(&mut self) {
        self.reserved -= RESERVED_LEN;
    }

    #[inline(always)]
    fn fixed(&mut self, word: u64, len: usize) {
        match self.bytes.get_mut(self.len..self.len + len) {
            Some(place) => {
                place.write_copy_of_slice(&word.to_le_bytes()[..len]);
                self.len += len;
            }
            None => self.cut = true,
        }
    }

    #[inline]
    fn text(&mut self, text: &[u8]) {
        let end = self.len + 2 + text.len();
        if text.len() > MAX_VALUE_LEN || end + self.reserved > self.bytes.len() {
            return self.cut_text(text);
        }
        let place = &mut self.bytes[self.len..end];
        place[..2].write_copy_of_slice(&(text.len() as u16).to_le_bytes());
        place[2..].write_copy_of_slice(text);
        self.len = end;
    }

    #[cold]
    #[inline(never)]
    fn cut_text(&mut self, text: &[u8]) {
        self.cut = true;
        if let Some((len, _)) = put_text(self.room(LONG_LEN), 0, text) {
            self.len += len;
        }
    }

    /// Formats text in place; what does not fit is counted, not kept.
    fn formatted(&mut self, text: fmt::Arguments<'_>) {
        let room = self.room(LONG_LEN);
        let Some(capacity) = room.len().checked_sub(TEXT_FRAME) else {
            self.cut = true;
            return;
        };
        let mut sink = Sink {
            bytes: &mut room[2..2 + capacity.min(MAX_VALUE_LEN)],
            kept: 0,
            full_len: 0,
        };
        // An error of the value's own formatter leaves what it wrote before.
        let _ = sink.write_fmt(text);
        let (kept, full_len) = (sink.kept, sink.full_len);
        let is_cut = kept < full_len;
        room[..2].copy_from_slice(&(kept as u16 | u16::from(is_cut) << 15).to_le_bytes());
        self.len += 2 + kept;
        if is_cut {
            self.fixed(full_len.min(u32::MAX as usize) as u64, 4);
            self.cut = true;
        }
    }
}

struct Sink<'a> {
    bytes: &'a mut [u8],
    kept: usize,
    full_len: usize,
}

impl Write for Sink<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Once something was cut nothing more is kept, or a later piece would follow the gap.
        if self.kept == self.full_len {
            let room = self.bytes.len() - self.kept;
            let keep = text.floor_char_boundary(room.min(text.len()));
            self.bytes[self.kept..self.kept + keep].copy_from_slice(&text.as_bytes()[..keep]);
            self.kept += keep;
        }
        self.full_len += text.len();
        Ok(())
    }
}

macro_rules! fixed_value {
    ($($type:ty => $arg_type:ident, $len:literal, |$v:ident| $word:expr;)*) => { $(
        impl Value for $type {
            const TYPE: ArgType = ArgType::$arg_type;
            const FIXED_LEN: Option<usize> = Some($len);
            #[inline(always)]
            fn word(&self) -> u64 {
                let $v = *self;
                $word
            }
            #[inline(always)]
            fn put(&self, out: &mut Out<'_>) {
                out.fixed(self.word(), $len);
            }
        }
    )* };
}

fixed_value! {
    i8 => I64, 8, |v| i64::from(v) as u64;
    i16 => I64, 8, |v| i64::from(v) as u64;
    i32 => I64, 8, |v| i64::from(v) as u64;
    i64 => I64, 8, |v| v as u64;
    isize => I64, 8, |v| v as u64;
    u8 => U64, 8, |v| u64::from(v);
    u16 => U64, 8, |v| u64::from(v);
    u32 => U64, 8, |v| u64::from(v);
    u64 => U64, 8, |v| v;
    usize => U64, 8, |v| v as u64;
    f32 => F64, 8, |v| f64::from(v).to_bits();
    f64 => F64, 8, |v| v.to_bits();
    bool => Bool, 1, |v| u64::from(v);
}

macro_rules! text_value {
    ($($type:ty => |$v:ident| $bytes:expr;)*) => { $(
        impl Value for $type {
            const TYPE: ArgType = ArgType::Str;
            const FIXED_LEN: Option<usize> = None;
            fn put(&self, out: &mut Out<'_>) {
                let $v = self;
                out.text($bytes);
            }
        }
    )* };
}

text_value! {
    str => |v| v.as_bytes();
    String => |v| v.as_bytes();
    std::borrow::Cow<'_, str> => |v| v.as_bytes();
    [u8] => |v| v;
    Vec<u8> => |v| v;
    char => |v| v.encode_utf8(&mut [0; 4]).as_bytes();
}

impl<T: Value + ?Sized> Value for &T {
    const TYPE: ArgType = T::TYPE;
    const FIXED_LEN: Option<usize> = T::FIXED_LEN;
    #[inline(always)]
    fn word(&self) -> u64 {
        (**self).word()
    }
    #[inline(always)]
    fn put(&self, out: &mut Out<'_>) {
        (**self).put(out);
    }
}

/// A value shown by its `Display`: what `%` stands for in the macros.
#[derive(Clone, Copy, Debug)]
pub struct Displayed<T>(pub T);

impl<T: fmt::Display> Value for Displayed<T> {
    const TYPE: ArgType = ArgType::Str;
    const FIXED_LEN: Option<usize> = None;
    fn put(&self, out: &mut Out<'_>) {
        out.formatted(format_args!("{}", self.0));
    }
}

/// A value shown by its `Debug`: what `?` stands for in the macros.
#[derive(Clone, Copy, Debug)]
pub struct Debugged<T>(pub T);

impl<T: fmt::Debug> Value for Debugged<T> {
    const TYPE: ArgType = ArgType::Str;
    const FIXED_LEN: Option<usize> = None;
    fn put(&self, out: &mut Out<'_>) {
        out.formatted(format_args!("{:?}", self.0));
    }
}

/// The arguments of one call: a tuple of up to twelve values.
#[doc(hidden)]
pub trait Args {
    /// Types, in order.
    const TYPES: &'static [ArgType];
    /// Tells lists of types apart; never 0.
    const SIGNATURE: u32 = signature(Self::TYPES);
    /// True when all values together fit into w2 without being written one by one.
    const IS_WORD: bool;
    /// Length of that word in bytes.
    const WORD_LEN: u32;
    /// That word.
    fn word(&self) -> u64;
    /// Appends all values.
    fn put(&self, out: &mut Out<'_>);
}

/// FNV-1a over the types, with the lowest bit set.
pub(crate) const fn signature(types: &[ArgType]) -> u32 {
    let mut hash = 0x811C_9DC5u32;
    let mut i = 0;
    while i < types.len() {
        hash = (hash ^ types[i] as u32).wrapping_mul(0x0100_0193);
        i += 1;
    }
    hash | 1
}

impl Args for () {
    const TYPES: &'static [ArgType] = &[];
    const IS_WORD: bool = true;
    const WORD_LEN: u32 = 0;
    #[inline(always)]
    fn word(&self) -> u64 {
        0
    }
    fn put(&self, _: &mut Out<'_>) {}
}

/// Length of a text, and where it is cut its full length behind it.
const TEXT_FRAME: usize = 2 + 4;
/// Bytes kept free for each argument that follows: a fixed value takes 8 at most, a text cut to nothing 6.
const RESERVED_LEN: usize = 8;

macro_rules! tuple_args {
    ($($first:ident $($other:ident)*;)*) => { $(
        #[allow(non_snake_case, reason = "a value is named as its type")]
        impl<$first: Value $(, $other: Value)*> Args for ($first, $($other,)*) {
            const TYPES: &'static [ArgType] = &[$first::TYPE $(, $other::TYPE)*];
            const IS_WORD: bool = Self::TYPES.len() == 1 && $first::FIXED_LEN.is_some();
            const WORD_LEN: u32 = match $first::FIXED_LEN { Some(len) => len as u32, None => 0 };
            #[inline(always)]
            fn word(&self) -> u64 {
                self.0.word()
            }
            #[inline]
            fn put(&self, out: &mut Out<'_>) {
                let ($first, $($other,)*) = self;
                out.reserved = Self::TYPES.len() * RESERVED_LEN;
                out.begin_value();
                $first.put(out);
                $(
                    out.begin_value();
                    $other.put(out);
                )*
            }
        }
    )* };
}

tuple_args! {
    A;
    A B;
    A B C;
    A B C D;
    A B C D E;
    A B C D E F;
    A B C D E F G;
    A B C D E F G H;
    A B C D E F G H I;
    A B C D E F G H I J;
    A B C D E F G H I J K;
    A B C D E F G H I J K L;
}

/// Payload bytes that a guard holds itself: w2 and eight continuations.
pub(crate) const INLINE_LEN: usize = 8 + 8 * CONTINUATION_PAYLOAD;
/// Bytes kept behind a payload, so that its last continuation can be read whole.
pub(crate) const PADDING: usize = CONTINUATION_PAYLOAD;

/// Argument values between a span's entry and its end.
#[derive(Debug)]
pub(crate) struct Payload {
    /// The first eight bytes, zeros behind the end.
    pub(crate) word: u64,
    len: u32,
    /// Number of the long buffer in use, plus one; 0 for none.
    long: u32,
    long_bytes: *mut MaybeUninit<u8>,
    /// The payload where it fits; a payload of up to eight bytes that came from a word stands in `word` alone.
    inline: MaybeUninit<[u8; INLINE_LEN + PADDING]>,
}

impl Payload {
    #[inline(always)]
    pub(crate) fn empty() -> Payload {
        Payload::of_word(0, 0)
    }

    #[inline(always)]
    fn of_word(word: u64, len: u32) -> Payload {
        let inline = MaybeUninit::uninit();
        Payload {
            word,
            len,
            long: 0,
            long_bytes: core::ptr::null_mut(),
            inline,
        }
    }

    /// Encodes `args`. With a `ring`, values that do not fit here go to one of its thread's long buffers.
    #[inline(always)]
    pub(crate) fn of<A: Args>(args: &A, ring: Option<&ThreadRing>) -> Payload {
        if A::IS_WORD {
            return Payload::of_word(args.word(), A::WORD_LEN);
        }
        let mut payload = Payload::empty();
        payload.encode(args, ring);
        payload
    }

    #[inline]
    fn encode<A: Args>(&mut self, args: &A, ring: Option<&ThreadRing>) {
        if self.put_all(args, INLINE_LEN) && !self.encode_long(args, ring) {
            process::count(DropCause::ValueCut);
        }
    }

    /// Encodes into a long buffer; false when there is none, or the values are longer still.
    #[cold]
    #[inline(never)]
    fn encode_long<A: Args>(&mut self, args: &A, ring: Option<&ThreadRing>) -> bool {
        let Some((ring, (index, bytes))) =
            ring.and_then(|ring| Some((ring, ring.long_values.take()?)))
        else {
            return false;
        };
        (self.long, self.long_bytes) = (index + 1, bytes.cast());
        !self.put_all(args, LONG_LEN.min(ring.max_payload()))
    }

    /// Writes all values into the first `limit` bytes of the buffer; true when something was cut.
    #[inline]
    fn put_all<A: Args>(&mut self, args: &A, limit: usize) -> bool {
        let mut out = Out::new(&mut self.buffer()[..limit]);
        args.put(&mut out);
        let (len, cut) = (out.len, out.cut);
        self.set_len(len);
        cut
    }

    /// `len` bytes of the buffer are the payload.
    #[inline]
    fn set_len(&mut self, len: usize) {
        self.buffer()[len..len + PADDING].write_copy_of_slice(&[0; PADDING]);
        self.len = len as u32;
        // The padding makes eight bytes of a shorter payload.
        self.word = u64::from_le_bytes(core::array::from_fn(|i| self.padded_bytes()[i]));
    }

    /// The payload's memory, padding included.
    #[inline(always)]
    fn buffer(&mut self) -> &mut [MaybeUninit<u8>] {
        if self.long != 0 {
            // SAFETY: a long buffer of that length, taken for this payload alone.
            unsafe { core::slice::from_raw_parts_mut(self.long_bytes, LONG_LEN + PADDING) }
        } else {
            let start = self.inline.as_mut_ptr().cast();
            // SAFETY: any bytes are valid as uninitialised ones.
            unsafe { core::slice::from_raw_parts_mut(start, INLINE_LEN + PADDING) }
        }
    }

    /// The payload and its padding.
    #[inline(always)]
    fn padded_bytes(&self) -> &[u8] {
        let start = if self.long != 0 {
            self.long_bytes.cast_const().cast()
        } else {
            self.inline.as_ptr().cast()
        };
        // SAFETY: `set_len` is called once the first bytes are written, and writes those behind them; a payload
        // that was made from a word is not asked.
        unsafe { core::slice::from_raw_parts(start, self.len as usize + PADDING) }
    }

    /// True when `word` is all of it.
    #[inline(always)]
    pub(crate) fn is_word(&self) -> bool {
        self.len <= 8
    }

    /// The bytes behind w2.
    #[inline(always)]
    pub(crate) fn rest(&self) -> &[u8] {
        if self.is_word() {
            &[]
        } else {
            &self.padded_bytes()[8..self.len as usize]
        }
    }

    /// The bytes behind w2, zeros appended to a whole number of continuations.
    #[inline(always)]
    pub(crate) fn padded_rest(&self) -> &[u8] {
        let rest_len = (self.len as usize).saturating_sub(8);
        match rest_len.next_multiple_of(CONTINUATION_PAYLOAD) {
            0 => &[],
            padded_len => &self.padded_bytes()[8..8 + padded_len],
        }
    }

    /// Appends an argument that became known late; false when it had to be cut or does not fit.
    pub(crate) fn append<V: Value>(&mut self, key_id: u32, value: &V, ring: &ThreadRing) -> bool {
        let len = self.len as usize;
        if self.long == 0 {
            let word = self.word;
            if len <= 8 {
                self.buffer()[..8].write_copy_of_slice(&word.to_le_bytes());
            }
            if self.put_late(len, INLINE_LEN, key_id, value) {
                return true;
            }
            if !self.move_to_long(len, ring) {
                return false;
            }
        }
        let limit = LONG_LEN.min(ring.max_payload());
        self.put_late(len, limit, key_id, value)
    }

    /// Writes a late argument behind the first `len` bytes, up to `limit`; false when it was cut or does not fit.
    fn put_late<V: Value>(&mut self, len: usize, limit: usize, key_id: u32, value: &V) -> bool {
        let mut out = Out {
            len,
            ..Out::new(&mut self.buffer()[..limit])
        };
        out.fixed(u64::from(key_id), 4);
        out.fixed(V::TYPE as u64, 1);
        let key_end = out.len;
        value.put(&mut out);
        let (end, cut) = (out.len, out.cut);
        // A key without a value would be read as damage: keep both or neither.
        if end > key_end {
            self.set_len(end);
        }
        !cut
    }

    /// Goes on in a long buffer, with the first `len` bytes; false when there is none.
    #[cold]
    #[inline(never)]
    fn move_to_long(&mut self, len: usize, ring: &ThreadRing) -> bool {
        let Some((index, bytes)) = ring.long_values.take() else {
            return false;
        };
        let bytes: *mut MaybeUninit<u8> = bytes.cast();
        // SAFETY: the long buffer is longer than this one, and taken for this payload alone.
        unsafe { bytes.copy_from_nonoverlapping(self.buffer().as_ptr(), len) };
        (self.long, self.long_bytes) = (index + 1, bytes);
        self.set_len(len);
        true
    }

    /// Gives the long buffer back.
    #[inline(always)]
    pub(crate) fn release(&mut self, ring: &ThreadRing) {
        if self.long != 0 {
            ring.long_values.give(self.long - 1);
            self.long = 0;
            self.len = 0;
        }
    }
}
