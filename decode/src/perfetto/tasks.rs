//! Annotations of device tasks, which come by the million: all but four numbers is the same for a kernel and a lane.

use super::fields::{annotation, event};
use super::names::Names;
use super::slice::put_annotation;
use super::wire::{put_message, put_uint};
use crate::args::{self, TaskArgs};
use crate::event::{Event, EventKind};
use crate::timeline::Timeline;

/// What the annotations of tasks are made of.
pub(super) struct TaskAnnotations {
    /// By site: those of its constants.
    of_site: Vec<Vec<u8>>,
    /// Numbers of the keys of a task's own arguments.
    keys: [u64; 4],
    /// By lane: those that say where it ran; `None` where no task runs, or each has a slack of its own.
    of_lane: Vec<Option<Vec<u8>>>,
}

impl TaskAnnotations {
    pub(super) fn of(timeline: &Timeline, names: &Names) -> TaskAnnotations {
        let own_key = |key: &str| names.own_key(key).unwrap_or(0);
        let of_site = timeline.sites.iter().map(|site| {
            let mut out = Vec::new();
            for (key, value) in args::constants_of_tasks(site) {
                put_annotation(&mut out, names.own_key(&key), &key, &value);
            }
            out
        });
        let of_lane = (0..timeline.lanes.len() as u32).map(|lane| {
            if timeline.device_slack.is_some() {
                return None;
            }
            let (device, stream) = args::place_on_device(timeline, lane)?;
            let mut out = Vec::new();
            put_number(&mut out, own_key("device"), device);
            put_number(&mut out, own_key("stream"), stream);
            Some(out)
        });
        TaskAnnotations {
            of_site: of_site.collect(),
            keys: TaskArgs::KEYS.map(own_key),
            of_lane: of_lane.collect(),
        }
    }

    /// Appends the annotations of a task; false, with nothing appended, where it is none or has others.
    #[inline]
    pub(super) fn put(&self, event: &Event, payload: &[u8], out: &mut Vec<u8>) -> bool {
        let is_task = event.kind == EventKind::DeviceTask && event.flags == 0;
        let of_site = self.of_site.get(event.site as usize);
        let of_lane = self.of_lane.get(event.lane as usize);
        let (true, Some(of_site), Some(Some(of_lane))) = (is_task, of_site, of_lane) else {
            return false;
        };
        out.extend_from_slice(of_site);
        for (key, number) in self.keys.iter().zip(TaskArgs::of(event, payload).values()) {
            put_number(out, *key, number);
        }
        out.extend_from_slice(of_lane);
        true
    }
}

fn put_number(out: &mut Vec<u8>, key: u64, number: u64) {
    put_message(out, event::ANNOTATIONS, |out| {
        put_uint(out, annotation::NAME_IID, key);
        put_uint(out, annotation::UINT, number);
    });
}
