//! Commands whose device times are not read yet, and how that is done.
//!
//! Times are read by the program's own threads: where it waits for a queue, where it releases one, at every 64th command, and when
//! the process ends. A callback of the event would come in a thread of the implementation, which would lengthen what is measured, get
//! a ring of its own, and might still run while the process ends. Nothing waits here: what is not done stays for the next time.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use ringscope::LaunchTicket;

use crate::cl::{
    COMPLETE, Event, PROFILING_COMMAND_END, PROFILING_COMMAND_QUEUED, PROFILING_COMMAND_START,
};
use crate::device::Device;
use crate::registry::open;
use crate::target;

/// Commands after which a queue is looked through.
const COMMANDS_A_LOOK: u32 = 64;
/// How often the end of the process yields to threads that are just reading times.
const YIELDS_AT_END: u32 = 10_000;

/// Threads that have taken commands out of a list and not recorded them yet.
static COLLECTORS: AtomicU32 = AtomicU32::new(0);

/// A command that was enqueued.
#[derive(Debug)]
pub(crate) struct Command {
    /// Kept until the times are read.
    pub(crate) event: Event,
    /// The program has the event too.
    pub(crate) is_shown: bool,
    pub(crate) ticket: LaunchTicket,
    /// Host time before and after the call that enqueued it.
    pub(crate) call_ticks: (u64, u64),
}

/// What is known of a command's end.
enum End {
    NotYet,
    /// Done, or failed, and read.
    Read,
}

impl Command {
    /// Records when the device ran it, if it is done.
    fn read(&self, device: &Device) -> End {
        match target::status(self.event) {
            Some(status) if status > COMPLETE => return End::NotYet,
            // It failed, or nobody knows: a launch without a device time.
            Some(status) if status < COMPLETE => return End::Read,
            None => return End::Read,
            Some(_) => {}
        }
        let start_ns = target::time_ns(self.event, PROFILING_COMMAND_START);
        let end_ns = target::time_ns(self.event, PROFILING_COMMAND_END);
        if let (Some(start_ns), Some(end_ns)) = (start_ns, end_ns)
            && start_ns > 0
            && start_ns <= end_ns
        {
            self.ticket.device_span(start_ns, end_ns, device.clock);
            device.anchor(end_ns, self.call_ticks, || {
                let queued_ns = target::time_ns(self.event, PROFILING_COMMAND_QUEUED)?;
                (queued_ns > 0 && queued_ns <= start_ns).then_some(queued_ns)
            });
        }
        End::Read
    }
}

impl Drop for Command {
    fn drop(&mut self) {
        target::release(self.event);
    }
}

/// Commands of a queue, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    commands: Mutex<VecDeque<Command>>,
    /// Since the queue was looked through.
    count: AtomicU32,
}

impl Pending {
    /// Adds a command; true when it is time to look for those that are done.
    pub(crate) fn add(&self, command: Command) -> bool {
        open(self.commands.lock()).push_back(command);
        self.count.fetch_add(1, Ordering::Relaxed) + 1 >= COMMANDS_A_LOOK
    }

    /// The newest launch.
    pub(crate) fn newest(&self) -> Option<LaunchTicket> {
        open(self.commands.lock())
            .back()
            .map(|command| command.ticket)
    }

    /// The launch that made an event.
    pub(crate) fn launch_of(&self, event: Event) -> Option<LaunchTicket> {
        let commands = open(self.commands.lock());
        let made = commands.iter().rev().find(|one| one.event == event);
        made.map(|command| command.ticket)
    }

    /// True while an event of the program's is kept here too.
    pub(crate) fn shares(&self, event: Event) -> bool {
        let commands = open(self.commands.lock());
        commands
            .iter()
            .any(|one| one.is_shown && one.event == event)
    }

    /// Records the commands that are done; of a queue that works in order, up to the first that is not.
    pub(crate) fn collect(&self, device: &Device, is_in_order: bool) {
        self.count.store(0, Ordering::Relaxed);
        let _collector = Collector::begin();
        let mut taken = std::mem::take(&mut *open(self.commands.lock()));
        let mut left = VecDeque::new();
        while let Some(command) = taken.pop_front() {
            if let End::NotYet = command.read(device) {
                left.push_back(command);
                if is_in_order {
                    break;
                }
            }
        }
        left.append(&mut taken);
        if !left.is_empty() {
            let mut commands = open(self.commands.lock());
            // Those that came meanwhile are younger.
            left.append(&mut commands);
            *commands = left;
        }
    }
}

/// Counts a thread that collects, also through a panic.
struct Collector;

impl Collector {
    fn begin() -> Collector {
        COLLECTORS.fetch_add(1, Ordering::AcqRel);
        Collector
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        COLLECTORS.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Lets threads that have taken commands record them, for a while.
pub(crate) fn wait_for_collectors() {
    for _ in 0..YIELDS_AT_END {
        if COLLECTORS.load(Ordering::Acquire) == 0 {
            return;
        }
        std::thread::yield_now();
    }
}

/// In a forked child, the threads that collected are not there.
pub(crate) fn forget_collectors() {
    COLLECTORS.store(0, Ordering::Release);
}
