//! Instruction counts: by the processor where the kernel lends its counters, else by callgrind, which executes the
//! program on a processor of its own making and counts exactly.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::FromRawFd;
use std::path::Path;

/// Instructions of the calling thread in user mode, counted by the processor.
#[derive(Debug)]
pub struct Counter {
    file: File,
}

/// The first version of `perf_event_attr`, which every kernel takes.
#[repr(C)]
#[derive(Debug, Default)]
struct PerfEventAttr {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    breakpoint_type: u32,
    config1: u64,
}
const _: () = assert!(size_of::<PerfEventAttr>() == 64);

/// `PERF_TYPE_HARDWARE`.
const HARDWARE: u32 = 0;
/// `PERF_COUNT_HW_INSTRUCTIONS`.
const INSTRUCTIONS: u64 = 1;
/// `exclude_kernel` and `exclude_hv`.
const USER_ONLY: u64 = 1 << 5 | 1 << 6;

impl Counter {
    /// Begins to count.
    ///
    /// # Errors
    ///
    /// ENOENT and EOPNOTSUPP where the processor's counters are hidden (as in most virtual machines), EACCES and EPERM
    /// where this user may not have them.
    pub fn open() -> io::Result<Counter> {
        let attr = PerfEventAttr {
            kind: HARDWARE,
            size: size_of::<PerfEventAttr>() as u32,
            config: INSTRUCTIONS,
            flags: USER_ONLY,
            ..PerfEventAttr::default()
        };
        // SAFETY: the structure is live and says its size; the descriptor is owned by the File alone.
        unsafe {
            let fd = libc::syscall(libc::SYS_perf_event_open, &attr, 0, -1, -1, 0);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(Counter {
                file: File::from_raw_fd(fd as i32),
            })
        }
    }

    /// Instructions so far.
    pub fn read(&self) -> Option<u64> {
        let mut bytes = [0; 8];
        (&self.file).read_exact(&mut bytes).ok()?;
        Some(u64::from_ne_bytes(bytes))
    }
}

/// Tells callgrind to write what it counted since the last time, in all threads, under a name without NUL bytes.
/// Outside valgrind this does nothing.
pub fn callgrind_dump(name: &str) {
    let mut text = name.as_bytes().to_vec();
    text.push(0);
    client_request(CALLGRIND_DUMP_STATS_AT, text.as_ptr().addr() as u64);
}

/// A request of `callgrind.h`.
const CALLGRIND_DUMP_STATS_AT: u64 = ((b'C' as u64) << 24 | (b'T' as u64) << 16) + 3;

/// A sequence of instructions that changes nothing, and that valgrind knows, see `valgrind.h`.
fn client_request(request: u64, argument: u64) {
    let arguments = [request, argument, 0, 0, 0, 0];
    #[cfg(target_arch = "x86_64")]
    // SAFETY: rotates a register by 128 bits in all and exchanges another with itself; valgrind reads the arguments,
    // which live, and the text they point to.
    unsafe {
        core::arch::asm!(
            "rol rdi, 3", "rol rdi, 13", "rol rdi, 61", "rol rdi, 51",
            "xchg rbx, rbx",
            in("rax") arguments.as_ptr(),
            inout("rdx") 0u64 => _,
            options(nostack),
        );
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        core::arch::asm!(
            "ror x12, x12, #3", "ror x12, x12, #13", "ror x12, x12, #51", "ror x12, x12, #61",
            "orr x10, x10, x10",
            in("x4") arguments.as_ptr(),
            inout("x3") 0u64 => _,
            options(nostack),
        );
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = arguments;
}

/// Reads callgrind's files in `dir`: by name of the dump, the instructions.
///
/// # Errors
///
/// What could not be read, where and why.
pub fn read_callgrind(dir: &Path) -> Result<Vec<(String, u64)>, String> {
    let failed = |error: io::Error| format!("read: {}: {error}", dir.display());
    let mut counts = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let text = fs::read_to_string(entry.map_err(failed)?.path()).map_err(failed)?;
        counts.extend(parse_callgrind(&text));
    }
    Ok(counts)
}

/// Name and instructions of one file, if a dump that was asked for is in it.
fn parse_callgrind(text: &str) -> Option<(String, u64)> {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let name = field("desc: Trigger: Client Request: ")?;
    let count = field("summary: ").or_else(|| field("totals: "))?;
    Some((name.to_string(), count.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::parse_callgrind;

    #[test]
    fn dumps_by_name() {
        let text = "version: 1\ndesc: Trigger: Client Request: span\n\nevents: Ir\nsummary: 4711\n";
        assert_eq!(parse_callgrind(text), Some(("span".to_string(), 4711)));
        assert_eq!(
            parse_callgrind("desc: Trigger: Program termination\nsummary: 1\n"),
            None
        );
    }
}
