//! Launches and executions, as the scan finds them, waiting to be paired: sorted by correlation id in runs, of which all but
//! the last few links stand in the temporary file.

use std::io;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::event::{Event, EventKind};
use crate::open_spans::OPEN_SEQUENCE;
use crate::spill::Spill;

/// Links that a ring keeps in memory.
const RESIDENT: usize = if cfg!(test) { 4 } else { 128 };
/// Links that are sorted at once: 1.5 MB.
const RUN: usize = if cfg!(test) { 16 } else { 1 << 15 };

/// What a link is; the order is that of links with the same correlation id.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(transparent)]
pub(crate) struct LinkKind(u32);

impl LinkKind {
    /// The host side.
    pub(crate) const LAUNCH: LinkKind = LinkKind(0);
    /// An execution, which an arrow leads to.
    pub(crate) const EXECUTION: LinkKind = LinkKind(1);
    /// Tasks whose times are known: no arrow leads there.
    pub(crate) const TASKS: LinkKind = LinkKind(2);
}

/// What a correlation id ties together with others.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Link {
    pub correlation: u64,
    pub start_ns: i64,
    pub end_ns: i64,
    pub sequence: u64,
    pub row: u32,
    pub site: u32,
    /// Index of its ring among all.
    pub ring: u32,
    pub kind: LinkKind,
}
pub(crate) const LINK_LEN: usize = size_of::<Link>();
const _: () = assert!(LINK_LEN == 48);

impl Link {
    /// True for a launch that stood open: when it was recorded its sequence does not say.
    pub(crate) fn is_open(&self) -> bool {
        self.sequence >= OPEN_SEQUENCE
    }

    /// `None` for an event that nothing is tied to.
    pub(crate) fn of(event: &Event, correlation: u64) -> Option<Link> {
        let kind = match event.kind {
            EventKind::Launch => LinkKind::LAUNCH,
            EventKind::DeviceSpan => LinkKind::EXECUTION,
            EventKind::DeviceTask => LinkKind::TASKS,
            _ => return None,
        };
        (correlation != 0).then_some(Link {
            correlation,
            start_ns: event.start_ns,
            end_ns: event.end_ns,
            sequence: event.sequence,
            row: event.lane,
            site: event.site,
            ring: event.source,
            kind,
        })
    }

    /// What links are sorted by: the launch before its executions, of several launches the first one first.
    pub(crate) fn key(&self) -> (u64, LinkKind, i64, u32, u64) {
        (
            self.correlation,
            self.kind,
            self.start_ns,
            self.ring,
            self.sequence,
        )
    }
}

/// Links in the temporary file, sorted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub offset: u64,
    pub count: u64,
}

/// The links of a ring.
#[derive(Debug, Default)]
pub(crate) struct Links {
    /// Those in memory, sorted once all have come.
    pub resident: Vec<Link>,
    pub runs: Vec<Run>,
    /// There are launches, with an id or without.
    pub has_launches: bool,
    /// Correlation id of the last tasks: one link stands for all of a batch.
    last_tasks: u64,
}

impl Links {
    pub(crate) fn len(&self) -> u64 {
        self.runs.iter().map(|run| run.count).sum::<u64>() + self.resident.len() as u64
    }

    /// The launches among the open spans of a ring.
    pub(crate) fn of_open<'a>(open: impl Iterator<Item = &'a Event>) -> Links {
        let mut links = Links::default();
        for event in open {
            links.has_launches |= event.kind == EventKind::Launch;
            links.resident.extend(Link::of(event, event.word));
        }
        links.resident.sort_unstable_by_key(Link::key);
        links
    }

    /// Takes a launch or an execution in.
    pub(crate) fn add(&mut self, event: &Event, spill: &Spill) -> io::Result<()> {
        self.has_launches |= event.kind == EventKind::Launch;
        match Link::of(event, event.word) {
            Some(link) => self.push(link, spill),
            None => Ok(()),
        }
    }

    /// Takes a task of the batch with this correlation id in.
    #[inline]
    pub(crate) fn add_task(
        &mut self,
        event: &Event,
        correlation: u64,
        spill: &Spill,
    ) -> io::Result<()> {
        if correlation == self.last_tasks {
            return Ok(());
        }
        self.last_tasks = correlation;
        match Link::of(event, correlation) {
            Some(link) => self.push(link, spill),
            None => Ok(()),
        }
    }

    pub(crate) fn push(&mut self, link: Link, spill: &Spill) -> io::Result<()> {
        self.resident.push(link);
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
        self.resident.sort_unstable_by_key(Link::key);
        self.resident.shrink_to_fit();
        Ok(())
    }

    fn spill_run(&mut self, spill: &Spill) -> io::Result<()> {
        self.resident.sort_unstable_by_key(Link::key);
        self.runs.push(Run {
            offset: spill.append(self.resident.as_bytes())?,
            count: self.resident.len() as u64,
        });
        self.resident.clear();
        Ok(())
    }
}
