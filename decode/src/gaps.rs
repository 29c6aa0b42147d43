//! Sequences that nobody has: how many records they were, why they are missing, and where to draw that.

use crate::losses::Losses;
use crate::ring::source::Extent;

/// Slots of a record that a writer may be at: longer ones are rare.
const MAX_RECORD_SLOTS: u64 = 64;

/// Why records are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LostCause {
    Overwritten = 0,
    Torn = 1,
    Damaged = 2,
}

impl LostCause {
    /// Name in traces, from the number that an event carries.
    pub(crate) fn name(number: u8) -> &'static str {
        match number {
            0 => "overwritten",
            1 => "torn",
            _ => "damaged",
        }
    }
}

/// Missing sequences, and the moments around them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hole {
    pub first: u64,
    pub end: u64,
    /// Missing sequences elsewhere that count as a part of it.
    pub further_slots: u64,
    /// Row of the thread that owns what follows.
    pub row: u32,
    /// End of the last record before, or the owner's start, where either is known.
    pub from_ns: Option<i64>,
    /// End of the next record; `None` when none follows.
    pub to_ns: Option<i64>,
}

impl Hole {
    /// True for the slots of what may be one record that the writer was at, behind all others, when a ring was copied:
    /// by the time that it is known what had been overwritten, its slots may count among those.
    fn may_be_in_flight(&self) -> bool {
        self.to_ns.is_none() && self.further_slots == 0 && self.end - self.first <= MAX_RECORD_SLOTS
    }
}

/// A hole of one cause, with the number of records that it stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gap {
    pub hole: Hole,
    pub cause: LostCause,
    pub records: u64,
}

impl Gap {
    fn slots(&self) -> u64 {
        self.hole.end - self.hole.first + self.hole.further_slots
    }
}

/// Sorts the holes of a ring by cause and divides the missing records among them. `present` main records were
/// found; `is_alive`: the ring's process still writes, so that what is reserved only is no loss.
pub(crate) fn account(
    holes: Vec<Hole>,
    extent: Option<Extent>,
    present: u64,
    is_alive: bool,
    losses: &mut Losses,
) -> Vec<Gap> {
    let mut window_start = extent.map_or(u64::MAX, |extent| extent.window_start);
    if let Some(last) = holes
        .last()
        .filter(|hole| is_alive && present > 0 && hole.may_be_in_flight())
    {
        window_start = window_start.min(last.first);
    }
    let is_cut = extent.is_some_and(|extent| extent.missing_slots > 0);
    let mut gaps = split_by_cause(holes, window_start, is_cut);
    let mut in_flight = 0;
    if is_alive {
        let before = gaps.len();
        gaps.retain(|gap| gap.cause != LostCause::Torn);
        in_flight = (before - gaps.len()) as u64;
    }
    let slots = |wanted| -> u64 {
        let of_cause = gaps.iter().filter(|gap| gap.cause == wanted);
        of_cause.map(Gap::slots).sum()
    };
    let torn_runs = gaps.iter().filter(|g| g.cause == LostCause::Torn).count() as u64;
    let (overwritten_slots, damaged_slots) =
        (slots(LostCause::Overwritten), slots(LostCause::Damaged));
    let reserved = extent.and_then(|extent| extent.record_count);
    let (overwritten, torn, damaged) = match reserved {
        // Nothing says how many records the slots were.
        None => (overwritten_slots, torn_runs, damaged_slots),
        Some(reserved) => {
            let lost = reserved.saturating_sub(present.saturating_add(in_flight));
            let torn = torn_runs.min(lost);
            let damaged = damaged_slots.min(lost - torn);
            let rest = lost - torn - damaged;
            // Torn records of nested signal handlers stand side by side and look like one.
            match (overwritten_slots, torn_runs) {
                // The last ones, and more than one was being written.
                (0, 0) if is_alive => (rest, torn, damaged),
                (0, 0) => (0, torn, damaged + rest),
                (0, _) => (0, torn + rest, damaged),
                _ => (rest, torn, damaged),
            }
        }
    };
    losses.overwritten += overwritten;
    losses.torn += torn;
    losses.damaged += damaged;
    share_out(&mut gaps, LostCause::Overwritten, overwritten);
    share_out(&mut gaps, LostCause::Torn, torn);
    share_out(&mut gaps, LostCause::Damaged, damaged);
    gaps
}

/// What the ring can't hold any more was overwritten; what it must hold was never published, or is cut off.
fn split_by_cause(holes: Vec<Hole>, window_start: u64, is_cut: bool) -> Vec<Gap> {
    let in_window = if is_cut {
        LostCause::Damaged
    } else {
        LostCause::Torn
    };
    let mut gaps = Vec::with_capacity(holes.len());
    for hole in holes {
        let split = window_start.clamp(hole.first, hole.end);
        let parts = [
            (LostCause::Overwritten, hole.first, split),
            (in_window, split, hole.end),
        ];
        let parts = parts.into_iter().filter(|(_, first, end)| first < end);
        gaps.extend(parts.map(|(cause, first, end)| Gap {
            hole: Hole {
                first,
                end,
                further_slots: if end == hole.end {
                    hole.further_slots
                } else {
                    0
                },
                ..hole
            },
            cause,
            records: 0,
        }));
    }
    gaps
}

/// Divides `total` among the gaps of a cause, by slots; the last one gets what division leaves.
fn share_out(gaps: &mut [Gap], cause: LostCause, total: u64) {
    let slots: u128 = gaps
        .iter()
        .filter(|gap| gap.cause == cause)
        .map(|gap| gap.slots() as u128)
        .sum();
    let (mut slots_so_far, mut given) = (0u128, 0u64);
    for gap in gaps.iter_mut().filter(|gap| gap.cause == cause) {
        slots_so_far += gap.slots() as u128;
        let due = (total as u128 * slots_so_far / slots) as u64;
        gap.records = due - given;
        given = due;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hole(first: u64, end: u64) -> Hole {
        Hole {
            first,
            end,
            further_slots: 0,
            row: 0,
            from_ns: None,
            to_ns: None,
        }
    }

    fn extent(window_start: u64, record_count: u64) -> Option<Extent> {
        Some(Extent {
            base_sequence: 0,
            end_sequence: 1_000,
            window_start,
            record_count: Some(record_count),
            missing_slots: 0,
        })
    }

    #[test]
    fn overwritten_is_what_neither_stands_nor_is_torn() {
        let mut losses = Losses::default();
        let holes = vec![hole(0, 90), hole(400, 403)];
        let gaps = account(holes, extent(90, 500), 430, false, &mut losses);
        assert_eq!((losses.overwritten, losses.torn), (69, 1));
        assert_eq!(gaps.iter().map(|g| g.records).collect::<Vec<_>>(), [69, 1]);
    }

    #[test]
    fn side_by_side_torn_records_are_all_torn_when_nothing_was_overwritten() {
        let mut losses = Losses::default();
        account(vec![hole(10, 14)], extent(0, 12), 10, false, &mut losses);
        assert_eq!((losses.overwritten, losses.torn), (0, 2));
    }

    #[test]
    fn what_a_living_process_is_writing_is_no_loss() {
        let mut losses = Losses::default();
        let gaps = account(vec![hole(10, 12)], extent(0, 11), 10, true, &mut losses);
        assert!(gaps.is_empty() && !losses.any());
    }

    #[test]
    fn several_holes_share_the_total_exactly() {
        let mut losses = Losses::default();
        let holes = vec![hole(0, 7), hole(20, 23), hole(30, 31)];
        let gaps = account(holes, extent(500, 110), 100, false, &mut losses);
        assert_eq!(gaps.iter().map(|g| g.records).sum::<u64>(), 10);
    }
}
