//! Draining: what threads publish in their rings is copied into segment files before it is overwritten.

mod backlog;
mod budget;
mod pace;
mod ring;
mod segments;

use std::time::Duration;

use ringscope_ringbuf::block::Block;
use ringscope_ringbuf::clock;

pub(crate) use budget::Budget;
use pace::LONGEST_REST;
use ring::Bench;
pub(crate) use ring::DrainedRing;

/// All rings of the run that are drained.
#[derive(Debug)]
pub(crate) struct Drain {
    rings: Vec<DrainedRing>,
    reports: Vec<Block<'static>>,
    bench: Bench,
    budget: Budget,
    stopped: Option<String>,
    /// One line per ring that could not be drained.
    pub(crate) failures: Vec<String>,
}

impl Drain {
    /// Nothing to drain yet.
    pub(crate) fn new(budget: Budget) -> Drain {
        Drain {
            rings: Vec::new(),
            reports: Vec::new(),
            bench: Bench::default(),
            budget,
            stopped: None,
            failures: Vec::new(),
        }
    }

    /// Adds a ring.
    pub(crate) fn add(&mut self, ring: DrainedRing) {
        self.budget.take(ring.ring_bytes());
        self.rings.push(ring);
    }

    /// Copies what was published in the rings that were left alone for long enough.
    pub(crate) fn pass(&mut self) {
        if self.stopped.is_none() {
            self.stopped = self.budget.exceeded();
        }
        let now_ns = clock::monotonic_ns();
        for ring in &mut self.rings {
            if self.stopped.is_some() {
                ring.refresh();
                continue;
            }
            if !ring.rest(now_ns).is_zero() {
                continue;
            }
            let before = ring.saved_bytes();
            if let Err(failure) = ring.drain(&mut self.bench) {
                self.stopped = Some(failure.line().to_owned());
            }
            self.budget.take(ring.saved_bytes().saturating_sub(before));
        }
    }

    /// How long all rings can be left alone.
    pub(crate) fn rest(&self) -> Duration {
        let now_ns = clock::monotonic_ns();
        let rests = self.rings.iter().map(|ring| ring.rest(now_ns));
        match self.stopped {
            Some(_) => LONGEST_REST,
            None => rests.min().unwrap_or(LONGEST_REST),
        }
    }

    /// How much later than after [`Drain::rest`] the next pass may come without a ring being lapped.
    pub(crate) fn slack(&self) -> Duration {
        let slacks = self.rings.iter().map(DrainedRing::slack);
        match self.stopped {
            Some(_) => Duration::MAX,
            None => slacks.min().unwrap_or(Duration::MAX),
        }
    }

    /// The process has ended: what its rings still hold stays in them.
    pub(crate) fn process_ended(&mut self, nonce: u64) {
        let (ended, alive) = std::mem::take(&mut self.rings)
            .into_iter()
            .partition(|ring| ring.nonce() == nonce);
        self.rings = alive;
        for ring in Vec::from_iter::<Vec<DrainedRing>>(ended) {
            self.report_ring(ring);
        }
    }

    /// Ends draining; what it came to, ring by ring.
    pub(crate) fn finish(&mut self) -> &[Block<'static>] {
        for ring in std::mem::take(&mut self.rings) {
            self.report_ring(ring);
        }
        &self.reports
    }

    /// Why draining stopped early, if it did.
    pub(crate) fn stopped(&self) -> Option<&str> {
        self.stopped.as_deref()
    }

    fn report_ring(&mut self, mut ring: DrainedRing) {
        match ring.report() {
            Ok(report) => self.reports.push(report),
            Err(failure) => self.failures.push(failure.line().to_owned()),
        }
    }
}
