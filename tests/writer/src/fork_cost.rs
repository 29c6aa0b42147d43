//! What a fork costs a process that records: run by hand, with and without `RINGSCOPE_DIR` (see `docs/reliability.md`).
//! Option `count`.
//!
//! Says the median time from the fork to the end of a child that ends at once, and of one that makes its first record.

use crate::options::Options;
use crate::output::say;

/// Measures as the option says.
pub(crate) fn run(options: &Options) {
    drop(ringscope::span!("before"));
    let count = options.number("count", 500);
    let bare = median_ns(count, || ());
    let recording = median_ns(count, || drop(ringscope::span!("in the child")));
    say(format_args!(
        "{} us a fork, {} us with the child's first record",
        bare / 1_000,
        recording / 1_000
    ));
}

fn median_ns(count: u64, body: impl Fn()) -> u64 {
    let mut times_ns: Vec<u64> = (0..count.max(1)).map(|_| fork_ns(&body)).collect();
    times_ns.sort_unstable();
    times_ns[times_ns.len() / 2]
}

fn fork_ns(body: impl Fn()) -> u64 {
    let start_ns = ringscope::now_ns();
    // SAFETY: the child calls the body, which may do what a fork's child may, and ends by `_exit`; it is waited for.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            body();
            libc::_exit(0);
        }
        let mut status = 0;
        libc::waitpid(child, &mut status, 0);
        assert_eq!(status, 0, "the child failed");
    }
    ringscope::now_ns() - start_ns
}
