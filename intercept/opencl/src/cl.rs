//! The declarations of OpenCL that the layer needs, as the headers of Khronos have them: `CL/cl.h` (types and numbers),
//! `CL/cl_icd.h` (places in the table of functions) and `CL/cl_layer.h`. `tests/programs/layout.c` compares them with those headers.

use core::ffi::{c_char, c_void};

/// `cl_int`: `SUCCESS`, or why a call failed.
pub(crate) type Status = i32;

pub(crate) const SUCCESS: Status = 0;
pub(crate) const OUT_OF_RESOURCES: Status = -5;
pub(crate) const OUT_OF_HOST_MEMORY: Status = -6;
pub(crate) const PROFILING_INFO_NOT_AVAILABLE: Status = -7;
pub(crate) const INVALID_VALUE: Status = -30;

/// Handles: addresses that only the implementation looks behind.
macro_rules! handles {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[repr(transparent)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(crate) struct $name(pub(crate) usize);
    )*};
}

/// Handles that may be null.
macro_rules! nullable {
    ($($name:ident)*) => {$(
        impl $name {
            pub(crate) fn is_null(self) -> bool {
                self.0 == 0
            }
        }
    )*};
}

nullable! { CommandQueue Kernel Event }

handles! {
    /// `cl_device_id`
    DeviceId;
    /// `cl_context`
    Context;
    /// `cl_command_queue`
    CommandQueue;
    /// `cl_program`
    Program;
    /// `cl_kernel`
    Kernel;
    /// `cl_event`
    Event;
    /// `cl_mem`
    Mem;
}

impl CommandQueue {
    pub(crate) const NULL: CommandQueue = CommandQueue(0);
}

impl Event {
    pub(crate) const NULL: Event = Event(0);
}

/// `cl_queue_properties`, in which keys and values take turns up to a key of 0.
pub(crate) type QueueProperty = u64;
/// `cl_command_queue_properties`
pub(crate) type QueueFlags = u64;

pub(crate) const QUEUE_OUT_OF_ORDER: QueueFlags = 1 << 0;
pub(crate) const QUEUE_PROFILING: QueueFlags = 1 << 1;
pub(crate) const QUEUE_ON_DEVICE: QueueFlags = 1 << 2;

pub(crate) const QUEUE_DEVICE: u32 = 0x1091;
/// The flags of a queue, and their key in its properties.
pub(crate) const QUEUE_PROPERTIES: u32 = 0x1093;
pub(crate) const QUEUE_PROPERTIES_ARRAY: u32 = 0x1098;

pub(crate) const DEVICE_NAME: u32 = 0x102B;
pub(crate) const DEVICE_VERSION: u32 = 0x102F;
pub(crate) const KERNEL_FUNCTION_NAME: u32 = 0x1190;

pub(crate) const EVENT_COMMAND_QUEUE: u32 = 0x11D0;
pub(crate) const EVENT_REFERENCE_COUNT: u32 = 0x11D2;
pub(crate) const EVENT_COMMAND_EXECUTION_STATUS: u32 = 0x11D3;
/// Status of an event whose command is done; larger while it is not, negative where it failed.
pub(crate) const COMPLETE: Status = 0;

pub(crate) const PROFILING_COMMAND_QUEUED: u32 = 0x1280;
pub(crate) const PROFILING_COMMAND_START: u32 = 0x1282;
pub(crate) const PROFILING_COMMAND_END: u32 = 0x1283;

pub(crate) const MAP_READ: u64 = 1 << 0;

pub(crate) const LAYER_API_VERSION: u32 = 0x4240;
pub(crate) const LAYER_NAME: u32 = 0x4241;
pub(crate) const LAYER_API_VERSION_100: u32 = 100;

/// `clGet…Info`: handle, what, size, value, size of the value.
pub(crate) type GetInfo<H> = unsafe extern "C" fn(H, u32, usize, *mut c_void, *mut usize) -> Status;
/// Functions that take a handle alone.
pub(crate) type OfHandle<H> = unsafe extern "C" fn(H) -> Status;
/// What programs are told by when a build is done.
pub(crate) type Notify = Option<unsafe extern "C" fn(Program, *mut c_void)>;

pub(crate) type CreateCommandQueue =
    unsafe extern "C" fn(Context, DeviceId, QueueFlags, *mut Status) -> CommandQueue;
pub(crate) type CreateCommandQueueWithProperties =
    unsafe extern "C" fn(Context, DeviceId, *const QueueProperty, *mut Status) -> CommandQueue;
pub(crate) type SetCommandQueueProperty =
    unsafe extern "C" fn(CommandQueue, QueueFlags, u32, *mut QueueFlags) -> Status;
pub(crate) type BuildProgram = unsafe extern "C" fn(
    Program,
    u32,
    *const DeviceId,
    *const c_char,
    Notify,
    *mut c_void,
) -> Status;
pub(crate) type CompileProgram = unsafe extern "C" fn(
    Program,
    u32,
    *const DeviceId,
    *const c_char,
    u32,
    *const Program,
    *const *const c_char,
    Notify,
    *mut c_void,
) -> Status;
pub(crate) type LinkProgram = unsafe extern "C" fn(
    Context,
    u32,
    *const DeviceId,
    *const c_char,
    u32,
    *const Program,
    Notify,
    *mut c_void,
    *mut Status,
) -> Program;
pub(crate) type CreateKernel = unsafe extern "C" fn(Program, *const c_char, *mut Status) -> Kernel;
pub(crate) type CreateKernelsInProgram =
    unsafe extern "C" fn(Program, u32, *mut Kernel, *mut u32) -> Status;
pub(crate) type CloneKernel = unsafe extern "C" fn(Kernel, *mut Status) -> Kernel;
pub(crate) type WaitForEvents = unsafe extern "C" fn(u32, *const Event) -> Status;
pub(crate) type GetDeviceAndHostTimer =
    unsafe extern "C" fn(DeviceId, *mut u64, *mut u64) -> Status;

/// Places of functions in `cl_icd_dispatch`.
pub(crate) mod place {
    pub(crate) const GET_DEVICE_INFO: usize = 3;
    pub(crate) const RELEASE_CONTEXT: usize = 7;
    pub(crate) const CREATE_COMMAND_QUEUE: usize = 9;
    pub(crate) const RETAIN_COMMAND_QUEUE: usize = 10;
    pub(crate) const RELEASE_COMMAND_QUEUE: usize = 11;
    pub(crate) const GET_COMMAND_QUEUE_INFO: usize = 12;
    pub(crate) const SET_COMMAND_QUEUE_PROPERTY: usize = 13;
    pub(crate) const BUILD_PROGRAM: usize = 30;
    pub(crate) const CREATE_KERNEL: usize = 34;
    pub(crate) const CREATE_KERNELS_IN_PROGRAM: usize = 35;
    pub(crate) const GET_KERNEL_INFO: usize = 39;
    pub(crate) const WAIT_FOR_EVENTS: usize = 41;
    pub(crate) const GET_EVENT_INFO: usize = 42;
    pub(crate) const RETAIN_EVENT: usize = 43;
    pub(crate) const RELEASE_EVENT: usize = 44;
    pub(crate) const GET_EVENT_PROFILING_INFO: usize = 45;
    pub(crate) const FINISH: usize = 47;
    pub(crate) const ENQUEUE_READ_BUFFER: usize = 48;
    pub(crate) const ENQUEUE_WRITE_BUFFER: usize = 49;
    pub(crate) const ENQUEUE_COPY_BUFFER: usize = 50;
    pub(crate) const ENQUEUE_READ_IMAGE: usize = 51;
    pub(crate) const ENQUEUE_WRITE_IMAGE: usize = 52;
    pub(crate) const ENQUEUE_COPY_IMAGE: usize = 53;
    pub(crate) const ENQUEUE_COPY_IMAGE_TO_BUFFER: usize = 54;
    pub(crate) const ENQUEUE_COPY_BUFFER_TO_IMAGE: usize = 55;
    pub(crate) const ENQUEUE_MAP_BUFFER: usize = 56;
    pub(crate) const ENQUEUE_MAP_IMAGE: usize = 57;
    pub(crate) const ENQUEUE_UNMAP_MEM_OBJECT: usize = 58;
    pub(crate) const ENQUEUE_ND_RANGE_KERNEL: usize = 59;
    pub(crate) const ENQUEUE_TASK: usize = 60;
    pub(crate) const ENQUEUE_NATIVE_KERNEL: usize = 61;
    pub(crate) const ENQUEUE_READ_BUFFER_RECT: usize = 86;
    pub(crate) const ENQUEUE_WRITE_BUFFER_RECT: usize = 87;
    pub(crate) const ENQUEUE_COPY_BUFFER_RECT: usize = 88;
    pub(crate) const COMPILE_PROGRAM: usize = 98;
    pub(crate) const LINK_PROGRAM: usize = 99;
    pub(crate) const ENQUEUE_FILL_BUFFER: usize = 102;
    pub(crate) const ENQUEUE_FILL_IMAGE: usize = 103;
    pub(crate) const ENQUEUE_MIGRATE_MEM_OBJECTS: usize = 104;
    pub(crate) const CREATE_COMMAND_QUEUE_WITH_PROPERTIES: usize = 123;
    pub(crate) const ENQUEUE_SVM_MEMCPY: usize = 129;
    pub(crate) const ENQUEUE_SVM_MEM_FILL: usize = 130;
    pub(crate) const ENQUEUE_SVM_MAP: usize = 131;
    pub(crate) const ENQUEUE_SVM_UNMAP: usize = 132;
    pub(crate) const CLONE_KERNEL: usize = 137;
    pub(crate) const ENQUEUE_SVM_MIGRATE_MEM: usize = 139;
    pub(crate) const GET_DEVICE_AND_HOST_TIMER: usize = 140;
}
