//! Kernel launches: the host side as a span, the wait for it, and what the device did, tied together by a correlation id.

use core::marker::PhantomData;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use ringscope_ringbuf::block::{Arg, Args as BlockArgs, Block, Site as SiteBlock};
use ringscope_ringbuf::layout::{DURATION_MAX, DropCause, Kind, Record};
use ringscope_ringbuf::payload::ArgType;
use ringscope_ringbuf::reader::pack_duration;
use ringscope_ringbuf::ring::OpenSpan;
use ringscope_ringbuf::sync::next_unshared;

use crate::clock;
use crate::device::{ClockDomain, DeviceTask, Execution, Stream};
use crate::name_table::{self, Name, Use};
use crate::payload::{NO_SLOT, Payload};
use crate::process::{self, Process};
use crate::record::word_at;
use crate::site::Site;
use crate::span::{close, start_not_shown};
use crate::thread::{self, ThreadRing};
use crate::track::Track;
use crate::value::Args;

/// Bits of a correlation id that count; the process id stands above them. Flow ids stay below 2^53.
const COUNT_BITS: u32 = 31;
const PID_BITS: u32 = 22;
/// A thread takes so many ids at once, as a power of two: threads that launch do not fight for one counter.
const BLOCK_BITS: u32 = 10;
/// Kernels of one place in the program that are found without a search.
const RECENT: usize = 64;
/// Stands for a number that was not given.
const NOT_GIVEN: u32 = u32::MAX;

static NEXT_BLOCK: AtomicU64 = AtomicU64::new(0);

/// What a launch makes the device do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum LaunchKind {
    /// Run a kernel.
    Kernel = 0,
    /// Copy from host to device.
    CopyToDevice = 1,
    /// Copy from device to host.
    CopyToHost = 2,
    /// Copy on a device, or between devices.
    CopyOnDevice = 3,
    /// Fill memory.
    Fill = 4,
}

impl LaunchKind {
    /// As traces call it, after CUPTI's names for copies.
    fn name(number: u32) -> &'static str {
        match number {
            1 => "memcpy HtoD",
            2 => "memcpy DtoH",
            3 => "memcpy DtoD",
            4 => "memset",
            _ => "kernel",
        }
    }
}

/// What all launches of a kernel of one shape on one stream have in common: written to the run once.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    numbers: [u32; SHAPE_NUMBERS],
}

const SHAPE_NUMBERS: usize = 6;
const SHAPE_LEN: usize = 4 * SHAPE_NUMBERS;
/// Keys of the numbers but the last, which is the kind.
const SHAPE_KEYS: [&[u8]; SHAPE_NUMBERS - 1] =
    [b"device", b"stream", b"rank", b"block_dim", b"thread_count"];

impl Shape {
    /// A kernel on stream 0 of device 0.
    pub const NEW: Shape = Shape {
        numbers: [0, 0, NOT_GIVEN, NOT_GIVEN, NOT_GIVEN, 0],
    };

    /// Number of the device.
    #[inline(always)]
    pub fn device(self, device: impl TryInto<u32>) -> Shape {
        self.with(0, device)
    }

    /// Number of the stream on the device.
    #[inline(always)]
    pub fn stream(self, stream: impl TryInto<u32>) -> Shape {
        self.with(1, stream)
    }

    /// Rank that the launch belongs to.
    #[inline(always)]
    pub fn rank(self, rank: impl TryInto<u32>) -> Shape {
        self.with(2, rank)
    }

    /// Blocks of the kernel.
    #[inline(always)]
    pub fn block_dim(self, blocks: impl TryInto<u32>) -> Shape {
        self.with(3, blocks)
    }

    /// Threads of the kernel.
    #[inline(always)]
    pub fn thread_count(self, threads: impl TryInto<u32>) -> Shape {
        self.with(4, threads)
    }

    #[inline(always)]
    fn with(mut self, at: usize, number: impl TryInto<u32>) -> Shape {
        // What is no such number is none.
        self.numbers[at] = number.try_into().unwrap_or(NOT_GIVEN);
        self
    }

    /// What the device does.
    #[inline(always)]
    pub fn kind(mut self, kind: LaunchKind) -> Shape {
        self.numbers[5] = kind as u32;
        self
    }

    fn where_it_runs(self) -> Stream {
        Stream::new(self.numbers[0], self.numbers[1])
    }

    /// Two numbers a word: bytes that are stored one width and read back another stall the processor.
    #[inline(always)]
    fn words(self) -> [u64; SHAPE_NUMBERS / 2] {
        let [a, b, c, d, e, f] = self.numbers.map(u64::from);
        [a | b << 32, c | d << 32, e | f << 32]
    }
}

/// True when a kernel's text is that of this shape and name.
#[inline(always)]
fn is_kernel(text: &[u8], shape: [u64; SHAPE_NUMBERS / 2], name: &[u8]) -> bool {
    let Some((words, rest)) = text.split_first_chunk::<SHAPE_LEN>() else {
        return false;
    };
    let (words, _) = words.as_chunks::<8>();
    let words = words.iter().map(|bytes| u64::from_le_bytes(*bytes));
    // Word by word: compared as an array, the shape would first go through memory.
    let difference = words.zip(shape).fold(0, |all, (a, b)| all | (a ^ b));
    difference == 0 && rest == name
}

/// A place in the program that launches; made by the macros.
#[doc(hidden)]
#[derive(Debug)]
pub struct LaunchSite {
    site: Site,
    recent: [AtomicPtr<Name>; RECENT],
}

impl LaunchSite {
    /// A place that has not launched yet.
    pub const fn new(site: Site) -> LaunchSite {
        LaunchSite {
            site,
            recent: [const { AtomicPtr::new(ptr::null_mut()) }; RECENT],
        }
    }

    /// The kernel of this shape; a `name` made at run time goes before that of the place. `None` past the cap on names.
    #[inline(always)]
    fn kernel<A: Args>(&'static self, name: &[u8], shape: Shape) -> Option<&'static Name> {
        let at = (shape.numbers[0] ^ shape.numbers[1]) as usize ^ name.as_ptr().addr() >> 3;
        let place = &self.recent[at % RECENT];
        // SAFETY: only `find_kernel` stores there, names that live for ever.
        if let Some(kernel) = unsafe { place.load(Ordering::Acquire).as_ref() }
            && is_kernel(kernel.text(), shape.words(), name)
            && kernel.signature() == A::SIGNATURE
        {
            return Some(kernel);
        }
        // Words of its own: those above need not stand in memory.
        self.find_kernel(place, name, shape.words(), (A::SIGNATURE, A::TYPES))
    }

    #[cold]
    #[inline(never)]
    fn find_kernel(
        &'static self,
        place: &AtomicPtr<Name>,
        name: &[u8],
        shape: [u64; SHAPE_NUMBERS / 2],
        (signature, types): (u32, &'static [ArgType]),
    ) -> Option<&'static Name> {
        let mut text = [0; SHAPE_LEN + MAX_KERNEL_NAME];
        let kept = ringscope_ringbuf::payload::floor_char_boundary(name, MAX_KERNEL_NAME);
        for (bytes, word) in text.chunks_exact_mut(8).zip(shape) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        text[SHAPE_LEN..SHAPE_LEN + kept].copy_from_slice(&name[..kept]);
        let what = Use::Kernel {
            site: &self.site,
            signature,
            types,
        };
        let found = name_table::find(what, &text[..SHAPE_LEN + kept]);
        match found {
            Some(kernel) => place.store(ptr::from_ref(kernel).cast_mut(), Ordering::Release),
            None => process::count(DropCause::NameCap),
        }
        found
    }
}

/// A kernel's name made at run time is cut to this many bytes.
const MAX_KERNEL_NAME: usize = 1_000;

/// Writes the site of a kernel to the process's file; false when that fails.
pub(crate) fn publish_kernel(
    process: &Process,
    (id, text): (u32, &[u8]),
    site: &Site,
    types: &[ArgType],
) -> bool {
    let (shape, name) = text.split_at(SHAPE_LEN);
    let numbers: [u64; SHAPE_NUMBERS] = core::array::from_fn(|at| {
        let bytes = shape[4 * at..4 * at + 4].try_into().unwrap_or_default();
        u64::from(u32::from_le_bytes(bytes))
    });
    let encoded = numbers.map(u64::to_le_bytes);
    let kind = LaunchKind::name(numbers[SHAPE_NUMBERS - 1] as u32);
    let mut kind_text = [0; 16];
    kind_text[..2].copy_from_slice(&(kind.len() as u16).to_le_bytes());
    kind_text[2..2 + kind.len()].copy_from_slice(kind.as_bytes());
    let mut constants = [Arg {
        key: b"kind",
        arg_type: ArgType::Str,
        value: &kind_text[..2 + kind.len()],
    }; SHAPE_NUMBERS];
    let mut count = 1;
    for ((key, number), bytes) in SHAPE_KEYS.iter().zip(numbers).zip(&encoded) {
        if number != u64::from(NOT_GIVEN) {
            constants[count] = Arg {
                key,
                arg_type: ArgType::U64,
                value: bytes,
            };
            count += 1;
        }
    }
    site.with_args(types, |args| {
        let block = site.block(id, BlockArgs::List(args));
        process.append(&Block::Site(SiteBlock {
            name: if name.is_empty() { block.name } else { name },
            run_time: !name.is_empty(),
            constants: BlockArgs::List(&constants[..count]),
            ..block
        }))
    })
}

/// Correlation ids that a thread has to give.
#[derive(Debug)]
pub(crate) struct Correlations {
    /// The first id of the block in the upper half, how many of the block were taken in the lower.
    block_and_taken: AtomicU64,
    /// The process id's part of the ids.
    pid: u64,
}

impl Correlations {
    /// For a thread of this process, which takes its first block when it launches.
    pub(crate) fn new(pid: u32) -> Correlations {
        Correlations {
            block_and_taken: AtomicU64::new(1 << BLOCK_BITS),
            pid: (u64::from(pid) & ((1 << PID_BITS) - 1)) << COUNT_BITS,
        }
    }

    /// An id that no other launch of the run has, as long as process ids are not used again. To be called on the thread
    /// alone.
    #[inline(always)]
    fn take(&self) -> u64 {
        let block_and_taken = next_unshared(&self.block_and_taken);
        let taken = block_and_taken & u64::from(u32::MAX);
        if taken >= 1 << BLOCK_BITS {
            return self.take_block();
        }
        self.pid | ((block_and_taken >> 32) + taken)
    }

    /// The first id of a new block. A handler that comes in between takes a block of its own; what is left of one of the
    /// two is then never given.
    #[cold]
    #[inline(never)]
    fn take_block(&self) -> u64 {
        let number = NEXT_BLOCK.fetch_add(1, Ordering::Relaxed);
        let block = (number << BLOCK_BITS) & ((1 << COUNT_BITS) - 1);
        self.block_and_taken
            .store(block << 32 | 1, Ordering::Relaxed);
        self.pid | block
    }
}

/// A correlation id that was given; one that is no such number is as none.
#[doc(hidden)]
#[inline(always)]
pub fn correlation(given: impl TryInto<u64>) -> u64 {
    given.try_into().unwrap_or(0)
}

/// A launch as other threads may know it: what the wait for it and its execution are recorded with.
#[derive(Clone, Copy, Debug)]
pub struct LaunchTicket {
    /// `None` while nothing is recorded.
    site: Option<&'static LaunchSite>,
    /// `None` past the cap on names too.
    kernel: Option<&'static Name>,
    stream: Stream,
    correlation: u64,
}

impl LaunchTicket {
    const DISABLED: LaunchTicket = LaunchTicket {
        site: None,
        kernel: None,
        stream: Stream::new(0, 0),
        correlation: 0,
    };

    /// The id that ties launch, wait and execution together.
    pub fn correlation(&self) -> u64 {
        self.correlation
    }

    /// Id of the launch's site in `process`.
    #[inline(always)]
    fn site_id(&self, process: &Process) -> Option<u32> {
        match self.kernel {
            Some(kernel) => Some(kernel.id_in(process)),
            None => Some(self.site?.site.any_id()),
        }
    }

    fn execution(&self, clock: ClockDomain, process: &Process) -> Option<Execution> {
        let lane = self.stream.lane_in(clock, process)?;
        if let Some(kernel) = self.kernel {
            kernel.keep_lane(clock.id(), process.generation, lane);
        }
        Some(Execution {
            site: self.site_id(process)?,
            correlation: self.correlation,
            lane,
        })
    }

    /// Begins the span of a wait for the launch.
    #[inline]
    pub fn wait(&self) -> Wait {
        let inside = match thread::current() {
            Some(ring) if self.site.is_some() => {
                let site = self.site_id(ring.process).unwrap_or(0);
                HostSide::begin(ring, (Kind::Wait, site, 0), &(), self.correlation)
            }
            _ => HostSide::DISABLED,
        };
        Wait { _inside: inside }
    }

    /// Records when the device ran it, in ticks of the device's clock. Unknown times are not to be recorded.
    #[inline(always)]
    pub fn device_span(&self, start_ticks: u64, end_ticks: u64, clock: ClockDomain) {
        if self.site.is_none() {
            return;
        }
        let ticks = (start_ticks, end_ticks);
        // The ticket is passed word by word: one whose address is taken would have to stand in memory.
        if let Some(ring) = thread::existing()
            && let Some((site, lane)) = self.kept_lane(clock, ring)
        {
            return ring.put_device_span(site, lane, self.correlation, ticks);
        }
        let place = (self.site, self.kernel);
        first_device_span(place, self.stream, self.correlation, ticks, clock);
    }

    /// Records the tasks that the device ran for it; how many places were empty (their start is 0), which is counted.
    pub fn device_tasks(&self, tasks: &[DeviceTask], clock: ClockDomain) -> usize {
        let Some(ring) = self.ring() else {
            return 0;
        };
        let execution = match self.kept_lane(clock, ring) {
            Some((site, lane)) => Some(Execution {
                site,
                correlation: self.correlation,
                lane,
            }),
            None => self.execution(clock, ring.process),
        };
        execution.map_or(0, |execution| ring.put_device_tasks(execution, tasks))
    }

    /// Site and lane of an execution, where an earlier one of the kernel was recorded in this process with the same clock.
    #[inline(always)]
    fn kept_lane(&self, clock: ClockDomain, ring: &ThreadRing) -> Option<(u32, u16)> {
        self.kernel?.kept_lane(clock.id(), ring.writer.generation())
    }

    /// The calling thread's ring, for launches that are recorded.
    #[inline(always)]
    fn ring(&self) -> Option<&'static ThreadRing> {
        self.site.and_then(|_| thread::current())
    }
}

#[cold]
#[inline(never)]
fn first_device_span(
    (site, kernel): (Option<&'static LaunchSite>, Option<&'static Name>),
    stream: Stream,
    correlation: u64,
    ticks: (u64, u64),
    clock: ClockDomain,
) {
    let ticket = LaunchTicket {
        site,
        kernel,
        stream,
        correlation,
    };
    if let Some(ring) = ticket.ring()
        && let Some(execution) = ticket.execution(clock, ring.process)
    {
        ring.put_device_span(execution.site, execution.lane, correlation, ticks);
    }
}

/// A launch that has begun; what the host does until the guard is dropped is its enqueue. Made by
/// [`launch!`](crate::launch!).
#[must_use = "the enqueue ends when the guard is dropped: bind it"]
#[derive(Debug)]
pub struct Launch {
    ticket: LaunchTicket,
    _inside: HostSide,
}

impl core::ops::Deref for Launch {
    type Target = LaunchTicket;

    fn deref(&self) -> &LaunchTicket {
        &self.ticket
    }
}

impl Launch {
    /// A guard that records nothing.
    #[doc(hidden)]
    #[inline(always)]
    pub fn disabled() -> Launch {
        Launch {
            ticket: LaunchTicket::DISABLED,
            _inside: HostSide::DISABLED,
        }
    }

    /// Begins a launch; `name` is empty where the place has one, `correlation` 0 where none was given.
    #[doc(hidden)]
    #[inline(always)]
    pub fn enter<A: Args>(
        site: &'static LaunchSite,
        name: &[u8],
        (shape, correlation): (Shape, u64),
        args: &A,
        track: Track,
    ) -> Launch {
        let Some(ring) = thread::current() else {
            return Launch::disabled();
        };
        let kernel = site.kernel::<A>(name, shape);
        let id = match kernel {
            Some(kernel) => match kernel.number_in(ring.writer.generation()) {
                Some(id) => id,
                None => kernel.id_in(ring.process),
            },
            None => site.site.id::<A>(ring.process),
        };
        let correlation = match correlation {
            0 => ring.correlations.take(),
            given => given,
        };
        let lane = track.lane_in(ring.process);
        Launch {
            ticket: LaunchTicket {
                site: Some(site),
                kernel,
                stream: shape.where_it_runs(),
                correlation,
            },
            _inside: HostSide::begin(ring, (Kind::Launch, id, lane), args, correlation),
        }
    }

    /// Ends the enqueue; the wait and the execution are recorded by what this gives.
    #[inline(always)]
    pub fn end(self) -> LaunchTicket {
        self.ticket
    }
}

/// A wait for a launch; it is recorded when the guard is dropped. Made by [`LaunchTicket::wait`].
#[must_use = "the wait ends when the guard is dropped: bind it"]
#[derive(Debug)]
pub struct Wait {
    _inside: HostSide,
}

/// The host's side of a launch, from its beginning to its end: a span whose w2 is the correlation id. Its end takes it word
/// by word: one whose address is taken would have to stand in memory, and be copied there when its guard is moved.
#[derive(Debug)]
struct HostSide {
    /// Null when nothing is recorded.
    ring: *const ThreadRing,
    start: u64,
    correlation: u64,
    /// Site id, and launch or wait: [`Record::site_and_kind`].
    site_and_kind: u64,
    shown: Shown,
    payload: Payload,
    /// May not change threads: its ring has one writer.
    _thread_bound: PhantomData<*const ()>,
}

/// Where a host's side is shown.
#[derive(Clone, Copy, Debug)]
struct Shown {
    open_slot: u32,
    lane: u16,
}

impl HostSide {
    const DISABLED: HostSide = HostSide {
        ring: ptr::null(),
        start: 0,
        correlation: 0,
        site_and_kind: 0,
        shown: Shown {
            open_slot: NO_SLOT,
            lane: 0,
        },
        payload: Payload::empty(),
        _thread_bound: PhantomData,
    };

    #[inline(always)]
    fn begin<A: Args>(
        ring: &'static ThreadRing,
        (kind, site, lane): (Kind, u32, u16),
        args: &A,
        correlation: u64,
    ) -> HostSide {
        let open_slot = ring.writer.take_open_slot(site).unwrap_or(NO_SLOT);
        let payload = Payload::of(args, own_words(ring, open_slot), Some(ring));
        let site_and_kind = Record::site_and_kind(site, kind);
        let start = match open_slot {
            NO_SLOT => start_not_shown(),
            slot => {
                show_payload(ring, slot, payload);
                let shown = OpenSpan {
                    site_and_kind,
                    w2: correlation,
                    lane,
                    payload_len: payload.len(),
                };
                ring.writer.open(slot, shown, clock::ticks)
            }
        };
        HostSide {
            ring,
            start,
            correlation,
            site_and_kind,
            shown: Shown { open_slot, lane },
            payload,
            _thread_bound: PhantomData,
        }
    }
}

impl Drop for HostSide {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: null, or a ring, which lives for ever.
        let Some(ring) = (unsafe { self.ring.as_ref() }) else {
            return;
        };
        let words = (self.start, self.correlation);
        if self.payload.len() == 0 {
            end(ring, self.site_and_kind, self.shown, words);
        } else {
            end_with_payload(ring, self.site_and_kind, self.shown, words, self.payload);
        }
    }
}

/// Writes a payload to the place of an open slot, as far as it is not there yet.
#[inline(always)]
fn show_payload(ring: &ThreadRing, slot: u32, payload: Payload) {
    if payload.len() == 0 {
        return;
    }
    let rest = payload.rest(own_words(ring, slot), ring);
    let shown = if payload.is_long() { rest } else { &[] };
    let places = ring.writer.open_payload(slot);
    places[0].store(payload.word, Ordering::Relaxed);
    for (place, word) in places[1..].iter().zip(shown) {
        place.store(word.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

/// Records a host's side that ends now, without a payload. What is rare leaves by its last call, as in `Span::end`.
#[inline(never)]
fn end(ring: &ThreadRing, site_and_kind: u64, shown: Shown, (start, w2): (u64, u64)) {
    let Some(end) = clock::counter_ticks() else {
        return end_by_system_clock(ring, site_and_kind, shown, (start, w2));
    };
    if !ring.is_ours() {
        return process::count_in_child(DropCause::InheritedGuard);
    }
    let w1 = pack_duration(duration(start, end), shown.lane);
    let sequence = ring.writer.reserve(1);
    if !ring.writer.has_room(sequence, 1) {
        let words = (start, w1);
        return end_without_room(ring, site_and_kind, shown.open_slot, words, (w2, sequence));
    }
    ring.writer
        .publish(sequence, [start, w1, w2], site_and_kind);
    close(ring, shown.open_slot);
}

#[inline(always)]
fn duration(start: u64, end: u64) -> u64 {
    end.saturating_sub(start).min(DURATION_MAX)
}

#[cold]
#[inline(never)]
fn end_by_system_clock(ring: &ThreadRing, site_and_kind: u64, shown: Shown, words: (u64, u64)) {
    end_with_payload(ring, site_and_kind, shown, words, Payload::empty());
}

#[cold]
#[inline(never)]
fn end_without_room(
    ring: &ThreadRing,
    site_and_kind: u64,
    slot: u32,
    (start, w1): (u64, u64),
    (w2, sequence): (u64, u64),
) {
    ring.put_without_room((start, w1), w2, site_and_kind, sequence);
    close(ring, slot);
}

#[inline(never)]
fn end_with_payload(
    ring: &ThreadRing,
    site_and_kind: u64,
    shown: Shown,
    (start, w2): (u64, u64),
    mut payload: Payload,
) {
    let end = clock::ticks();
    if !ring.is_ours() {
        return process::count_in_child(DropCause::InheritedGuard);
    }
    let rest = payload.rest(own_words(ring, shown.open_slot), ring);
    let all = |index: usize| match index.checked_sub(1) {
        None => payload.word,
        Some(index) => word_at(rest, index),
    };
    let w1 = pack_duration(duration(start, end), shown.lane);
    ring.put_packed([start, w1, w2], site_and_kind, payload.len(), all);
    close(ring, shown.open_slot);
    payload.release(ring);
}

/// Where a payload's words behind the first stand: in the open slot, behind the place of the first.
#[inline(always)]
fn own_words(ring: &ThreadRing, open_slot: u32) -> &[AtomicU64] {
    match open_slot {
        NO_SLOT => &[],
        slot => &ring.writer.open_payload(slot)[1..],
    }
}

/// The key of a number that only some launches have; looked up once.
#[cfg(feature = "c-abi")]
#[derive(Debug)]
pub struct DetailKey {
    text: &'static str,
    name: AtomicPtr<Name>,
}

#[cfg(feature = "c-abi")]
impl DetailKey {
    /// A key that was not used yet.
    pub const fn new(text: &'static str) -> DetailKey {
        DetailKey {
            text,
            name: AtomicPtr::new(ptr::null_mut()),
        }
    }

    fn name(&self) -> Option<&'static Name> {
        // SAFETY: only the line below stores here, names that live for ever.
        if let Some(name) = unsafe { self.name.load(Ordering::Acquire).as_ref() } {
            return Some(name);
        }
        let name = name_table::find(Use::Key, self.text.as_bytes())?;
        self.name
            .store(ptr::from_ref(name).cast_mut(), Ordering::Release);
        Some(name)
    }
}

/// Numbers that only some launches have, with their keys: the arguments of launches from other languages.
#[cfg(feature = "c-abi")]
#[derive(Debug)]
pub struct Details<'a>(pub &'a [(&'a DetailKey, u64)]);

#[cfg(feature = "c-abi")]
impl Args for Details<'_> {
    const TYPES: &'static [ArgType] = &[];
    const IS_WORD: bool = false;
    const WORD_LEN: u32 = 0;

    fn word(&self) -> u64 {
        0
    }

    fn put(&self, out: &mut crate::payload::Out<'_>) {
        for (key, number) in self.0 {
            match thread::current().zip(key.name()) {
                Some((ring, key)) => {
                    out.fixed(u64::from(key.id_in(ring.process)), 4);
                    out.fixed(ArgType::U64 as u64, 1);
                    out.fixed(*number, 8);
                }
                None => process::count(DropCause::NameCap),
            }
        }
    }
}

/// Begins a step of the program, `ProfilerStep#n` in traces; the guard ends it. Tables per step are made by these.
#[inline]
pub fn step(number: u64) -> crate::Span {
    let mut text = [0; 40];
    let mut cursor = std::io::Cursor::new(&mut text[..]);
    // 40 bytes take any number behind the word.
    let _ = std::io::Write::write_fmt(&mut cursor, format_args!("ProfilerStep#{number}"));
    let len = cursor.position() as usize;
    crate::span!(&text[..len], cat = "step")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn threads_never_give_the_same_correlation_id() {
        let pid = 4_242;
        let threads = [Correlations::new(pid), Correlations::new(pid)];
        let mut given = HashSet::new();
        for number in 0..5 << BLOCK_BITS {
            // One of them launches twice as often.
            let id = threads[usize::from(number % 3 == 0)].take();
            assert_eq!(id >> COUNT_BITS, u64::from(pid));
            assert!(given.insert(id), "{id} was given twice");
        }
    }
}
