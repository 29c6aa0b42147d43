//! What is missing, by cause: every loss is counted once, and everything that is merely poorer is a note.

use std::collections::BTreeMap;

use ringscope_ringbuf::layout::DropCause;
use serde::Serialize;

use crate::process::Drops;

/// Records that are missing, by cause, and remarks about records that are there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Losses {
    /// Overwritten by newer ones, or not saved in time.
    pub overwritten: u64,
    /// Reserved and never published: in flight when the process died.
    pub torn: u64,
    /// In a damaged or truncated part of a file.
    pub damaged: u64,
    /// Records of threads that had no ring.
    pub no_ring: u64,
    /// Records that are there, but whose site nobody described.
    pub unknown_site: u64,
    /// Records of kinds that this version does not know.
    pub unknown_kind: u64,
    /// Records that never reached a ring, by cause.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Not lost, but poorer than it could be, by cause.
    pub notes: BTreeMap<&'static str, u64>,
}

impl Losses {
    /// True when a record is missing or can't be understood.
    pub fn any(&self) -> bool {
        self.total() > 0
    }

    /// Records missing or not understood, of all causes.
    pub fn total(&self) -> u64 {
        let Losses {
            overwritten,
            torn,
            damaged,
            no_ring,
            unknown_site,
            unknown_kind,
            ref dropped,
            notes: _,
        } = *self;
        let counted = [
            overwritten,
            torn,
            damaged,
            no_ring,
            unknown_site,
            unknown_kind,
        ];
        counted
            .into_iter()
            .chain(dropped.values().copied())
            .fold(0, u64::saturating_add)
    }

    /// Adds what another part lost.
    pub fn add(&mut self, other: &Losses) {
        for (mine, theirs) in [
            (&mut self.overwritten, other.overwritten),
            (&mut self.torn, other.torn),
            (&mut self.damaged, other.damaged),
            (&mut self.no_ring, other.no_ring),
            (&mut self.unknown_site, other.unknown_site),
            (&mut self.unknown_kind, other.unknown_kind),
        ] {
            *mine = mine.saturating_add(theirs);
        }
        for (cause, count) in &other.dropped {
            add_to(&mut self.dropped, cause, *count);
        }
        for (cause, count) in &other.notes {
            add_to(&mut self.notes, cause, *count);
        }
    }

    pub(crate) fn add_drops(&mut self, drops: &Drops) {
        for (cause, count) in drops.iter() {
            if cause == DropCause::NoRing {
                self.no_ring = self.no_ring.saturating_add(count);
            } else if cause.loses_record() {
                add_to(&mut self.dropped, cause.name(), count);
            } else {
                add_to(&mut self.notes, cause.name(), count);
            }
        }
    }

    pub(crate) fn note(&mut self, cause: &'static str, count: u64) {
        if count > 0 {
            add_to(&mut self.notes, cause, count);
        }
    }
}

fn add_to(counts: &mut BTreeMap<&'static str, u64>, cause: &'static str, count: u64) {
    let sum = counts.entry(cause).or_default();
    *sum = sum.saturating_add(count);
}
