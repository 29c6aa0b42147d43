//! Clocks: the raw counter that records carry, the system's clocks, and pairs that tie them together.

use core::fmt;

use crate::block::{ClockPair, PairSource};

/// Where ticks come from.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClockSource {
    /// x86-64 time stamp counter, where the kernel itself trusts it as its clock.
    Tsc = 1,
    /// aarch64 virtual counter.
    Cntvct = 2,
    /// CLOCK_MONOTONIC; one tick is one nanosecond.
    Monotonic = 3,
}

impl ClockSource {
    /// The source with this number.
    pub fn from_u32(number: u32) -> Option<ClockSource> {
        [
            ClockSource::Tsc,
            ClockSource::Cntvct,
            ClockSource::Monotonic,
        ]
        .into_iter()
        .find(|s| *s as u32 == number)
    }
}

impl fmt::Display for ClockSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ClockSource::Tsc => "tsc",
            ClockSource::Cntvct => "cntvct",
            ClockSource::Monotonic => "monotonic",
        })
    }
}

/// The best source of this machine: the processor's counter where it ticks evenly on all cores, else
/// CLOCK_MONOTONIC. Reads one small file; allocates nothing.
pub fn detect() -> ClockSource {
    #[cfg(target_arch = "x86_64")]
    {
        // The kernel takes the TSC as its own clock only while it holds it for invariant and synchronised; a
        // hypervisor's clock page (kvm-clock, hyperv) is built on the TSC, which then needs the CPU's own word.
        let mut name = [0u8; 32];
        let path = c"/sys/devices/system/clocksource/clocksource0/current_clocksource";
        let len = crate::sys::read_file(path, &mut name).unwrap_or(0);
        if name[..len].starts_with(b"tsc")
            || (name[..len].starts_with(b"kvm-clock") && counter_is_invariant())
        {
            return ClockSource::Tsc;
        }
        ClockSource::Monotonic
    }
    #[cfg(target_arch = "aarch64")]
    {
        ClockSource::Cntvct
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        ClockSource::Monotonic
    }
}

/// True when the processor itself says that its counter ticks at one rate, whatever its cores do.
pub fn counter_is_invariant() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::__cpuid;
        // Leaf 0x8000_0007, EDX bit 8 (Intel SDM vol. 3, "Invariant TSC"; AMD APM vol. 3).
        __cpuid(0x8000_0000).eax >= 0x8000_0007 && __cpuid(0x8000_0007).edx & 1 << 8 != 0
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        // The architecture fixes the rate of aarch64's counter; of others nothing is known.
        cfg!(target_arch = "aarch64")
    }
}

/// The counter's frequency as the hardware states it, 0 where it does not.
pub fn nominal_hz(source: ClockSource) -> u64 {
    match source {
        ClockSource::Monotonic => 1_000_000_000,
        #[cfg(target_arch = "aarch64")]
        ClockSource::Cntvct => {
            let hz: u64;
            // SAFETY: CNTFRQ_EL0 is readable from user space on Linux and has no side effects.
            unsafe { core::arch::asm!("mrs {}, cntfrq_el0", out(reg) hz, options(nomem, nostack)) };
            hz
        }
        _ => 0,
    }
}

/// Reads the counter. Not ordered against the loads and stores around it, as a span's own cost would double.
#[inline(always)]
pub fn ticks(source: ClockSource) -> u64 {
    match source {
        #[cfg(target_arch = "x86_64")]
        ClockSource::Tsc => counter(),
        #[cfg(target_arch = "aarch64")]
        ClockSource::Cntvct => counter(),
        _ => monotonic_ns(),
    }
}

/// The processor's counter, whether it can be trusted or not; see [`detect`].
#[inline(always)]
pub fn counter() -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: every x86-64 processor has the instruction; Linux leaves it enabled in user space.
        unsafe { core::arch::x86_64::_rdtsc() }
    }
    #[cfg(target_arch = "aarch64")]
    {
        let ticks: u64;
        // SAFETY: CNTVCT_EL0 is readable from user space on Linux and has no side effects.
        unsafe { core::arch::asm!("mrs {}, cntvct_el0", out(reg) ticks, options(nomem, nostack)) };
        ticks
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        monotonic_ns()
    }
}

fn clock_ns(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a live timespec; the clocks used exist on every Linux.
    unsafe { libc::clock_gettime(clock, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// CLOCK_MONOTONIC in ns.
pub fn monotonic_ns() -> u64 {
    clock_ns(libc::CLOCK_MONOTONIC)
}

/// CLOCK_REALTIME in ns since 1970.
pub fn realtime_ns() -> u64 {
    clock_ns(libc::CLOCK_REALTIME)
}

/// Takes a clock pair: the narrowest of `brackets` reads of CLOCK_MONOTONIC between two reads of the counter.
///
/// One bracket costs about 60 ns; 16 find one that no interrupt widened.
pub fn pair(source: ClockSource, purpose: PairSource, brackets: u32) -> ClockPair {
    let mut best = (u64::MAX, 0, 0);
    for _ in 0..brackets.max(1) {
        let before = ticks(source);
        let mono_ns = monotonic_ns();
        let after = ticks(source);
        let width = after.wrapping_sub(before);
        if width < best.0 {
            best = (width, before + width / 2, mono_ns);
        }
    }
    // What the bracket's width is in ns is not known before two pairs are; at 1 GHz or more, ticks overstate it.
    let width_ns = if source == ClockSource::Cntvct {
        best.0 * 1_000_000_000 / nominal_hz(source).max(1)
    } else {
        best.0
    };
    ClockPair {
        ticks: best.1,
        mono_ns: best.2,
        real_ns: realtime_ns().wrapping_sub(monotonic_ns().wrapping_sub(best.2)),
        uncertainty_ns: (width_ns / 2 + 1).min(u32::MAX as u64) as u32,
        source: purpose as u32,
    }
}
