//! The packets of a slice.

use std::collections::HashSet;

use ringscope_ringbuf::payload::Value;
use serde_json::Value as Tree;

use super::fields::{annotation, event, legacy, packet, trace};
use super::tracks::Tracks;
use super::wire::{put_f64, put_message, put_text, put_uint};
use super::{
    ABSOLUTE_CLOCK, DELTA_CLOCK, Perfetto, SHARED_SEQUENCE, put_clock, put_clocks, sequence_of,
};
use crate::args::{self, Arg};
use crate::event::{Event, EventKind};
use crate::format::Slice;
use crate::json;

/// A lane that has a sequence of its own, as far as the slice has come.
#[derive(Clone, Default)]
pub(super) struct BusyLane {
    /// What the sequence's clock shows; `None` before it was set.
    clock_ns: Option<i64>,
    /// Ends of the spans that are open, innermost last.
    pub open_ends: Vec<i64>,
}

impl BusyLane {
    /// Moves the clock on to a moment, by how much; `None` where it has to be set, since it is not known to stand before it.
    #[inline(always)]
    pub(super) fn go_to(&mut self, at_ns: i64) -> Option<i64> {
        let clock_ns = self.clock_ns.replace(at_ns);
        let clock_ns = clock_ns.filter(|clock| *clock <= at_ns)?;
        Some(at_ns - clock_ns)
    }
}

/// Writes one slice.
pub(super) struct SliceWriter<'f, 's, 'o> {
    format: &'f Perfetto<'f>,
    slice: Slice<'s>,
    out: &'o mut Vec<u8>,
    args: Vec<Arg<'s>>,
    busy: Vec<BusyLane>,
    /// Counters whose tracks the slice has described.
    counters: HashSet<u64>,
}

impl<'f, 's, 'o> SliceWriter<'f, 's, 'o> {
    pub(super) fn new(
        format: &'f Perfetto<'f>,
        slice: Slice<'s>,
        out: &'o mut Vec<u8>,
    ) -> SliceWriter<'f, 's, 'o> {
        SliceWriter {
            format,
            slice,
            out,
            args: Vec::new(),
            busy: vec![BusyLane::default(); format.busy.len()],
            counters: HashSet::new(),
        }
    }

    pub(super) fn write(mut self) {
        for event in self.slice.events {
            self.event(event);
        }
        // An end may be written before what the span holds: readers sort by time, and all that an end says is that the
        // innermost span ends.
        for index in 0..self.busy.len() {
            self.end_spans(index, i64::MAX);
        }
    }

    fn event(&mut self, event: &'s Event) {
        let own = self
            .format
            .own_sequence
            .get(event.lane as usize)
            .copied()
            .flatten();
        // The ends of an arrow stand behind the launch, not where their own time would have them.
        let is_arrow = matches!(event.kind, EventKind::ArrowStart | EventKind::ArrowEnd);
        match own.filter(|_| !is_arrow) {
            Some(index) => {
                self.end_spans(index, event.start_ns);
                let place = self.place_on(index, event.start_ns);
                self.put_event(event, place);
                if has_end(event) {
                    self.busy[index].open_ends.push(event.end_ns);
                }
            }
            None => {
                let track = Some(Tracks::of_lane(event.lane));
                let place = |at_ns| Place {
                    sequence: SHARED_SEQUENCE,
                    time: at_ns - self.format.base_ns,
                    track,
                };
                let (start, end) = (place(event.start_ns), place(event.end_ns));
                self.put_event(event, start);
                if has_end(event) {
                    self.put_end(end);
                }
            }
        }
    }

    /// Ends the spans of a busy lane that end up to a moment.
    fn end_spans(&mut self, index: usize, until_ns: i64) {
        while let Some(end_ns) = self.busy[index].open_ends.pop_if(|end| *end <= until_ns) {
            let place = self.place_on(index, end_ns);
            self.put_end(place);
        }
    }

    /// A moment on a busy lane: the clock goes on to it, or is set to it where it is not known to stand before it.
    fn place_on(&mut self, index: usize, at_ns: i64) -> Place {
        let time = self.busy[index].go_to(at_ns).unwrap_or_else(|| {
            put_clock_set(self.out, index, at_ns, self.format.base_ns);
            0
        });
        Place {
            sequence: sequence_of(index),
            time,
            track: None,
        }
    }

    fn put_event(&mut self, event: &'s Event, place: Place) {
        match event.kind {
            EventKind::Counter => self.put_counter(event, place),
            EventKind::FlowOut | EventKind::ArrowStart => self.put_legacy(event, place, b's'),
            EventKind::FlowIn | EventKind::ArrowEnd => self.put_legacy(event, place, b'f'),
            EventKind::AsyncBegin => self.put_legacy(event, place, b'b'),
            EventKind::AsyncEnd => self.put_legacy(event, place, b'e'),
            _ => self.put_named(event, place),
        }
    }

    fn put_named(&mut self, event: &'s Event, place: Place) {
        let (format, slice, args) = (self.format, self.slice, &mut self.args);
        let payload = slice.payload(event);
        place.put(self.out, |out| {
            put_kind_and_name(format, event, out);
            if !format.tasks.put(event, payload, out) {
                args::of_event(slice.timeline, event, payload, args);
                put_args(format, event, args, out);
            }
        });
    }

    fn put_end(&mut self, place: Place) {
        place.put(self.out, |out| put_uint(out, event::TYPE, event::SLICE_END));
    }

    fn put_counter(&mut self, event: &Event, place: Place) {
        let track = self.format.tracks.of_counter(event);
        if self.counters.insert(track) {
            self.format.tracks.put_counter(event, self.out);
        }
        let place = Place {
            track: Some(track),
            ..place
        };
        place.put(self.out, |out| {
            put_uint(out, event::TYPE, event::COUNTER);
            match args::counter_value(event.word, event.detail as u8) {
                Value::I64(value) => put_uint(out, event::COUNTER_VALUE, value as u64),
                Value::U64(value) => match i64::try_from(value) {
                    Ok(value) => put_uint(out, event::COUNTER_VALUE, value as u64),
                    Err(_) => put_f64(out, event::DOUBLE_COUNTER_VALUE, value as f64),
                },
                Value::F64(value) => put_f64(out, event::DOUBLE_COUNTER_VALUE, value),
                _ => {}
            }
        });
    }

    /// Arrows, and spans that no lane holds: by the phases of Chrome's format, which bind them as they do there.
    fn put_legacy(&mut self, event: &'s Event, place: Place, phase: u8) {
        let (format, slice, args) = (self.format, self.slice, &mut self.args);
        args::of_event(slice.timeline, event, slice.payload(event), args);
        place.put(self.out, |out| {
            format.names.put(event, slice.timeline.category(event), out);
            put_message(out, event::LEGACY_EVENT, |out| {
                put_uint(out, legacy::PHASE, phase as u64);
                put_uint(out, legacy::UNSCOPED_ID, event.word);
                if phase == b'f' {
                    put_uint(out, legacy::BIND_TO_ENCLOSING, 1);
                }
            });
            put_args(format, event, args, out);
        });
    }
}

/// True for spans with a duration. One without is an instant: that is how readers take it from JSON, while a begin and
/// an end of one moment would let it hold nothing.
fn has_end(event: &Event) -> bool {
    event.kind.is_interval() && event.end_ns > event.start_ns
}

/// Where a packet stands.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub sequence: u64,
    /// As the sequence's clock has it, ns.
    pub time: i64,
    /// Track, where it is not the sequence's own.
    pub track: Option<u64>,
}

impl Place {
    fn put(self, out: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>)) {
        put_message(out, trace::PACKET, |out| {
            put_uint(out, packet::SEQUENCE_ID, self.sequence);
            put_uint(out, packet::TIMESTAMP, self.time as u64);
            put_message(out, packet::TRACK_EVENT, |out| {
                if let Some(track) = self.track {
                    put_uint(out, event::TRACK_UUID, track);
                }
                put(out);
            });
        });
    }
}

/// Sets the clock of a busy lane's sequence.
pub(super) fn put_clock_set(out: &mut Vec<u8>, index: usize, at_ns: i64, base_ns: i64) {
    let shown = at_ns.saturating_sub(base_ns) as u64;
    put_clocks(out, sequence_of(index), |out| {
        put_clock(out, DELTA_CLOCK, shown, true);
        put_clock(out, ABSOLUTE_CLOCK, shown, false);
    });
}

/// A span's begin, or an instant.
pub(super) fn put_named(
    format: &Perfetto<'_>,
    event: &Event,
    args: &[Arg<'_>],
    place: Place,
    out: &mut Vec<u8>,
) {
    place.put(out, |out| {
        put_kind_and_name(format, event, out);
        put_args(format, event, args, out);
    });
}

fn put_kind_and_name(format: &Perfetto<'_>, event: &Event, out: &mut Vec<u8>) {
    let kind = if has_end(event) {
        event::SLICE_BEGIN
    } else {
        event::INSTANT
    };
    put_uint(out, event::TYPE, kind);
    let category = format.timeline.category(event);
    format.names.put(event, category, out);
}

fn put_args(format: &Perfetto<'_>, event: &Event, args: &[Arg<'_>], out: &mut Vec<u8>) {
    for (position, (key, value)) in args.iter().enumerate() {
        put_annotation(out, format.names.key(event, position, key), key, value);
    }
}

/// Appends an annotation whose key has the number `id`, where it was registered.
pub(super) fn put_annotation(out: &mut Vec<u8>, id: Option<u64>, key: &str, value: &Value<'_>) {
    if is_null(value) {
        return;
    }
    put_message(out, event::ANNOTATIONS, |out| {
        match id {
            Some(id) => put_uint(out, annotation::NAME_IID, id),
            None => put_text(out, annotation::NAME, key),
        }
        put_value(out, value);
    });
}

/// True for what the format has nothing for: it is left out, as Perfetto leaves it out of JSON.
fn is_null(value: &Value<'_>) -> bool {
    matches!(value, Value::Null | Value::Json { bytes: b"null", .. })
}

fn put_value(out: &mut Vec<u8>, value: &Value<'_>) {
    match *value {
        Value::I64(number) => put_uint(out, annotation::INT, number as u64),
        Value::U64(number) => put_uint(out, annotation::UINT, number),
        Value::F64(number) if number.is_finite() => put_f64(out, annotation::DOUBLE, number),
        // As in JSON: sums of what is around them stay numbers.
        Value::F64(number) => put_text(out, annotation::STRING, json::not_finite(number)),
        Value::Bool(truth) => put_uint(out, annotation::BOOL, truth as u64),
        Value::Hex(number) => put_uint(out, annotation::POINTER, number),
        Value::Null => {}
        Value::Str { bytes, full_len } => {
            put_text(out, annotation::STRING, &json::text(bytes, full_len));
        }
        Value::Json { bytes, full_len } => match json::tree(bytes, full_len) {
            Some(tree) => put_tree(out, &tree),
            None => put_text(out, annotation::STRING, &json::text(bytes, full_len)),
        },
    }
}

fn put_tree(out: &mut Vec<u8>, tree: &Tree) {
    match tree {
        Tree::Null => {}
        Tree::Bool(truth) => put_uint(out, annotation::BOOL, *truth as u64),
        Tree::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => put_uint(out, annotation::UINT, number),
            (_, Some(number)) => put_uint(out, annotation::INT, number as u64),
            _ => put_f64(out, annotation::DOUBLE, number.as_f64().unwrap_or(f64::NAN)),
        },
        Tree::String(text) => put_text(out, annotation::STRING, text),
        Tree::Array(list) => {
            for item in list.iter().filter(|item| !item.is_null()) {
                put_message(out, annotation::ARRAY_VALUES, |out| put_tree(out, item));
            }
        }
        Tree::Object(map) => {
            for (key, value) in map.iter().filter(|(_, value)| !value.is_null()) {
                put_message(out, annotation::DICT_ENTRIES, |out| {
                    put_text(out, annotation::NAME, key);
                    put_tree(out, value);
                });
            }
        }
    }
}
