//! A run as a serving stack leaves it whose runtime tells every task of its devices: one process a rank, each with a
//! thread that launches a graph a step and one that collects 32-byte task records and hands them on by the thousand,
//! once the graph has ended.
//!
//! What the devices do is made up; everything else takes the time it takes, so that launches, tasks, arrivals and waits
//! lie to one another as they do in such a stack: 20 ms a step, of which a task takes 30 us.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use ringscope::{ClockDomain, Config, DeviceTask, LaunchTicket, Mode};

use crate::spans::MAX_RUN_BYTES;

/// Processes, each with a device of its own.
pub(crate) const RANKS: u64 = 8;
/// Tasks that the device of a rank runs in a step.
pub(crate) const TASKS_PER_STEP: u64 = 15_600;
/// Tasks that a device runs at once.
const CORES: u64 = 24;
/// Places of a buffer that tasks are delivered in.
const BUFFER: usize = 1_024;
/// Spans of the host around the launches of a step, beside its mark.
const SPANS_PER_STEP: u64 = 20;

/// Ticks a second of a device's counter.
const DEVICE_HZ: u64 = 50_000_000;
const NS_PER_TICK: u64 = 1_000_000_000 / DEVICE_HZ;
/// From the launch of a graph to its first task.
const LAUNCH_TICKS: u64 = 2_000;
/// From a core's task to its next.
const TASK_TICKS: u64 = 1_500;
/// By which the cores begin one after the other.
const CORE_TICKS: u64 = TASK_TICKS / CORES;

/// Records a run of so many steps in `dir`, a process a rank.
pub(crate) fn record(steps: u64, dir: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("record: {}: {error}", dir.display());
    DirBuilder::new().mode(0o700).create(dir).map_err(failed)?;
    let program = std::env::current_exe().map_err(failed)?;
    let start = |rank: u64| {
        let mut command = Command::new(&program);
        command.args(["record-rank", &rank.to_string(), &steps.to_string()]);
        command.arg(dir).spawn().map_err(failed)
    };
    let ranks: Result<Vec<_>, _> = (0..RANKS).map(start).collect();
    for mut rank in ranks? {
        let status = rank.wait().map_err(failed)?;
        if !status.success() {
            return Err(format!("record-rank: {status}"));
        }
    }
    Ok(())
}

/// Records what one rank does in so many steps.
pub(crate) fn record_rank(rank: u64, steps: u64, dir: &Path) -> Result<(), String> {
    let config = Config::new()
        .run_dir(dir)
        .rank(rank as u32)
        .process_name(&format!("chip-worker-{rank}"))
        .mode(Mode::Full)
        .max_size(MAX_RUN_BYTES);
    ringscope::init(config).map_err(|error| format!("recorder: {error}"))?;
    let device = Device::new(rank);
    let (graphs, collected) = channel();
    let collector = thread::Builder::new()
        .name("collector".to_owned())
        .spawn(move || collect(device, &collected))
        .map_err(|error| format!("collector: {error}"))?;
    for step in 0..steps {
        let _step = ringscope::step(step);
        host_spans(step);
        device.anchor();
        let graph = run_graph(device, step);
        // Only a collector that is gone takes no more, and then `join` tells.
        let _ = graphs.send(graph);
    }
    drop(graphs);
    collector
        .join()
        .map_err(|_| "collector: it panicked".to_owned())
}

fn host_spans(step: u64) {
    for layer in 0..SPANS_PER_STEP {
        let _span = ringscope::span!("worker.prepare", step, layer, cat = "worker");
    }
}

/// A device with a counter of its own.
#[derive(Clone, Copy)]
struct Device {
    rank: u64,
    clock: ClockDomain,
    /// When the counter began to count.
    origin: Instant,
    first_ticks: u64,
}

impl Device {
    fn new(rank: u64) -> Device {
        Device {
            rank,
            clock: ringscope::clock_domain(1, DEVICE_HZ, "sys_cnt"),
            origin: Instant::now(),
            first_ticks: (rank + 1) << 40,
        }
    }

    fn ticks(self) -> u64 {
        self.first_ticks + self.origin.elapsed().as_nanos() as u64 / NS_PER_TICK
    }

    fn anchor(self) {
        let before = ringscope::ticks();
        let device = self.ticks();
        self.clock.anchor(before, device, ringscope::ticks());
    }

    fn wait_for(self, ticks: u64) {
        let left = ticks.saturating_sub(self.ticks());
        thread::sleep(Duration::from_nanos(left * NS_PER_TICK));
    }
}

/// A graph that has ended.
struct Graph {
    tasks_of: LaunchTicket,
    step: u64,
    start_ticks: u64,
}

/// Launches what steers a graph and the graph itself, and waits for its end.
fn run_graph(device: Device, step: u64) -> Graph {
    let number = device.rank as u32;
    let steering = ringscope::launch!("aicpu.dispatch", device = number, stream = 1, step).end();
    let graph = ringscope::launch!(
        "qwen3.decode_fwd",
        device = number,
        stream = 0,
        block_dim = 24,
        step
    );
    let launched_ticks = device.ticks();
    let tasks_of = graph.end();
    let start_ticks = launched_ticks + LAUNCH_TICKS;
    let end_ticks = start_ticks + task_start(TASKS_PER_STEP) + 2 * TASK_TICKS;
    let wait = tasks_of.wait();
    device.wait_for(end_ticks);
    drop(wait);
    steering.device_span(launched_ticks + LAUNCH_TICKS / 2, end_ticks, device.clock);
    Graph {
        tasks_of,
        step,
        start_ticks,
    }
}

/// Ticks from the start of the graph to that of a task.
fn task_start(number: u64) -> u64 {
    number / CORES * TASK_TICKS + number % CORES * CORE_TICKS
}

/// Hands on the tasks of graphs that have ended, buffer by buffer.
fn collect(device: Device, graphs: &Receiver<Graph>) {
    let mut buffer = Vec::with_capacity(BUFFER);
    for graph in graphs {
        let numbers: Vec<u64> = (0..TASKS_PER_STEP).collect();
        for numbers in numbers.chunks(BUFFER) {
            buffer.clear();
            buffer.extend(numbers.iter().map(|number| task(&graph, *number)));
            graph.tasks_of.device_tasks(&buffer, device.clock);
        }
    }
}

fn task(graph: &Graph, number: u64) -> DeviceTask {
    let start_ticks = graph.start_ticks + task_start(number);
    let token = graph.step << 32 | number;
    DeviceTask {
        start_ticks,
        end_ticks: start_ticks + TASK_TICKS - 100 + token.wrapping_mul(0x9E37_79B9_7F4A_7C15) % 100,
        token,
        register_id: (number % CORES) as u32,
        receive_to_start_ticks: 40,
    }
}
