//! The ring file: its header, the words that change, its slots.

use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::{FileError, FileErrorKind, RunFile, sealed};
use crate::layout::*;
use crate::reader::{Head, OpenState, Source, settled_open_slot};
use crate::sync::{Ordering, fence};

/// The words of a ring's header that change while it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingState {
    /// Head word.
    pub head: Head,
    /// Continuations ever written.
    pub continuations: u64,
    /// Sequence up to which the thread saved segments itself.
    pub spilled: u64,
    /// Sequence up to which the supervisor saved segments.
    pub drained: u64,
}

/// A ring file, open for reading.
#[derive(Debug)]
pub struct RingFile {
    file: RunFile,
    /// Static header.
    pub header: RingHeader,
    header_len: u64,
}

impl RingFile {
    /// Opens a ring and checks its static header and size.
    ///
    /// # Errors
    ///
    /// When the file can't be read, is shorter than its capacity demands, or its header is damaged.
    pub fn open(path: &Path) -> Result<RingFile, FileError> {
        let (file, header): (_, RingHeader) = RunFile::open_records(path, RING_MAGIC)?;
        let capacity_log2 = header.capacity_log2.get();
        file.check_capacity(capacity_log2)?;
        let slots = header.open_slot_count.get() as usize;
        if slots > MAX_OPEN_SLOTS || header.open_slot_len.get() as usize != OPEN_SLOT_LEN {
            return Err(file.unexpected(
                60,
                "open slots",
                format!("at most {MAX_OPEN_SLOTS} of {OPEN_SLOT_LEN} bytes"),
                format!("{slots} of {} bytes", header.open_slot_len.get()),
            ));
        }
        let header_len = header.start.header_len.get() as u64;
        if header_len != ring_header_len(slots) as u64 {
            return Err(file.unexpected(12, "header length", ring_header_len(slots), header_len));
        }
        let expected = header_len + ((RECORD_LEN as u64) << capacity_log2);
        if file.len() < header_len {
            let kind = FileErrorKind::Short {
                expected,
                found: file.len(),
            };
            return Err(file.error(file.len(), kind));
        }
        Ok(RingFile {
            file,
            header,
            header_len,
        })
    }

    /// The file.
    pub fn file(&self) -> &RunFile {
        &self.file
    }

    /// The file, without its header.
    pub fn into_file(self) -> RunFile {
        self.file
    }

    /// Where the records begin in the file.
    pub fn header_len(&self) -> u64 {
        self.header_len
    }

    /// The ring holds 2^this records.
    pub fn capacity_log2(&self) -> u32 {
        self.header.capacity_log2.get()
    }

    /// Records that the ring holds.
    pub fn capacity(&self) -> u64 {
        1 << self.capacity_log2()
    }

    /// Bytes that are missing at the file's end: 0 unless somebody cut it short.
    pub fn missing_bytes(&self) -> u64 {
        (self.header_len + RECORD_LEN as u64 * self.capacity()).saturating_sub(self.file.len())
    }

    /// The changing words as they are now.
    ///
    /// # Errors
    ///
    /// When they can't be read.
    pub fn state(&self) -> Result<RingState, FileError> {
        let mut bytes = [0; RING_DRAIN_ALIVE_OFFSET + 8 - RING_HEAD_OFFSET];
        self.file
            .read_words_at(RING_HEAD_OFFSET as u64, &mut bytes)?;
        let word = |offset: usize| {
            let at = offset - RING_HEAD_OFFSET;
            u64::from_le_bytes(core::array::from_fn(|i| bytes[at + i]))
        };
        Ok(RingState {
            head: Head::from(word(RING_HEAD_OFFSET)),
            continuations: word(RING_CONTINUATIONS_OFFSET),
            spilled: word(RING_SPILLED_OFFSET),
            drained: word(RING_DRAINED_OFFSET),
        })
    }

    /// The open slots as they are now: index and state of each that is not free; see [`settled_open_slot`].
    ///
    /// # Errors
    ///
    /// When they can't be read.
    pub fn open_slots(&self) -> Result<Vec<(u32, OpenState)>, FileError> {
        let before = self.copy_open_slots()?;
        fence(Ordering::Acquire);
        let words = self.copy_open_slots()?;
        fence(Ordering::Acquire);
        let after = self.copy_open_slots()?;
        let states = (0..).zip(before.iter().zip(words.iter().zip(&after))).map(
            |(index, (before, (words, after)))| (index, settled_open_slot(before, words, after)),
        );
        Ok(states
            .filter(|(_, state)| *state != OpenState::Free)
            .collect())
    }

    fn copy_open_slots(&self) -> Result<Vec<[u8; OPEN_SLOT_LEN]>, FileError> {
        let mut slots = vec![[0; OPEN_SLOT_LEN]; self.header.open_slot_count.get() as usize];
        self.file
            .read_words_at(RING_OPEN_SLOTS_OFFSET as u64, slots.as_flattened_mut())?;
        Ok(slots)
    }

    /// Fills `out` with the records in slots from `first_slot`; slots that a truncated file lacks come out as zeros.
    ///
    /// # Errors
    ///
    /// When the file can't be read.
    pub fn read_slots(&self, first_slot: u64, out: &mut [Record]) -> Result<(), FileError> {
        let offset = self.header_len + first_slot * RECORD_LEN as u64;
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(out);
        if self.missing_bytes() == 0 {
            match self.file.read_at(offset, bytes) {
                Err(FileError {
                    kind: FileErrorKind::Short { .. },
                    ..
                }) => {}
                other => return other,
            }
        }
        bytes.fill(0);
        let mut at = 0;
        while at < bytes.len() {
            match self
                .file
                .file()
                .read_at(&mut bytes[at..], offset + at as u64)
            {
                Ok(0) => break,
                Ok(n) => at += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    return Err(self
                        .file
                        .error(offset + at as u64, FileErrorKind::Io(error)));
                }
            }
        }
        // A record cut in half must not pass for a whole one.
        let half = at % RECORD_LEN;
        bytes[at - half..at].fill(0);
        Ok(())
    }
}

impl Source for &RingFile {
    type Error = FileError;

    fn head(&mut self) -> Result<u64, FileError> {
        let mut bytes = [0; 8];
        self.file
            .read_words_at(RING_HEAD_OFFSET as u64, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn copy(&mut self, first_slot: u64, out: &mut [Record]) -> Result<(), FileError> {
        self.read_slots(first_slot, out)
    }
}

/// Fills in magic, length and check sum of a ring file's header: the bytes to write.
pub fn seal_ring_header(header: &RingHeader) -> [u8; RING_STATIC_LEN] {
    let mut header = *header;
    let header_len = ring_header_len(header.open_slot_count.get() as usize);
    header.start.magic = RING_MAGIC;
    header.start.header_len = (header_len as u32).into();
    sealed(header, |header| &mut header.start)
}
