//! Argument values as they travel in w2 and continuations (and, for constant arguments, in site blocks).
//!
//! The values of a site's arguments stand one after the other without padding; arguments that became known late
//! follow, each as key id (u32), type (u8), value. A key id of 0, or fewer than five bytes, ends them.

use crate::layout::MAX_VALUE_LEN;

/// Type of an argument.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ArgType {
    /// 8 bytes, two's complement.
    I64 = 1,
    /// 8 bytes.
    U64 = 2,
    /// 8 bytes, IEEE 754.
    F64 = 3,
    /// 1 byte, 0 or 1.
    Bool = 4,
    /// u16 length and as many bytes of UTF-8 (readers replace what is not). Bit 15 of the length says that the
    /// value was cut; then its original length follows the bytes as u32.
    Str = 5,
    /// As [`ArgType::Str`]; the text is JSON.
    Json = 6,
    /// 8 bytes, shown in hexadecimal (addresses, hashes).
    Hex = 7,
    /// No bytes: the value is absent.
    Null = 8,
}

impl ArgType {
    /// The type with this number.
    pub fn from_u8(number: u8) -> Option<ArgType> {
        use ArgType::*;
        [I64, U64, F64, Bool, Str, Json, Hex, Null]
            .into_iter()
            .find(|t| *t as u8 == number)
    }
}

/// A value read from a payload.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Signed integer.
    I64(i64),
    /// Unsigned integer.
    U64(u64),
    /// Floating point.
    F64(f64),
    /// Truth value.
    Bool(bool),
    /// Text, possibly cut: `full_len` is its length in bytes when it was given.
    Str {
        /// Bytes that were kept, UTF-8 unless the program gave something else.
        bytes: &'a [u8],
        /// Length of the value in the program.
        full_len: usize,
    },
    /// JSON text, possibly cut.
    Json {
        /// Bytes that were kept.
        bytes: &'a [u8],
        /// Length of the value in the program.
        full_len: usize,
    },
    /// Integer shown in hexadecimal.
    Hex(u64),
    /// No value.
    Null,
}

/// Bit of the length that says: the text was cut, its full length follows.
pub const CUT: u16 = 1 << 15;
const _: () = assert!(MAX_VALUE_LEN < CUT as usize);

/// Takes the value of type `arg_type` off the front of `bytes`; `None` when the bytes end early.
pub fn take_value<'a>(bytes: &mut &'a [u8], arg_type: ArgType) -> Option<Value<'a>> {
    let mut take = |len: usize| {
        let (field, rest) = bytes.split_at_checked(len)?;
        *bytes = rest;
        Some(field)
    };
    let mut word = || take(8)?.try_into().ok().map(u64::from_le_bytes);
    Some(match arg_type {
        ArgType::I64 => Value::I64(word()? as i64),
        ArgType::U64 => Value::U64(word()?),
        ArgType::F64 => Value::F64(f64::from_bits(word()?)),
        ArgType::Hex => Value::Hex(word()?),
        ArgType::Bool => Value::Bool(take(1)?[0] != 0),
        ArgType::Null => Value::Null,
        ArgType::Str | ArgType::Json => {
            let len = u16::from_le_bytes(take(2)?.try_into().ok()?);
            let text = take((len & !CUT) as usize)?;
            let full_len = if len & CUT != 0 {
                u32::from_le_bytes(take(4)?.try_into().ok()?) as usize
            } else {
                text.len()
            };
            if arg_type == ArgType::Str {
                Value::Str {
                    bytes: text,
                    full_len,
                }
            } else {
                Value::Json {
                    bytes: text,
                    full_len,
                }
            }
        }
    })
}

/// Takes the next late argument off the front of `bytes`: key id and value; `None` at their end.
pub fn take_late<'a>(bytes: &mut &'a [u8]) -> Option<(u32, Value<'a>)> {
    let (head, mut rest) = bytes.split_at_checked(5)?;
    let key_id = u32::from_le_bytes(head[..4].try_into().ok()?);
    if key_id == 0 {
        return None;
    }
    let value = take_value(&mut rest, ArgType::from_u8(head[4])?)?;
    *bytes = rest;
    Some((key_id, value))
}

/// Appends `text` with its length to `out` as far as it fits in `out`'s capacity and [`MAX_VALUE_LEN`]; returns
/// the new length of `out` and whether the value was cut, or `None` when not even a cut value fits.
pub fn put_text(out: &mut [u8], len: usize, text: &[u8]) -> Option<(usize, bool)> {
    let room = out.len().checked_sub(len + 2)?;
    if text.len() <= room.min(MAX_VALUE_LEN) {
        out[len..len + 2].copy_from_slice(&(text.len() as u16).to_le_bytes());
        out[len + 2..len + 2 + text.len()].copy_from_slice(text);
        return Some((len + 2 + text.len(), false));
    }
    let keep = floor_char_boundary(text, room.checked_sub(4)?.min(MAX_VALUE_LEN));
    out[len..len + 2].copy_from_slice(&(keep as u16 | CUT).to_le_bytes());
    out[len + 2..len + 2 + keep].copy_from_slice(&text[..keep]);
    let full_len = text.len().min(u32::MAX as usize) as u32;
    out[len + 2 + keep..len + 6 + keep].copy_from_slice(&full_len.to_le_bytes());
    Some((len + 6 + keep, true))
}

/// The eight bytes of `bytes` from 8 `index` on as a word, zeros behind the end.
pub fn payload_word(bytes: &[u8], index: usize) -> u64 {
    let rest = bytes.get(8 * index..).unwrap_or_default();
    match rest.first_chunk() {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => rest
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// The largest length up to `len` that does not split a UTF-8 character of `text`.
pub fn floor_char_boundary(text: &[u8], len: usize) -> usize {
    let mut at = len.min(text.len());
    while at > 0 && at < text.len() && len - at < 4 && text[at] & 0xC0 == 0x80 {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_kept_whole_or_cut_at_a_character() {
        let mut out = [0u8; 16];
        assert_eq!(put_text(&mut out, 0, b"abc"), Some((5, false)));
        assert_eq!(
            take_value(&mut &out[..5], ArgType::Str),
            Some(Value::Str {
                bytes: b"abc",
                full_len: 3
            })
        );
        let long = "ééééééééé";
        let (len, cut) = put_text(&mut out, 0, long.as_bytes()).unwrap();
        assert!(cut && len <= 16);
        let value = take_value(&mut &out[..len], ArgType::Str);
        assert_eq!(
            value,
            Some(Value::Str {
                bytes: "ééééé".as_bytes(),
                full_len: 18
            })
        );
        assert_eq!(put_text(&mut out, 12, b"abcdef"), None);
    }

    #[test]
    fn late_arguments_end_at_key_zero_or_short_bytes() {
        let mut bytes: &[u8] = &[7, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0];
        assert_eq!(take_late(&mut bytes), Some((7, Value::Bool(true))));
        assert_eq!(take_late(&mut bytes), None);
        assert_eq!(take_late(&mut &[9u8, 0, 0][..]), None);
    }
}
