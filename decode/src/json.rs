//! Writing JSON: the one escaper that every string goes through, and numbers.
//!
//! A backslash at the end of a text is written as `\u005c`: one importer fails on a whole file for a name that ends in
//! `\\`. Everything else is written without `\u` where it can be, since the same importer shows such escapes literally.

use std::borrow::Cow;

use ringscope_ringbuf::payload::Value;

/// Deepest nesting of a JSON argument that is passed on; deeper ones become text, so that readers with a limit (of
/// 128 in many) can read the trace around it.
const MAX_JSON_DEPTH: usize = 100;

/// Appends `text` as a JSON string with its quotes.
pub(crate) fn put_str(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    put_escaped(out, text);
    out.push(b'"');
}

/// Text of bytes that should be UTF-8; what is not becomes U+FFFD. A value that was cut says so.
pub(crate) fn text(bytes: &[u8], full_len: usize) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(bytes);
    if full_len > bytes.len() {
        Cow::Owned(format!("{text}… [{full_len} bytes]"))
    } else {
        text
    }
}

/// Appends bytes as [`text`] reads them, as a JSON string.
pub(crate) fn put_text(out: &mut Vec<u8>, bytes: &[u8], full_len: usize) {
    put_str(out, &text(bytes, full_len));
}

fn put_escaped(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let mut plain_from = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if *byte >= 0x20 && *byte != b'"' && *byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[plain_from..at]);
        plain_from = at + 1;
        let short = match *byte {
            b'"' => b'"',
            b'\\' if plain_from < bytes.len() => b'\\',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0c => b'f',
            _ => {
                const DIGITS: [u8; 16] = *b"0123456789abcdef";
                let digits = [
                    DIGITS[(*byte >> 4) as usize],
                    DIGITS[(*byte & 0xF) as usize],
                ];
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&digits);
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', short]);
    }
    out.extend_from_slice(&bytes[plain_from..]);
}

pub(crate) fn put_u64(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

pub(crate) fn put_i64(out: &mut Vec<u8>, number: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends ns as µs with three decimals.
pub(crate) fn put_us(out: &mut Vec<u8>, ns: i64) {
    if ns < 0 {
        out.push(b'-');
    }
    let ns = ns.unsigned_abs();
    put_u64(out, ns / 1000);
    let part = (ns % 1000) as u16;
    let digit = |n: u16| b'0' + (n % 10) as u8;
    out.extend_from_slice(&[b'.', digit(part / 100), digit(part / 10), digit(part)]);
}

/// Appends a float: the shortest digits that read back the same; a string for what JSON has no number for.
pub(crate) fn put_f64(out: &mut Vec<u8>, number: f64) {
    use std::io::Write;
    if number.is_finite() {
        // Writing to a vector can't fail.
        let _ = write!(out, "{number:?}");
    } else {
        put_str(out, not_finite(number));
    }
}

/// What stands for a float that JSON has no number for.
pub(crate) fn not_finite(number: f64) -> &'static str {
    if number.is_nan() {
        "NaN"
    } else if number > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

/// Appends an argument's value.
pub(crate) fn put_value(out: &mut Vec<u8>, value: &Value<'_>) {
    match *value {
        Value::I64(number) => put_i64(out, number),
        Value::U64(number) => put_u64(out, number),
        Value::F64(number) => put_f64(out, number),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Null => out.extend_from_slice(b"null"),
        Value::Hex(number) => put_str(out, &format!("{number:#x}")),
        Value::Str { bytes, full_len } => put_text(out, bytes, full_len),
        Value::Json { bytes, full_len } => {
            if full_len > bytes.len() || !put_json(out, bytes) {
                put_text(out, bytes, full_len);
            }
        }
    }
}

/// Appends a tree of values.
pub(crate) fn put_tree(out: &mut Vec<u8>, tree: &serde_json::Value) {
    use serde_json::Value as Tree;
    match tree {
        Tree::String(text) => put_str(out, text),
        Tree::Array(list) => {
            out.push(b'[');
            for (index, item) in list.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                put_tree(out, item);
            }
            out.push(b']');
        }
        Tree::Object(map) => {
            out.push(b'{');
            for (index, (key, value)) in map.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                put_str(out, key);
                out.push(b':');
                put_tree(out, value);
            }
            out.push(b'}');
        }
        Tree::Null | Tree::Bool(_) | Tree::Number(_) => {
            out.extend_from_slice(tree.to_string().as_bytes());
        }
    }
}

/// What a JSON argument holds; `None` when it was cut, is no JSON, or is nested too deeply.
pub(crate) fn tree(bytes: &[u8], full_len: usize) -> Option<serde_json::Value> {
    let tree = (full_len <= bytes.len()).then(|| serde_json::from_slice(bytes).ok())??;
    (depth(&tree) <= MAX_JSON_DEPTH).then_some(tree)
}

fn depth(tree: &serde_json::Value) -> usize {
    use serde_json::Value as Tree;
    match tree {
        Tree::Array(list) => 1 + list.iter().map(depth).max().unwrap_or(0),
        Tree::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Appends JSON as it is, on one line and with backslashes written our way; false, with nothing appended, when it is
/// no JSON or nested too deeply.
fn put_json(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    if serde_json::from_slice::<serde_json::Value>(bytes).is_err() {
        return false;
    }
    let start = out.len();
    let (mut in_string, mut depth) = (false, 0usize);
    let mut rest = bytes.iter();
    while let Some(byte) = rest.next() {
        match (in_string, *byte) {
            (true, b'\\') => match rest.next() {
                Some(b'\\') => out.extend_from_slice(b"\\u005c"),
                Some(escaped) => out.extend_from_slice(&[b'\\', *escaped]),
                None => {}
            },
            (_, b'"') => {
                in_string = !in_string;
                out.push(b'"');
            }
            // Between tokens any white space is a space: events stand one a line.
            (false, b'\n' | b'\r' | b'\t') => out.push(b' '),
            (false, b'[' | b'{') => {
                depth += 1;
                if depth > MAX_JSON_DEPTH {
                    out.truncate(start);
                    return false;
                }
                out.push(*byte);
            }
            (false, b']' | b'}') => {
                depth -= 1;
                out.push(*byte);
            }
            _ => out.push(*byte),
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(put: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        put(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn strings_read_back_and_no_importer_stumbles() {
        for text in [
            "",
            "a",
            "\"",
            "\\",
            "a\\",
            "\u{0}\u{1f}\n\t",
            "é😀\u{7f}\u{2028}",
        ] {
            let json = written(|out| put_str(out, text));
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
            assert!(!json.ends_with(r#"\\""#), "{json}");
        }
        assert_eq!(written(|out| put_str(out, "a\\")), r#""a\u005c""#);
        assert_eq!(written(|out| put_str(out, "\\\\")), r#""\\\u005c""#);
        assert_eq!(
            written(|out| put_str(out, "c:\\\"x\"\n\t\u{1}")),
            r#""c:\\\"x\"\n\t\u0001""#
        );
        assert_eq!(written(|out| put_text(out, b"a\xffb", 3)), "\"a\u{fffd}b\"");
        assert_eq!(written(|out| put_text(out, b"ab", 9)), "\"ab… [9 bytes]\"");
    }

    #[test]
    fn microseconds_keep_nanoseconds() {
        let us = |ns| written(|out| put_us(out, ns));
        assert_eq!(us(0), "0.000");
        assert_eq!(us(1_234_567), "1234.567");
        assert_eq!(us(1_005), "1.005");
        assert_eq!(us(-1_005), "-1.005");
        assert_eq!(us(i64::MIN), "-9223372036854775.808");
    }

    #[test]
    fn floats_are_json() {
        for number in [0.0, -0.0, 1.0, 1e300, 1e-300, f64::MIN_POSITIVE, 0.1] {
            let json = written(|out| put_f64(out, number));
            assert_eq!(json.parse::<f64>().unwrap().to_bits(), number.to_bits());
            assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
        }
        assert_eq!(written(|out| put_f64(out, f64::NAN)), "\"NaN\"");
        assert_eq!(
            written(|out| put_f64(out, f64::NEG_INFINITY)),
            "\"-Infinity\""
        );
    }

    #[test]
    fn json_values_are_passed_on_or_become_text() {
        let json = |bytes: &[u8], full_len| {
            written(|out| put_value(out, &Value::Json { bytes, full_len }))
        };
        assert_eq!(json(b"{\"a\":\n[1, 2]}", 13), "{\"a\": [1, 2]}");
        assert_eq!(json(br#""x\\""#, 5), r#""x\u005c""#);
        assert_eq!(json(b"[1", 2), "\"[1\"");
        assert_eq!(json(b"NaN", 3), "\"NaN\"");
        assert_eq!(json(br#""\ud800""#, 8), r#""\"\\ud800\"""#);
        assert_eq!(json(b"[1]", 30), "\"[1]… [30 bytes]\"");
        let deep = [vec![b'['; 110], vec![b']'; 110]].concat();
        assert!(json(&deep, deep.len()).starts_with('"'));
    }
}
