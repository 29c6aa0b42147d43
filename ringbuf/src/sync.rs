//! The atomics of the ring protocol: the processor's, or loom's when built with `--cfg loom`.
//!
//! `ring.rs` and `reader.rs` are the same source over both, so what loom explores is what ships.

#[cfg(not(loom))]
pub use core::sync::atomic::{AtomicU64, Ordering, fence};
#[cfg(loom)]
pub use loom::sync::atomic::{AtomicU64, Ordering, fence};

/// Adds `n` to a word that only this thread (and signal handlers on it) writes, and returns the old value.
///
/// One instruction, so that a signal handler which reserves on the same thread falls before or after it, never
/// inside. No `lock` prefix on x86-64: no other thread writes the word, and readers need no more than that
/// the store is whole.
#[inline(always)]
pub(crate) fn add_unshared(word: &AtomicU64, n: u64) -> u64 {
    #[cfg(all(not(loom), ringscope_mutant = "load_store_reserve"))]
    {
        let old = word.load(Ordering::Relaxed);
        word.store(old.wrapping_add(n), Ordering::Relaxed);
        old
    }
    #[cfg(all(
        not(loom),
        target_arch = "x86_64",
        not(ringscope_mutant = "load_store_reserve")
    ))]
    {
        let mut old = n;
        // SAFETY: the operand is a valid, aligned u64 that lives behind the reference; xadd reads and writes
        // just those eight bytes and the flags.
        unsafe {
            core::arch::asm!(
                "xadd qword ptr [{word}], {old}",
                word = in(reg) word.as_ptr(),
                old = inout(reg) old,
                options(nostack),
            );
        }
        old
    }
    #[cfg(all(
        any(loom, not(target_arch = "x86_64")),
        not(all(not(loom), ringscope_mutant = "load_store_reserve"))
    ))]
    {
        word.fetch_add(n, Ordering::Relaxed)
    }
}

/// Takes the next number from a counter that only this thread (and signal handlers on it) counts on; no number is taken
/// twice, some may be left out.
///
/// Of two plain additions on one counter, neither sees the numbers before and after its own lie one apart when the
/// other came in between: a third of what the exchange in `add_unshared` takes.
#[inline(always)]
pub fn next_unshared(word: &AtomicU64) -> u64 {
    #[cfg(all(not(loom), target_arch = "x86_64"))]
    loop {
        let before = word.load(Ordering::Relaxed);
        // SAFETY: as above: one instruction on the eight bytes behind the reference.
        unsafe {
            core::arch::asm!(
                "add qword ptr [{word}], 1",
                word = in(reg) word.as_ptr(),
                options(nostack),
            );
        }
        if word.load(Ordering::Relaxed) == before.wrapping_add(1) {
            return before;
        }
    }
    #[cfg(any(loom, not(target_arch = "x86_64")))]
    {
        add_unshared(word, 1)
    }
}

/// Replaces `current` by `new` in a word that only this thread writes; false when a signal handler was faster.
#[inline(always)]
pub(crate) fn replace_unshared(word: &AtomicU64, current: u64, new: u64) -> bool {
    #[cfg(all(not(loom), target_arch = "x86_64"))]
    {
        let taken: u8;
        // SAFETY: as above: one instruction on the eight bytes behind the reference.
        unsafe {
            core::arch::asm!(
                "cmpxchg qword ptr [{word}], {new}",
                "sete {taken}",
                word = in(reg) word.as_ptr(),
                new = in(reg) new,
                taken = out(reg_byte) taken,
                inout("rax") current => _,
                options(nostack),
            );
        }
        taken != 0
    }
    #[cfg(any(loom, not(target_arch = "x86_64")))]
    {
        word.compare_exchange(current, new, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }
}
