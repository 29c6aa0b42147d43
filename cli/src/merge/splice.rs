//! A trace on its way to the file, one event a line: some events are changed or left out, the lines of fragments are
//! put behind the last one, and all are counted.

use std::io::{self, Write};

use memchr::memchr;

use super::lines::Fragments;

/// Where in the trace the next line is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Head,
    Events,
    Tail,
}

/// See the module.
pub(crate) struct Splice<'a, W> {
    out: W,
    fragments: &'a Fragments,
    /// A line whose end has not come yet.
    line: Vec<u8>,
    part: Part,
    events: u64,
}

impl<'a, W: Write> Splice<'a, W> {
    pub(crate) fn new(out: W, fragments: &'a Fragments) -> Splice<'a, W> {
        Splice {
            out,
            fragments,
            line: Vec::new(),
            part: Part::Head,
            events: 0,
        }
    }

    /// The output, and the number of events that went to it.
    pub(crate) fn finish(mut self) -> io::Result<(W, u64)> {
        let line = std::mem::take(&mut self.line);
        self.out.write_all(&line)?;
        Ok((self.out, self.events))
    }

    /// True for an event that goes to the output as it is: with arguments, and not left out.
    fn stays(&self, line: &[u8]) -> bool {
        self.part == Part::Events
            && line.starts_with(b"{")
            && without_comma(line).ends_with(b"}}")
            && !(line.starts_with(b"{\"name\":\"") && self.is_left_out(line))
    }

    /// Takes a line that does not stay as it is.
    fn take(&mut self, line: &[u8]) -> io::Result<()> {
        match self.part {
            Part::Head => {
                if line.ends_with(b"[") {
                    self.part = Part::Events;
                }
                self.out.write_all(line)
            }
            Part::Events if line.starts_with(b"]") => {
                self.put_fragments()?;
                self.part = Part::Tail;
                self.out.write_all(b"\n")?;
                self.put_line(line)
            }
            Part::Events => self.take_event(without_comma(line)),
            Part::Tail => self.put_line(line),
        }
    }

    fn put_line(&mut self, line: &[u8]) -> io::Result<()> {
        self.out.write_all(line)?;
        self.out.write_all(b"\n")
    }

    fn take_event(&mut self, event: &[u8]) -> io::Result<()> {
        if self.is_left_out(event) {
            return Ok(());
        }
        self.separate(1)?;
        // Only the number of the lane stands last where there are no arguments.
        self.out
            .write_all(event.strip_suffix(b"}").unwrap_or(event))?;
        self.out.write_all(b",\"args\":{}}")
    }

    /// Writes events that stay as they are, with what stands between them.
    fn put_events(&mut self, events: &[u8], count: u64) -> io::Result<()> {
        if count == 0 {
            return Ok(());
        }
        self.separate(count)?;
        self.out.write_all(events)
    }

    /// Names of processes that say them themselves, each time they change; and what orders rows, which the readers of
    /// these traces take for names.
    fn is_left_out(&self, event: &[u8]) -> bool {
        const NAME: &[u8] = b"{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":";
        const ORDERS: [&[u8]; 2] = [
            b"{\"name\":\"process_sort_index\",\"ph\":\"M\"",
            b"{\"name\":\"thread_sort_index\",\"ph\":\"M\"",
        ];
        if let Some(rest) = event.strip_prefix(NAME) {
            let digits = rest.split(|b| !b.is_ascii_digit()).next();
            let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
            let pid = digits.and_then(|digits| digits.parse().ok());
            return pid.is_some_and(|pid| self.fragments.named_pids.contains(&pid));
        }
        ORDERS.iter().any(|order| event.starts_with(order))
    }

    fn put_fragments(&mut self) -> io::Result<()> {
        let fragments = self.fragments;
        for piece in &fragments.pieces {
            // The first event of all has no comma before it.
            let skipped = usize::from(self.events == 0 && piece.events > 0);
            self.out.write_all(&piece.lines[skipped..])?;
            self.events += piece.events;
        }
        Ok(())
    }

    /// Puts what stands before an event, or before so many that follow each other.
    fn separate(&mut self, count: u64) -> io::Result<()> {
        let separator: &[u8] = if self.events == 0 { b"\n" } else { b",\n" };
        self.events += count;
        self.out.write_all(separator)
    }
}

fn without_comma(line: &[u8]) -> &[u8] {
    line.strip_suffix(b",").unwrap_or(line)
}

impl<W: Write> Write for Splice<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut at = 0;
        if !self.line.is_empty() {
            let Some(end) = memchr(b'\n', bytes) else {
                self.line.extend_from_slice(bytes);
                return Ok(bytes.len());
            };
            let mut line = std::mem::take(&mut self.line);
            line.extend_from_slice(&bytes[..end]);
            if self.stays(&line) {
                self.put_events(without_comma(&line), 1)?;
            } else {
                self.take(&line)?;
            }
            at = end + 1;
        }
        // Events that stay as they are and follow each other are written at once.
        let (mut run, mut count) = (at..at, 0);
        while let Some(len) = memchr(b'\n', &bytes[at..]) {
            let line = &bytes[at..at + len];
            if self.stays(line) {
                if count == 0 {
                    run.start = at;
                }
                run.end = at + without_comma(line).len();
                count += 1;
            } else {
                self.put_events(&bytes[run.clone()], count)?;
                count = 0;
                self.take(line)?;
            }
            at += len + 1;
        }
        self.put_events(&bytes[run], count)?;
        self.line.extend_from_slice(&bytes[at..]);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::super::lines::Piece;
    use super::*;

    const TRACE: &str = "{\"baseTimeNanoseconds\":1,\"traceEvents\":[
{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":7,\"tid\":7,\"args\":{\"name\":\"old\"}},
{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":8,\"tid\":8,\"args\":{\"name\":\"other\"}},
{\"name\":\"process_sort_index\",\"ph\":\"M\",\"pid\":7,\"tid\":7,\"args\":{\"sort_index\":0}},
{\"name\":\"a\",\"ph\":\"X\",\"ts\":1.000,\"dur\":2.000,\"pid\":7,\"tid\":7},
{\"name\":\"b\",\"ph\":\"X\",\"ts\":1.000,\"dur\":2.000,\"pid\":7,\"tid\":7,\"args\":{\"n\":{}}}
],\"metadata\":{\"x\":[]}}
";

    fn spliced(trace: &str, fragments: &Fragments, chunk: usize) -> (Value, u64) {
        let mut splice = Splice::new(Vec::new(), fragments);
        for piece in trace.as_bytes().chunks(chunk) {
            splice.write_all(piece).unwrap();
        }
        let (out, events) = splice.finish().unwrap();
        (serde_json::from_slice(&out).unwrap(), events)
    }

    fn fragments(lines: &str, pids: &[u64]) -> Fragments {
        let events = lines.lines().map(|line| format!(",\n{line}"));
        Fragments {
            pieces: vec![Piece {
                lines: events.collect::<String>().into_bytes(),
                events: lines.lines().count() as u64,
            }],
            named_pids: BTreeSet::from_iter(pids.iter().copied()),
        }
    }

    #[test]
    fn events_are_changed_left_out_added_and_counted() {
        let fragments = fragments("{\"name\":\"line\"}\n{\"name\":\"line2\"}\n", &[7]);
        for chunk in [1, 7, 64, 4096] {
            let (trace, events) = spliced(TRACE, &fragments, chunk);
            let names: Vec<&Value> = trace["traceEvents"]
                .as_array()
                .unwrap()
                .iter()
                .map(|e| &e["name"])
                .collect();
            assert_eq!(names, ["process_name", "a", "b", "line", "line2"]);
            assert_eq!(events, 5);
            assert_eq!(trace["traceEvents"][1]["args"], json!({}));
            assert_eq!(trace["traceEvents"][2]["args"], json!({"n": {}}));
            assert_eq!(trace["metadata"], json!({"x": []}));
        }
    }

    #[test]
    fn a_trace_without_events_takes_lines() {
        let empty = "{\"traceEvents\":[\n]}\n";
        assert_eq!(
            spliced(empty, &fragments("", &[]), 5),
            (json!({"traceEvents": []}), 0)
        );
        let (trace, events) = spliced(empty, &fragments("{\"name\":\"x\"}\n", &[]), 5);
        assert_eq!(
            (trace, events),
            (json!({"traceEvents": [{"name": "x"}]}), 1)
        );
    }
}
