//! Arguments of an imported span, as records carry them.

use ringscope_ringbuf::payload::{ArgType, put_text};

use super::line::{Span, parsed};
use super::process_file::ProcessFile;

/// What the arguments of a record take at most: the longest value and room for others.
const MAX_BYTES: usize = 24 << 10;

/// The arguments of `span`, and how many did not fit.
pub(super) fn of_span(span: &Span<'_>, process: &mut ProcessFile) -> (Vec<u8>, u64) {
    let mut payload = Vec::new();
    let mut left_out = 0;
    let fixed = [
        (&b"inv"[..], ArgType::U64, span.invocation),
        (b"hid", ArgType::Hex, span.callable_hash),
        (b"depth", ArgType::I64, i64::from(span.depth) as u64),
    ];
    for (key, arg_type, word) in fixed {
        left_out += u64::from(!put(
            &mut payload,
            process.key(key),
            arg_type,
            &word.to_le_bytes(),
        ));
    }
    for (key, value) in &span.attributes {
        let id = process.key(key);
        let is_kept = match number(value) {
            Some((arg_type, word)) => put(&mut payload, id, arg_type, &word),
            None => put_str(&mut payload, id, value),
        };
        left_out += u64::from(!is_kept);
    }
    (payload, left_out)
}

/// Appends how far off a device time may be.
pub(super) fn add_slack(payload: &mut Vec<u8>, key: Option<u32>, slack_ns: u64) {
    put(payload, key, ArgType::U64, &slack_ns.to_le_bytes());
}

/// The whole number that `value` is: one that reads the same when it is written again, so that nothing of it is lost.
fn number(value: &[u8]) -> Option<(ArgType, [u8; 8])> {
    let reads_same = |text: String| text.as_bytes() == value;
    if let Some(number) = parsed::<i64>(value).filter(|n| reads_same(n.to_string())) {
        return Some((ArgType::I64, number.to_le_bytes()));
    }
    if let Some(number) = parsed::<u64>(value).filter(|n| reads_same(n.to_string())) {
        return Some((ArgType::U64, number.to_le_bytes()));
    }
    None
}

/// Appends an argument; false when its key or its value had no room.
fn put(payload: &mut Vec<u8>, key: Option<u32>, arg_type: ArgType, value: &[u8]) -> bool {
    let Some(key) = key.filter(|_| payload.len() + 5 + value.len() <= MAX_BYTES) else {
        return false;
    };
    payload.extend_from_slice(&key.to_le_bytes());
    payload.push(arg_type as u8);
    payload.extend_from_slice(value);
    true
}

fn put_str(payload: &mut Vec<u8>, key: Option<u32>, value: &[u8]) -> bool {
    let room = MAX_BYTES.saturating_sub(payload.len() + 5);
    let mut text = vec![0; room.min(value.len() + 8)];
    let Some((len, is_cut)) = put_text(&mut text, 0, value) else {
        return false;
    };
    put(payload, key, ArgType::Str, &text[..len]) && !is_cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_that_read_the_same_again() {
        let is = |text: &str| number(text.as_bytes()).map(|(arg_type, _)| arg_type);
        assert_eq!(is("-5"), Some(ArgType::I64));
        assert_eq!(is("18446744073709551615"), Some(ArgType::U64));
        for text in [
            "",
            "007",
            "-0",
            "2.5",
            "nan",
            "inf",
            "1e400",
            "0x10",
            "18446744073709551616",
            "\u{661}",
        ] {
            assert_eq!(is(text), None, "{text}");
        }
    }
}
