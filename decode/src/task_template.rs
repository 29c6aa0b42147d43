//! Lines of device tasks, which come by the million: all but six numbers is the same for a kernel and a lane.

use crate::args;
use crate::event::{Event, EventKind};
use crate::json::{put_str, put_u64, put_value};
use crate::process::Site;
use crate::template::{MAX_LINE, Pen, Stamp};
use crate::timeline::Timeline;

/// Keys of a task's own arguments, with what stands around them.
const TOKEN: &[u8] = b",\"task_token\":";
const REGISTER: &[u8] = b",\"register\":";
const RECEIVED: &[u8] = b",\"received_before_ns\":";
/// Time stamp, duration, ids, and the task's own arguments, at most.
const LONGEST_REST: usize = 400;

/// What stands between the numbers of any task.
pub(crate) struct TaskKeys {
    token: Stamp,
    register: Stamp,
    received: Stamp,
}

impl Default for TaskKeys {
    fn default() -> TaskKeys {
        let [token, register, received] = [TOKEN, REGISTER, RECEIVED].map(Stamp::new);
        TaskKeys {
            token,
            register,
            received,
        }
    }
}

/// What the tasks of a kernel have in common.
pub(crate) struct TaskTemplate {
    /// Everything before the time stamp.
    start: Stamp,
    /// The kernel's constants, and the key of the first number behind them.
    args: Stamp,
}

impl TaskTemplate {
    /// Of a kernel, unless its lines are too long; `start`: what stands before the time stamp. A site without constants is
    /// none: there may be millions of those.
    pub(crate) fn of(site: &Site, start: &[u8]) -> Option<TaskTemplate> {
        if site.constants.is_empty() {
            return None;
        }
        let mut text = b",\"args\":{".to_vec();
        for (key, value) in args::constants_of_tasks(site) {
            put_str(&mut text, &key);
            text.push(b':');
            put_value(&mut text, &value);
            text.push(b',');
        }
        text.extend_from_slice(b"\"correlation\":");
        let fits = start.len() + text.len() + LONGEST_REST <= MAX_LINE;
        fits.then(|| TaskTemplate {
            start: Stamp::new(start),
            args: Stamp::new(&text),
        })
    }
}

/// The end of a task's line on a lane; `None` where no task runs, or each has a slack of its own.
pub(crate) fn lane_end(timeline: &Timeline, lane: u32) -> Option<Stamp> {
    if timeline.device_slack.is_some() {
        return None;
    }
    let (device, stream) = args::place_on_device(timeline, lane)?;
    let mut text = b",\"device\":".to_vec();
    put_u64(&mut text, device);
    text.extend_from_slice(b",\"stream\":");
    put_u64(&mut text, stream);
    text.extend_from_slice(b"}}");
    Some(Stamp::new(&text))
}

/// A line that is made of a template.
pub(crate) struct TaskLine<'a> {
    keys: &'a TaskKeys,
    template: &'a TaskTemplate,
    start_ns: u64,
    duration_ns: u64,
    lane: &'a Stamp,
    end: &'a Stamp,
    task: args::TaskArgs,
}

impl<'a> TaskLine<'a> {
    /// The line of `event`, if it is a task that begins at or behind `base_ns`; `lane`: its ids.
    #[inline(always)]
    pub(crate) fn of(
        (event, payload): (&Event, &[u8]),
        base_ns: i64,
        (keys, template): (&'a TaskKeys, &'a TaskTemplate),
        (lane, end): (&'a Stamp, &'a Stamp),
    ) -> Option<TaskLine<'a>> {
        let is_forward = event.start_ns >= base_ns && event.end_ns >= event.start_ns;
        let is_plain = event.kind == EventKind::DeviceTask && event.flags == 0 && is_forward;
        is_plain.then(|| TaskLine {
            keys,
            template,
            start_ns: event.start_ns.wrapping_sub(base_ns) as u64,
            duration_ns: event.end_ns.wrapping_sub(event.start_ns) as u64,
            lane,
            end,
            task: args::TaskArgs::of(event, payload),
        })
    }

    #[inline(always)]
    pub(crate) fn write(&self, pen: &mut Pen<'_>) {
        pen.put(&self.template.start);
        pen.put_moment(self.start_ns);
        pen.put_8(*b",\"dur\":\0", 7);
        pen.put_duration(self.duration_ns);
        pen.put(self.lane);
        pen.put(&self.template.args);
        pen.put_number(self.task.correlation);
        pen.put(&self.keys.token);
        pen.put_number(self.task.token);
        pen.put(&self.keys.register);
        pen.put_number(self.task.register);
        pen.put(&self.keys.received);
        pen.put_number(self.task.received_before_ns);
        pen.put(self.end);
    }
}
