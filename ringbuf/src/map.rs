//! Mapped files: created, allocated, populated, and never unmapped.
//!
//! A mapping outlives its thread and its recorder: a signal handler, a late destructor or a guard on another
//! thread may still hold a pointer into it. Rings are pooled instead of unmapped, so the number of maps is bounded.

use core::ffi::CStr;
use core::ops::Range;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use memmap2::{Advice, MmapOptions, MmapRaw};

use crate::file::seal_ring_header;
use crate::layout::{
    LOCK_DROPS_OFFSET, LOCK_END_OFFSET, LOCK_FILE_LEN, RECORD_LEN, RING_CONTINUATIONS_OFFSET,
    RING_DRAIN_ALIVE_OFFSET, RING_DRAINED_OFFSET, RING_HEAD_OFFSET, RING_OPEN_SLOTS_OFFSET,
    RING_SPILLED_OFFSET, Record, RingHeader, ring_header_len,
};
use crate::ring::RingMemory;
use crate::sys;

use std::sync::atomic::{AtomicU64, Ordering, fence};
use zerocopy::IntoBytes;

/// A file of this process, mapped for as long as the process lives.
#[derive(Debug)]
pub struct MappedFile {
    base: *mut u8,
    len: usize,
}

// SAFETY: the memory is reached through atomics only (`word`).
unsafe impl Send for MappedFile {}
// SAFETY: as above.
unsafe impl Sync for MappedFile {}

impl MappedFile {
    /// Creates `path` with `len` bytes of allocated, populated zeros. Nothing is left behind on failure.
    ///
    /// # Errors
    ///
    /// The error number of what failed: `open`, `posix_fallocate` (ENOSPC) or `mmap` (ENOMEM).
    pub fn create(path: &CStr, len: usize) -> Result<(MappedFile, File), i32> {
        let file = sys::create_new(path)?;
        let mapped = sys::allocate(&file, len).and_then(|()| map_populated(&file, len));
        match mapped {
            Ok(map) => {
                let base = map.as_mut_ptr();
                // Unmapping could pull the memory from under a handler or a late guard: see the module's head.
                core::mem::forget(map);
                Ok((MappedFile { base, len }, file))
            }
            Err(errno) => {
                sys::remove(path);
                Err(errno)
            }
        }
    }

    /// The word at `offset`, shared with whoever maps or reads the file.
    ///
    /// # Panics
    ///
    /// When `offset` is not a multiple of eight inside the file: offsets are constants of `layout`.
    pub fn word(&self, offset: usize) -> &'static AtomicU64 {
        assert!(offset.is_multiple_of(8) && offset + 8 <= self.len);
        // SAFETY: inside the mapping, which is never unmapped, aligned, and reached through atomics only. A file
        // that another process of this user truncates raises SIGBUS here: documented, not defended.
        unsafe { &*self.base.add(offset).cast::<AtomicU64>() }
    }

    /// Writes a header: all of `bytes` but the magic in its first eight, then the magic, so that a reader who
    /// finds the magic finds the rest.
    pub fn write_header(&self, bytes: &[u8]) {
        for (index, chunk) in bytes.chunks(8).enumerate().skip(1) {
            self.word(index * 8)
                .store(word_of(chunk), Ordering::Relaxed);
        }
        fence(Ordering::Release);
        self.word(0).store(word_of(&bytes[..8]), Ordering::Release);
    }
}

fn word_of(bytes: &[u8]) -> u64 {
    let mut word = [0u8; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

fn map_populated(file: &File, len: usize) -> Result<MmapRaw, i32> {
    let errno = |error: std::io::Error| error.raw_os_error().unwrap_or(libc::ENOMEM);
    let map = MmapOptions::new().len(len).map_raw(file).map_err(errno)?;
    // Linux 5.14 and later fault the pages in for writing at once; before it, by touching them.
    if map.advise(Advice::PopulateWrite).is_err() {
        for page in (0..len).step_by(4096) {
            // SAFETY: inside the mapping, whose file is new and zero: storing a zero changes nothing.
            unsafe { map.as_mut_ptr().add(page).write_volatile(0) };
        }
    }
    Ok(map)
}

/// A ring file of this process.
#[derive(Debug)]
pub struct MappedRing {
    map: MappedFile,
    header_len: usize,
    capacity_log2: u32,
}

impl MappedRing {
    /// Creates a ring file as `header` says (capacity, open slots, identity) and publishes the header.
    ///
    /// # Errors
    ///
    /// As [`MappedFile::create`].
    pub fn create(path: &CStr, header: &RingHeader) -> Result<MappedRing, i32> {
        let header_len = ring_header_len(header.open_slot_count.get() as usize);
        let capacity_log2 = header.capacity_log2.get();
        // The file is closed here: a mapping needs no descriptor, and hosts count theirs.
        let (map, _file) = MappedFile::create(path, header_len + (RECORD_LEN << capacity_log2))?;
        map.word(RING_HEAD_OFFSET)
            .store(header.base_sequence.get(), Ordering::Relaxed);
        map.write_header(&seal_ring_header(header));
        Ok(MappedRing {
            map,
            header_len,
            capacity_log2,
        })
    }

    /// Where the ring's words lie; valid for as long as the process lives.
    pub fn memory(&self) -> RingMemory {
        let at = |offset: usize| self.map.base.wrapping_add(offset).cast_const().cast();
        RingMemory {
            head: at(RING_HEAD_OFFSET),
            continuations: at(RING_CONTINUATIONS_OFFSET),
            open_slots: at(RING_OPEN_SLOTS_OFFSET),
            slots: at(self.header_len),
        }
    }

    /// The ring holds 2^this records.
    pub fn capacity_log2(&self) -> u32 {
        self.capacity_log2
    }

    /// Sequence up to which the supervisor has saved the ring.
    pub fn drained(&self) -> u64 {
        self.map.word(RING_DRAINED_OFFSET).load(Ordering::Acquire)
    }

    /// The supervisor's last sign of life, CLOCK_MONOTONIC in ns; 0 when there never was one.
    pub fn drain_alive_ns(&self) -> u64 {
        self.map
            .word(RING_DRAIN_ALIVE_OFFSET)
            .load(Ordering::Relaxed)
    }

    /// Tells readers up to where the thread itself has saved the ring.
    pub fn set_spilled(&self, sequence: u64) {
        self.map
            .word(RING_SPILLED_OFFSET)
            .store(sequence, Ordering::Release);
    }

    /// True when the slot of `sequence` is published. For the ring's own thread, which can't race with itself.
    pub fn is_published(&self, sequence: u64) -> bool {
        let slot = self.header_len + self.slot_of(sequence) * RECORD_LEN;
        let word = self.map.word(slot + 24).load(Ordering::Relaxed);
        Record { w: [0, 0, 0, word] }.is_stamped(sequence, self.capacity_log2)
    }

    /// Writes the records of `range` (at most the ring's capacity) as segment `number` at `offset` of `file`:
    /// records first, header last, so that a header stands before whole records only. Returns the bytes written.
    /// For the ring's own thread.
    ///
    /// # Errors
    ///
    /// The error number of `pwrite`.
    pub fn write_segment(
        &self,
        file: &File,
        offset: u64,
        number: u32,
        range: Range<u64>,
    ) -> Result<u64, i32> {
        let capacity = 1usize << self.capacity_log2;
        let count = (range.end - range.start) as usize;
        let first = self.slot_of(range.start);
        let until_end = count.min(capacity - first);
        let body = offset + RECORD_LEN as u64;
        self.write_slots(file, body, first, until_end)?;
        self.write_slots(
            file,
            body + (until_end * RECORD_LEN) as u64,
            0,
            count - until_end,
        )?;
        let header = crate::file::segment_header(number, range.start, count as u64);
        let errno = |error: std::io::Error| error.raw_os_error().unwrap_or(libc::EIO);
        file.write_all_at(&header, offset).map_err(errno)?;
        Ok(((count + 1) * RECORD_LEN) as u64)
    }

    fn write_slots(&self, file: &File, offset: u64, first: usize, count: usize) -> Result<(), i32> {
        let (from, len) = (self.header_len + first * RECORD_LEN, count * RECORD_LEN);
        debug_assert!(from + len <= self.map.len);
        let mut done = 0;
        while done < len {
            let at = (offset + done as u64) as libc::off_t;
            // SAFETY: the bytes lie inside the mapping, which is never unmapped; the kernel reads them, no reference
            // to them is made.
            let n = unsafe {
                libc::pwrite(
                    file.as_raw_fd(),
                    self.map.base.add(from + done).cast(),
                    len - done,
                    at,
                )
            };
            match n {
                0 => return Err(libc::ENOSPC),
                n if n > 0 => done += n as usize,
                _ if std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted => {}
                _ => {
                    return Err(std::io::Error::last_os_error()
                        .raw_os_error()
                        .unwrap_or(libc::EIO));
                }
            }
        }
        Ok(())
    }

    fn slot_of(&self, sequence: u64) -> usize {
        sequence as usize & ((1 << self.capacity_log2) - 1)
    }
}

/// The lock file of this process: the lock that says "alive", the clean-end mark and the drop counters.
#[derive(Debug)]
pub struct MappedLock {
    map: MappedFile,
    /// Open for as long as the process lives, since closing it would give the lock up.
    file: File,
    /// Tells whether the descriptor is still the lock's: a host that closes all of them may take its number.
    device_and_inode: Option<(u64, u64)>,
}

impl MappedLock {
    /// Creates the file, takes the lock and publishes the header (whose magic and check sum are filled in here).
    ///
    /// # Errors
    ///
    /// As [`MappedFile::create`], or that of the lock.
    pub fn create(path: &CStr, start: &crate::layout::FileStart) -> Result<MappedLock, i32> {
        let (map, file) = MappedFile::create(path, LOCK_FILE_LEN)?;
        if let Err(errno) = sys::lock(&file) {
            sys::remove(path);
            return Err(errno);
        }
        let mut bytes = [0u8; crate::layout::LOCK_STATIC_LEN];
        let mut start = *start;
        start.magic = crate::layout::LOCK_MAGIC;
        bytes[..start.as_bytes().len()].copy_from_slice(start.as_bytes());
        start.crc32 = crate::layout::header_crc(&bytes).into();
        bytes[..start.as_bytes().len()].copy_from_slice(start.as_bytes());
        map.write_header(&bytes);
        let device_and_inode = sys::device_and_inode(file.as_raw_fd()).ok();
        Ok(MappedLock {
            map,
            file,
            device_and_inode,
        })
    }

    /// The counter of a cause.
    pub fn drop_counter(&self, cause: crate::layout::DropCause) -> &'static AtomicU64 {
        self.map.word(LOCK_DROPS_OFFSET + cause as usize * 8)
    }

    /// Closes the descriptor of a lock inherited over a fork: it is the parent's, and closing a copy of it in the
    /// child does not touch the parent's lock.
    pub fn close_inherited(&self) {
        let fd = self.file.as_raw_fd();
        if self.device_and_inode.is_some()
            && sys::device_and_inode(fd).ok() == self.device_and_inode
        {
            // SAFETY: the descriptor is that of the lock, as its inode says; the child never uses it again.
            unsafe { libc::close(fd) };
        }
    }

    /// Writes the pair taken at the end, then the clean-end mark.
    pub fn mark_clean_end(&self, pair: &crate::block::ClockPair) {
        let words = [
            pair.ticks,
            pair.mono_ns,
            pair.real_ns,
            pair.uncertainty_ns as u64,
        ];
        for (index, word) in words.into_iter().enumerate() {
            self.map
                .word(LOCK_END_OFFSET + 8 + index * 8)
                .store(word, Ordering::Relaxed);
        }
        self.map
            .word(LOCK_END_OFFSET)
            .store(crate::layout::END_CLEAN, Ordering::Release);
    }
}
