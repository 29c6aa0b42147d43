//! The one pass over all records of a ring: it fills the index, finds what is missing, and sees whether spans nest.

use std::collections::HashMap;
use std::io;
use std::ops::{Range, RangeInclusive};

use ringscope_ringbuf::layout::{Kind, Record};

use super::aside::{Aside, Asides};
use super::index::{Reach, Reaches};
use super::nesting::Nesting;
use super::resolve::{Batch, MADE_PAYLOAD, Payload, Resolver, duration_ticks};
use super::source::{Extent, RingSource, Storage, Stretch};
use crate::args;
use crate::error::{Error, Problem};
use crate::event::{Event, EventKind, FLAG_OPEN, FLAG_PAYLOAD_IN_RING, UNKNOWN_SITE_BASE};
use crate::gaps::{self, Hole};
use crate::links::Links;
use crate::losses::Losses;
use crate::open_spans;
use crate::process::Ring;
use crate::recorder::Recorder;

/// Records read at once; a multiple of every block's length.
const CHUNK: usize = 1 << 12;
/// Spans without a parent so far that all rows of a ring keep, about, and those that each of them keeps.
const KEPT_ROOTS: usize = 1 << 15;
const ROOTS_OF_ROW: RangeInclusive<usize> = 8..=1024;
/// Ids of sites from here on are looked up every time: only damage makes them.
const MAX_SEEN_SITES: u32 = 1 << 16;
/// Holes that are told apart; further ones count as parts of the last.
const MAX_HOLES: usize = 1 << 10;

/// A ring after its scan: what it holds, and where.
pub(crate) struct ScannedRing {
    /// Index of its recorder: processes of all runs in order.
    pub recorder: u32,
    /// Number of the ring within its process.
    pub ring_index: u32,
    pub source: RingSource,
    /// Records of a block.
    pub block_len: u64,
    /// Number of the first block of each stretch.
    pub first_blocks: Vec<usize>,
    /// When the events of each block start, without those put aside.
    pub reaches: Reaches,
    /// Batches whose tasks go on at the start of a block, by block.
    pub batches: Vec<(usize, Batch)>,
    pub asides: Asides,
    /// Open spans and losses, with their payload.
    pub extras: Vec<(Event, Vec<u8>)>,
    /// Launches and executions, until they are paired.
    pub links: Links,
    pub rows: Vec<RowUse>,
    pub losses: Losses,
    pub problems: Vec<Problem>,
    /// Ids of sites that nobody described, as they came, and later their indexes in the time line's table.
    pub unknown_sites: Vec<u32>,
    /// Which of the time line's sites it uses; unknown ones are not among them.
    pub used_sites: Vec<bool>,
    /// Main records found.
    pub present: u64,
    /// Records ever reserved, where the ring says so.
    pub reserved: Option<u64>,
    /// Events but the extras.
    pub event_count: u64,
    /// First start of a record, ns.
    pub first_ns: Option<i64>,
    /// Last end of a record, ns.
    pub last_record_ns: Option<i64>,
    /// Last end of a record, or start of an open span, ns.
    pub last_ns: Option<i64>,
}

/// What a ring holds of a row.
#[derive(Debug)]
pub(crate) struct RowUse {
    pub row: u32,
    /// The blocks that hold them.
    pub blocks: Range<usize>,
    pub event_count: u64,
    pub nesting: Nesting,
    /// Its spans are compared in ns, since not all are in ticks.
    is_in_ns: bool,
}

/// Ticks as numbers that compare alike.
fn signed(ticks: u64) -> i64 {
    (ticks ^ 1 << 63) as i64
}

fn unsigned(moment: i64) -> u64 {
    moment as u64 ^ 1 << 63
}

/// Scans one ring of a recorder; `source_index` is its index among all rings.
///
/// # Errors
///
/// When the temporary file fails. What can't be read of the ring is told in its problems.
pub(crate) fn scan(
    recorder: &Recorder,
    ring: &Ring,
    place: RingPlace,
    storage: &Storage,
) -> Result<ScannedRing, Error> {
    let mut source = RingSource::open(ring, recorder.is_alive, storage);
    let mut scan = Scan::new(recorder, ring, place, source.capacity_log2);
    scan.walk(&source, storage)?;
    match source.recover(scan.has_holes(&source), storage) {
        Ok(false) => {}
        Ok(true) => {
            scan = Scan::new(recorder, ring, place, source.capacity_log2);
            scan.walk(&source, storage)?;
        }
        Err(error) => source.problems.push(error.into()),
    }
    scan.finish(source, storage)
}

/// Where a ring stands among all.
#[derive(Clone, Copy)]
pub(crate) struct RingPlace {
    pub recorder: u32,
    pub source_index: u32,
    pub block_len: u64,
}

/// The state of a scan.
struct Scan<'a> {
    resolver: Resolver<'a>,
    place: RingPlace,
    ring_index: u32,
    capacity_log2: u32,
    first_blocks: Vec<usize>,
    reaches: Reaches,
    batches: Vec<(usize, Batch)>,
    asides: Asides,
    rows: Vec<RowUse>,
    row_index: HashMap<u32, usize>,
    /// Index of the row that the last record belonged to.
    row_at: usize,
    /// Indexes of the rows that the block holds; some may stand there more than once.
    block_rows: Vec<usize>,
    /// So many of the rows were there when a block ended before the one ahead of it: their spans may overlap.
    disordered_rows: usize,
    used_sites: Vec<bool>,
    /// By id, those that are described and marked as used.
    seen_sites: Vec<bool>,
    present: u64,
    /// Sequence that follows the last one seen; `None` before the first where nothing says what it should be.
    next_sequence: Option<u64>,
    /// Last end of a host record, in ticks and in ns.
    last_end_ticks: Option<u64>,
    last_end_ns: Option<i64>,
    /// When the last large batch of device tasks arrived: no block's reach says so.
    last_arrival_ns: Option<i64>,
    holes: Vec<Hole>,
    problems: Vec<Problem>,
    links: Links,
    block: BlockScan,
}

/// What is known of the block that is being scanned.
struct BlockScan {
    /// What starts earlier is put aside.
    near_ns: i64,
    near_ticks: u64,
    /// Times of plain spans.
    ticks: Moments,
    ticks_count: u32,
    /// Times of all others.
    reach: Reach,
    /// Plain spans among those: the first of a row or a site.
    single_count: u32,
}

/// First and last start and last end of some spans, in ticks.
#[derive(Clone, Copy)]
struct Moments {
    first: u64,
    last: u64,
    end: u64,
}

impl Moments {
    const NONE: Moments = Moments {
        first: u64::MAX,
        last: 0,
        end: 0,
    };

    #[inline]
    fn add(&mut self, start: u64, end: u64) {
        self.first = self.first.min(start);
        self.last = self.last.max(start);
        self.end = self.end.max(end);
    }

    fn join(&mut self, other: &Moments) {
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.end = self.end.max(other.end);
    }
}

impl<'a> Scan<'a> {
    fn new(recorder: &'a Recorder, ring: &Ring, place: RingPlace, capacity_log2: u32) -> Scan<'a> {
        Scan {
            resolver: Resolver::new(recorder, ring.index, place.source_index),
            place,
            ring_index: ring.index,
            capacity_log2,
            first_blocks: Vec::new(),
            reaches: Reaches::default(),
            batches: Vec::new(),
            asides: Asides::default(),
            rows: Vec::new(),
            row_index: HashMap::new(),
            row_at: usize::MAX,
            block_rows: Vec::new(),
            disordered_rows: 0,
            used_sites: Vec::new(),
            seen_sites: Vec::new(),
            present: 0,
            next_sequence: None,
            last_end_ticks: None,
            last_end_ns: None,
            last_arrival_ns: None,
            holes: Vec::new(),
            problems: Vec::new(),
            links: Links::default(),
            block: BlockScan::begin(i64::MIN, 0),
        }
    }

    /// True when sequences are missing.
    fn has_holes(&self, source: &RingSource) -> bool {
        let end = source.extent.map(|extent| extent.end_sequence);
        !self.holes.is_empty() || self.next_sequence != end
    }

    fn walk(&mut self, source: &RingSource, storage: &Storage) -> Result<(), Error> {
        self.next_sequence = source.extent.map(|extent| extent.base_sequence);
        let mut records = vec![Record::default(); CHUNK];
        for stretch in &source.stretches {
            self.first_blocks.push(self.reaches.len());
            let Range { start, end } = stretch.sequences;
            let mut failure = None;
            for first in (start..end).step_by(CHUNK) {
                let len = (end - first).min(CHUNK as u64) as usize;
                let chunk = &mut records[..len];
                if let Err(error) = source.read(storage, stretch, first, chunk) {
                    failure.get_or_insert(error);
                }
                let block_len = self.place.block_len as usize;
                for (block, at) in chunk.chunks(block_len).zip((first..).step_by(block_len)) {
                    self.block(at, block, storage)?;
                }
            }
            self.problems.extend(failure.map(Problem::from));
        }
        Ok(())
    }

    fn block(&mut self, first: u64, records: &[Record], storage: &Storage) -> Result<(), Error> {
        let number = self.reaches.len();
        if self.next_sequence != Some(first) {
            self.resolver.batch = None;
        }
        if let Some(batch) = self.resolver.batch.filter(|batch| batch.remaining > 0) {
            self.batches.push((number, batch));
        }
        let goes_on = |record: &&Record| record.kind_number() == Kind::Continuation as u8;
        if records.first().filter(goes_on).is_some() {
            self.reaches.last_is_not_plain();
        }
        let near_ns = self.reaches.near_from(number);
        let near_ticks = if near_ns == i64::MIN {
            0
        } else {
            self.resolver.recorder.clock.first_tick_at(near_ns)
        };
        self.block = BlockScan::begin(near_ns, near_ticks);
        let mut at = 0;
        while at < records.len() {
            at += self.plain_spans(first + at as u64, &records[at..]);
            let Some(record) = records.get(at) else {
                break;
            };
            self.one(first + at as u64, record, records.get(at + 1), storage)?;
            at += 1;
        }
        self.end_block(records.len());
        Ok(())
    }

    /// Takes the slot of a sequence in, whatever it holds.
    fn one(
        &mut self,
        sequence: u64,
        record: &Record,
        next: Option<&Record>,
        storage: &Storage,
    ) -> Result<(), Error> {
        if !record.is_stamped(sequence, self.capacity_log2) {
            return Ok(());
        }
        if self.next_sequence != Some(sequence) {
            self.skip_to(sequence);
        }
        self.next_sequence = Some(sequence + 1);
        if record.kind_number() == Kind::Continuation as u8 {
            return Ok(());
        }
        self.present += 1;
        self.any(sequence, record, next, storage)
    }

    /// Takes spans of the thread itself in, which most records are, up to the first slot that needs a closer look; how
    /// many they were.
    fn plain_spans(&mut self, first: u64, records: &[Record]) -> usize {
        let Some(last_end) = self.last_end_ticks else {
            return 0;
        };
        let row = self.resolver.owner(first).row;
        let alike_end = Record::lap_end(first, self.capacity_log2).min(self.resolver.owner_end());
        let alike = (alike_end - first).min(records.len() as u64) as usize;
        let span_mark = Record::span_mark(first, self.capacity_log2);
        let row = self.rows.get_mut(self.row_at).filter(|at| at.row == row);
        let Some(row) = row.filter(|row| !row.is_in_ns && self.next_sequence == Some(first)) else {
            return 0;
        };
        let near_ticks = self.block.near_ticks;
        let is_plain = |record: &&Record| {
            let start = record.start();
            record.is_plain_span(span_mark)
                && start >= near_ticks
                && start.checked_add(record.duration()).is_some()
                && is_seen(&self.seen_sites, record.site())
        };
        let count = records[..alike].iter().take_while(is_plain).count();
        let times = records[..count].iter().map(|record| {
            let start = record.start();
            (start, start + record.duration())
        });
        let mut seen = Moments::NONE;
        // Nothing more is asked about spans that overlap.
        if row.nesting.is_broken {
            times.for_each(|(start, end)| seen.add(start, end));
        } else {
            times.for_each(|(start, end)| {
                seen.add(start, end);
                row.nesting.add(signed(start), signed(end));
            });
        }
        self.block.ticks.join(&seen);
        self.block.ticks_count += count as u32;
        row.event_count += count as u64;
        self.present += count as u64;
        self.last_end_ticks = Some(last_end.max(seen.end));
        self.next_sequence = Some(first + count as u64);
        count
    }

    /// Takes any record in.
    fn any(
        &mut self,
        sequence: u64,
        record: &Record,
        next: Option<&Record>,
        storage: &Storage,
    ) -> Result<(), Error> {
        let Some((event, payload)) = self.resolver.resolve(sequence, record) else {
            return Ok(());
        };
        mark(&mut self.used_sites, event.site);
        let ticks = host_ticks(record);
        let kind = event.kind;
        let is_described = kind == EventKind::Span && event.site < UNKNOWN_SITE_BASE;
        if is_described && record.site() < MAX_SEEN_SITES {
            mark(&mut self.seen_sites, record.site());
        }
        if !matches!(kind, EventKind::DeviceSpan | EventKind::DeviceTask) {
            self.saw_host_moment(event.end_ns, ticks.map(|(_, end)| end));
        }
        let row = self.row(event.lane);
        self.rows[row].event_count += 1;
        if kind.is_interval() {
            self.nest(row, &event, ticks);
        }
        self.link(&event, &payload, storage).map_err(Error::spill)?;
        let is_far_from_tasks = self.resolver.is_large_batch(&event);
        if is_far_from_tasks || event.start_ns < self.block.near_ns {
            if is_far_from_tasks {
                self.last_arrival_ns = self.last_arrival_ns.max(Some(event.end_ns));
            } else {
                self.block.reach.end_ns = self.block.reach.end_ns.max(event.end_ns);
            }
            let has_more = next.is_none_or(|next| {
                next.kind_number() == Kind::Continuation as u8
                    && next.is_stamped(sequence + 1, self.capacity_log2)
            });
            let aside = put_aside(event, payload, has_more);
            return self
                .asides
                .push(aside, &storage.spill)
                .map_err(Error::spill);
        }
        self.block.reach.add(event.start_ns, event.end_ns);
        let span_mark = Record::span_mark(sequence, self.capacity_log2);
        let is_plain = is_described && record.is_plain_span(span_mark);
        self.block.single_count += u32::from(is_plain);
        Ok(())
    }

    /// Takes in what belongs to a launch.
    fn link(&mut self, event: &Event, payload: &Payload, storage: &Storage) -> io::Result<()> {
        match (event.kind, payload) {
            (EventKind::DeviceTask, Payload::Made(bytes, len)) => {
                let correlation = args::task_correlation(&bytes[..*len]);
                self.links.add_task(event, correlation, &storage.spill)
            }
            _ => self.links.add(event, &storage.spill),
        }
    }

    fn nest(&mut self, row: usize, event: &Event, ticks: Option<(u64, u64)>) {
        let row = &mut self.rows[row];
        if ticks.is_none() && !row.is_in_ns {
            let clock = &self.resolver.recorder.clock;
            row.nesting.convert(|moment| clock.ticks(unsigned(moment)));
            row.is_in_ns = true;
        }
        match ticks {
            Some((start, end)) if !row.is_in_ns => row.nesting.add(signed(start), signed(end)),
            _ => row.nesting.add(event.start_ns, event.end_ns),
        }
    }

    /// Index of a row in the list of those that the ring holds.
    fn row(&mut self, row: u32) -> usize {
        if self.rows.get(self.row_at).is_none_or(|at| at.row != row) {
            let block = self.reaches.len();
            self.row_at = *self.row_index.entry(row).or_insert_with(|| {
                self.rows.push(RowUse {
                    row,
                    blocks: block..block,
                    event_count: 0,
                    nesting: Nesting::default(),
                    is_in_ns: false,
                });
                self.rows.len() - 1
            });
            self.block_rows.push(self.row_at);
        }
        self.row_at
    }

    fn end_block(&mut self, len: usize) {
        let before = self.reaches.iter().last().map(|reach| reach.end_ns);
        let mut reach = self.block.reach;
        if self.block.ticks_count > 0 {
            let clock = &mut self.resolver.clock;
            reach.first_ns = reach.first_ns.min(clock.ns(self.block.ticks.first));
            reach.last_ns = reach.last_ns.max(clock.ns(self.block.ticks.last));
            reach.end_ns = reach.end_ns.max(clock.ns(self.block.ticks.end));
            reach.count += self.block.ticks_count;
        }
        let plain_count = self.block.ticks_count + self.block.single_count;
        reach.is_plain = plain_count as usize == len;
        self.reaches.push(reach);
        let is_empty = reach.end_ns == i64::MIN;
        let is_disordered = !is_empty && before.is_some_and(|before| reach.end_ns < before);
        if is_disordered {
            self.disordered_rows = self.rows.len();
        }
        let (near_ns, near_ticks) = (self.block.near_ns, signed(self.block.near_ticks));
        let kept =
            (KEPT_ROOTS / self.rows.len().max(1)).clamp(*ROOTS_OF_ROW.start(), *ROOTS_OF_ROW.end());
        for row in self.block_rows.drain(..) {
            let row = &mut self.rows[row];
            row.blocks.end = self.reaches.len();
            let horizon = if row.is_in_ns { near_ns } else { near_ticks };
            row.nesting.forget(horizon, kept);
        }
        // The next block most likely goes on with it.
        if self.row_at < self.rows.len() {
            self.block_rows.push(self.row_at);
        }
    }

    fn skip_to(&mut self, sequence: u64) {
        let expected = self.next_sequence.unwrap_or(sequence);
        if sequence > expected {
            self.resolver.batch = None;
            self.open_hole(expected, sequence);
        }
    }

    fn open_hole(&mut self, first: u64, end: u64) {
        if let Some(ticks) = self.last_end_ticks.take() {
            self.last_end_ns = self.last_end_ns.max(Some(self.resolver.clock.ns(ticks)));
        }
        if let Some(last) = self.holes.get_mut(MAX_HOLES - 1) {
            last.further_slots += end - first;
            return;
        }
        let owner = self.resolver.owner(end);
        self.holes.push(Hole {
            first,
            end,
            further_slots: 0,
            row: owner.row,
            from_ns: self.last_end_ns.max(owner.start_ns),
            to_ns: None,
        });
    }

    /// While no plain span was seen, nor since a hole was opened, plain spans come here too.
    fn saw_host_moment(&mut self, end_ns: i64, end_ticks: Option<u64>) {
        self.last_end_ns = self.last_end_ns.max(Some(end_ns));
        self.last_end_ticks = self.last_end_ticks.max(end_ticks);
        for hole in self.holes.iter_mut().rev() {
            if hole.to_ns.is_some() {
                break;
            }
            hole.to_ns = Some(end_ns);
        }
    }

    /// Counts what is missing and makes the gaps visible.
    fn count_losses(&mut self, extent: Option<Extent>, losses: &mut Losses) -> Vec<Event> {
        if let (Some(extent), Some(next)) = (extent, self.next_sequence)
            && next < extent.end_sequence
        {
            self.open_hole(next, extent.end_sequence);
        }
        let gaps = gaps::account(
            std::mem::take(&mut self.holes),
            extent,
            self.present,
            self.resolver.recorder.is_alive,
            losses,
        );
        let gaps = gaps.iter().filter(|gap| gap.records > 0);
        gaps.filter_map(|gap| {
            let start_ns = gap.hole.from_ns.or(gap.hole.to_ns)?;
            // One that no record follows lasts to the last sign of life, as an open span does.
            let is_last = gap.hole.to_ns.is_none();
            Some(Event {
                start_ns,
                end_ns: gap.hole.to_ns.map_or(start_ns, |to_ns| to_ns.max(start_ns)),
                word: gap.records,
                lane: gap.hole.row,
                kind: EventKind::Lost,
                flags: if is_last { FLAG_OPEN } else { 0 },
                detail: gap.cause as u16,
                ..self.resolver.blank(gap.hole.first)
            })
        })
        .collect()
    }

    fn finish(mut self, source: RingSource, storage: &Storage) -> Result<ScannedRing, Error> {
        self.asides.finish(&storage.spill).map_err(Error::spill)?;
        self.reaches.finish();
        self.links.finish(&storage.spill).map_err(Error::spill)?;
        for row in &mut self.rows[..self.disordered_rows] {
            row.nesting.is_broken = true;
        }
        let mut losses = Losses::default();
        let mut extras: Vec<(Event, Vec<u8>)> = self
            .count_losses(source.extent, &mut losses)
            .into_iter()
            .map(|event| (event, Vec::new()))
            .collect();
        extras.extend(open_spans::events(&mut self.resolver, &source.open));
        let notes = std::mem::take(&mut self.resolver.notes);
        losses.unknown_site += notes.unknown_site;
        losses.unknown_kind += notes.unknown_kind;
        losses.note("unknown_lane", notes.unknown_lane);
        losses.note("device_time_unavailable", notes.device_time_unavailable);
        losses.note("device_task_without_batch", notes.device_task_without_batch);
        losses.note("open_span_changing", source.mixed_open);
        let whole = self.reaches.whole();
        let resident = self.asides.resident().iter();
        let first_ns = resident
            .map(|aside| aside.event.start_ns)
            .chain([whole.first_ns, self.asides.reaches().whole().first_ns])
            .min()
            .filter(|ns| *ns < i64::MAX);
        let in_blocks_ns = Some(whole.end_ns).filter(|ns| *ns > i64::MIN);
        let last_record_ns = in_blocks_ns.max(self.last_arrival_ns);
        let mut problems = source.problems.clone();
        problems.append(&mut self.problems);
        Ok(ScannedRing {
            recorder: self.place.recorder,
            ring_index: self.ring_index,
            block_len: self.place.block_len,
            first_blocks: self.first_blocks,
            reaches: self.reaches,
            batches: self.batches,
            asides: self.asides,
            extras,
            links: self.links,
            event_count: self.rows.iter().map(|row| row.event_count).sum(),
            rows: self.rows,
            losses,
            problems,
            unknown_sites: notes.unknown_sites,
            used_sites: self.used_sites,
            present: self.present,
            reserved: source.extent.and_then(|extent| extent.record_count),
            first_ns,
            last_record_ns,
            last_ns: last_record_ns,
            source,
        })
    }
}

impl ScannedRing {
    /// The sequences of blocks that follow one another, stretch by stretch.
    pub(crate) fn sequences(
        &self,
        blocks: Range<usize>,
    ) -> impl Iterator<Item = (&Stretch, Range<u64>)> {
        let mut at = blocks.start;
        std::iter::from_fn(move || {
            if at >= blocks.end || self.first_blocks.is_empty() {
                return None;
            }
            let number = self.first_blocks.partition_point(|first| *first <= at) - 1;
            let stretch = &self.source.stretches[number];
            let in_stretch = (at - self.first_blocks[number]) as u64;
            let next = self.first_blocks.get(number + 1).copied();
            let end = blocks.end.min(next.unwrap_or(usize::MAX));
            let first = stretch.sequences.start + in_stretch * self.block_len;
            let len = (end - at) as u64 * self.block_len;
            at = end;
            Some((stretch, first..(first + len).min(stretch.sequences.end)))
        })
    }
}

impl BlockScan {
    fn begin(near_ns: i64, near_ticks: u64) -> BlockScan {
        BlockScan {
            near_ns,
            near_ticks,
            ticks: Moments::NONE,
            ticks_count: 0,
            reach: Reach::EMPTY,
            single_count: 0,
        }
    }
}

#[inline(always)]
fn is_seen(seen_sites: &[bool], id: u32) -> bool {
    seen_sites.get(id as usize).is_some_and(|seen| *seen)
}

/// Marks a site as used, unless nobody described it.
fn mark(used_sites: &mut Vec<bool>, site: u32) {
    let at = site as usize;
    if site >= UNKNOWN_SITE_BASE {
        return;
    }
    if used_sites.len() <= at {
        used_sites.resize(at + 1, false);
    }
    used_sites[at] = true;
}

/// Start and end of a host record whose times are ticks.
fn host_ticks(record: &Record) -> Option<(u64, u64)> {
    let kind = Kind::from_u8(record.kind_number())?;
    let start = record.start();
    match kind {
        Kind::SpanNs | Kind::DeviceSpan | Kind::DeviceTask | Kind::Continuation => None,
        kind => Some((start, start.saturating_add(duration_ticks(kind, record)))),
    }
}

fn put_aside(mut event: Event, payload: Payload, has_more: bool) -> Aside {
    let mut kept = [0; MADE_PAYLOAD];
    match payload {
        Payload::Made(bytes, len) => {
            kept = bytes;
            event.payload_len = len as u32;
        }
        Payload::Recorded { .. } if has_more => event.flags |= FLAG_PAYLOAD_IN_RING,
        Payload::Recorded { word, is_bare } => {
            if let Some(word) = word.filter(|_| !is_bare) {
                kept[..8].copy_from_slice(&word.to_le_bytes());
                event.payload_len = 8;
            }
        }
    }
    Aside {
        event,
        payload: kept,
    }
}
