//! Reading a log line by line, however long its lines are.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::line::last_mark;

/// Bytes read at once.
const CHUNK_BYTES: usize = 256 << 10;
/// Longer lines are taken in parts.
const MAX_PART_BYTES: usize = 1 << 20;

/// Opens a log; `-` is standard input.
///
/// # Errors
///
/// When it can't be opened.
pub(super) fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(io::stdin().lock()));
    }
    Ok(Box::new(File::open(path)?))
}

/// Visits the lines with their numbers, from 1; of one that is too long its parts, divided before a record where there
/// is one.
///
/// # Errors
///
/// When the log can't be read, or what `visit` fails with.
pub(super) fn for_each_line<E: From<io::Error>>(
    log: &mut dyn Read,
    mut visit: impl FnMut(u64, &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut bytes: Vec<u8> = Vec::new();
    let mut number = 1;
    let mut searched = 0;
    loop {
        let before = bytes.len();
        let read = log.take(CHUNK_BYTES as u64).read_to_end(&mut bytes)?;
        let mut at = 0;
        while let Some(len) = memchr::memchr(b'\n', &bytes[at.max(searched)..]) {
            let end = at.max(searched) + len;
            visit(number, &bytes[at..end])?;
            number += 1;
            at = end + 1;
        }
        if read == 0 && bytes.len() == before {
            return if at < bytes.len() {
                visit(number, &bytes[at..])
            } else {
                Ok(())
            };
        }
        if bytes.len() - at > MAX_PART_BYTES {
            let part = last_mark(&bytes[at..]).filter(|mark| *mark > 0);
            let end = part.map_or(bytes.len(), |mark| at + mark);
            visit(number, &bytes[at..end])?;
            at = end;
        }
        bytes.drain(..at);
        searched = bytes.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(mut log: &[u8]) -> Vec<(u64, Vec<u8>)> {
        let mut found = Vec::new();
        let read = for_each_line::<io::Error>(&mut log, |number, line| {
            found.push((number, line.to_vec()));
            Ok(())
        });
        read.unwrap();
        found
    }

    #[test]
    fn lines_are_numbered_from_one_and_the_last_needs_no_end() {
        let found = lines(b"a\n\nb\0\nc");
        let expected = [(1, "a"), (2, ""), (3, "b\0"), (4, "c")];
        assert_eq!(
            found,
            expected.map(|(n, line)| (n, line.as_bytes().to_vec()))
        );
        assert!(lines(b"").is_empty());
    }

    #[test]
    fn lines_at_every_place_of_a_chunk_come_whole() {
        for len in [
            CHUNK_BYTES - 1,
            CHUNK_BYTES,
            CHUNK_BYTES + 1,
            2 * CHUNK_BYTES,
        ] {
            let line = vec![b'x'; len];
            let log = [&line[..], b"\n", &line, b"\nend"].concat();
            let found = lines(&log);
            let expected = [(1, line.clone()), (2, line), (3, b"end".to_vec())];
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_divided_before_a_record() {
        let mut log = vec![b'x'; MAX_PART_BYTES];
        log.extend_from_slice(b" [STRACE] v=1");
        log.resize(log.len() + CHUNK_BYTES, b' ');
        log.extend_from_slice(b"\n[STRACE] next");
        let found = lines(&log);
        assert!(
            found
                .iter()
                .any(|(n, part)| *n == 1 && part.starts_with(b"[STRACE] v=1"))
        );
        assert_eq!(found.last(), Some(&(2, b"[STRACE] next".to_vec())));
        let whole: Vec<u8> = found
            .iter()
            .filter(|(n, _)| *n == 1)
            .flat_map(|(_, part)| part.clone())
            .collect();
        assert_eq!(whole, log[..log.len() - 14]);
    }
}
