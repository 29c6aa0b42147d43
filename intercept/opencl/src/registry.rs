//! What the layer knows of the objects of this process: its queues, kernels and devices.
//!
//! Locks are held for a few instructions, and never while the implementation is called, which may call the program back.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, LockResult, Mutex, PoisonError, RwLock};

use crate::cl::{CommandQueue, DeviceId, Kernel};
use crate::device::Device;
use crate::queue::Queue;
use crate::{layer, pending, target};

/// Names of kernels that are kept at most: beyond them kernels go by one name.
const MAX_KERNEL_NAMES: usize = 16_384;
const UNKNOWN_KERNEL: &[u8] = b"(unknown kernel)";

/// What is known of one process.
#[derive(Default)]
pub(crate) struct Registry {
    /// A released queue stays until another one gets its handle: its events may be asked for their queue.
    queues: RwLock<HashMap<CommandQueue, Arc<Queue>>>,
    kernels: RwLock<HashMap<Kernel, &'static [u8]>>,
    names: Mutex<HashSet<&'static [u8]>>,
    devices: Mutex<Vec<&'static Device>>,
}

/// Null before the first use, and in a child that was forked and has not used OpenCL yet.
static REGISTRY: AtomicPtr<Registry> = AtomicPtr::new(std::ptr::null_mut());

/// What is known of this process.
#[allow(
    unsafe_code,
    reason = "a pointer that `forget` can clear in a forked child"
)]
pub(crate) fn registry() -> &'static Registry {
    let mut known = REGISTRY.load(Ordering::Acquire);
    if known.is_null() {
        let new = Box::into_raw(Box::default());
        let stored = REGISTRY.compare_exchange(known, new, Ordering::AcqRel, Ordering::Acquire);
        // One that lost the race is never freed: it has a few words.
        known = stored.map_or_else(|other| other, |_| new);
    }
    // SAFETY: only pointers from `Box::into_raw` are stored, and nothing frees them.
    unsafe { &*known }
}

/// Forgets all: the process is a forked child.
pub(crate) fn forget() {
    REGISTRY.store(std::ptr::null_mut(), Ordering::Release);
}

/// What a lock guards. A panic is caught at the border, and leaves nothing half done that matters.
pub(crate) fn open<G>(lock: LockResult<G>) -> G {
    lock.unwrap_or_else(PoisonError::into_inner)
}

impl Registry {
    /// The queue with this handle; one that was made past the layer is taken as it is.
    pub(crate) fn queue(&self, handle: CommandQueue) -> Option<Arc<Queue>> {
        if let Some(known) = self.known_queue(handle) {
            return Some(known);
        }
        if handle.is_null() {
            return None;
        }
        let (device, flags) = (target::device_of(handle)?, target::flags_of(handle)?);
        let queue = Queue::new(handle, self.device(device), flags);
        Some(self.add(queue))
    }

    /// The queue with this handle, if the layer has seen it before.
    pub(crate) fn known_queue(&self, handle: CommandQueue) -> Option<Arc<Queue>> {
        open(self.queues.read()).get(&handle).cloned()
    }

    /// Adds a queue in place of an older one that had its handle.
    pub(crate) fn add(&self, queue: Queue) -> Arc<Queue> {
        let queue = Arc::new(queue);
        let before = open(self.queues.write()).insert(queue.handle, Arc::clone(&queue));
        drop(before);
        layer::hook_end();
        queue
    }

    /// All queues.
    pub(crate) fn queues(&self) -> Vec<Arc<Queue>> {
        open(self.queues.read()).values().cloned().collect()
    }

    /// The device with this id, numbered by first use.
    pub(crate) fn device(&self, id: DeviceId) -> &'static Device {
        let find = |devices: &[&'static Device]| devices.iter().find(|one| one.id == id).copied();
        if let Some(known) = find(&open(self.devices.lock())) {
            return known;
        }
        let (name, has_clock) = Device::ask(id);
        let mut devices = open(self.devices.lock());
        // Another thread may have been here meanwhile.
        find(&devices).unwrap_or_else(|| {
            let device = Box::leak(Box::new(Device::new(id, devices.len(), &name, has_clock)));
            devices.push(device);
            device
        })
    }

    /// The name of a kernel.
    pub(crate) fn kernel_name(&self, kernel: Kernel) -> &'static [u8] {
        if let Some(known) = open(self.kernels.read()).get(&kernel) {
            return known;
        }
        let name = match kernel.is_null() {
            true => None,
            false => target::kernel_name(kernel),
        };
        let Some(name) = name.and_then(|name| self.kept(name)) else {
            return UNKNOWN_KERNEL;
        };
        open(self.kernels.write()).insert(kernel, name);
        name
    }

    /// A new kernel has this handle: what another one was called that had it is of no use any more.
    pub(crate) fn forget_kernel(&self, kernel: Kernel) {
        let is_known = open(self.kernels.read()).contains_key(&kernel);
        if is_known {
            open(self.kernels.write()).remove(&kernel);
        }
    }

    /// The one copy of a name, which lives for ever.
    fn kept(&self, name: Vec<u8>) -> Option<&'static [u8]> {
        let mut names = open(self.names.lock());
        if let Some(known) = names.get(name.as_slice()) {
            return Some(known);
        }
        if names.len() >= MAX_KERNEL_NAMES {
            return None;
        }
        let name: &'static [u8] = name.leak();
        names.insert(name);
        Some(name)
    }
}

/// Records what is done of all queues.
pub(crate) fn collect_all() {
    for queue in registry().queues() {
        queue.collect();
    }
}

/// Records what is done of all queues when the process ends, also what another thread is just about to.
pub(crate) fn collect_at_end() {
    if REGISTRY.load(Ordering::Acquire).is_null() {
        return;
    }
    pending::wait_for_collectors();
    for queue in registry().queues() {
        queue.collect();
        queue.device.anchor_at_end();
    }
}
