//! Writing a trace: slices of the time line are gathered and formatted in parallel, and written in order.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, PoisonError};

use crate::format::{Format, PlainSlice, Sheet};
use crate::pipeline::{self, Stages};
use crate::sequence::{Piece, PieceGatherer, Sequence};
use crate::timeline::Timeline;

/// In which order events stand in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// By start over all lanes, parents before children.
    #[default]
    Time,
    /// Lane by lane.
    Lane,
}

/// Where a trace goes.
pub enum Output<'a> {
    /// Piece after piece, in order.
    Stream(&'a mut (dyn Write + Send)),
    /// From the file's start on, by several threads at once.
    File(&'a File),
}

/// Writes a trace of `timeline` in `format`; the number of events written, names and flow arrows of launches not
/// counted. `progress` is told now and then how many are done.
///
/// # Errors
///
/// When `out` or the temporary file fails.
pub fn write(
    timeline: &Timeline,
    format: &dyn Format,
    order: Order,
    out: Output<'_>,
    progress: &(dyn Fn(u64) + Sync),
) -> io::Result<u64> {
    let (stream, file) = match out {
        Output::Stream(stream) => (Some(stream), None),
        Output::File(file) => (None, Some(file)),
    };
    let mut place = Place {
        stream,
        offset: 0,
        done: 0,
    };
    let mut edge = Vec::new();
    format.head(&mut edge);
    place.put(file, &edge)?;
    let place = Mutex::new(place);
    timeline.on_threads(|| {
        let sequence = Sequence::new(timeline, order, format)?;
        let writing = Writing {
            timeline,
            format,
            sequence: &sequence,
            file,
            progress,
            place: &place,
        };
        pipeline::run(&writing, sequence.len())
    })?;
    let mut place = place.into_inner().unwrap_or_else(PoisonError::into_inner);
    edge.clear();
    format.tail(&mut edge);
    place.put(file, &edge)?;
    Ok(place.done)
}

/// How far the trace has come.
struct Place<'a> {
    stream: Option<&'a mut (dyn Write + Send)>,
    /// Bytes so far.
    offset: u64,
    /// Events so far.
    done: u64,
}

impl Place<'_> {
    fn put(&mut self, file: Option<&File>, bytes: &[u8]) -> io::Result<()> {
        match (&mut self.stream, file) {
            (Some(stream), _) => stream.write_all(bytes)?,
            (None, Some(file)) => file.write_all_at(bytes, self.offset)?,
            (None, None) => {}
        }
        self.offset += bytes.len() as u64;
        Ok(())
    }
}

struct Writing<'a, 'o> {
    timeline: &'a Timeline,
    format: &'a dyn Format,
    sequence: &'a Sequence<'a>,
    file: Option<&'a File>,
    progress: &'a (dyn Fn(u64) + Sync),
    place: &'a Mutex<Place<'o>>,
}

/// What a thread needs for a piece.
#[derive(Default)]
struct Room {
    gatherer: PieceGatherer,
    bytes: Sheet,
    event_count: u64,
    offset: u64,
}

impl Stages for Writing<'_, '_> {
    type Room = Room;
    type Error = io::Error;

    fn prepare(&self, piece: usize, room: &mut Room) -> io::Result<()> {
        room.bytes.clear();
        room.event_count = match self.sequence.piece(piece, &mut room.gatherer)? {
            Piece::Plain => {
                let spans = &room.gatherer.plain;
                let slice = PlainSlice {
                    timeline: self.timeline,
                    spans,
                };
                self.format.plain_slice(&slice, &mut room.bytes);
                spans.len() as u64
            }
            Piece::Events => {
                let slice = room.gatherer.any.slice(self.timeline);
                self.format.slice(&slice, &mut room.bytes);
                slice.record_count()
            }
            Piece::Text(text) => {
                let spill = &self.timeline.engine.storage.spill;
                room.bytes.append(|out| text.read(spill, out))?;
                text.event_count
            }
        };
        Ok(())
    }

    fn in_turn(&self, _piece: usize, room: &mut Room) -> io::Result<()> {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        room.offset = place.offset;
        place.done += room.event_count;
        (self.progress)(place.done);
        match &mut place.stream {
            Some(stream) => stream.write_all(room.bytes.as_bytes())?,
            None => place.offset += room.bytes.len() as u64,
        }
        Ok(())
    }

    fn complete(&self, _piece: usize, room: &mut Room) -> io::Result<()> {
        match self.file {
            Some(file) => file.write_all_at(room.bytes.as_bytes(), room.offset),
            None => Ok(()),
        }
    }
}
