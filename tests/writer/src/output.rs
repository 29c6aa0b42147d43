//! Lines for the test that started the program, written without allocation or lock, so that forked children and
//! signal handlers may say something too.

use std::fmt::Arguments;
use std::io::Write;

/// Writes one line of at most 255 bytes to standard output.
pub(crate) fn say(line: Arguments<'_>) {
    let mut buffer = [0u8; 256];
    let mut rest = &mut buffer[..255];
    // A line that does not fit is cut.
    let _ = rest.write_fmt(line);
    let len = 255 - rest.len();
    buffer[len] = b'\n';
    // SAFETY: writes from a live buffer; a closed standard output is no concern of ours.
    unsafe { libc::write(1, buffer.as_ptr().cast(), len + 1) };
}
