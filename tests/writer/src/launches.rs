//! Kernel launches on two devices of one clock, with what a device would tell: spans, and tasks by the thousand.
//!
//! The device's clock is the host's in ticks of 20 ns. Says of each launch its correlation id, its device's and stream's
//! numbers, and when the execution began and ended in CLOCK_MONOTONIC ns; then the widest bracket of an anchor, in ns.

use ringscope::{ClockDomain, DeviceTask, LaunchKind};

use crate::output::say;

const TICK_NS: u64 = 20;
const LAUNCHES: u64 = 120;
const TASKS: u64 = 3_000;

pub(crate) fn run() {
    let base_ns = ringscope::now_ns() - 1_000_000_000;
    let clock = ringscope::clock_domain(7, 1_000_000_000 / TICK_NS, "counter");
    let mut widest_ns = anchor(clock, base_ns);
    let step = ringscope::step(0);
    for number in 0..LAUNCHES {
        launch(number, clock, base_ns);
    }
    copies();
    generic(7u64);
    generic("seven");
    tasks(clock, base_ns);
    drop(step);
    widest_ns = widest_ns.max(anchor(clock, base_ns));
    say(format_args!("bracket {widest_ns}"));
}

fn device_ticks(base_ns: u64) -> u64 {
    (ringscope::now_ns() - base_ns) / TICK_NS
}

/// The best of some anchors; its bracket in ns.
fn anchor(clock: ClockDomain, base_ns: u64) -> u64 {
    let tries = (0..100).map(|_| {
        let (before_ns, before) = (ringscope::now_ns(), ringscope::ticks());
        let device = device_ticks(base_ns);
        let (after, after_ns) = (ringscope::ticks(), ringscope::now_ns());
        (after_ns - before_ns, before, device, after)
    });
    let (bracket_ns, before, device, after) = tries.min().expect("a hundred");
    clock.anchor(before, device, after);
    bracket_ns
}

fn launch(number: u64, clock: ClockDomain, base_ns: u64) {
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
    let ticket = launch.end();
    let start = device_ticks(base_ns);
    let wait = ticket.wait();
    let end = device_ticks(base_ns).max(start + 1);
    drop(wait);
    ticket.device_span(start, end, clock);
    say(format_args!(
        "launch {} {device} {stream} {} {}",
        ticket.correlation(),
        base_ns + start * TICK_NS,
        base_ns + end * TICK_NS
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
    let first = device_ticks(base_ns);
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
