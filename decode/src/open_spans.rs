//! Spans that were open when their ring was looked at: where every thread of a dead process was.

use ringscope_ringbuf::layout::Kind;
use ringscope_ringbuf::reader::OpenSlot;

use crate::event::{Event, FLAG_OPEN};
use crate::ring::resolve::{Resolver, event_kind, is_host_span};

/// Sequences of open spans lie above those of records. The lower slot was usually taken first: it is the parent.
pub(crate) const OPEN_SEQUENCE: u64 = 1 << 48;

/// The open spans of a ring, with their payloads. Their end is set when the last sign of life of the process is known.
pub(crate) fn events(
    resolver: &mut Resolver<'_>,
    open: &[(u32, OpenSlot)],
) -> Vec<(Event, Vec<u8>)> {
    let events = open.iter();
    events
        .filter_map(|(index, slot)| open_event(resolver, *index, slot))
        .collect()
}

fn open_event(
    resolver: &mut Resolver<'_>,
    index: u32,
    slot: &OpenSlot,
) -> Option<(Event, Vec<u8>)> {
    let kind = Kind::from_u8(slot.kind_number)?;
    let event_kind = event_kind(kind);
    if !is_host_span(event_kind) {
        return None;
    }
    let (start_ns, ticks) = if kind == Kind::SpanNs {
        (resolver.recorder.clock.mono_ns(slot.start_ticks), None)
    } else {
        let start_ns = resolver.recorder.clock.ticks(slot.start_ticks);
        (start_ns, Some(slot.start_ticks))
    };
    let owner = resolver.owner(u64::MAX);
    let lane = resolver.lane(slot.lane, ticks, start_ns, owner.row);
    let event = Event {
        start_ns,
        end_ns: start_ns,
        word: slot.w2,
        lane: lane.row,
        site: resolver.site(slot.site),
        kind: event_kind,
        flags: FLAG_OPEN,
        ..resolver.blank(OPEN_SEQUENCE + u64::from(u32::MAX - index))
    };
    let mut payload = Vec::new();
    if kind.payload_starts_in_w2() {
        payload.extend_from_slice(&slot.w2.to_le_bytes());
    }
    payload.extend_from_slice(slot.payload.get(..slot.payload_len).unwrap_or_default());
    Some((event, payload))
}
