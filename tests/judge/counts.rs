//! The exact counts of a ring: what was made, is there, was overwritten, or was in flight.

use super::stream::Streams;
use super::{Terms, Verdict};
use crate::run_files::Contents;
use crate::script::{HANDLER, SHORT_LIFE};

/// Checks that the head word's count is what the numbers say, but for records in flight.
pub(super) fn check(
    streams: &Streams<'_>,
    contents: &Contents,
    holes: usize,
    terms: Terms,
    verdict: &mut Verdict,
) {
    check_owners(streams, contents, verdict);
    let Some((last, earlier)) = streams.by_owner.split_last() else {
        if contents.head > 0 {
            verdict
                .failures
                .push("records without an owner".to_string());
        }
        return;
    };
    let pid = streams.pid();
    for owner in &streams.by_owner {
        if let Some(thread) = owner.thread {
            verdict.counts.insert((pid, thread), owner.own_count());
            let handled = owner.handler_count();
            verdict.counts.insert((pid, thread | HANDLER), handled);
        }
    }
    // A thread that its handler starved for a whole ring has left no number to tell how many it made.
    let is_starved = last.own.iter().all(|record| record.number.is_none());
    if terms.handlers && !terms.keeps_all() && is_starved {
        verdict.uncounted += 1;
        return;
    }
    let others: u64 = verdict.others.values().sum();
    let made_before = earlier.iter().map(|owner| match owner.thread {
        Some(thread) if thread < crate::script::FIRST_SHORT_THREAD => owner.own_count(),
        _ => SHORT_LIFE,
    });
    let made = made_before.sum::<u64>() + last.own_count() + last.handler_count() + others;
    let allowed = match (terms.killed, terms.handlers) {
        (false, _) => 0,
        (true, false) => 1,
        (true, true) => 2,
    };
    let (reserved, skipped) = (contents.reserved, streams.skipped());
    let in_flight = reserved.saturating_sub(made);
    if made > reserved
        || in_flight > allowed + skipped
        || (in_flight == 0) != (holes == 0) && skipped == 0
    {
        verdict.failures.push(format!(
            "{reserved} records reserved, {made} made: {in_flight} in flight, {holes} slots not published"
        ));
    }
    let present = streams
        .by_owner
        .iter()
        .map(|o| o.own.len() + o.handler.len());
    let lost = made.saturating_sub(present.sum::<usize>() as u64 + others);
    if terms.keeps_all() && lost > skipped {
        verdict
            .failures
            .push(format!("full mode: {lost} of {made} records are not there"));
    }
    verdict.in_flight += in_flight;
    verdict.overwritten += lost;
}

/// A ring goes from one thread to the next without a slot between.
fn check_owners(streams: &Streams<'_>, contents: &Contents, verdict: &mut Verdict) {
    for pair in streams.owners.windows(2) {
        if pair[0].end_sequence != Some(pair[1].first_sequence) {
            verdict
                .failures
                .push(format!("owner {:?} is followed by {:?}", pair[0], pair[1]));
        }
    }
    let beyond = streams
        .owners
        .iter()
        .find(|o| o.first_sequence > contents.head);
    if let Some(owner) = beyond {
        verdict
            .failures
            .push(format!("{owner:?} begins beyond the head"));
    }
}
