//! The packets of plain spans: what is the same for a site stands ready, and each packet is put together in place.

use ringscope_ringbuf::payload::ArgType;

use super::fields::{annotation, event, packet, trace};
use super::names::Names;
use super::slice::{BusyLane, Place, put_clock_set, put_named};
use super::tracks::Tracks;
use super::wire::{BYTES, VARINT, put_tag, put_uint, short_tag, varint};
use super::{MAX_OWN_SEQUENCES, Perfetto, SHARED_SEQUENCE, sequence_of};
use crate::args;
use crate::format::PlainSlice;
use crate::process::Site;
use crate::ring::plain::PlainSpan;
use crate::sheet::Sheet;
use crate::template::LINE_ROOM;

/// Longest template.
const MAX_TEMPLATE: usize = 32;
/// No packet is longer.
const MAX_PACKET: usize = 128;
const _: () = assert!(MAX_OWN_SEQUENCES < 0x7f && 2 * MAX_PACKET <= LINE_ROOM);

/// What the begins of a site's spans have in common.
pub(super) struct SpanTemplate {
    /// Kind of the event, name and category, and the annotation of the argument up to its value.
    fields: [u8; MAX_TEMPLATE],
    len: usize,
    /// Where the annotation's length stands, for a site with an argument.
    annotation_len_at: Option<usize>,
}

/// Where the kind stands in a template: behind its tag.
const KIND_AT: usize = 1;

impl SpanTemplate {
    /// Of a site with no argument or an integer; `None` for others.
    pub(super) fn of(site: &Site, index: usize, names: &Names) -> Option<SpanTemplate> {
        if !site.constants.is_empty() {
            return None;
        }
        let mut text = Vec::new();
        put_uint(&mut text, event::TYPE, event::SLICE_BEGIN);
        text.extend_from_slice(names.fields_of_site(index)?);
        let annotation_len_at = match &site.args[..] {
            [] => None,
            [(_, ArgType::I64 | ArgType::U64)] => {
                put_tag(&mut text, event::ANNOTATIONS, BYTES);
                text.push(0);
                let len_at = text.len() - 1;
                put_uint(
                    &mut text,
                    annotation::NAME_IID,
                    names.key_of_site(index, 0)?,
                );
                let is_signed = site.args[0].1 == ArgType::I64;
                let field = if is_signed {
                    annotation::INT
                } else {
                    annotation::UINT
                };
                put_tag(&mut text, field, VARINT);
                Some(len_at)
            }
            _ => return None,
        };
        let mut fields = [0; MAX_TEMPLATE];
        fields.get_mut(..text.len())?.copy_from_slice(&text);
        Some(SpanTemplate {
            fields,
            len: text.len(),
            annotation_len_at,
        })
    }
}

/// Writes a slice of plain spans.
pub(super) struct PlainWriter<'f, 'o> {
    format: &'f Perfetto<'f>,
    out: &'o mut Sheet,
    busy: Vec<BusyLane>,
}

impl<'f, 'o> PlainWriter<'f, 'o> {
    pub(super) fn new(format: &'f Perfetto<'f>, out: &'o mut Sheet) -> PlainWriter<'f, 'o> {
        PlainWriter {
            format,
            out,
            busy: vec![BusyLane::default(); format.busy.len()],
        }
    }

    /// In the order in which a slice of events is written.
    pub(super) fn write(mut self, slice: &PlainSlice<'_>) {
        for span in slice.iter() {
            let own = self.format.own_sequence.get(span.lane as usize);
            match own.copied().flatten() {
                Some(index) => {
                    self.end_spans(index, span.start_ns);
                    let place = self.place_on(index, span.start_ns);
                    self.put_begin(span, place);
                    if span.end_ns > span.start_ns {
                        self.busy[index].open_ends.push(span.end_ns);
                    }
                }
                None => {
                    let place = |at_ns| Place {
                        sequence: SHARED_SEQUENCE,
                        time: at_ns - self.format.base_ns,
                        track: Some(Tracks::of_lane(span.lane)),
                    };
                    let (start, end) = (place(span.start_ns), place(span.end_ns));
                    self.put_begin(span, start);
                    if span.end_ns > span.start_ns {
                        self.put_end(end);
                    }
                }
            }
        }
        for index in 0..self.busy.len() {
            self.end_spans(index, i64::MAX);
        }
    }

    /// Ends the spans of a busy lane that end up to a moment.
    #[inline(always)]
    fn end_spans(&mut self, index: usize, until_ns: i64) {
        while let Some(end_ns) = self.busy[index].open_ends.pop_if(|end| *end <= until_ns) {
            let place = self.place_on(index, end_ns);
            self.put_end(place);
        }
    }

    #[inline(always)]
    fn place_on(&mut self, index: usize, at_ns: i64) -> Place {
        let time = self.busy[index].go_to(at_ns).unwrap_or_else(|| {
            let base_ns = self.format.base_ns;
            self.out
                .append(|out| put_clock_set(out, index, at_ns, base_ns));
            0
        });
        Place {
            sequence: sequence_of(index),
            time,
            track: None,
        }
    }

    #[inline(always)]
    fn put_begin(&mut self, span: &PlainSpan, place: Place) {
        let template = self.format.templates.get(span.site as usize);
        let Some(template) = template.and_then(Option::as_ref) else {
            return self.put_any_begin(span, place);
        };
        let kind = if span.end_ns > span.start_ns {
            event::SLICE_BEGIN
        } else {
            event::INSTANT
        };
        self.out.piece(|room| {
            let mut pen = PacketPen::new(room, place);
            let at = pen.at;
            pen.put(template.fields, template.len);
            pen.patch(at + KIND_AT, kind as usize);
            if let Some(len_at) = template.annotation_len_at {
                pen.put_number(span.word);
                pen.patch(at + len_at, pen.at - at - len_at - 1);
            }
            pen.finish()
        });
    }

    /// A begin, or an instant, of a site without template.
    #[cold]
    fn put_any_begin(&mut self, span: &PlainSpan, place: Place) {
        let format = self.format;
        let event = format.timeline.plain_event(span);
        let mut args = Vec::new();
        args::of_event(format.timeline, &event, event.payload(&[]), &mut args);
        self.out
            .append(|out| put_named(format, &event, &args, place, out));
    }

    #[inline(always)]
    fn put_end(&mut self, place: Place) {
        self.out.piece(|room| {
            let mut pen = PacketPen::new(room, place);
            pen.put([TYPE_TAG, event::SLICE_END as u8], 2);
            pen.finish()
        });
    }
}

const TYPE_TAG: u8 = short_tag(event::TYPE, VARINT);

/// Puts a packet with an event together. It has less than 128 bytes, so that each length in it takes one.
struct PacketPen<'a> {
    room: &'a mut [u8; LINE_ROOM],
    /// Bytes so far; kept below [`MAX_PACKET`] where it is an index, so that no copy has to be checked.
    at: usize,
    /// Where the event begins, behind its length.
    event_at: usize,
}

impl<'a> PacketPen<'a> {
    /// Begins with what stands before the fields of the event.
    #[inline(always)]
    fn new(room: &'a mut [u8; LINE_ROOM], place: Place) -> PacketPen<'a> {
        const PACKET_TAG: u8 = short_tag(trace::PACKET, BYTES);
        const SEQUENCE_TAG: u8 = short_tag(packet::SEQUENCE_ID, VARINT);
        const TIMESTAMP_TAG: u8 = short_tag(packet::TIMESTAMP, VARINT);
        const EVENT_TAG: u8 = short_tag(packet::TRACK_EVENT, BYTES);
        const TRACK_TAG: u8 = short_tag(event::TRACK_UUID, VARINT);
        let mut pen = PacketPen {
            room,
            at: 0,
            event_at: 0,
        };
        let sequence = place.sequence as u8;
        pen.put([PACKET_TAG, 0, SEQUENCE_TAG, sequence, TIMESTAMP_TAG], 5);
        pen.put_number(place.time as u64);
        pen.put([EVENT_TAG, 0], 2);
        pen.event_at = pen.at;
        if let Some(track) = place.track {
            pen.put([TRACK_TAG], 1);
            pen.put_number(track);
        }
        pen
    }

    #[inline(always)]
    fn put<const LEN: usize>(&mut self, bytes: [u8; LEN], len: usize) {
        let at = self.at % MAX_PACKET;
        self.room[at..at + LEN].copy_from_slice(&bytes);
        self.at = at + len;
    }

    #[inline(always)]
    fn put_number(&mut self, number: u64) {
        let (bytes, len) = varint(number);
        self.put(bytes, len);
    }

    /// Writes a byte over another.
    #[inline(always)]
    fn patch(&mut self, at: usize, byte: usize) {
        self.room[at % MAX_PACKET] = byte as u8;
    }

    /// Fills the lengths in; that of the whole.
    #[inline(always)]
    fn finish(mut self) -> usize {
        self.patch(self.event_at - 1, self.at - self.event_at);
        self.patch(1, self.at - 2);
        self.at
    }
}
