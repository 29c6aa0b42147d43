//! Packs into runs, for as long as they are read.
//!
//! A pack may come from anybody. Of each entry only the file name is used, and only names that files of a run have; links
//! and devices are refused; what an entry claims is never allocated, and what a pack unpacks to is bounded by its own
//! size and by the room there is. Zeros are not written but left out.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use ringscope_ringbuf::file::{FileKind, FileName};
use ringscope_ringbuf::layout::{
    LOCK_FILE_LEN, MAX_CAPACITY_LOG2, MAX_OPEN_SLOTS, RECORD_LEN, ring_header_len,
};
use ringscope_ringbuf::sys::FileSystem;
use tar::{Archive, Entry, EntryType, Header};

use super::{LEVEL_FILE, Scratch};
use crate::error::{Error, ErrorKind};
use crate::run::Limits;

/// A pack may unpack to so many bytes whatever its size, …
const FREE_RATIO_BYTES: u64 = 64 << 20;
/// … and to so many more for each of its own: records of one loop come to 10, texts that repeat to some hundreds.
const MAX_RATIO: u64 = 1000;
/// Logarithm of the most bytes that zstd may refer back to, which it holds in memory: 32 MiB.
const MAX_WINDOW_LOG2: u32 = 25;
/// Bytes copied at once, and length of the stretches of zeros that are left out.
const PIECE_LEN: usize = 64 << 10;

/// Unpacks the pack `path` into a directory of its own.
pub(crate) fn unpack(path: &Path, limits: &Limits) -> Result<Scratch, Error> {
    let failed = |error| Error::io(path, error);
    let file = File::open(path).map_err(failed)?;
    let pack_bytes = file.metadata().map_err(failed)?.len();
    let scratch = Scratch::create().map_err(|error| Error::io(&std::env::temp_dir(), error))?;
    let budget =
        budget(pack_bytes, scratch.path()).map_err(|error| Error::io(scratch.path(), error))?;
    let mut zstd = zstd::Decoder::new(file).map_err(failed)?;
    zstd.window_log_max(MAX_WINDOW_LOG2).map_err(failed)?;
    let mut unpacking = Unpacking {
        pack: path,
        target: scratch.path(),
        limits,
        budget,
        entry: None,
        dir: None,
        entries: 0,
    };
    let mut archive = Archive::new(zstd.take(budget));
    let unpacked = unpacking.all(&mut archive);
    // What is left are the archive's zeros; reading them shows whether the pack is whole.
    let mut rest = archive.into_inner();
    let whole = io::copy(&mut rest, &mut io::sink());
    if rest.limit() == 0 {
        return Err(unpacking.too_large());
    }
    unpacked?;
    whole.map_err(|error| unpacking.damaged(&error))?;
    Ok(scratch)
}

/// Most bytes that a pack of `pack_bytes` may unpack to.
fn budget(pack_bytes: u64, target: &Path) -> io::Result<u64> {
    let path = CString::new(target.as_os_str().as_bytes())?;
    let free_bytes = FileSystem::of(&path)
        .map_err(io::Error::from_raw_os_error)?
        .free_bytes;
    let by_size = pack_bytes
        .saturating_mul(MAX_RATIO)
        .saturating_add(FREE_RATIO_BYTES);
    // A quarter stays for others.
    Ok(by_size.min(free_bytes / 4 * 3))
}

struct Unpacking<'a> {
    pack: &'a Path,
    target: &'a Path,
    limits: &'a Limits,
    budget: u64,
    /// Path of the entry that is being read.
    entry: Option<String>,
    /// The run's directory, as the entries before this one have it.
    dir: Option<PathBuf>,
    entries: usize,
}

impl Unpacking<'_> {
    fn all(&mut self, archive: &mut Archive<impl Read>) -> Result<(), Error> {
        // Raw: nothing but the 512 bytes of a header is taken into memory, as long names would be whole.
        let entries = archive
            .entries()
            .map_err(|error| self.damaged(&error))?
            .raw(true);
        for entry in entries {
            let mut entry = entry.map_err(|error| self.damaged(&error))?;
            self.entries += 1;
            if self.entries > self.limits.files {
                let limit = self.limits.files;
                return Err(Error::at(self.pack, ErrorKind::TooManyFiles { limit }));
            }
            self.entry = Some(String::from_utf8_lossy(&entry.path_bytes()).into_owned());
            match entry.header().entry_type() {
                EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                    self.file(&mut entry)?;
                }
                // Times and owners, as some archivers write them.
                EntryType::Directory | EntryType::XHeader | EntryType::XGlobalHeader => {}
                other => return Err(self.refuse("a file or a directory", kind_name(other))),
            }
        }
        self.entry = None;
        Ok(())
    }

    /// Unpacks a file of a run; others are passed over.
    fn file(&mut self, entry: &mut Entry<'_, impl Read>) -> Result<(), Error> {
        let path = entry
            .path()
            .map_err(|error| self.damaged(&error))?
            .into_owned();
        let name = self.name_of(&path)?;
        let Some(largest) = name.as_deref().and_then(|name| self.largest(name)) else {
            return Ok(());
        };
        let extents = self.extents(entry.header(), entry.size())?;
        let len = extents
            .last()
            .map_or(0, |extent| extent.offset + extent.len);
        if len > largest {
            let expected = format!("at most {largest} bytes");
            return Err(self.refuse(&expected, &format!("{len}")));
        }
        let target = self.target.join(name.unwrap_or_default());
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&target);
        let file = file.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => self.refuse("each file once", "it again"),
            _ => Error::io(&target, error),
        })?;
        for extent in extents {
            self.copy(entry, extent, &file, &target)?;
        }
        // Zeros at the end were left out.
        file.set_len(len).map_err(|error| Error::io(&target, error))
    }

    /// The file name of an entry, when it is UTF-8; all have to be in one directory.
    fn name_of(&mut self, path: &Path) -> Result<Option<String>, Error> {
        let is_plain = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        if !path.components().all(is_plain) {
            return Err(self.refuse("a path inside the archive", "one that leads out of it"));
        }
        let name = path.file_name().and_then(|name| name.to_str());
        let is_ours = name.is_some_and(|name| self.largest(name).is_some());
        let dir = path.parent().unwrap_or(Path::new(""));
        if is_ours && self.dir.get_or_insert_with(|| dir.to_owned()) != dir {
            return Err(self.refuse("the files of one run", "a second directory"));
        }
        Ok(name.map(str::to_owned))
    }

    /// Most bytes that a file of this name may have; `None` for names that are not of a run.
    fn largest(&self, name: &str) -> Option<u64> {
        let kind = match FileName::parse(name) {
            Some(name) => name.kind,
            None => return (name == LEVEL_FILE).then_some(LOCK_FILE_LEN as u64),
        };
        Some(match kind {
            FileKind::Process => self.limits.process_file_bytes,
            FileKind::Lock | FileKind::Off => LOCK_FILE_LEN as u64,
            FileKind::Ring => {
                ring_header_len(MAX_OPEN_SLOTS) as u64 + ((RECORD_LEN as u64) << MAX_CAPACITY_LOG2)
            }
            // As the pack's own bound says.
            FileKind::Drain | FileKind::Spill => self.budget,
        })
    }

    /// What of the file is stored, in order, the last ending where the file does; `stored_len` bytes in all.
    fn extents(&self, header: &Header, stored_len: u64) -> Result<Vec<Extent>, Error> {
        let whole = Extent {
            offset: 0,
            len: stored_len,
        };
        if header.entry_type() != EntryType::GNUSparse {
            return Ok(vec![whole]);
        }
        let bad = || self.refuse("a table of up to four ascending extents", "another one");
        let gnu = header
            .as_gnu()
            .filter(|gnu| !gnu.is_extended())
            .ok_or_else(bad)?;
        let mut extents = Vec::new();
        let (mut end, mut sum) = (0, 0);
        for sparse in gnu.sparse.iter().filter(|sparse| !sparse.is_empty()) {
            let number = |number: io::Result<u64>| number.map_err(|_| bad());
            let (offset, len) = (number(sparse.offset())?, number(sparse.length())?);
            let next = offset
                .checked_add(len)
                .filter(|_| offset >= end)
                .ok_or_else(bad)?;
            extents.push(Extent { offset, len });
            (end, sum) = (next, len.checked_add(sum).ok_or_else(bad)?);
        }
        let real_len = gnu.real_size().map_err(|_| bad())?;
        if sum != stored_len || end > real_len {
            return Err(bad());
        }
        extents.push(Extent {
            offset: real_len,
            len: 0,
        });
        Ok(extents)
    }

    fn copy(
        &self,
        entry: &mut Entry<'_, impl Read>,
        extent: Extent,
        file: &File,
        target: &Path,
    ) -> Result<(), Error> {
        let mut piece = vec![0; PIECE_LEN];
        let mut done = 0;
        while done < extent.len {
            let len = (extent.len - done).min(PIECE_LEN as u64) as usize;
            let piece = &mut piece[..len];
            entry
                .read_exact(piece)
                .map_err(|error| self.damaged(&error))?;
            if piece.iter().any(|byte| *byte != 0) {
                file.write_all_at(piece, extent.offset + done)
                    .map_err(|error| Error::io(target, error))?;
            }
            done += len as u64;
        }
        Ok(())
    }

    fn refuse(&self, expected: &str, found: &str) -> Error {
        Error::at(
            self.pack,
            ErrorKind::Pack {
                entry: self.entry.clone(),
                expected: expected.to_owned(),
                found: found.to_owned(),
            },
        )
    }

    fn damaged(&self, error: &io::Error) -> Error {
        self.refuse("a whole archive", &error.to_string())
    }

    fn too_large(&self) -> Error {
        let expected = format!(
            "at most {} bytes when unpacked ({MAX_RATIO} for each byte of the pack, and within the free space of {})",
            self.budget,
            self.target.parent().unwrap_or(self.target).display(),
        );
        self.refuse(&expected, "more")
    }
}

/// A stretch of a file that is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Extent {
    offset: u64,
    len: u64,
}

fn kind_name(kind: EntryType) -> &'static str {
    match kind {
        EntryType::Link => "a hard link",
        EntryType::Symlink => "a symbolic link",
        EntryType::Char | EntryType::Block => "a device",
        EntryType::Fifo => "a pipe",
        EntryType::GNULongName | EntryType::GNULongLink => "a name of more than 100 bytes",
        _ => "an unknown kind of entry",
    }
}
