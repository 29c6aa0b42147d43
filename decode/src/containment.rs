//! Device time without anchors: work of a device begins after its launch began, and ends before the wait for it ends.
//!
//! Each launch bounds the clock of its device from below and each wait from above. Time is divided into windows, whose
//! tightest bounds make a pair in the middle of the window, with half of what is between them as uncertainty. The drift
//! between host and device is taken from the first and the last window and removed before bounds are compared.

use std::collections::HashMap;

use ringscope_ringbuf::block::LaneKind;
use ringscope_ringbuf::layout::{Kind, Record};

use crate::clock::{Conversion, Pair, ProcessClock};
use crate::device_clock::{Alignment, FREQUENCY_TOLERANCE};
use crate::process::{Liveness, Process};
use crate::ring::resolve::duration_ticks;
use crate::ring::source::{RingSource, Storage};

/// Launches, waits and pieces of work that are kept of each; of more, every second one, every fourth, …
const MAX_KEPT: usize = 1 << 17;
/// Records read at once.
const PIECE: usize = 1 << 12;
/// Shortest window: pairs nearer to each other than 100 ms tell no slope.
const MIN_WINDOW_NS: f64 = 101e6;
const MAX_WINDOWS: f64 = 64.0;
/// Bounds of a window, about: the more there are, the tighter are the tightest.
const WINDOW_BOUNDS: f64 = 100.0;
/// Each round removes the drift that the one before left.
const DRIFT_ROUNDS: usize = 4;

/// A moment of the device that lies behind, or before, a moment of the host.
#[derive(Clone, Copy, Debug)]
struct Bound {
    ticks: u64,
    host_ns: i64,
}

/// What bounds the clock of a domain.
#[derive(Debug, Default)]
pub(crate) struct Bounds {
    /// The device's moment is not before the host's.
    lower: Vec<Bound>,
    /// It is not behind it.
    upper: Vec<Bound>,
}

/// A piece of device work.
struct Work {
    correlation: u64,
    /// What it is sampled by.
    sample_key: u64,
    domain: u32,
    start_ticks: u64,
    end_ticks: u64,
    /// When the host had heard of its end, where it says so.
    known_ns: Option<i64>,
}

/// Launches, waits and work of a process, sampled by correlation id.
#[derive(Default)]
struct Collected {
    /// Ids are kept of which so many high bits, mixed, are zero.
    sampling: u32,
    /// Starts of launches: the earliest of an id.
    launches: HashMap<u64, i64>,
    /// Ends of waits: the latest of an id.
    waits: HashMap<u64, i64>,
    work: Vec<Work>,
}

/// The bounds of each domain of a process, as far as its records can be read: what can't is told by the scan.
pub(crate) fn bounds(process: &Process, clock: &ProcessClock) -> HashMap<u32, Bounds> {
    let mut collected = Collected::default();
    let storage = Storage::default();
    let is_live = process.liveness == Liveness::Alive;
    let streams: HashMap<u16, u32> = process
        .tables
        .lanes
        .iter()
        .filter_map(|(number, generations)| Some((*number, generations.last()?)))
        .filter(|(_, newest)| newest.kind == LaneKind::Stream)
        .map(|(number, newest)| (number, newest.clock_domain))
        .collect();
    let mut piece = vec![Record::default(); PIECE];
    for ring in &process.rings {
        let source = RingSource::open(ring, is_live, &storage);
        let mut batch = None;
        for stretch in &source.stretches {
            let mut at = stretch.sequences.start;
            while at < stretch.sequences.end {
                let len = PIECE.min((stretch.sequences.end - at) as usize);
                let records = &mut piece[..len];
                if source.read(&storage, stretch, at, records).is_err() {
                    break;
                }
                for (sequence, record) in (at..).zip(records.iter()) {
                    if record.is_stamped(sequence, source.capacity_log2) {
                        collected.take(record, clock, &streams, &mut batch);
                    }
                }
                at += len as u64;
            }
        }
        collected.work.extend(batch.and_then(Batch::into_work));
    }
    collected.into_bounds()
}

/// Tasks that arrived together.
struct Batch {
    correlation: u64,
    domain: Option<u32>,
    arrived_ns: i64,
    remaining: u64,
    /// First start and last end of its tasks so far.
    ticks: Option<(u64, u64)>,
}

impl Batch {
    fn into_work(self) -> Option<Work> {
        let (start_ticks, end_ticks) = self.ticks?;
        Some(Work {
            correlation: self.correlation,
            // Batches without an id are bounded by their arrival alone.
            sample_key: match self.correlation {
                0 => self.arrived_ns as u64,
                correlation => correlation,
            },
            domain: self.domain?,
            start_ticks,
            end_ticks,
            known_ns: Some(self.arrived_ns),
        })
    }
}

impl Collected {
    fn take(
        &mut self,
        record: &Record,
        clock: &ProcessClock,
        streams: &HashMap<u16, u32>,
        batch: &mut Option<Batch>,
    ) {
        let start = record.start();
        let correlation = record.w[2];
        match Kind::from_u8(record.kind_number()) {
            Some(Kind::Launch) if self.keeps(correlation) => {
                let start_ns = clock.ticks(start);
                let first = self.launches.entry(correlation).or_insert(start_ns);
                *first = start_ns.min(*first);
            }
            Some(kind @ Kind::Wait) if self.keeps(correlation) => {
                let end_ns = clock.ticks(start.saturating_add(duration_ticks(kind, record)));
                let last = self.waits.entry(correlation).or_insert(end_ns);
                *last = end_ns.max(*last);
            }
            Some(Kind::DeviceSpan) if self.keeps(correlation) => {
                let Some(domain) = streams.get(&record.lane()) else {
                    return;
                };
                self.work.push(Work {
                    correlation,
                    sample_key: correlation,
                    domain: *domain,
                    start_ticks: start,
                    end_ticks: start.saturating_add(record.duration()),
                    known_ns: None,
                });
            }
            Some(Kind::DeviceBatch) => {
                let next = Batch {
                    correlation,
                    domain: streams.get(&record.lane()).copied(),
                    arrived_ns: clock.ticks(start),
                    remaining: record.duration(),
                    ticks: None,
                };
                let done = batch.replace(next).and_then(Batch::into_work);
                self.work
                    .extend(done.filter(|work| self.is_sampled(work.sample_key)));
            }
            Some(Kind::DeviceTask) => {
                if let Some(batch) = batch.as_mut().filter(|batch| batch.remaining > 0) {
                    batch.remaining -= 1;
                    let end = start.saturating_add(record.w[1] & u64::from(u32::MAX));
                    let (first, last) = batch.ticks.unwrap_or((start, end));
                    batch.ticks = Some((first.min(start), last.max(end)));
                }
            }
            _ => {}
        }
        self.thin_out();
    }

    /// True for ids that pair something and are in the sample.
    fn keeps(&self, correlation: u64) -> bool {
        correlation != 0 && self.is_sampled(correlation)
    }

    fn is_sampled(&self, correlation: u64) -> bool {
        is_sampled(correlation, self.sampling)
    }

    /// Halves the sample when it grows beyond its bound.
    fn thin_out(&mut self) {
        let largest = self
            .launches
            .len()
            .max(self.waits.len())
            .max(self.work.len());
        if largest <= MAX_KEPT {
            return;
        }
        self.sampling += 1;
        let sampling = self.sampling;
        self.launches.retain(|id, _| is_sampled(*id, sampling));
        self.waits.retain(|id, _| is_sampled(*id, sampling));
        self.work
            .retain(|work| is_sampled(work.sample_key, sampling));
    }

    fn into_bounds(self) -> HashMap<u32, Bounds> {
        let mut domains: HashMap<u32, Bounds> = HashMap::new();
        for work in &self.work {
            let bounds = domains.entry(work.domain).or_default();
            if let Some(host_ns) = self.launches.get(&work.correlation) {
                bounds.lower.push(Bound {
                    ticks: work.start_ticks,
                    host_ns: *host_ns,
                });
            }
            let waited_ns = self.waits.get(&work.correlation).copied();
            if let Some(host_ns) = waited_ns.into_iter().chain(work.known_ns).min() {
                bounds.upper.push(Bound {
                    ticks: work.end_ticks,
                    host_ns,
                });
            }
        }
        domains
    }
}

/// Multiplied by an odd constant, dense ids spread over all high bits.
fn is_sampled(correlation: u64, sampling: u32) -> bool {
    correlation
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .leading_zeros()
        >= sampling
}

/// Device time `x`, in ns by the stated frequency, and the host time less it, `y`.
#[derive(Clone, Copy)]
struct Point {
    x: f64,
    y: f64,
}

/// The tightest bounds of a window.
struct Window {
    middle: f64,
    low: f64,
    high: f64,
}

impl Window {
    fn center(&self) -> f64 {
        (self.low + self.high) / 2.0
    }

    /// Bounds that contradict each other, since the clocks do what no line does, are as far off as they seem.
    fn half(&self) -> f64 {
        (self.high - self.low).abs() / 2.0
    }
}

/// The bounds of a domain, as points relative to its first one.
struct Plane {
    first_ticks: u64,
    first_ns: i64,
    frequency_hz: f64,
    lower: Vec<Point>,
    upper: Vec<Point>,
    len: f64,
}

impl Bounds {
    /// The conversion that fits between the bounds; `None` without a lower one.
    pub(crate) fn align(&self, frequency_hz: u64) -> Option<(Alignment, Conversion)> {
        let plane = Plane::new(self, frequency_hz)?;
        let pairs = plane.pairs();
        let (alignment, pairs) = if pairs.is_empty() {
            (Alignment::LaunchesOnly, vec![plane.latest_launch()?])
        } else {
            (Alignment::Containment, pairs)
        };
        Some((alignment, Conversion::from_pairs(&pairs, frequency_hz)?))
    }
}

impl Plane {
    fn new(bounds: &Bounds, frequency_hz: u64) -> Option<Plane> {
        let first_ns = bounds.lower.first()?.host_ns;
        let all = || bounds.lower.iter().chain(&bounds.upper);
        let first_ticks = all().map(|bound| bound.ticks).min()?;
        let last_ticks = all().map(|bound| bound.ticks).max()?;
        let ns_per_tick = 1e9 / frequency_hz as f64;
        let point = |bound: &Bound| {
            let x = (bound.ticks - first_ticks) as f64 * ns_per_tick;
            Point {
                x,
                y: bound.host_ns.saturating_sub(first_ns) as f64 - x,
            }
        };
        Some(Plane {
            first_ticks,
            first_ns,
            frequency_hz: frequency_hz as f64,
            lower: bounds.lower.iter().map(point).collect(),
            upper: bounds.upper.iter().map(point).collect(),
            len: (last_ticks - first_ticks) as f64 * ns_per_tick,
        })
    }

    /// Pairs in the middle of the windows that are bounded on both sides.
    fn pairs(&self) -> Vec<Pair> {
        let fewer = self.lower.len().min(self.upper.len()) as f64;
        let wanted = (self.len / MIN_WINDOW_NS)
            .min(fewer / WINDOW_BOUNDS)
            .floor()
            .clamp(1.0, MAX_WINDOWS);
        let mut drift = 0.0;
        let mut windows = self.windows(wanted, drift);
        for _ in 0..DRIFT_ROUNDS {
            let (Some(first), Some(last)) = (windows.first(), windows.last()) else {
                break;
            };
            if first.middle < last.middle {
                drift += (last.center() - first.center()) / (last.middle - first.middle);
                windows = self.windows(wanted, drift);
            }
        }
        let mut half_len = self.len / wanted / 2.0;
        if windows.is_empty() && wanted > 1.0 {
            // Launches and waits that never meet in a window do in the whole.
            windows = self.windows(1.0, drift);
            half_len = self.len / 2.0;
        }
        let slack = half_len * drift_left(&windows, half_len);
        windows
            .iter()
            .map(|window| {
                self.pair(
                    window.middle,
                    window.center() + drift * window.middle,
                    window.half() + slack,
                )
            })
            .collect()
    }

    /// The windows that are bounded on both sides, once a drift is taken out.
    fn windows(&self, count: f64, drift: f64) -> Vec<Window> {
        let len = (self.len / count).max(1.0);
        let mut windows: Vec<Window> = (0..count as usize)
            .map(|at| Window {
                middle: (at as f64 + 0.5) * len,
                low: f64::NEG_INFINITY,
                high: f64::INFINITY,
            })
            .collect();
        let place = |point: &Point| ((point.x / len) as usize).min(count as usize - 1);
        for point in &self.lower {
            let window = &mut windows[place(point)];
            window.low = window.low.max(point.y - drift * point.x);
        }
        for point in &self.upper {
            let window = &mut windows[place(point)];
            window.high = window.high.min(point.y - drift * point.x);
        }
        windows.retain(|window| window.low.is_finite() && window.high.is_finite());
        windows
    }

    /// Without a bound from above: the fastest launch is taken to have started at once.
    fn latest_launch(&self) -> Option<Pair> {
        let latest = self.lower.iter().max_by(|a, b| a.y.total_cmp(&b.y))?;
        Some(self.pair(latest.x, latest.y, 0.0))
    }

    fn pair(&self, x: f64, y: f64, uncertainty_ns: f64) -> Pair {
        let ticks = (x * self.frequency_hz / 1e9).round();
        // What rounding the ticks moved is moved back.
        let x = ticks * 1e9 / self.frequency_hz;
        Pair {
            ticks: self.first_ticks.saturating_add(ticks as u64),
            mono_ns: self.first_ns.saturating_add((x + y).round() as i64),
            uncertainty_ns: (uncertainty_ns.ceil() + 1.0) as u32,
        }
    }
}

/// How much the clocks may still drift apart, once the drift between the first and the last window is taken out.
fn drift_left(windows: &[Window], half_len: f64) -> f64 {
    let (Some(first), Some(last)) = (windows.first(), windows.last()) else {
        return 0.0;
    };
    let apart = last.middle - first.middle - 2.0 * half_len;
    if apart > 0.0 {
        (first.half() + last.half()) / apart
    } else {
        FREQUENCY_TOLERANCE
    }
}
