//! Slices of plain spans: those of a ring's own thread, without continuations and with one argument at most. Most slices
//! hold nothing else, and are gathered here without making an [`Event`](crate::event::Event) of each record.

use std::cmp::Reverse;
use std::ops::Range;

use ringscope_ringbuf::layout::Record;

use super::gather::{RingContext, Wanted};
use super::keys;
use super::source::Stretch;
use crate::recorder::OwnerRow;

/// Records read at once.
const CHUNK: u64 = 1 << 12;
/// Keys that may be moved to keep the others in order, for each of these and in any case: beyond that, sorting all of
/// them is cheaper.
const MOVES_PER_SPAN: usize = 16;
const MOVES: usize = 1 << 12;

/// A span of the thread of its lane; its payload is the word where its site has an argument, and nothing where not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlainSpan {
    pub start_ns: i64,
    pub end_ns: i64,
    pub word: u64,
    /// Index into the time line's sites.
    pub site: u32,
    /// Index into the time line's lanes.
    pub lane: u32,
}

/// Gathers plain spans; its room is used again from slice to slice.
#[derive(Default)]
pub(crate) struct PlainGatherer {
    /// As they come: ring by ring, by sequence.
    spans: Vec<PlainSpan>,
    /// Their keys, in order once [`PlainGatherer::sort`] was called.
    keys: Vec<u64>,
    other_keys: Vec<u64>,
    records: Vec<Record>,
    /// Keys are put in their place as they come, where that moves few others: for a single ring.
    keeps_order: bool,
    is_ordered: bool,
    /// Keys that were moved so far.
    moved: usize,
}

/// Something else than a plain span was found, or the time is too long for keys.
pub(crate) struct NotPlain;

impl PlainGatherer {
    /// Forgets what was gathered; `keeps_order` for a single ring.
    pub(crate) fn clear(&mut self, keeps_order: bool) {
        self.spans.clear();
        self.keys.clear();
        self.keeps_order = keeps_order;
        self.is_ordered = true;
        self.moved = 0;
    }

    /// The spans, in order once they were sorted.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &PlainSpan> {
        self.keys.iter().map(|key| &self.spans[keys::index(*key)])
    }

    /// Number of spans.
    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    /// Adds the spans of a ring, whose rows have the lanes given.
    pub(crate) fn add_ring(
        &mut self,
        context: RingContext<'_>,
        wanted: Wanted<'_>,
        lane_of_row: &[u32],
    ) -> Result<(), NotPlain> {
        let ring = context.ring;
        let starts = wanted.start_ns..wanted.end_ns;
        let is_among = |start_ns: i64| starts.contains(&start_ns);
        if ring.asides.has_any(starts.clone())
            || ring
                .extras
                .iter()
                .any(|(extra, _)| is_among(extra.start_ns))
        {
            return Err(NotPlain);
        }
        let is_plain = |block: usize| ring.reaches.get(block).is_some_and(|reach| reach.is_plain);
        if !ring.reaches.meeting(starts.clone()).all(is_plain) {
            return Err(NotPlain);
        }
        let mut blocks = ring.reaches.meeting(starts).peekable();
        while let Some(first) = blocks.next() {
            let mut end = first + 1;
            let at_once = (CHUNK / ring.block_len) as usize;
            while end - first < at_once && blocks.next_if_eq(&end).is_some() {
                end += 1;
            }
            for (stretch, sequences) in ring.sequences(first..end) {
                self.stretch(context, wanted, lane_of_row, stretch, sequences)?;
            }
        }
        Ok(())
    }

    fn stretch(
        &mut self,
        context: RingContext<'_>,
        wanted: Wanted<'_>,
        lane_of_row: &[u32],
        stretch: &Stretch,
        sequences: Range<u64>,
    ) -> Result<(), NotPlain> {
        let source = &context.ring.source;
        let mut records = std::mem::take(&mut self.records);
        records.resize(
            (sequences.end - sequences.start) as usize,
            Record::default(),
        );
        let read = source.read(context.storage, stretch, sequences.start, &mut records);
        let owners = context.recorder.owners_of(context.ring.ring_index);
        let mut outcome = read.map_err(|_| NotPlain);
        let mut at = 0;
        while at < records.len() && outcome.is_ok() {
            let first = sequences.start + at as u64;
            let (owner, owner_end) = owner_of(owners, first);
            let lap_end = Record::lap_end(first, source.capacity_log2);
            let alike = (lap_end.min(owner_end) - first).min((records.len() - at) as u64) as usize;
            if wanted.rows.has(owner.row) {
                let mark = Record::span_mark(first, source.capacity_log2);
                let lane = lane_of_row[owner.row as usize];
                outcome = self.alike(context, wanted, &records[at..at + alike], mark, lane);
            }
            at += alike;
        }
        self.records = records;
        outcome
    }

    /// Takes in the spans of one thread, which have one mark.
    fn alike(
        &mut self,
        context: RingContext<'_>,
        wanted: Wanted<'_>,
        records: &[Record],
        mark: u64,
        lane: u32,
    ) -> Result<(), NotPlain> {
        let clock = &context.recorder.clock;
        let start_ticks = clock.first_tick_at(wanted.start_ns);
        let duration_ticks = clock
            .first_tick_at(wanted.end_ns)
            .saturating_sub(start_ticks);
        let sites = &context.recorder.sites;
        let mut cursor = clock.cursor();
        if let Some(first) = records.first() {
            cursor.find(first.start());
        }
        let mut reach = cursor.reach;
        let mut convert = |ticks: u64| {
            reach.ns(ticks).unwrap_or_else(|| {
                let ns = cursor.find(ticks);
                reach = cursor.reach;
                ns
            })
        };
        for record in records {
            let start = record.start();
            if start.wrapping_sub(start_ticks) >= duration_ticks {
                continue;
            }
            let word = record.w[2];
            let (site, has_args) = sites.get(record.site()).ok_or(NotPlain)?;
            if !record.is_plain_span(mark) || !(has_args || word == 0) {
                return Err(NotPlain);
            }
            let start_ns = convert(start);
            let since_ns = start_ns.wrapping_sub(wanted.start_ns) as u64;
            let key = keys::key(since_ns, self.spans.len()).ok_or(NotPlain)?;
            self.spans.push(PlainSpan {
                start_ns,
                end_ns: convert(start.saturating_add(record.duration())),
                word,
                site,
                lane,
            });
            self.put(key);
        }
        Ok(())
    }

    /// Adds a key, in its place where that is near: a parent, which ends behind its children, comes before them.
    #[inline(always)]
    fn put(&mut self, key: u64) {
        match self.keys.last() {
            Some(last) if *last > key => self.put_early(key),
            _ => self.keys.push(key),
        }
    }

    fn put_early(&mut self, key: u64) {
        let most = (MOVES_PER_SPAN * self.keys.len() + MOVES).saturating_sub(self.moved);
        if !self.keeps_order || !self.is_ordered {
            self.is_ordered = false;
            return self.keys.push(key);
        }
        let before = self.keys.iter().rev().take(most + 1);
        let later = before.take_while(|other| **other > key).count();
        if later > most {
            self.is_ordered = false;
            return self.keys.push(key);
        }
        self.moved += later;
        self.keys.insert(self.keys.len() - later, key);
    }

    /// Puts the spans in order: by start, the longest first, by rank of their lanes; of equal ones the later recorded is
    /// the parent.
    pub(crate) fn sort(&mut self, lane_ranks: &[u32]) {
        if !self.is_ordered {
            keys::sort(&mut self.keys, &mut self.other_keys);
        }
        let spans = &self.spans;
        let rank = |index: usize| {
            let span = &spans[index];
            let lane = lane_ranks.get(span.lane as usize).copied();
            (Reverse(span.end_ns), lane, Reverse(index))
        };
        keys::settle(&mut self.keys, |a, b| rank(a).cmp(&rank(b)));
    }
}

/// The owner of a slot, and the sequence behind its last one.
fn owner_of(owners: &[OwnerRow], sequence: u64) -> (OwnerRow, u64) {
    let after = owners.partition_point(|owner| owner.first_sequence <= sequence);
    let owner = owners.get(after.saturating_sub(1)).copied();
    // Slots before the first owner are its own, up to where the second begins.
    let end = owners
        .get(after.max(1))
        .map_or(u64::MAX, |next| next.first_sequence);
    (owner.unwrap_or_default(), end)
}
