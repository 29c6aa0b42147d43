//! Reading the files of a run: by `pread`, never through a mapping, trusting nothing that was not checked.

mod error;
mod lock;
mod name;
mod process;
mod ring;
mod segments;

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use zerocopy::{FromBytes, Immutable, IntoBytes};

pub use self::error::{FileError, FileErrorKind};
pub use self::lock::LockFile;
pub use self::name::{FileKind, FileName};
pub use self::process::{ProcessFile, seal_process_header};
pub use self::ring::{RingFile, RingState, seal_ring_header};
pub use self::segments::{
    Packing, Segment, SegmentFile, packed_segment_header, packed_segments_header, segment_header,
    segments_header,
};
use crate::layout::*;
use crate::shared_words;

/// An open file of a run with its path, for errors that say where.
#[derive(Debug)]
pub struct RunFile {
    path: PathBuf,
    file: File,
    len: u64,
}

impl RunFile {
    /// Opens a regular file for reading. Follows no link, waits for no pipe.
    ///
    /// # Errors
    ///
    /// When it can't be opened or is no regular file.
    pub fn open(path: &Path) -> Result<RunFile, FileError> {
        let at = |kind| FileError {
            path: path.to_owned(),
            offset: 0,
            kind,
        };
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(path)
            .map_err(|error| {
                let is_link = error.raw_os_error() == Some(libc::ELOOP);
                at(if is_link {
                    FileErrorKind::NotRegular
                } else {
                    FileErrorKind::Io(error)
                })
            })?;
        let metadata = file
            .metadata()
            .map_err(|error| at(FileErrorKind::Io(error)))?;
        if !metadata.is_file() {
            return Err(at(FileErrorKind::NotRegular));
        }
        Ok(RunFile {
            path: path.to_owned(),
            file,
            len: metadata.size(),
        })
    }

    /// Path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Size in bytes when it was opened.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// True when the file had no bytes when it was opened.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The open file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The open file, without its path.
    pub fn into_file(self) -> File {
        self.file
    }

    /// Fills `out` from `offset`.
    ///
    /// # Errors
    ///
    /// When the file ends before, or can't be read.
    pub fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<(), FileError> {
        let outcome = self.file.read_exact_at(out, offset);
        outcome.map_err(|error| self.not_read(offset, out.len(), error))
    }

    /// As [`RunFile::read_at`], for words that the file's process changes meanwhile: see [`shared_words`].
    fn read_words_at(&self, offset: u64, out: &mut [u8]) -> Result<(), FileError> {
        let outcome = shared_words::read_exact_at(&self.file, offset, out);
        outcome.map_err(|error| self.not_read(offset, out.len(), error))
    }

    fn not_read(&self, offset: u64, len: usize, error: io::Error) -> FileError {
        let kind = match error.kind() {
            io::ErrorKind::UnexpectedEof => FileErrorKind::Short {
                expected: offset + len as u64,
                found: self.file.metadata().map_or(self.len, |m| m.size()),
            },
            _ => FileErrorKind::Io(error),
        };
        self.error(offset, kind)
    }

    fn error(&self, offset: u64, kind: FileErrorKind) -> FileError {
        FileError {
            path: self.path.clone(),
            offset,
            kind,
        }
    }

    fn unexpected(
        &self,
        offset: usize,
        what: &'static str,
        expected: impl fmt::Display,
        found: impl fmt::Display,
    ) -> FileError {
        let (expected, found) = (expected.to_string(), found.to_string());
        self.error(
            offset as u64,
            FileErrorKind::Unexpected {
                what,
                expected,
                found,
            },
        )
    }

    /// Opens a file that holds records, and reads its header `H`, which begins with the common part.
    fn open_records<H: FromBytes + IntoBytes + Immutable>(
        path: &Path,
        magic: [u8; 8],
    ) -> Result<(RunFile, H), FileError> {
        let file = RunFile::open(path)?;
        let mut header = H::new_zeroed();
        file.read_at(0, header.as_mut_bytes())?;
        let start = file.check_start(header.as_bytes(), magic)?;
        let record_len = start.record_len.get();
        if record_len as usize != RECORD_LEN {
            return Err(file.unexpected(10, "record length", RECORD_LEN, record_len));
        }
        Ok((file, header))
    }

    /// Checks that a ring of 2^`capacity_log2` records can be.
    fn check_capacity(&self, capacity_log2: u32) -> Result<(), FileError> {
        if (MIN_CAPACITY_LOG2..=MAX_CAPACITY_LOG2).contains(&capacity_log2) {
            return Ok(());
        }
        let found = format!("2^{capacity_log2}");
        Err(self.unexpected(56, "capacity", "2^6 to 2^25 records", found))
    }

    /// Checks magic, version, byte order, features and check sum of a header whose first `bytes` were read.
    fn check_start(&self, bytes: &[u8], magic: [u8; 8]) -> Result<FileStart, FileError> {
        let (start, _) = FileStart::read_from_prefix(bytes).map_err(|_| {
            self.error(
                0,
                FileErrorKind::Short {
                    expected: FILE_START_LEN as u64,
                    found: bytes.len() as u64,
                },
            )
        })?;
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        if start.magic != magic {
            return Err(self.unexpected(0, "magic", text(&magic), text(&start.magic)));
        }
        if start.byte_order.get() != BYTE_ORDER {
            return Err(self.unexpected(
                16,
                "byte order",
                format!("{BYTE_ORDER:#010x}"),
                format!("{:#010x}", start.byte_order.get()),
            ));
        }
        if start.version.get() != FORMAT_VERSION {
            return Err(self.unexpected(8, "format version", FORMAT_VERSION, start.version.get()));
        }
        let unknown = start.features_incompatible.get() & !KNOWN_INCOMPATIBLE;
        if unknown != 0 {
            return Err(self.unexpected(
                32,
                "incompatible features",
                "none that this version does not know",
                format!("{unknown:#x}"),
            ));
        }
        let crc = header_crc(bytes);
        if crc != start.crc32.get() {
            return Err(self.unexpected(
                20,
                "header check sum",
                format!("{crc:#010x}"),
                format!("{:#010x}", start.crc32.get()),
            ));
        }
        Ok(start)
    }
}

/// The common header part of a file of this recorder; magic and check sum are filled in when it is written.
pub fn file_start(nonce: u64, pid: u32, index: u32, record_len: usize) -> FileStart {
    FileStart {
        magic: [0; 8],
        version: FORMAT_VERSION.into(),
        record_len: (record_len as u16).into(),
        header_len: 0.into(),
        byte_order: BYTE_ORDER.into(),
        crc32: 0.into(),
        features_compatible: 0.into(),
        features_incompatible: 0.into(),
        nonce: nonce.into(),
        pid: pid.into(),
        index: index.into(),
    }
}

/// Text of a NUL-padded field; what is not UTF-8 becomes U+FFFD.
pub fn padded_text(field: &[u8]) -> String {
    let len = field.iter().position(|b| *b == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..len]).into_owned()
}

/// The bytes to write of a header, whose check sum is filled in; all else of it stands already.
fn sealed<const LEN: usize, H: IntoBytes + Immutable>(
    mut header: H,
    start: fn(&mut H) -> &mut FileStart,
) -> [u8; LEN] {
    start(&mut header).crc32 = 0.into();
    start(&mut header).crc32 = header_crc(header.as_bytes()).into();
    let mut bytes = [0; LEN];
    bytes.copy_from_slice(header.as_bytes());
    bytes
}
