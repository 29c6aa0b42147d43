//! What nothing can be cheaper than: a span that is two clock reads and one 32-byte store, and no span at all.

use std::path::Path;
use std::sync::atomic::AtomicU64;

use ringscope_ringbuf::clock::counter;
use ringscope_ringbuf::layout::{RECORD_LEN, RECORD_WORDS};
use ringscope_ringbuf::map::MappedFile;

use crate::case::Case;
use crate::kernel::{c_path, os_error};

/// The floor: two clock reads and one 32-byte store into a populated ring, without anything that makes a record safe.
/// Its ring is a mapped file as the recorder's are: the same pages under both.
#[derive(Debug)]
pub struct Floor {
    slots: *mut [u64; RECORD_WORDS],
    mask: u64,
    next: u64,
}

impl Floor {
    /// A ring of `ring_bytes` in a new file at `path`, unlinked at once.
    ///
    /// # Errors
    ///
    /// What could not be made, where and why.
    ///
    /// # Panics
    ///
    /// When `ring_bytes` is not a power of two of at least one record.
    pub fn new(path: &Path, ring_bytes: u64) -> Result<Floor, String> {
        assert!(ring_bytes.is_power_of_two() && ring_bytes >= RECORD_LEN as u64);
        let file = c_path(path)?;
        let (map, _file) = MappedFile::create(&file, ring_bytes as usize)
            .map_err(|errno| format!("create: {}: {}", path.display(), os_error(errno)))?;
        ringscope_ringbuf::sys::remove(&file);
        Ok(Floor {
            slots: std::ptr::from_ref::<AtomicU64>(map.word(0))
                .cast_mut()
                .cast(),
            mask: ring_bytes / RECORD_LEN as u64 - 1,
            next: 0,
        })
    }
}

impl Case for Floor {
    const NAME: &'static str = "floor";

    #[inline(always)]
    fn call(&mut self, number: u64, inside: impl FnOnce()) {
        let start = counter();
        inside();
        let end = counter();
        // SAFETY: the mask keeps the index inside the mapping, which lives as long as the process; nobody else
        // knows this memory.
        unsafe {
            let slot: *mut u64 = self.slots.add((self.next & self.mask) as usize).cast();
            slot.write_volatile(start);
            slot.add(1).write_volatile(end - start);
            slot.add(2).write_volatile(number);
            slot.add(3).write_volatile(self.next);
        }
        self.next += 1;
    }

    fn bytes_written(&self) -> Option<u64> {
        Some(self.next * RECORD_LEN as u64)
    }
}

/// The loop with nothing in it: what of every figure is the harness's own.
#[derive(Debug)]
pub struct Loop;

impl Case for Loop {
    const NAME: &'static str = "loop";

    #[inline(always)]
    fn call(&mut self, _number: u64, inside: impl FnOnce()) {
        inside();
    }

    fn bytes_written(&self) -> Option<u64> {
        Some(0)
    }
}
