//! Devices: their clocks, their streams, and what ran there, as the runtime tells it afterwards.

use ringscope_ringbuf::block::Block;
use ringscope_ringbuf::layout::{DURATION_MAX, DropCause, Kind, Record};
use ringscope_ringbuf::reader::pack_duration;

use crate::clock;
use crate::name_table::{self, Name, Use};
use crate::process::{self, Process};
use crate::record::Words;
use crate::thread::{self, ThreadRing};

/// Tasks behind one batch record, at most: a batch that wraps around the ring loses its head.
const BATCH_TASKS: usize = 1_024;
/// A clock of devices: two of them share an epoch when they share a clock. Made by [`clock_domain`].
#[derive(Clone, Copy)]
pub struct ClockDomain {
    id: u32,
    name: Option<&'static Name>,
}

impl core::fmt::Debug for ClockDomain {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "ClockDomain({})", self.id)
    }
}

/// The device clock with this number, one for all calls with the same arguments: `frequency_hz` ticks a second.
pub fn clock_domain(id: u32, frequency_hz: u64, name: &str) -> ClockDomain {
    let mut text = [0; CLOCK_TEXT_LEN + 64];
    text[..4].copy_from_slice(&id.to_le_bytes());
    text[4..CLOCK_TEXT_LEN].copy_from_slice(&frequency_hz.to_le_bytes());
    let kept = &name.as_bytes()[..name.len().min(64)];
    let len = CLOCK_TEXT_LEN + kept.len();
    text[CLOCK_TEXT_LEN..len].copy_from_slice(kept);
    let name = name_table::find(Use::ClockDomain, &text[..len]);
    if name.is_none() {
        process::count(DropCause::NameCap);
    }
    ClockDomain { id, name }
}

/// Bytes of number and frequency before the name of a clock in the table of names.
const CLOCK_TEXT_LEN: usize = 12;

/// What a clock's text in the table of names says.
pub(crate) fn clock_block(text: &[u8]) -> Block<'_> {
    let (number, name) = text.split_at(CLOCK_TEXT_LEN);
    let (id, frequency) = number.split_at(4);
    Block::ClockDomain {
        id: word(id),
        frequency_hz: u64::from_le_bytes(frequency.try_into().unwrap_or_default()),
        name,
    }
}

/// What a stream's text in the table of names says.
pub(crate) fn stream_block<'a>(lane: u16, text: &[u8], name: &'a mut [u8; 24]) -> Block<'a> {
    let [device, stream, clock_domain] = [0, 4, 8].map(|at| word(&text[at..at + 4]));
    let mut cursor = std::io::Cursor::new(&mut name[..]);
    // 24 bytes take any number behind the word.
    let _ = std::io::Write::write_fmt(&mut cursor, format_args!("stream {stream}"));
    let len = cursor.position() as usize;
    Block::stream(lane, (device, stream), clock_domain, &name[..len])
}

fn word(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().unwrap_or_default())
}

impl ClockDomain {
    /// Ties the device's clock to the host's: `device_ticks` were read between two reads of [`ticks`]. The closer those are,
    /// the better is what is known of device times.
    pub fn anchor(self, host_before_ticks: u64, device_ticks: u64, host_after_ticks: u64) {
        if let Some(ring) = thread::current() {
            self.publish(ring.process);
            ring.process.append(&Block::Anchor {
                domain: self.id,
                host_before_ticks,
                device_ticks,
                host_after_ticks,
            });
        }
    }

    /// Its number.
    #[inline(always)]
    pub(crate) fn id(self) -> u32 {
        self.id
    }

    #[inline(always)]
    fn publish(self, process: &Process) {
        if let Some(name) = self.name {
            name.id_in(process);
        }
    }
}

/// Ticks of the host's clock, for [`ClockDomain::anchor`].
#[inline]
pub fn ticks() -> u64 {
    // Which clock that is, is chosen when the process is set up.
    process::current();
    clock::ticks()
}

/// What a device ran, as runtimes deliver it: 32 bytes in this order.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceTask {
    /// When it began, in device ticks; 0 in an empty place.
    pub start_ticks: u64,
    /// When it ended, in device ticks.
    pub end_ticks: u64,
    /// The runtime's number for it.
    pub token: u64,
    /// The register that it was sent by.
    pub register_id: u32,
    /// From its receipt to its start, in device ticks.
    pub receive_to_start_ticks: u32,
}

const _: () = assert!(size_of::<DeviceTask>() == 32);

/// A stream of a device: a row of the time line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream {
    /// The device's number in the lower half, the stream's in the upper: one word, as tickets are copied.
    device_and_stream: u64,
}

impl Stream {
    #[inline(always)]
    pub(crate) const fn new(device: u32, stream: u32) -> Stream {
        Stream {
            device_and_stream: device as u64 | (stream as u64) << 32,
        }
    }

    fn device(self) -> u32 {
        self.device_and_stream as u32
    }

    fn stream(self) -> u32 {
        (self.device_and_stream >> 32) as u32
    }

    /// The stream's lane in `process`, whose file holds it and its clock when this returns; `None` past the cap.
    pub(crate) fn lane_in(self, clock: ClockDomain, process: &Process) -> Option<u16> {
        clock.publish(process);
        let name = name_table::find(Use::Stream, &self.text(clock));
        if name.is_none() {
            process::count(DropCause::LaneCap);
        }
        Some(name?.id_in(process) as u16)
    }

    fn text(self, clock: ClockDomain) -> [u8; 12] {
        let mut text = [0; 12];
        for (bytes, number) in
            text.chunks_exact_mut(4)
                .zip([self.device(), self.stream(), clock.id])
        {
            bytes.copy_from_slice(&number.to_le_bytes());
        }
        text
    }
}

/// What an execution belongs to.
#[derive(Clone, Copy)]
pub(crate) struct Execution {
    pub(crate) site: u32,
    pub(crate) correlation: u64,
    /// Lane of the stream.
    pub(crate) lane: u16,
}

impl ThreadRing {
    /// Records an execution at this site and on this lane, in device ticks.
    #[inline(never)]
    pub(crate) fn put_device_span(
        &self,
        site: u32,
        lane: u16,
        correlation: u64,
        (start, end): (u64, u64),
    ) {
        let w1 = pack_duration(end.saturating_sub(start).min(DURATION_MAX), lane);
        let site_and_kind = Record::site_and_kind(site, Kind::DeviceSpan);
        let sequence = self.writer.reserve(1);
        if !self.writer.has_room(sequence, 1) {
            return self.put_without_room((start, w1), correlation, site_and_kind, sequence);
        }
        self.writer
            .publish(sequence, [start, w1, correlation], site_and_kind);
    }

    /// Writes a record whose slot is reserved but not free yet.
    #[cold]
    #[inline(never)]
    pub(crate) fn put_without_room(
        &self,
        (w0, w1): (u64, u64),
        w2: u64,
        site_and_kind: u64,
        sequence: u64,
    ) {
        if self.make_room(sequence, 1) {
            self.writer.publish(sequence, [w0, w1, w2], site_and_kind);
        }
    }

    /// Records tasks in device ticks; how many places were empty, which is counted.
    pub(crate) fn put_device_tasks(&self, execution: Execution, tasks: &[DeviceTask]) -> usize {
        let most = BATCH_TASKS.min(self.writer.capacity() as usize / 8);
        let chunks = tasks.chunks(most);
        let empty = chunks.map(|chunk| self.put_batch(execution, chunk)).sum();
        if empty > 0 {
            process::count_many(DropCause::EmptyTask, empty as u64);
        }
        empty
    }

    /// Records as many tasks as one batch takes; how many places were empty.
    #[inline(never)]
    fn put_batch(&self, execution: Execution, tasks: &[DeviceTask]) -> usize {
        let empty = tasks.iter().filter(|task| task.start_ticks == 0).count();
        let count = (tasks.len() - empty) as u64;
        if count == 0 {
            return empty;
        }
        let sequence = self.writer.reserve_many(1 + count);
        if !self.writer.has_room(sequence, 1 + count) && !self.make_room(sequence, 1 + count) {
            return empty;
        }
        let head = Words {
            kind: Kind::DeviceBatch,
            site: execution.site,
            lane: execution.lane,
            start: clock::ticks(),
            duration: count,
        };
        self.publish(sequence, head, execution.correlation);
        let mut sequence = sequence;
        for task in tasks {
            if task.start_ticks == 0 {
                continue;
            }
            sequence += 1;
            let duration = task.end_ticks.saturating_sub(task.start_ticks);
            let duration = u32::try_from(duration).unwrap_or(u32::MAX);
            let times = u64::from(duration) | u64::from(task.receive_to_start_ticks) << 32;
            let register = Record::site_and_kind(task.register_id, Kind::DeviceTask);
            let words = [task.start_ticks, times, task.token];
            self.writer.publish(sequence, words, register);
        }
        empty
    }
}
