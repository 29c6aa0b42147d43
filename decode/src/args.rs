//! Arguments of events: constants of the site, what the record carries, what became known late, and what the
//! decoder adds.

use std::borrow::Cow;

use ringscope_ringbuf::payload::{ArgType, Value, take_late, take_value};

use crate::event::{Event, EventKind, FLAG_CLIPPED, FLAG_NO_DEVICE_TIME, FLAG_OPEN};
use crate::gaps::LostCause;
use crate::process::Site;
use crate::rows::RowKind;
use crate::timeline::Timeline;

/// Keys that the decoder adds.
pub(crate) const OWN_KEYS: [&str; 13] = [
    "records",
    "cause",
    "tasks",
    "correlation",
    "task_token",
    "register",
    "received_before_ns",
    "device",
    "stream",
    "slack_ns",
    "device_time",
    "ringscope.open",
    "ringscope.clipped",
];

/// Key and value of an argument.
pub(crate) type Arg<'a> = (Cow<'a, str>, Value<'a>);

/// Puts the arguments of `event` into `out`, each key once: of several values the last one stands.
pub(crate) fn of_event<'a>(
    timeline: &'a Timeline,
    event: &Event,
    payload: &'a [u8],
    out: &mut Vec<Arg<'a>>,
) {
    out.clear();
    match event.kind {
        EventKind::Lost => {
            let cause = LostCause::name(event.detail as u8).as_bytes();
            put(out, "records", Value::U64(event.word));
            put(out, "cause", text(cause));
            return;
        }
        EventKind::Counter => {
            put(out, "value", counter_value(event.word, event.detail as u8));
            return;
        }
        EventKind::ArrowStart | EventKind::ArrowEnd => return,
        _ => {}
    }
    if let Some(site) = timeline.site(event) {
        for constant in &site.constants {
            if let Some(value) = take_value(&mut &*constant.value, constant.arg_type) {
                put(out, key_of_constant(event, &constant.key), value);
            }
        }
    }
    match event.kind {
        EventKind::DeviceTask => put_task(event, payload, out),
        EventKind::DeviceBatch => {
            put(out, "tasks", Value::U64(word(payload, 0)));
            put(out, "correlation", Value::U64(event.word));
        }
        _ => put_recorded(timeline, event, payload, out),
    }
    put_facts(timeline, event, out);
    keep_last_of_each_key(out);
}

/// Analysers take whatever has a stream for work of a device: the host's side says where it went under another key.
fn key_of_constant<'a>(event: &Event, key: &'a str) -> &'a str {
    match event.kind {
        EventKind::Launch | EventKind::Wait if key == "stream" => "to_stream",
        _ => key,
    }
}

fn put_recorded<'a>(
    timeline: &'a Timeline,
    event: &Event,
    payload: &'a [u8],
    out: &mut Vec<Arg<'a>>,
) {
    let mut rest = payload;
    if let Some(site) = timeline.site(event) {
        for (key, arg_type) in &site.args {
            // An open span shows only the arguments that fit its slot.
            let Some(value) = take_value(&mut rest, *arg_type) else {
                return;
            };
            put(out, key, value);
        }
    }
    while let Some((key_id, value)) = take_late(&mut rest) {
        let key = match timeline.key(event, key_id) {
            Some(key) => Cow::Borrowed(key),
            None => Cow::Owned(format!("key {key_id}")),
        };
        out.push((key, value));
    }
}

/// The correlation id of a device task with this payload.
pub(crate) fn task_correlation(payload: &[u8]) -> u64 {
    word(payload, 0)
}

/// What a device task carries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TaskArgs {
    pub correlation: u64,
    pub token: u64,
    pub register: u64,
    pub received_before_ns: u64,
}

impl TaskArgs {
    #[inline]
    pub(crate) fn of(event: &Event, payload: &[u8]) -> TaskArgs {
        TaskArgs {
            correlation: task_correlation(payload),
            token: event.word,
            register: word(payload, 1),
            received_before_ns: word(payload, 2),
        }
    }

    pub(crate) const KEYS: [&str; 4] = [
        "correlation",
        "task_token",
        "register",
        "received_before_ns",
    ];

    /// In the order of the keys.
    #[inline]
    pub(crate) fn values(self) -> [u64; 4] {
        [
            self.correlation,
            self.token,
            self.register,
            self.received_before_ns,
        ]
    }
}

fn put_task(event: &Event, payload: &[u8], out: &mut Vec<Arg<'_>>) {
    let values = TaskArgs::of(event, payload).values();
    for (key, value) in TaskArgs::KEYS.into_iter().zip(values) {
        put(out, key, Value::U64(value));
    }
}

/// The constants of a site that its tasks on a device show, those left out that the decoder's own keys take the place of.
pub(crate) fn constants_of_tasks(site: &Site) -> Vec<Arg<'_>> {
    let mut out = Vec::new();
    for constant in &site.constants {
        if let Some(value) = take_value(&mut &*constant.value, constant.arg_type) {
            put(&mut out, &constant.key, value);
        }
    }
    put_task(&Event::BLANK, &[], &mut out);
    put(&mut out, "device", Value::Null);
    put(&mut out, "stream", Value::Null);
    keep_last_of_each_key(&mut out);
    let own = out.iter().position(|(key, _)| key == "correlation");
    out.truncate(own.unwrap_or(0));
    out
}

/// Device and stream of a lane, if it is a stream.
pub(crate) fn place_on_device(timeline: &Timeline, lane: u32) -> Option<(u64, u64)> {
    let lane = timeline.lanes.get(lane as usize)?;
    let RowKind::Stream(stream) = lane.kind else {
        return None;
    };
    let process = timeline.processes.get(lane.process as usize)?;
    Some((u64::from(process.device.unwrap_or(0)), u64::from(stream)))
}

/// What the decoder knows beside the record.
fn put_facts<'a>(timeline: &'a Timeline, event: &Event, out: &mut Vec<Arg<'a>>) {
    if matches!(
        event.kind,
        EventKind::Launch | EventKind::Wait | EventKind::DeviceSpan
    ) {
        put(out, "correlation", Value::U64(event.word));
    }
    if matches!(event.kind, EventKind::DeviceSpan | EventKind::DeviceTask)
        && let Some((device, stream)) = place_on_device(timeline, event.lane)
    {
        put(out, "device", Value::U64(device));
        put(out, "stream", Value::U64(stream));
        if let Some(slack_ns) = timeline.slack_ns(event) {
            put(out, "slack_ns", Value::U64(slack_ns));
        }
    }
    if event.flags & FLAG_NO_DEVICE_TIME != 0 {
        put(out, "device_time", text(b"unavailable"));
    }
    if event.flags & FLAG_OPEN != 0 {
        put(out, "ringscope.open", Value::Bool(true));
    }
    if event.flags & FLAG_CLIPPED != 0 {
        put(out, "ringscope.clipped", Value::Bool(true));
    }
}

fn put<'a>(out: &mut Vec<Arg<'a>>, key: &'a str, value: Value<'a>) {
    out.push((Cow::Borrowed(key), value));
}

fn keep_last_of_each_key(args: &mut Vec<Arg<'_>>) {
    let mut at = 0;
    while at < args.len() {
        let is_repeated = args[at + 1..].iter().any(|(key, _)| *key == args[at].0);
        if is_repeated {
            args.remove(at);
        } else {
            at += 1;
        }
    }
}

fn text(bytes: &[u8]) -> Value<'_> {
    Value::Str {
        bytes,
        full_len: bytes.len(),
    }
}

fn word(payload: &[u8], index: usize) -> u64 {
    let bytes = payload.get(index * 8..index * 8 + 8);
    let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
    bytes.map_or(0, u64::from_le_bytes)
}

/// A counter's value; types that do not fit a word are shown as the word.
pub(crate) fn counter_value(word: u64, type_number: u8) -> Value<'static> {
    match ArgType::from_u8(type_number) {
        Some(ArgType::I64) => Value::I64(word as i64),
        Some(ArgType::F64) => Value::F64(f64::from_bits(word)),
        Some(ArgType::Bool) => Value::U64((word & 0xFF != 0) as u64),
        _ => Value::U64(word),
    }
}
