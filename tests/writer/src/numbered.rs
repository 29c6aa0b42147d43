//! Threads that record numbered records, for ever or for a number of cycles.
//!
//! Options: `threads`, `first-thread`, `cycles` (0: for ever), `signal-hz` (each thread's handler), `begun-after` (records
//! of each thread after which the line `begun PID` is said), `kill-after-us` (the kernel kills the process
//! so long after that, or after the start with `kill-early=1`), `short` (threads that each make and join threads of a short
//! life, one after the other, for as long as the process lives), `fork` and `spawn` (threads of a forked and of a spawned
//! process beside this one).

use std::sync::atomic::{AtomicU64, Ordering};

use crate::options::Options;
use crate::output::say;
use crate::{script, timer};

/// What every thread needs to know.
#[derive(Clone, Copy)]
struct Plan {
    threads: u64,
    first_thread: u64,
    cycles: u64,
    signal_hz: u64,
    begun_after: u64,
    kill_after_us: Option<u64>,
    short: u64,
}

/// Threads that have recorded enough for `begun`.
static BEGUN: AtomicU64 = AtomicU64::new(0);

/// Records as the options say.
pub(crate) fn run(options: &Options) {
    let plan = Plan {
        threads: options.number("threads", 1),
        first_thread: options.number("first-thread", 0),
        cycles: options.number("cycles", 0),
        signal_hz: options.number("signal-hz", 0),
        begun_after: options.number("begun-after", 0),
        kill_after_us: options.word("kill-after-us").parse().ok(),
        short: options.number("short", 0),
    };
    if options.number("kill-early", 0) == 1 {
        timer::kill_process_after(options.number("kill-after-us", 0) * 1_000);
    }
    let (forked, spawned) = (options.number("fork", 0), options.number("spawn", 0));
    let child = (forked > 0).then(|| fork_child(plan, forked));
    let other = (spawned > 0).then(|| spawn_other(plan, plan.threads + forked, spawned));
    record(plan);
    if let Some(child) = child {
        let mut status = 0;
        // SAFETY: waits for the child made above.
        unsafe { libc::waitpid(child, &mut status, 0) };
        assert_eq!(status, 0, "the forked child failed");
    }
    if let Some(mut other) = other {
        assert!(
            other.wait().is_ok_and(|status| status.success()),
            "the spawned child failed"
        );
    }
}

/// Forks after a record, so that the child has a parent that records; the child's threads follow the parent's.
fn fork_child(plan: Plan, threads: u64) -> libc::pid_t {
    drop(ringscope::span!("before fork"));
    // SAFETY: the process has one thread yet.
    match unsafe { libc::fork() } {
        0 => {
            let first_thread = plan.first_thread + plan.threads;
            record(Plan {
                threads,
                first_thread,
                ..plan
            });
            std::process::exit(0)
        }
        child => child,
    }
}

fn spawn_other(plan: Plan, first_thread: u64, threads: u64) -> std::process::Child {
    let program = std::env::current_exe().expect("this program has a path");
    std::process::Command::new(program)
        .arg("numbered")
        .arg(format!("threads={threads}"))
        .arg(format!("first-thread={first_thread}"))
        .arg(format!("cycles={}", plan.cycles))
        .spawn()
        .expect("this program can be started again")
}

fn record(plan: Plan) {
    timer::install_handler();
    let start = |thread| std::thread::spawn(move || work(thread, plan));
    let first = plan.first_thread;
    let workers: Vec<_> = (first + 1..first + plan.threads).map(start).collect();
    for maker in 0..plan.short {
        std::thread::spawn(move || make_short_threads(maker));
    }
    work(first, plan);
    for worker in workers {
        worker.join().expect("a worker does not panic");
    }
}

/// The life of one thread.
fn work(thread: u64, plan: Plan) {
    timer::set_thread(thread);
    ringscope::prepare_thread();
    let mut cycles = Cycles::new(thread);
    timer::start(plan.signal_hz);
    let mut begun = false;
    while plan.cycles == 0 || cycles.number < plan.cycles * script::CYCLE {
        cycles.record_one();
        if !begun && cycles.number >= plan.begun_after {
            begun = true;
            wait_for_the_others(plan);
        }
    }
    timer::block();
    say(format_args!(
        "recorded {} {thread} {} {}",
        std::process::id(),
        cycles.number,
        timer::handled()
    ));
}

/// The last thread to come says so; the others wait, so that none is far ahead.
fn wait_for_the_others(plan: Plan) {
    if BEGUN.fetch_add(1, Ordering::Relaxed) + 1 == plan.threads {
        say(format_args!("begun {}", std::process::id()));
        if let Some(us) = plan.kill_after_us {
            timer::kill_process_after(us * 1_000);
        }
    }
    while BEGUN.load(Ordering::Relaxed) < plan.threads {
        std::thread::yield_now();
    }
}

/// Threads one after the other: each takes over the ring of the one before it.
pub(crate) fn make_short_threads(maker: u64) {
    for life in 0.. {
        let thread = script::FIRST_SHORT_THREAD * (maker + 1) + life % script::FIRST_SHORT_THREAD;
        let short = std::thread::spawn(move || {
            let mut cycles = Cycles::new(thread);
            while cycles.number < script::SHORT_LIFE {
                cycles.record_one();
            }
        });
        short.join().expect("a short life ends well");
    }
}

/// A thread's numbered records.
pub(crate) struct Cycles {
    thread: u64,
    /// Number of the next record.
    pub(crate) number: u64,
    track: ringscope::Track,
}

impl Cycles {
    /// Of this thread, from number 0.
    pub(crate) fn new(thread: u64) -> Cycles {
        let track = ringscope::track(format!("track {thread}"));
        Cycles {
            thread,
            number: 0,
            track,
        }
    }

    /// Records the next sixteen.
    pub(crate) fn record_one(&mut self) {
        self.record_short();
        self.record_long();
        self.number += script::CYCLE;
    }

    fn id(&self, of_cycle: u64) -> u64 {
        script::id(self.thread, self.number + of_cycle)
    }

    fn record_short(&self) {
        ringscope::instant!("instant", id = self.id(0));
        ringscope::counter!("counter", self.id(1));
        plain(script::plain_index(self.number), self.id(2));
        {
            let _root = ringscope::span!("root", id = self.id(5), cat = "tree");
            let _branch = ringscope::span!("branch", id = self.id(4), cat = "tree", level = kernel);
            let _leaf = ringscope::span!("leaf", id = self.id(3), cat = "tree", level = kernel);
        }
    }

    fn record_long(&self) {
        let mut buffer = [0; script::LONG_TEXT];
        let (id, number) = (self.id(6), self.number + 6);
        let text = script::fill_text(id, &mut buffer[..script::wide_len(number)]);
        let ratio = script::ratio(self.thread, number);
        let flag = script::mixed(id) & 1 == 1;
        let handled = timer::handled();
        drop(ringscope::span!("wide", id, text, ratio, flag, handled));
        {
            let id = self.id(7);
            let late = ringscope::span!("late", id);
            late.record("twice", id as i64 * 2);
            late.record("word", script::fill_text(id, &mut buffer[..24]));
        }
        let id = self.id(8);
        ringscope::complete!(
            "complete",
            script::start_ns(id),
            script::duration_ns(id),
            id
        );
        let mut lap = ringscope::lap!("lap.one");
        lap.next("lap.two");
        drop(lap);
        let name = format!("named {}", script::name_index(self.number));
        drop(ringscope::span!(name, id = self.id(11)));
        drop(ringscope::span!(
            "tracked",
            id = self.id(12),
            track = self.track
        ));
        let id = self.id(13);
        let text = script::fill_text(id, &mut buffer);
        ringscope::instant!("long", id, text);
        ringscope::counter!("ratio", script::ratio(self.thread, self.number + 14));
        instrumented(self.id(15));
    }
}

#[ringscope::instrument(args(id = id))]
fn instrumented(id: u64) {}

/// A span at one of eight places.
fn plain(index: u64, id: u64) {
    let span = match index {
        0 => ringscope::span!("plain.0", id),
        1 => ringscope::span!("plain.1", id),
        2 => ringscope::span!("plain.2", id),
        3 => ringscope::span!("plain.3", id),
        4 => ringscope::span!("plain.4", id),
        5 => ringscope::span!("plain.5", id),
        6 => ringscope::span!("plain.6", id),
        _ => ringscope::span!("plain.7", id),
    };
    drop(span);
}
