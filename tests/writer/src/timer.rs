//! A timer that interrupts one thread by a signal, and the handler that records.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::script;

thread_local! {
    /// Number of the thread.
    static THREAD: Cell<u64> = const { Cell::new(0) };
    /// Records of the thread's handler so far.
    static HANDLED: Cell<u64> = const { Cell::new(0) };
}

/// Signals that were handled, by all threads.
pub(crate) static SIGNALS: AtomicU64 = AtomicU64::new(0);

/// Records of the calling thread's handler so far.
pub(crate) fn handled() -> u64 {
    HANDLED.get()
}

/// Installs the recording handler of `SIGALRM` for the process.
pub(crate) fn install_handler() {
    // SAFETY: the action is filled in whole; the handler touches thread-locals without destructors and the recorder.
    unsafe {
        let mut action: libc::sigaction = core::mem::zeroed();
        action.sa_sigaction = on_signal as *const () as usize;
        action.sa_flags = libc::SA_RESTART;
        libc::sigaction(libc::SIGALRM, &action, core::ptr::null_mut());
    }
}

/// Says which thread this is. To be called before its first signal.
pub(crate) fn set_thread(thread: u64) {
    THREAD.set(thread);
    HANDLED.set(0);
}

/// Blocks the signal for the calling thread, so that its handler's count stands still.
pub(crate) fn block() {
    // SAFETY: the set is filled in by the calls before it is used.
    unsafe {
        let mut set: libc::sigset_t = core::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGALRM);
        libc::pthread_sigmask(libc::SIG_BLOCK, &set, core::ptr::null_mut());
    }
}

/// Interrupts the calling thread `hz` times a second; 0 means never.
pub(crate) fn start(hz: u64) {
    if hz == 0 {
        return;
    }
    // SAFETY: gettid takes nothing and can't fail.
    let thread = unsafe { libc::gettid() };
    let period_ns = 1_000_000_000 / hz;
    arm(libc::SIGEV_THREAD_ID, libc::SIGALRM, thread, period_ns);
}

/// Lets the kernel kill the process `after_ns` from now, wherever its threads are then.
pub(crate) fn kill_process_after(after_ns: u64) {
    arm(libc::SIGEV_SIGNAL, libc::SIGKILL, 0, after_ns.max(1));
}

/// Makes a timer that sends `signal` each `period_ns`, for as long as the process lives.
fn arm(notify: libc::c_int, signal: libc::c_int, thread: libc::pid_t, period_ns: u64) {
    // SAFETY: event and times are filled in whole, and live until the calls return.
    unsafe {
        let mut event: libc::sigevent = core::mem::zeroed();
        event.sigev_notify = notify;
        event.sigev_signo = signal;
        event.sigev_notify_thread_id = thread;
        let mut timer: libc::timer_t = core::mem::zeroed();
        let made = libc::timer_create(libc::CLOCK_MONOTONIC, &mut event, &mut timer);
        assert_eq!(made, 0, "the test needs a timer");
        let period = libc::timespec {
            tv_sec: (period_ns / 1_000_000_000) as libc::time_t,
            tv_nsec: (period_ns % 1_000_000_000) as libc::c_long,
        };
        let times = libc::itimerspec {
            it_interval: period,
            it_value: period,
        };
        libc::timer_settime(timer, 0, &times, core::ptr::null_mut());
    }
}

extern "C" fn on_signal(_signal: libc::c_int) {
    let thread = THREAD.get() | script::HANDLER;
    for _ in 0..script::HANDLER_CYCLE {
        let number = HANDLED.get();
        record(thread, number);
        HANDLED.set(number + 1);
    }
    SIGNALS.fetch_add(1, Ordering::Release);
}

fn record(thread: u64, number: u64) {
    let id = script::id(thread, number);
    match number % script::HANDLER_CYCLE {
        0 => ringscope::instant!("handler.instant", id, cat = "handler"),
        1 => {
            let mut text = [0; script::HANDLER_TEXT];
            let text = script::fill_text(id, &mut text);
            drop(ringscope::span!("handler.span", id, text, cat = "handler"));
        }
        2 => ringscope::counter!("handler.counter", id, cat = "handler"),
        _ => ringscope::complete!(
            "handler.complete",
            script::start_ns(id),
            script::duration_ns(id),
            id,
            cat = "handler"
        ),
    }
}
