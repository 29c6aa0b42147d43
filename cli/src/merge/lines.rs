//! Files of JSON lines, one event each: read whole, checked by all processors, and kept as they stand.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread;

use memchr::memchr;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::failure::Failure;

/// Bytes that one thread checks at a time.
const CHUNK_BYTES: usize = 4 << 20;

/// The events of all files, in the order of their names.
pub(crate) struct Fragments {
    /// The events, in pieces.
    pub(crate) pieces: Vec<Piece>,
    /// Processes that said their names.
    pub(crate) named_pids: BTreeSet<u64>,
}

/// Events that follow each other.
#[derive(Default)]
pub(crate) struct Piece {
    /// The lines, with a comma and a line break before each.
    pub(crate) lines: Vec<u8>,
    /// Number of lines.
    pub(crate) events: u64,
}

/// What is looked at in an event.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    pid: Option<serde_json::Value>,
}

/// The events of a piece of a file.
#[derive(Default)]
struct Checked {
    piece: Piece,
    named_pids: BTreeSet<u64>,
}

impl Fragments {
    /// Reads `trace.*.jsonl` in each directory. Lines that are damaged are left out, and so are files that can't be
    /// read.
    pub(crate) fn read(dirs: &[PathBuf]) -> Result<Fragments, Failure> {
        let mut all = Fragments {
            pieces: Vec::new(),
            named_pids: BTreeSet::new(),
        };
        for dir in dirs {
            for file in files(dir) {
                let bytes = fs::read(&file).unwrap_or_default();
                for checked in check(&bytes) {
                    all.named_pids.extend(checked.named_pids);
                    all.pieces.push(checked.piece);
                }
            }
        }
        Ok(all)
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let is_fragment = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        let inner = name
            .and_then(|name| name.strip_prefix("trace."))
            .and_then(|name| name.strip_suffix(".jsonl"));
        inner.is_some() && path.is_file()
    };
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(is_fragment)
        .collect();
    files.sort();
    files
}

/// Checks the lines of a file, in order.
fn check(bytes: &[u8]) -> Vec<Checked> {
    let pieces = pieces(bytes);
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let share = pieces.len().div_ceil(threads).max(1);
    if pieces.len() <= 1 {
        return pieces.into_iter().map(check_piece).collect();
    }
    thread::scope(|scope| {
        let workers: Vec<_> = pieces
            .chunks(share)
            .map(|share| scope.spawn(|| share.iter().map(|p| check_piece(p)).collect::<Vec<_>>()))
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap_or_default())
            .collect()
    })
}

/// Cuts a file behind line breaks.
fn pieces(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    while bytes.len() > CHUNK_BYTES {
        let rest = &bytes[CHUNK_BYTES..];
        let end = rest.iter().position(|b| *b == b'\n');
        let end = end.map_or(bytes.len(), |at| CHUNK_BYTES + at + 1);
        let (piece, rest) = bytes.split_at(end);
        pieces.push(piece);
        bytes = rest;
    }
    pieces.push(bytes);
    pieces
}

fn check_piece(bytes: &[u8]) -> Checked {
    let mut checked = Checked::default();
    checked.piece.lines.reserve(bytes.len() + bytes.len() / 64);
    for line in bytes.split(|b| *b == b'\n').map(<[u8]>::trim_ascii) {
        if line.first() != Some(&b'{') {
            continue;
        }
        // Strings that nobody looked at may hold what is no UTF-8, or halves of a pair that no text can hold.
        let line = with_whole_characters(line);
        if !checked.take(&line) {
            // What Python writes for floats that JSON has no number for.
            checked.take(&without_constants(&line));
        }
    }
    checked
}

impl Checked {
    /// Takes a line that is an event; false when it is none.
    fn take(&mut self, line: &[u8]) -> bool {
        let Ok(event) = serde_json::from_slice::<Event<'_>>(line) else {
            return false;
        };
        if event
            .name
            .is_some_and(|name| name.get() == "\"process_name\"")
            && let Some(pid) = event.pid.and_then(|pid| pid.as_u64())
        {
            self.named_pids.insert(pid);
        }
        self.piece.lines.extend_from_slice(b",\n");
        self.piece.lines.extend_from_slice(line);
        self.piece.events += 1;
        true
    }
}

/// The line with U+FFFD for what is no character: bytes that are no UTF-8, and escapes of lone surrogates.
fn with_whole_characters(line: &[u8]) -> Cow<'_, [u8]> {
    let mut line = match String::from_utf8_lossy(line) {
        Cow::Borrowed(_) => Cow::Borrowed(line),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    };
    let mut at = 0;
    while let Some(found) = memchr(b'\\', line.get(at..).unwrap_or_default()) {
        at += found;
        let unit = unit_at(&line, at);
        match unit {
            Some(0xD800..0xDC00) if matches!(unit_at(&line, at + 6), Some(0xDC00..0xE000)) => {
                at += 12;
            }
            Some(0xD800..0xE000) => {
                line.to_mut()[at + 2..at + 6].copy_from_slice(b"fffd");
                at += 6;
            }
            _ => at += 2,
        }
    }
    line
}

/// The UTF-16 unit that is escaped here: `\u` and four hexadecimal digits.
fn unit_at(line: &[u8], at: usize) -> Option<u16> {
    let digits = line.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// The line with NaN and the infinities as strings, where they stand outside of strings.
fn without_constants(line: &[u8]) -> Vec<u8> {
    const CONSTANTS: [&[u8]; 3] = [b"NaN", b"-Infinity", b"Infinity"];
    let mut out = Vec::with_capacity(line.len() + 16);
    let (mut at, mut is_in_string) = (0, false);
    while at < line.len() {
        let rest = &line[at..];
        let constant = CONSTANTS.iter().find(|constant| rest.starts_with(constant));
        match (line[at], constant) {
            (b'\\', _) if is_in_string => {
                out.extend_from_slice(&rest[..rest.len().min(2)]);
                at += 2;
                continue;
            }
            (b'"', _) => is_in_string = !is_in_string,
            (_, Some(constant)) if !is_in_string => {
                out.push(b'"');
                out.extend_from_slice(constant);
                out.push(b'"');
                at += constant.len();
                continue;
            }
            _ => {}
        }
        out.push(line[at]);
        at += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(bytes: &[u8]) -> (String, u64) {
        let checked = check_piece(bytes);
        let lines = String::from_utf8(checked.piece.lines).unwrap();
        (lines, checked.piece.events)
    }

    #[test]
    fn damaged_lines_are_left_out() {
        let lines = b"{\"name\":\"a\"}\n{\"name\":\n[1]\n 7\n\n{\"name\":\"b\"}\r\n{\"name\":\"c";
        assert_eq!(
            checked(lines),
            (",\n{\"name\":\"a\"},\n{\"name\":\"b\"}".to_owned(), 2)
        );
    }

    #[test]
    fn what_is_no_character_is_replaced() {
        let line = [
            br#"{"name":"\ud800","args":{"pair":"\ud83d\ude00","low":"\udc00x","back":"\\ud800","raw":""#.as_slice(),
            b"\xff",
            br#"","two":"\ud800\ud83d\ude00"}}"#,
        ]
        .concat();
        let (line, events) = checked(&line);
        assert_eq!(events, 1);
        let event: serde_json::Value = serde_json::from_str(&line[2..]).unwrap();
        assert_eq!(event["name"], "\u{fffd}");
        let args = serde_json::json!({
            "pair": "\u{1f600}", "low": "\u{fffd}x", "back": "\\ud800", "raw": "\u{fffd}",
            "two": "\u{fffd}\u{1f600}"
        });
        assert_eq!(event["args"], args);
    }

    #[test]
    fn constants_outside_of_strings_become_strings() {
        let line = br#"{"name":"NaN \" NaN","args":{"a":NaN,"b":[-Infinity,Infinity]}}"#;
        let (line, events) = checked(line);
        assert_eq!(events, 1);
        let event: serde_json::Value = serde_json::from_str(&line[2..]).unwrap();
        assert_eq!(event["name"], "NaN \" NaN");
        assert_eq!(event["args"]["a"], "NaN");
        assert_eq!(event["args"]["b"][0], "-Infinity");
    }

    #[test]
    fn pieces_end_behind_lines_and_lose_nothing() {
        let line = [b"{\"name\":\"".as_slice(), &[b'x'; 1000], b"\"}\n"].concat();
        let file = line.repeat(10_000);
        let pieces = pieces(&file);
        assert!(pieces.len() > 1);
        assert!(pieces.iter().all(|piece| piece.ends_with(b"\n")));
        assert_eq!(pieces.concat(), file);
        let events: u64 = check(&file)
            .iter()
            .map(|checked| checked.piece.events)
            .sum();
        assert_eq!(events, 10_000);
    }
}
