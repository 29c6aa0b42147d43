//! Argument values: what may be one, and lists of them.

use core::fmt;

use ringscope_ringbuf::payload::ArgType;

use crate::payload::Out;

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
            #[inline(always)]
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
            #[inline(always)]
            fn put(&self, out: &mut Out<'_>) {
                let ($first, $($other,)*) = self;
                out.reserve_values(Self::TYPES.len());
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
