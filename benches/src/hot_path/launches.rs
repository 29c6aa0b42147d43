//! The cases of kernel launches.

use ringscope::{ClockDomain, DeviceTask, LaunchTicket};
use ringscope_benches::case::Case;

fn clock() -> ClockDomain {
    ringscope::clock_domain(1, 50_000_000, "counter")
}

/// A launch whose device times are known at once: two records.
pub(crate) struct Launch {
    clock: ClockDomain,
}

impl Launch {
    pub(crate) fn new() -> Launch {
        Launch { clock: clock() }
    }
}

impl Case for Launch {
    const NAME: &'static str = "launch and device span";

    #[inline(always)]
    fn call(&mut self, number: u64, inside: impl FnOnce()) {
        let launch = ringscope::launch!("launch", stream = 3);
        inside();
        launch.end().device_span(number, number + 100, self.clock);
    }
}

/// Tasks as a runtime delivers them.
pub(crate) struct DeviceTasks {
    clock: ClockDomain,
    launch: Option<LaunchTicket>,
    tasks: Box<[DeviceTask]>,
}

impl DeviceTasks {
    pub(crate) fn new() -> DeviceTasks {
        let task = |number: u64| DeviceTask {
            start_ticks: 100 + number,
            end_ticks: 150 + number,
            token: number,
            register_id: 3,
            receive_to_start_ticks: 1,
        };
        DeviceTasks {
            clock: clock(),
            launch: None,
            tasks: (0..Self::RECORDS_PER_CALL - 1).map(task).collect(),
        }
    }
}

impl Case for DeviceTasks {
    const NAME: &'static str = "device task, in a batch";
    /// A batch is one record more than its tasks.
    const RECORDS_PER_CALL: u64 = 128;

    #[inline(always)]
    fn call(&mut self, _number: u64, inside: impl FnOnce()) {
        if let Some(launch) = &self.launch {
            launch.device_tasks(&self.tasks, self.clock);
        }
        inside();
    }

    fn before(&mut self) {
        self.launch = Some(ringscope::launch!("graph", stream = 4).end());
    }
}
