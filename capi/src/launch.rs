//! Kernel launches, and what devices did.

use core::ffi::c_char;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr;

use ringscope::__private::{LEVEL_KERNEL, LaunchSite, Shape, Site};
use ringscope::c_abi::{DetailKey, Details};
use ringscope::{DeviceTask, LaunchKind, LaunchTicket, Track};

use crate::abi::{CLOCK_WORDS, LAUNCH_WORDS, LaunchInfo, TICKET_WORDS, WAIT_WORDS};
use crate::border::{bytes, without_panic};

/// A `T` as C code keeps it: words that only the library looks into.
#[repr(C)]
pub struct Words<T, const N: usize> {
    words: [MaybeUninit<u64>; N],
    of: PhantomData<T>,
}

/// `ringscope_launch`
pub type Launch = Words<ringscope::Launch, LAUNCH_WORDS>;
/// `ringscope_wait`
pub type Wait = Words<ringscope::Wait, WAIT_WORDS>;
/// `ringscope_ticket`
pub type Ticket = Words<LaunchTicket, TICKET_WORDS>;
/// `ringscope_clock`
pub type Clock = Words<ringscope::ClockDomain, CLOCK_WORDS>;

impl<T, const N: usize> Words<T, N> {
    const FITS: () = assert!(size_of::<T>() <= 8 * N && align_of::<T>() <= 8);

    fn new(value: T) -> Words<T, N> {
        const { Self::FITS };
        let mut words = [MaybeUninit::uninit(); N];
        // SAFETY: the words are as long as a `T` and as aligned.
        unsafe { words.as_mut_ptr().cast::<T>().write(value) };
        Words {
            words,
            of: PhantomData,
        }
    }

    /// Writes a value field by field: one that is copied as words is waited for where its fields were just stored.
    ///
    /// # Safety
    ///
    /// The words may be written.
    #[inline(always)]
    unsafe fn write(words: *mut Words<T, N>, value: T) {
        const { Self::FITS };
        // SAFETY: the words are as long as a `T` and as aligned; they may be written, says the caller.
        unsafe { words.cast::<T>().write(value) };
    }

    /// A copy of a value that stands in words, each of which is read as it was stored: a wider read would wait for the
    /// stores.
    fn copy(value: &T) -> Words<T, N>
    where
        T: Copy,
    {
        const { assert!(size_of::<T>() == 8 * N && align_of::<T>() == 8) };
        let first = ptr::from_ref(value).cast::<MaybeUninit<u64>>();
        // SAFETY: the value is as long and as aligned as the words.
        let word = |at: usize| unsafe { first.add(at).read_volatile() };
        Words {
            words: core::array::from_fn(word),
            of: PhantomData,
        }
    }

    /// # Safety
    ///
    /// The words hold a value; one that is not `Copy` is not used again.
    #[inline(always)]
    unsafe fn read(&self) -> T {
        // SAFETY: passed on to the caller.
        unsafe { ptr::read(self.words.as_ptr().cast()) }
    }
}

/// The ticket of a launch that was not recorded.
fn no_ticket() -> LaunchTicket {
    ringscope::Launch::disabled().end()
}

/// The place of all launches from C; their names are made at run time.
static PLACE: LaunchSite =
    LaunchSite::new(Site::new("(kernel)", "kernel", LEVEL_KERNEL, "", 0, &[]));

/// Stands for no step: there is a step 0.
const NO_STEP: u64 = u64::MAX;

/// Numbers that only some launches have.
static DETAILS: [DetailKey; 4] = [
    DetailKey::new("parent"),
    DetailKey::new("bytes"),
    DetailKey::new("batch"),
    DetailKey::new("step"),
];

/// Begins a launch.
///
/// # Safety
///
/// `launch` may be written; `info` points to a structure whose name is null or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringscope_launch_begin(launch: *mut Launch, info: *const LaunchInfo) {
    let begun = without_panic(false, || {
        // SAFETY: passed on to the caller.
        let info = unsafe { &*info };
        let is_wanted = ringscope::__private::enabled(LEVEL_KERNEL)
            && info.size_bytes == size_of::<LaunchInfo>() as u64;
        if is_wanted {
            // SAFETY: passed on to the caller.
            unsafe { begin(launch, info, bytes(info.name)) };
        }
        is_wanted
    });
    if !begun {
        // SAFETY: passed on to the caller.
        unsafe { Words::write(launch, ringscope::Launch::disabled()) };
    }
}

/// # Safety
///
/// `launch` may be written.
#[inline(always)]
unsafe fn begin(launch: *mut Launch, info: &LaunchInfo, name: &[u8]) {
    // SAFETY: both are read as what they are. One by one, as C code stored them a moment ago: a wider read waits for both
    // stores.
    let (device, stream) = unsafe {
        (
            (&raw const info.device).read_volatile(),
            (&raw const info.stream).read_volatile(),
        )
    };
    let mut shape = Shape::NEW
        .device(device)
        .stream(stream)
        .kind(kind(info.kind));
    // A rank may be 0, the others say by 0 that they were not given.
    if info.rank >= 0 {
        shape = shape.rank(info.rank);
    }
    if info.block_dim != 0 {
        shape = shape.block_dim(info.block_dim);
    }
    if info.thread_count != 0 {
        shape = shape.thread_count(info.thread_count);
    }
    let what = (shape, info.correlation);
    let has_details =
        info.parent_correlation | info.size_moved_bytes | info.batch != 0 || info.step != NO_STEP;
    // SAFETY: passed on to the caller.
    unsafe {
        if has_details {
            return begin_with_details(launch, info, name, what);
        }
        let begun = ringscope::Launch::enter(&PLACE, name, what, &(), Track::THREAD);
        Words::write(launch, begun);
    }
}

/// # Safety
///
/// As for [`begin`].
#[inline(never)]
unsafe fn begin_with_details(
    launch: *mut Launch,
    info: &LaunchInfo,
    name: &[u8],
    what: (Shape, u64),
) {
    let not_zero = |number: u64| Some(number).filter(|number| *number != 0);
    let numbers = [
        not_zero(info.parent_correlation),
        not_zero(info.size_moved_bytes),
        not_zero(info.batch),
        Some(info.step).filter(|step| *step != NO_STEP),
    ];
    let mut given = [(&DETAILS[0], 0); DETAILS.len()];
    let mut count = 0;
    for (key, number) in DETAILS.iter().zip(numbers) {
        if let Some(number) = number {
            given[count] = (key, number);
            count += 1;
        }
    }
    let details = Details(&given[..count]);
    let begun = ringscope::Launch::enter(&PLACE, name, what, &details, Track::THREAD);
    // SAFETY: passed on to the caller.
    unsafe { Words::write(launch, begun) };
}

fn kind(number: u32) -> LaunchKind {
    match number {
        1 => LaunchKind::CopyToDevice,
        2 => LaunchKind::CopyToHost,
        3 => LaunchKind::CopyOnDevice,
        4 => LaunchKind::Fill,
        _ => LaunchKind::Kernel,
    }
}

/// Ends the enqueue.
///
/// # Safety
///
/// `launch` was begun on this thread and has not ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringscope_launch_end(launch: *mut Launch) -> Ticket {
    // SAFETY: passed on to the caller: the words hold a launch.
    let ticket = Words::copy(unsafe { &**launch.cast::<ringscope::Launch>() });
    // SAFETY: passed on to the caller; what is read is not used again.
    without_panic((), || unsafe { drop((*launch).read()) });
    ticket
}

/// The id that ties launch, wait and execution together.
///
/// # Safety
///
/// `ticket` points to what [`ringscope_launch_end`] gave.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringscope_ticket_correlation(ticket: *const Ticket) -> u64 {
    // SAFETY: passed on to the caller.
    unsafe { (*ticket).read() }.correlation()
}

/// Begins a wait for a launch.
///
/// # Safety
///
/// `wait` may be written; `ticket` as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringscope_wait_begin(wait: *mut Wait, ticket: *const Ticket) {
    // SAFETY: passed on to the caller.
    let begun = without_panic(None, || unsafe { Some((*ticket).read().wait()) });
    let begun = begun.unwrap_or_else(|| no_ticket().wait());
    // SAFETY: passed on to the caller.
    unsafe { wait.write(Words::new(begun)) };
}

/// Ends a wait.
///
/// # Safety
///
/// `wait` was begun on this thread and has not ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringscope_wait_end(wait: *mut Wait) {
    // SAFETY: passed on to the caller; what is read is not used again.
    without_panic((), || unsafe { drop((*wait).read()) });
}

/// Records when the device ran a launch.
///
/// # Safety
///
/// `ticket` as above; `clock` came from [`ringscope_clock_domain`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringscope_device_span(
    ticket: *const Ticket,
    start_ticks: u64,
    end_ticks: u64,
    clock: Clock,
) {
    without_panic((), || {
        // SAFETY: passed on to the caller.
        let (ticket, clock) = unsafe { ((*ticket).read(), clock.read()) };
        ticket.device_span(start_ticks, end_ticks, clock);
    });
}

/// Records the tasks that the device ran for a launch; how many places were empty.
///
/// # Safety
///
/// As for [`ringscope_device_span`]; `tasks` points to `count` tasks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringscope_device_tasks(
    ticket: *const Ticket,
    tasks: *const DeviceTask,
    count: u64,
    clock: Clock,
) -> u64 {
    without_panic(0, || {
        if count == 0 {
            return 0;
        }
        // SAFETY: passed on to the caller.
        let (ticket, clock, tasks) = unsafe {
            let tasks = core::slice::from_raw_parts(tasks, count as usize);
            ((*ticket).read(), clock.read(), tasks)
        };
        ticket.device_tasks(tasks, clock) as u64
    })
}

/// The device clock of this number.
///
/// # Safety
///
/// `name` is null or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringscope_clock_domain(
    id: u32,
    frequency_hz: u64,
    name: *const c_char,
) -> Clock {
    // SAFETY: passed on to the caller.
    let name = String::from_utf8_lossy(unsafe { bytes(name) });
    Words::new(ringscope::clock_domain(id, frequency_hz, &name))
}

/// Ties a device's clock to the host's.
///
/// # Safety
///
/// `clock` came from [`ringscope_clock_domain`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringscope_clock_anchor(
    clock: Clock,
    host_before_ticks: u64,
    device_ticks: u64,
    host_after_ticks: u64,
) {
    without_panic((), || {
        // SAFETY: passed on to the caller.
        unsafe { clock.read() }.anchor(host_before_ticks, device_ticks, host_after_ticks);
    });
}

/// Ticks of the host's clock.
#[unsafe(no_mangle)]
pub extern "C" fn ringscope_ticks() -> u64 {
    without_panic(0, ringscope::ticks)
}
