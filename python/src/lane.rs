//! Which lane a record stands on: that of the track entered in this context, else that of the running asyncio task,
//! else the thread's.

use core::ffi::c_long;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};
use std::collections::HashMap;

use pyo3_ffi::*;
use ringscope::c_abi::Ring;
use ringscope::dynamic::{self, Handle, SharedLane};
use ringscope_ringbuf::block::LaneKind;

use crate::guarded::Guarded;
use crate::interpreter::{Method, RaisedAside, context_value, with_text};
use crate::thread;

/// Names of tasks that have a lane of their own.
const NAMED_LANES: usize = 256;
/// As many of the names that asyncio makes up (`Task-17`), which come by the thousand.
const UNNAMED_LANES: usize = 16;

/// The context variable that holds the number of a track; null until the first track.
static TRACK: AtomicPtr<PyObject> = AtomicPtr::new(ptr::null_mut());
static TRACKS: Guarded<Vec<Handle>> = Guarded::new(Vec::new());
/// Lanes of device streams, by the number that Python has for them.
static STREAMS: Guarded<Vec<SharedLane>> = Guarded::new(Vec::new());
static LOOPS: Guarded<Loops> = Guarded::new(Loops::new());
static TASKS: Guarded<Option<Tasks>> = Guarded::new(None);

/// The lane of a record that is made now.
#[inline(always)]
pub(crate) fn current(ring: Ring) -> u16 {
    if is_the_threads() {
        return 0;
    }
    of_track_or_task(ring)
}

/// True when records stand on their thread's lane, as far as one comparison can tell: no track was ever entered, and no
/// task runs on any thread.
#[inline(always)]
pub(crate) fn is_the_threads() -> bool {
    let watch = WATCH.get();
    // SAFETY: the word of a dict that is held, or of a static.
    unsafe { *watch.size == watch.size_without_tasks }
}

#[inline(never)]
fn of_track_or_task(ring: Ring) -> u16 {
    if !TRACK.load(Ordering::Relaxed).is_null()
        && let Some(lane) = of_track(ring)
    {
        return lane;
    }
    if LOOPS.get().may_run_a_task() {
        return of_task(ring);
    }
    0
}

/// What tells that asyncio may run a task: the size of `sys.modules` before asyncio is imported, that of the dict of
/// running tasks afterwards.
struct Watch {
    size: *const Py_ssize_t,
    size_without_tasks: Py_ssize_t,
}

static WATCH: Guarded<Watch> = Guarded::new(Watch::ALWAYS);

impl Watch {
    /// No comparison tells.
    const ALWAYS: Watch = Watch {
        size: &raw const NO_SIZE,
        size_without_tasks: 0,
    };

    /// What is to be watched from now on.
    fn of(loops: &Loops) -> Watch {
        let (dict, size_without_tasks) = if loops.current_tasks.is_null() {
            (loops.modules, loops.module_count)
        } else {
            (loops.current_tasks, 0)
        };
        if !loops.has_size_in_place || !TRACK.load(Ordering::Relaxed).is_null() {
            return Watch::ALWAYS;
        }
        Watch {
            // The word behind the head of the object.
            size: dict.wrapping_add(1).cast(),
            size_without_tasks,
        }
    }
}

static NO_SIZE: Py_ssize_t = -1;

/// A number for the track of this name; `None` past the cap.
pub(crate) fn track(variable: *mut PyObject, name: &[u8]) -> Option<usize> {
    let handle = dynamic::track(name)?;
    let tracks = TRACKS.get();
    let known = tracks.iter().position(|t| t.number() == handle.number());
    let number = known.unwrap_or_else(|| {
        tracks.push(handle);
        tracks.len() - 1
    });
    TRACK.store(variable, Ordering::Relaxed);
    *WATCH.get() = Watch::ALWAYS;
    Some(number)
}

/// A number for the lane of a device's stream; `None` past the cap.
pub(crate) fn stream(name: &[u8], device: [u32; 3]) -> Option<usize> {
    let streams = STREAMS.get();
    streams.push(SharedLane::new(LaneKind::Stream, name, device)?);
    Some(streams.len() - 1)
}

/// The lane of a stream that [`stream`] gave the number of.
pub(crate) fn of_stream(ring: Ring, number: usize) -> Option<u16> {
    Some(STREAMS.get().get_mut(number)?.number_in(ring))
}

fn of_track(ring: Ring) -> Option<u16> {
    let value = context_value(TRACK.load(Ordering::Relaxed));
    if value.is_null() {
        return None;
    }
    // SAFETY: a new reference, given back once; what is no number of a track has no lane.
    let number = unsafe {
        let is_number = PyLong_Check(value) != 0;
        let number = if is_number { PyLong_AsLong(value) } else { -1 };
        Py_DecRef(value);
        usize::try_from(number).ok()?
    };
    Some(ring.id(*TRACKS.get().get(number)?) as u16)
}

/// What asyncio knows of running tasks, once it was imported.
struct Loops {
    /// `sys.modules`, and its size when it was last looked into: asyncio is not there as long as it does not grow.
    modules: *mut PyObject,
    module_count: Py_ssize_t,
    /// The running task of each event loop.
    current_tasks: *mut PyObject,
    /// `_get_running_loop`.
    running_loop: *mut PyObject,
    /// A dict's size stands behind its head, as it does in every CPython so far; checked when the module is loaded.
    has_size_in_place: bool,
}

impl Loops {
    const fn new() -> Loops {
        Loops {
            modules: ptr::null_mut(),
            module_count: 0,
            current_tasks: ptr::null_mut(),
            running_loop: ptr::null_mut(),
            has_size_in_place: false,
        }
    }

    /// False when no task runs on any thread.
    fn may_run_a_task(&mut self) -> bool {
        // SAFETY: null, or dicts that are held for ever.
        unsafe {
            if !self.current_tasks.is_null() {
                return PyDict_Size(self.current_tasks) > 0;
            }
            PyDict_Size(self.modules) != self.module_count
        }
    }
}

/// The word behind the head of an object.
///
/// # Safety
///
/// `object` is alive, and larger than its head.
#[inline(always)]
unsafe fn size_in_place(object: *mut PyObject) -> Py_ssize_t {
    // SAFETY: passed on to the caller.
    unsafe { object.add(1).cast::<Py_ssize_t>().read() }
}

/// True when dicts of several sizes have them where they are looked for.
unsafe fn has_size_in_place() -> bool {
    const SIZES: c_long = 9;
    // SAFETY: a new dict, given back; without memory the answer is no.
    unsafe {
        let dict = PyDict_New();
        let is_so = !dict.is_null()
            && (0..SIZES).all(|number| {
                let key = PyLong_FromLong(number);
                let is_set = !key.is_null() && PyDict_SetItem(dict, key, key) == 0;
                Py_XDECREF(key);
                is_set && size_in_place(dict) == PyDict_Size(dict)
            });
        Py_XDECREF(dict);
        PyErr_Clear();
        is_so
    }
}

/// Keeps `sys.modules`, to notice when asyncio is imported. False, with an exception set, when it can't be had.
pub(crate) fn prepare() -> bool {
    // SAFETY: borrowed, then held for ever.
    unsafe {
        let modules = PyImport_GetModuleDict();
        if modules.is_null() {
            return false;
        }
        Py_IncRef(modules);
        LOOPS.get().modules = modules;
        LOOPS.get().has_size_in_place = has_size_in_place();
    }
    true
}

/// Looks whether asyncio has been imported.
#[cold]
#[inline(never)]
fn look_for_asyncio() {
    let modules = LOOPS.get().modules;
    let _aside = RaisedAside::begin();
    // SAFETY: the module is borrowed from a dict that is held; attributes are new references that are kept.
    unsafe {
        LOOPS.get().module_count = PyDict_Size(modules);
        *WATCH.get() = Watch::of(LOOPS.get());
        let module = PyDict_GetItemString(modules, c"asyncio.tasks".as_ptr());
        let events = PyDict_GetItemString(modules, c"asyncio.events".as_ptr());
        if module.is_null() || events.is_null() {
            return;
        }
        let current_tasks = PyObject_GetAttrString(module, c"_current_tasks".as_ptr());
        let running_loop = PyObject_GetAttrString(events, c"_get_running_loop".as_ptr());
        if current_tasks.is_null() || running_loop.is_null() || PyDict_Check(current_tasks) == 0 {
            // Being imported, or another implementation.
            PyErr_Clear();
            return;
        }
        LOOPS.get().running_loop = running_loop;
        LOOPS.get().current_tasks = current_tasks;
        *WATCH.get() = Watch::of(LOOPS.get());
    }
}

/// A task that has recorded.
struct TaskLane {
    /// Thread on which its event loop runs.
    thread: usize,
    lane: usize,
    /// Held: its callback takes the entry out when the task is no more.
    weak_reference: *mut PyObject,
}

struct Tasks {
    by_address: HashMap<usize, TaskLane>,
    lanes: Lanes,
}

#[inline(never)]
fn of_task(ring: Ring) -> u16 {
    if LOOPS.get().current_tasks.is_null() {
        look_for_asyncio();
        if LOOPS.get().current_tasks.is_null() {
            return 0;
        }
    }
    let (mut at, mut event_loop, mut task) = (0, ptr::null_mut(), ptr::null_mut());
    let tasks = TASKS.get().get_or_insert_with(Tasks::new);
    // SAFETY: the dict is held; nothing in the loop changes it.
    unsafe {
        while PyDict_Next(
            LOOPS.get().current_tasks,
            &mut at,
            &mut event_loop,
            &mut task,
        ) != 0
        {
            if let Some(known) = tasks.by_address.get(&task.addr())
                && known.thread == thread::number()
            {
                return tasks.lanes.number_in(known.lane, ring);
            }
        }
    }
    of_new_task(ring)
}

/// The lane of a task that has not recorded on this thread, if one runs here.
#[cold]
#[inline(never)]
fn of_new_task(ring: Ring) -> u16 {
    let _aside = RaisedAside::begin();
    // SAFETY: new references are given back once; the task is held while its name is asked for.
    unsafe {
        let event_loop = PyObject_CallObject(LOOPS.get().running_loop, ptr::null_mut());
        if event_loop.is_null() {
            PyErr_Clear();
            return 0;
        }
        let task = PyDict_GetItemWithError(LOOPS.get().current_tasks, event_loop);
        Py_DecRef(event_loop);
        if task.is_null() || task == Py_None() {
            PyErr_Clear();
            return 0;
        }
        Py_IncRef(task);
        let lane = lane_of(task, ring);
        Py_DecRef(task);
        lane
    }
}

/// # Safety
///
/// `task` is held by the caller.
unsafe fn lane_of(task: *mut PyObject, ring: Ring) -> u16 {
    // SAFETY: passed on to the caller; every new reference is checked, and kept or given back.
    unsafe {
        let tasks = TASKS.get().get_or_insert_with(Tasks::new);
        if let Some(known) = tasks.by_address.get_mut(&task.addr()) {
            known.thread = thread::number();
            return tasks.lanes.number_in(known.lane, ring);
        }
        let name = PyObject_CallMethod(task, c"get_name".as_ptr(), ptr::null());
        let forget = forget_callback(task);
        let weak_reference = PyWeakref_NewRef(task, forget);
        Py_XDECREF(forget);
        if weak_reference.is_null() || name.is_null() {
            // No task that could be told from the next one at its address.
            PyErr_Clear();
            Py_XDECREF(name);
            Py_XDECREF(weak_reference);
            return 0;
        }
        let name_text = PyObject_Str(name);
        Py_DecRef(name);
        let tasks = TASKS.get().get_or_insert_with(Tasks::new);
        let lane = if name_text.is_null() {
            PyErr_Clear();
            tasks.lanes.take(b"task")
        } else {
            with_text(name_text, |name| tasks.lanes.take(name))
        };
        Py_XDECREF(name_text);
        let Some(lane) = lane else {
            Py_DecRef(weak_reference);
            return 0;
        };
        let known = TaskLane {
            thread: thread::number(),
            lane,
            weak_reference,
        };
        tasks.by_address.insert(task.addr(), known);
        tasks.lanes.number_in(lane, ring)
    }
}

static FORGET: Method = Method::single(c"forget_task", forget_task, c"");

/// A function that is called with the weak reference when the task is no more.
unsafe fn forget_callback(task: *mut PyObject) -> *mut PyObject {
    // SAFETY: the address travels as a number; a null makes a reference without a callback.
    unsafe {
        let address = PyLong_FromVoidPtr(task.cast());
        if address.is_null() {
            return ptr::null_mut();
        }
        let function = PyCFunction_NewEx(FORGET.definition(), address, ptr::null_mut());
        Py_DecRef(address);
        function
    }
}

unsafe extern "C" fn forget_task(address: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by the interpreter with what `forget_callback` gave it.
    unsafe {
        let address = PyLong_AsVoidPtr(address).addr();
        let tasks = TASKS.get().get_or_insert_with(Tasks::new);
        if let Some(gone) = tasks.by_address.remove(&address) {
            tasks.lanes.give(gone.lane);
            Py_DecRef(gone.weak_reference);
        }
    }
    crate::interpreter::none()
}

impl Tasks {
    fn new() -> Tasks {
        Tasks {
            by_address: HashMap::new(),
            lanes: Lanes::default(),
        }
    }
}

/// The lanes of tasks: those of a name take turns on one. Names beyond the limits share a pool, whose lanes say so.
#[derive(Default)]
struct Lanes {
    all: Vec<Turns>,
    /// Lanes by the names that they have in the trace.
    by_name: HashMap<Vec<u8>, usize>,
    /// Lanes of the pool without an owner.
    free: Vec<usize>,
    pool_count: usize,
    unnamed_count: usize,
}

struct Turns {
    lane: SharedLane,
    is_taken: bool,
    is_of_pool: bool,
}

impl Lanes {
    /// A lane for a task of this name, its alone until [`Lanes::give`].
    fn take(&mut self, name: &[u8]) -> Option<usize> {
        let mut own_name = name.to_vec();
        let mut number = 1;
        while let Some(lane) = self.by_name.get(&own_name).copied() {
            if !self.all[lane].is_taken {
                self.all[lane].is_taken = true;
                return Some(lane);
            }
            // Another task has this name at the same time.
            number += 1;
            own_name = [name, format!(" #{number}").as_bytes()].concat();
        }
        let is_unnamed = is_made_up(name);
        let (count, limit) = if is_unnamed {
            (self.unnamed_count, UNNAMED_LANES)
        } else {
            (self.by_name.len() - self.unnamed_count, NAMED_LANES)
        };
        if count >= limit {
            return self.take_of_pool();
        }
        let lane = self.add(&own_name, false)?;
        self.unnamed_count += usize::from(is_unnamed);
        self.by_name.insert(own_name, lane);
        Some(lane)
    }

    fn take_of_pool(&mut self) -> Option<usize> {
        if let Some(lane) = self.free.pop() {
            self.all[lane].is_taken = true;
            return Some(lane);
        }
        self.pool_count += 1;
        self.add(format!("more tasks {}", self.pool_count).as_bytes(), true)
    }

    fn add(&mut self, name: &[u8], is_of_pool: bool) -> Option<usize> {
        self.all.push(Turns {
            lane: SharedLane::new(LaneKind::Task, name, [0; 3])?,
            is_taken: true,
            is_of_pool,
        });
        Some(self.all.len() - 1)
    }

    fn give(&mut self, lane: usize) {
        if let Some(turns) = self.all.get_mut(lane) {
            turns.is_taken = false;
            if turns.is_of_pool {
                self.free.push(lane);
            }
        }
    }

    #[inline]
    fn number_in(&mut self, lane: usize, ring: Ring) -> u16 {
        self.all
            .get_mut(lane)
            .map_or(0, |turns| turns.lane.number_in(ring))
    }
}

/// True for the names that asyncio makes up.
fn is_made_up(name: &[u8]) -> bool {
    name.strip_prefix(b"Task-")
        .is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit))
}
