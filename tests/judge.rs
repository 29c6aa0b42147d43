//! Judges every record of a run against the script: each field, the order, the gaps, the counts, the open slots.
//!
//! Three views of a ring are judged: its published records (with its segments), what its stamps alone say (as after
//! damage to the head word), and its open slots.

mod arguments;
mod counts;
mod item;
mod open_slots;
mod stream;

use std::collections::BTreeMap;
use std::path::Path;

use ringscope_ringbuf::layout::DropCause;
use ringscope_ringbuf::reader::recover_by_stamps;

use crate::run_files::{Contents, Process, Ring, RunFiles};
use item::{Item, items};
use stream::Streams;

/// What a run has to be judged by.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms {
    /// Signal handlers recorded too: one more record of a thread may be in flight.
    pub handlers: bool,
    /// Full mode: without a supervisor, nothing may have been overwritten.
    pub full: bool,
    /// A supervisor drained the rings; where it was late or died, records were overwritten, and must be counted.
    pub supervised: bool,
    /// The process died with threads at work: records may be in flight and files unborn.
    pub killed: bool,
    /// Causes that the test provokes, and so may be counted.
    pub provoked: &'static [DropCause],
}

impl Terms {
    /// True when no record may be overwritten.
    fn keeps_all(self) -> bool {
        self.full && !self.has_gaps()
    }

    /// True when records may be missing before others that were saved.
    fn has_gaps(self) -> bool {
        self.full && (self.supervised || self.provoked.contains(&DropCause::SpillFailed))
    }
}

/// What judging a run came to.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// What is wrong, one sentence each. Empty for a sound run.
    pub failures: Vec<String>,
    /// Records that were compared with the script, field by field.
    pub records: u64,
    /// Records that were reserved and never published.
    pub in_flight: u64,
    /// Records that were overwritten.
    pub overwritten: u64,
    /// Rings whose records could not be counted: a handler starved its thread for a whole ring.
    pub uncounted: u64,
    /// Open spans that were compared with the script.
    pub open_spans: u64,
    /// Rings.
    pub rings: u64,
    /// Records that the script does not know, by name.
    pub others: BTreeMap<String, u64>,
    /// Records ever made, by process id and thread of the script.
    pub counts: BTreeMap<(u32, u64), u64>,
}

impl Verdict {
    /// # Panics
    ///
    /// When something is wrong; with the first of it.
    pub fn assert_sound(&self) {
        let (failures, count) = (&self.failures, self.failures.len());
        assert!(count == 0, "{count}: {:#?}", &failures[..count.min(20)]);
    }

    fn add(&mut self, other: Verdict) {
        self.failures.extend(other.failures);
        self.records += other.records;
        self.in_flight += other.in_flight;
        self.overwritten += other.overwritten;
        self.uncounted += other.uncounted;
        self.open_spans += other.open_spans;
        self.rings += other.rings;
        for (name, count) in other.others {
            *self.others.entry(name).or_default() += count;
        }
        self.counts.extend(other.counts);
    }
}

/// Judges the run in `dir`.
pub fn judge(dir: &Path, terms: Terms) -> Verdict {
    let mut verdict = Verdict::default();
    let run = match RunFiles::read(dir) {
        Ok(run) => run,
        Err(error) => {
            verdict.failures.push(error);
            return verdict;
        }
    };
    if !terms.killed && !run.unborn.is_empty() {
        let failure = format!("unborn files though nobody was killed: {:?}", run.unborn);
        verdict.failures.push(failure);
    }
    for process in &run.processes {
        judge_process(process, terms, &mut verdict);
    }
    verdict
}

fn judge_process(process: &Process, terms: Terms, verdict: &mut Verdict) {
    let pid = process.pid();
    if process.lock.holder.is_some() {
        let holder = process.lock.holder;
        verdict.failures.push(format!(
            "pid {pid}: dead, and its lock is held by {holder:?}"
        ));
    }
    if process.tables.damaged_bytes > 0 && !terms.killed {
        verdict.failures.push(format!(
            "pid {pid}: damaged blocks though nobody was killed"
        ));
    }
    for (cause, count) in process.drops() {
        // A handler that comes while the ring is written out may find no slot; that is counted, and told.
        let expected = cause == DropCause::NestedSpill && terms.handlers && terms.full
            || cause == DropCause::InheritedGuard
            || terms.provoked.contains(&cause);
        if !expected {
            let name = cause.name();
            verdict
                .failures
                .push(format!("pid {pid}: {count} drops of cause {name}"));
        }
    }
    for ring in &process.rings {
        let mut of_ring = judge_ring(process, ring, terms);
        let name = |failure: &String| format!("pid {pid} ring {}: {failure}", ring.index);
        of_ring.failures = of_ring.failures.iter().map(name).collect();
        verdict.add(of_ring);
    }
}

fn judge_ring(process: &Process, ring: &Ring, terms: Terms) -> Verdict {
    let mut verdict = Verdict {
        rings: 1,
        ..Verdict::default()
    };
    let contents = match ring.contents() {
        Ok(contents) => contents,
        Err(error) => {
            verdict.failures.push(error);
            return verdict;
        }
    };
    let found = items(contents.first, &contents.records);
    let mut streams = Streams::new(process, ring.index);
    for item in &found {
        streams.add(item, &mut verdict);
    }
    // Gaps lie before the ring's window; in the window, what is missing was in flight.
    streams.check_order(terms.has_gaps(), &mut verdict.failures);
    let window = ring.file.capacity().min(contents.records.len() as u64) as usize;
    let in_window = contents.records.iter().rev().take(window);
    let holes = in_window.filter(|record| record.is_none()).count();
    counts::check(&streams, &contents, holes, terms, &mut verdict);
    open_slots::check(process, ring, &streams, &mut verdict);
    check_recovered(process, ring, &contents, &mut verdict);
    verdict
}

/// Reads the ring by its stamps alone: every record found so must be right too, and the same as by the head word.
fn check_recovered(process: &Process, ring: &Ring, contents: &Contents, verdict: &mut Verdict) {
    let slots = match ring.slots() {
        Ok(slots) => slots,
        Err(error) => return verdict.failures.push(error),
    };
    let (first, recovered) = recover_by_stamps(&slots, ring.file.capacity_log2());
    let published = recovered
        .iter()
        .map(|record| (record.w[3] != 0).then_some(*record));
    let recovered: Vec<_> = published.collect();
    for (sequence, record) in (first..).zip(&recovered) {
        let at = sequence.checked_sub(contents.first);
        let by_head = at.and_then(|at| contents.records.get(at as usize)).copied();
        if let (Some(record), Some(Some(by_head))) = (record, by_head)
            && *record != by_head
        {
            verdict.failures.push(format!(
                "sequence {sequence}: by stamps it is another record"
            ));
        }
    }
    let mut by_stamps = Verdict::default();
    let mut streams = Streams::new(process, ring.index);
    let found: Vec<Item> = items(first, &recovered);
    // What was reserved again may have lost its continuations already: that record can't be compared.
    for item in found.iter().filter(|item| !item.before_hole) {
        streams.add(item, &mut by_stamps);
    }
    streams.check_order(true, &mut by_stamps.failures);
    let name = |failure: String| format!("by stamps: {failure}");
    verdict
        .failures
        .extend(by_stamps.failures.into_iter().map(name));
}
