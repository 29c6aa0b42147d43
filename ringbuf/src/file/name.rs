//! Names of the files of a run: what they hold, and whose they are.

use std::fmt;

/// Kind of a file of a run, as its name's ending says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FileKind {
    /// `PID-NONCE.process`
    Process,
    /// `PID-NONCE.lock`
    Lock,
    /// `PID-NONCE-INDEX.ring`
    Ring,
    /// `PID-NONCE-INDEX.drain`: segments written by the supervisor.
    Drain,
    /// `PID-NONCE-INDEX.spill`: segments written by the thread itself.
    Spill,
    /// `PID-NONCE-ERRNO.off`: an empty file; the process could not record, for the reason of that error number.
    Off,
}

impl FileKind {
    /// Ending of the file name.
    pub fn extension(self) -> &'static str {
        match self {
            FileKind::Process => "process",
            FileKind::Lock => "lock",
            FileKind::Ring => "ring",
            FileKind::Drain => "drain",
            FileKind::Spill => "spill",
            FileKind::Off => "off",
        }
    }

    fn has_index(self) -> bool {
        !matches!(self, FileKind::Process | FileKind::Lock)
    }
}

/// Name of a file of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileName {
    /// Process id as the process saw it.
    pub pid: u32,
    /// Nonce of the recorder.
    pub nonce: u64,
    /// Ring number, or error number of an [`FileKind::Off`] file; 0 where the name has none.
    pub index: u32,
    /// Kind.
    pub kind: FileKind,
}

impl FileName {
    /// Reads a file name; `None` for names of other programs, and for other spellings of a name than `Display`'s.
    pub fn parse(text: &str) -> Option<FileName> {
        let (stem, extension) = text.split_once('.')?;
        use FileKind::*;
        let kind = [Process, Lock, Ring, Drain, Spill, Off]
            .into_iter()
            .find(|k| k.extension() == extension)?;
        let mut parts = stem.split('-');
        let pid = parts.next()?.parse().ok()?;
        let nonce = parts.next().filter(|p| p.len() == 16)?;
        let index = match parts.next() {
            Some(index) if kind.has_index() => index.parse().ok()?,
            None if !kind.has_index() => 0,
            _ => return None,
        };
        let name = FileName {
            pid,
            nonce: u64::from_str_radix(nonce, 16).ok()?,
            index,
            kind,
        };
        (name.to_string() == text).then_some(name)
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:016x}", self.pid, self.nonce)?;
        if self.kind.has_index() {
            write!(f, "-{}", self.index)?;
        }
        write!(f, ".{}", self.kind.extension())
    }
}
