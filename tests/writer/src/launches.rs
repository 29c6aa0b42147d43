//! Kernel launches on two devices of one clock, with what a device would tell: spans, and tasks by the thousand.
//!
//! The device's clock is the host's in ticks of 20 ns; one kernel is timed by a second clock too, in ns, and launched again
//! in a forked child. Says of each launch its correlation id, its device's and stream's
//! numbers, and when the execution began and ended in CLOCK_MONOTONIC ns; then the widest bracket of an anchor, in ns.

use ringscope::{ClockDomain, DeviceTask, LaunchKind, LaunchTicket};

use crate::output::say;

/// A device's clock and its ticks.
#[derive(Clone, Copy)]
struct Clock {
    domain: ClockDomain,
    tick_ns: u64,
    base_ns: u64,
}

const TICK_NS: u64 = 20;
const LAUNCHES: u64 = 120;
/// Odd: the first clock is the last one too, and the one that the child uses.
const TIMED_BY_BOTH: usize = 7;
const TASKS: u64 = 3_000;

pub(crate) fn run() {
    let base_ns = ringscope::now_ns() - 1_000_000_000;
    let clock = |id: u32, tick_ns: u64| Clock {
        domain: ringscope::clock_domain(id, 1_000_000_000 / tick_ns, "counter"),
        tick_ns,
        base_ns,
    };
    let clocks = [clock(7, TICK_NS), clock(8, 1)];
    let anchor_all = || clocks.iter().map(Clock::anchor).max().expect("two");
    let mut widest_ns = anchor_all();
    let step = ringscope::step(0);
    for number in 0..LAUNCHES {
        launch(number, clocks[0]);
    }
    for number in 0..TIMED_BY_BOTH {
        said("launch", &timed(), clocks[number % 2], (0, 5));
    }
    // SAFETY: this is the only thread, and the child ends by itself.
    let child = unsafe { libc::fork() };
    if child == 0 {
        clocks[0].anchor();
        said("child", &timed(), clocks[0], (0, 5));
        std::process::exit(0);
    }
    // SAFETY: the status is not wanted; the child is this process's own.
    unsafe { libc::waitpid(child, core::ptr::null_mut(), 0) };
    copies();
    generic(7u64);
    generic("seven");
    tasks(clocks[0].domain, base_ns);
    drop(step);
    widest_ns = widest_ns.max(anchor_all());
    say(format_args!("bracket {widest_ns}"));
}

impl Clock {
    fn now(&self) -> u64 {
        (ringscope::now_ns() - self.base_ns) / self.tick_ns
    }

    /// The best of some anchors; its bracket in ns.
    fn anchor(&self) -> u64 {
        let tries = (0..100).map(|_| {
            let (before_ns, before) = (ringscope::now_ns(), ringscope::ticks());
            let device = self.now();
            let (after, after_ns) = (ringscope::ticks(), ringscope::now_ns());
            (after_ns - before_ns, before, device, after)
        });
        let (bracket_ns, before, device, after) = tries.min().expect("a hundred");
        self.domain.anchor(before, device, after);
        bracket_ns
    }
}

fn launch(number: u64, clock: Clock) {
    let (device, stream) = (number % 2, number % 3);
    let given = 1_000_000 + number;
    let launch = match number % 4 {
        0 => ringscope::launch!("matmul", device = device, stream = stream, block_dim = 24),
        1 => ringscope::launch!(
            "softmax",
            device = device,
            stream = stream,
            correlation = given,
            bytes = number,
            step = "one"
        ),
        2 => ringscope::launch!(
            format!("kernel {}", number % 8),
            device = device,
            stream = stream,
            rank = 3
        ),
        _ => ringscope::launch!(
            "late",
            device = device,
            stream = stream,
            text = "x".repeat(400)
        ),
    };
    said("launch", &launch.end(), clock, (device, stream));
}

/// A kernel whose executions are timed by one clock or the other.
fn timed() -> LaunchTicket {
    ringscope::launch!("kernel timed by both", stream = 5, rank = 3).end()
}

/// Waits for a launch, records its execution, and says when that was.
fn said(what: &str, ticket: &LaunchTicket, clock: Clock, (device, stream): (u64, u64)) {
    let start = clock.now();
    let wait = ticket.wait();
    let end = clock.now().max(start + 1);
    drop(wait);
    ticket.device_span(start, end, clock.domain);
    let ns = |ticks: u64| clock.base_ns + ticks * clock.tick_ns;
    say(format_args!(
        "{what} {} {device} {stream} {} {}",
        ticket.correlation(),
        ns(start),
        ns(end)
    ));
}

/// A copy and a fill, of which no device tells anything.
fn copies() {
    drop(ringscope::launch!(
        "copy",
        kind = LaunchKind::CopyToDevice,
        bytes = 4096
    ));
    drop(ringscope::launch!(
        "fill",
        kind = LaunchKind::Fill,
        stream = 1
    ));
}

/// One place whose argument has another type at each call.
fn generic<T: ringscope::Value>(value: T) {
    drop(ringscope::launch!("generic", value = value));
}

/// A graph of many tasks, every tenth place empty.
fn tasks(clock: ClockDomain, base_ns: u64) {
    let ticket = ringscope::launch!("graph", stream = 9).end();
    let first = (ringscope::now_ns() - base_ns) / TICK_NS;
    let task = |number: u64| DeviceTask {
        start_ticks: if number.is_multiple_of(10) {
            0
        } else {
            first + number * 2
        },
        end_ticks: first + number * 2 + 1,
        token: number,
        register_id: number as u32 % 16,
        receive_to_start_ticks: 1,
    };
    let tasks: Vec<DeviceTask> = (0..TASKS).map(task).collect();
    let empty = ticket.device_tasks(&tasks, clock);
    say(format_args!(
        "tasks {} {empty} {}",
        ticket.correlation(),
        base_ns + first * TICK_NS
    ));
}
