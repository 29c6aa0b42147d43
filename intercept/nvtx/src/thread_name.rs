//! Names of threads. A program may name a thread from another one: the named thread takes its name at its next range.

use std::cell::Cell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use ringscope_ringbuf::sys;

use crate::domain::tried;

/// Names that wait for their threads, at most: a program may name threads that never record.
const MAX_WAITING: usize = 4096;

static WAITING: Mutex<Vec<(u32, String)>> = Mutex::new(Vec::new());
/// How many names were given to other threads so far.
static GIVEN: AtomicU32 = AtomicU32::new(0);

thread_local! {
    /// What [`GIVEN`] was when this thread last looked for its name.
    static SEEN: Cell<u32> = const { Cell::new(0) };
}

/// Names the thread of this id.
pub(crate) fn give(tid: u32, name: &[u8]) {
    let name = String::from_utf8_lossy(name);
    if tid == sys::thread_id() {
        return ringscope::set_thread_name(&name);
    }
    let Some(mut waiting) = tried(|| WAITING.try_lock()) else {
        return;
    };
    waiting.retain(|(named, _)| *named != tid);
    if waiting.len() < MAX_WAITING {
        waiting.push((tid, name.into_owned()));
        GIVEN.fetch_add(1, Ordering::Release);
    }
}

/// Takes the name that another thread gave to this one.
#[inline]
pub(crate) fn take() {
    let given = GIVEN.load(Ordering::Acquire);
    if SEEN.get() != given {
        take_waiting(given);
    }
}

#[cold]
fn take_waiting(given: u32) {
    SEEN.set(given);
    let tid = sys::thread_id();
    let Some(mut waiting) = tried(|| WAITING.try_lock()) else {
        return;
    };
    if let Some(mine) = waiting.iter().position(|(named, _)| *named == tid) {
        let (_, name) = waiting.swap_remove(mine);
        drop(waiting);
        ringscope::set_thread_name(&name);
    }
}
