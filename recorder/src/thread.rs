//! A thread and its ring: found by one thread-local pointer, made at the thread's first record, given to the next
//! thread at its end.

use core::cell::Cell;
use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering};

use ringscope_ringbuf::block::{Block, PairSource};
use ringscope_ringbuf::file::{FileKind, file_start};
use ringscope_ringbuf::layout::{DropCause, OPEN_SLOT_LEN, RECORD_LEN, RingHeader};
use ringscope_ringbuf::map::MappedRing;
use ringscope_ringbuf::ring::Writer;
use ringscope_ringbuf::room::{MIN_RING_LOG2, affordable_log2, ring_file_len};
use ringscope_ringbuf::sys;

use crate::launch::Correlations;
use crate::long_value::LongValues;
use crate::pool::MAX_RINGS;
use crate::process::{self, Process};
use crate::spill::Spill;
use crate::undisturbed::{SignalsHeld, Undisturbed};
use crate::{arena, clock, level};

/// Brackets of the clock pair at a ring's creation.
const RING_BRACKETS: u32 = 16;

/// A ring and what its thread needs beside it. The writer first: C code reads its words inline.
#[repr(C)]
pub(crate) struct ThreadRing {
    pub(crate) writer: Writer,
    pub(crate) process: &'static Process,
    pub(crate) ring: MappedRing,
    pub(crate) index: u32,
    pub(crate) spill: Spill,
    pub(crate) long_values: LongValues,
    pub(crate) correlations: Correlations,
    tid: AtomicU32,
}

/// In [`RING`]: the thread's end has begun, it gets no ring any more.
const CLOSED: *const ThreadRing = ptr::without_provenance(1);

thread_local! {
    /// The thread's ring; null before its first record. Without a destructor, so that it can be read at any time.
    static RING: Cell<*const ThreadRing> = const { Cell::new(ptr::null()) };
    /// Generation in which the thread got no ring, to not try again at every record.
    static WITHOUT_RING: Cell<u64> = const { Cell::new(0) };
    /// Its destructor gives the ring back.
    static AT_END: AtEnd = const { AtEnd };
}

/// The thread's ring, made if it has none; `None` when it can't record, which is counted.
#[inline(always)]
pub(crate) fn current() -> Option<&'static ThreadRing> {
    match existing() {
        None => set_up(),
        ring => ring,
    }
}

/// The thread's ring if it has one.
#[inline(always)]
pub(crate) fn existing() -> Option<&'static ThreadRing> {
    let ring = RING.get();
    if ring.addr() <= CLOSED.addr() {
        return None;
    }
    // SAFETY: only `attach` stores such pointers, to rings that live for ever.
    let ring = unsafe { &*ring };
    ring.is_ours().then_some(ring)
}

#[cold]
#[inline(never)]
fn set_up() -> Option<&'static ThreadRing> {
    let _undisturbed = Undisturbed::begin();
    if RING.get() == CLOSED {
        process::count_in_child(DropCause::LateThread);
        return None;
    }
    let process = process::current()?;
    if WITHOUT_RING.get() == process.generation {
        process::count(DropCause::NoRing);
        return None;
    }
    // A thread whose destructors have run could never give the ring back.
    if AT_END.try_with(|_| ()).is_err() {
        process::count(DropCause::LateThread);
        return None;
    }
    let _held = SignalsHeld::begin();
    // A handler that came before the line above may have made the thread's ring.
    let ring = existing().or_else(|| attach(process));
    if ring.is_none() {
        WITHOUT_RING.set(process.generation);
        process::count(DropCause::NoRing);
    }
    ring
}

fn attach(process: &'static Process) -> Option<&'static ThreadRing> {
    let ring = process.pool.take().or_else(|| create(process))?;
    let tid = sys::thread_id();
    ring.tid.store(tid, Ordering::Relaxed);
    let kernel_name = sys::thread_name();
    let name = kernel_name.split(|b| *b == 0).next().unwrap_or_default();
    process.append(&Block::Owner {
        ring_index: ring.index,
        tid,
        first_sequence: ring.writer.next_sequence(),
        start_ticks: clock::ticks(),
        name: if tid == process.pid { b"main" } else { name },
    });
    RING.set(ring);
    Some(ring)
}

/// Makes a ring as large as wished, or as the space allows.
#[cold]
#[inline(never)]
fn create(process: &'static Process) -> Option<&'static ThreadRing> {
    let index = process.next_ring.fetch_add(1, Ordering::Relaxed);
    let wished_log2 = process.config.ring_log2();
    let outcome = map_ring(process, index, wished_log2);
    process.append(&Block::Ring {
        ring_index: index,
        capacity_log2: outcome.as_ref().map_or(0, |ring| ring.capacity_log2()),
        wished_log2,
        errno: outcome.as_ref().err().copied().unwrap_or(0),
    });
    tell_of_small_ring(process, &outcome, wished_log2);
    let ring = outcome.ok()?;
    process.append(&Block::ClockPair(clock::pair(
        clock::source(),
        PairSource::Ring,
        RING_BRACKETS,
    )));
    let (memory, log2) = (ring.memory(), ring.capacity_log2());
    // SAFETY: the ring is mapped for ever, with as many open slots as its header says, and this is its only writer:
    // threads hand it on through the pool.
    let writer =
        unsafe { Writer::new(memory, log2, process.config.open_slots, process.generation) };
    let spill = Spill::new(process, &writer);
    let ring = ThreadRing {
        writer,
        process,
        ring,
        index,
        spill,
        long_values: LongValues::new(),
        correlations: Correlations::new(process.pid),
        tid: AtomicU32::new(0),
    };
    arena::place(ring)
}

/// Says once a process, where a log is wished, that rings are smaller than wished or could not be made.
fn tell_of_small_ring(process: &Process, outcome: &Result<MappedRing, i32>, wished_log2: u32) {
    let kib = |log2: u32| (RECORD_LEN << log2) >> 10;
    let got_log2 = outcome.as_ref().map_or(0, MappedRing::capacity_log2);
    if !process.config.log
        || got_log2 >= wished_log2
        || process.told_of_small_ring.swap(true, Ordering::Relaxed)
    {
        return;
    }
    match outcome {
        Ok(_) => process::log(format_args!(
            "smaller rings: {}: {} KiB instead of {} KiB for lack of space",
            process.config.run,
            kib(got_log2),
            kib(wished_log2)
        )),
        Err(errno) => process::log(format_args!(
            "no ring: {}: {}",
            process.config.run,
            std::io::Error::from_raw_os_error(*errno)
        )),
    }
}

fn map_ring(process: &Process, index: u32, wished_log2: u32) -> Result<MappedRing, i32> {
    if index as usize >= MAX_RINGS {
        return Err(libc::EMFILE);
    }
    let path = process.path_of(FileKind::Ring, index);
    let open_slots = process.config.open_slots;
    let budget = process.budget.load(Ordering::Relaxed);
    let mut log2 = affordable_log2(budget, open_slots, wished_log2).ok_or(libc::ENOSPC)?;
    loop {
        match MappedRing::create(path.as_c_str(), &header(process, index, log2)) {
            Ok(ring) => {
                let bytes = ring_file_len(open_slots, log2);
                let left = |budget: u64| Some(budget.saturating_sub(bytes));
                // `left` always gives a value, so the update can't fail.
                let _ = process
                    .budget
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, left);
                return Ok(ring);
            }
            Err(libc::ENOSPC | libc::ENOMEM | libc::EDQUOT) if log2 > MIN_RING_LOG2 => log2 -= 1,
            Err(errno) => return Err(errno),
        }
    }
}

fn header(process: &Process, index: u32, capacity_log2: u32) -> RingHeader {
    RingHeader {
        start: file_start(process.nonce, process.pid, index, RECORD_LEN),
        capacity_log2: capacity_log2.into(),
        open_slot_count: (process.config.open_slots as u32).into(),
        open_slot_len: (OPEN_SLOT_LEN as u32).into(),
        mode: (process.config.mode as u32).into(),
        base_sequence: 0.into(),
        created_ticks: clock::ticks().into(),
        created_mono_ns: clock::monotonic_ns().into(),
        clock_source: (clock::source() as u32).into(),
        tid: sys::thread_id().into(),
        reserved: [0; 24],
    }
}

impl ThreadRing {
    /// False in a forked child: the ring is its parent's.
    #[inline(always)]
    pub(crate) fn is_ours(&self) -> bool {
        cfg!(ringscope_mutant = "no_generation") || self.writer.generation() == level::generation()
    }

    /// Id of the thread that has the ring.
    pub(crate) fn tid(&self) -> u32 {
        self.tid.load(Ordering::Relaxed)
    }

    /// Payload bytes of one record, at most: a quarter of the ring.
    pub(crate) fn max_payload(&self) -> usize {
        use ringscope_ringbuf::layout::{CONTINUATION_PAYLOAD, MAX_CONTINUATIONS};
        (self.writer.capacity() as usize / 4).min(MAX_CONTINUATIONS) * CONTINUATION_PAYLOAD
    }
}

/// Gives the thread's ring back when the thread ends.
struct AtEnd;

impl Drop for AtEnd {
    fn drop(&mut self) {
        let Some(ring) = existing() else {
            close_thread();
            return;
        };
        if ring.tid() == ring.process.pid {
            // The main thread ends with the process, whose exit handlers may still record.
            return;
        }
        close_thread();
        ring.process.append(&Block::ThreadEnd {
            ring_index: ring.index,
            tid: ring.tid(),
            end_sequence: ring.writer.next_sequence(),
            end_ticks: clock::ticks(),
        });
        // A ring with spans that never ended goes on showing them; another thread would overwrite that.
        if !ring.writer.has_open_spans() {
            ring.process.pool.give(ring);
        }
    }
}

/// The thread gets no ring any more.
fn close_thread() {
    RING.set(CLOSED);
    #[cfg(feature = "c-abi")]
    crate::c_abi::tell_thread_end();
}

/// Names the calling thread in traces; the default is the name the kernel has for it (15 bytes).
pub fn set_thread_name(name: &str) {
    if level::mask() == ringscope_ringbuf::layout::LEVEL_OFF {
        return;
    }
    if let Some(ring) = current() {
        let name = name.as_bytes();
        ring.process.append(&Block::ThreadName {
            tid: ring.tid(),
            ring_index: ring.index,
            name,
        });
    }
}

/// Makes the calling thread's ring now, so that its first record costs what every other one does.
pub fn prepare_thread() {
    if level::mask() != ringscope_ringbuf::layout::LEVEL_OFF {
        current();
    }
}
