//! The grammar of a log's records: `[STRACE] v=1 pid= tid= inv= hid= depth= name= ts= dur= k=v …` and
//! `[CLOCK_ANCHOR] v=1 pid= mono_ns= wall_ns=`, found anywhere in a line, several of them behind each other too.

use std::borrow::Cow;

use memchr::memmem;

const SPAN_MARK: &[u8] = b"[STRACE]";
const ANCHOR_MARK: &[u8] = b"[CLOCK_ANCHOR]";
/// What the writing logger puts before a record, where that follows another one on the same line.
const ENVELOPE: &[u8] = b"[mono_ns=";
/// The version of both records.
const VERSION: &[u8] = b"1";

/// Key and value, decoded.
pub(super) type Attribute<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>);

/// A span, as its record says.
#[derive(Debug, PartialEq)]
pub(super) struct Span<'a> {
    pub pid: u32,
    pub tid: u32,
    /// Number of the launch that it belongs to, within its process.
    pub invocation: u64,
    pub callable_hash: u64,
    pub depth: i32,
    pub name: Cow<'a, [u8]>,
    /// CLOCK_MONOTONIC, or the device's clock.
    pub start_ns: u64,
    pub duration_ns: u64,
    pub is_on_device: bool,
    /// What else it says, as it stands there.
    pub attributes: Vec<Attribute<'a>>,
}

/// A moment on the clocks of the logging process's machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Anchor {
    pub pid: u32,
    pub mono_ns: u64,
    pub real_ns: u64,
}

/// A record of a log.
#[derive(Debug, PartialEq)]
pub(super) enum Record<'a> {
    Span(Span<'a>),
    Anchor(Anchor),
}

/// Visits the records of a line, and the reason why where something is marked as a record and is none.
pub(super) fn for_each_record<'a>(
    line: &'a [u8],
    mut visit: impl FnMut(Result<Record<'a>, String>),
) {
    let mut next = find_mark(line);
    while let Some((at, mark)) = next {
        let rest = &line[at + mark.len()..];
        next = find_mark(rest).map(|(found, mark)| (at_in(line, rest) + found, mark));
        let fields = match next {
            Some((end, _)) => before_envelope(&line[at + mark.len()..end]),
            None => rest,
        };
        visit(if mark == SPAN_MARK {
            span(fields).map(Record::Span)
        } else {
            anchor(fields).map(Record::Anchor)
        });
    }
}

/// Where the last record of `line` begins.
pub(super) fn last_mark(line: &[u8]) -> Option<usize> {
    memmem::rfind(line, SPAN_MARK).max(memmem::rfind(line, ANCHOR_MARK))
}

fn find_mark(text: &[u8]) -> Option<(usize, &'static [u8])> {
    let span = memmem::find(text, SPAN_MARK).map(|at| (at, SPAN_MARK));
    let anchor = memmem::find(text, ANCHOR_MARK).map(|at| (at, ANCHOR_MARK));
    [span, anchor].into_iter().flatten().min()
}

/// Where `rest`, an end of `line`, begins in it.
fn at_in(line: &[u8], rest: &[u8]) -> usize {
    line.len() - rest.len()
}

/// The fields without what the logger put before the record that follows them: values have no bracket of their own,
/// save in logs of older loggers, whose envelope begins with a date.
fn before_envelope(fields: &[u8]) -> &[u8] {
    let is_date = |text: &[u8]| {
        text.len() > 5 && text[1..5].iter().all(u8::is_ascii_digit) && text[5] == b'-'
    };
    let is_envelope = |at: &usize| {
        let text = &fields[*at..];
        text.starts_with(ENVELOPE) || is_date(text)
    };
    let end = memchr::memchr_iter(b'[', fields).find(is_envelope);
    &fields[..end.unwrap_or(fields.len())]
}

fn span(fields: &[u8]) -> Result<Span<'_>, String> {
    let mut found = Fields::read(fields)?;
    let span = Span {
        pid: found.number("pid")?,
        tid: found.number("tid")?,
        invocation: found.number("inv")?,
        callable_hash: found.hash("hid")?,
        depth: found.number("depth")?,
        name: found
            .take("name")
            .map(|name| percent_decoded(name))
            .and_then(not_empty)?,
        start_ns: found.nanoseconds("ts")?,
        duration_ns: found.nanoseconds("dur")?,
        is_on_device: found.take("clk").is_ok_and(|clock| clock == b"dev"),
        attributes: found.rest(),
    };
    if span.pid == 0 {
        return Err("pid: expected a process id, found 0".to_owned());
    }
    if span.start_ns + span.duration_ns > i64::MAX as u64 {
        return Err("ts and dur: expected an end before 2^63 ns, found a later one".to_owned());
    }
    Ok(span)
}

fn anchor(fields: &[u8]) -> Result<Anchor, String> {
    let mut found = Fields::read(fields)?;
    Ok(Anchor {
        pid: found.number("pid")?,
        mono_ns: found.nanoseconds("mono_ns")?,
        real_ns: found.nanoseconds("wall_ns")?,
    })
}

fn not_empty(name: Cow<'_, [u8]>) -> Result<Cow<'_, [u8]>, String> {
    if name.is_empty() {
        return Err("name: expected one, found nothing".to_owned());
    }
    Ok(name)
}

/// `key=value` words that were not asked for yet.
struct Fields<'a> {
    words: Vec<(&'a [u8], &'a [u8])>,
}

impl<'a> Fields<'a> {
    /// Divides the text; an error when it is of another version.
    fn read(text: &'a [u8]) -> Result<Fields<'a>, String> {
        let is_space = |byte: &u8| byte.is_ascii_whitespace();
        let words = text.split(is_space).filter(|word| !word.is_empty());
        let word = |word: &'a [u8]| match memchr::memchr(b'=', word) {
            Some(at) => (&word[..at], &word[at + 1..]),
            None => (word, &b""[..]),
        };
        let mut fields = Fields {
            words: words.map(word).collect(),
        };
        match fields.take("v")? {
            VERSION => Ok(fields),
            other => Err(format!("v: expected 1, found {}", shown(other))),
        }
    }

    fn take(&mut self, key: &str) -> Result<&'a [u8], String> {
        let at = self.words.iter().position(|(k, _)| *k == key.as_bytes());
        let at = at.ok_or_else(|| format!("{key}: expected it, found none"))?;
        Ok(self.words.remove(at).1)
    }

    fn number<T: std::str::FromStr>(&mut self, key: &str) -> Result<T, String> {
        let text = self.take(key)?;
        parsed(text).ok_or_else(|| {
            let bits = 8 * size_of::<T>();
            format!(
                "{key}: expected a number of {bits} bits, found {}",
                shown(text)
            )
        })
    }

    fn hash(&mut self, key: &str) -> Result<u64, String> {
        let text = self.take(key)?;
        let digits = std::str::from_utf8(text).ok();
        let digits = digits.map(|text| text.strip_prefix("0x").unwrap_or(text));
        let number = digits
            .filter(|digits| !digits.starts_with('+'))
            .and_then(|digits| u64::from_str_radix(digits, 16).ok());
        number.ok_or_else(|| {
            format!(
                "{key}: expected a hexadecimal number of 64 bits, found {}",
                shown(text)
            )
        })
    }

    fn nanoseconds(&mut self, key: &str) -> Result<u64, String> {
        let text = self.take(key)?;
        let number = parsed(text).filter(|ns: &u64| *ns <= i64::MAX as u64);
        number.ok_or_else(|| {
            format!(
                "{key}: expected nanoseconds from 0 to 2^63 - 1, found {}",
                shown(text)
            )
        })
    }

    fn rest(self) -> Vec<Attribute<'a>> {
        let decoded = |(key, value)| (percent_decoded(key), percent_decoded(value));
        self.words.into_iter().map(decoded).collect()
    }
}

/// The number that `text` is from its first to its last byte.
pub(super) fn parsed<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    let text = std::str::from_utf8(text).ok()?;
    text.parse().ok().filter(|_| !text.starts_with('+'))
}

/// A value for a message: its beginning, on one line.
fn shown(text: &[u8]) -> String {
    const SHOWN_BYTES: usize = 40;
    let cut = &text[..text.len().min(SHOWN_BYTES)];
    let more = if text.len() > SHOWN_BYTES { "…" } else { "" };
    format!("\"{}\"{more}", cut.escape_ascii())
}

/// The text that `%XX` stands for bytes in; a percent sign without two digits stands for itself.
fn percent_decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'%', text).is_none() {
        return Cow::Borrowed(text);
    }
    let digit = |at: usize| {
        let byte = *text.get(at)?;
        char::from(byte).to_digit(16).map(|digit| digit as u8)
    };
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push(high << 4 | low);
                at += 3;
            }
            _ => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[STRACE] v=1 pid=7 tid=8 inv=9 hid=00ff depth=1 name=a.b ts=100 dur=20";

    fn read(line: &str) -> Vec<Result<Record<'_>, String>> {
        let mut found = Vec::new();
        for_each_record(line.as_bytes(), |record| found.push(record));
        found
    }

    fn names(line: &str) -> Vec<String> {
        let name = |record: Result<Record<'_>, String>| match record {
            Ok(Record::Span(span)) => String::from_utf8_lossy(&span.name).into_owned(),
            Ok(Record::Anchor(anchor)) => format!("{anchor:?}"),
            Err(why) => why,
        };
        read(line).into_iter().map(name).collect()
    }

    #[test]
    fn a_record_is_found_behind_what_its_logger_put_before_it() {
        let line =
            format!("[mono_ns=1][T0x1][TIMING] emit: {GOOD} ntensor=4 why=a%20b%5B clk=dev\r");
        let [Ok(Record::Span(span))] = &read(&line)[..] else {
            panic!("{:?}", read(&line));
        };
        assert_eq!((span.pid, span.tid, span.invocation), (7, 8, 9));
        assert_eq!((span.callable_hash, span.depth), (0xff, 1));
        assert_eq!((span.start_ns, span.duration_ns), (100, 20));
        assert!(span.is_on_device);
        let text = |bytes: &Cow<'_, [u8]>| String::from_utf8(bytes.to_vec()).unwrap();
        let attributes: Vec<_> = span
            .attributes
            .iter()
            .map(|(k, v)| (text(k), text(v)))
            .collect();
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(attributes, [pair("ntensor", "4"), pair("why", "a b[")]);
    }

    #[test]
    fn records_behind_each_other_on_a_line_are_told_apart() {
        let line = format!("{GOOD} rank=0[2026-08-04 10:00:00][T0x2] f: {GOOD}[mono_ns=5] {GOOD}");
        assert_eq!(names(&line), ["a.b", "a.b", "a.b"]);
        let torn = format!("[STRACE] v=1 pid=7 ti{GOOD}");
        assert_eq!(names(&torn), ["tid: expected it, found none", "a.b"]);
    }

    #[test]
    fn an_anchor_is_read() {
        let found = read("x [CLOCK_ANCHOR] v=1 pid=3 mono_ns=5 wall_ns=9223372036854775807");
        let anchor = Anchor {
            pid: 3,
            mono_ns: 5,
            real_ns: i64::MAX as u64,
        };
        assert_eq!(found, [Ok(Record::Anchor(anchor))]);
    }

    #[test]
    fn what_is_no_number_or_too_large_is_told() {
        for (from, to, why) in [
            (
                "ts=100",
                "ts=18446744073709551615",
                "ts: expected nanoseconds",
            ),
            (
                "ts=100",
                "ts=9223372036854775800",
                "ts and dur: expected an end",
            ),
            ("dur=20", "dur=-1", "dur: expected nanoseconds"),
            (
                "inv=9",
                "inv=18446744073709551616",
                "inv: expected a number of 64 bits",
            ),
            ("pid=7", "pid=0", "pid: expected a process id"),
            ("pid=7", "pid=+7", "pid: expected a number of 32 bits"),
            ("hid=00ff", "hid=xyz", "hid: expected a hexadecimal"),
            ("name=a.b", "name=", "name: expected one"),
            ("v=1", "v=2", "v: expected 1, found \"2\""),
            (" dur=20", "", "dur: expected it, found none"),
        ] {
            let found = names(&GOOD.replace(from, to));
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].starts_with(why), "{found:?}");
        }
        assert_eq!(
            names(&GOOD.replace("inv=9", "inv=18446744073709551615")),
            ["a.b"]
        );
    }
}
