//! Events put aside: those that began long before they were recorded, sorted in blocks of their own.
//!
//! Few of them stay in memory; more go to the temporary file, a sorted run at a time. Runs are not merged: each has
//! blocks that span little time, and whoever looks for a stretch of time reads those of every run.

use std::io;
use std::ops::Range;

use zerocopy::{Immutable, IntoBytes, KnownLayout, TryFromBytes};

use super::index::{Reach, Reaches};
use super::resolve::MADE_PAYLOAD;
use crate::event::Event;
use crate::spill::Spill;

/// Events of a block.
const BLOCK: usize = 256;
/// Events that a ring keeps in memory.
const RESIDENT: usize = 512;
/// Events that are sorted at once: 1.3 MB.
const RUN: usize = 1 << 14;

/// An event with its payload, as far as that is not read from the ring again.
#[derive(Clone, Copy, Debug, TryFromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Aside {
    pub event: Event,
    pub payload: [u8; MADE_PAYLOAD],
}
const ASIDE_LEN: usize = size_of::<Aside>();

/// The events of a ring that were put aside.
#[derive(Default)]
pub(crate) struct Asides {
    /// Those that stand in memory; sorted by start once all have come.
    resident: Vec<Aside>,
    reaches: Reaches,
    /// Where the blocks stand in the temporary file.
    offsets: Vec<u64>,
    /// Events in the temporary file.
    spilled: u64,
}

impl Asides {
    pub(crate) fn len(&self) -> u64 {
        self.spilled + self.resident.len() as u64
    }

    pub(crate) fn push(&mut self, aside: Aside, spill: &Spill) -> io::Result<()> {
        self.resident.push(aside);
        if self.resident.len() < RUN {
            return Ok(());
        }
        self.spill_run(spill)
    }

    /// To be called when all have come.
    pub(crate) fn finish(&mut self, spill: &Spill) -> io::Result<()> {
        if self.resident.len() > RESIDENT {
            self.spill_run(spill)?;
            self.resident = Vec::new();
        }
        self.resident.sort_by_key(|aside| aside.event.start_ns);
        self.resident.shrink_to_fit();
        self.reaches.finish();
        Ok(())
    }

    fn spill_run(&mut self, spill: &Spill) -> io::Result<()> {
        self.resident.sort_by_key(|aside| aside.event.start_ns);
        let mut bytes = Vec::with_capacity(BLOCK * ASIDE_LEN);
        for block in self.resident.chunks(BLOCK) {
            bytes.clear();
            let mut reach = Reach::EMPTY;
            for aside in block {
                reach.add(aside.event.start_ns, aside.event.end_ns);
                bytes.extend_from_slice(aside.as_bytes());
            }
            self.offsets.push(spill.append(&bytes)?);
            self.reaches.push(reach);
        }
        self.spilled += self.resident.len() as u64;
        self.resident.clear();
        Ok(())
    }

    /// When the events of each block start; those in memory are not among them.
    pub(crate) fn reaches(&self) -> &Reaches {
        &self.reaches
    }

    /// Those that stand in memory, by start.
    pub(crate) fn resident(&self) -> &[Aside] {
        &self.resident
    }

    /// True when some may start within `starts`.
    pub(crate) fn has_any(&self, starts: Range<i64>) -> bool {
        let first = self
            .resident
            .partition_point(|aside| aside.event.start_ns < starts.start);
        let next = self.resident.get(first);
        next.is_some_and(|aside| aside.event.start_ns < starts.end)
            || self.reaches.meeting(starts).next().is_some()
    }

    /// Visits those that start within `starts`, in no particular order; `bytes` is room to read into.
    pub(crate) fn for_each(
        &self,
        starts: Range<i64>,
        spill: &Spill,
        bytes: &mut Vec<u8>,
        mut visit: impl FnMut(&Aside),
    ) -> io::Result<()> {
        let mut visit_if = |aside: &Aside| {
            if starts.contains(&aside.event.start_ns) {
                visit(aside);
            }
        };
        let first = self
            .resident
            .partition_point(|aside| aside.event.start_ns < starts.start);
        let resident = self.resident[first..].iter();
        resident
            .take_while(|aside| aside.event.start_ns < starts.end)
            .for_each(&mut visit_if);
        for block in self.reaches.meeting(starts.clone()) {
            let count = self.reaches.get(block).map_or(0, |reach| reach.count);
            bytes.resize(count as usize * ASIDE_LEN, 0);
            spill.read_at(self.offsets[block], bytes)?;
            for entry in bytes.chunks_exact(ASIDE_LEN) {
                let aside = Aside::try_read_from_bytes(entry)
                    .map_err(|_| io::Error::other("an event of the temporary file is damaged"))?;
                visit_if(&aside);
            }
        }
        Ok(())
    }
}
