//! A counter that a thread and the signal handlers on it share: no number is taken twice.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ringscope_ringbuf::sync::next_unshared;

/// Signals that are handled before the test is over.
const HANDLED: u64 = 5_000;

static COUNTER: AtomicU64 = AtomicU64::new(0);
/// The number that the handler took last.
static BY_HANDLER: AtomicU64 = AtomicU64::new(u64::MAX);
static HANDLER_CALLS: AtomicU64 = AtomicU64::new(0);
static OVER: AtomicBool = AtomicBool::new(false);

extern "C" fn on_signal(_signal: libc::c_int) {
    BY_HANDLER.store(next_unshared(&COUNTER), Ordering::Relaxed);
    HANDLER_CALLS.fetch_add(1, Ordering::Release);
}

/// Interrupts the thread again as soon as it has handled the last signal, each time after another moment.
fn interrupt(thread: libc::pthread_t) {
    for number in 0.. {
        while HANDLER_CALLS.load(Ordering::Acquire) < number {
            if OVER.load(Ordering::Relaxed) {
                return;
            }
            std::thread::yield_now();
        }
        (0..number * 7 % 300).for_each(|_| core::hint::spin_loop());
        if OVER.load(Ordering::Relaxed) {
            return;
        }
        // SAFETY: the thread waits for this one before it ends.
        unsafe { libc::pthread_kill(thread, libc::SIGUSR1) };
    }
}

#[test]
fn a_thread_and_its_handler_never_take_the_same_number() {
    // SAFETY: the action is filled in whole; its handler touches atomics alone.
    let thread = unsafe {
        let mut action: libc::sigaction = core::mem::zeroed();
        action.sa_sigaction = on_signal as *const () as usize;
        libc::sigaction(libc::SIGUSR1, &action, core::ptr::null_mut());
        libc::pthread_self()
    };
    let storm = std::thread::spawn(move || interrupt(thread));
    let mut twice = 0;
    while HANDLER_CALLS.load(Ordering::Relaxed) < HANDLED {
        for _ in 0..100_000 {
            let number = next_unshared(&COUNTER);
            // A handler that came in between has just taken its own.
            twice += u64::from(number == BY_HANDLER.load(Ordering::Relaxed));
        }
        std::thread::yield_now();
    }
    OVER.store(true, Ordering::Relaxed);
    storm.join().unwrap();
    assert_eq!(twice, 0, "numbers were taken twice");
}
