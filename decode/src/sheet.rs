//! Bytes of a slice: appended like to a vector, and lines put together in place.

use crate::template::{LINE_ROOM, Millisecond, Pen};

/// Bytes by which a sheet grows at least.
const GROWTH: usize = 1 << 12;

/// A text in the making, whose room is used again from slice to slice.
#[derive(Default)]
pub struct Sheet {
    /// The text, and room behind it that lines are written to without being cleared first.
    bytes: Vec<u8>,
    len: usize,
}

impl Sheet {
    /// Forgets the text.
    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Bytes of text.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Appends some bytes.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        if end > self.bytes.len() {
            self.grow(end);
        }
        self.bytes[self.len..end].copy_from_slice(bytes);
        self.len = end;
    }

    /// Appends what `append` appends to a vector.
    pub fn append<T>(&mut self, append: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        self.bytes.truncate(self.len);
        let outcome = append(&mut self.bytes);
        self.len = self.bytes.len();
        outcome
    }

    /// Appends a line of [`MAX_LINE`](crate::template::MAX_LINE) bytes at most.
    #[inline(always)]
    pub(crate) fn line(&mut self, millisecond: &mut Millisecond, write: impl FnOnce(&mut Pen<'_>)) {
        self.piece(|room| {
            let mut pen = Pen::new(room, millisecond);
            write(&mut pen);
            pen.len()
        });
    }

    /// Appends what `write` puts at the front of some room; it returns how many bytes that is.
    #[inline(always)]
    pub(crate) fn piece(&mut self, write: impl FnOnce(&mut [u8; LINE_ROOM]) -> usize) {
        if self.bytes.len() - self.len < LINE_ROOM {
            self.grow(self.len + LINE_ROOM);
        }
        if let Some(room) = self.bytes[self.len..].first_chunk_mut() {
            self.len += write(room);
        }
    }

    #[cold]
    fn grow(&mut self, end: usize) {
        let room = self.len / 2 + GROWTH;
        self.bytes.resize(end + room, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::{MAX_LINE, Stamp};

    #[test]
    fn lines_bytes_and_pieces_follow_one_another() {
        let stamp = Stamp::new(&[b'x'; MAX_LINE]);
        let (mut sheet, mut millisecond) = (Sheet::default(), Millisecond::default());
        for _ in 0..2 {
            sheet.clear();
            let mut expected = Vec::new();
            for at in 0..20 {
                sheet.line(&mut millisecond, |pen| pen.put(&stamp));
                sheet.put(&[b'y'; 100][..at]);
                sheet.append(|out| out.extend_from_slice(&[b'z'; 100][..at]));
                expected.extend_from_slice(&[b'x'; MAX_LINE]);
                expected.extend_from_slice(&[b'y'; 100][..at]);
                expected.extend_from_slice(&[b'z'; 100][..at]);
            }
            assert_eq!(sheet.as_bytes(), expected);
        }
    }
}
