//! Segment files: what was saved of a ring before it was overwritten.

use std::path::Path;

use zerocopy::{FromBytes, IntoBytes};

use super::{FileError, RunFile, file_start, sealed};
use crate::layout::*;
use crate::packed;

/// A segment of a segment file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Number within the file.
    pub number: u32,
    /// Sequence of the first record.
    pub base_sequence: u64,
    /// Records.
    pub record_count: u64,
    /// Where the first record stands in the file.
    pub offset: u64,
    /// How the records stand there.
    pub packing: Packing,
}

/// How the records of a segment stand in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// 32 bytes each.
    Plain,
    /// As [`crate::packed`] has it.
    Packed {
        /// Bytes that they take.
        len: u32,
        /// crc32 of those bytes.
        crc32: u32,
    },
}

impl Segment {
    /// Bytes that the records take in the file.
    pub fn stored_len(&self) -> u64 {
        match self.packing {
            Packing::Plain => self.record_count * RECORD_LEN as u64,
            Packing::Packed { len, .. } => u64::from(len),
        }
    }
}

/// A segment file, open for reading.
#[derive(Debug)]
pub struct SegmentFile {
    file: RunFile,
    /// Header.
    pub header: SegmentsHeader,
    /// The whole segments in file order.
    pub segments: Vec<Segment>,
    /// Where the first thing stands that is no whole segment, when the file does not end with one.
    pub damaged_at: Option<u64>,
}

impl SegmentFile {
    /// Opens a segment file and finds its segments. A segment whose records were not all written (its writer
    /// died) is cut to those that are there.
    ///
    /// # Errors
    ///
    /// When the file can't be read or its header is damaged.
    pub fn open(path: &Path) -> Result<SegmentFile, FileError> {
        let (file, header): (_, SegmentsHeader) = RunFile::open_records(path, SEGMENTS_MAGIC)?;
        let header_len = header.start.header_len.get();
        if header_len as usize != SEGMENTS_HEADER_LEN {
            return Err(file.unexpected(12, "header length", SEGMENTS_HEADER_LEN, header_len));
        }
        file.check_capacity(header.capacity_log2.get())?;
        let mut found = SegmentFile {
            file,
            header,
            segments: Vec::new(),
            damaged_at: None,
        };
        found.find_segments()?;
        Ok(found)
    }

    fn find_segments(&mut self) -> Result<(), FileError> {
        let mut offset = SEGMENTS_HEADER_LEN as u64;
        while offset + RECORD_LEN as u64 <= self.file.len() {
            let mut bytes = [0; RECORD_LEN];
            self.file.read_at(offset, &mut bytes)?;
            let Some(segment) = read_segment_header(&bytes, offset) else {
                self.damaged_at = Some(offset);
                return Ok(());
            };
            let there = self.file.len() - segment.offset;
            let kept = match segment.packing {
                Packing::Plain => segment.record_count.min(there / RECORD_LEN as u64),
                // Half a packed segment can't be told from a damaged one.
                Packing::Packed { len, .. } if u64::from(len) > there => {
                    self.damaged_at = Some(offset);
                    return Ok(());
                }
                Packing::Packed { .. } => segment.record_count,
            };
            let is_whole = kept == segment.record_count;
            self.segments.push(Segment {
                record_count: kept,
                ..segment
            });
            offset = segment.offset + self.segments.last().map_or(0, Segment::stored_len);
            if !is_whole {
                self.damaged_at = Some(offset);
                return Ok(());
            }
        }
        if offset < self.file.len() {
            self.damaged_at = Some(offset);
        }
        Ok(())
    }

    /// The file.
    pub fn file(&self) -> &RunFile {
        &self.file
    }

    /// The file, without what was found in it.
    pub fn into_file(self) -> RunFile {
        self.file
    }

    /// The ring's records are stamped for 2^this slots.
    pub fn capacity_log2(&self) -> u32 {
        self.header.capacity_log2.get()
    }

    /// Fills `out` with the records of a segment from its `first` one, of which it must have as many. Stamps are not
    /// checked here; in packed segments those that were not published come out as zeros.
    ///
    /// # Errors
    ///
    /// When the file can't be read, or what is packed there is damaged.
    pub fn read_records(
        &self,
        segment: &Segment,
        first: u64,
        out: &mut [Record],
    ) -> Result<(), FileError> {
        match segment.packing {
            Packing::Plain => self.file.read_at(
                segment.offset + first * RECORD_LEN as u64,
                bytemuck::cast_slice_mut(out),
            ),
            Packing::Packed { len, crc32 } => {
                let bytes = self.read_packed(segment, len, crc32)?;
                self.unpack(segment, &bytes, first, out)
            }
        }
    }

    /// Visits the records of a packed segment piece by piece, each a `piece` full but the last, with the sequence of
    /// the piece's first.
    ///
    /// # Errors
    ///
    /// When the file can't be read, or what is packed there is damaged: pieces before the damage were visited; or what
    /// `visit` fails with.
    pub fn for_each_piece(
        &self,
        segment: &Segment,
        piece: &mut [Record],
        mut visit: impl FnMut(u64, &[Record]) -> Result<(), FileError>,
    ) -> Result<(), FileError> {
        let Packing::Packed { len, crc32 } = segment.packing else {
            return Ok(());
        };
        let bytes = self.read_packed(segment, len, crc32)?;
        let mut unpacker =
            packed::Unpacker::new(&bytes, segment.base_sequence, self.capacity_log2());
        let end = segment.base_sequence + segment.record_count;
        for first in (segment.base_sequence..end).step_by(piece.len()) {
            let len = (end - first).min(piece.len() as u64) as usize;
            if !unpacker.next(&mut piece[..len]) {
                return Err(self.fewer_records(segment));
            }
            visit(first, &piece[..len])?;
        }
        Ok(())
    }

    fn read_packed(&self, segment: &Segment, len: u32, crc32: u32) -> Result<Vec<u8>, FileError> {
        let mut bytes = vec![0; len as usize];
        self.file.read_at(segment.offset, &mut bytes)?;
        let found = crc32fast::hash(&bytes);
        if found == crc32 {
            return Ok(bytes);
        }
        Err(self.file.unexpected(
            segment.offset as usize,
            "check sum of packed records",
            format!("{crc32:#010x}"),
            format!("{found:#010x}"),
        ))
    }

    fn fewer_records(&self, segment: &Segment) -> FileError {
        let expected = format!("{} records", segment.record_count);
        let at = segment.offset as usize;
        self.file
            .unexpected(at, "packed records", expected, "fewer")
    }

    fn unpack(
        &self,
        segment: &Segment,
        bytes: &[u8],
        first: u64,
        out: &mut [Record],
    ) -> Result<(), FileError> {
        let (base, log2) = (segment.base_sequence, self.capacity_log2());
        let unpacked = if first == 0 {
            packed::unpack(bytes, base, log2, out)
        } else {
            // Each record is told by the one before: they are read from the first on.
            let mut records = vec![Record::default(); first as usize + out.len()];
            let unpacked = packed::unpack(bytes, base, log2, &mut records);
            out.copy_from_slice(&records[first as usize..]);
            unpacked
        };
        if unpacked {
            Ok(())
        } else {
            Err(self.fewer_records(segment))
        }
    }
}

fn read_segment_header(bytes: &[u8; RECORD_LEN], offset: u64) -> Option<Segment> {
    let header = SegmentHeader::read_from_bytes(bytes).ok()?;
    if header.magic.get() == PACKED_SEGMENT_MAGIC {
        return read_packed_segment_header(bytes, offset);
    }
    let sound = header.magic.get() == SEGMENT_MAGIC
        && header.crc32.get() == crc32fast::hash(&bytes[..24])
        && header.base_sequence.get() <= SEQUENCE_MASK
        && header.record_count.get() <= SEQUENCE_MASK;
    sound.then(|| Segment {
        number: header.number.get(),
        base_sequence: header.base_sequence.get(),
        record_count: header.record_count.get(),
        offset: offset + RECORD_LEN as u64,
        packing: Packing::Plain,
    })
}

fn read_packed_segment_header(bytes: &[u8; RECORD_LEN], offset: u64) -> Option<Segment> {
    let header = PackedSegmentHeader::read_from_bytes(bytes).ok()?;
    let (count, len) = (header.record_count.get(), header.packed_len.get());
    // No more records than the bytes can hold: what is made room for follows the size of the file.
    let sound = header.crc32.get() == crc32fast::hash(&bytes[..24])
        && header.base_sequence.get() <= SEQUENCE_MASK
        && count as usize <= len as usize / packed::MIN_PACKED_RECORD_LEN;
    sound.then(|| Segment {
        number: header.number.get(),
        base_sequence: header.base_sequence.get(),
        record_count: count.into(),
        offset: offset + RECORD_LEN as u64,
        packing: Packing::Packed {
            len,
            crc32: header.packed_crc32.get(),
        },
    })
}

/// The bytes of a segment file's header, for plain segments.
pub fn segments_header(
    nonce: u64,
    pid: u32,
    ring_index: u32,
    capacity_log2: u32,
    writer: u32,
) -> [u8; SEGMENTS_HEADER_LEN] {
    let start = file_start(nonce, pid, ring_index, RECORD_LEN);
    seal_segments_header(start, capacity_log2, writer)
}

/// The bytes of a segment file's header, for packed segments.
pub fn packed_segments_header(
    nonce: u64,
    pid: u32,
    ring_index: u32,
    capacity_log2: u32,
    writer: u32,
) -> [u8; SEGMENTS_HEADER_LEN] {
    let mut start = file_start(nonce, pid, ring_index, RECORD_LEN);
    start.features_incompatible = FEATURE_PACKED_SEGMENTS.into();
    seal_segments_header(start, capacity_log2, writer)
}

fn seal_segments_header(
    start: FileStart,
    capacity_log2: u32,
    writer: u32,
) -> [u8; SEGMENTS_HEADER_LEN] {
    let mut header = SegmentsHeader {
        start,
        capacity_log2: capacity_log2.into(),
        writer: writer.into(),
    };
    header.start.magic = SEGMENTS_MAGIC;
    header.start.header_len = (SEGMENTS_HEADER_LEN as u32).into();
    sealed(header, |header| &mut header.start)
}

/// The bytes of the header before a segment's records.
pub fn segment_header(number: u32, base_sequence: u64, record_count: u64) -> [u8; RECORD_LEN] {
    let mut header = SegmentHeader {
        magic: SEGMENT_MAGIC.into(),
        number: number.into(),
        base_sequence: base_sequence.into(),
        record_count: record_count.into(),
        crc32: 0.into(),
        reserved: 0.into(),
    };
    header.crc32 = crc32fast::hash(&header.as_bytes()[..24]).into();
    let mut bytes = [0; RECORD_LEN];
    bytes.copy_from_slice(header.as_bytes());
    bytes
}

/// The bytes of the header before a segment of packed records; `packed` is what they came to.
pub fn packed_segment_header(
    number: u32,
    base_sequence: u64,
    record_count: u32,
    packed: &[u8],
) -> [u8; RECORD_LEN] {
    let mut header = PackedSegmentHeader {
        magic: PACKED_SEGMENT_MAGIC.into(),
        number: number.into(),
        base_sequence: base_sequence.into(),
        record_count: record_count.into(),
        packed_len: (packed.len() as u32).into(),
        crc32: 0.into(),
        packed_crc32: crc32fast::hash(packed).into(),
    };
    header.crc32 = crc32fast::hash(&header.as_bytes()[..24]).into();
    let mut bytes = [0; RECORD_LEN];
    bytes.copy_from_slice(header.as_bytes());
    bytes
}
