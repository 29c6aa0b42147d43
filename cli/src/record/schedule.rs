//! `--delay` and `--duration`: when recording goes on and off.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use ringscope_ringbuf::layout::ProcessHeader;

use crate::cli::CaptureArgs;
use crate::level::{self, LevelSet, Switched};

/// When the level changes, and what it is now.
#[derive(Debug)]
pub(crate) struct Schedule {
    run: PathBuf,
    /// What is still to come, latest first.
    changes: Vec<(Instant, LevelSet)>,
    /// The level that was switched to last; `None` while the processes have the one of their start.
    now: Option<LevelSet>,
}

impl Schedule {
    /// The level at the program's start.
    pub(crate) fn first_level(capture: &CaptureArgs, level: LevelSet) -> LevelSet {
        if capture.delay.is_some() {
            LevelSet::OFF
        } else {
            level
        }
    }

    /// The schedule of a program that starts now, whose level is to be `level` while it is on.
    pub(crate) fn start(run: PathBuf, capture: &CaptureArgs, level: LevelSet) -> Schedule {
        let on_at = Instant::now() + capture.delay.map_or(Duration::ZERO, Duration::from);
        let off = capture
            .duration
            .map(|duration| (on_at + Duration::from(duration), LevelSet::OFF));
        let on = capture.delay.map(|_| (on_at, level));
        Schedule {
            run,
            changes: off.into_iter().chain(on).collect(),
            now: None,
        }
    }

    /// How long until the next change.
    pub(crate) fn next_change(&self) -> Option<Duration> {
        let (at, _) = self.changes.last()?;
        Some(at.saturating_duration_since(Instant::now()))
    }

    /// Makes the changes that are due in the `living` processes; what could not be switched, one line each.
    pub(crate) fn make_due_changes<'a>(
        &mut self,
        living: impl Iterator<Item = &'a ProcessHeader>,
    ) -> Vec<String> {
        let mut due = None;
        while let Some((_, level)) = self.changes.pop_if(|(at, _)| *at <= Instant::now()) {
            due = Some(level);
        }
        let Some(level) = due else {
            return Vec::new();
        };
        self.now = Some(level);
        // The file first: a process that starts in between finds either the file or the word written.
        let mut switched = Switched::default();
        if let Err(failure) = level::tell_later_processes(&self.run, level) {
            switched.failures.push(failure.line().to_owned());
        }
        living.for_each(|header| switched.add(header, level));
        switched.failures
    }

    /// Switches a process that appeared after the last change and may have read its level before it.
    pub(crate) fn catch_up(&self, header: &ProcessHeader) -> Vec<String> {
        let mut switched = Switched::default();
        if let Some(level) = self.now.filter(|level| level.mask != header.level.get()) {
            switched.add(header, level);
        }
        switched.failures
    }
}
