//! Words of a file that another process changes through a mapping meanwhile, read and written by system calls: whole.
//!
//! The kernel copies by `rep movsb`. Processors do that in chunks of 16 bytes and more, except when the destination begins
//! up to 63 bytes behind the source modulo 4096: then byte by byte, for fear of an overlap, and a word can be half an
//! old and half a new one (seen on AMD EPYC, Linux 6.18: up to every third read of a word that changes each 10 ns). From
//! a buffer at the same place in its page as the bytes have in the file, words of eight bytes came whole always.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

const PAGE_LEN: usize = 4096;

#[repr(C, align(4096))]
struct Page([u8; PAGE_LEN]);

/// Fills `out` from `offset` of a file; aligned words of eight bytes are each as they were at some moment.
///
/// # Errors
///
/// When the file ends before, or can't be read.
pub fn read_exact_at(file: &File, offset: u64, out: &mut [u8]) -> io::Result<()> {
    let mut page = Page([0; PAGE_LEN]);
    let mut at = offset;
    let mut rest = out;
    while !rest.is_empty() {
        let place = (at % PAGE_LEN as u64) as usize;
        let len = rest.len().min(PAGE_LEN - place);
        let there = &mut page.0[place..place + len];
        file.read_exact_at(there, at)?;
        let (now, later) = rest.split_at_mut(len);
        now.copy_from_slice(there);
        at += len as u64;
        rest = later;
    }
    Ok(())
}

/// Writes words to `offset` of a file, a multiple of eight, all in one page; who reads them through a mapping sees
/// each of them as it was or as it is.
///
/// # Errors
///
/// When they can't be written.
///
/// # Panics
///
/// When they do not fit in the rest of the page.
pub fn write_all_at(file: &File, offset: u64, words: &[u64]) -> io::Result<()> {
    let mut page = Page([0; PAGE_LEN]);
    let place = (offset % PAGE_LEN as u64) as usize;
    let there = &mut page.0[place..place + size_of_val(words)];
    for (bytes, word) in there.chunks_exact_mut(8).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    file.write_all_at(there, offset)
}
