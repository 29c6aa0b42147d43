//! The device of a worker, played by its compute threads: each of them is a stream that runs one kernel at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ringscope::{ClockDomain, LaunchTicket};

use crate::process;

/// Counts the kernel calls of a worker process, and ends it in the middle of one where that was asked for.
pub(crate) struct KernelCalls {
    made: AtomicU64,
    kill_at: Option<u64>,
}

impl KernelCalls {
    /// Starts at zero; the process kills itself in call number `kill_at`.
    pub(crate) fn new(kill_at: Option<u64>) -> Self {
        Self {
            made: AtomicU64::new(0),
            kill_at,
        }
    }

    /// Counts one call.
    fn count(&self) {
        let call = self.made.fetch_add(1, Ordering::Relaxed) + 1;
        if Some(call) == self.kill_at {
            process::kill_this_process();
        }
    }
}

/// A stream of a worker's device.
pub(crate) struct Stream {
    /// The device, which has its worker's number.
    pub(crate) device: usize,
    /// Number on the device.
    pub(crate) number: usize,
    clock: ClockDomain,
    calls: Arc<KernelCalls>,
}

impl Stream {
    /// Stream `number` of `device`; all devices here have the host's clock.
    pub(crate) fn new(device: usize, number: usize, calls: Arc<KernelCalls>) -> Self {
        let clock = ringscope::clock_domain(1, 1_000_000_000, "CLOCK_MONOTONIC");
        let stream = Self {
            device,
            number,
            clock,
            calls,
        };
        stream.anchor();
        stream
    }

    /// Begins to run what was launched, until the guard is dropped.
    pub(crate) fn run(&self, launch: &LaunchTicket) -> Run {
        self.calls.count();
        Run {
            launch: *launch,
            clock: self.clock,
            start_ns: ringscope::now_ns(),
        }
    }

    fn anchor(&self) {
        let before = ringscope::ticks();
        let device = ringscope::now_ns();
        self.clock.anchor(before, device, ringscope::ticks());
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.anchor();
    }
}

/// A kernel that runs: recorded in the device's time when it is dropped.
pub(crate) struct Run {
    launch: LaunchTicket,
    clock: ClockDomain,
    start_ns: u64,
}

impl Drop for Run {
    fn drop(&mut self) {
        self.launch
            .device_span(self.start_ns, ringscope::now_ns(), self.clock);
    }
}
