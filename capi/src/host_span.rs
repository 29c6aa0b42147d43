//! Spans that a runtime's logger was given: a plain structure with start, duration and attributes as one text.

use core::ffi::c_char;

use ringscope::__private::{LEVEL_KERNEL, Site};
use ringscope::c_abi::{self, Ring};
use ringscope_ringbuf::layout::DropCause;
use ringscope_ringbuf::payload::{ArgType, put_text};

use crate::abi::HostSpan;
use crate::border::{bytes, without_panic};
use crate::thread::attach;

/// The only version of the structure there is.
pub(crate) const HOST_SPAN_ABI_VERSION: u32 = 1;
/// Arguments of a span take at most so many bytes; loggers that this stands in for keep less than 256.
const PAYLOAD_LEN: usize = 1024;

/// The place of all of them; their names are made at run time.
static PLACE: Site = Site::new("(host span)", "strace", LEVEL_KERNEL, "", 0, &[]);

/// Records a span that is over; false when it was not recorded: nothing is being recorded, or the structure is
/// refused, which is counted.
///
/// # Safety
///
/// `span` is null, or points to a version and a length, and to as many bytes as the length says; in a structure of
/// version 1, `name` and `attributes` are null or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringscope_forward_host_span(span: *const HostSpan) -> bool {
    without_panic(false, || {
        if !ringscope::__private::enabled(LEVEL_KERNEL) {
            return false;
        }
        let Some(ring) = attach() else {
            return false;
        };
        // SAFETY: passed on to the caller.
        let recorded = unsafe { known(span) }.and_then(|span| record(ring, span));
        if recorded.is_none() {
            c_abi::count(DropCause::RefusedSpan);
        }
        recorded.is_some()
    })
}

/// The structure, where it is one that this library knows. Of others no more than version and length is read.
///
/// # Safety
///
/// As for [`ringscope_forward_host_span`].
unsafe fn known<'a>(span: *const HostSpan) -> Option<&'a HostSpan> {
    if span.is_null() {
        return None;
    }
    // SAFETY: by the contract these two fields are there.
    let (version, len) = unsafe { ((*span).abi_version, (*span).struct_size) };
    if version != HOST_SPAN_ABI_VERSION || (len as usize) < size_of::<HostSpan>() {
        return None;
    }
    // SAFETY: by the contract the rest is there too, as the length says.
    Some(unsafe { &*span })
}

fn record(ring: Ring, span: &HostSpan) -> Option<()> {
    let start = u64::try_from(span.timestamp_ns).ok()?;
    let duration = u64::try_from(span.duration_ns).ok()?;
    // SAFETY: by the contract of `ringscope_forward_host_span`.
    let name = unsafe { bytes(span.name) };
    if name.is_empty() {
        return None;
    }
    let site = ring.named_id(&PLACE, name, &[]);
    let mut arguments = Arguments::new();
    if !c_abi::keeps_values_out() {
        arguments.put_all(ring, span);
    }
    ring.record_past(site, start, duration, &arguments.bytes[..arguments.len]);
    if arguments.cut {
        c_abi::count(DropCause::ValueCut);
    }
    Some(())
}

/// Arguments with their keys, encoded.
struct Arguments {
    bytes: [u8; PAYLOAD_LEN],
    len: usize,
    cut: bool,
}

impl Arguments {
    fn new() -> Arguments {
        Arguments {
            bytes: [0; PAYLOAD_LEN],
            len: 0,
            cut: false,
        }
    }

    fn put_all(&mut self, ring: Ring, span: &HostSpan) {
        self.put_word(ring, b"inv", ArgType::U64, span.invocation_id);
        self.put_word(ring, b"hid", ArgType::Hex, span.callable_hash);
        self.put_word(ring, b"depth", ArgType::I64, i64::from(span.depth) as u64);
        // SAFETY: by the contract of `ringscope_forward_host_span`.
        let attributes = unsafe { bytes(span.attributes) };
        let words = attributes.split(u8::is_ascii_whitespace);
        for word in words.filter(|word| !word.is_empty()) {
            let mut parts = word.splitn(2, |byte| *byte == b'=');
            let (key, value) = (parts.next(), parts.next().unwrap_or_default());
            self.put_text(ring, key.unwrap_or_default(), value);
        }
    }

    fn put_text(&mut self, ring: Ring, key: &[u8], text: &[u8]) {
        if let Some(number) = whole_number::<i64>(text) {
            return self.put_word(ring, key, ArgType::I64, number as u64);
        }
        if let Some(number) = whole_number::<u64>(text) {
            return self.put_word(ring, key, ArgType::U64, number);
        }
        let before = self.len;
        if self.put_key(ring, key, ArgType::Str) {
            match put_text(&mut self.bytes, self.len, text) {
                Some((len, cut)) => (self.len, self.cut) = (len, self.cut | cut),
                None => self.take_back(before),
            }
        }
    }

    fn put_word(&mut self, ring: Ring, key: &[u8], arg_type: ArgType, word: u64) {
        let before = self.len;
        if self.put_key(ring, key, arg_type) {
            match self.bytes.get_mut(self.len..self.len + 8) {
                Some(place) => {
                    place.copy_from_slice(&word.to_le_bytes());
                    self.len += 8;
                }
                None => self.take_back(before),
            }
        }
    }

    /// False when there is no room, or no number for the key.
    fn put_key(&mut self, ring: Ring, key: &[u8], arg_type: ArgType) -> bool {
        let Some(place) = self.bytes.get_mut(self.len..self.len + 5) else {
            self.cut = true;
            return false;
        };
        // Past the cap on names, which is counted, the argument is left out.
        let Some(id) = ring.key_id(key) else {
            return false;
        };
        place[..4].copy_from_slice(&id.to_le_bytes());
        place[4] = arg_type as u8;
        self.len += 5;
        true
    }

    /// A key without a value would be read as damage.
    fn take_back(&mut self, before: usize) {
        self.bytes[before..].fill(0);
        self.len = before;
        self.cut = true;
    }
}

/// The number that `text` is, where the number is written like this and in no other way.
fn whole_number<T: core::str::FromStr>(text: &[u8]) -> Option<T> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let is_shortest = match digits {
        [b'1'..=b'9', ..] => true,
        [b'0'] => digits.len() == text.len(),
        _ => false,
    };
    let text = core::str::from_utf8(text).ok().filter(|_| is_shortest)?;
    text.parse().ok()
}

const _: () = assert!(size_of::<HostSpan>() == 48 + 2 * size_of::<*const c_char>());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_that_read_the_same_again() {
        assert_eq!(whole_number::<i64>(b"-5"), Some(-5));
        assert_eq!(whole_number::<i64>(b"0"), Some(0));
        assert_eq!(whole_number::<u64>(b"18446744073709551615"), Some(u64::MAX));
        for text in [
            "",
            "-",
            "-0",
            "007",
            "+1",
            "2.5",
            "0x10",
            "1\u{661}",
            "18446744073709551616",
        ] {
            assert_eq!(whole_number::<i64>(text.as_bytes()), None, "{text}");
            assert_eq!(whole_number::<u64>(text.as_bytes()), None, "{text}");
        }
    }
}
