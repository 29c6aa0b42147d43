//! Lines that look alike are made of few wide copies: what is the same for a site or a lane stands ready, padded, and
//! numbers of up to three digits are looked up.

/// Bytes copied at once.
const WIDE: usize = 32;
const NS_PER_MS: u64 = 1_000_000;
/// Longest line that is put together here; longer ones are made piece by piece elsewhere.
pub(crate) const MAX_LINE: usize = 1 << 10;
/// A line, and what a copy at its end may write beyond.
pub(crate) const LINE_ROOM: usize = MAX_LINE + WIDE;

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

/// The millisecond that was written last, which the next line most likely has too.
pub(crate) struct Millisecond {
    /// Where it begins.
    ns: u64,
    /// Its number.
    text: [u8; WIDE],
    len: usize,
}

impl Default for Millisecond {
    fn default() -> Millisecond {
        Millisecond::of(NS_PER_MS)
    }
}

/// Writes a line.
pub(crate) struct Pen<'a> {
    room: &'a mut [u8; LINE_ROOM],
    /// Bytes so far; it never leaves the line, and is cut to it so that no copy has to be checked.
    at: usize,
    millisecond: &'a mut Millisecond,
}

impl<'a> Pen<'a> {
    /// Begins a line.
    #[inline(always)]
    pub(crate) fn new(room: &'a mut [u8; LINE_ROOM], millisecond: &'a mut Millisecond) -> Pen<'a> {
        Pen {
            room,
            at: 0,
            millisecond,
        }
    }

    /// Bytes of the line so far.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.at
    }

    #[inline(always)]
    fn put_wide(&mut self, bytes: &[u8; WIDE], len: usize) {
        let at = self.at % MAX_LINE;
        self.room[at..at + WIDE].copy_from_slice(bytes);
        self.at = at + len;
    }

    #[inline(always)]
    fn put_4(&mut self, bytes: [u8; 4], len: usize) {
        let at = self.at % MAX_LINE;
        self.room[at..at + 4].copy_from_slice(&bytes);
        self.at = at + len;
    }

    #[inline(always)]
    pub(crate) fn put_8(&mut self, bytes: [u8; 8], len: usize) {
        let at = self.at % MAX_LINE;
        self.room[at..at + 8].copy_from_slice(&bytes);
        self.at = at + len;
    }

    #[inline(always)]
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
    #[inline(always)]
    pub(crate) fn put_moment(&mut self, ns: u64) {
        let mut since_ns = ns.wrapping_sub(self.millisecond.ns);
        if since_ns >= NS_PER_MS {
            if ns < NS_PER_MS {
                return self.put_duration(ns);
            }
            since_ns = self.millisecond.change(ns);
        }
        let text = self.millisecond.text;
        self.put_wide(&text, self.millisecond.len);
        self.put_fraction(since_ns as u32);
    }

    /// Appends ns, less than a millisecond, as three digits of µs and three decimals.
    #[inline(always)]
    fn put_fraction(&mut self, ns: u32) {
        let [_, a, b, c] = DIGITS.padded[(ns / 1000 % 1000) as usize];
        let [point, d, e, f] = DIGITS.padded[(ns % 1000) as usize];
        self.put_8([a, b, c, point, d, e, f, 0], 7);
    }

    /// Appends ns as µs with three decimals.
    #[inline(always)]
    pub(crate) fn put_duration(&mut self, ns: u64) {
        if ns < NS_PER_MS {
            self.put_small(ns as u32 / 1000);
            self.put_4(DIGITS.padded[(ns as u32 % 1000) as usize], 4);
        } else if ns < 1000 * NS_PER_MS {
            self.put_small((ns / NS_PER_MS) as u32);
            self.put_fraction((ns % NS_PER_MS) as u32);
        } else {
            let (text, len) = digits_of(ns / 1000);
            self.put_wide(&text, len);
            self.put_4(DIGITS.padded[(ns % 1000) as usize], 4);
        }
    }

    /// Appends a number below 1,000.
    #[inline(always)]
    fn put_small(&mut self, number: u32) {
        let digits = DIGITS.plain[number as usize % 1000];
        self.put_4(digits, digits[3] as usize);
    }

    #[inline(always)]
    pub(crate) fn put_number(&mut self, number: u64) {
        if number < 1000 {
            self.put_small(number as u32);
        } else if number < 1_000_000 {
            self.put_small(number as u32 / 1000);
            let [_, a, b, c] = DIGITS.padded[number as usize % 1000];
            self.put_4([a, b, c, 0], 3);
        } else {
            let (text, len) = digits_of(number);
            self.put_wide(&text, len);
        }
    }
}

impl Millisecond {
    fn of(ns: u64) -> Millisecond {
        let (text, len) = digits_of(ns / NS_PER_MS);
        let ns = ns - ns % NS_PER_MS;
        Millisecond { ns, text, len }
    }

    /// Goes to that of a moment; how far that lies in it, ns.
    #[cold]
    fn change(&mut self, ns: u64) -> u64 {
        *self = Millisecond::of(ns);
        ns - self.ns
    }
}

/// The digits of a number, and how many they are.
#[cold]
fn digits_of(number: u64) -> ([u8; WIDE], usize) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(number).as_bytes();
    let mut text = [0; WIDE];
    text[..digits.len()].copy_from_slice(digits);
    (text, digits.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::json::put_us;
    use crate::sheet::Sheet;

    fn written(put: impl FnOnce(&mut Pen<'_>)) -> String {
        let mut sheet = Sheet::default();
        sheet.line(&mut Millisecond::default(), put);
        String::from_utf8(sheet.as_bytes().to_vec()).unwrap()
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
            prop_assert_eq!(written(|pen| pen.put_number(number)), number.to_string());
            prop_assert_eq!(written(|pen| pen.put_duration(number)), us(number));
            let twice = written(|pen| {
                pen.put_moment(number);
                pen.put_moment(number);
                pen.put_moment(number / 3);
            });
            prop_assert_eq!(twice, us(number).repeat(2) + &us(number / 3));
        }

        #[test]
        fn stamps_are_copied_whole(text in "[a-z]{0,200}", more in "[a-z]{0,40}") {
            let stamps = [Stamp::new(text.as_bytes()), Stamp::new(more.as_bytes())];
            let found = written(|pen| stamps.iter().for_each(|stamp| pen.put(stamp)));
            prop_assert_eq!(found, text + &more);
        }
    }
}
