//! Named tracks: lanes of their own, for what no thread stands for.

use ringscope_ringbuf::layout::{DropCause, LEVEL_OFF};

use crate::name_table::{self, Name, Use};
use crate::process::{self, Process};
use crate::{level, thread};

/// A lane of the time line beside those of the threads; spans go there by `track = …`.
#[derive(Clone, Copy, Default)]
pub struct Track(Option<&'static Name>);

impl Track {
    /// The lane of the calling thread.
    pub const THREAD: Track = Track(None);

    #[inline(always)]
    pub(crate) fn lane_in(self, process: &Process) -> u16 {
        match self.0 {
            None => 0,
            Some(name) => name.id_in(process) as u16,
        }
    }
}

impl core::fmt::Debug for Track {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(if self.0.is_some() {
            "Track(named)"
        } else {
            "Track(thread)"
        })
    }
}

/// The track of this name, one per name and process. While nothing is recorded, and beyond 65,535 names, it is the
/// calling thread's lane.
pub fn track(name: impl AsRef<[u8]>) -> Track {
    // The first look at the configuration may switch everything off. A thread that has no ring yet, since another one is
    // setting the process up, gets its track all the same.
    if level::mask() != LEVEL_OFF {
        thread::current();
    }
    if level::mask() == LEVEL_OFF {
        return Track::THREAD;
    }
    let name = name_table::find(Use::Track, name.as_ref());
    if name.is_none() {
        process::count(DropCause::LaneCap);
    }
    Track(name)
}
