//! What a case is, and the loops around it: the same three for the floor, the recorder and its peers.

use ringscope_ringbuf::clock::counter;

use crate::work::Work;

/// Something whose cost is measured.
pub trait Case {
    /// Name in tables and JSON.
    const NAME: &'static str;
    /// Records that one call makes; figures are per record.
    const RECORDS_PER_CALL: u64 = 1;

    /// Makes the call's records, with `inside` where the program's own work would stand. To be `#[inline(always)]`.
    fn call(&mut self, number: u64, inside: impl FnOnce());

    /// Prepares a series of calls; not measured.
    fn before(&mut self) {}

    /// Ends a series of calls; not measured.
    fn after(&mut self) {}

    /// Bytes of records that this thread has written so far, where the case can tell.
    fn bytes_written(&self) -> Option<u64> {
        None
    }
}

/// A [`Case`] whose loops are compiled, as an object.
pub trait Subject {
    /// [`Case::NAME`].
    fn name(&self) -> &'static str;
    /// [`Case::RECORDS_PER_CALL`].
    fn records_per_call(&self) -> u64;
    /// [`Case::before`].
    fn prepare(&mut self);
    /// [`Case::after`].
    fn finish(&mut self);
    /// [`Case::bytes_written`].
    fn bytes(&self) -> Option<u64>;
    /// Makes `calls` calls, one after the other.
    fn run(&mut self, calls: u64);
    /// Makes `calls` calls around one step of work each.
    fn run_around(&mut self, calls: u64, work: &mut Work);
    /// Times each call alone: one call for each element of `ticks`.
    fn sample(&mut self, ticks: &mut [u32]);
}

impl<C: Case> Subject for C {
    fn name(&self) -> &'static str {
        C::NAME
    }

    fn records_per_call(&self) -> u64 {
        C::RECORDS_PER_CALL
    }

    fn prepare(&mut self) {
        self.before();
    }

    fn finish(&mut self) {
        self.after();
    }

    fn bytes(&self) -> Option<u64> {
        self.bytes_written()
    }

    #[inline(never)]
    fn run(&mut self, calls: u64) {
        for number in 0..calls {
            self.call(opaque(number), || {});
        }
    }

    #[inline(never)]
    fn run_around(&mut self, calls: u64, work: &mut Work) {
        for number in 0..calls {
            self.call(opaque(number), || work.step());
        }
    }

    #[inline(never)]
    fn sample(&mut self, ticks: &mut [u32]) {
        for (number, ticks) in (0..).zip(ticks) {
            let start = counter();
            self.call(opaque(number), || {});
            *ticks = (counter() - start).min(u64::from(u32::MAX)) as u32;
        }
    }
}

/// Hides from the compiler where `value` comes from and what memory holds, at the cost of no instruction: each call of
/// a loop then loads what it needs anew, as calls do that stand far apart in a program.
#[inline(always)]
pub fn opaque(value: u64) -> u64 {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    {
        let mut hidden = value;
        // SAFETY: a comment; nothing is executed.
        unsafe {
            core::arch::asm!("/* {} */", inout(reg) hidden, options(nostack, preserves_flags));
        }
        hidden
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        core::hint::black_box(value)
    }
}
