//! What is missing from a decode: told on standard error, one line each.

use ringscope_decode::{Losses, Timeline};

use crate::exit_code::ExitCode;
use crate::table::grouped;

/// The losses as lines, without those that are zero.
pub(crate) fn lines(losses: &Losses) -> Vec<String> {
    let counts = [
        (losses.overwritten, "overwritten"),
        (losses.torn, "torn (being written when their process died)"),
        (losses.no_ring, "without a ring"),
        (
            losses.unknown_site,
            "of unknown site (kept, shown with a placeholder)",
        ),
        (losses.unknown_kind, "of unknown kind"),
        (losses.damaged, "damaged"),
    ];
    let dropped = losses
        .dropped
        .iter()
        .map(|(cause, count)| (*count, format!("dropped: {cause}")));
    counts
        .into_iter()
        .map(|(count, cause)| (count, cause.to_owned()))
        .chain(dropped)
        .filter(|(count, _)| *count > 0)
        .map(|(count, cause)| format!("{} {cause}", grouped(count)))
        .collect()
}

/// Tells losses, damage and warnings of a decode on standard error; how many lines were about losses and damage.
pub(crate) fn complain(timeline: &Timeline) -> usize {
    let lost = lines(&timeline.losses);
    for line in &lost {
        eprintln!("ringscope: lost records: {line}");
    }
    for problem in &timeline.problems {
        eprintln!("ringscope: damage: {problem}");
    }
    for warning in &timeline.warnings {
        eprintln!("ringscope: decode: {warning}");
    }
    lost.len() + timeline.problems.len()
}

/// The exit status of a decode with so many complaints.
pub(crate) fn exit_code(complaints: usize, strict: bool) -> ExitCode {
    if strict && complaints > 0 {
        ExitCode::Strict
    } else {
        ExitCode::Good
    }
}
