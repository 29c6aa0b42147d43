//! A run of devices keeps to the decoder's memory bound, and six times the steps take hardly more. One test, since it looks
//! at the memory of its process.

#![allow(clippy::unwrap_used, reason = "in a test a failure is a panic")]

mod common;

use common::memory::*;
use common::*;
use ringscope_ringbuf::layout::Kind;
use ringscope_ringbuf::reader::pack_duration;

/// What `ringscope`'s benchmark of the same name records at its full size: ranks whose devices run so many tasks a step.
const TASKS_PER_STEP: u64 = 15_600;
/// Tasks that a device runs at once.
const CORES: u64 = 24;
/// Places of a buffer that tasks are delivered in.
const BUFFER: u64 = 1_024;
/// Device ticks from a core's task to its next, from the launch of a graph to its first task, and of a step.
const TASK_TICKS: u64 = 1_500;
const LAUNCH_TICKS: u64 = 2_000;
const STEP_TICKS: u64 = LAUNCH_TICKS + TASKS_PER_STEP / CORES * TASK_TICKS + 10_000;
const STEPS: u64 = 18;
/// Held as events they would take more than the bound.
const _: () = assert!(STEPS * RANKS * TASKS_PER_STEP * 56 > BOUND_KIB << 10);

/// In which order the tasks of a graph are delivered, which has ended.
#[derive(Clone, Copy, Debug)]
enum Delivery {
    ByStart,
    /// Core after core.
    ByCore,
}

/// Number of the task at a place of the delivery.
fn delivered(delivery: Delivery, place: u64) -> u64 {
    let tasks_per_core = TASKS_PER_STEP / CORES;
    match delivery {
        Delivery::ByStart => place,
        Delivery::ByCore => place % tasks_per_core * CORES + place / tasks_per_core,
    }
}

/// Start and length of a task, in device ticks from the first task's start.
fn task_ticks(number: u64) -> (u64, u64) {
    let start = number / CORES * TASK_TICKS + number % CORES * (TASK_TICKS / CORES);
    (start, TASK_TICKS - 100 + number % 90)
}

/// A run whose ranks launch a graph a step, and what steers it, and hand on the tasks by the thousand once it has ended.
fn record_device(steps: u64, delivery: Delivery) -> TestRun {
    let run = TestRun::new();
    for rank in 0..RANKS as u32 {
        let mut process = run.process(100 + rank * 10, 1 + u64::from(rank));
        process.header.rank = (rank as i32).into();
        process.site(1, "decode_fwd", "kernel", &[]);
        process.site(2, "dispatch", "kernel", &[]);
        process.device_clock(4);
        process.stream(1, (rank, 0), 4, "");
        process.stream(2, (rank, 1), 4, "");
        let (launcher, collector) = (process.pid + 1, process.pid + 2);
        process.owner(0, launcher, 0, 0, "launcher");
        process.owner(1, collector, 0, 0, "collector");
        let host = process.ring(0, 12, launcher);
        let slots = steps * (TASKS_PER_STEP + TASKS_PER_STEP.div_ceil(BUFFER));
        let tasks = process.ring(1, slots.next_power_of_two().ilog2(), collector);
        for step in 0..steps {
            process.site(
                10 + step as u32,
                &format!("ProfilerStep#{step}"),
                "step",
                &[],
            );
            record_step(&host, step);
            deliver(&tasks, step, delivery);
        }
        process.finish();
    }
    run
}

fn step_start(step: u64) -> u64 {
    (1_000_000 + step * STEP_TICKS) * 2
}

/// The host's side of a step, and the execution of what steers it, in host ticks.
fn record_step(ring: &TestRing, step: u64) {
    let (start, graph) = (step_start(step), 2 * step + 1);
    let end = start + 2 * STEP_TICKS - 10_000;
    ring.put(
        Kind::Launch,
        2,
        [start + 100, pack_duration(20, 0), graph + 1],
        &[],
    );
    ring.put(
        Kind::Launch,
        1,
        [start + 200, pack_duration(20, 0), graph],
        &[],
    );
    let steers = [
        start / 2 + 500,
        pack_duration((end - start) / 2 - 1_000, 2),
        graph + 1,
    ];
    ring.put(Kind::DeviceSpan, 2, steers, &[]);
    let wait = [start + 300, pack_duration(end - start - 400, 0), graph];
    ring.put(Kind::Wait, 1, wait, &[]);
    ring.span(10 + step as u32, start, end);
}

fn deliver(ring: &TestRing, step: u64, delivery: Delivery) {
    let first_ticks = step_start(step) / 2 + LAUNCH_TICKS;
    let places: Vec<u64> = (0..TASKS_PER_STEP).collect();
    for (buffer, places) in (0..).zip(places.chunks(BUFFER as usize)) {
        let arrival = step_start(step) + 2 * STEP_TICKS - 9_000 + buffer * 10;
        let head = [arrival, pack_duration(places.len() as u64, 1), 2 * step + 1];
        ring.put(Kind::DeviceBatch, 1, head, &[]);
        for place in places {
            let number = delivered(delivery, *place);
            let (start, len) = task_ticks(number);
            let times = len | 40 << 32;
            ring.put(
                Kind::DeviceTask,
                3,
                [first_ticks + start, times, number],
                &[],
            );
        }
    }
}

/// What a run of so many steps holds.
fn made(steps: u64) -> Made {
    let batches = TASKS_PER_STEP.div_ceil(BUFFER);
    let step_ticks: u64 = (0..TASKS_PER_STEP).map(|task| task_ticks(task).1).sum();
    Made {
        records: steps * RANKS * (TASKS_PER_STEP + batches + 5),
        arrows: steps * RANKS,
        tasks: steps * RANKS * TASKS_PER_STEP,
        tasks_ns: steps * RANKS * step_ticks * 20,
        executions: steps * RANKS * TASKS_PER_STEP,
        steps,
    }
}

#[test]
fn device_runs_keep_to_the_bound_and_are_told_as_they_were_made() {
    let peak_of = |steps, delivery| {
        let name = format!("tasks {delivery:?}, {steps} steps");
        check_launches(&name, &record_device(steps, delivery), &made(steps))
    };
    let few_kib = peak_of(STEPS / 6, Delivery::ByStart);
    let many_kib = peak_of(STEPS, Delivery::ByStart);
    // The events are 100 MiB more.
    assert!(
        many_kib < few_kib + (32 << 10),
        "{few_kib} to {many_kib} KiB"
    );
    peak_of(STEPS, Delivery::ByCore);
}
