//! One ring, drained.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ringscope_ringbuf::block::Block;
use ringscope_ringbuf::clock;
use ringscope_ringbuf::file::{FileError, FileErrorKind, FileName, RingFile, RingState};
use ringscope_ringbuf::layout::{
    Kind, MODE_FULL, RING_DRAIN_ALIVE_OFFSET, RING_DRAINED_OFFSET, Record, STAMP_VALID,
};
use ringscope_ringbuf::reader::Copier;
use ringscope_ringbuf::shared_words;

use super::backlog::Backlog;
use super::pace::Pace;
use super::segments::Segments;
use crate::failure::Failure;

/// Records copied at once: 64 KiB, so that all that is copied, compared and packed stays in the processor's cache.
const CHUNK_RECORDS: u64 = 2048;
/// Passes that a slot may stay unpublished before what stands behind it is copied.
const PATIENCE_PASSES: u32 = 3;
/// Recording threads take the supervisor for dead when its last sign of life is much older than this.
const ALIVE_INTERVAL_NS: u64 = 250_000_000;
/// Told in place of a sign of life: nobody watches over the ring for now.
const NOT_WATCHED: u64 = 0;

/// Memory to work in, shared by all rings.
#[derive(Debug, Default)]
pub(super) struct Bench {
    copier: Copier,
    records: Vec<Record>,
    bytes: Vec<u8>,
}

/// A slot that is reserved, and holds up what stands behind it: its writer was preempted in mid-record.
#[derive(Clone, Copy, Debug)]
struct Holdup {
    sequence: u64,
    passes: u32,
}

/// A ring, and the segment file it is drained into.
#[derive(Debug)]
pub(crate) struct DrainedRing {
    name: FileName,
    path: PathBuf,
    ring: RingFile,
    /// The same file, for the two words that the supervisor writes.
    words: File,
    segments: Segments,
    drained: u64,
    backlog: Backlog,
    pace: Pace,
    holdup: Option<Holdup>,
    /// When the last look ended with nothing left to save.
    idle_since_ns: u64,
    /// What the thread was told last: [`NOT_WATCHED`], or when the supervisor lived.
    told_ns: u64,
}

impl DrainedRing {
    /// Opens the ring file `name` of `run`; `None` when it is not one to be drained (flight mode).
    pub(crate) fn open(run: &Path, name: FileName) -> Result<Option<DrainedRing>, FileError> {
        let path = run.join(name.to_string());
        let ring = RingFile::open(&path)?;
        if ring.header.mode.get() != MODE_FULL {
            return Ok(None);
        }
        let words = OpenOptions::new()
            .write(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(&path)
            .map_err(|error| FileError {
                path: path.clone(),
                offset: 0,
                kind: FileErrorKind::Io(error),
            })?;
        let now_ns = clock::monotonic_ns();
        let drained = ring.state()?.drained.max(ring.header.base_sequence.get());
        let mut ring = DrainedRing {
            segments: Segments::of(run, name, ring.capacity_log2()),
            pace: Pace::new(ring.capacity(), now_ns),
            name,
            path,
            ring,
            words,
            drained,
            backlog: Backlog::default(),
            holdup: None,
            idle_since_ns: now_ns,
            told_ns: NOT_WATCHED,
        };
        // The thread saves its ring itself for as long as nobody has told it that somebody else does.
        let _ = ring.tell(now_ns);
        Ok(Some(ring))
    }

    /// Nonce of the process that writes the ring.
    pub(super) fn nonce(&self) -> u64 {
        self.name.nonce
    }

    /// Bytes of the ring file.
    pub(super) fn ring_bytes(&self) -> u64 {
        self.ring.file().len()
    }

    /// Bytes of the segment file.
    pub(super) fn saved_bytes(&self) -> u64 {
        self.segments.len_bytes()
    }

    /// How long the ring can be left alone from `now_ns` on.
    pub(super) fn rest(&self, now_ns: u64) -> Duration {
        let since_look = Duration::from_nanos(self.pace.since_look_ns(now_ns));
        self.pace.rest().saturating_sub(since_look)
    }

    /// How long after its rest the ring is lapped, at its present rate.
    pub(super) fn slack(&self) -> Duration {
        self.pace.slack()
    }

    /// Copies what was published since the last call.
    pub(super) fn drain(&mut self, bench: &mut Bench) -> Result<(), Failure> {
        let now_ns = clock::monotonic_ns();
        self.backlog.idle(now_ns.saturating_sub(self.idle_since_ns));
        let before = self.drained;
        let head = self.look()?.head.sequence;
        while self.drained < head {
            let wanted = self.drained..head.min(self.drained + CHUNK_RECORDS);
            if !self.drain_chunk(wanted, head, bench)? {
                break;
            }
        }
        self.idle_since_ns = clock::monotonic_ns();
        self.pace.look(self.drained - before, now_ns);
        self.tell_news(before, now_ns)
            .map_err(|error| Failure::io("drain", &self.path, &error))
    }

    /// Copies some slots of those below `head`; false when the rest is to be left for later.
    fn drain_chunk(
        &mut self,
        wanted: Range<u64>,
        head: u64,
        bench: &mut Bench,
    ) -> Result<bool, Failure> {
        let copied = bench
            .copier
            .copy_published(
                &mut &self.ring,
                wanted,
                self.ring.capacity_log2(),
                &mut bench.records,
            )
            .map_err(|error| Failure::of("drain", error))?;
        self.backlog.lose(copied.start - self.drained);
        self.drained = copied.start;
        let (ready, head_after) = self.ready(&copied, &bench.records)?;
        let saved = if copied.end < head {
            whole_records(&bench.records[..ready])
        } else {
            ready
        };
        let oldest = head_after.saturating_sub(self.ring.capacity());
        let overwritten = (copied.start..oldest)
            .zip(&bench.records[..saved])
            .filter(|(_, record)| !is_published(record));
        self.backlog.lose(overwritten.count() as u64);
        self.segments
            .append(copied.start, &bench.records[..saved], &mut bench.bytes)?;
        self.drained += saved as u64;
        Ok(ready == bench.records.len())
    }

    /// Tells the thread what it does not know: that more is saved, that the supervisor lives, or that it is on its own.
    fn tell_news(&mut self, drained_before: u64, now_ns: u64) -> io::Result<()> {
        if self.pace.is_quiet() {
            return match self.told_ns {
                NOT_WATCHED => Ok(()),
                _ => self.tell(NOT_WATCHED),
            };
        }
        let is_stale = now_ns - self.told_ns >= ALIVE_INTERVAL_NS;
        if self.drained > drained_before || is_stale {
            self.tell(now_ns)?;
        }
        Ok(())
    }

    /// Tells the thread that the supervisor lives, without draining.
    pub(super) fn refresh(&mut self) {
        let now_ns = clock::monotonic_ns();
        if now_ns - self.told_ns >= ALIVE_INTERVAL_NS {
            // A ring that can't be written to is told when it is drained.
            let _ = self.tell(now_ns);
        }
    }

    /// Takes what a ring lost whose process has ended, and says what draining it came to.
    pub(super) fn report(&mut self) -> Result<Block<'static>, Failure> {
        let head = self.look()?.head.sequence;
        // What the ring still holds stays there: the decoder reads both.
        let oldest = head.saturating_sub(self.ring.capacity());
        self.backlog.lose(oldest.saturating_sub(self.drained));
        self.drained = self.drained.max(oldest);
        Ok(Block::Drain {
            nonce: self.name.nonce,
            ring_index: self.name.index,
            wanted_log2: self.backlog.wanted_log2(self.ring.capacity()),
            overwritten: self.backlog.overwritten(),
            high_water: self.backlog.high_water(),
        })
    }

    /// Reads the ring's words, skips what the thread has saved itself, and notes how far behind the drain is.
    fn look(&mut self) -> Result<RingState, Failure> {
        let state = self
            .ring
            .state()
            .map_err(|error| Failure::of("drain", error))?;
        self.drained = self.drained.max(state.spilled.min(state.head.sequence));
        self.backlog
            .look(state.head.sequence.saturating_sub(self.drained));
        Ok(state)
    }

    /// How many of the copied records can be saved now: those before the first that is still being written. And the
    /// head of the ring after they were copied, where not all are published: what it has overtaken was overwritten.
    fn ready(&mut self, copied: &Range<u64>, records: &[Record]) -> Result<(usize, u64), Failure> {
        if records.iter().all(is_published) {
            return Ok((records.len(), 0));
        }
        let head = self
            .ring
            .state()
            .map_err(|error| Failure::of("drain", error))?
            .head
            .sequence;
        let given_up = self.given_up(head);
        let mut in_given_up = false;
        for (index, record) in records.iter().enumerate() {
            let sequence = copied.start + index as u64;
            if is_published(record) {
                in_given_up = false;
            } else if sequence + self.ring.capacity() < head {
                // Overwritten: nothing to wait for.
            } else if in_given_up || given_up == Some(sequence) {
                // The whole run of slots belongs to the record that was given up.
                in_given_up = true;
            } else {
                self.wait_for(sequence);
                return Ok((index, head));
            }
        }
        Ok((records.len(), head))
    }

    /// The slot that has held up the drain for too long, if there is one.
    fn given_up(&self, head: u64) -> Option<u64> {
        let holdup = self.holdup?;
        let behind = head.saturating_sub(holdup.sequence);
        (holdup.passes > PATIENCE_PASSES && behind > self.ring.capacity() / 4)
            .then_some(holdup.sequence)
    }

    fn wait_for(&mut self, sequence: u64) {
        let passes = match self.holdup {
            Some(holdup) if holdup.sequence == sequence => holdup.passes + 1,
            _ => 1,
        };
        self.holdup = Some(Holdup { sequence, passes });
    }

    /// Tells the thread up to where its ring is saved, and when the supervisor lived.
    fn tell(&mut self, alive_ns: u64) -> io::Result<()> {
        const _: () = assert!(RING_DRAIN_ALIVE_OFFSET == RING_DRAINED_OFFSET + 8);
        let words = [self.drained, alive_ns];
        shared_words::write_all_at(&self.words, RING_DRAINED_OFFSET as u64, &words)?;
        self.told_ns = alive_ns;
        Ok(())
    }
}

fn is_published(record: &Record) -> bool {
    record.w[3] & STAMP_VALID != 0
}

/// How many of these records can be saved without parting one from its continuations, which the next copy may find
/// overwritten: all but the last one and what follows it.
fn whole_records(records: &[Record]) -> usize {
    let begins_one = |record: &Record| record.kind_number() != Kind::Continuation as u8;
    match records.iter().rposition(begins_one) {
        None | Some(0) => records.len(),
        Some(last) => last,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_saved_with_its_continuations_or_not_at_all() {
        let record = |kind| Record {
            w: [0, 0, 0, Record::site_and_kind(1, kind)],
        };
        let (span, more) = (record(Kind::Span), record(Kind::Continuation));
        assert_eq!(whole_records(&[span, more, more, span, more]), 3);
        assert_eq!(whole_records(&[more, span, span]), 2);
        // The rest of a record whose beginning was saved, or is lost.
        assert_eq!(whole_records(&[more, more]), 2);
        assert_eq!(whole_records(&[]), 0);
    }
}
