//! A program with an output and an exit status of its own, whatever becomes of the recording.

use std::process::ExitCode;

use crate::numbered::Cycles;

/// Records on several threads, and computes something.
pub(crate) fn run() -> ExitCode {
    // What a call of the host left to be looked at.
    let left_errno = 77;
    // SAFETY: the pointer is to the thread's own errno.
    unsafe { *libc::__errno_location() = left_errno };
    ringscope::instant!("first");
    // SAFETY: as above.
    assert_eq!(unsafe { *libc::__errno_location() }, left_errno);
    let sum = |thread: u64| {
        let mut cycles = Cycles::new(thread);
        for _ in 0..100 {
            cycles.record_one();
        }
        cycles.number
    };
    let others: Vec<_> = (1..4)
        .map(|thread| std::thread::spawn(move || sum(thread)))
        .collect();
    let total: u64 = sum(0)
        + others
            .into_iter()
            .map(|other| other.join().expect("a thread does not panic"))
            .sum::<u64>();
    println!("total {total}");
    eprintln!("done");
    ExitCode::from(7)
}
