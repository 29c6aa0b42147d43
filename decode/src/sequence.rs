//! The pieces that a trace consists of, in the order asked for.
//!
//! By time they are the slices of the time line. By lane, a row is read by itself where its ring holds little else at
//! the time. The others are taken from the time line slice by slice, formatted, and their text is kept in the temporary file, lane by
//! lane.

use std::io;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use crate::engine::{Engine, Scope};
use crate::format::{Format, Sheet, Slice};
use crate::pipeline::{self, Stages};
use crate::ring::gather::{Gatherer, RowSet};
use crate::ring::plain::PlainGatherer;
use crate::spill::Spill;
use crate::timeline::Timeline;
use crate::trace::Order;

/// A ring is read row by row when none of its blocks is read more often than this, on the average.
const MAX_READS: usize = 3;
/// Bytes of text that all lanes together keep in memory.
const KEPT_TEXT: usize = 16 << 20;
/// Bytes of text that go to the temporary file at once.
const PAGE: std::ops::RangeInclusive<usize> = 512..=1 << 16;
/// Bytes of text written at once.
const TEXT_PIECE: usize = 1 << 20;

/// The pieces of a trace.
pub(crate) struct Sequence<'a> {
    engine: &'a Engine,
    rings: Vec<u32>,
    places: Vec<PiecePlace>,
    texts: Vec<Text>,
}

/// Where a piece comes from.
enum PiecePlace {
    /// Events of all rings.
    Time { from_ns: i64, to_ns: i64 },
    /// Events of one row, in one ring.
    Row {
        row: u32,
        ring: [u32; 1],
        from_ns: i64,
        to_ns: i64,
    },
    /// Text that was kept.
    Text(usize),
}

/// What a piece is.
pub(crate) enum Piece<'a> {
    /// The plain spans that were gathered.
    Plain,
    /// The events that were gathered.
    Events,
    Text(&'a Text),
}

/// Gathers pieces; its room is used again from piece to piece.
#[derive(Default)]
pub(crate) struct PieceGatherer {
    pub plain: PlainGatherer,
    pub any: Gatherer,
}

impl<'a> Sequence<'a> {
    /// The pieces of a trace of `timeline` in `format`.
    ///
    /// # Errors
    ///
    /// When the temporary file fails.
    pub(crate) fn new(
        timeline: &'a Timeline,
        order: Order,
        format: &dyn Format,
    ) -> io::Result<Sequence<'a>> {
        let mut sequence = Sequence {
            engine: &timeline.engine,
            rings: timeline.engine.all_rings(),
            places: Vec::new(),
            texts: Vec::new(),
        };
        match order {
            Order::Time => sequence.places.extend(
                spans(&timeline.cuts).map(|(from_ns, to_ns)| PiecePlace::Time { from_ns, to_ns }),
            ),
            Order::Lane => sequence.add_lanes(timeline, format)?,
        }
        Ok(sequence)
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Gathers the events of a piece, unless it is text.
    ///
    /// # Errors
    ///
    /// When the temporary file fails.
    pub(crate) fn piece(
        &self,
        number: usize,
        gatherer: &mut PieceGatherer,
    ) -> io::Result<Piece<'_>> {
        if let PiecePlace::Text(text) = &self.places[number] {
            return Ok(Piece::Text(&self.texts[*text]));
        }
        let (scope, from_ns, to_ns) = self.place(number);
        let plain = &mut gatherer.plain;
        if self.engine.plain_slice(plain, scope, from_ns, to_ns) {
            return Ok(Piece::Plain);
        }
        self.engine
            .slice(&mut gatherer.any, scope, from_ns, to_ns)?;
        Ok(Piece::Events)
    }

    /// Gathers the events of a piece of a trace by time.
    ///
    /// # Errors
    ///
    /// When the temporary file fails.
    pub(crate) fn events(&self, number: usize, gatherer: &mut Gatherer) -> io::Result<()> {
        let (scope, from_ns, to_ns) = self.place(number);
        self.engine.slice(gatherer, scope, from_ns, to_ns)
    }

    /// What a piece consists of: nothing for a text.
    fn place(&self, number: usize) -> (Scope<'_>, i64, i64) {
        let (rings, rows, is_by_lane, from_ns, to_ns) = match &self.places[number] {
            PiecePlace::Time { from_ns, to_ns } => {
                (&self.rings[..], RowSet::All, false, *from_ns, *to_ns)
            }
            PiecePlace::Row {
                row,
                ring,
                from_ns,
                to_ns,
            } => (&ring[..], RowSet::One(*row), true, *from_ns, *to_ns),
            PiecePlace::Text(_) => (&[][..], RowSet::All, true, 0, 0),
        };
        let scope = Scope {
            rings,
            rows,
            is_by_lane,
        };
        (scope, from_ns, to_ns)
    }

    fn add_lanes(&mut self, timeline: &Timeline, format: &dyn Format) -> io::Result<()> {
        let engine = self.engine;
        let homes = rows_read_alone(engine);
        let keeps_text: Vec<bool> = homes.iter().map(Option::is_none).collect();
        let mut texts = keep_text(timeline, format, &keeps_text)?;
        let mut rows: Vec<u32> = (0..homes.len() as u32).collect();
        rows.sort_by_key(|row| engine.lane_of_row[*row as usize]);
        let mut first_lane = 0;
        for row in rows {
            let lanes = first_lane..first_lane + timeline.lanes_of_row(row);
            first_lane = lanes.end;
            let Some(RowHome { ring, blocks }) = homes[row as usize].clone() else {
                for lane in lanes {
                    self.add_text(std::mem::take(&mut texts[lane]));
                }
                continue;
            };
            let cuts = timeline.cuts_of_row(row, ring, blocks);
            let places = spans(&cuts).map(|(from_ns, to_ns)| PiecePlace::Row {
                row,
                ring: [ring],
                from_ns,
                to_ns,
            });
            self.places.extend(places);
        }
        Ok(())
    }

    /// Adds the text of a lane, in pieces.
    fn add_text(&mut self, text: Text) {
        for piece in text.into_pieces() {
            self.places.push(PiecePlace::Text(self.texts.len()));
            self.texts.push(piece);
        }
    }
}

/// The spans of time between moments.
fn spans(cuts: &[i64]) -> impl Iterator<Item = (i64, i64)> {
    cuts.windows(2).map(|cut| (cut[0], cut[1]))
}

/// Where all events of a row stand.
#[derive(Clone)]
struct RowHome {
    ring: u32,
    blocks: Range<usize>,
}

/// The rows that are read by themselves, and where: threads that used a ring one after the other lie apart in it,
/// tracks of one thread do not.
fn rows_read_alone(engine: &Engine) -> Vec<Option<RowHome>> {
    let mut homes: Vec<Option<RowHome>> = vec![None; engine.lane_of_row.len()];
    for (ring, scanned) in (0u32..).zip(&engine.rings) {
        let blocks: usize = scanned.rows.iter().map(|used| used.blocks.len()).sum();
        if blocks > MAX_READS * scanned.reaches.len() {
            continue;
        }
        let extras = scanned.extras.iter().map(|(event, _)| (event.lane, 0..0));
        let rows = scanned
            .rows
            .iter()
            .map(|used| (used.row, used.blocks.clone()));
        // A row that is not split stands in one ring only.
        for (row, blocks) in extras.chain(rows) {
            if !engine.split.is_split[row as usize] {
                homes[row as usize] = Some(RowHome { ring, blocks });
            }
        }
    }
    homes
}

/// Text of one lane: pages of the temporary file, and a rest.
#[derive(Default)]
pub(crate) struct Text {
    /// Offset and length.
    pages: Vec<(u64, u32)>,
    rest: Vec<u8>,
    pub event_count: u64,
}

impl Text {
    fn add(
        &mut self,
        bytes: &[u8],
        event_count: u64,
        page: usize,
        spill: &Spill,
    ) -> io::Result<()> {
        self.event_count += event_count;
        if self.rest.len() + bytes.len() > page {
            let rest = std::mem::take(&mut self.rest);
            self.add_page(&rest, spill)?;
            self.rest = rest;
            self.rest.clear();
        }
        if bytes.len() > page {
            return self.add_page(bytes, spill);
        }
        self.rest.extend_from_slice(bytes);
        Ok(())
    }

    fn add_page(&mut self, bytes: &[u8], spill: &Spill) -> io::Result<()> {
        if !bytes.is_empty() {
            let offset = spill.append(bytes)?;
            self.pages.push((offset, bytes.len() as u32));
        }
        Ok(())
    }

    fn into_pieces(mut self) -> Vec<Text> {
        let mut pieces = Vec::new();
        let mut piece = Text::default();
        let mut len = 0;
        for page in std::mem::take(&mut self.pages) {
            piece.pages.push(page);
            len += page.1 as usize;
            if len >= TEXT_PIECE {
                pieces.push(std::mem::take(&mut piece));
                len = 0;
            }
        }
        piece.rest = self.rest;
        piece.event_count = self.event_count;
        pieces.push(piece);
        pieces
    }

    pub(crate) fn read(&self, spill: &Spill, out: &mut Vec<u8>) -> io::Result<()> {
        for (offset, len) in &self.pages {
            let start = out.len();
            out.resize(start + *len as usize, 0);
            spill.read_at(*offset, &mut out[start..])?;
        }
        out.extend_from_slice(&self.rest);
        Ok(())
    }
}

/// Formats the rows in `keeps_text` slice by slice; their text by lane.
fn keep_text(
    timeline: &Timeline,
    format: &dyn Format,
    keeps_text: &[bool],
) -> io::Result<Vec<Text>> {
    let engine = &timeline.engine;
    let holds_some = |ring: &u32| {
        let ring = &engine.rings[*ring as usize];
        let extra = ring.extras.iter().map(|(event, _)| event.lane);
        let mut rows = ring.rows.iter().map(|used| used.row).chain(extra);
        rows.any(|row| keeps_text[row as usize])
    };
    let rings: Vec<u32> = engine.all_rings().into_iter().filter(holds_some).collect();
    let mut texts = Vec::new();
    texts.resize_with(timeline.lanes.len(), Text::default);
    let keeping = Keeping {
        timeline,
        format,
        rings: &rings,
        keeps_text,
        page: (KEPT_TEXT / texts.len().max(1)).clamp(*PAGE.start(), *PAGE.end()),
        texts: Mutex::new(texts),
    };
    let slices = if rings.is_empty() {
        0
    } else {
        timeline.cuts.len().saturating_sub(1)
    };
    pipeline::run(&keeping, slices)?;
    let texts = keeping.texts.into_inner();
    Ok(texts.unwrap_or_else(PoisonError::into_inner))
}

struct Keeping<'a> {
    timeline: &'a Timeline,
    format: &'a dyn Format,
    rings: &'a [u32],
    keeps_text: &'a [bool],
    page: usize,
    texts: Mutex<Vec<Text>>,
}

/// Text of a slice, and where that of each lane ends: lane, end, events.
#[derive(Default)]
struct Room {
    gatherer: Gatherer,
    bytes: Sheet,
    ends: Vec<(u32, usize, u64)>,
}

impl Stages for Keeping<'_> {
    type Room = Room;
    type Error = io::Error;

    fn prepare(&self, piece: usize, room: &mut Room) -> io::Result<()> {
        let scope = Scope {
            rings: self.rings,
            rows: RowSet::Listed(self.keeps_text),
            is_by_lane: true,
        };
        let (from_ns, to_ns) = (self.timeline.cuts[piece], self.timeline.cuts[piece + 1]);
        let engine = &self.timeline.engine;
        engine.slice(&mut room.gatherer, scope, from_ns, to_ns)?;
        room.bytes.clear();
        room.ends.clear();
        room.gatherer.events.sort_by_key(|event| event.lane);
        let whole = room.gatherer.slice(self.timeline);
        for events in whole.events.chunk_by(|a, b| a.lane == b.lane) {
            let slice = Slice { events, ..whole };
            self.format.slice(&slice, &mut room.bytes);
            let lane = events.first().map_or(0, |event| event.lane);
            room.ends
                .push((lane, room.bytes.len(), slice.record_count()));
        }
        Ok(())
    }

    fn in_turn(&self, _piece: usize, room: &mut Room) -> io::Result<()> {
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        let spill = &self.timeline.engine.storage.spill;
        let mut start = 0;
        for (lane, end, event_count) in &room.ends {
            let bytes = &room.bytes.as_bytes()[start..*end];
            texts[*lane as usize].add(bytes, *event_count, self.page, spill)?;
            start = *end;
        }
        Ok(())
    }

    fn complete(&self, _piece: usize, _room: &mut Room) -> io::Result<()> {
        Ok(())
    }
}
