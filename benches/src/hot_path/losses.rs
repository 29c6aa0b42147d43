//! What a run lost: a measurement whose records were dropped has measured something else.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ringscope_ringbuf::block::{Block, blocks};
use ringscope_ringbuf::file::{FileKind, FileName, LockFile, ProcessFile};
use ringscope_ringbuf::layout::DropCause;

/// Process files of benches are small; one that is larger is no process file.
const PROCESS_FILE_LIMIT: u64 = 64 << 20;

/// Counts by cause: what the recorders of `run` dropped, and `overwritten`, what its supervisor came too late for.
///
/// # Errors
///
/// What could not be read, where and why.
pub(crate) fn losses_of(run: &Path) -> Result<BTreeMap<String, u64>, String> {
    let failed = |why: &dyn std::fmt::Display| format!("read: {}: {why}", run.display());
    let mut losses = BTreeMap::new();
    for entry in fs::read_dir(run).map_err(|error| failed(&error))? {
        let path = entry.map_err(|error| failed(&error))?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(FileName::parse);
        match name.map(|name| name.kind) {
            Some(FileKind::Lock) => {
                let lock = LockFile::read(&path).map_err(|error| failed(&error))?;
                for cause in DropCause::ALL {
                    *losses.entry(cause.name().to_string()).or_insert(0) += lock.drops(cause);
                }
            }
            Some(FileKind::Process) => {
                let file =
                    ProcessFile::read(&path, PROCESS_FILE_LIMIT).map_err(|error| failed(&error))?;
                *losses.entry("overwritten".to_string()).or_insert(0) += overwritten(&file);
            }
            _ => {}
        }
    }
    losses.retain(|_, count| *count > 0);
    Ok(losses)
}

fn overwritten(file: &ProcessFile) -> u64 {
    let found = blocks(&file.body, &mut 0);
    let by_ring = found.iter().map(|found| match found.block {
        Ok(Block::Drain { overwritten, .. }) => overwritten,
        _ => 0,
    });
    by_ring.sum()
}
