//! Memory for the recorder's own structures: straight from the kernel, never given back.
//!
//! The host's allocator may be locked by another thread at the moment of a fork, or be what a signal handler
//! interrupted; this one takes no lock. What it hands out lives as long as the process.

use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

const CHUNK_BYTES: usize = 256 << 10;

/// Stands at the front of every chunk.
struct Chunk {
    used: AtomicUsize,
}

static CURRENT: AtomicPtr<Chunk> = AtomicPtr::new(ptr::null_mut());

/// Places `value` in memory that is never freed; `None` when the kernel has none.
pub(crate) fn place<T>(value: T) -> Option<&'static T> {
    let place = zeroed(size_of::<T>(), align_of::<T>())?.cast::<T>();
    // SAFETY: the memory is large and aligned enough, and nobody else has it.
    unsafe {
        place.write(value);
        Some(&*place)
    }
}

/// Copies bytes to memory that is never freed.
pub(crate) fn copy(bytes: &[u8]) -> Option<&'static [u8]> {
    let place = zeroed(bytes.len(), 1)?;
    // SAFETY: as many bytes as asked for, new, and not overlapping.
    unsafe {
        ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len());
        Some(core::slice::from_raw_parts(place, bytes.len()))
    }
}

/// Zeroed memory that is never freed; `align` is at most a page.
pub(crate) fn zeroed(len: usize, align: usize) -> Option<*mut u8> {
    if len > CHUNK_BYTES / 4 {
        return map(len);
    }
    loop {
        let chunk = CURRENT.load(Ordering::Acquire);
        if !chunk.is_null() {
            // SAFETY: a published chunk is a mapping of CHUNK_BYTES that is never unmapped.
            let used = unsafe { &(*chunk).used };
            let room = len + align;
            let start = used.fetch_add(room, Ordering::Relaxed);
            if start + room <= CHUNK_BYTES {
                let address = (chunk as usize + start).next_multiple_of(align);
                return Some(chunk.cast::<u8>().wrapping_add(address - chunk as usize));
            }
        }
        let new = map(CHUNK_BYTES)?.cast::<Chunk>();
        // SAFETY: the mapping is new and large enough for the header.
        unsafe { (*new).used.store(size_of::<Chunk>(), Ordering::Relaxed) };
        if CURRENT
            .compare_exchange(chunk, new, Ordering::AcqRel, Ordering::Relaxed)
            .is_err()
        {
            // SAFETY: nobody saw this mapping.
            unsafe { libc::munmap(new.cast(), CHUNK_BYTES) };
        }
    }
}

fn map(len: usize) -> Option<*mut u8> {
    let (protection, flags) = (
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
    );
    // SAFETY: asks for new memory, touches no existing one.
    let place = unsafe { libc::mmap(ptr::null_mut(), len, protection, flags, -1, 0) };
    (place != libc::MAP_FAILED).then_some(place.cast())
}
