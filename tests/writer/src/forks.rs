//! Processes forked in every way there is. Each says `recorded PID THREAD RECORDS 0` for what it recorded.
//!
//! Option `how`: `fork`, `clone` (the bare system call), `_Fork`, `double` (a child's child), `inside` (the fork happens
//! inside a span, whose guard ends in both), `vfork` (a child that has its parent's memory until it ends), `server` (a child
//! that records nothing forks ten that record side by side), `unrecorded` (a child that records nothing), `storm` (many forks while
//! threads record and come and go), `orphan` (the parent ends first; the child lives until its standard input ends).

use crate::numbered::{Cycles, make_short_threads};
use crate::options::Options;
use crate::output::say;
use crate::script;

const CYCLES: u64 = 20;

unsafe extern "C" {
    fn _Fork() -> libc::pid_t;
}

/// Forks as the option says.
pub(crate) fn run(options: &Options) {
    let mut own = Cycles::new(0);
    record(&mut own);
    match options.word("how") {
        "clone" => with_child(raw_clone, || record_and_say(1)),
        // SAFETY: as `fork`, without the handlers of pthread_atfork; the child records and ends.
        "_Fork" => with_child(|| unsafe { _Fork() }, || record_and_say(1)),
        "double" => with_child(fork, || {
            record_and_say(1);
            with_child(fork, || record_and_say(2));
        }),
        "inside" => inside(),
        "vfork" => vfork(&mut own),
        "server" => with_child(fork, serve),
        "unrecorded" => with_child(fork, || ()),
        "storm" => storm(),
        "orphan" => orphan(),
        _ => with_child(fork, || record_and_say(1)),
    }
    record(&mut own);
    say_recorded(0, own.number);
}

fn record(cycles: &mut Cycles) {
    for _ in 0..CYCLES {
        cycles.record_one();
    }
}

fn record_and_say(thread: u64) {
    let mut cycles = Cycles::new(thread);
    record(&mut cycles);
    say_recorded(thread, cycles.number);
}

fn say_recorded(thread: u64, records: u64) {
    // The kernel is asked: after a bare clone, a library's own idea of the process may be the parent's.
    // SAFETY: getpid takes nothing and can't fail.
    let process = unsafe { libc::syscall(libc::SYS_getpid) };
    say(format_args!("recorded {process} {thread} {records} 0"));
}

fn fork() -> libc::pid_t {
    // SAFETY: the child records and ends by `_exit`.
    unsafe { libc::fork() }
}

fn raw_clone() -> libc::pid_t {
    // SAFETY: a fork without shared memory; the child uses what a fork's child may use, and ends by `_exit`.
    unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) as libc::pid_t }
}

/// Runs `body` in a child, which then ends by `_exit`, and waits for it.
fn with_child(make: impl FnOnce() -> libc::pid_t, body: impl FnOnce()) {
    let child = start_child(make, body);
    let mut status = 0;
    // SAFETY: waits for the child made above.
    unsafe { libc::waitpid(child, &mut status, 0) };
    assert_eq!(status, 0, "the child failed");
}

fn start_child(make: impl FnOnce() -> libc::pid_t, body: impl FnOnce()) -> libc::pid_t {
    let child = make();
    assert!(child >= 0, "the test needs a child");
    if child == 0 {
        body();
        // SAFETY: ends the child at once, without destructors or exit handlers.
        unsafe { libc::_exit(0) }
    }
    child
}

fn inside() {
    let outer = ringscope::span!("inherited", id = script::id(0, 0));
    let mut outer = Some(outer);
    let child = start_child(fork, || {
        drop(outer.take());
        record_and_say(1);
    });
    let mut status = 0;
    // SAFETY: waits for the child made above.
    unsafe { libc::waitpid(child, &mut status, 0) };
    assert_eq!(status, 0, "the child failed");
    drop(outer);
}

/// A child in this process's memory, as `vfork` and `posix_spawn` make it: this thread waits until it has ended, so that
/// its records are this thread's own.
fn vfork(own: &mut Cycles) {
    extern "C" fn body(cycles: *mut libc::c_void) -> libc::c_int {
        // SAFETY: the caller passed its cycles, and waits.
        record(unsafe { &mut *cycles.cast::<Cycles>() });
        0
    }
    let mut stack = vec![0u128; 16 << 10];
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    let mut status = 0;
    // SAFETY: the child has a stack of its own, whose end is passed, and ends by returning before this call does.
    unsafe {
        let top = stack.as_mut_ptr_range().end.cast();
        let child = libc::clone(body, top, flags, core::ptr::from_mut(own).cast());
        assert!(child > 0, "the test needs a child");
        libc::waitpid(child, &mut status, 0);
    }
    assert_eq!(status, 0, "the child failed");
}

/// Ten children side by side, as a fork server makes them.
fn serve() {
    let children: Vec<libc::pid_t> = (1..=10)
        .map(|thread| start_child(fork, || record_and_say(thread)))
        .collect();
    for child in children {
        let mut status = 0;
        // SAFETY: waits for a child made above.
        unsafe { libc::waitpid(child, &mut status, 0) };
        assert_eq!(status, 0, "a child failed");
    }
}

/// Fifty children of a process whose four threads record and whose other threads come and go.
fn storm() {
    for busy in 0..2 {
        std::thread::spawn(move || make_short_threads(busy));
        std::thread::spawn(move || {
            let mut cycles = Cycles::new(100 + busy);
            loop {
                cycles.record_one();
            }
        });
    }
    for child in 0..50 {
        with_child(fork, || record_and_say(1 + child));
    }
}

/// A child that outlives its parent.
fn orphan() {
    start_child(fork, || {
        record_and_say(1);
        let mut byte = 0u8;
        // SAFETY: reads into a live byte; the end of the input means that the test is done.
        unsafe { libc::read(0, (&raw mut byte).cast(), 1) };
    });
}
