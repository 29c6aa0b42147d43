//! Queues: what the program asked for, what they do underneath, and their commands.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::cl::{
    CommandQueue, Event, QUEUE_ON_DEVICE, QUEUE_OUT_OF_ORDER, QUEUE_PROFILING, QUEUE_PROPERTIES,
    QueueFlags, QueueProperty,
};
use crate::device::Device;
use crate::pending::{Command, Pending};

/// Pairs of key and value in the properties of a queue at most: more are left as they are.
const MAX_PAIRS: usize = 64;

/// A queue.
pub(crate) struct Queue {
    pub(crate) handle: CommandQueue,
    pub(crate) device: &'static Device,
    /// Number of its stream on the device.
    pub(crate) stream: u32,
    is_in_order: bool,
    /// It measures times though the program did not ask for them.
    hides_profiling: AtomicBool,
    /// What the program gave as properties, with the 0 at the end; `None` where it gave flags, or nothing.
    pub(crate) asked: Option<Vec<QueueProperty>>,
    /// References that the program has.
    references: AtomicU32,
    commands: Pending,
}

impl Queue {
    /// A queue that does what the program asked for.
    pub(crate) fn new(handle: CommandQueue, device: &'static Device, flags: QueueFlags) -> Queue {
        Queue {
            handle,
            device,
            stream: device.take_stream(),
            is_in_order: flags & QUEUE_OUT_OF_ORDER == 0,
            hides_profiling: AtomicBool::new(false),
            asked: None,
            references: AtomicU32::new(1),
            commands: Pending::default(),
        }
    }

    /// The same with more underneath.
    pub(crate) fn hiding(self, hides: bool, asked: Option<Vec<QueueProperty>>) -> Queue {
        Queue {
            hides_profiling: AtomicBool::new(hides),
            asked,
            ..self
        }
    }

    /// True when the program must not see that times are measured.
    pub(crate) fn hides_profiling(&self) -> bool {
        self.hides_profiling.load(Ordering::Acquire)
    }

    /// The program has switched profiling by itself: what it sees is what there is.
    pub(crate) fn profiling_was_switched(&self) {
        self.hides_profiling.store(false, Ordering::Release);
    }

    /// Flags as the program may see them.
    pub(crate) fn shown(&self, flags: QueueFlags) -> QueueFlags {
        match self.hides_profiling() {
            true => flags & !QUEUE_PROFILING,
            false => flags,
        }
    }

    pub(crate) fn retained(&self) {
        self.references.fetch_add(1, Ordering::AcqRel);
    }

    /// The program gave up a reference; with its last one the stream is free.
    pub(crate) fn released(&self) {
        let take_one = |count: u32| count.checked_sub(1);
        let before = self
            .references
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, take_one);
        if before == Ok(1) {
            self.device.give_stream(self.stream);
        }
    }

    /// The commands whose times are not read yet.
    pub(crate) fn commands(&self) -> &Pending {
        &self.commands
    }

    /// Adds a command.
    pub(crate) fn add(&self, command: Command) {
        if self.commands.add(command) {
            self.collect();
        }
    }

    /// Records the commands that are done.
    pub(crate) fn collect(&self) {
        self.commands.collect(self.device, self.is_in_order);
    }

    /// References of an event that the program made, out of `count`.
    pub(crate) fn shown_references(&self, event: Event, count: u32) -> u32 {
        count.saturating_sub(u32::from(self.commands.shares(event)))
    }
}

/// What a queue is made with underneath, for what the program asks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// As the program asks.
    AsAsked,
    /// With these properties, the last of them 0.
    Measuring(Vec<QueueProperty>),
}

/// The plan for a queue with these properties, without the 0 at the end.
pub(crate) fn plan(asked: &[QueueProperty]) -> Plan {
    let (pairs, rest) = asked.as_chunks::<2>();
    let mut flags = 0;
    let mut properties = Vec::with_capacity(asked.len() + 3);
    for [key, value] in pairs {
        if *key == QueueProperty::from(QUEUE_PROPERTIES) {
            flags |= value;
        } else {
            properties.extend([*key, *value]);
        }
    }
    if !rest.is_empty() || flags & (QUEUE_PROFILING | QUEUE_ON_DEVICE) != 0 {
        return Plan::AsAsked;
    }
    properties.extend([QUEUE_PROPERTIES.into(), flags | QUEUE_PROFILING, 0]);
    Plan::Measuring(properties)
}

/// How many numbers there are before the 0 that ends a queue's properties, read one by one; `None` when there are too many.
pub(crate) fn properties_len(key_at: impl Fn(usize) -> QueueProperty) -> Option<usize> {
    let is_end = |pair: &usize| key_at(2 * pair) == 0;
    (0..=MAX_PAIRS).find(is_end).map(|pairs| 2 * pairs)
}

#[cfg(test)]
mod tests {
    use super::{Plan, plan, properties_len};

    const FLAGS: u64 = 0x1093;
    const SIZE: u64 = 0x1094;

    #[test]
    fn profiling_is_added_to_what_was_asked() {
        for (asked, expected) in [
            (&[][..], vec![FLAGS, 2, 0]),
            (&[FLAGS, 0], vec![FLAGS, 2, 0]),
            (&[FLAGS, 1], vec![FLAGS, 3, 0]),
            (
                &[0x1234, 7, FLAGS, 1, 0x1235, 8],
                vec![0x1234, 7, 0x1235, 8, FLAGS, 3, 0],
            ),
        ] {
            assert_eq!(plan(asked), Plan::Measuring(expected), "{asked:?}");
        }
    }

    #[test]
    fn queues_that_measure_or_stand_on_the_device_are_made_as_asked() {
        for asked in [
            [FLAGS, 2, SIZE, 1],
            [FLAGS, 5, SIZE, 1],
            [SIZE, 1, FLAGS, 7],
        ] {
            assert_eq!(plan(&asked), Plan::AsAsked, "{asked:?}");
        }
    }

    #[test]
    fn properties_end_at_a_key_of_0_and_not_at_a_value() {
        let properties = [FLAGS, 0, SIZE, 0, 0, 9];
        assert_eq!(properties_len(|at| properties[at]), Some(4));
        assert_eq!(properties_len(|_| 1), None);
    }
}
