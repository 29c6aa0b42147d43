//! Records of the golden run: their words and, beside them, what they mean.

use ringscope_ringbuf::layout::{Kind, Record};
use ringscope_ringbuf::payload::ArgType;
use ringscope_ringbuf::reader::pack_duration;
use serde_json::{Map, Value, json};

use super::clock::mono_ns;
use super::site::{Datum, LATE_KEY, Place};

/// A record before it is written.
pub(crate) struct Entry {
    pub(crate) words: [u64; 3],
    pub(crate) site_and_kind: u64,
    /// Payload that goes to continuations.
    pub(crate) tail: Vec<u8>,
    /// What it says; `None` for a record that readers of version 1 skip.
    pub(crate) meaning: Option<Map<String, Value>>,
}

impl Entry {
    fn new(kind: Kind, place: &Place, words: [u64; 3], tail: Vec<u8>) -> Entry {
        let meaning = object(json!({ "kind": kind_name(kind), "name": place.name,
            "category": place.category, "level": place.level, "lane": words[1] >> 48 }));
        let site_and_kind = Record::site_and_kind(place.id, kind);
        Entry {
            words,
            site_and_kind,
            tail,
            meaning: Some(meaning),
        }
    }

    fn says(mut self, more: Value) -> Entry {
        if let Some(meaning) = &mut self.meaning {
            meaning.extend(object(more));
        }
        self
    }

    /// A span from `start` that lasted `duration` ticks.
    pub(crate) fn span(
        place: &Place,
        start: u64,
        duration: u64,
        lane: u16,
        data: &[Datum],
    ) -> Entry {
        let (payload, args) = place.arguments(data);
        let (w2, tail) = split_payload(&payload);
        Entry::new(
            Kind::Span,
            place,
            [start, pack_duration(duration, lane), w2],
            tail,
        )
        .says(ticks_and_ns(start, duration))
        .says(json!({ "args": args }))
    }

    /// As [`Entry::span`], with one more argument that became known late.
    pub(crate) fn span_with_late(
        place: &Place,
        (start, duration): (u64, u64),
        data: &[Datum],
        late: Datum,
    ) -> Entry {
        let (mut payload, mut args) = place.arguments(data);
        payload.extend(LATE_KEY.0.to_le_bytes());
        payload.push(late.arg_type() as u8);
        payload.extend(late.bytes());
        args.insert(LATE_KEY.1.into(), late.meaning());
        let (w2, tail) = split_payload(&payload);
        Entry::new(
            Kind::Span,
            place,
            [start, pack_duration(duration, 0), w2],
            tail,
        )
        .says(ticks_and_ns(start, duration))
        .says(json!({ "args": args }))
    }

    /// A span whose start and duration are CLOCK_MONOTONIC nanoseconds.
    pub(crate) fn span_ns(place: &Place, start_ns: u64, duration_ns: u64) -> Entry {
        let words = [start_ns, pack_duration(duration_ns, 0), 0];
        Entry::new(Kind::SpanNs, place, words, Vec::new())
            .says(json!({ "start_ns": start_ns, "end_ns": start_ns + duration_ns, "args": {} }))
    }

    /// A span whose duration needs a word of its own.
    pub(crate) fn span_long(place: &Place, start: u64, duration: u64, data: &[Datum]) -> Entry {
        let (payload, args) = place.arguments(data);
        Entry::new(Kind::SpanLong, place, [start, 0, duration], payload)
            .says(ticks_and_ns(start, duration))
            .says(json!({ "args": args }))
    }

    pub(crate) fn instant(place: &Place, time: u64, lane: u16, data: &[Datum]) -> Entry {
        let (payload, args) = place.arguments(data);
        let (w2, tail) = split_payload(&payload);
        Entry::new(
            Kind::Instant,
            place,
            [time, pack_duration(0, lane), w2],
            tail,
        )
        .says(moment(time))
        .says(json!({ "args": args }))
    }

    pub(crate) fn counter(place: &Place, time: u64, value: Datum) -> Entry {
        let word = match value {
            Datum::I64(value) => value as u64,
            Datum::F64(value) => value.to_bits(),
            Datum::U64(value) => value,
            _ => panic!("a counter holds a number"),
        };
        let words = [time, pack_duration(value.arg_type() as u64, 0), word];
        debug_assert!((value.arg_type() as u8) <= ArgType::F64 as u8);
        Entry::new(Kind::Counter, place, words, Vec::new())
            .says(moment(time))
            .says(json!({ "value": value.meaning() }))
    }

    /// An end of an arrow or of a span that no lane holds.
    pub(crate) fn linked(kind: Kind, place: &Place, time: u64, id: u64) -> Entry {
        Entry::new(kind, place, [time, 0, id], Vec::new())
            .says(moment(time))
            .says(json!({ "id": id }))
    }

    /// A launch, or the wait for it.
    pub(crate) fn host_side(
        kind: Kind,
        place: &Place,
        (start, duration): (u64, u64),
        correlation: u64,
        data: &[Datum],
    ) -> Entry {
        let (payload, args) = place.arguments(data);
        Entry::new(
            kind,
            place,
            [start, pack_duration(duration, 0), correlation],
            payload,
        )
        .says(ticks_and_ns(start, duration))
        .says(json!({ "correlation": correlation, "args": args }))
    }

    /// A span on a stream, in ticks of the device.
    pub(crate) fn device_span(
        place: &Place,
        (start, duration): (u64, u64),
        stream_lane: u16,
        correlation: u64,
    ) -> Entry {
        let words = [start, pack_duration(duration, stream_lane), correlation];
        Entry::new(Kind::DeviceSpan, place, words, Vec::new())
            .says(device_ticks(start, duration))
            .says(json!({ "correlation": correlation }))
    }

    /// Stands before `count` device tasks.
    pub(crate) fn device_batch(
        place: &Place,
        time: u64,
        count: u64,
        stream_lane: u16,
        correlation: u64,
    ) -> Entry {
        let words = [time, pack_duration(count, stream_lane), correlation];
        Entry::new(Kind::DeviceBatch, place, words, Vec::new())
            .says(moment(time))
            .says(json!({ "count": count, "correlation": correlation }))
    }

    /// A task of the batch before it.
    pub(crate) fn device_task(
        start: u64,
        duration: u32,
        receive: u32,
        token: u64,
        register: u32,
    ) -> Entry {
        let words = [start, u64::from(duration) | u64::from(receive) << 32, token];
        let meaning = object(
            json!({ "kind": "device_task", "token": token, "register": register,
            "receive_to_start_device_ticks": receive }),
        );
        Entry {
            words,
            site_and_kind: Record::site_and_kind(register, Kind::DeviceTask),
            tail: Vec::new(),
            meaning: Some(meaning),
        }
        .says(device_ticks(start, duration.into()))
    }

    /// A record of a kind that version 1 does not know.
    pub(crate) fn of_a_later_version() -> Entry {
        Entry {
            words: [1, 2, 3],
            site_and_kind: 200 << 32 | 4,
            tail: Vec::new(),
            meaning: None,
        }
    }
}

/// Name of a kind in the expected JSON.
pub(crate) fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Span => "span",
        Kind::SpanNs => "span_ns",
        Kind::SpanLong => "span_long",
        Kind::Instant => "instant",
        Kind::Counter => "counter",
        Kind::FlowOut => "flow_out",
        Kind::FlowIn => "flow_in",
        Kind::AsyncBegin => "async_begin",
        Kind::AsyncEnd => "async_end",
        Kind::Launch => "launch",
        Kind::Wait => "wait",
        Kind::DeviceSpan => "device_span",
        Kind::DeviceBatch => "device_batch",
        Kind::DeviceTask => "device_task",
        Kind::Continuation => "continuation",
    }
}

/// The first eight bytes of a payload as w2, and what goes to continuations.
pub(crate) fn split_payload(payload: &[u8]) -> (u64, Vec<u8>) {
    let (first, tail) = payload.split_at(payload.len().min(8));
    let mut word = [0; 8];
    word[..first.len()].copy_from_slice(first);
    (u64::from_le_bytes(word), tail.to_vec())
}

fn ticks_and_ns(start: u64, duration: u64) -> Value {
    json!({ "start_ticks": start, "duration_ticks": duration,
            "start_ns": mono_ns(start), "end_ns": mono_ns(start + duration) })
}

fn moment(time: u64) -> Value {
    json!({ "ticks": time, "ns": mono_ns(time) })
}

fn device_ticks(start: u64, duration: u64) -> Value {
    json!({ "start_device_ticks": start, "duration_device_ticks": duration })
}

/// The map inside a JSON object.
pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}
