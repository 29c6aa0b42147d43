//! Names that are made at run time: span names, keys of late arguments, tracks. Found by hash, without locks, and
//! written to the process file before their first use in each process.

use core::fmt;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

use ringscope_ringbuf::block::{Arg, Args, Block, LaneKind, Site as SiteBlock, cut_name};
use ringscope_ringbuf::layout::DropCause;
use ringscope_ringbuf::payload::ArgType;

use crate::process::{self, Process};
use crate::site::{self, Site};
use crate::value::Args as _;
use crate::{arena, device, launch};

/// Names that a program may make, at most; the rest is recorded under the name of its place in the program.
const MAX_NAMES: u32 = 16_384;
const PLACES: usize = 32_768;

static TABLE: [AtomicPtr<Name>; PLACES] = [const { AtomicPtr::new(ptr::null_mut()) }; PLACES];
static COUNT: AtomicU32 = AtomicU32::new(0);
static NEXT_KEY: AtomicU32 = AtomicU32::new(1);
static NEXT_LANE: AtomicU32 = AtomicU32::new(1);

/// What a name is for.
#[derive(Clone, Copy)]
pub(crate) enum Use {
    /// A span or event at a place in the program, with arguments of these types.
    Site {
        site: &'static Site,
        signature: u32,
        types: &'static [ArgType],
    },
    /// The key of an argument.
    Key,
    /// A track.
    Track,
    /// A kernel of one shape that is launched at a place, with arguments of these types.
    Kernel {
        site: &'static Site,
        signature: u32,
        types: &'static [ArgType],
    },
    /// The clock of a device.
    ClockDomain,
    /// A stream of a device.
    Stream,
}

impl Use {
    /// Tells apart uses that may have the same text.
    fn salt(self) -> u64 {
        match self {
            Use::Site {
                site, signature, ..
            } => ptr::from_ref(site).addr() as u64 ^ u64::from(signature) << 32,
            Use::Key => 1,
            Use::Track => 2,
            Use::Kernel {
                site, signature, ..
            } => !(ptr::from_ref(site).addr() as u64 ^ u64::from(signature) << 32),
            Use::ClockDomain => 3,
            Use::Stream => 4,
        }
    }
}

/// A name; lives for ever.
pub(crate) struct Name {
    text: &'static [u8],
    what: Use,
    hash: u64,
    /// Site id, key id or lane.
    id: u32,
    /// Generation of the process whose file holds the name.
    published: AtomicU64,
    /// Of a kernel, the lane of its stream that this process's file holds, see [`Name::keep_lane`]; 0 when unknown.
    stream_lane: AtomicU64,
}

/// What stands beside a lane that is kept: its clock, and bits of the generation, since a thread that is still in the one
/// before may keep a lane late.
#[inline(always)]
fn kept_for(clock_id: u32, generation: u64) -> u64 {
    const IS_KEPT: u64 = 1 << 15;
    u64::from(clock_id) << 16 | IS_KEPT | (generation >> 1 & (IS_KEPT - 1))
}

/// Finds or makes a name; `None` past the cap, or without memory.
pub(crate) fn find(what: Use, text: &[u8]) -> Option<&'static Name> {
    let text = cut_name(text);
    let salt = what.salt();
    let hash = hash(text, salt);
    let mut at = hash as usize % PLACES;
    for _ in 0..PLACES {
        let seen = TABLE[at].load(Ordering::Acquire);
        // SAFETY: only `insert` stores here, pointers into the arena.
        match unsafe { seen.as_ref() } {
            Some(name) if name.hash == hash && name.text == text && name.what.salt() == salt => {
                return Some(name);
            }
            Some(_) => at = (at + 1) % PLACES,
            None => {
                let name = insert(&TABLE[at], what, text, hash)?;
                // Another thread may have put another name here: look at this place again.
                if name.hash == hash && name.text == text && name.what.salt() == salt {
                    return Some(name);
                }
            }
        }
    }
    None
}

/// Phases by the address of their name, one a place: comparing addresses is faster than hashing text.
static PHASES: [AtomicPtr<Phase>; PHASE_PLACES] =
    [const { AtomicPtr::new(ptr::null_mut()) }; PHASE_PLACES];
const PHASE_PLACES: usize = 1024;

/// A literal that names a phase of laps that began at one place in the program.
struct Phase {
    address: usize,
    len: usize,
    site: *const Site,
    id: u32,
    /// Generation of the process whose file holds the name.
    published: AtomicU64,
}

/// Where the phase that is called `text` stands, of laps that began at `site`.
#[inline(always)]
fn phase_place(site: &'static Site, text: &'static str) -> &'static AtomicPtr<Phase> {
    &PHASES[(text.as_ptr().addr() ^ ptr::from_ref(site).addr() >> 4) % PHASE_PLACES]
}

/// Id of the phase that is called `text`, of laps that began at `site`, if it is known in this generation.
#[inline(always)]
pub(crate) fn known_phase(site: &'static Site, text: &'static str, generation: u64) -> Option<u32> {
    // SAFETY: only `remember` stores there, pointers into the arena.
    let seen = unsafe { phase_place(site, text).load(Ordering::Acquire).as_ref() }?;
    let is_it = seen.address == text.as_ptr().addr()
        && seen.len == text.len()
        && ptr::eq(seen.site, site)
        && seen.published.load(Ordering::Acquire) == generation;
    is_it.then_some(seen.id)
}

/// Finds a phase by its name, and remembers the name's address where the place is free.
#[cold]
#[inline(never)]
pub(crate) fn find_phase(site: &'static Site, text: &'static str, process: &Process) -> u32 {
    let what = Use::Site {
        site,
        signature: <()>::SIGNATURE,
        types: &[],
    };
    let Some(name) = find(what, text.as_bytes()) else {
        return site.named_id::<()>(text.as_bytes(), process);
    };
    let id = name.id_in(process);
    let place = phase_place(site, text);
    // SAFETY: as in `known_phase`.
    match unsafe { place.load(Ordering::Acquire).as_ref() } {
        // A child goes on with its parent's phases once its own file holds their names.
        Some(seen) if seen.id == id => seen.published.store(process.generation, Ordering::Release),
        Some(_) => {}
        None => remember(place, site, text, id, process),
    }
    id
}

fn remember(
    place: &AtomicPtr<Phase>,
    site: &'static Site,
    text: &'static str,
    id: u32,
    process: &Process,
) {
    let phase = Phase {
        address: text.as_ptr().addr(),
        len: text.len(),
        site,
        id,
        published: AtomicU64::new(process.generation),
    };
    if let Some(phase) = arena::place(phase) {
        place.store(ptr::from_ref(phase).cast_mut(), Ordering::Release);
    }
}

/// A lane that nobody has yet; `None` when all numbers are taken.
pub(crate) fn new_lane() -> Option<u16> {
    let lane = u16::try_from(NEXT_LANE.fetch_add(1, Ordering::Relaxed)).ok();
    if lane.is_none() {
        NEXT_LANE.store(u32::from(u16::MAX) + 1, Ordering::Relaxed);
    }
    lane
}

/// Puts a new name into an empty place; the name that stands there afterwards.
#[cold]
fn insert(place: &AtomicPtr<Name>, what: Use, text: &[u8], hash: u64) -> Option<&'static Name> {
    if COUNT.load(Ordering::Relaxed) >= MAX_NAMES {
        return None;
    }
    let id = match what {
        Use::Site { .. } | Use::Kernel { .. } => site::new_id(),
        Use::Key => NEXT_KEY.fetch_add(1, Ordering::Relaxed),
        Use::Track | Use::Stream => u32::from(new_lane()?),
        Use::ClockDomain => 0,
    };
    let name = Name {
        text: arena::copy(text)?,
        what,
        hash,
        id,
        published: AtomicU64::new(0),
        stream_lane: AtomicU64::new(0),
    };
    let name = ptr::from_ref(arena::place(name)?).cast_mut();
    let there =
        match place.compare_exchange(ptr::null_mut(), name, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => {
                COUNT.fetch_add(1, Ordering::Relaxed);
                name
            }
            Err(other) => other,
        };
    // SAFETY: both point into the arena.
    unsafe { there.as_ref() }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({})", self.id)
    }
}

impl Name {
    /// Tells the types of a place's or kernel's arguments from others.
    #[inline(always)]
    pub(crate) fn signature(&self) -> u32 {
        match self.what {
            Use::Site { signature, .. } | Use::Kernel { signature, .. } => signature,
            Use::Key | Use::Track | Use::ClockDomain | Use::Stream => 0,
        }
    }

    /// The name itself, with what stands before it for some uses.
    #[inline(always)]
    pub(crate) fn text(&self) -> &'static [u8] {
        self.text
    }

    /// The id, whether or not a process's file holds the name.
    #[cfg(feature = "dynamic")]
    pub(crate) fn number(&self) -> u32 {
        self.id
    }

    /// The id, when the file of the process of this generation holds the name.
    #[inline(always)]
    pub(crate) fn number_in(&self, generation: u64) -> Option<u32> {
        (self.published.load(Ordering::Acquire) == generation).then_some(self.id)
    }

    /// Id of the name in `process`, whose file holds it when this returns.
    #[inline]
    pub(crate) fn id_in(&self, process: &Process) -> u32 {
        if self.published.load(Ordering::Acquire) != process.generation {
            self.publish(process);
        }
        self.id
    }

    /// Keeps the lane of a kernel's stream, timed by this clock, which the file of the process of this generation holds.
    pub(crate) fn keep_lane(&self, clock_id: u32, generation: u64, lane: u16) {
        let kept = kept_for(clock_id, generation) << 16 | u64::from(lane);
        self.stream_lane.store(kept, Ordering::Release);
    }

    /// Id and lane of a kernel, when the file of the process of this generation holds both.
    #[inline(always)]
    pub(crate) fn kept_lane(&self, clock_id: u32, generation: u64) -> Option<(u32, u16)> {
        let is_published = self.published.load(Ordering::Acquire) == generation;
        let kept = self.stream_lane.load(Ordering::Acquire);
        let is_kept = kept >> 16 == kept_for(clock_id, generation);
        (is_published && is_kept).then_some((self.id, kept as u16))
    }

    #[cold]
    #[inline(never)]
    fn publish(&self, process: &Process) {
        let written = match self.what {
            Use::Key => process.append(&Block::Key {
                id: self.id,
                key: self.text,
            }),
            Use::Track => process.append(&Block::Lane {
                lane: self.id as u16,
                kind: LaneKind::Track,
                generation: 0,
                start_ticks: 0,
                device: 0,
                stream: 0,
                clock_domain: 0,
                name: self.text,
            }),
            Use::Kernel { site, types, .. } => {
                launch::publish_kernel(process, (self.id, self.text), site, types)
            }
            Use::ClockDomain => process.append(&device::clock_block(self.text)),
            Use::Stream => {
                let mut name = [0; 24];
                process.append(&device::stream_block(self.id as u16, self.text, &mut name))
            }
            Use::Site { site, types, .. } => site.with_args(types, |args: &[Arg<'_>]| {
                process.append(&Block::Site(SiteBlock {
                    name: self.text,
                    run_time: true,
                    ..site.block(self.id, Args::List(args))
                }))
            }),
        };
        if !written {
            process::count(DropCause::UnknownSite);
        }
        // The lane that an ancestor kept is in its own file alone.
        self.stream_lane.store(0, Ordering::Relaxed);
        // Also after a failure: one try a process, or a full disk would cost a system call a record.
        self.published.store(process.generation, Ordering::Release);
    }
}

/// Multiply and fold, eight bytes at a time.
fn hash(text: &[u8], salt: u64) -> u64 {
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
    let mix = |hash: u64, word: u64| {
        let product = u128::from(hash ^ word) * u128::from(FACTOR);
        product as u64 ^ (product >> 64) as u64
    };
    let (words, tail) = text.as_chunks::<8>();
    let start = mix(FACTOR ^ text.len() as u64, salt);
    let hash = words
        .iter()
        .fold(start, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    let mut last = [0u8; 8];
    last[..tail.len()].copy_from_slice(tail);
    mix(hash, u64::from_le_bytes(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_is_kept_for_one_clock_and_generation() {
        let name = find(Use::Key, b"kept").expect("there is room");
        name.published.store(4, Ordering::Release);
        assert_eq!(name.kept_lane(7, 4), None);
        name.keep_lane(7, 2, 5);
        assert_eq!(
            name.kept_lane(7, 4),
            None,
            "kept late, by the generation before"
        );
        name.keep_lane(7, 4, 5);
        assert_eq!(name.kept_lane(8, 4), None);
        assert_eq!(name.kept_lane(7, 4), Some((name.id, 5)));
        name.published.store(6, Ordering::Release);
        assert_eq!(name.kept_lane(7, 6), None);
        assert_eq!(name.kept_lane(7, 4), None);
    }
}
