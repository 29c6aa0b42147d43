//! The wire format of protocol buffers: numbered fields, numbers in groups of seven bits, messages within messages.

/// Fields whose value is a number.
pub(super) const VARINT: u32 = 0;
/// Fields of eight bytes.
const FIXED64: u32 = 1;
/// Fields that begin with their length.
pub(super) const BYTES: u32 = 2;

/// Appends a number, seven bits a byte, low ones first.
pub(super) fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// The bytes of a number, and how many they are: the same without a loop.
#[inline(always)]
pub(super) fn varint(number: u64) -> ([u8; 16], usize) {
    if number >> 56 != 0 {
        return long_varint(number);
    }
    // Groups of 28 bits, then of 14, then of 7 move apart.
    let groups = (number & 0x00FF_FFFF_F000_0000) << 4 | number & 0x0FFF_FFFF;
    let groups = (groups & 0x0FFF_C000_0FFF_C000) << 2 | groups & 0x0000_3FFF_0000_3FFF;
    let groups = (groups & 0x3F80_3F80_3F80_3F80) << 1 | groups & 0x007F_007F_007F_007F;
    let len = (u64::BITS - (number | 1).leading_zeros()).div_ceil(7);
    let goes_on = 0x0080_8080_8080_8080 & ((1 << (8 * (len - 1))) - 1);
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&(groups | goes_on).to_le_bytes());
    (bytes, len as usize)
}

#[cold]
fn long_varint(number: u64) -> ([u8; 16], usize) {
    let mut out = Vec::new();
    put_varint(&mut out, number);
    let mut bytes = [0; 16];
    bytes[..out.len()].copy_from_slice(&out);
    (bytes, out.len())
}

/// The tag of a field with a low number.
pub(super) const fn short_tag(field: u32, wire_type: u32) -> u8 {
    let tag = field << 3 | wire_type;
    assert!(tag < 0x80);
    tag as u8
}

pub(super) fn put_tag(out: &mut Vec<u8>, field: u32, wire_type: u32) {
    put_varint(out, (field << 3 | wire_type) as u64);
}

/// Appends a field with a number; signed ones are given as they stand in 64 bits.
pub(super) fn put_uint(out: &mut Vec<u8>, field: u32, number: u64) {
    put_tag(out, field, VARINT);
    put_varint(out, number);
}

/// Appends a field with a floating-point number.
pub(super) fn put_f64(out: &mut Vec<u8>, field: u32, number: f64) {
    put_tag(out, field, FIXED64);
    out.extend_from_slice(&number.to_le_bytes());
}

/// Appends a field with text or bytes.
pub(super) fn put_bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    put_tag(out, field, BYTES);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a field with text. Readers of the format cut texts at the first NUL: its symbol stands there instead.
pub(super) fn put_text(out: &mut Vec<u8>, field: u32, text: &str) {
    if text.contains('\0') {
        put_bytes(out, field, text.replace('\0', "\u{2400}").as_bytes());
    } else {
        put_bytes(out, field, text.as_bytes());
    }
}

/// Appends a field with the message that `put` appends.
pub(super) fn put_message(out: &mut Vec<u8>, field: u32, put: impl FnOnce(&mut Vec<u8>)) {
    put_tag(out, field, BYTES);
    let len_at = out.len();
    out.push(0);
    put(out);
    let len = out.len() - len_at - 1;
    if len < 0x80 {
        out[len_at] = len as u8;
    } else {
        // Messages of 128 bytes and more are rare: they move up to make room for their length.
        let mut bytes = Vec::with_capacity(5);
        put_varint(&mut bytes, len as u64);
        out.splice(len_at..=len_at, bytes);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_are_the_same_without_a_loop(bits in 0u32..65, noise: u64) {
            let number = noise.checked_shr(64 - bits).unwrap_or(0);
            let mut out = Vec::new();
            put_varint(&mut out, number);
            let (bytes, len) = varint(number);
            prop_assert_eq!(&bytes[..len], out);
        }
    }

    #[test]
    fn numbers_take_seven_bits_a_byte() {
        for (number, bytes) in [
            (0, &[0][..]),
            (127, &[0x7f]),
            (128, &[0x80, 1]),
            (300, &[0xac, 2]),
            (u64::MAX, &[255, 255, 255, 255, 255, 255, 255, 255, 255, 1]),
        ] {
            let mut out = Vec::new();
            put_varint(&mut out, number);
            assert_eq!(out, bytes);
        }
    }

    #[test]
    fn messages_of_any_length_begin_with_it() {
        for len in [0, 1, 127, 128, 300, 20_000] {
            let mut out = b"before".to_vec();
            put_message(&mut out, 4, |out| out.extend(std::iter::repeat_n(7, len)));
            let mut expected = b"before".to_vec();
            put_bytes(&mut expected, 4, &vec![7; len]);
            assert!(out == expected, "{len}");
        }
    }
}
