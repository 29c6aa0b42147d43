//! A command from the call that enqueues it to its place among those that are pending.

use std::sync::Arc;

use ringscope::__private::{LEVEL_KERNEL, enabled};
use ringscope::{Launch, LaunchKind};

use crate::cl::{CommandQueue, Event, SUCCESS, Status};
use crate::pending::Command;
use crate::queue::Queue;
use crate::registry::registry;
use crate::target;

/// What a command does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work {
    /// Runs a kernel.
    Kernel {
        name: &'static [u8],
        work_items: u64,
        /// `None` where the implementation chooses.
        group_size: Option<u64>,
    },
    /// Copies or fills.
    Transfer {
        /// The function that enqueues it.
        name: &'static str,
        kind: LaunchKind,
        /// `None` where the call does not say.
        bytes: Option<u64>,
    },
}

/// A command that is being enqueued.
pub(crate) struct Begun {
    queue: Arc<Queue>,
    launch: Launch,
    before_ticks: u64,
}

/// What the call made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made {
    pub(crate) status: Status,
    /// Null where there is none.
    pub(crate) event: Event,
    /// The program asked for the event.
    pub(crate) is_shown: bool,
    /// The command is done when the call returns.
    pub(crate) was_waited_for: bool,
}

impl Begun {
    /// Begins the record; `None` when nothing is recorded.
    pub(crate) fn new(queue: CommandQueue, work: impl FnOnce() -> Work) -> Option<Begun> {
        if !enabled(LEVEL_KERNEL) {
            return None;
        }
        let queue = registry().queue(queue)?;
        let launch = launch(&queue, work());
        Some(Begun {
            queue,
            launch,
            before_ticks: ringscope::ticks(),
        })
    }

    /// Ends the host's side, and keeps the command until its times can be read.
    pub(crate) fn end(self, made: Made) {
        let after_ticks = ringscope::ticks();
        let ticket = self.launch.end();
        if made.status != SUCCESS {
            ringscope::instant!(
                "enqueue failed",
                status = made.status,
                cat = "opencl",
                level = kernel
            );
            return;
        }
        if made.event.is_null() || (made.is_shown && !target::retain(made.event)) {
            return;
        }
        self.queue.add(Command {
            event: made.event,
            is_shown: made.is_shown,
            ticket,
            call_ticks: (self.before_ticks, after_ticks),
        });
        if made.was_waited_for {
            self.queue.collect();
        }
    }
}

fn launch(queue: &Queue, work: Work) -> Launch {
    let (device, stream) = (queue.device.number, queue.stream);
    match work {
        Work::Kernel {
            name,
            work_items,
            group_size: Some(group_size),
        } => ringscope::launch!(
            name,
            device = device,
            stream = stream,
            work_items,
            group_size
        ),
        Work::Kernel {
            name, work_items, ..
        } => ringscope::launch!(name, device = device, stream = stream, work_items),
        Work::Transfer {
            name,
            kind,
            bytes: Some(bytes),
        } => ringscope::launch!(
            name,
            device = device,
            stream = stream,
            kind = kind,
            bytes,
            cat = "memcpy"
        ),
        Work::Transfer { name, kind, .. } => {
            ringscope::launch!(
                name,
                device = device,
                stream = stream,
                kind = kind,
                cat = "memcpy"
            )
        }
    }
}
