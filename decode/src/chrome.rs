//! Chrome trace JSON, object form, one event a line.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use ringscope_ringbuf::payload::ArgType;
use serde_json::json;
use zerocopy::IntoBytes;

use crate::args::{self, Arg};
use crate::event::{Event, EventKind};
use crate::format::{Format, PlainSlice, Sheet, Slice};
use crate::json::{put_i64, put_str, put_tree, put_u64, put_us, put_value};
use crate::lanes::Lane;
use crate::process::Site;
use crate::ring::plain::PlainSpan;
use crate::rows::ProcessRow;
use crate::task_template::{TaskKeys, TaskLine, TaskTemplate, lane_end};
use crate::template::{MAX_LINE, Millisecond, Pen, Stamp};
use crate::timeline::Timeline;
use crate::trace::{self, Order, Output};

/// Writes the trace of `timeline` as Chrome trace JSON; see [`trace::write`].
///
/// # Errors
///
/// When `out` fails.
pub fn write(
    timeline: &Timeline,
    order: Order,
    out: &mut (dyn Write + Send),
    progress: &(dyn Fn(u64) + Sync),
) -> io::Result<u64> {
    let format = Chrome::new(timeline);
    trace::write(timeline, &format, order, Output::Stream(out), progress)
}

/// Digits of an integer and its sign, at most.
const LONGEST_NUMBER: usize = 21;
/// Time stamp, duration and ids of a line, at most.
const LONGEST_REST: usize = 160;

/// Chrome trace JSON of a time line. What is the same for all events of a site or lane is made once.
pub struct Chrome<'a> {
    timeline: &'a Timeline,
    /// `"name":"…","cat":"…",` of each site.
    site_prefix: Vec<Vec<u8>>,
    /// `,"pid":…,"tid":…` of each lane.
    lane_ids: Vec<Vec<u8>>,
    /// The same, and for each site what its plain spans have in common, where a line can be made of that.
    lane_stamps: Vec<Stamp>,
    templates: Vec<Option<SpanTemplate>>,
    /// The same of device tasks: keys, ends of lines by lane, and sites.
    task_keys: TaskKeys,
    task_ends: Vec<Option<Stamp>>,
    task_templates: Vec<Option<Box<TaskTemplate>>>,
    /// What to subtract from CLOCK_MONOTONIC for a time stamp, ns.
    base_ns: i64,
}

impl<'a> Chrome<'a> {
    /// The format, for one time line.
    pub fn new(timeline: &'a Timeline) -> Chrome<'a> {
        let site_prefix = timeline
            .sites
            .iter()
            .map(|site| name_and_category(&site.name, &site.category));
        let lane_ids = timeline.lanes.iter().map(|lane| {
            let mut ids = Vec::new();
            put_ids(&mut ids, lane.pid, lane.tid);
            ids
        });
        let site_prefix: Vec<Vec<u8>> = site_prefix.collect();
        let lane_ids: Vec<Vec<u8>> = lane_ids.collect();
        let sites = timeline.sites.iter().zip(&site_prefix);
        Chrome {
            timeline,
            lane_stamps: lane_ids.iter().map(|ids| Stamp::new(ids)).collect(),
            templates: sites
                .clone()
                .map(|(site, name)| SpanTemplate::of(site, &start_of_line(name)))
                .collect(),
            task_keys: TaskKeys::default(),
            task_ends: (0..timeline.lanes.len() as u32)
                .map(|lane| lane_end(timeline, lane))
                .collect(),
            task_templates: sites
                .map(|(site, name)| TaskTemplate::of(site, &start_of_line(name)).map(Box::new))
                .collect(),
            site_prefix,
            lane_ids,
            base_ns: timeline.base_ns(),
        }
    }

    /// What a span whose arguments are integers is made of; `None` when it is none.
    #[inline(always)]
    fn span_line<'s>(&'s self, slice: &Slice<'s>, event: &'s Event) -> Option<SpanLine<'s>> {
        let template = self.templates.get(event.site as usize)?.as_ref()?;
        let payload = slice.payload(event);
        let is_plain = event.kind == EventKind::Span
            && event.flags == 0
            && event.start_ns >= self.base_ns
            && event.end_ns >= event.start_ns
            && payload.len() == template.args.len() * 8;
        Some(SpanLine {
            template,
            start_ns: event.start_ns.wrapping_sub(self.base_ns) as u64,
            duration_ns: event.end_ns.wrapping_sub(event.start_ns) as u64,
            lane: self.lane_stamps.get(event.lane as usize)?,
            payload,
        })
        .filter(|_| is_plain)
    }

    /// The line of a plain span, unless its site has no template.
    #[inline(always)]
    fn plain_line<'s>(&'s self, span: &'s PlainSpan) -> Option<SpanLine<'s>> {
        let template = self.templates.get(span.site as usize)?.as_ref()?;
        let payload = match template.args.len() {
            0 => &[],
            1 => span.word.as_bytes(),
            _ => return None,
        };
        let is_forward = span.start_ns >= self.base_ns && span.end_ns >= span.start_ns;
        Some(SpanLine {
            template,
            start_ns: span.start_ns.wrapping_sub(self.base_ns) as u64,
            duration_ns: span.end_ns.wrapping_sub(span.start_ns) as u64,
            lane: self.lane_stamps.get(span.lane as usize)?,
            payload,
        })
        .filter(|_| is_forward)
    }

    /// The line of a device task; `None` where it is none.
    #[inline(always)]
    fn task_line(&self, slice: &Slice<'_>, event: &Event) -> Option<TaskLine<'_>> {
        let lane = event.lane as usize;
        let template = self.task_templates.get(event.site as usize)?.as_deref()?;
        let place = (
            self.lane_stamps.get(lane)?,
            self.task_ends.get(lane)?.as_ref()?,
        );
        let task = (event, event.payload(slice.payloads));
        TaskLine::of(task, self.base_ns, (&self.task_keys, template), place)
    }

    fn event<'s>(
        &self,
        slice: &Slice<'s>,
        event: &'s Event,
        args: &mut Vec<Arg<'s>>,
        out: &mut Vec<u8>,
    ) {
        out.extend_from_slice(b"{");
        self.put_name(event, out);
        self.put_phase(event, out);
        out.extend_from_slice(b",\"ts\":");
        put_us(out, event.start_ns.saturating_sub(self.base_ns));
        if event.kind.is_interval() {
            out.extend_from_slice(b",\"dur\":");
            put_us(out, event.end_ns.saturating_sub(event.start_ns));
        }
        self.put_lane(event.lane, out);
        args::of_event(slice.timeline, event, slice.payload(event), args);
        put_args(args, out);
        out.push(b'}');
    }

    fn put_name(&self, event: &Event, out: &mut Vec<u8>) {
        let (name, category) = (self.timeline.name(event), self.timeline.category(event));
        // Arrows and async spans are drawn only with a category.
        let needed = match event.kind {
            EventKind::FlowOut | EventKind::FlowIn => "flow",
            EventKind::AsyncBegin | EventKind::AsyncEnd => "async",
            _ => "",
        };
        match self.site_prefix.get(event.site as usize) {
            Some(prefix) if needed.is_empty() || !category.is_empty() => {
                out.extend_from_slice(prefix);
            }
            _ if category.is_empty() => out.extend(name_and_category(name, needed)),
            _ => out.extend(name_and_category(name, category)),
        }
    }

    fn put_phase(&self, event: &Event, out: &mut Vec<u8>) {
        let phase: &[u8] = match event.kind {
            EventKind::Instant | EventKind::DeviceBatch => b"\"ph\":\"i\",\"s\":\"t\"",
            EventKind::Counter => b"\"ph\":\"C\"",
            EventKind::FlowOut | EventKind::ArrowStart => b"\"ph\":\"s\"",
            EventKind::FlowIn | EventKind::ArrowEnd => b"\"ph\":\"f\",\"bp\":\"e\"",
            EventKind::AsyncBegin => b"\"ph\":\"b\"",
            EventKind::AsyncEnd => b"\"ph\":\"e\"",
            _ => b"\"ph\":\"X\"",
        };
        out.extend_from_slice(phase);
        if matches!(
            event.kind,
            EventKind::FlowOut | EventKind::FlowIn | EventKind::AsyncBegin | EventKind::AsyncEnd
        ) {
            // As text: ids are 64 bits wide, numbers in many readers are not.
            out.extend_from_slice(b",\"id\":");
            put_str(out, &format!("{:#x}", event.word));
        } else if matches!(event.kind, EventKind::ArrowStart | EventKind::ArrowEnd) {
            out.extend_from_slice(b",\"id\":");
            put_u64(out, event.word);
        }
    }

    fn put_lane(&self, lane: u32, out: &mut Vec<u8>) {
        if let Some(ids) = self.lane_ids.get(lane as usize) {
            out.extend_from_slice(ids);
        }
    }
}

impl Format for Chrome<'_> {
    /// The top of the object and the names of processes and lanes.
    fn head(&self, out: &mut Vec<u8>) {
        let timeline = self.timeline;
        out.extend_from_slice(b"{\"displayTimeUnit\":\"ns\",\"baseTimeNanoseconds\":");
        put_i64(out, timeline.base_epoch_ns());
        if let Some(rank) = timeline.rank() {
            // Holistic Trace Analysis looks for the rank with a blank before the number.
            out.extend_from_slice(b",\"distributedInfo\":{\"rank\": ");
            put_i64(out, rank as i64);
            out.push(b'}');
        }
        out.extend_from_slice(b",\"traceEvents\":[");
        let shown: Vec<&Lane> = timeline
            .lanes
            .iter()
            .filter(|l| timeline.shows(l))
            .collect();
        let mut lines = Lines {
            out,
            is_first: true,
        };
        let mut named = BTreeSet::new();
        let mut sort_index = 0;
        for lane in &shown {
            if !named.insert(lane.process) {
                continue;
            }
            let Some(process) = timeline.processes.get(lane.process as usize) else {
                continue;
            };
            let name = |out: &mut Vec<u8>| put_str(out, &process.name);
            lines.metadata("process_name", "name", lane.pid, lane.tid, name);
            let index = |out: &mut Vec<u8>| put_u64(out, sort_index);
            lines.metadata(
                "process_sort_index",
                "sort_index",
                lane.pid,
                lane.tid,
                index,
            );
            sort_index += 1;
        }
        for (index, lane) in shown.iter().enumerate() {
            let name = |out: &mut Vec<u8>| put_str(out, &lane.name);
            lines.metadata("thread_name", "name", lane.pid, lane.tid, name);
            let index = |out: &mut Vec<u8>| put_u64(out, index as u64);
            lines.metadata("thread_sort_index", "sort_index", lane.pid, lane.tid, index);
        }
    }

    fn slice(&self, slice: &Slice<'_>, out: &mut Sheet) {
        let (mut args, mut line) = (Vec::new(), Vec::new());
        let mut millisecond = Millisecond::default();
        for event in slice.events {
            if let Some(span) = self.span_line(slice, event) {
                out.line(&mut millisecond, |pen| span.write(pen));
            } else if let Some(task) = self.task_line(slice, event) {
                out.line(&mut millisecond, |pen| task.write(pen));
            } else {
                // A lane with events is named, so that some line always stands before.
                line.clear();
                line.extend_from_slice(b",\n");
                self.event(slice, event, &mut args, &mut line);
                out.put(&line);
            }
        }
    }

    fn plain_slice(&self, slice: &PlainSlice<'_>, out: &mut Sheet) {
        let mut millisecond = Millisecond::default();
        for span in slice.iter() {
            if let Some(line) = self.plain_line(span) {
                out.line(&mut millisecond, |pen| line.write(pen));
            } else {
                let event = slice.timeline.plain_event(span);
                let one = Slice {
                    timeline: slice.timeline,
                    events: std::slice::from_ref(&event),
                    payloads: &[],
                };
                self.slice(&one, out);
            }
        }
    }

    fn tail(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\n],\"metadata\":");
        put_tree(out, &metadata(self.timeline));
        out.extend_from_slice(b"}\n");
    }
}

/// What the plain spans of a site have in common.
struct SpanTemplate {
    /// Everything before the time stamp.
    start: Stamp,
    /// What stands before the value of each argument, and whether that is signed.
    args: Vec<(Stamp, bool)>,
}

impl SpanTemplate {
    /// Of a site whose arguments are integers, unless its lines are too long.
    fn of(site: &Site, start: &[u8]) -> Option<SpanTemplate> {
        let mut len = start.len();
        let mut args = Vec::new();
        for (at, (key, arg_type)) in site.args.iter().enumerate() {
            let is_repeated = site.args[..at].iter().any(|(other, _)| other == key);
            if is_repeated || !matches!(arg_type, ArgType::I64 | ArgType::U64) {
                return None;
            }
            let mut text: Vec<u8> = match at {
                0 => b",\"args\":{".to_vec(),
                _ => b",".to_vec(),
            };
            put_str(&mut text, key);
            text.push(b':');
            len += text.len() + LONGEST_NUMBER;
            args.push((Stamp::new(&text), *arg_type == ArgType::I64));
        }
        let fits = len + LONGEST_REST <= MAX_LINE;
        (fits && site.constants.is_empty()).then(|| SpanTemplate {
            start: Stamp::new(start),
            args,
        })
    }
}

/// A line that is made of a template.
struct SpanLine<'a> {
    template: &'a SpanTemplate,
    start_ns: u64,
    duration_ns: u64,
    lane: &'a Stamp,
    payload: &'a [u8],
}

impl SpanLine<'_> {
    #[inline(always)]
    fn write(&self, pen: &mut Pen<'_>) {
        let SpanTemplate { start, args } = self.template;
        pen.put(start);
        pen.put_moment(self.start_ns);
        pen.put_8(*b",\"dur\":\0", 7);
        pen.put_duration(self.duration_ns);
        pen.put(self.lane);
        for ((key, is_signed), word) in args.iter().zip(self.payload.chunks_exact(8)) {
            pen.put(key);
            let number = word.try_into().map_or(0, u64::from_le_bytes);
            if *is_signed && (number as i64) < 0 {
                pen.put_8(*b"-\0\0\0\0\0\0\0", 1);
                pen.put_number((number as i64).unsigned_abs());
            } else {
                pen.put_number(number);
            }
        }
        let end = if args.is_empty() { 1 } else { 2 };
        pen.put_8(*b"}}\0\0\0\0\0\0", end);
    }
}

/// Lines of the event list.
struct Lines<'a> {
    out: &'a mut Vec<u8>,
    is_first: bool,
}

impl Lines<'_> {
    fn metadata(
        &mut self,
        name: &str,
        key: &str,
        pid: u32,
        tid: u32,
        put: impl FnOnce(&mut Vec<u8>),
    ) {
        let out = &mut *self.out;
        let start: &[u8] = if self.is_first { b"\n{" } else { b",\n{" };
        self.is_first = false;
        out.extend_from_slice(start);
        out.extend_from_slice(format!("\"name\":\"{name}\",\"ph\":\"M\"").as_bytes());
        put_ids(out, pid, tid);
        out.extend_from_slice(format!(",\"args\":{{\"{key}\":").as_bytes());
        put(out);
        out.extend_from_slice(b"}}");
    }
}

fn put_ids(out: &mut Vec<u8>, pid: u32, tid: u32) {
    out.extend_from_slice(b",\"pid\":");
    put_u64(out, pid as u64);
    out.extend_from_slice(b",\"tid\":");
    put_u64(out, tid as u64);
}

/// What stands before the time stamp of an interval.
fn start_of_line(name_and_category: &[u8]) -> Vec<u8> {
    [b",\n{", name_and_category, b"\"ph\":\"X\",\"ts\":"].concat()
}

fn name_and_category(name: &str, category: &str) -> Vec<u8> {
    let mut out = b"\"name\":".to_vec();
    put_str(&mut out, name);
    // An empty one too: readers take the key for granted.
    out.extend_from_slice(b",\"cat\":");
    put_str(&mut out, category);
    out.push(b',');
    out
}

fn put_args(args: &[Arg<'_>], out: &mut Vec<u8>) {
    if args.is_empty() {
        return;
    }
    out.extend_from_slice(b",\"args\":{");
    for (index, (key, value)) in args.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        put_str(out, key);
        out.push(b':');
        put_value(out, value);
    }
    out.push(b'}');
}

/// What stands behind the events: where they come from and what is missing.
pub(crate) fn metadata(timeline: &Timeline) -> serde_json::Value {
    let shift_ns = |process: &ProcessRow| {
        let of = |nonce| timeline.shifts_ns.get(nonce);
        process.nonces.iter().find_map(of).copied().unwrap_or(0)
    };
    let processes: Vec<_> = timeline
        .processes
        .iter()
        .filter(|process| process.device.is_none())
        .map(|process| {
            json!({
                "pid": process.pid,
                "trace_pid": process.trace_pid,
                "name": process.name,
                "rank": process.rank,
                "host": process.host,
                "shift_ns": shift_ns(process),
                "end": process.liveness.as_str(),
                "exit_code": process.exit.and_then(|exit| exit.code()),
                "signal": process.exit.and_then(|exit| exit.signal_name()),
                "losses": process.losses,
                "recording": timeline.recording_cost_of(process),
            })
        })
        .collect();
    let hosts: BTreeSet<&str> = timeline.processes.iter().map(|p| p.host.as_str()).collect();
    let runs: Vec<_> = timeline
        .runs
        .iter()
        .map(|dir| dir.display().to_string())
        .collect();
    let problems: Vec<_> = timeline.problems.iter().map(|p| p.to_string()).collect();
    json!({
        "ringscope_version": env!("CARGO_PKG_VERSION"),
        "runs": runs,
        "command": timeline.command,
        "hosts": hosts,
        "clock": {
            "sources": timeline.clock_sources,
            "uncertainty_ns": timeline.uncertainty_ns,
        },
        "device_clocks": timeline.device_clocks,
        "start_epoch_ns": timeline.start_epoch_ns,
        "start_monotonic_ns": timeline.start_ns,
        "end_monotonic_ns": timeline.end_ns,
        "events": timeline.event_count,
        "losses": timeline.losses,
        "recording": timeline.recording_cost(),
        "processes": processes,
        "filter": filter_metadata(timeline),
        "warnings": timeline.warnings,
        "problems": problems,
    })
}

fn filter_metadata(timeline: &Timeline) -> BTreeMap<&'static str, serde_json::Value> {
    let filter = &timeline.filter;
    let mut set = BTreeMap::new();
    let lists = [
        ("names", json!(filter.names)),
        ("categories", json!(filter.categories)),
        ("pids", json!(filter.pids)),
        ("tids", json!(filter.tids)),
    ];
    set.extend(lists.into_iter().filter(|(_, list)| *list != json!([])));
    if let Some(levels) = filter.levels {
        set.insert("levels", json!(levels));
    }
    if filter.min_duration_ns > 0 {
        set.insert("min_duration_ns", json!(filter.min_duration_ns));
    }
    let bounds = [("from", filter.from), ("to", filter.to)];
    for (key, bound) in bounds {
        if let Some(bound) = bound {
            set.insert(key, json!(bound.to_string()));
        }
    }
    set
}
