//! The ring and segment files of a decode, of which only so many are open at once, so that any number can be decoded.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use ringscope_ringbuf::file::{FileError, FileErrorKind, RunFile};
use ringscope_ringbuf::layout::{RECORD_LEN, Record};

/// Files that are open at once: far below the limit of descriptors that most systems have (1,024).
const MAX_OPEN: usize = 256;

/// Number of a file in [`OpenFiles`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId(u32);

/// Files by number; those that were not used for the longest time are closed, and opened again when needed.
#[derive(Default)]
pub(crate) struct OpenFiles {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: Vec<Entry>,
    open_count: usize,
    /// Counts uses: the entry with the lowest is closed first.
    uses: u64,
}

struct Entry {
    path: PathBuf,
    /// Device and inode, which a file that is opened again must have.
    identity: (u64, u64),
    file: Option<Arc<File>>,
    last_use: u64,
}

impl OpenFiles {
    /// Takes a file in.
    pub(crate) fn add(&self, file: RunFile) -> Result<FileId, FileError> {
        let path = file.path().to_owned();
        let file = file.into_file();
        let metadata = file.metadata().map_err(|error| FileError {
            path: path.clone(),
            offset: 0,
            kind: FileErrorKind::Io(error),
        })?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let last_use = state.next_use();
        state.entries.push(Entry {
            path,
            identity: (metadata.dev(), metadata.ino()),
            file: Some(Arc::new(file)),
            last_use,
        });
        state.open_count += 1;
        state.close_oldest();
        Ok(FileId(state.entries.len() as u32 - 1))
    }

    fn get(&self, id: FileId) -> Result<Arc<File>, FileError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let last_use = state.next_use();
        let entry = &mut state.entries[id.0 as usize];
        entry.last_use = last_use;
        if let Some(file) = &entry.file {
            return Ok(file.clone());
        }
        let file = Arc::new(entry.open_again()?);
        entry.file = Some(file.clone());
        state.open_count += 1;
        state.close_oldest();
        Ok(file)
    }

    /// Fills `out` with the records from `offset`; what the file lacks comes out as zeros, and a record that is cut in
    /// half counts as lacking.
    pub(crate) fn read_records(
        &self,
        id: FileId,
        offset: u64,
        out: &mut [Record],
    ) -> Result<(), FileError> {
        let file = self.get(id)?;
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(out);
        read_or_zeros(&file, offset, bytes).map_err(|error| {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            FileError {
                path: state.entries[id.0 as usize].path.clone(),
                offset,
                kind: FileErrorKind::Io(error),
            }
        })
    }
}

impl State {
    fn next_use(&mut self) -> u64 {
        self.uses += 1;
        self.uses
    }

    fn close_oldest(&mut self) {
        while self.open_count > MAX_OPEN {
            let open = self.entries.iter_mut().filter(|entry| entry.file.is_some());
            let Some(oldest) = open.min_by_key(|entry| entry.last_use) else {
                return;
            };
            oldest.file = None;
            self.open_count -= 1;
        }
    }
}

impl Entry {
    fn open_again(&self) -> Result<File, FileError> {
        let file = RunFile::open(&self.path)?.into_file();
        let error = |kind| FileError {
            path: self.path.clone(),
            offset: 0,
            kind,
        };
        let metadata = file
            .metadata()
            .map_err(|found| error(FileErrorKind::Io(found)))?;
        if (metadata.dev(), metadata.ino()) != self.identity {
            return Err(error(FileErrorKind::Unexpected {
                what: "file",
                expected: "the one that was read before".to_owned(),
                found: "another of its name".to_owned(),
            }));
        }
        Ok(file)
    }
}

/// Reads records until `out` is full or the file ends; the rest comes out as zeros, also of a record cut in half.
pub(crate) fn read_or_zeros(file: &File, offset: u64, out: &mut [u8]) -> io::Result<()> {
    let mut at = 0;
    while at < out.len() {
        match file.read_at(&mut out[at..], offset + at as u64) {
            Ok(0) => break,
            Ok(count) => at += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    out[at - at % RECORD_LEN..].fill(0);
    Ok(())
}
