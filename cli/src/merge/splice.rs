//! A trace on its way to the file, one event a line: some events are changed or left out, the lines of fragments are
//! put behind the last one, and all are counted.

use std::io::{self, Write};

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

    /// Takes a line without its end.
    fn take(&mut self, line: &[u8]) -> io::Result<()> {
        match self.part {
            Part::Head => {
                self.out.write_all(line)?;
                if line.ends_with(b"[") {
                    self.part = Part::Events;
                }
                Ok(())
            }
            Part::Events if line.starts_with(b"]") => {
                self.put_fragments()?;
                self.part = Part::Tail;
                self.out.write_all(b"\n")?;
                self.put_line(line)
            }
            Part::Events => self.take_event(line.strip_suffix(b",").unwrap_or(line)),
            Part::Tail => self.put_line(line),
        }
    }

    fn put_line(&mut self, line: &[u8]) -> io::Result<()> {
        self.out.write_all(line)?;
        self.out.write_all(b"\n")
    }

    fn take_event(&mut self, event: &[u8]) -> io::Result<()> {
        if event.starts_with(b"{\"name\":\"") && self.is_left_out(event) {
            return Ok(());
        }
        self.separate()?;
        match event.strip_suffix(b"}") {
            // Only the number of the lane stands last where there are no arguments.
            Some(body) if !body.ends_with(b"}") => {
                self.out.write_all(body)?;
                self.out.write_all(b",\"args\":{}}")
            }
            _ => self.out.write_all(event),
        }
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
        for lines in &fragments.lines {
            for line in lines.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
                self.separate()?;
                self.out.write_all(line)?;
            }
        }
        Ok(())
    }

    /// What stands between two events.
    fn separate(&mut self) -> io::Result<()> {
        let separator: &[u8] = if self.events == 0 { b"\n" } else { b",\n" };
        self.events += 1;
        self.out.write_all(separator)
    }
}

impl<W: Write> Write for Splice<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|b| *b == b'\n') {
            let (line, behind) = rest.split_at(end);
            if self.line.is_empty() {
                self.take(line)?;
            } else {
                let mut whole = std::mem::take(&mut self.line);
                whole.extend_from_slice(line);
                self.take(&whole)?;
                whole.clear();
                self.line = whole;
            }
            rest = &behind[1..];
        }
        self.line.extend_from_slice(rest);
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
        Fragments {
            lines: vec![lines.as_bytes().to_vec()],
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
