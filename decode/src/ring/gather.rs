//! The events of a stretch of time, from any number of rings, in order.

use std::cmp::Ordering;
use std::io;
use std::ops::Range;

use ringscope_ringbuf::layout::{Kind, Record};

use super::keys;
use super::resolve::{Payload, Resolver};
use super::scan::ScannedRing;
use super::source::{Storage, Stretch};
use crate::event::{
    Event, EventKind, FLAG_PAYLOAD_IN_RING, NO_SITE, PAYLOAD_IN_WORD, UNKNOWN_SITE_BASE,
};
use crate::format::Slice;
use crate::recorder::Recorder;
use crate::timeline::Timeline;

/// Records read at once.
const CHUNK: u64 = 1 << 12;
/// Continuations read at once.
const MORE: u64 = 16;
/// Events that may be moved to keep the others in order, for each of these and in any case: beyond that, sorting all of
/// them is cheaper.
const MOVES_PER_EVENT: usize = 8;
const MOVES: usize = 1 << 12;

/// Gathers events; its room is used again from slice to slice.
#[derive(Default)]
pub(crate) struct Gatherer {
    /// The events of the slice, in order once [`Gatherer::sort`] was called.
    pub events: Vec<Event>,
    /// Their payloads.
    pub payloads: Vec<u8>,
    records: Vec<Record>,
    bytes: Vec<u8>,
    keys: Vec<u64>,
    other_keys: Vec<u64>,
    unsorted: Vec<Event>,
    /// Events are put in their place as they come, where that moves few others: to be set for a single ring.
    pub keeps_order: bool,
    /// Events that were moved so far.
    moved: usize,
}

/// A ring with what its records refer to.
#[derive(Clone, Copy)]
pub(crate) struct RingContext<'a> {
    pub recorder: &'a Recorder,
    pub ring: &'a ScannedRing,
    /// Index among all rings.
    pub source_index: u32,
    pub storage: &'a Storage,
}

/// What to gather: events that start within `starts`, of the rows that are wanted.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub start_ns: i64,
    pub end_ns: i64,
    pub rows: RowSet<'a>,
}

/// Some of the rows.
#[derive(Clone, Copy)]
pub(crate) enum RowSet<'a> {
    All,
    One(u32),
    /// By row.
    Listed(&'a [bool]),
}

impl RowSet<'_> {
    #[inline]
    pub(crate) fn has(self, row: u32) -> bool {
        match self {
            RowSet::All => true,
            RowSet::One(one) => one == row,
            RowSet::Listed(rows) => rows.get(row as usize).copied().unwrap_or(false),
        }
    }
}

impl Wanted<'_> {
    fn starts(&self) -> Range<i64> {
        self.start_ns..self.end_ns
    }
}

/// The walk over some blocks of a ring.
struct Walk<'a, 'b> {
    context: RingContext<'a>,
    wanted: Wanted<'a>,
    /// The same in ticks.
    start_ticks: u64,
    end_ticks: u64,
    /// Events that were put aside are taken in where they stand.
    takes_asides: bool,
    resolver: Resolver<'a>,
    out: &'b mut Gatherer,
}

impl Gatherer {
    /// Forgets what was gathered.
    pub(crate) fn clear(&mut self) {
        self.events.clear();
        self.payloads.clear();
        self.moved = 0;
    }

    /// What was gathered, as a slice of a time line.
    pub(crate) fn slice<'a>(&'a self, timeline: &'a Timeline) -> Slice<'a> {
        Slice {
            timeline,
            events: &self.events,
            payloads: &self.payloads,
        }
    }

    /// Adds the events of a ring.
    ///
    /// # Errors
    ///
    /// When the temporary file fails. What can't be read of the ring is left out: its scan told of it.
    pub(crate) fn add_ring(
        &mut self,
        context: RingContext<'_>,
        wanted: Wanted<'_>,
    ) -> io::Result<()> {
        let mut walk = Walk::new(context, wanted, self);
        let mut blocks = context.ring.reaches.meeting(wanted.starts()).peekable();
        while let Some(first) = blocks.next() {
            let mut end = first + 1;
            let at_once = (CHUNK / context.ring.block_len) as usize;
            while end - first < at_once && blocks.next_if_eq(&end).is_some() {
                end += 1;
            }
            walk.blocks(first..end);
        }
        self.add_extras(context, wanted);
        self.add_asides(context, wanted)
    }

    /// Adds the events of the blocks whose spans may go on at `moment_ns`, as far as they start before it.
    pub(crate) fn add_around(&mut self, context: RingContext<'_>, moment_ns: i64, row: u32) {
        let wanted = Wanted {
            start_ns: i64::MIN,
            end_ns: moment_ns,
            rows: RowSet::One(row),
        };
        let mut walk = Walk::new(context, wanted, self);
        for block in context.ring.reaches.around(moment_ns) {
            walk.blocks(block..block + 1);
        }
    }

    /// Adds the last events of a ring by sequence, whenever they are, and perhaps some before them.
    pub(crate) fn add_last(&mut self, context: RingContext<'_>, count: usize) {
        let wanted = Wanted {
            start_ns: i64::MIN,
            end_ns: i64::MAX,
            rows: RowSet::All,
        };
        let blocks = context.ring.reaches.len();
        let mut first = blocks;
        loop {
            first = first.saturating_sub(1 + count / context.ring.block_len as usize);
            self.clear();
            let mut walk = Walk::new(context, wanted, self);
            walk.takes_asides = true;
            walk.blocks(first..blocks);
            if first == 0 || self.events.len() >= count {
                return;
            }
        }
    }

    fn add_asides(&mut self, context: RingContext<'_>, wanted: Wanted<'_>) -> io::Result<()> {
        let asides = &context.ring.asides;
        if asides.len() == 0 {
            return Ok(());
        }
        let mut bytes = std::mem::take(&mut self.bytes);
        let mut in_ring = Vec::new();
        let spill = &context.storage.spill;
        let outcome = asides.for_each(wanted.starts(), spill, &mut bytes, |aside| {
            if !wanted.rows.has(aside.event.lane) {
                return;
            }
            let mut event = aside.event;
            event.site = place_site(&context.ring.unknown_sites, event.site);
            if event.flags & FLAG_PAYLOAD_IN_RING != 0 {
                in_ring.push(event);
            } else {
                let payload = aside.payload.get(..event.payload_len as usize);
                self.push(event, payload.unwrap_or_default());
            }
        });
        self.bytes = bytes;
        for event in in_ring {
            self.read_payload(context, event);
        }
        outcome
    }

    /// Adds an event whose payload is still in the ring.
    fn read_payload(&mut self, context: RingContext<'_>, mut event: Event) {
        event.flags &= !FLAG_PAYLOAD_IN_RING;
        let source = &context.ring.source;
        let mut record = [Record::default()];
        let Some(stretch) = source.stretch_of(event.sequence) else {
            return;
        };
        if source
            .read(context.storage, stretch, event.sequence, &mut record)
            .is_err()
        {
            return self.push(event, &[]);
        }
        let payload_at = self.payloads.len();
        let kind = Kind::from_u8(record[0].kind_number());
        let word = record[0].w[2];
        let starts_in_word = kind.is_some_and(Kind::payload_starts_in_w2);
        if starts_in_word {
            self.payloads.extend_from_slice(&word.to_le_bytes());
        }
        let bare_len = self.payloads.len();
        self.read_continuations(context, event.sequence + 1);
        let is_bare =
            self.payloads.len() == bare_len && word == 0 && !context.recorder.has_args(event.site);
        if is_bare {
            self.payloads.truncate(payload_at);
        }
        event.payload_at = payload_at as u32;
        event.payload_len = (self.payloads.len() - payload_at) as u32;
        self.put(event);
    }

    /// Appends the payload of the continuations from `first` on.
    fn read_continuations(&mut self, context: RingContext<'_>, first: u64) {
        let source = &context.ring.source;
        let mut sequence = first;
        while let Some(stretch) = source.stretch_of(sequence) {
            let len = MORE.min(stretch.sequences.end - sequence) as usize;
            let mut records = [Record::default(); MORE as usize];
            let records = &mut records[..len];
            if source
                .read(context.storage, stretch, sequence, records)
                .is_err()
            {
                return;
            }
            for record in records {
                if !is_continuation(record, sequence, source.capacity_log2) {
                    return;
                }
                self.payloads
                    .extend_from_slice(&record.continuation_payload());
                sequence += 1;
            }
        }
    }

    fn add_extras(&mut self, context: RingContext<'_>, wanted: Wanted<'_>) {
        for (event, payload) in &context.ring.extras {
            if wanted.starts().contains(&event.start_ns) && wanted.rows.has(event.lane) {
                self.push(*event, payload);
            }
        }
    }

    /// Adds an event with its payload.
    pub(crate) fn push(&mut self, mut event: Event, payload: &[u8]) {
        event.payload_at = self.payloads.len() as u32;
        event.payload_len = payload.len() as u32;
        self.payloads.extend_from_slice(payload);
        self.put(event);
    }

    /// Adds an event, in its place where that is near.
    #[inline]
    fn put(&mut self, event: Event) {
        match self.events.last() {
            Some(last) if self.keeps_order && last.start_ns > event.start_ns => self.insert(event),
            _ => self.events.push(event),
        }
    }

    /// Puts an event before those that start no earlier: a parent, which ends behind its children, comes before them.
    fn insert(&mut self, event: Event) {
        let len = self.events.len();
        let most = (MOVES_PER_EVENT * len + MOVES).saturating_sub(self.moved);
        let starts_later = |other: &&Event| other.start_ns >= event.start_ns;
        let before = self.events.iter().rev().take(most + 1);
        let later = before.take_while(starts_later).count();
        if later > most {
            return self.events.push(event);
        }
        self.moved += later;
        self.events.insert(len - later, event);
    }
}

impl<'a, 'b> Walk<'a, 'b> {
    fn new(context: RingContext<'a>, wanted: Wanted<'a>, out: &'b mut Gatherer) -> Walk<'a, 'b> {
        let RingContext { recorder, ring, .. } = context;
        Walk {
            context,
            wanted,
            start_ticks: recorder.clock.first_tick_at(wanted.start_ns),
            end_ticks: recorder.clock.first_tick_at(wanted.end_ns),
            takes_asides: false,
            resolver: Resolver::new(recorder, ring.ring_index, context.source_index),
            out,
        }
    }

    /// Walks over blocks that follow one another.
    fn blocks(&mut self, blocks: Range<usize>) {
        let mut at = blocks.start;
        for (stretch, sequences) in self.context.ring.sequences(blocks) {
            let len = sequences.end - sequences.start;
            self.stretch(at, stretch, sequences);
            at += len.div_ceil(self.context.ring.block_len) as usize;
        }
    }

    /// Walks over sequences that begin with a block and end with one.
    fn stretch(&mut self, first_block: usize, stretch: &Stretch, sequences: Range<u64>) {
        let ring = self.context.ring;
        // One more, to see whether the last record goes on.
        let end = (sequences.end + 1).min(stretch.sequences.end);
        let mut records = std::mem::take(&mut self.out.records);
        records.resize((end - sequences.start) as usize, Record::default());
        let storage = self.context.storage;
        if ring
            .source
            .read(storage, stretch, sequences.start, &mut records)
            .is_ok()
        {
            let block_starts = sequences.clone().step_by(ring.block_len as usize);
            for (block, start) in (first_block..).zip(block_starts) {
                let block_end = sequences.end.min(start + ring.block_len);
                let at = (start - sequences.start) as usize;
                self.block(block, start..block_end, &records[at..]);
            }
        }
        self.out.records = records;
    }

    /// Walks over a block; `records` goes on behind it.
    fn block(&mut self, number: usize, sequences: Range<u64>, records: &[Record]) {
        let ring = self.context.ring;
        let batch = ring.batches.binary_search_by_key(&number, |(at, _)| *at);
        let batch = batch.ok().map(|at| ring.batches[at].1);
        self.resolver.jump(sequences.start, batch);
        let near_ns = if self.takes_asides {
            i64::MIN
        } else {
            ring.reaches.near_from(number).max(self.wanted.start_ns)
        };
        let len = (sequences.end - sequences.start) as usize;
        let mut at = 0;
        while at < len {
            let sequence = sequences.start + at as u64;
            at += self.plain_spans(sequence, &records[at..], len - at, near_ns);
            if at == len {
                break;
            }
            let (sequence, record) = (sequences.start + at as u64, &records[at]);
            at += 1;
            if !record.is_stamped(sequence, ring.source.capacity_log2) {
                // A hole ends a batch.
                self.resolver.batch = None;
            } else if record.kind_number() != Kind::Continuation as u8 {
                self.any(sequence, record, near_ns, &records[at..]);
            }
        }
    }

    /// Takes in spans of the thread itself, which most records are, up to the first slot that needs a closer look; how
    /// many of the first `len` they were.
    fn plain_spans(&mut self, first: u64, records: &[Record], len: usize, near_ns: i64) -> usize {
        let row = self.resolver.owner(first).row;
        let count = self.plain_count(first, records, len);
        if !self.wanted.rows.has(row) {
            return count;
        }
        let alike = Event {
            lane: row,
            source: self.context.source_index,
            kind: EventKind::Span,
            ..Event::BLANK
        };
        let sites = &self.context.recorder.sites;
        let duration_ticks = self.end_ticks.saturating_sub(self.start_ticks);
        let clock = &mut self.resolver.clock;
        let mut reach = clock.reach;
        let mut convert = |ticks: u64| {
            reach.ns(ticks).unwrap_or_else(|| {
                let ns = clock.find(ticks);
                reach = clock.reach;
                ns
            })
        };
        let out = &mut *self.out;
        for (sequence, record) in (first..).zip(&records[..count]) {
            if record.start().wrapping_sub(self.start_ticks) >= duration_ticks {
                continue;
            }
            let start_ns = convert(record.start());
            let Some((site, has_args)) = sites.get(record.site()).filter(|_| start_ns >= near_ns)
            else {
                continue;
            };
            let word = record.w[2];
            let has_payload = has_args || word != 0;
            out.put(Event {
                start_ns,
                end_ns: convert(record.start().saturating_add(record.duration())),
                word,
                sequence,
                payload_at: if has_payload { PAYLOAD_IN_WORD } else { 0 },
                payload_len: u32::from(has_payload) * 8,
                site,
                ..alike
            });
        }
        count
    }

    /// How many of the first `len` records, from `first` on, are spans of the thread itself whose site is described and
    /// which no continuations follow.
    fn plain_count(&mut self, first: u64, records: &[Record], len: usize) -> usize {
        let capacity_log2 = self.context.ring.source.capacity_log2;
        let alike_end = Record::lap_end(first, capacity_log2).min(self.resolver.owner_end());
        let alike = (alike_end - first).min(len as u64) as usize;
        let span_mark = Record::span_mark(first, capacity_log2);
        let sites = &self.context.recorder.sites;
        let is_plain = |two: &&[Record]| {
            let [record, next] = two else {
                return false;
            };
            record.is_plain_span(span_mark)
                && next.kind_number() != Kind::Continuation as u8
                && sites.get(record.site()).is_some()
        };
        let with_next = &records[..records.len().min(alike + 1)];
        with_next.windows(2).take_while(is_plain).count()
    }

    /// Takes in any record that starts within the time.
    fn any(&mut self, sequence: u64, record: &Record, near_ns: i64, rest: &[Record]) {
        let Some((mut event, payload)) = self.resolver.resolve(sequence, record) else {
            return;
        };
        let is_aside = !self.takes_asides && self.resolver.is_large_batch(&event);
        let is_here = event.start_ns >= near_ns && event.start_ns < self.wanted.end_ns;
        if is_aside || !is_here || !self.wanted.rows.has(event.lane) {
            return;
        }
        let payload_at = self.out.payloads.len();
        match payload {
            Payload::Made(bytes, len) => self.out.payloads.extend_from_slice(&bytes[..len]),
            Payload::Recorded { word, is_bare } => {
                if let Some(word) = word.filter(|_| !is_bare) {
                    self.out.payloads.extend_from_slice(&word.to_le_bytes());
                }
                self.add_continuations(sequence, word.filter(|_| is_bare), rest);
            }
        }
        event.payload_at = payload_at as u32;
        event.payload_len = (self.out.payloads.len() - payload_at) as u32;
        self.out.put(event);
    }

    /// Appends the payload of the record's continuations; before them the word that had been left out.
    #[inline]
    fn add_continuations(&mut self, sequence: u64, left_out: Option<u64>, rest: &[Record]) {
        let capacity_log2 = self.context.ring.source.capacity_log2;
        let goes_on = match rest.first() {
            Some(next) => is_continuation(next, sequence + 1, capacity_log2),
            None => true,
        };
        if goes_on {
            self.add_more(sequence, left_out, rest);
        }
    }

    #[cold]
    fn add_more(&mut self, sequence: u64, left_out: Option<u64>, rest: &[Record]) {
        let capacity_log2 = self.context.ring.source.capacity_log2;
        let before = self.out.payloads.len();
        if let Some(word) = left_out {
            self.out.payloads.extend_from_slice(&word.to_le_bytes());
        }
        let bare_len = self.out.payloads.len();
        let mut next = sequence + 1;
        for record in rest {
            if !is_continuation(record, next, capacity_log2) {
                break;
            }
            self.out
                .payloads
                .extend_from_slice(&record.continuation_payload());
            next += 1;
        }
        if next == sequence + 1 + rest.len() as u64 {
            self.out.read_continuations(self.context, next);
        }
        if self.out.payloads.len() == bare_len {
            self.out.payloads.truncate(before);
        }
    }
}

fn is_continuation(record: &Record, sequence: u64, capacity_log2: u32) -> bool {
    record.kind_number() == Kind::Continuation as u8 && record.is_stamped(sequence, capacity_log2)
}

/// The time line's index of a site, also of one that nobody described: `places` holds those of the ring's.
pub(crate) fn place_site(places: &[u32], site: u32) -> u32 {
    if site == NO_SITE || site < UNKNOWN_SITE_BASE {
        return site;
    }
    let place = places.get((site - UNKNOWN_SITE_BASE) as usize);
    place.copied().unwrap_or(NO_SITE)
}

impl Gatherer {
    /// Puts the events in order: by start; `order` decides between those that start at the same moment.
    pub(crate) fn sort(&mut self, start_ns: i64, order: impl Fn(&Event, &Event) -> Ordering) {
        let mut has_ties = false;
        let is_sorted = self.events.is_sorted_by(|a, b| {
            has_ties |= a.start_ns == b.start_ns;
            a.start_ns <= b.start_ns
        });
        if is_sorted && !has_ties {
            return;
        }
        if !is_sorted {
            if !self.make_keys(start_ns) {
                let by_start = |a: &Event, b: &Event| a.start_ns.cmp(&b.start_ns);
                let both = |a: &Event, b: &Event| by_start(a, b).then_with(|| order(a, b));
                return self.events.sort_unstable_by(both);
            }
            keys::sort(&mut self.keys, &mut self.other_keys);
            std::mem::swap(&mut self.events, &mut self.unsorted);
            self.events.clear();
            let unsorted = &self.unsorted;
            let events = self.keys.iter().map(|key| unsorted[keys::index(*key)]);
            self.events.extend(events);
        }
        self.settle(order);
    }

    /// Visits the events in the order that [`Gatherer::sort`] puts them in, without moving them.
    pub(crate) fn for_each_in_order(
        &mut self,
        start_ns: i64,
        order: impl Fn(&Event, &Event) -> Ordering,
        visit: impl FnMut(&Event),
    ) {
        if !self.make_keys(start_ns) {
            self.sort(start_ns, order);
            return self.events.iter().for_each(visit);
        }
        keys::sort(&mut self.keys, &mut self.other_keys);
        let events = &self.events;
        keys::settle(&mut self.keys, |a, b| order(&events[a], &events[b]));
        let in_order = self.keys.iter().map(|key| &events[keys::index(*key)]);
        in_order.for_each(visit);
    }

    /// Puts the events that start at the same moment in order.
    pub(crate) fn settle(&mut self, order: impl Fn(&Event, &Event) -> Ordering) {
        for_each_tie(&mut self.events, |tie| tie.sort_unstable_by(&order));
    }

    /// False when the events are too many, or the time too long, for the keys.
    fn make_keys(&mut self, start_ns: i64) -> bool {
        self.keys.clear();
        for (index, event) in self.events.iter().enumerate() {
            let since_ns = event.start_ns.wrapping_sub(start_ns) as u64;
            let Some(key) = keys::key(since_ns, index) else {
                return false;
            };
            self.keys.push(key);
        }
        true
    }
}

/// Visits each run of events that start at the same moment.
fn for_each_tie(events: &mut [Event], mut visit: impl FnMut(&mut [Event])) {
    let mut at = 0;
    while at + 1 < events.len() {
        let start_ns = events[at].start_ns;
        if events[at + 1].start_ns != start_ns {
            at += 1;
            continue;
        }
        let same = events[at..]
            .iter()
            .take_while(|event| event.start_ns == start_ns);
        let end = at + same.count();
        visit(&mut events[at..end]);
        at = end;
    }
}
