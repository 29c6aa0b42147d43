//! The native part of the Python package `ringscope`.
//!
//! A span costs what the `with` statement costs: objects come from a list of dead ones, names and keys are found by
//! the address of their text, and arguments are encoded without building anything for them. All of it is plain C API,
//! of the stable ABI of Python 3.9, since every wrapper costs more than the recording.
//!
//! Where to start reading: `span.rs` is the object; `frame.rs` its life from beginning to end; `lane.rs` finds the lane
//! of the running task. `interpreter.rs` is the border.

#![allow(unsafe_code, reason = "the C API of Python has no other kind")]

mod argument;
mod arguments;
mod bound;
mod drop_in;
mod event;
mod frame;
mod given;
mod guarded;
mod interpreter;
mod json;
mod key;
mod lane;
mod no_span;
mod number;
mod payload;
mod place;
mod setup;
mod span;
mod span_type;
mod thread;

use core::ptr;

use pyo3_ffi::*;

use interpreter::Method;

static FUNCTIONS: [Method; 27] = [
    Method::fast(c"span", span_type::make, c"span(name, *, cat='default', level='e2e', args=None, **arguments)\n--\n\nA new span: a context manager, or a decorator."),
    Method::fast(c"lap", span_type::make_lap, c"lap(name, *, cat='default', level='e2e', args=None, **arguments)\n--\n\nBegins adjacent spans that share their clock reads."),
    Method::fast(c"instant", event::instant, c"instant(name, *, cat='default', level='e2e', args=None, **arguments)\n--\n\nRecords a moment."),
    Method::fast(c"counter", event::counter, c"counter(name, value, *, cat='default', level='e2e')\n--\n\nRecords the value of a counter."),
    Method::fast(c"complete", event::complete, c"complete(name, start_ns, duration_ns, *, cat='default', level='e2e', args=None, **arguments)\n--\n\nRecords a span that is over, on CLOCK_MONOTONIC (see now_ns)."),
    Method::fast(c"_flow_out", event::flow_out, c""),
    Method::fast(c"_flow_in", event::flow_in, c""),
    Method::fast(c"async_begin", event::async_begin, c"async_begin(name, id, *, cat='default', level='e2e', args=None, **arguments)\n--\n\nBegins a span that may end on any lane of the process."),
    Method::fast(c"async_end", event::async_end, c"async_end(name, id, *, cat='default', level='e2e', args=None, **arguments)\n--\n\nEnds what async_begin began under this name and id."),
    Method::fast(c"_device_span", event::device_span, c""),
    Method::fast(c"_launch_span", event::launch_span, c""),
    Method::single(c"_id", event::id, c""),
    Method::single(c"_decorate_with", span_type::decorate_with, c""),
    Method::tuple(c"_start", setup::start, c""),
    Method::plain(c"_status", setup::status, c""),
    Method::single(c"_set_level", setup::set_level, c""),
    Method::single(c"_is_enabled", setup::is_enabled, c""),
    Method::single(c"process_name", setup::process_name, c"process_name(name, /)\n--\n\nNames the process in traces."),
    Method::single(c"thread_name", setup::thread_name, c"thread_name(name, /)\n--\n\nNames the calling thread in traces; the default is the name that threading has for it."),
    Method::plain(c"now_ns", setup::now_ns, c"now_ns()\n--\n\nCLOCK_MONOTONIC in nanoseconds."),
    Method::plain(c"_ticks", setup::ticks, c""),
    Method::tuple(c"_track", setup::track, c""),
    Method::tuple(c"_stream", setup::stream, c""),
    Method::tuple(c"_publish_clock_domain", setup::publish_clock_domain, c""),
    Method::tuple(c"_publish_anchor", setup::publish_anchor, c""),
    Method::plain(c"_generation", setup::generation, c""),
    Method::END,
];

/// The module's definition, which the interpreter keeps a pointer to and counts references in.
struct Definition(core::cell::UnsafeCell<PyModuleDef>);

// SAFETY: only the interpreter touches it, with the GIL held.
unsafe impl Sync for Definition {}

static DEFINITION: Definition = Definition(core::cell::UnsafeCell::new(PyModuleDef {
    m_base: PyModuleDef_HEAD_INIT,
    m_name: c"_ringscope".as_ptr(),
    m_doc: c"The native part of ringscope.".as_ptr(),
    m_size: -1,
    m_methods: ptr::null_mut(),
    m_slots: ptr::null_mut(),
    m_traverse: None,
    m_clear: None,
    m_free: None,
}));

/// Called by the interpreter when the module is imported.
///
/// # Safety
///
/// The GIL is held.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn PyInit__ringscope() -> *mut PyObject {
    // SAFETY: called by the interpreter, once a process: the module can't be imported by a second interpreter.
    unsafe {
        if !interpreter::prepare() || !lane::prepare() {
            return ptr::null_mut();
        }
        let module = PyModule_Create2(DEFINITION.0.get(), PYTHON_ABI_VERSION);
        if module.is_null() {
            return ptr::null_mut();
        }
        if PyModule_AddFunctions(module, FUNCTIONS[0].definition()) != 0
            || !span_type::add_types(module)
            || !drop_in::add_types(module)
        {
            Py_DecRef(module);
            return ptr::null_mut();
        }
        setup::set_default();
        module
    }
}
