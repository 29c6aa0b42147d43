//! Lines that look alike are made of few wide copies: what is the same for a site or a lane stands ready, padded, and
//! numbers of up to three digits are looked up.

/// Bytes copied at once.
const WIDE: usize = 32;
const NS_PER_MS: u64 = 1_000_000;
/// Bytes that lines are put together in before they go on.
const DESK: usize = 1 << 12;
/// Longest line that is put together here; longer ones are made piece by piece elsewhere.
pub(crate) const MAX_LINE: usize = 1 << 10;

/// A text that is copied often.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stamp {
    /// The text's first bytes, and zeros behind a short one.
    first: [u8; WIDE],
    second: [u8; WIDE],
    /// The others, up to a multiple of [`WIDE`].
    more: Vec<[u8; WIDE]>,
    len: usize,
}

impl Stamp {
    pub(crate) fn new(text: &[u8]) -> Stamp {
        let mut chunks = text.chunks(WIDE).map(|chunk| {
            let mut padded = [0; WIDE];
            padded[..chunk.len()].copy_from_slice(chunk);
            padded
        });
        Stamp {
            first: chunks.next().unwrap_or_default(),
            second: chunks.next().unwrap_or_default(),
            more: chunks.collect(),
            len: text.len(),
        }
    }
}

/// Numbers below 1,000: three digits, and the same without leading zeros with their count behind them.
struct Digits {
    padded: [[u8; 4]; 1000],
    plain: [[u8; 4]; 1000],
}

static DIGITS: Digits = Digits::new();

impl Digits {
    const fn new() -> Digits {
        let mut digits = Digits {
            padded: [[b'.'; 4]; 1000],
            plain: [[0; 4]; 1000],
        };
        let mut number = 0;
        while number < 1000 {
            let (a, b, c) = (
                b'0' + (number / 100) as u8,
                b'0' + (number / 10 % 10) as u8,
                b'0' + (number % 10) as u8,
            );
            digits.padded[number] = [b'.', a, b, c];
            digits.plain[number] = if number >= 100 {
                [a, b, c, 3]
            } else if number >= 10 {
                [b, c, 0, 2]
            } else {
                [c, 0, 0, 1]
            };
            number += 1;
        }
        digits
    }
}

/// Where lines are put together.
pub(crate) struct Desk {
    bytes: Box<[u8; DESK]>,
    at: usize,
    /// The millisecond written last, which the next line most likely has too: where it begins in ns, and its number.
    last_ms_ns: u64,
    last_ms_text: [u8; WIDE],
    last_ms_len: usize,
}

impl Default for Desk {
    fn default() -> Desk {
        Desk {
            bytes: Box::new([0; DESK]),
            at: 0,
            last_ms_ns: u64::MAX,
            last_ms_text: [0; WIDE],
            last_ms_len: 0,
        }
    }
}

impl Desk {
    /// Makes room for a line: what stands ready goes to `out` when there is little left.
    #[inline]
    pub(crate) fn begin(&mut self, out: &mut Vec<u8>) {
        if self.at > DESK - MAX_LINE - 4 * WIDE {
            self.clear(out);
        }
    }

    /// Hands over what stands ready.
    pub(crate) fn clear(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bytes[..self.at]);
        self.at = 0;
    }

    #[inline]
    fn put_wide(&mut self, bytes: &[u8; WIDE], len: usize) {
        self.bytes[self.at..self.at + WIDE].copy_from_slice(bytes);
        self.at += len;
    }

    #[inline]
    fn put_4(&mut self, bytes: [u8; 4], len: usize) {
        self.bytes[self.at..self.at + 4].copy_from_slice(&bytes);
        self.at += len;
    }

    #[inline]
    pub(crate) fn put_8(&mut self, bytes: [u8; 8], len: usize) {
        self.bytes[self.at..self.at + 8].copy_from_slice(&bytes);
        self.at += len;
    }

    #[inline]
    pub(crate) fn put(&mut self, stamp: &Stamp) {
        let end = self.at + stamp.len;
        self.put_wide(&stamp.first, WIDE);
        if stamp.len > WIDE {
            self.put_wide(&stamp.second, WIDE);
            for wide in &stamp.more {
                self.put_wide(wide, WIDE);
            }
        }
        self.at = end;
    }

    /// Appends ns as µs with three decimals; most likely in the same millisecond as the last one.
    #[inline]
    pub(crate) fn put_moment(&mut self, ns: u64) {
        let mut since_ns = ns.wrapping_sub(self.last_ms_ns);
        if since_ns >= NS_PER_MS {
            if ns < NS_PER_MS {
                return self.put_duration(ns);
            }
            since_ns = ns % NS_PER_MS;
            self.remember_ms(ns - since_ns);
        }
        let (us, part) = (since_ns as u32 / 1000, since_ns as u32 % 1000);
        let text = self.last_ms_text;
        self.put_wide(&text, self.last_ms_len);
        let [_, a, b, c] = DIGITS.padded[us as usize];
        self.put_4([a, b, c, 0], 3);
        self.put_4(DIGITS.padded[part as usize], 4);
    }

    #[cold]
    fn remember_ms(&mut self, ms_ns: u64) {
        let mut digits = itoa::Buffer::new();
        let text = digits.format(ms_ns / NS_PER_MS).as_bytes();
        self.last_ms_text[..text.len()].copy_from_slice(text);
        (self.last_ms_ns, self.last_ms_len) = (ms_ns, text.len());
    }

    /// Appends ns as µs with three decimals.
    #[inline]
    pub(crate) fn put_duration(&mut self, ns: u64) {
        if ns < NS_PER_MS {
            let (us, part) = (ns as u32 / 1000, ns as u32 % 1000);
            self.put_small(us.into());
            self.put_4(DIGITS.padded[part as usize], 4);
        } else {
            self.put_number(ns / 1000);
            self.put_4(DIGITS.padded[(ns % 1000) as usize], 4);
        }
    }

    #[inline]
    fn put_small(&mut self, number: u64) {
        let digits = DIGITS.plain[number as usize];
        self.put_4(digits, digits[3] as usize);
    }

    #[inline(always)]
    pub(crate) fn put_number(&mut self, number: u64) {
        if number < 1000 {
            self.put_small(number);
        } else if number < 1_000_000 {
            self.put_small(number / 1000);
            let [_, a, b, c] = DIGITS.padded[(number % 1000) as usize];
            self.put_4([a, b, c, 0], 3);
        } else {
            self.put_large(number);
        }
    }

    #[cold]
    fn put_large(&mut self, number: u64) {
        let mut digits = itoa::Buffer::new();
        let text = digits.format(number).as_bytes();
        self.bytes[self.at..self.at + text.len()].copy_from_slice(text);
        self.at += text.len();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::json::put_us;

    fn written(put: impl FnOnce(&mut Desk)) -> String {
        let (mut desk, mut out) = (Desk::default(), Vec::new());
        put(&mut desk);
        desk.clear(&mut out);
        String::from_utf8(out).unwrap()
    }

    fn us(ns: u64) -> String {
        let mut out = Vec::new();
        put_us(&mut out, ns as i64);
        String::from_utf8(out).unwrap()
    }

    proptest! {
        #[test]
        fn numbers_are_written_as_elsewhere(bits in 0u32..63, noise: u64) {
            let number = noise & ((1 << bits) - 1);
            prop_assert_eq!(written(|desk| desk.put_number(number)), number.to_string());
            prop_assert_eq!(written(|desk| desk.put_duration(number)), us(number));
            let twice = written(|desk| {
                desk.put_moment(number);
                desk.put_moment(number);
                desk.put_moment(number / 3);
            });
            prop_assert_eq!(twice, us(number).repeat(2) + &us(number / 3));
        }

        #[test]
        fn stamps_are_copied_whole(text in "[a-z]{0,200}", more in "[a-z]{0,40}") {
            let stamps = [Stamp::new(text.as_bytes()), Stamp::new(more.as_bytes())];
            let found = written(|desk| stamps.iter().for_each(|stamp| desk.put(stamp)));
            prop_assert_eq!(found, text + &more);
        }
    }

    #[test]
    fn many_lines_pass_the_desk() {
        let line = Stamp::new(&[b'x'; MAX_LINE]);
        let (mut desk, mut out) = (Desk::default(), Vec::new());
        for _ in 0..100 {
            desk.begin(&mut out);
            desk.put(&line);
        }
        desk.clear(&mut out);
        assert_eq!(out, vec![b'x'; 100 * MAX_LINE]);
    }
}
