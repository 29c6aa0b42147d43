//! The error type of this program: what failed, where, and why.

use std::fmt;

/// Something that ended the run, as one line `what: where: why`.
#[derive(Debug)]
pub(crate) struct Error {
    what: &'static str,
    place: String,
    why: String,
}

impl Error {
    /// Describes a failure: `what` was tried, in which `place`, and `why` it did not work.
    pub(crate) fn new(
        what: &'static str,
        place: impl fmt::Display,
        why: impl fmt::Display,
    ) -> Self {
        Self {
            what,
            place: place.to_string(),
            why: why.to_string(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.what, self.place, self.why)
    }
}

impl std::error::Error for Error {}
