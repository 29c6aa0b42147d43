//! Ranges that are started and ended by an id, on any thread: lines of their domain's track.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use ringscope::c_abi;
use ringscope_ringbuf::layout::DropCause;

use crate::domain::tried;
use crate::event::Event;
use crate::range::OpenRange;
use crate::thread_name;

/// Ranges of a process that may be open at once.
const PLACES: usize = 8192;
/// The id of a range that is not recorded: NVTX ends nothing by it.
pub(crate) const NO_ID: u64 = 0;

/// A range stands at the place of its id's last digits. A lock each, which are tried and never waited for: a child may be
/// forked while another thread holds one.
static STARTED: [Mutex<Option<(u64, OpenRange)>>; PLACES] = [const { Mutex::new(None) }; PLACES];
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

fn place(id: u64) -> &'static Mutex<Option<(u64, OpenRange)>> {
    &STARTED[(id % PLACES as u64) as usize]
}

/// Begins a range; its id.
pub(crate) fn start(event: &Event<'_>) -> u64 {
    thread_name::take();
    let Some(range) = OpenRange::begin(event, true) else {
        return NO_ID;
    };
    for _ in 0..PLACES {
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        if let Ok(mut place) = place(id).try_lock()
            && place.is_none()
        {
            *place = Some((id, range));
            return id;
        }
    }
    range.forget();
    c_abi::count(DropCause::NoRing);
    NO_ID
}

/// Ends the range of this id; an id that no open range has is passed over.
pub(crate) fn end(id: u64) {
    if id == NO_ID {
        return;
    }
    let end_ticks = c_abi::ticks();
    // Another thread may look for a free place here at this moment.
    let ended = tried(|| place(id).try_lock())
        .and_then(|mut place| place.take_if(|(started, _)| *started == id));
    if let Some((_, range)) = ended {
        range.end(end_ticks);
    }
}
