//! What the C library needs beside the Rust API; no part of that API.

use core::mem::MaybeUninit;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use ringscope_ringbuf::layout::{DURATION_MAX, DropCause, Kind};
use ringscope_ringbuf::payload::{ArgType, payload_word};
use ringscope_ringbuf::ring::Writer;

pub use crate::launch::{DetailKey, Details};
use crate::long_value::LONG_WORDS;
use crate::name_table::{self, Name, Use};
use crate::record::Words;
use crate::site::Site;
use crate::thread::{self, ThreadRing};
use crate::value::signature;
use crate::{arena, clock, level, process};

/// The level word: a place is recorded when its level bit is set.
#[inline(always)]
pub fn level_word() -> &'static AtomicU64 {
    level::level_word()
}

/// The generation word: a ring of another generation is a parent's.
pub fn generation_word() -> &'static AtomicU64 {
    level::generation_word()
}

/// True when ticks are the processor's counter; known once the process is set up.
pub fn reads_counter() -> bool {
    process::recording().is_some() && clock::source() != clock::ClockSource::Monotonic
}

/// True when argument values are kept out of the files; known once the process is set up.
#[inline(always)]
pub fn keeps_values_out() -> bool {
    level::keeps_values_out()
}

/// Ticks of the process's clock, now.
#[inline(always)]
pub fn ticks() -> u64 {
    clock::ticks()
}

/// The level bits of a set of levels.
pub fn mask_of(level: crate::Level) -> u64 {
    level.0
}

/// Counts a loss, or a remark.
pub fn count(cause: DropCause) {
    process::count(cause);
}

/// Counts a guard that was inherited over a fork.
pub fn count_inherited() {
    process::count_in_child(DropCause::InheritedGuard);
}

/// Places `value` in memory that is never freed; `None` when the kernel has none.
pub fn place<T>(value: T) -> Option<&'static T> {
    arena::place(value)
}

/// Copies bytes to memory that is never freed.
pub fn copy(bytes: &[u8]) -> Option<&'static [u8]> {
    arena::copy(bytes)
}

/// What [`at_thread_end`] was given.
static THREAD_END: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// Calls `told` on each thread whose end has begun, once it gets no ring any more.
pub fn at_thread_end(told: fn()) {
    THREAD_END.store(told as *mut (), Ordering::Release);
}

pub(crate) fn tell_thread_end() {
    let told = THREAD_END.load(Ordering::Acquire);
    if !told.is_null() {
        // SAFETY: only `at_thread_end` stores here, functions of this type.
        unsafe { core::mem::transmute::<*mut (), fn()>(told)() };
    }
}

/// A place in the program, from texts and keys that live for ever, as it does itself. `None` without memory.
pub fn site(
    name: &'static str,
    category: &'static str,
    level_bit: u64,
    (file, line): (&'static str, u32),
    keys: &'static [&'static str],
) -> Option<&'static Site> {
    arena::place(Site::new(name, category, level_bit, file, line, keys))
}

/// The ring of a thread.
#[derive(Clone, Copy)]
pub struct Ring(pub(crate) &'static ThreadRing);

impl Ring {
    /// The calling thread's ring, made if it has none; `None` when it can't record, which is counted.
    #[inline(always)]
    pub fn current() -> Option<Ring> {
        thread::current().map(Ring)
    }

    /// The ring of a writer.
    ///
    /// # Safety
    ///
    /// `writer` came from [`Ring::writer`], in this process or before a fork of it.
    pub unsafe fn of_writer(writer: *const Writer) -> Ring {
        // SAFETY: a writer is the first field of its ring, which lives for ever.
        Ring(unsafe { &*writer.cast::<ThreadRing>() })
    }

    /// The writer.
    #[inline(always)]
    pub fn writer(self) -> &'static Writer {
        &self.0.writer
    }

    /// False in a forked child: the ring is its parent's.
    #[inline(always)]
    pub fn is_ours(self) -> bool {
        self.0.is_ours()
    }

    /// Makes room for a reservation; false when the record must not be written.
    pub fn make_room(self, sequence: u64, slot_count: u64) -> bool {
        self.0.make_room(sequence, slot_count)
    }

    /// Id of a place whose arguments have these types.
    pub fn site_id(self, site: &'static Site, types: &'static [ArgType]) -> u32 {
        site.id_of_types(types, self.0.process)
    }

    /// Id of a place under a name made at run time; the place's own past the cap on such names.
    pub fn named_id(self, site: &'static Site, name: &[u8], types: &'static [ArgType]) -> u32 {
        let what = Use::Site {
            site,
            signature: signature(types),
            types,
        };
        match name_table::find(what, name) {
            Some(name) => name.id_in(self.0.process),
            None => {
                process::count(DropCause::NameCap);
                self.site_id(site, types)
            }
        }
    }

    /// Id of the key of a late argument; `None` past the cap on names.
    pub fn key_id(self, key: &[u8]) -> Option<u32> {
        let key = name_table::find(Use::Key, key).map(|key| key.id_in(self.0.process));
        if key.is_none() {
            process::count(DropCause::NameCap);
        }
        key
    }

    /// The track of this name and its lane; `None` past the cap, which is counted.
    pub fn track(self, name: &[u8]) -> Option<(*const (), u16)> {
        let found = name_table::find(Use::Track, name);
        if found.is_none() {
            process::count(DropCause::LaneCap);
        }
        found.map(|track| {
            (
                ptr::from_ref(track).cast(),
                track.id_in(self.0.process) as u16,
            )
        })
    }

    /// Lane of a track, whose name the process's file holds when this returns.
    ///
    /// # Safety
    ///
    /// `track` came from [`Ring::track`], in this process or before a fork of it.
    pub unsafe fn lane(self, track: *const ()) -> u16 {
        // SAFETY: names live for ever.
        unsafe { &*track.cast::<Name>() }.id_in(self.0.process) as u16
    }

    /// Bytes of a long payload's buffer.
    pub fn long_len(self) -> usize {
        (8 * LONG_WORDS).min(self.0.max_payload())
    }

    /// A buffer for a long payload: its number, and its bytes up to what one record may hold.
    pub fn take_long(self) -> Option<(u32, &'static mut [MaybeUninit<u8>])> {
        let number = self.0.long_values.take()?;
        let words = self.0.long_values.words(number);
        let len = self.long_len().min(size_of_val(words));
        // SAFETY: words that are never unmapped and that nobody else has until `give_long`; atomics may be written
        // through a shared reference.
        Some((number, unsafe {
            core::slice::from_raw_parts_mut(words.as_ptr().cast_mut().cast(), len)
        }))
    }

    /// Gives a buffer back.
    pub fn give_long(self, number: u32) {
        self.0.long_values.give(number);
    }

    /// Records a span of more than 2^48 ticks; `payload` is all of its payload.
    pub fn record_day_long(self, site: u32, lane: u16, start: u64, duration: u64, payload: &[u8]) {
        let words = Words {
            kind: Kind::Span,
            site,
            lane,
            start,
            duration,
        };
        let word = |index: usize| payload_word(payload, index);
        self.0.put_day_long(words, payload.len(), word);
    }

    /// Records a span that is over, in ns of CLOCK_MONOTONIC, on the thread's lane; `payload` is all of its payload. A
    /// duration of more than 2^48 ns is cut.
    pub fn record_past(self, site: u32, start_ns: u64, duration_ns: u64, payload: &[u8]) {
        let words = Words {
            kind: Kind::SpanNs,
            site,
            lane: 0,
            start: start_ns,
            duration: duration_ns.min(DURATION_MAX),
        };
        let rest = payload.get(8..).unwrap_or_default();
        let next = |index: usize| payload_word(rest, index);
        self.0
            .put(words, payload_word(payload, 0), rest.len(), next);
    }
}
