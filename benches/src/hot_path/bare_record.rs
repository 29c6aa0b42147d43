//! A span's record without its clock reads: what the recorder asks of the ring, call for call, with a clock that
//! stands still. Clock reads hide most of what stands beside them, so this is where a slower record shows.

use std::path::Path;

use ringscope_benches::case::Case;
use ringscope_benches::kernel::{c_path, os_error};
use ringscope_ringbuf::clock::{counter, detect, monotonic_ns};
use ringscope_ringbuf::file::file_start;
use ringscope_ringbuf::layout::{Kind, MODE_FLIGHT, OPEN_SLOT_LEN, RECORD_LEN, Record, RingHeader};
use ringscope_ringbuf::map::MappedRing;
use ringscope_ringbuf::reader::pack_duration;
use ringscope_ringbuf::ring::{OpenSpan, Writer};
use ringscope_ringbuf::sys;

/// Open slots, as many as the recorder's rings have.
const OPEN_SLOTS: usize = 64;
/// Site of the record.
const SITE: u32 = 1;

/// The record without its clock reads.
pub(crate) struct BareRecord {
    writer: Writer,
    site_and_kind: u64,
    start: u64,
    end: u64,
}

impl BareRecord {
    /// A ring of `ring_bytes`, a power of two, in a new file at `path`, unlinked at once.
    ///
    /// # Errors
    ///
    /// What could not be made, where and why.
    pub(crate) fn new(path: &Path, ring_bytes: u64) -> Result<BareRecord, String> {
        let file = c_path(path)?;
        let capacity_log2 = (ring_bytes / RECORD_LEN as u64).ilog2();
        let ring = MappedRing::create(&file, &header(capacity_log2))
            .map_err(|errno| format!("create: {}: {}", path.display(), os_error(errno)))?;
        sys::remove(&file);
        // SAFETY: rings are never unmapped; the header says as many open slots, and nobody else knows this ring.
        let writer = unsafe { Writer::new(ring.memory(), capacity_log2, OPEN_SLOTS, 1) };
        Ok(BareRecord {
            writer,
            site_and_kind: Record::site_and_kind(SITE, Kind::Span),
            start: counter(),
            end: counter(),
        })
    }
}

fn header(capacity_log2: u32) -> RingHeader {
    RingHeader {
        start: file_start(sys::random_u64(), sys::process_id(), 0, RECORD_LEN),
        capacity_log2: capacity_log2.into(),
        open_slot_count: (OPEN_SLOTS as u32).into(),
        open_slot_len: (OPEN_SLOT_LEN as u32).into(),
        mode: MODE_FLIGHT.into(),
        base_sequence: 0.into(),
        created_ticks: counter().into(),
        created_mono_ns: monotonic_ns().into(),
        clock_source: (detect() as u32).into(),
        tid: sys::thread_id().into(),
        reserved: [0; 24],
    }
}

impl Case for BareRecord {
    const NAME: &'static str = "record without clock reads";

    #[inline(always)]
    fn call(&mut self, number: u64, inside: impl FnOnce()) {
        // As the recorder does: by the site's id.
        let open_slot = self.writer.take_open_slot(SITE);
        let shown = OpenSpan {
            site_and_kind: self.site_and_kind,
            w2: number,
            lane: 0,
            payload_len: 0,
        };
        let start = match open_slot {
            Some(slot) => self.writer.open(slot, shown, || self.start),
            None => self.start,
        };
        inside();
        let duration = self.end.saturating_sub(start);
        let sequence = self.writer.reserve(1);
        // Always: in flight mode the recorder asks too, and records are overwritten without more ado.
        if self.writer.has_room(sequence, 1) {
            let words = [start, pack_duration(duration, 0), number];
            self.writer.publish(sequence, words, self.site_and_kind);
        }
        if let Some(slot) = open_slot {
            self.writer.close(slot);
        }
    }

    fn bytes_written(&self) -> Option<u64> {
        Some(self.writer.next_sequence() * RECORD_LEN as u64)
    }
}
