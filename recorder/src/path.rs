//! Paths built in place, so that a forked child needs no allocator.

use core::ffi::CStr;
use core::fmt::{self, Write};

const CAPACITY: usize = 1024;

/// A NUL-terminated path of at most 1,023 bytes. What does not fit is cut: opening it then fails.
#[derive(Clone, Copy)]
pub(crate) struct Path {
    bytes: [u8; CAPACITY],
    len: usize,
}

impl Path {
    pub(crate) const fn new() -> Path {
        Path {
            bytes: [0; CAPACITY],
            len: 0,
        }
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Path {
        let mut path = Path::new();
        path.push(bytes);
        path
    }

    /// The path with `/` and `name` behind it.
    pub(crate) fn join(&self, name: impl fmt::Display) -> Path {
        let mut path = *self;
        // Writing to a path can't fail.
        let _ = write!(path, "/{name}");
        path
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let room = CAPACITY - 1 - self.len;
        let kept = &bytes[..bytes.len().min(room)];
        self.bytes[self.len..self.len + kept.len()].copy_from_slice(kept);
        self.len += kept.len();
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    pub(crate) fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or(c"")
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Write for Path {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.as_bytes().utf8_chunks() {
            f.write_str(chunk.valid())?;
            if !chunk.invalid().is_empty() {
                f.write_char('\u{FFFD}')?;
            }
        }
        Ok(())
    }
}
