//! The functions that programs come through. Each calls the one beneath exactly once, with what the program gave (but for an event
//! where it wants none, and what a queue is made with), whatever happens to the record; no panic leaves one, and `errno` stays.

use core::ffi::{c_char, c_void};
use core::ptr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ringscope::LaunchKind::{CopyOnDevice, CopyToDevice, CopyToHost, Fill};

use crate::cl::{
    self, CommandQueue, Context, DeviceId, EVENT_REFERENCE_COUNT, Event, GetInfo, Kernel, MAP_READ,
    Mem, Notify, OUT_OF_HOST_MEMORY, OUT_OF_RESOURCES, OfHandle, PROFILING_INFO_NOT_AVAILABLE,
    Program, QUEUE_PROFILING, QUEUE_PROPERTIES, QUEUE_PROPERTIES_ARRAY, QueueFlags, QueueProperty,
    SUCCESS, Status, place,
};
use crate::command::{Begun, Made, Work};
use crate::layer::give;
use crate::queue::{Plan, Queue, plan, properties_len};
use crate::registry::{collect_all, registry};
use crate::target::{self, function};
use crate::wait::{self, Compiler, Events, Finish};

/// Dimensions of a kernel's work at most: OpenCL has three.
const MAX_DIMENSIONS: u32 = 3;
/// Events of one wait that are looked at, at most.
const MAX_EVENTS: u32 = 4_096;

/// Does work of the layer's own between a program and the implementation.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Option<T>) -> Option<T> {
    // SAFETY: the calling thread's own `errno`.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let before = unsafe { *errno };
    let done = catch_unwind(AssertUnwindSafe(work)).unwrap_or(None);
    // SAFETY: as above.
    unsafe { *errno = before };
    done
}

/// Calls what enqueues a command, with an event to it.
///
/// # Safety
///
/// `event` is null or may be written; `call` passes the event that it is given on to the function beneath, and gives its answer
/// and its status.
unsafe fn enqueue<R>(
    queue: CommandQueue,
    work: impl FnOnce() -> Work,
    (event, is_blocking): (*mut Event, bool),
    call: impl Fn(*mut Event) -> (R, Status),
) -> R {
    let Some(begun) = guarded(|| Begun::new(queue, work)) else {
        return call(event).0;
    };
    let mut own = Event::NULL;
    let is_shown = !event.is_null();
    let place = if is_shown { event } else { &raw mut own };
    let (mut answer, mut status) = call(place);
    if !is_shown && matches!(status, OUT_OF_RESOURCES | OUT_OF_HOST_MEMORY) {
        // It may have been the event that was one too many.
        // SAFETY: the layer's own.
        unsafe { place.write(Event::NULL) };
        (answer, status) = call(ptr::null_mut());
    }
    let made = Made {
        status,
        event: match status {
            // SAFETY: written by a call that succeeded, or the layer's own.
            SUCCESS => unsafe { place.read() },
            _ => Event::NULL,
        },
        is_shown,
        was_waited_for: is_blocking,
    };
    guarded(|| {
        begun.end(made);
        Some(())
    });
    answer
}

/// The numbers of some dimensions, multiplied.
///
/// # Safety
///
/// `sizes` is null or points to as many.
unsafe fn product(sizes: *const usize, dimensions: u32) -> Option<u64> {
    if sizes.is_null() {
        return None;
    }
    let count = dimensions.min(MAX_DIMENSIONS) as usize;
    // SAFETY: passed on to the caller.
    let sizes = unsafe { core::slice::from_raw_parts(sizes, count) };
    Some(
        sizes
            .iter()
            .fold(1, |all: u64, size| all.saturating_mul(*size as u64)),
    )
}

/// The bytes of a box.
///
/// # Safety
///
/// `region` is null or points to three numbers.
unsafe fn volume(region: *const usize) -> Option<u64> {
    // SAFETY: passed on to the caller.
    unsafe { product(region, MAX_DIMENSIONS) }
}

fn kernel(kernel: Kernel, work_items: u64, group_size: Option<u64>) -> Work {
    Work::Kernel {
        name: registry().kernel_name(kernel),
        work_items,
        group_size,
    }
}

fn transfer(name: &'static str, kind: ringscope::LaunchKind, bytes: Option<u64>) -> Work {
    Work::Transfer { name, kind, bytes }
}

/// Functions that enqueue a command and give a status: their arguments between the queue and the list of events to wait for, what they
/// do, and whether they return when it is done.
macro_rules! enqueues {
    ($($function:ident at $place:ident ($($argument:ident: $type:ty),*) $work:expr, $blocks:expr;)*) => {$(
        unsafe extern "C" fn $function(
            queue: CommandQueue,
            $($argument: $type,)*
            wait_count: u32,
            wait_list: *const Event,
            event: *mut Event,
        ) -> Status {
            type Beneath = unsafe extern "C" fn(
                CommandQueue, $($type,)* u32, *const Event, *mut Event,
            ) -> Status;
            // SAFETY: the function at this place has this type, and the program gave what OpenCL asks for.
            unsafe {
                enqueue(queue, || $work, (event, $blocks), |event| {
                    let beneath: Beneath = function(place::$place);
                    let status = beneath(queue, $($argument,)* wait_count, wait_list, event);
                    (status, status)
                })
            }
        }
    )*};
}

enqueues! {
    read_buffer at ENQUEUE_READ_BUFFER (buffer: Mem, blocks: u32, offset: usize, bytes: usize, to: *mut c_void)
        transfer("clEnqueueReadBuffer", CopyToHost, Some(bytes as u64)), blocks != 0;
    write_buffer at ENQUEUE_WRITE_BUFFER (buffer: Mem, blocks: u32, offset: usize, bytes: usize, from: *const c_void)
        transfer("clEnqueueWriteBuffer", CopyToDevice, Some(bytes as u64)), blocks != 0;
    copy_buffer at ENQUEUE_COPY_BUFFER (from: Mem, to: Mem, from_offset: usize, to_offset: usize, bytes: usize)
        transfer("clEnqueueCopyBuffer", CopyOnDevice, Some(bytes as u64)), false;
    read_image at ENQUEUE_READ_IMAGE (
        image: Mem, blocks: u32, origin: *const usize, region: *const usize, row: usize, slice: usize, to: *mut c_void
    ) transfer("clEnqueueReadImage", CopyToHost, None), blocks != 0;
    write_image at ENQUEUE_WRITE_IMAGE (
        image: Mem, blocks: u32, origin: *const usize, region: *const usize, row: usize, slice: usize, from: *const c_void
    ) transfer("clEnqueueWriteImage", CopyToDevice, None), blocks != 0;
    copy_image at ENQUEUE_COPY_IMAGE (
        from: Mem, to: Mem, from_origin: *const usize, to_origin: *const usize, region: *const usize
    ) transfer("clEnqueueCopyImage", CopyOnDevice, None), false;
    copy_image_to_buffer at ENQUEUE_COPY_IMAGE_TO_BUFFER (
        from: Mem, to: Mem, origin: *const usize, region: *const usize, offset: usize
    ) transfer("clEnqueueCopyImageToBuffer", CopyOnDevice, None), false;
    copy_buffer_to_image at ENQUEUE_COPY_BUFFER_TO_IMAGE (
        from: Mem, to: Mem, offset: usize, origin: *const usize, region: *const usize
    ) transfer("clEnqueueCopyBufferToImage", CopyOnDevice, None), false;
    unmap_mem_object at ENQUEUE_UNMAP_MEM_OBJECT (memory: Mem, mapped: *mut c_void)
        transfer("clEnqueueUnmapMemObject", CopyToDevice, None), false;
    nd_range_kernel at ENQUEUE_ND_RANGE_KERNEL (
        run: Kernel, dimensions: u32, offset: *const usize, work_items: *const usize, group_size: *const usize
    ) kernel(run, product(work_items, dimensions).unwrap_or(0), product(group_size, dimensions)), false;
    task at ENQUEUE_TASK (run: Kernel) kernel(run, 1, Some(1)), false;
    native_kernel at ENQUEUE_NATIVE_KERNEL (
        run: Option<unsafe extern "C" fn(*mut c_void)>, arguments: *mut c_void, bytes: usize, count: u32,
        memory: *const Mem, places: *const *const c_void
    ) Work::Kernel { name: b"clEnqueueNativeKernel", work_items: 1, group_size: Some(1) }, false;
    read_buffer_rect at ENQUEUE_READ_BUFFER_RECT (
        buffer: Mem, blocks: u32, buffer_origin: *const usize, host_origin: *const usize, region: *const usize,
        buffer_row: usize, buffer_slice: usize, host_row: usize, host_slice: usize, to: *mut c_void
    ) transfer("clEnqueueReadBufferRect", CopyToHost, volume(region)), blocks != 0;
    write_buffer_rect at ENQUEUE_WRITE_BUFFER_RECT (
        buffer: Mem, blocks: u32, buffer_origin: *const usize, host_origin: *const usize, region: *const usize,
        buffer_row: usize, buffer_slice: usize, host_row: usize, host_slice: usize, from: *const c_void
    ) transfer("clEnqueueWriteBufferRect", CopyToDevice, volume(region)), blocks != 0;
    copy_buffer_rect at ENQUEUE_COPY_BUFFER_RECT (
        from: Mem, to: Mem, from_origin: *const usize, to_origin: *const usize, region: *const usize,
        from_row: usize, from_slice: usize, to_row: usize, to_slice: usize
    ) transfer("clEnqueueCopyBufferRect", CopyOnDevice, volume(region)), false;
    fill_buffer at ENQUEUE_FILL_BUFFER (
        buffer: Mem, pattern: *const c_void, pattern_len: usize, offset: usize, bytes: usize
    ) transfer("clEnqueueFillBuffer", Fill, Some(bytes as u64)), false;
    fill_image at ENQUEUE_FILL_IMAGE (image: Mem, color: *const c_void, origin: *const usize, region: *const usize)
        transfer("clEnqueueFillImage", Fill, None), false;
    migrate_mem_objects at ENQUEUE_MIGRATE_MEM_OBJECTS (count: u32, memory: *const Mem, flags: u64)
        transfer("clEnqueueMigrateMemObjects", migration(flags), None), false;
    svm_map at ENQUEUE_SVM_MAP (blocks: u32, flags: u64, memory: *mut c_void, bytes: usize)
        transfer("clEnqueueSVMMap", mapping(flags), Some(bytes as u64)), blocks != 0;
    svm_unmap at ENQUEUE_SVM_UNMAP (memory: *mut c_void)
        transfer("clEnqueueSVMUnmap", CopyToDevice, None), false;
    svm_memcpy at ENQUEUE_SVM_MEMCPY (blocks: u32, to: *mut c_void, from: *const c_void, bytes: usize)
        transfer("clEnqueueSVMMemcpy", CopyOnDevice, Some(bytes as u64)), blocks != 0;
    svm_mem_fill at ENQUEUE_SVM_MEM_FILL (memory: *mut c_void, pattern: *const c_void, pattern_len: usize, bytes: usize)
        transfer("clEnqueueSVMMemFill", Fill, Some(bytes as u64)), false;
    svm_migrate_mem at ENQUEUE_SVM_MIGRATE_MEM (count: u32, memory: *const *const c_void, sizes: *const usize, flags: u64)
        transfer("clEnqueueSVMMigrateMem", migration(flags), None), false;
}

/// Where memory goes: to the host by the lowest flag, else to the device of the queue.
fn migration(flags: u64) -> ringscope::LaunchKind {
    if flags & 1 != 0 {
        CopyToHost
    } else {
        CopyToDevice
    }
}

/// What mapped memory is for: to be read by the host, or only to be written.
fn mapping(flags: u64) -> ringscope::LaunchKind {
    if flags & MAP_READ != 0 {
        CopyToHost
    } else {
        CopyToDevice
    }
}

/// Functions that map memory: they give its address, and the status through a pointer that may be null.
macro_rules! maps {
    ($($function:ident at $place:ident ($($argument:ident: $type:ty),*) $name:literal, $bytes:expr;)*) => {$(
        unsafe extern "C" fn $function(
            queue: CommandQueue,
            memory: Mem,
            blocks: u32,
            flags: u64,
            $($argument: $type,)*
            wait_count: u32,
            wait_list: *const Event,
            event: *mut Event,
            status_ret: *mut Status,
        ) -> *mut c_void {
            type Beneath = unsafe extern "C" fn(
                CommandQueue, Mem, u32, u64, $($type,)* u32, *const Event, *mut Event, *mut Status,
            ) -> *mut c_void;
            let work = || transfer($name, mapping(flags), $bytes);
            // SAFETY: as for all functions that enqueue; the status goes to where the program wants it.
            unsafe {
                enqueue(queue, work, (event, blocks != 0), |event| {
                    let beneath: Beneath = function(place::$place);
                    let mut own = SUCCESS;
                    let status = if status_ret.is_null() { &raw mut own } else { status_ret };
                    let mapped = beneath(
                        queue, memory, blocks, flags, $($argument,)* wait_count, wait_list, event, status,
                    );
                    (mapped, status.read())
                })
            }
        }
    )*};
}

maps! {
    map_buffer at ENQUEUE_MAP_BUFFER (offset: usize, bytes: usize) "clEnqueueMapBuffer", Some(bytes as u64);
    map_image at ENQUEUE_MAP_IMAGE (
        origin: *const usize, region: *const usize, row_ret: *mut usize, slice_ret: *mut usize
    ) "clEnqueueMapImage", None;
}

unsafe extern "C" fn create_command_queue(
    context: Context,
    device: DeviceId,
    flags: QueueFlags,
    status_ret: *mut Status,
) -> CommandQueue {
    // SAFETY: the function has this type, and the program gave what OpenCL asks for.
    let make = |flags, status_ret| unsafe {
        let beneath: cl::CreateCommandQueue = function(place::CREATE_COMMAND_QUEUE);
        beneath(context, device, flags, status_ret)
    };
    let mut status = SUCCESS;
    let measures = flags | QUEUE_PROFILING;
    let mut queue = make(measures, &mut status);
    let hides = !queue.is_null() && measures != flags;
    if queue.is_null() {
        // What went wrong may be of the layer's making: the program hears of its own call.
        queue = make(flags, &mut status);
    }
    // SAFETY: null or the program's.
    unsafe { tell(status_ret, status) };
    keep(
        queue,
        device,
        if hides { measures } else { flags },
        (hides, None),
    )
}

unsafe extern "C" fn create_command_queue_with_properties(
    context: Context,
    device: DeviceId,
    asked: *const QueueProperty,
    status_ret: *mut Status,
) -> CommandQueue {
    // SAFETY: the function has this type, and the program gave what OpenCL asks for.
    let make = |properties, status_ret| unsafe {
        let beneath: cl::CreateCommandQueueWithProperties =
            function(place::CREATE_COMMAND_QUEUE_WITH_PROPERTIES);
        beneath(context, device, properties, status_ret)
    };
    // SAFETY: null, or properties that end with a key of 0: none is read beyond it.
    let properties = guarded(|| unsafe { copied(asked) });
    let (mut queue, mut status) = (CommandQueue::NULL, SUCCESS);
    if let Some(Plan::Measuring(measuring)) = properties.as_deref().map(plan) {
        queue = make(measuring.as_ptr(), &mut status);
    }
    let hides = !queue.is_null();
    if !hides {
        queue = make(asked, &mut status);
    }
    // SAFETY: null or the program's.
    unsafe { tell(status_ret, status) };
    let shown = properties.filter(|_| !asked.is_null()).map(|mut shown| {
        shown.push(0);
        shown
    });
    let flags = match queue.is_null() {
        true => None,
        false => guarded(|| target::flags_of(queue)),
    };
    let flags = flags.unwrap_or(0);
    keep(queue, device, flags, (hides, shown))
}

/// The properties that a program gave, without the 0 at the end; `None` when they are too many.
///
/// # Safety
///
/// `asked` is null, or properties with a key of 0 at the end.
unsafe fn copied(asked: *const QueueProperty) -> Option<Vec<QueueProperty>> {
    if asked.is_null() {
        return Some(Vec::new());
    }
    // SAFETY: keys are read one by one up to the 0; what lies before it is the program's.
    unsafe {
        let len = properties_len(|at| asked.add(at).read())?;
        Some(core::slice::from_raw_parts(asked, len).to_vec())
    }
}

/// Keeps what is known of a new queue.
fn keep(
    queue: CommandQueue,
    device: DeviceId,
    flags: QueueFlags,
    (hides, asked): (bool, Option<Vec<QueueProperty>>),
) -> CommandQueue {
    guarded(|| {
        if !queue.is_null() {
            let device = registry().device(device);
            registry().add(Queue::new(queue, device, flags).hiding(hides, asked));
        }
        Some(())
    });
    queue
}

/// # Safety
///
/// `status_ret` is null or may be written.
unsafe fn tell(status_ret: *mut Status, status: Status) {
    // SAFETY: passed on to the caller.
    if let Some(told) = unsafe { status_ret.as_mut() } {
        *told = status;
    }
}

unsafe extern "C" fn retain_command_queue(queue: CommandQueue) -> Status {
    // SAFETY: the function has this type.
    let status = unsafe {
        let beneath: OfHandle<CommandQueue> = function(place::RETAIN_COMMAND_QUEUE);
        beneath(queue)
    };
    if status == SUCCESS {
        guarded(|| {
            registry().known_queue(queue)?.retained();
            Some(())
        });
    }
    status
}

unsafe extern "C" fn release_command_queue(queue: CommandQueue) -> Status {
    // Looked up before: the next queue may get the handle.
    let known = guarded(|| {
        collect_all();
        registry().known_queue(queue)
    });
    // SAFETY: the function has this type.
    let status = unsafe {
        let beneath: OfHandle<CommandQueue> = function(place::RELEASE_COMMAND_QUEUE);
        beneath(queue)
    };
    guarded(|| {
        known.filter(|_| status == SUCCESS)?.released();
        Some(())
    });
    status
}

unsafe extern "C" fn release_context(context: Context) -> Status {
    guarded(|| {
        collect_all();
        Some(())
    });
    // SAFETY: the function has this type.
    unsafe {
        let beneath: OfHandle<Context> = function(place::RELEASE_CONTEXT);
        beneath(context)
    }
}

unsafe extern "C" fn get_command_queue_info(
    queue: CommandQueue,
    what: u32,
    size: usize,
    value: *mut c_void,
    size_ret: *mut usize,
) -> Status {
    // SAFETY: the function has this type, and the program gave what OpenCL asks for; only what was written is read, and as long as it is.
    unsafe {
        let beneath: GetInfo<CommandQueue> = function(place::GET_COMMAND_QUEUE_INFO);
        if what == QUEUE_PROPERTIES_ARRAY {
            let mut len = 0;
            let known = guarded(|| {
                registry()
                    .known_queue(queue)
                    .filter(|queue| queue.hides_profiling())
            });
            if let Some(known) = known
                && beneath(queue, what, 0, ptr::null_mut(), &mut len) == SUCCESS
            {
                let asked = known.asked.as_deref().unwrap_or_default();
                let (_, bytes, _) = asked.align_to::<u8>();
                return give(bytes, size, value, size_ret);
            }
        }
        let status = beneath(queue, what, size, value, size_ret);
        if what == QUEUE_PROPERTIES && status == SUCCESS && !value.is_null() {
            guarded(|| {
                let flags = value.cast::<QueueFlags>();
                let known = registry().known_queue(queue)?;
                flags.write_unaligned(known.shown(flags.read_unaligned()));
                Some(())
            });
        }
        status
    }
}

unsafe extern "C" fn set_command_queue_property(
    queue: CommandQueue,
    flags: QueueFlags,
    enable: u32,
    old_ret: *mut QueueFlags,
) -> Status {
    // SAFETY: the function has this type, and the program gave what OpenCL asks for.
    let status = unsafe {
        let beneath: cl::SetCommandQueueProperty = function(place::SET_COMMAND_QUEUE_PROPERTY);
        beneath(queue, flags, enable, old_ret)
    };
    if status == SUCCESS {
        guarded(|| {
            let known = registry().known_queue(queue)?;
            // SAFETY: null or the program's.
            if let Some(old) = unsafe { old_ret.as_mut() } {
                *old = known.shown(*old);
            }
            if flags & QUEUE_PROFILING != 0 {
                known.profiling_was_switched();
            }
            Some(())
        });
    }
    status
}

unsafe extern "C" fn get_event_info(
    event: Event,
    what: u32,
    size: usize,
    value: *mut c_void,
    size_ret: *mut usize,
) -> Status {
    // SAFETY: the function has this type, and the program gave what OpenCL asks for; only what was written is read.
    unsafe {
        let beneath: GetInfo<Event> = function(place::GET_EVENT_INFO);
        let status = beneath(event, what, size, value, size_ret);
        if what == EVENT_REFERENCE_COUNT && status == SUCCESS && !value.is_null() {
            guarded(|| {
                let count = value.cast::<u32>();
                let queue = registry().known_queue(target::queue_of(event)?)?;
                count.write_unaligned(queue.shown_references(event, count.read_unaligned()));
                Some(())
            });
        }
        status
    }
}

unsafe extern "C" fn get_event_profiling_info(
    event: Event,
    what: u32,
    size: usize,
    value: *mut c_void,
    size_ret: *mut usize,
) -> Status {
    let hides = guarded(|| {
        let queue = registry().known_queue(target::queue_of(event)?)?;
        Some(queue.hides_profiling())
    });
    if hides == Some(true) {
        return PROFILING_INFO_NOT_AVAILABLE;
    }
    // SAFETY: the function has this type, and the program gave what OpenCL asks for.
    unsafe {
        let beneath: GetInfo<Event> = function(place::GET_EVENT_PROFILING_INFO);
        beneath(event, what, size, value, size_ret)
    }
}

unsafe extern "C" fn finish(queue: CommandQueue) -> Status {
    let begun = guarded(|| Finish::begin(queue));
    // SAFETY: the function has this type.
    let status = unsafe {
        let beneath: OfHandle<CommandQueue> = function(place::FINISH);
        beneath(queue)
    };
    guarded(|| {
        begun?.end();
        Some(())
    });
    status
}

unsafe extern "C" fn wait_for_events(count: u32, events: *const Event) -> Status {
    // SAFETY: the program's list has as many events; they are copied, as it may change the list meanwhile.
    let waited_for = guarded(|| unsafe {
        let is_list = !events.is_null() && count > 0;
        is_list
            .then(|| core::slice::from_raw_parts(events, count.min(MAX_EVENTS) as usize).to_vec())
    });
    let begun = guarded(|| Events::begin(waited_for.as_deref()?));
    // SAFETY: the function has this type.
    let status = unsafe {
        let beneath: cl::WaitForEvents = function(place::WAIT_FOR_EVENTS);
        beneath(count, events)
    };
    guarded(|| {
        begun?.end(waited_for.as_deref()?);
        Some(())
    });
    status
}

unsafe extern "C" fn build_program(
    program: Program,
    device_count: u32,
    devices: *const DeviceId,
    options: *const c_char,
    notify: Notify,
    user: *mut c_void,
) -> Status {
    let span = guarded(|| Some(wait::compile(Compiler::Build)));
    // SAFETY: the function has this type, and the program gave what OpenCL asks for.
    let status = unsafe {
        let beneath: cl::BuildProgram = function(place::BUILD_PROGRAM);
        beneath(program, device_count, devices, options, notify, user)
    };
    end(span);
    status
}

unsafe extern "C" fn compile_program(
    program: Program,
    device_count: u32,
    devices: *const DeviceId,
    options: *const c_char,
    header_count: u32,
    headers: *const Program,
    header_names: *const *const c_char,
    notify: Notify,
    user: *mut c_void,
) -> Status {
    let span = guarded(|| Some(wait::compile(Compiler::Compile)));
    // SAFETY: as above.
    let status = unsafe {
        let beneath: cl::CompileProgram = function(place::COMPILE_PROGRAM);
        let input = (header_count, headers, header_names);
        beneath(
            program,
            device_count,
            devices,
            options,
            input.0,
            input.1,
            input.2,
            notify,
            user,
        )
    };
    end(span);
    status
}

unsafe extern "C" fn link_program(
    context: Context,
    device_count: u32,
    devices: *const DeviceId,
    options: *const c_char,
    program_count: u32,
    programs: *const Program,
    notify: Notify,
    user: *mut c_void,
    status_ret: *mut Status,
) -> Program {
    let span = guarded(|| Some(wait::compile(Compiler::Link)));
    // SAFETY: as above.
    let linked = unsafe {
        let beneath: cl::LinkProgram = function(place::LINK_PROGRAM);
        let input = (program_count, programs);
        beneath(
            context,
            device_count,
            devices,
            options,
            input.0,
            input.1,
            notify,
            user,
            status_ret,
        )
    };
    end(span);
    linked
}

fn end(span: Option<ringscope::Span>) {
    guarded(|| {
        drop(span);
        Some(())
    });
}

unsafe extern "C" fn create_kernel(
    program: Program,
    name: *const c_char,
    status_ret: *mut Status,
) -> Kernel {
    // SAFETY: the function has this type, and the program gave what OpenCL asks for.
    let made = unsafe {
        let beneath: cl::CreateKernel = function(place::CREATE_KERNEL);
        beneath(program, name, status_ret)
    };
    is_new(&[made]);
    made
}

unsafe extern "C" fn create_kernels_in_program(
    program: Program,
    room: u32,
    kernels: *mut Kernel,
    count_ret: *mut u32,
) -> Status {
    let mut count = 0;
    let counted = if count_ret.is_null() {
        &raw mut count
    } else {
        count_ret
    };
    // SAFETY: the function has this type; where it succeeds it fills as many places as it counts, if there are any.
    unsafe {
        let beneath: cl::CreateKernelsInProgram = function(place::CREATE_KERNELS_IN_PROGRAM);
        let status = beneath(program, room, kernels, counted);
        if status == SUCCESS && !kernels.is_null() {
            let made = counted.read().min(room) as usize;
            is_new(core::slice::from_raw_parts(kernels, made));
        }
        status
    }
}

unsafe extern "C" fn clone_kernel(kernel: Kernel, status_ret: *mut Status) -> Kernel {
    // SAFETY: the function has this type, and the program gave what OpenCL asks for.
    let made = unsafe {
        let beneath: cl::CloneKernel = function(place::CLONE_KERNEL);
        beneath(kernel, status_ret)
    };
    is_new(&[made]);
    made
}

fn is_new(kernels: &[Kernel]) {
    guarded(|| {
        for kernel in kernels {
            registry().forget_kernel(*kernel);
        }
        Some(())
    });
}

/// The layer's functions and their places.
pub(crate) fn functions() -> Vec<(usize, *const c_void)> {
    macro_rules! at {
        ($($place:ident: $function:ident,)*) => {
            vec![$((place::$place, $function as *const c_void)),*]
        };
    }
    at! {
        RELEASE_CONTEXT: release_context,
        CREATE_COMMAND_QUEUE: create_command_queue,
        CREATE_COMMAND_QUEUE_WITH_PROPERTIES: create_command_queue_with_properties,
        RETAIN_COMMAND_QUEUE: retain_command_queue,
        RELEASE_COMMAND_QUEUE: release_command_queue,
        GET_COMMAND_QUEUE_INFO: get_command_queue_info,
        SET_COMMAND_QUEUE_PROPERTY: set_command_queue_property,
        GET_EVENT_INFO: get_event_info,
        GET_EVENT_PROFILING_INFO: get_event_profiling_info,
        FINISH: finish,
        WAIT_FOR_EVENTS: wait_for_events,
        BUILD_PROGRAM: build_program,
        COMPILE_PROGRAM: compile_program,
        LINK_PROGRAM: link_program,
        CREATE_KERNEL: create_kernel,
        CREATE_KERNELS_IN_PROGRAM: create_kernels_in_program,
        CLONE_KERNEL: clone_kernel,
        ENQUEUE_READ_BUFFER: read_buffer,
        ENQUEUE_WRITE_BUFFER: write_buffer,
        ENQUEUE_COPY_BUFFER: copy_buffer,
        ENQUEUE_READ_IMAGE: read_image,
        ENQUEUE_WRITE_IMAGE: write_image,
        ENQUEUE_COPY_IMAGE: copy_image,
        ENQUEUE_COPY_IMAGE_TO_BUFFER: copy_image_to_buffer,
        ENQUEUE_COPY_BUFFER_TO_IMAGE: copy_buffer_to_image,
        ENQUEUE_MAP_BUFFER: map_buffer,
        ENQUEUE_MAP_IMAGE: map_image,
        ENQUEUE_UNMAP_MEM_OBJECT: unmap_mem_object,
        ENQUEUE_ND_RANGE_KERNEL: nd_range_kernel,
        ENQUEUE_TASK: task,
        ENQUEUE_NATIVE_KERNEL: native_kernel,
        ENQUEUE_READ_BUFFER_RECT: read_buffer_rect,
        ENQUEUE_WRITE_BUFFER_RECT: write_buffer_rect,
        ENQUEUE_COPY_BUFFER_RECT: copy_buffer_rect,
        ENQUEUE_FILL_BUFFER: fill_buffer,
        ENQUEUE_FILL_IMAGE: fill_image,
        ENQUEUE_MIGRATE_MEM_OBJECTS: migrate_mem_objects,
        ENQUEUE_SVM_MEMCPY: svm_memcpy,
        ENQUEUE_SVM_MEM_FILL: svm_mem_fill,
        ENQUEUE_SVM_MAP: svm_map,
        ENQUEUE_SVM_UNMAP: svm_unmap,
        ENQUEUE_SVM_MIGRATE_MEM: svm_migrate_mem,
    }
}
