//! Spans that were open when their ring was copied: where every thread of a dead process was.

use std::collections::HashSet;

use ringscope_ringbuf::layout::Kind;
use ringscope_ringbuf::reader::OpenSlot;

use crate::event::{Decoder, Event, EventKind, FLAG_OPEN, event_kind};
use crate::source::RingSource;

/// Sequences of open spans lie above those of records. The lower slot was usually taken first: it is the parent.
const OPEN_SEQUENCE: u64 = 1 << 48;

/// Adds an open event for every open slot of the ring whose span has no record yet. Their end is set when the last
/// sign of life of the process is known.
pub(crate) fn add(decoder: &mut Decoder<'_>, source: &RingSource) {
    decoder
        .out
        .losses
        .note("open_span_changing", source.mixed_open);
    let mut open: Vec<Event> = Vec::new();
    for (index, slot) in &source.open {
        if let Some(event) = open_event(decoder, *index, slot) {
            open.push(event);
        }
    }
    // A span is closed after its record is published: between the two it stands in both places.
    let starts: HashSet<i64> = open.iter().map(|event| event.start_ns).collect();
    let recorded: HashSet<(i64, u32, u32)> = decoder
        .out
        .events
        .iter()
        .filter(|event| is_host_span(event.kind) && starts.contains(&event.start_ns))
        .map(|event| (event.start_ns, event.site, event.lane))
        .collect();
    open.retain(|event| !recorded.contains(&(event.start_ns, event.site, event.lane)));
    for event in &open {
        decoder.out.last_ns = decoder.out.last_ns.max(Some(event.start_ns));
    }
    decoder.out.events.extend(open);
}

fn open_event(decoder: &mut Decoder<'_>, index: u32, slot: &OpenSlot) -> Option<Event> {
    let kind = Kind::from_u8(slot.kind_number)?;
    let event_kind = event_kind(kind);
    if !is_host_span(event_kind) {
        return None;
    }
    let clock = &decoder.recorder.clock;
    let (start_ns, ticks) = if kind == Kind::SpanNs {
        (clock.mono_ns(slot.start_ticks), None)
    } else {
        (clock.ticks(slot.start_ticks), Some(slot.start_ticks))
    };
    let owner = decoder.owner(u64::MAX);
    let lane = decoder.lane(slot.lane, ticks, start_ns, owner.row);
    let site = decoder.site(slot.site);
    let mut event = Event {
        start_ns,
        end_ns: start_ns,
        word: slot.w2,
        lane: lane.row,
        site,
        kind: event_kind,
        flags: FLAG_OPEN,
        ..decoder.blank(OPEN_SEQUENCE + u64::from(u32::MAX - index))
    };
    let mut payload = Vec::new();
    if kind.payload_starts_in_w2() {
        payload.extend_from_slice(&slot.w2.to_le_bytes());
    }
    payload.extend_from_slice(slot.payload.get(..slot.payload_len).unwrap_or_default());
    decoder.put_payload(&mut event, &payload);
    Some(event)
}

fn is_host_span(kind: EventKind) -> bool {
    matches!(kind, EventKind::Span | EventKind::Launch | EventKind::Wait)
}
