//! The records of one owner of a ring in order: the thread's own, and its handler's.

use std::collections::BTreeMap;

use ringscope_ringbuf::layout::{DropCause, Kind};
use ringscope_ringbuf::payload::ArgType;

use super::Verdict;
use super::arguments;
use super::item::Item;
use crate::expected::{Expected, Value, begins_after, expected, is_anonymous, is_numbered};
use crate::run_files::{Owner, Process, Tables};
use crate::script::{CYCLE, HANDLER};

/// Ticks by which the counters of two cores may differ, and by which reads of one may pass each other.
const SLACK_TICKS: u64 = 5_000;

/// A numbered record. The number is missing where the record has none and no neighbour tells it.
pub(super) struct Numbered {
    pub(super) number: Option<u64>,
    pub(super) sequence: u64,
    pub(super) ticks: Option<(u64, u64)>,
    /// Value of the argument `handled`.
    pub(super) handled: Option<u64>,
    holes_before: u64,
    name: String,
}

/// The records of an owner.
#[derive(Default)]
pub(super) struct OwnerStreams {
    /// Thread of the script; known from its first record that says so.
    pub(super) thread: Option<u64>,
    /// The thread's own records.
    pub(super) own: Vec<Numbered>,
    /// Its handler's.
    pub(super) handler: Vec<Numbered>,
}

/// The records of a ring by owner.
pub(super) struct Streams<'a> {
    process: &'a Process,
    pub(super) owners: &'a [Owner],
    /// As many as there are owners.
    pub(super) by_owner: Vec<OwnerStreams>,
}

impl<'a> Streams<'a> {
    pub(super) fn new(process: &'a Process, ring_index: u32) -> Streams<'a> {
        let owners = process.tables.owners.get(&ring_index);
        let owners = owners.map_or(&[][..], |owners| owners);
        Streams {
            process,
            owners,
            by_owner: owners.iter().map(|_| OwnerStreams::default()).collect(),
        }
    }

    /// The process.
    pub(super) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Records of handlers that found no slot while their ring was written out: reserved, never published.
    pub(super) fn skipped(&self) -> u64 {
        self.process.lock.drops(DropCause::NestedSpill)
    }

    /// Compares a record with the script and puts it where it belongs.
    pub(super) fn add(&mut self, item: &Item, verdict: &mut Verdict) {
        let tables = &self.process.tables;
        let sequence = item.sequence;
        let mut fail = |what: String| {
            verdict
                .failures
                .push(format!("sequence {sequence}: {what}"))
        };
        let Some(site) = tables.sites.get(&item.record.site()) else {
            return fail(format!("site {} is unknown", item.record.site()));
        };
        let after = self
            .owners
            .partition_point(|o| o.first_sequence <= sequence);
        let Some(owner) = after.checked_sub(1) else {
            return fail("no thread owns it".to_string());
        };
        if !is_numbered(&site.name) {
            *verdict.others.entry(site.name.clone()).or_default() += 1;
            return;
        }
        let streams = &mut self.by_owner[owner];
        let (thread, number) = match identity(item, &site.name) {
            Some((thread, number)) => (thread, Some(number)),
            None => (streams.thread.unwrap_or(0), None),
        };
        if number.is_some() && *streams.thread.get_or_insert(thread & !HANDLER) != thread & !HANDLER
        {
            return fail(format!(
                "it says thread {thread:#x}, its owner is {:?}",
                streams.thread
            ));
        }
        let is_handler = thread & HANDLER != 0;
        let stream = if is_handler {
            &mut streams.handler
        } else {
            &mut streams.own
        };
        let number = number.or_else(|| following(stream.last(), item));
        let args = arguments::read(&item.payload, site, tables);
        if let Some(number) = number
            && let Err(what) = compare(item, &site.name, &args, &expected(thread, number), tables)
        {
            return fail(what);
        }
        verdict.records += 1;
        let handled = args.found.iter().find(|(key, _)| key == "handled");
        stream.push(Numbered {
            number,
            sequence,
            ticks: item.ticks(),
            handled: handled.and_then(|(_, value)| match value {
                Value::U64(count) => Some(*count),
                _ => None,
            }),
            holes_before: item.holes_before,
            name: site.name.clone(),
        });
    }

    /// Checks numbers, times and nesting. With `gaps`, numbers may jump where slots are missing; so they may where a
    /// thread was starved by its handler for half a ring, which is counted.
    pub(super) fn check_order(&mut self, gaps: bool, failures: &mut Vec<String>) {
        let gaps = gaps || self.skipped() > 0;
        for streams in &mut self.by_owner {
            number_backwards(&mut streams.own);
            check_numbers(&streams.own, gaps, failures);
            check_numbers(&streams.handler, true, failures);
            check_times(&streams.own, failures);
            check_times(&streams.handler, failures);
            check_nesting(&streams.own, failures);
        }
    }
}

/// Thread and number that a record says, where it says them.
fn identity(item: &Item, name: &str) -> Option<(u64, u64)> {
    if is_anonymous(name) {
        return None;
    }
    let word = item.record.w[2];
    Some((word >> 44, word & ((1 << 44) - 1)))
}

/// The number that follows the last one, where nothing is missing between.
fn following(last: Option<&Numbered>, item: &Item) -> Option<u64> {
    let last = last.filter(|last| last.holes_before == item.holes_before)?;
    Some(last.number? + 1)
}

fn compare(
    item: &Item,
    name: &str,
    args: &arguments::Arguments,
    expected: &Expected,
    tables: &Tables,
) -> Result<(), String> {
    let kind = item.kind();
    let (record, lane) = (&item.record, item.record.lane());
    if name != expected.name || kind != Some(expected.kind) {
        return Err(format!(
            "expected {} {:?}, found {name} {kind:?}",
            expected.name, expected.kind
        ));
    }
    if lane != 0 || expected.track.is_some() {
        let track = tables.lanes.get(&lane);
        if track != expected.track.as_ref() {
            return Err(format!(
                "{name}: expected track {:?}, found {track:?}",
                expected.track
            ));
        }
    }
    if let Some(time) = expected.time
        && time != (record.start(), record.duration())
    {
        let found = (record.start(), record.duration());
        return Err(format!(
            "{name}: expected start and duration {time:?}, found {found:?}"
        ));
    }
    if kind == Some(Kind::Counter) {
        return compare_counter(item, expected);
    }
    if kind == Some(Kind::Instant) && record.duration() != 0 {
        return Err(format!(
            "{name}: expected no duration, found {}",
            record.duration()
        ));
    }
    let whole = args.complete && args.ends_well && args.found.len() == expected.args.len();
    if !whole || !arguments::agree(&args.found, &expected.args) {
        return Err(format!(
            "{name}: expected {:?}, found {:?}",
            expected.args, args.found
        ));
    }
    Ok(())
}

fn compare_counter(item: &Item, expected: &Expected) -> Result<(), String> {
    let word = match &expected.args[0].1 {
        Value::U64(v) => (ArgType::U64 as u64, *v),
        Value::F64(v) => (ArgType::F64 as u64, v.to_bits()),
        other => return Err(format!("a counter of {other:?}")),
    };
    let found = (item.record.duration(), item.record.w[2]);
    if word == found && item.payload.is_empty() {
        Ok(())
    } else {
        Err(format!(
            "{}: expected {word:?}, found {found:?}",
            expected.name
        ))
    }
}

/// Numbers the records at the front that have none, from the first one that has.
fn number_backwards(stream: &mut [Numbered]) {
    let Some(known) = stream.iter().position(|record| record.number.is_some()) else {
        return;
    };
    for at in (0..known).rev() {
        if stream[at].holes_before == stream[at + 1].holes_before {
            stream[at].number = stream[at + 1].number.and_then(|n| n.checked_sub(1));
        }
    }
}

fn check_numbers(stream: &[Numbered], gaps: bool, failures: &mut Vec<String>) {
    for pair in stream.windows(2) {
        let (Some(one), Some(two)) = (pair[0].number, pair[1].number) else {
            continue;
        };
        let hole = pair[0].holes_before != pair[1].holes_before;
        if two != one + 1 && !(gaps && hole && two > one) {
            let (before, after) = (pair[0].sequence, pair[1].sequence);
            failures.push(format!(
                "number {one} at {before} is followed by {two} at {after}"
            ));
        }
    }
}

/// Records stand in the order in which they end, and none begins before the one it follows has ended.
fn check_times(stream: &[Numbered], failures: &mut Vec<String>) {
    let by_number: BTreeMap<u64, &Numbered> =
        stream.iter().filter_map(|r| Some((r.number?, r))).collect();
    let mut last_end = 0;
    for record in stream {
        let Some((start, end)) = record.ticks else {
            continue;
        };
        let what = format!("{} at {}", record.name, record.sequence);
        if end + SLACK_TICKS < last_end {
            failures.push(format!(
                "{what} ends {} ticks before the record before it",
                last_end - end
            ));
        }
        last_end = end.max(last_end);
        let before = record.number.and_then(begins_after);
        let before = before.and_then(|number| by_number.get(&number)?.ticks);
        if let Some((_, ended)) = before
            && start + SLACK_TICKS < ended
        {
            failures.push(format!("{what} begins {} ticks too early", ended - start));
        }
    }
}

/// Leaf lies in branch, branch in root, and the phases of a lap share their clock read.
fn check_nesting(stream: &[Numbered], failures: &mut Vec<String>) {
    for pair in stream.windows(2) {
        let [(Some(one), Some(ticks)), (Some(two), Some(next))] =
            [0, 1].map(|i: usize| (pair[i].number, pair[i].ticks))
        else {
            continue;
        };
        let wrong = two == one + 1
            && match two % CYCLE {
                4 | 5 => next.0 > ticks.0 + SLACK_TICKS,
                10 => next.0 != ticks.1,
                _ => false,
            };
        if wrong {
            let (first, second) = (&pair[0].name, &pair[1].name);
            failures.push(format!(
                "{first} {ticks:?} and {second} {next:?} of number {two} do not fit"
            ));
        }
    }
}

impl OwnerStreams {
    /// Records that the thread itself made, as far as its newest one tells.
    pub(super) fn own_count(&self) -> u64 {
        self.own
            .iter()
            .rev()
            .find_map(|r| r.number)
            .map_or(0, |n| n + 1)
    }

    /// Records that its handler made: by its newest one, or by what the thread noted when it last did. Either may be
    /// older, where a late supervisor left a gap.
    pub(super) fn handler_count(&self) -> u64 {
        let newest = self.handler.last().and_then(|record| record.number);
        let noted = self.own.iter().rev().find_map(|record| record.handled);
        newest
            .map_or(0, |number| number + 1)
            .max(noted.unwrap_or(0))
    }
}
