//! Ends of every kind, while four threads record. Option `how`: `segv`, `abort`, `_exit`, `exec`, `cancel`, `exit`, `return`,
//! `panic`, `oom`.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::numbered::Cycles;
use crate::options::Options;
use crate::output::say;

/// Records of a thread before the end comes.
const BEFORE: u64 = 1_600;
static BEGUN: AtomicU64 = AtomicU64::new(0);

/// Records, then ends as the option says.
pub(crate) fn run(options: &Options) {
    for thread in 1..4 {
        std::thread::spawn(move || record_for_ever(thread));
    }
    while BEGUN.load(Ordering::Relaxed) < 3 {
        std::thread::yield_now();
    }
    let _open = ringscope::span!("open at the end", how = options.word("how"));
    match options.word("how") {
        // SAFETY: the death is what was asked for.
        "segv" => unsafe { core::ptr::without_provenance_mut::<u64>(8).write_volatile(0) },
        "abort" => std::process::abort(),
        // SAFETY: ends the process at once.
        "_exit" => unsafe { libc::_exit(3) },
        "exit" => std::process::exit(3),
        "exec" => exec(),
        "cancel" => cancel(),
        "panic" => panic!("asked for"),
        "oom" => take_memory(),
        _ => {}
    }
}

fn record_for_ever(thread: u64) {
    let mut cycles = Cycles::new(thread);
    let mut begun = false;
    loop {
        cycles.record_one();
        if !begun && cycles.number >= BEFORE {
            begun = true;
            BEGUN.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The process becomes another program, which records under the same process id.
fn exec() {
    use std::os::unix::process::CommandExt;
    let program = std::env::current_exe().expect("this program has a path");
    let mut command = std::process::Command::new(program);
    let error = command
        .args(["numbered", "threads=1", "first-thread=9", "cycles=10"])
        .exec();
    panic!("exec failed: {error}");
}

/// A thread that is cancelled while it has spans open.
fn cancel() {
    extern "C-unwind" fn body(_: *mut libc::c_void) -> *mut libc::c_void {
        let mut cycles = Cycles::new(7);
        for _ in 0..10 {
            cycles.record_one();
        }
        let _open = ringscope::span!("cancelled", n = 1u64);
        loop {
            // SAFETY: a point at which threads are cancelled.
            unsafe { libc::pause() };
        }
    }
    type Body = extern "C" fn(*mut libc::c_void) -> *mut libc::c_void;
    // SAFETY: the two types differ in what may leave the function, and the C library lets its own unwinding do so. The
    // thread is joined once.
    unsafe {
        let body: Body = core::mem::transmute(body as extern "C-unwind" fn(_) -> _);
        let mut thread = core::mem::zeroed();
        let null = core::ptr::null_mut();
        libc::pthread_create(&mut thread, core::ptr::null(), body, null);
        libc::pthread_cancel(thread);
        libc::pthread_join(thread, core::ptr::null_mut());
    }
    say(format_args!("cancelled"));
}

/// Takes memory until the kernel ends the process.
fn take_memory() {
    let mut taken: Vec<Vec<u8>> = Vec::new();
    loop {
        taken.push(vec![1; 1 << 20]);
    }
}
