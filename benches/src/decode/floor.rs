//! The floor formatter: what nothing that writes the same text can be much faster than. Records lie in memory, sorted;
//! names and ids are copied from prefixes, ticks are scaled by a multiplication, digits are written by `itoa`, all
//! through raw pointers without a check.

use std::io::{self, Write};

/// Records in memory: 2 MiB, which fit the processor's caches.
const RECORDS: usize = 1 << 16;
/// Bytes written at once.
const BUFFER: usize = 1 << 20;
/// Longest line.
const MAX_LINE: usize = 256;
/// 2.6 GHz, as a fraction of 2^32.
const NS_PER_TICK: u64 = 1_651_910_498;

const PREFIX: &[u8] = b",\n{\"name\":\"attention_layer\",\"cat\":\"worker\",\"ph\":\"X\",\"ts\":";
const DURATION: &[u8] = b",\"dur\":";
const IDS: &[u8] = b",\"pid\":123456,\"tid\":123457,\"args\":{\"layer\":";
const END: &[u8] = b"}}";

/// Formats so many events into `out`; the bytes written.
pub(crate) fn format(events: u64, out: &mut dyn Write) -> io::Result<u64> {
    let records: Vec<[u64; 4]> = (0..RECORDS as u64)
        .map(|at| [at * 150, 100 + at % 60, at % 1_000, at])
        .collect();
    let mut buffer = vec![0u8; BUFFER + MAX_LINE];
    let (mut written, mut at) = (0, 0);
    for event in 0..events {
        let record = &records[event as usize % RECORDS];
        let lap_ticks = (event / RECORDS as u64) * (RECORDS as u64 * 150);
        // SAFETY: a line takes less than MAX_LINE bytes, and the buffer has as many behind BUFFER.
        at += unsafe { line(buffer.as_mut_ptr().add(at), record, lap_ticks) };
        if at >= BUFFER {
            out.write_all(&buffer[..at])?;
            written += at as u64;
            at = 0;
        }
    }
    out.write_all(&buffer[..at])?;
    Ok(written + at as u64)
}

/// Writes a line to `out`; its length.
///
/// # Safety
///
/// [`MAX_LINE`] bytes from `out` on are the caller's.
#[inline(always)]
unsafe fn line(out: *mut u8, record: &[u64; 4], lap_ticks: u64) -> usize {
    let ns = |ticks: u64| ((u128::from(ticks) * u128::from(NS_PER_TICK)) >> 32) as u64;
    let start_ns = ns(record[0] + lap_ticks);
    let end_ns = ns(record[0] + lap_ticks + record[1]);
    // SAFETY: prefixes and numbers together are shorter than a line may be.
    unsafe {
        let mut at = put(out, PREFIX);
        at = put_us(at, start_ns);
        at = put(at, DURATION);
        at = put_us(at, end_ns - start_ns);
        at = put(at, IDS);
        at = put_u64(at, record[2]);
        at = put(at, END);
        at.offset_from_unsigned(out)
    }
}

/// # Safety
///
/// There is room for `bytes` at `out`.
#[inline(always)]
unsafe fn put(out: *mut u8, bytes: &[u8]) -> *mut u8 {
    // SAFETY: the caller has the room, and nothing overlaps a borrowed slice.
    unsafe {
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), out, bytes.len());
        out.add(bytes.len())
    }
}

/// # Safety
///
/// There is room for 20 digits at `out`.
#[inline(always)]
unsafe fn put_u64(out: *mut u8, number: u64) -> *mut u8 {
    let mut digits = itoa::Buffer::new();
    // SAFETY: as the caller says.
    unsafe { put(out, digits.format(number).as_bytes()) }
}

/// Microseconds with three decimals.
///
/// # Safety
///
/// There is room for 24 bytes at `out`.
#[inline(always)]
unsafe fn put_us(out: *mut u8, ns: u64) -> *mut u8 {
    let part = ns % 1_000;
    let digits = [part / 100, part / 10 % 10, part % 10].map(|digit| b'0' + digit as u8);
    // SAFETY: as the caller says.
    unsafe {
        let at = put_u64(out, ns / 1_000);
        put(at, &[b'.', digits[0], digits[1], digits[2]])
    }
}
