//! What lies beneath the layer: the functions that the loader gave, and what the layer asks of them for itself.

use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use crate::cl::{
    CommandQueue, DEVICE_NAME, DEVICE_VERSION, DeviceId, EVENT_COMMAND_EXECUTION_STATUS,
    EVENT_COMMAND_QUEUE, Event, GetDeviceAndHostTimer, GetInfo, KERNEL_FUNCTION_NAME, Kernel,
    OfHandle, QUEUE_DEVICE, QUEUE_PROPERTIES, QueueFlags, SUCCESS, Status, place,
};

/// Functions that the layer knows of; later versions of the table have more, which it passes on.
pub(crate) const PLACES: usize = place::GET_DEVICE_AND_HOST_TIMER + 1;
/// Bytes of a text that is asked for, at most.
const MAX_TEXT_LEN: usize = 1 << 16;

static FUNCTIONS: [AtomicPtr<c_void>; PLACES] = [const { AtomicPtr::new(ptr::null_mut()) }; PLACES];

/// Functions that the layer itself can't do without.
const NEEDED: [usize; 8] = [
    place::GET_DEVICE_INFO,
    place::GET_COMMAND_QUEUE_INFO,
    place::GET_KERNEL_INFO,
    place::GET_EVENT_INFO,
    place::RETAIN_EVENT,
    place::RELEASE_EVENT,
    place::GET_EVENT_PROFILING_INFO,
    place::FINISH,
];

/// Takes the functions of the table beneath; false when some of those are missing that the layer needs.
pub(crate) fn take(table: &[*mut c_void]) -> bool {
    for (place, function) in FUNCTIONS.iter().zip(table) {
        place.store(*function, Ordering::Release);
    }
    let is_there = |place: &usize| !FUNCTIONS[*place].load(Ordering::Acquire).is_null();
    NEEDED.iter().all(is_there)
}

/// The function beneath at a place.
///
/// # Safety
///
/// `F` is the type of the function at that place of OpenCL's table, and the table had one there.
#[inline]
pub(crate) unsafe fn function<F: Copy>(place: usize) -> F {
    const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
    let function = FUNCTIONS[place].load(Ordering::Acquire);
    // SAFETY: a function pointer of this type, as the caller knows.
    unsafe { core::mem::transmute_copy(&function) }
}

/// An answer of fixed size; `None` when the call fails.
fn info<H, T: Default>(place: usize, handle: H, what: u32) -> Option<T> {
    let mut answer = T::default();
    let into = (&raw mut answer).cast();
    // SAFETY: all places that this is called with have this type; the answer is a live number of the size that is told.
    let status = unsafe {
        let get: GetInfo<H> = function(place);
        get(handle, what, size_of::<T>(), into, ptr::null_mut())
    };
    (status == SUCCESS).then_some(answer)
}

/// An answer that is text, without the 0 at its end; `None` when the call fails.
fn text<H: Copy>(place: usize, handle: H, what: u32) -> Option<Vec<u8>> {
    let mut len = 0;
    // SAFETY: as in `info`; the length alone is asked for first.
    unsafe {
        let get: GetInfo<H> = function(place);
        if get(handle, what, 0, ptr::null_mut(), &mut len) != SUCCESS || len > MAX_TEXT_LEN {
            return None;
        }
        let mut text = vec![0_u8; len];
        if get(handle, what, len, text.as_mut_ptr().cast(), ptr::null_mut()) != SUCCESS {
            return None;
        }
        text.truncate(text.iter().position(|byte| *byte == 0).unwrap_or(len));
        Some(text)
    }
}

/// How far the command of an event is.
pub(crate) fn status(event: Event) -> Option<Status> {
    info(place::GET_EVENT_INFO, event, EVENT_COMMAND_EXECUTION_STATUS)
}

/// A time of the command of an event, in ns of its device's clock.
pub(crate) fn time_ns(event: Event, what: u32) -> Option<u64> {
    info(place::GET_EVENT_PROFILING_INFO, event, what)
}

/// The queue that the command of an event was put into.
pub(crate) fn queue_of(event: Event) -> Option<CommandQueue> {
    let queue = info(place::GET_EVENT_INFO, event, EVENT_COMMAND_QUEUE)?;
    Some(CommandQueue(queue)).filter(|queue| !queue.is_null())
}

/// The device of a queue.
pub(crate) fn device_of(queue: CommandQueue) -> Option<DeviceId> {
    info(place::GET_COMMAND_QUEUE_INFO, queue, QUEUE_DEVICE).map(DeviceId)
}

/// The flags that a queue has.
pub(crate) fn flags_of(queue: CommandQueue) -> Option<QueueFlags> {
    info(place::GET_COMMAND_QUEUE_INFO, queue, QUEUE_PROPERTIES)
}

/// The name of a kernel.
pub(crate) fn kernel_name(kernel: Kernel) -> Option<Vec<u8>> {
    text(place::GET_KERNEL_INFO, kernel, KERNEL_FUNCTION_NAME)
}

/// The name of a device.
pub(crate) fn device_name(device: DeviceId) -> Option<Vec<u8>> {
    text(place::GET_DEVICE_INFO, device, DEVICE_NAME)
}

/// The version of OpenCL that a device has, such as "OpenCL 3.0 PoCL".
pub(crate) fn device_version(device: DeviceId) -> Option<Vec<u8>> {
    text(place::GET_DEVICE_INFO, device, DEVICE_VERSION)
}

/// What the device's clock says, in ns; `None` where it can't be asked. The device is of OpenCL 2.1 or later.
pub(crate) fn device_clock_ns(device: DeviceId) -> Option<u64> {
    let place = place::GET_DEVICE_AND_HOST_TIMER;
    if FUNCTIONS[place].load(Ordering::Acquire).is_null() {
        return None;
    }
    let (mut device_ns, mut host_ns) = (0, 0);
    // SAFETY: the function is there and has this type; both places are live.
    let status = unsafe {
        let get: GetDeviceAndHostTimer = function(place);
        get(device, &mut device_ns, &mut host_ns)
    };
    (status == SUCCESS && device_ns > 0).then_some(device_ns)
}

/// Keeps an event; false when that fails.
pub(crate) fn retain(event: Event) -> bool {
    // SAFETY: the function has this type; the event was just made, or is kept.
    unsafe {
        let retain: OfHandle<Event> = function(place::RETAIN_EVENT);
        retain(event) == SUCCESS
    }
}

/// Gives up an event that was kept, or made for the layer.
pub(crate) fn release(event: Event) {
    // SAFETY: as above.
    unsafe {
        let release: OfHandle<Event> = function(place::RELEASE_EVENT);
        release(event);
    }
}
