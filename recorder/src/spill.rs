//! Full mode: saving a ring's records before they are overwritten.
//!
//! Under `ringscope record` the supervisor saves them, and tells in the ring's header how far it is; this module then
//! only looks there once a lap. Where no supervisor is, or it has not found the ring yet, or has died, the thread
//! writes its own ring to a segment file.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::fs::File;
use std::os::fd::FromRawFd;
use std::os::unix::fs::FileExt;

use ringscope_ringbuf::file::{FileKind, segments_header};
use ringscope_ringbuf::layout::{DropCause, RECORD_LEN, SEGMENTS_BY_THREAD, SEGMENTS_HEADER_LEN};
use ringscope_ringbuf::ring::Writer;
use ringscope_ringbuf::sys;

use crate::clock::monotonic_ns;
use crate::config::Mode;
use crate::place::last_errno;
use crate::process::{self, Process};
use crate::thread::ThreadRing;
use crate::undisturbed::{SignalsHeld, Undisturbed};

/// A supervisor that gave no sign of life for so long is taken for dead. It gives one every 250 ms.
const SUPERVISOR_SILENCE_NS: u64 = 2_000_000_000;

/// How far a ring is saved.
pub(crate) struct Spill {
    /// Sequence up to which this thread saved the ring.
    saved: AtomicU64,
    /// Bytes in the segment file.
    file_len: AtomicU64,
    /// Number of the next segment.
    number: AtomicU32,
}

impl Spill {
    /// The state of a new ring; sets the writer's first limit.
    pub(crate) fn new(process: &Process, writer: &Writer) -> Spill {
        if process.config.mode == Mode::Full {
            writer.set_limit(if process.supervised {
                writer.capacity()
            } else {
                soft_limit(0, writer)
            });
        }
        Spill {
            saved: AtomicU64::new(0),
            file_len: AtomicU64::new(0),
            number: AtomicU32::new(0),
        }
    }
}

/// Where a thread that saves its ring itself begins to: an eighth of the ring stays for signal handlers that come between
/// its reservation and that.
fn soft_limit(saved: u64, writer: &Writer) -> u64 {
    saved + writer.capacity() / 8 * 7
}

impl ThreadRing {
    /// Makes room for the `slot_count` slots reserved from `sequence`; false when the record must not be written,
    /// since it would overwrite what is just being saved.
    #[cold]
    #[inline(never)]
    pub(crate) fn make_room(&self, sequence: u64, slot_count: u64) -> bool {
        let _undisturbed = Undisturbed::begin();
        let end = sequence + slot_count;
        if !(self.process.supervised && self.supervisor_made_room(end)) {
            let _held = SignalsHeld::begin();
            self.save(sequence);
        }
        // Handlers that starved this call may have saved the ring past its slots, as a hole.
        let is_late = sequence < self.spill.saved.load(Ordering::Relaxed);
        if is_late {
            process::count(DropCause::NestedSpill);
        }
        !is_late
    }

    /// True when the supervisor has saved enough, or is alive and late: then records are overwritten, which it counts.
    fn supervisor_made_room(&self, end: u64) -> bool {
        let saved = self
            .ring
            .drained()
            .max(self.spill.saved.load(Ordering::Relaxed));
        let capacity = self.writer.capacity();
        if end <= saved + capacity {
            self.writer.set_limit(saved + capacity);
            return true;
        }
        let alive_ns = self.ring.drain_alive_ns();
        let alive =
            alive_ns != 0 && monotonic_ns().saturating_sub(alive_ns) < SUPERVISOR_SILENCE_NS;
        if alive {
            let limit = end + capacity / 8;
            // What is overwritten up to there is lost: nothing beyond `saved` and a ring is ever written.
            self.spill
                .saved
                .fetch_max(limit - capacity, Ordering::Relaxed);
            self.writer.set_limit(limit);
        }
        alive
    }

    /// Saves what stands in the ring below `sequence`.
    fn save(&self, sequence: u64) {
        let capacity = self.writer.capacity();
        let spill = &self.spill;
        let saved = spill.saved.load(Ordering::Relaxed).max(self.ring.drained());
        // Slots reserved beyond a ring from `saved` were not written, since there was no room.
        let written_end = sequence.min(saved + capacity).max(saved);
        // Up to the first slot that is reserved and not published: a call that this one interrupts will publish it.
        // One that stays so for half a ring is given up (it was left by a jump, or handlers starve it), and must not
        // hide a younger one.
        let given_up_before = saved + capacity / 2;
        let is_waiting = |s: &u64| !self.ring.is_published(*s);
        let waiting = (given_up_before..written_end).find(is_waiting);
        if (saved..written_end.min(given_up_before)).any(|s| is_waiting(&s)) {
            process::count(DropCause::NestedSpill);
        }
        let end = waiting.unwrap_or(written_end);
        let next = waiting.unwrap_or(sequence.max(saved));
        match self.write_segment(saved, end) {
            Ok(()) => {
                spill.saved.store(next, Ordering::Relaxed);
                self.ring.set_spilled(next);
                self.writer.set_limit(soft_limit(next, &self.writer));
            }
            Err(_) => {
                process::count(DropCause::SpillFailed);
                if spill.file_len.load(Ordering::Relaxed) == 0 {
                    // A file without a header would be told as damage.
                    sys::remove(self.process.path_of(FileKind::Spill, self.index).as_c_str());
                }
                // The next lap tries again; until then this one overwrites, as flight mode does.
                spill.saved.store(sequence, Ordering::Relaxed);
                self.writer.set_limit(sequence + capacity);
            }
        }
    }

    fn write_segment(&self, first: u64, end: u64) -> Result<(), i32> {
        if first == end {
            return Ok(());
        }
        let (spill, process) = (&self.spill, self.process);
        let file = self.open_segments()?;
        let mut offset = spill.file_len.load(Ordering::Relaxed);
        let most = SEGMENTS_HEADER_LEN as u64 + (end - first + 1) * RECORD_LEN as u64;
        sys::may_grow_to(offset + most)?;
        if offset == 0 {
            let log2 = self.writer.capacity_log2();
            let header = segments_header(
                process.nonce,
                process.pid,
                self.index,
                log2,
                SEGMENTS_BY_THREAD,
            );
            file.write_all_at(&header, 0)
                .map_err(|e| e.raw_os_error().unwrap_or(libc::EIO))?;
            offset = SEGMENTS_HEADER_LEN as u64;
        }
        if process.spilled_bytes.load(Ordering::Relaxed) >= process.config.max_bytes {
            return Err(libc::EFBIG);
        }
        let number = spill.number.load(Ordering::Relaxed);
        let len = self.ring.write_segment(&file, offset, number, first..end)?;
        process.spilled_bytes.fetch_add(len, Ordering::Relaxed);
        spill.number.store(number + 1, Ordering::Relaxed);
        spill.file_len.store(offset + len, Ordering::Relaxed);
        Ok(())
    }

    /// Opens the segment file for one write: a descriptor kept open could be closed and reused by the host.
    fn open_segments(&self) -> Result<File, i32> {
        let path = self.process.path_of(FileKind::Spill, self.index);
        if self.spill.file_len.load(Ordering::Relaxed) == 0 {
            sys::remove(path.as_c_str());
            return sys::create_new(path.as_c_str());
        }
        let flags = libc::O_WRONLY | libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK;
        // SAFETY: the path is NUL-terminated; the descriptor is owned by the File alone.
        unsafe {
            let fd = libc::open(path.as_c_str().as_ptr(), flags);
            if fd < 0 {
                Err(last_errno())
            } else {
                Ok(File::from_raw_fd(fd))
            }
        }
    }
}
