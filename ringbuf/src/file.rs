//! Reading the files of a run: by `pread`, never through a mapping, trusting nothing that was not checked.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use zerocopy::{FromBytes, IntoBytes};

use crate::layout::*;
use crate::packed;
use crate::reader::{Head, OpenState, Source, settled_open_slot};
use crate::shared_words;
use crate::sync::{Ordering, fence};

/// Kind of a file of a run, as its name's ending says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FileKind {
    /// `PID-NONCE.process`
    Process,
    /// `PID-NONCE.lock`
    Lock,
    /// `PID-NONCE-INDEX.ring`
    Ring,
    /// `PID-NONCE-INDEX.drain`: segments written by the supervisor.
    Drain,
    /// `PID-NONCE-INDEX.spill`: segments written by the thread itself.
    Spill,
    /// `PID-NONCE-ERRNO.off`: an empty file; the process could not record, for the reason of that error number.
    Off,
}

impl FileKind {
    /// Ending of the file name.
    pub fn extension(self) -> &'static str {
        match self {
            FileKind::Process => "process",
            FileKind::Lock => "lock",
            FileKind::Ring => "ring",
            FileKind::Drain => "drain",
            FileKind::Spill => "spill",
            FileKind::Off => "off",
        }
    }

    fn has_index(self) -> bool {
        !matches!(self, FileKind::Process | FileKind::Lock)
    }
}

/// Name of a file of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileName {
    /// Process id as the process saw it.
    pub pid: u32,
    /// Nonce of the recorder.
    pub nonce: u64,
    /// Ring number, or error number of an [`FileKind::Off`] file; 0 where the name has none.
    pub index: u32,
    /// Kind.
    pub kind: FileKind,
}

impl FileName {
    /// Reads a file name; `None` for names of other programs, and for other spellings of a name than `Display`'s.
    pub fn parse(text: &str) -> Option<FileName> {
        let (stem, extension) = text.split_once('.')?;
        use FileKind::*;
        let kind = [Process, Lock, Ring, Drain, Spill, Off]
            .into_iter()
            .find(|k| k.extension() == extension)?;
        let mut parts = stem.split('-');
        let pid = parts.next()?.parse().ok()?;
        let nonce = parts.next().filter(|p| p.len() == 16)?;
        let index = match parts.next() {
            Some(index) if kind.has_index() => index.parse().ok()?,
            None if !kind.has_index() => 0,
            _ => return None,
        };
        let name = FileName {
            pid,
            nonce: u64::from_str_radix(nonce, 16).ok()?,
            index,
            kind,
        };
        (name.to_string() == text).then_some(name)
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:016x}", self.pid, self.nonce)?;
        if self.kind.has_index() {
            write!(f, "-{}", self.index)?;
        }
        write!(f, ".{}", self.kind.extension())
    }
}

/// Why a file, or a part of it, could not be used.
#[derive(Debug)]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// Where in the file, in bytes from its start.
    pub offset: u64,
    /// What is wrong.
    pub kind: FileErrorKind,
}

/// What is wrong with a file.
#[derive(Debug)]
#[non_exhaustive]
pub enum FileErrorKind {
    /// The system said no.
    Io(io::Error),
    /// A symlink, pipe, device or directory.
    NotRegular,
    /// Something else stands where a field is.
    Unexpected {
        /// Name of the field.
        what: &'static str,
        /// What should stand there.
        expected: String,
        /// What does.
        found: String,
    },
    /// The file ends before what its header promises.
    Short {
        /// Bytes that were promised from the file's start.
        expected: u64,
        /// Bytes that are there.
        found: u64,
    },
    /// Larger than the reader's limit.
    TooLarge {
        /// The limit in bytes.
        limit: u64,
        /// Size in bytes.
        found: u64,
    },
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: byte {}: ", self.path.display(), self.offset)?;
        match &self.kind {
            FileErrorKind::Io(error) => write!(f, "{error}"),
            FileErrorKind::NotRegular => write!(
                f,
                "expected a regular file, found a link, pipe, device or directory"
            ),
            FileErrorKind::Unexpected {
                what,
                expected,
                found,
            } => {
                write!(f, "{what}: expected {expected}, found {found}")
            }
            FileErrorKind::Short { expected, found } => {
                write!(
                    f,
                    "expected {expected} bytes, found {found}: the file is cut short"
                )
            }
            FileErrorKind::TooLarge { limit, found } => {
                write!(f, "expected at most {limit} bytes, found {found}")
            }
        }
    }
}

impl std::error::Error for FileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            FileErrorKind::Io(error) => Some(error),
            _ => None,
        }
    }
}

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

/// A process file: who recorded, and the tables its records refer to.
#[derive(Debug)]
pub struct ProcessFile {
    /// Identity.
    pub header: ProcessHeader,
    /// Everything behind the header; see [`crate::block::blocks`].
    pub body: Vec<u8>,
}

impl ProcessFile {
    /// Reads a process file of at most `limit_bytes`.
    ///
    /// # Errors
    ///
    /// When the file can't be read, is larger, or its header is damaged.
    pub fn read(path: &Path, limit_bytes: u64) -> Result<ProcessFile, FileError> {
        let file = RunFile::open(path)?;
        if file.len() > limit_bytes {
            return Err(file.error(
                0,
                FileErrorKind::TooLarge {
                    limit: limit_bytes,
                    found: file.len(),
                },
            ));
        }
        let mut bytes = vec![0; file.len() as usize];
        file.read_at(0, &mut bytes)?;
        let Some(head) = bytes.get(..PROCESS_HEADER_LEN) else {
            let kind = FileErrorKind::Short {
                expected: PROCESS_HEADER_LEN as u64,
                found: file.len(),
            };
            return Err(file.error(0, kind));
        };
        file.check_start(head, PROCESS_MAGIC)?;
        let header = ProcessHeader::read_from_bytes(head)
            .map_err(|_| file.unexpected(0, "process header", PROCESS_HEADER_LEN, head.len()))?;
        let body_at = header.start.header_len.get() as usize;
        if body_at < PROCESS_HEADER_LEN || !body_at.is_multiple_of(BLOCK_ALIGN) {
            return Err(file.unexpected(12, "header length", PROCESS_HEADER_LEN, body_at));
        }
        Ok(ProcessFile {
            header,
            body: bytes.split_off(body_at.min(bytes.len())),
        })
    }
}

/// Fills in magic and check sum of a process file's header: the bytes to write.
pub fn seal_process_header(header: &ProcessHeader) -> [u8; PROCESS_HEADER_LEN] {
    let mut header = *header;
    header.start.magic = PROCESS_MAGIC;
    header.start.header_len = (PROCESS_HEADER_LEN as u32).into();
    header.start.crc32 = 0.into();
    header.start.crc32 = header_crc(header.as_bytes()).into();
    let mut bytes = [0; PROCESS_HEADER_LEN];
    bytes.copy_from_slice(header.as_bytes());
    bytes
}

/// Fills in magic, length and check sum of a ring file's header: the bytes to write.
pub fn seal_ring_header(header: &RingHeader) -> [u8; RING_STATIC_LEN] {
    let mut header = *header;
    let header_len = ring_header_len(header.open_slot_count.get() as usize);
    header.start.magic = RING_MAGIC;
    header.start.header_len = (header_len as u32).into();
    header.start.crc32 = 0.into();
    header.start.crc32 = header_crc(header.as_bytes()).into();
    let mut bytes = [0; RING_STATIC_LEN];
    bytes.copy_from_slice(header.as_bytes());
    bytes
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

/// A lock file: liveness, end and drop counters of a process.
#[derive(Debug)]
pub struct LockFile {
    /// Its contents.
    pub page: LockPage,
    /// The process that holds the lock; 0 when it is in another pid namespace; `None` when nobody does.
    pub holder: Option<u32>,
}

impl LockFile {
    /// Reads a lock file and asks who holds its lock. Never to be called by the process whose file it is: closing
    /// the file would give its lock up.
    ///
    /// # Errors
    ///
    /// When the file can't be read or its header is damaged.
    pub fn read(path: &Path) -> Result<LockFile, FileError> {
        let file = RunFile::open(path)?;
        let mut bytes = [0; size_of::<LockPage>()];
        file.read_at(0, &mut bytes)?;
        file.check_start(&bytes[..LOCK_STATIC_LEN], LOCK_MAGIC)?;
        let page = LockPage::read_from_bytes(&bytes)
            .map_err(|_| file.unexpected(0, "lock page", size_of::<LockPage>(), bytes.len()))?;
        let holder = crate::sys::lock_holder(file.file()).map_err(|errno| {
            file.error(0, FileErrorKind::Io(io::Error::from_raw_os_error(errno)))
        })?;
        Ok(LockFile { page, holder })
    }

    /// The counter of a cause.
    pub fn drops(&self, cause: DropCause) -> u64 {
        self.page.drops[cause as usize].get()
    }
}

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
        let file = RunFile::open(path)?;
        let mut bytes = [0; RING_STATIC_LEN];
        file.read_at(0, &mut bytes)?;
        let start = file.check_start(&bytes, RING_MAGIC)?;
        let header = RingHeader::read_from_bytes(&bytes)
            .map_err(|_| file.unexpected(0, "ring header", RING_STATIC_LEN, bytes.len()))?;
        if start.record_len.get() as usize != RECORD_LEN {
            return Err(file.unexpected(10, "record length", RECORD_LEN, start.record_len.get()));
        }
        let capacity_log2 = header.capacity_log2.get();
        if !(MIN_CAPACITY_LOG2..=MAX_CAPACITY_LOG2).contains(&capacity_log2) {
            return Err(file.unexpected(
                56,
                "capacity",
                "2^6 to 2^25 records",
                format!("2^{capacity_log2}"),
            ));
        }
        let slots = header.open_slot_count.get() as usize;
        if slots > MAX_OPEN_SLOTS || header.open_slot_len.get() as usize != OPEN_SLOT_LEN {
            return Err(file.unexpected(
                60,
                "open slots",
                format!("at most {MAX_OPEN_SLOTS} of {OPEN_SLOT_LEN} bytes"),
                format!("{slots} of {} bytes", header.open_slot_len.get()),
            ));
        }
        let header_len = start.header_len.get() as u64;
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
        let file = RunFile::open(path)?;
        let mut bytes = [0; SEGMENTS_HEADER_LEN];
        file.read_at(0, &mut bytes)?;
        let start = file.check_start(&bytes, SEGMENTS_MAGIC)?;
        for (offset, what, expected, found) in [
            (
                10,
                "record length",
                RECORD_LEN as u32,
                start.record_len.get().into(),
            ),
            (
                12,
                "header length",
                SEGMENTS_HEADER_LEN as u32,
                start.header_len.get(),
            ),
        ] {
            if found != expected {
                return Err(file.unexpected(offset, what, expected, found));
            }
        }
        let header = SegmentsHeader::read_from_bytes(&bytes).map_err(|_| {
            file.unexpected(0, "segment file header", SEGMENTS_HEADER_LEN, bytes.len())
        })?;
        let capacity_log2 = header.capacity_log2.get();
        if !(MIN_CAPACITY_LOG2..=MAX_CAPACITY_LOG2).contains(&capacity_log2) {
            return Err(file.unexpected(
                56,
                "capacity",
                "2^6 to 2^25 records",
                format!("2^{capacity_log2}"),
            ));
        }
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
    header.start.crc32 = header_crc(header.as_bytes()).into();
    let mut bytes = [0; SEGMENTS_HEADER_LEN];
    bytes.copy_from_slice(header.as_bytes());
    bytes
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
