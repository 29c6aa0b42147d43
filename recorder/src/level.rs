//! The words that the hot path reads and others write: the level, whether argument values are kept out, and the fork
//! canary's generation.
//!
//! Both lie in statics of a page of their own, so that a check is one load from a fixed address. At start-up the
//! kernel puts other memory under these addresses: a sealed memfd under the level, which `ringscope level` writes
//! from outside, and a page that is wiped at a fork under the generation.

use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering};
use std::os::fd::{AsRawFd, OwnedFd};

use ringscope_ringbuf::layout::{LEVEL_ALL, LEVEL_UNKNOWN};
use ringscope_ringbuf::sys;

/// The largest page size of the target, so that the statics never share a page with anything.
#[cfg(target_arch = "x86_64")]
const PAGE: usize = 4096;
/// The largest page size of the target, so that the statics never share a page with anything.
#[cfg(not(target_arch = "x86_64"))]
const PAGE: usize = 65_536;

#[cfg_attr(target_arch = "x86_64", repr(C, align(4096)))]
#[cfg_attr(not(target_arch = "x86_64"), repr(C, align(65536)))]
struct WordPage {
    word: AtomicU64,
    /// Under the level: 1 when argument values are kept out of the files.
    second: AtomicU64,
    rest: [AtomicU64; PAGE / 8 - 2],
}

impl WordPage {
    const fn new(word: u64) -> WordPage {
        WordPage {
            word: AtomicU64::new(word),
            second: AtomicU64::new(0),
            rest: [const { AtomicU64::new(0) }; PAGE / 8 - 2],
        }
    }
}

static LEVEL: WordPage = WordPage::new(LEVEL_UNKNOWN);
/// All ones, or 0 when argument values are kept out: one instruction on a value of a word.
static VALUE_MASK: AtomicU64 = AtomicU64::new(u64::MAX);
static CANARY: WordPage = WordPage::new(0);

/// True when a site with this level bit is to be recorded. The one load and branch that a site costs when off.
#[inline(always)]
pub(crate) fn enabled(level_bit: u64) -> bool {
    let mask = LEVEL.word.load(Ordering::Relaxed);
    mask & level_bit != 0 && (mask <= LEVEL_ALL || enabled_at_first(level_bit))
}

/// The process's first look at its configuration: it may say that this very record is not wanted.
#[cold]
#[inline(never)]
fn enabled_at_first(level_bit: u64) -> bool {
    crate::process::current();
    mask() & level_bit != 0
}

/// The level mask; [`LEVEL_UNKNOWN`] before the process looked at its configuration.
pub(crate) fn mask() -> u64 {
    LEVEL.word.load(Ordering::Relaxed)
}

/// True when argument values are kept out of the files.
#[inline(always)]
pub(crate) fn keeps_values_out() -> bool {
    VALUE_MASK.load(Ordering::Relaxed) == 0
}

/// `word`, or 0 when argument values are kept out of the files.
#[inline(always)]
pub(crate) fn let_in(word: u64) -> u64 {
    word & VALUE_MASK.load(Ordering::Relaxed)
}

/// Keeps argument values out of the files from now on, or lets them in; while nothing is recorded yet.
pub(crate) fn keep_values_out(out: bool) {
    LEVEL.second.store(out.into(), Ordering::Relaxed);
    VALUE_MASK.store(if out { 0 } else { u64::MAX }, Ordering::Relaxed);
}

/// Switches recording.
pub(crate) fn set_mask(mask: u64) {
    LEVEL.word.store(mask, Ordering::Relaxed);
}

/// Generation of this process; 0 in a child that was forked and has not recorded yet, odd while it is set up.
#[inline(always)]
pub(crate) fn generation() -> u64 {
    CANARY.word.load(Ordering::Relaxed)
}

/// The level word itself, for code that reads it inline.
#[cfg(feature = "c-abi")]
#[inline(always)]
pub(crate) fn level_word() -> &'static AtomicU64 {
    &LEVEL.word
}

/// The generation word itself, for the set-up's state machine.
pub(crate) fn generation_word() -> &'static AtomicU64 {
    &CANARY.word
}

/// Puts a new memfd with `mask` in it under the level word, and what stands behind the word behind it.
///
/// # Errors
///
/// The error number of the call that failed; the level word then stays private to the process.
pub(crate) fn share_level_word(mask: u64) -> Result<OwnedFd, i32> {
    let fd = sys::sealed_memfd(c"ringscope-level", PAGE)?;
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&mask.to_le_bytes());
    bytes[8..].copy_from_slice(&u64::from(keeps_values_out()).to_le_bytes());
    // SAFETY: writes sixteen bytes from a live array to a descriptor that is open.
    let written = unsafe { libc::pwrite(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0) };
    if written != bytes.len() as isize {
        return Err(crate::place::last_errno());
    }
    map_over(&LEVEL, libc::MAP_SHARED, fd.as_raw_fd())?;
    Ok(fd)
}

/// Takes a child's level word away from its parent's memfd, keeping its value: for a child that gets no memfd.
pub(crate) fn unshare_level_word() {
    let (mask, out) = (mask(), keeps_values_out());
    // Between the two the word reads 0: off, for a moment, in a process that is being set up.
    if map_over(&LEVEL, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1).is_ok() {
        keep_values_out(out);
        set_mask(mask);
    }
}

/// Puts a page that the kernel clears in every forked child under the generation word. The new page holds the word's
/// value before it takes the old one's place, so no thread ever sees another value.
pub(crate) fn arm_canary() {
    if !replace_canary() {
        // Linux before 4.14, or no memory: fork() and nothing else is noticed.
        extern "C" fn clear() {
            CANARY.word.store(0, Ordering::Relaxed);
        }
        // SAFETY: the handler stores one word.
        unsafe { libc::pthread_atfork(None, None, Some(clear)) };
    }
}

fn replace_canary() -> bool {
    let (protection, flags) = (
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
    );
    // SAFETY: a new page, filled in while nobody else knows it, then moved over exactly the page of a static whose
    // words are atomics and hold the same values.
    unsafe {
        let page = libc::mmap(ptr::null_mut(), PAGE, protection, flags, -1, 0);
        if page == libc::MAP_FAILED {
            return false;
        }
        page.cast::<u64>()
            .write(CANARY.word.load(Ordering::Relaxed));
        let target = ptr::from_ref(&CANARY).cast_mut().cast::<libc::c_void>();
        let moved = libc::madvise(page, PAGE, libc::MADV_WIPEONFORK) == 0
            && libc::mremap(
                page,
                PAGE,
                PAGE,
                libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED,
                target,
            ) == target;
        if !moved {
            libc::munmap(page, PAGE);
        }
        moved
    }
}

fn map_over(page: &'static WordPage, flags: libc::c_int, fd: libc::c_int) -> Result<(), i32> {
    let address = ptr::from_ref(page).cast_mut().cast();
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: replaces exactly the page of a static whose words are atomics: to other threads it is as if somebody
    // stored new values. The static is as large and as aligned as the largest page of the target.
    let mapped = unsafe { libc::mmap(address, PAGE, protection, flags | libc::MAP_FIXED, fd, 0) };
    if mapped == libc::MAP_FAILED {
        Err(crate::place::last_errno())
    } else {
        Ok(())
    }
}

// The page's other words exist to keep it to itself.
const _: () = assert!(size_of::<WordPage>() == PAGE && core::mem::offset_of!(WordPage, rest) == 16);
