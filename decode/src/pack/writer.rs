//! Runs into packs.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use ringscope_ringbuf::file::{FileKind, FileName, RingFile, RunFile};
use ringscope_ringbuf::layout::{RECORD_LEN, RING_HEAD_OFFSET, Record};
use ringscope_ringbuf::reader::{Head, copy_published};
use tar::{Builder, EntryType, Header};

use super::LEVEL_FILE;
use crate::run::Run;

/// Level of zstd: three quarters of what level 1 does a second, and smaller.
const ZSTD_LEVEL: i32 = 3;
/// Bytes read at once.
const PIECE_LEN: usize = 1 << 20;
/// Longest directory name that leaves room for the longest file name in a tar header.
const MAX_DIR_LEN: usize = 48;

/// What became of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// Files in the pack.
    pub files: u64,
    /// Size of these files in the run's directory, bytes.
    pub run_bytes: u64,
    /// Bytes of them that were in use and went into the archive, before compression.
    pub used_bytes: u64,
}

/// Packs a run into `out`, by `threads` threads; `progress` is told now and then how many bytes of the run's files
/// are done. Works on a living run too: what is recorded meanwhile may lack.
///
/// # Errors
///
/// When a file can't be read (the message names it) or `out` fails.
pub fn write<W: Write>(
    run: &Run,
    out: W,
    threads: u32,
    progress: &dyn Fn(u64),
) -> io::Result<Packed> {
    let dir = run.files_dir();
    let mut zstd = zstd::Encoder::new(out, ZSTD_LEVEL)?;
    zstd.include_checksum(true)?;
    zstd.multithread(threads)?;
    let mut pack = Pack {
        tar: Builder::new(zstd),
        dir: archive_dir(&run.dir),
        is_alive: run.is_alive(),
        packed: Packed::default(),
    };
    for path in files_in_order(dir).map_err(|error| at(dir, error))? {
        pack.add(&path).map_err(|error| at(&path, error))?;
        progress(pack.packed.run_bytes);
    }
    pack.tar.into_inner()?.finish()?.flush()?;
    Ok(pack.packed)
}

fn at(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// The name of the run's directory in the archive.
fn archive_dir(dir: &Path) -> PathBuf {
    let name = dir.canonicalize().ok();
    let name = name.as_deref().unwrap_or(dir).file_name();
    let fits = |name: &&OsStr| name.len() <= MAX_DIR_LEN && name.to_str().is_some();
    PathBuf::from(name.filter(fits).unwrap_or(OsStr::new("run")))
}

/// The files of a run, in the order in which a living one has to be read: what a ring loses while it is copied stands in
/// its segments later, and what its records refer to stood in the process file before them.
fn files_in_order(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let place = match FileName::parse(name).map(|name| name.kind) {
            Some(FileKind::Ring) => 0,
            Some(FileKind::Drain | FileKind::Spill) => 1,
            Some(FileKind::Process | FileKind::Lock | FileKind::Off) => 2,
            None if name == LEVEL_FILE => 3,
            None => continue,
        };
        files.push((place, name.to_owned(), entry.path()));
    }
    files.sort();
    Ok(files.into_iter().map(|(_, _, path)| path).collect())
}

struct Pack<W: Write> {
    tar: Builder<W>,
    dir: PathBuf,
    is_alive: bool,
    packed: Packed,
}

impl<W: Write> Pack<W> {
    fn add(&mut self, path: &Path) -> io::Result<()> {
        let is_ring = path.extension() == Some(OsStr::new(FileKind::Ring.extension()));
        // A ring that can't be read as one is kept as it is: whoever looks into it later sees the damage.
        let ring = RingFile::open(path).ok();
        if let Some(ring) = ring.filter(|ring| is_ring && ring.missing_bytes() == 0) {
            return self.add_ring(&ring);
        }
        let file = RunFile::open(path).map_err(io::Error::other)?;
        self.append(&file, file.len(), &mut Bytes::from(&file, 0))
    }

    fn add_ring(&mut self, ring: &RingFile) -> io::Result<()> {
        let file = ring.file();
        let header_len = file
            .len()
            .saturating_sub(RECORD_LEN as u64 * ring.capacity());
        // What the header says comes first: slots that are reserved later are not part of the pack.
        let mut head = vec![0; header_len as usize];
        file.read_at(0, &mut head).map_err(io::Error::other)?;
        if self.is_alive {
            let slots = LiveSlots::new(ring, &head);
            let stored_len = header_len + slots.used_slots() * RECORD_LEN as u64;
            self.append(file, stored_len, &mut head.chain(slots))
        } else {
            let stored_len = used_len(file, header_len)?;
            self.append(
                file,
                stored_len,
                &mut head.chain(Bytes::from(file, header_len)),
            )
        }
    }

    /// Appends `stored_len` bytes of `file`, taken from `bytes`; a reader makes the file as long as it is, with zeros
    /// behind them.
    fn append(&mut self, file: &RunFile, stored_len: u64, bytes: &mut dyn Read) -> io::Result<()> {
        let mut header = Header::new_gnu();
        header.set_path(self.dir.join(file.path().file_name().unwrap_or_default()))?;
        header.set_mode(0o600);
        header.set_size(stored_len);
        let modified = file.file().metadata()?.mtime();
        header.set_mtime(u64::try_from(modified).unwrap_or(0));
        if stored_len < file.len() {
            put_sparse(&mut header, stored_len, file.len());
        } else {
            header.set_entry_type(EntryType::Regular);
        }
        header.set_cksum();
        // A file that was cut short meanwhile leaves zeros: the archive has to hold what its header says.
        self.tar
            .append(&header, bytes.chain(io::repeat(0)).take(stored_len))?;
        self.packed.files += 1;
        self.packed.run_bytes += file.len();
        self.packed.used_bytes += stored_len;
        Ok(())
    }
}

/// Says that a file of `len` bytes is stored up to `stored_len`: an extent, and an empty one at the end, as GNU tar
/// writes them.
fn put_sparse(header: &mut Header, stored_len: u64, len: u64) {
    header.set_entry_type(EntryType::GNUSparse);
    if let Some(gnu) = header.as_gnu_mut() {
        gnu.set_real_size(len);
        gnu.sparse[0].set_offset(0);
        gnu.sparse[0].set_length(stored_len);
        gnu.sparse[1].set_offset(len);
        gnu.sparse[1].set_length(0);
    }
}

/// Length without the zero slots at the end: those that were never written.
fn used_len(file: &RunFile, header_len: u64) -> io::Result<u64> {
    let mut piece = vec![0; PIECE_LEN];
    let mut end = file.len();
    while end > header_len {
        let start = end.saturating_sub(PIECE_LEN as u64).max(header_len);
        let piece = &mut piece[..(end - start) as usize];
        file.read_at(start, piece).map_err(io::Error::other)?;
        if let Some(last) = piece.iter().rposition(|byte| *byte != 0) {
            let used = start + last as u64 + 1 - header_len;
            return Ok(header_len + used.next_multiple_of(RECORD_LEN as u64));
        }
        end = start;
    }
    Ok(header_len)
}

/// The bytes of a file from a place on.
struct Bytes<'a> {
    file: &'a File,
    at: u64,
}

impl<'a> Bytes<'a> {
    fn from(file: &'a RunFile, at: u64) -> Bytes<'a> {
        Bytes {
            file: file.file(),
            at,
        }
    }
}

impl Read for Bytes<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(out, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// The slots of a ring that is written meanwhile: those of the records before `end_sequence` that still stand there, and
/// zeros for the others.
struct LiveSlots<'a> {
    ring: &'a RingFile,
    first_sequence: u64,
    end_sequence: u64,
    next_slot: u64,
    piece: Vec<Record>,
    /// Bytes of the piece that were handed on.
    taken: usize,
}

impl<'a> LiveSlots<'a> {
    fn new(ring: &'a RingFile, head: &[u8]) -> LiveSlots<'a> {
        let word = head
            .get(RING_HEAD_OFFSET..)
            .and_then(|head| head.first_chunk());
        let end_sequence = Head::from(word.map_or(0, |word| u64::from_le_bytes(*word))).sequence;
        let oldest = end_sequence.saturating_sub(ring.capacity());
        LiveSlots {
            ring,
            first_sequence: ring
                .header
                .base_sequence
                .get()
                .max(oldest)
                .min(end_sequence),
            end_sequence,
            next_slot: 0,
            piece: Vec::new(),
            taken: 0,
        }
    }

    /// Slots up to the last one that was ever reserved.
    fn used_slots(&self) -> u64 {
        let capacity = self.ring.capacity();
        let first_slot = self.first_sequence & (capacity - 1);
        (first_slot + self.end_sequence - self.first_sequence).min(capacity)
    }

    /// Copies the slots from `next_slot` on that are of one lap.
    fn copy_piece(&mut self) -> io::Result<()> {
        let capacity = self.ring.capacity();
        let newest_lap = self.end_sequence & !(capacity - 1);
        let split = self.end_sequence - newest_lap;
        let (lap, lap_end_slot) = if self.next_slot < split {
            (newest_lap, split)
        } else {
            (newest_lap.wrapping_sub(capacity), capacity)
        };
        let slots = (lap_end_slot - self.next_slot).min((PIECE_LEN / RECORD_LEN) as u64);
        let first = lap.wrapping_add(self.next_slot);
        self.piece.clear();
        self.piece.resize(slots as usize, Record::default());
        // A lap before the ring's first is none, and its sequences wrap around to beyond the end.
        let wanted =
            first.max(self.first_sequence)..first.saturating_add(slots).min(self.end_sequence);
        if !wanted.is_empty() && first <= self.end_sequence {
            let mut records = Vec::new();
            let log2 = self.ring.capacity_log2();
            let copied = copy_published(&mut &*self.ring, wanted, log2, &mut records)
                .map_err(io::Error::other)?;
            let at = (copied.start - first) as usize;
            if let Some(place) = self.piece.get_mut(at..at + records.len()) {
                place.copy_from_slice(&records);
            }
        }
        self.next_slot += slots;
        self.taken = 0;
        Ok(())
    }
}

impl Read for LiveSlots<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.piece.len() * RECORD_LEN {
            if self.next_slot == self.ring.capacity() {
                return Ok(0);
            }
            self.copy_piece()?;
        }
        let bytes = &bytemuck::cast_slice::<Record, u8>(&self.piece)[self.taken..];
        let len = bytes.len().min(out.len());
        out[..len].copy_from_slice(&bytes[..len]);
        self.taken += len;
        Ok(len)
    }
}
