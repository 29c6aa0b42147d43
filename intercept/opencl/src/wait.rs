//! Calls in which the program waits: for a queue, for events, for a compiler.

use std::sync::Arc;

use ringscope::__private::{LEVEL_KERNEL, enabled};
use ringscope::{LaunchTicket, Span, Wait};

use crate::cl::{CommandQueue, Event};
use crate::queue::Queue;
use crate::registry::registry;
use crate::target;

/// A wait for all commands of a queue.
pub(crate) struct Finish {
    // Dropped first: it lies within the span.
    wait: Option<Wait>,
    span: Span,
    queue: Arc<Queue>,
}

impl Finish {
    pub(crate) fn begin(queue: CommandQueue) -> Option<Finish> {
        if !enabled(LEVEL_KERNEL) {
            return None;
        }
        let queue = registry().queue(queue)?;
        let span = ringscope::span!("clFinish", cat = "opencl", level = kernel);
        let newest = queue.commands().newest();
        Some(Finish {
            wait: newest.as_ref().map(LaunchTicket::wait),
            span,
            queue,
        })
    }

    pub(crate) fn end(self) {
        drop(self.wait);
        drop(self.span);
        self.queue.collect();
    }
}

/// A wait for events.
pub(crate) struct Events {
    wait: Option<Wait>,
    span: Span,
}

impl Events {
    pub(crate) fn begin(events: &[Event]) -> Option<Events> {
        if !enabled(LEVEL_KERNEL) {
            return None;
        }
        let span = ringscope::span!(
            "clWaitForEvents",
            cat = "opencl",
            level = kernel,
            events = events.len()
        );
        let launch = events.last().and_then(|event| {
            let queue = registry().known_queue(target::queue_of(*event)?)?;
            queue.commands().launch_of(*event)
        });
        Some(Events {
            wait: launch.as_ref().map(LaunchTicket::wait),
            span,
        })
    }

    pub(crate) fn end(self, events: &[Event]) {
        drop(self.wait);
        drop(self.span);
        let mut last = None;
        for queue in events.iter().filter_map(|event| target::queue_of(*event)) {
            if last.replace(queue) != Some(queue)
                && let Some(queue) = registry().known_queue(queue)
            {
                queue.collect();
            }
        }
    }
}

/// A call of the compiler.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Compiler {
    Build,
    Compile,
    Link,
}

/// The span of a call of the compiler.
pub(crate) fn compile(what: Compiler) -> Span {
    match what {
        Compiler::Build => ringscope::span!("clBuildProgram", cat = "opencl"),
        Compiler::Compile => ringscope::span!("clCompileProgram", cat = "opencl"),
        Compiler::Link => ringscope::span!("clLinkProgram", cat = "opencl"),
    }
}
