//! One thread that records as fast as it can while another one sends it signals as fast as it can, whose handler
//! records too. Options: `cycles` of the thread and records `handled` by the handler, at least.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::numbered::Cycles;
use crate::options::Options;
use crate::output::say;
use crate::{script, timer};

/// The thread has recorded enough.
static OVER: AtomicBool = AtomicBool::new(false);

/// Says the exact numbers recorded by the thread and its handler at the end.
pub(crate) fn run(options: &Options) {
    let records = options.number("cycles", 10_000) * script::CYCLE;
    let handled = options.number("handled", 1_000);
    timer::install_handler();
    timer::set_thread(0);
    ringscope::prepare_thread();
    // SAFETY: gettid and getpid take nothing and can't fail.
    let (process, thread) = unsafe { (libc::getpid(), libc::gettid()) };
    let storm = std::thread::spawn(move || send_signals(process, thread));
    let mut cycles = Cycles::new(0);
    while cycles.number < records || timer::handled() < handled {
        cycles.record_one();
        // On a busy machine the sender may wait for this very processor.
        if cycles.number.is_multiple_of(64 * script::CYCLE) {
            std::thread::yield_now();
        }
    }
    timer::block();
    OVER.store(true, Ordering::Relaxed);
    storm.join().expect("the storm ends well");
    say(format_args!(
        "recorded {process} 0 {} {}",
        cycles.number,
        timer::handled()
    ));
}

/// Sends the next signal a few moments after the last one was handled, so that it comes between any two instructions
/// and never starves the thread.
fn send_signals(process: libc::pid_t, thread: libc::pid_t) {
    let mut number = 0u64;
    while !OVER.load(Ordering::Relaxed) {
        // SAFETY: the thread lives until the storm is over, and has a handler.
        unsafe { libc::syscall(libc::SYS_tgkill, process, thread, libc::SIGALRM) };
        number += 1;
        while timer::SIGNALS.load(Ordering::Acquire) < number && !OVER.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
        for _ in 0..script::mixed(number) % 500 {
            core::hint::spin_loop();
        }
    }
}
