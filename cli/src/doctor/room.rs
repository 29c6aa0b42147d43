//! The place of runs: whether a run can be made there, and what rings it has room for.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use ringscope_ringbuf::clock;
use ringscope_ringbuf::file::{self, FileKind, FileName};
use ringscope_ringbuf::layout::{MODE_FULL, OPEN_SLOT_LEN, RECORD_LEN, RingHeader};
use ringscope_ringbuf::map::MappedRing;
use ringscope_ringbuf::room::{
    affordable_log2, cgroup_headroom_bytes, ring_budget_bytes, ring_file_len, ring_log2,
};
use ringscope_ringbuf::sys;

use super::check::Check;
use crate::cli::PlaceArgs;
use crate::failure::Failure;
use crate::kernel::c_path;
use crate::record::run_dir::RunDirectory;
use crate::size::Size;
use crate::span_of_time::SpanOfTime;

/// Open slots of a ring, as recorders make them.
pub(super) const OPEN_SLOTS: usize = 64;
/// Rings that are made to see how long one takes.
const TRIAL_RINGS: u32 = 3;

/// A run of the doctor's own, in the place where runs go; removed when it is dropped.
pub(super) struct TrialRun {
    pub(super) directory: RunDirectory,
}

impl Drop for TrialRun {
    fn drop(&mut self) {
        // What can't be removed is found by `ringscope gc`.
        let _ = fs::remove_dir_all(&self.directory.path);
    }
}

impl TrialRun {
    /// Makes the run, as `record` does.
    pub(super) fn create(place: &PlaceArgs) -> Result<TrialRun, Failure> {
        RunDirectory::create(place).map(|directory| TrialRun { directory })
    }

    /// The path of a file of the run.
    pub(super) fn path_of(&self, kind: FileKind, index: u32) -> PathBuf {
        let name = FileName {
            pid: sys::process_id(),
            nonce: 0,
            index,
            kind,
        };
        self.directory.path.join(name.to_string())
    }

    /// The file system.
    pub(super) fn place(&self) -> Check {
        let system = self.directory.file_system;
        let parent = self.directory.path.parent().unwrap_or(&self.directory.path);
        let found = format!("{} on {}", parent.display(), system.name());
        Check::ok("place", found)
            .with("path", parent.display().to_string())
            .with("file_system", system.name())
            .warn_if(
                !system.keeps_allocated_blocks(),
                "a full disk can kill the recorded program there: choose tmpfs, ext4 or xfs with --dir",
            )
    }

    /// What is free, and the rings that `threads` threads would get of it.
    pub(super) fn space(&self, threads: u32, ring_size: Size) -> Check {
        let system = self.directory.file_system;
        let headroom_bytes = cgroup_headroom_bytes();
        let budget_bytes = ring_budget_bytes(&system);
        let group = match headroom_bytes {
            // Version 1 says "no limit" by a number of this order.
            0..0x4000_0000_0000_0000 => {
                format!("the memory cgroup has {} left", Size::new(headroom_bytes))
            }
            _ => "the memory cgroup has no limit".to_owned(),
        };
        let smallest = smallest_ring(budget_bytes, threads, ring_log2(ring_size.bytes));
        let rings = match smallest {
            Some(log2) if log2 < ring_log2(ring_size.bytes) => format!(
                "{threads} threads get rings down to {} instead of {ring_size}",
                Size::new((RECORD_LEN as u64) << log2)
            ),
            Some(_) => format!("{threads} threads get rings of {ring_size}"),
            None => format!("not all of {threads} threads get a ring"),
        };
        let found = format!(
            "{} free of {}, {group}; {rings}",
            Size::new(system.free_bytes),
            Size::new(system.total_bytes)
        );
        let is_smaller = smallest.is_none_or(|log2| log2 < ring_log2(ring_size.bytes));
        let first_ring = affordable_log2(budget_bytes, OPEN_SLOTS, ring_log2(ring_size.bytes));
        Check::ok("space", found)
            .with("free_bytes", system.free_bytes)
            .with("total_bytes", system.total_bytes)
            .with("cgroup_headroom_bytes", headroom_bytes)
            .with("rings_at_most_bytes", budget_bytes)
            .with("threads", threads)
            .with("smallest_ring_bytes", smallest.map(|log2| (RECORD_LEN as u64) << log2))
            .warn_if(
                is_smaller,
                "smaller rings lose records sooner: enlarge it (docker run --shm-size=1g, mount -o remount,size=), or \
                 choose another place with --dir",
            )
            .fail_if(
                first_ring.is_none(),
                "there is no room for a single ring: remove old runs (ringscope gc), or choose another place with --dir",
            )
    }

    /// Makes rings, as a thread does at its first record.
    pub(super) fn ring(&self, ring_size: Size) -> Check {
        let budget_bytes = ring_budget_bytes(&self.directory.file_system);
        let log2 = affordable_log2(budget_bytes, OPEN_SLOTS, ring_log2(ring_size.bytes));
        let log2 = log2.unwrap_or(ring_log2(ring_size.bytes));
        let size = Size::new((RECORD_LEN as u64) << log2);
        let took: Result<Vec<u64>, Failure> = (0..TRIAL_RINGS)
            .map(|index| self.make_ring(index, log2))
            .collect();
        match took {
            Ok(took) => {
                let took_ns = took.into_iter().min().unwrap_or(0);
                let found = format!(
                    "one of {size} was made in {}: what the first record of an unprepared thread takes",
                    SpanOfTime::new(took_ns)
                );
                Check::ok("ring", found)
                    .with("ring_bytes", size.bytes)
                    .with("took_ns", took_ns)
            }
            Err(failure) => Check::ok("ring", failure.line()).fail_if(
                true,
                "threads could not record: raise what is said to be too small, or choose another place with --dir",
            ),
        }
    }

    /// Makes one ring; how long it took, ns.
    fn make_ring(&self, index: u32, capacity_log2: u32) -> Result<u64, Failure> {
        let path = self.path_of(FileKind::Ring, index);
        let name = c_path(&path)?;
        let header = ring_header(index, capacity_log2);
        let started = Instant::now();
        let made = MappedRing::create(&name, &header);
        let took_ns = started.elapsed().as_nanos() as u64;
        // Its memory is given back when this process ends; its name goes at once.
        sys::remove(&name);
        match made {
            Ok(_) => Ok(took_ns),
            Err(errno) => {
                let why = std::io::Error::from_raw_os_error(errno);
                let size = Size::new(ring_file_len(OPEN_SLOTS, capacity_log2));
                Err(Failure::new(
                    "make a ring",
                    path.display(),
                    format!("{why}, for a file of {size}"),
                ))
            }
        }
    }
}

/// The smallest of the rings that `threads` threads get, one after the other; `None` when one gets none.
fn smallest_ring(mut budget_bytes: u64, threads: u32, wished_log2: u32) -> Option<u32> {
    let mut smallest = wished_log2;
    for _ in 0..threads {
        smallest = affordable_log2(budget_bytes, OPEN_SLOTS, wished_log2)?;
        budget_bytes = budget_bytes.saturating_sub(ring_file_len(OPEN_SLOTS, smallest));
    }
    Some(smallest)
}

fn ring_header(index: u32, capacity_log2: u32) -> RingHeader {
    let source = clock::detect();
    RingHeader {
        start: file::file_start(0, sys::process_id(), index, RECORD_LEN),
        capacity_log2: capacity_log2.into(),
        open_slot_count: (OPEN_SLOTS as u32).into(),
        open_slot_len: (OPEN_SLOT_LEN as u32).into(),
        mode: MODE_FULL.into(),
        base_sequence: 0.into(),
        created_ticks: clock::ticks(source).into(),
        created_mono_ns: clock::monotonic_ns().into(),
        clock_source: (source as u32).into(),
        tid: sys::thread_id().into(),
        reserved: [0; 24],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_threads_get_smaller_rings_and_more_get_none() {
        assert_eq!(smallest_ring(1 << 30, 100, 15), Some(15));
        assert_eq!(smallest_ring(16 << 20, 1, 15), Some(15));
        assert_eq!(smallest_ring(16 << 20, 4, 15), Some(14));
        assert_eq!(smallest_ring(1 << 20, 1_000, 15), None);
    }
}
