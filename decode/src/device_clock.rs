//! Clocks of devices, each tied to the host's clock: by anchors where the runtime gave them, else by containment.
//!
//! Devices share no epoch: each domain has a conversion of its own, and nothing is ever computed between the ticks of two
//! of them.

use std::collections::{BTreeMap, BTreeSet};

use ringscope_ringbuf::block::LaneKind;
use serde::Serialize;

use crate::clock::{Conversion, Pair, ProcessClock};
use crate::containment;
use crate::process::{Anchor, Process};

/// How far the frequency that a device states may be off: crystals keep within this.
pub(crate) const FREQUENCY_TOLERANCE: f64 = 100e-6;

/// What ties the clock of a device to the host's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Alignment {
    /// The device's clock was read between two reads of the host's.
    Anchors,
    /// Device work lies between its launch and the end of the wait for it.
    Containment,
    /// It begins after its launch, and nothing says how long after: times may be later than shown.
    LaunchesOnly,
    /// Nothing does: its times are not shown.
    Unavailable,
}

impl Alignment {
    /// The words that reports use.
    pub fn as_str(self) -> &'static str {
        match self {
            Alignment::Anchors => "anchors",
            Alignment::Containment => "between launches and waits",
            Alignment::LaunchesOnly => "after launches",
            Alignment::Unavailable => "unavailable",
        }
    }
}

/// The clock of some devices of a process.
#[derive(Clone, Debug, Serialize)]
pub struct DeviceClock {
    /// Process id of the host process.
    pub pid: u32,
    /// Number of the clock domain within the process.
    pub domain: u32,
    /// Name of the clock domain.
    pub name: String,
    /// Ticks a second as stated, 0 when unknown.
    pub frequency_hz: u64,
    /// What ties it to the host's clock.
    pub alignment: Alignment,
    /// Moments that the conversion goes through.
    pub pairs: usize,
    /// How far off a time of the device may be against those of its host, over the whole run; `None` when that is
    /// unknown.
    pub uncertainty_ns: Option<u64>,
    /// How much faster the device's clock runs than stated, in millionths; `None` when that can't be told.
    pub drift_ppm: Option<f64>,
}

/// A clock domain of one process file, with its conversion.
#[derive(Clone, Debug)]
pub(crate) struct Domain {
    pub id: u32,
    pub name: String,
    pub frequency_hz: u64,
    pub alignment: Alignment,
    /// `None` when nothing ties it to the host.
    pub conversion: Option<Conversion>,
}

/// The domains that streams of a process file refer to, by number.
pub(crate) fn of_process(process: &Process, clock: &ProcessClock) -> Vec<Domain> {
    let tables = &process.tables;
    let streams = tables.lanes.values().flatten();
    let streams = streams.filter(|lane| lane.kind == LaneKind::Stream);
    let used: BTreeSet<u32> = streams.map(|lane| lane.clock_domain).collect();
    let mut domains: BTreeMap<u32, Domain> = BTreeMap::new();
    for id in used {
        let (frequency_hz, name) = tables.domains.get(&id).cloned().unwrap_or_default();
        let anchors = tables.anchors.get(&id).map_or(&[][..], Vec::as_slice);
        let conversion = by_anchors(clock, anchors, frequency_hz);
        let domain = Domain {
            id,
            name,
            frequency_hz,
            alignment: match conversion {
                Some(_) => Alignment::Anchors,
                None => Alignment::Unavailable,
            },
            conversion,
        };
        domains.insert(id, domain);
    }
    let is_missing = |domain: &Domain| domain.conversion.is_none() && domain.frequency_hz > 0;
    if domains.values().any(is_missing) {
        // The records are read once more, and only here: without anchors nothing else tells.
        let mut bounds = containment::bounds(process, clock);
        for domain in domains.values_mut().filter(|domain| is_missing(domain)) {
            let bounds = bounds.remove(&domain.id).unwrap_or_default();
            if let Some((alignment, conversion)) = bounds.align(domain.frequency_hz) {
                domain.alignment = alignment;
                domain.conversion = Some(conversion);
            }
        }
    }
    domains.into_values().collect()
}

/// The conversion by anchors: each ties device ticks to the middle of two host reads.
fn by_anchors(clock: &ProcessClock, anchors: &[Anchor], frequency_hz: u64) -> Option<Conversion> {
    let pair = |anchor: &Anchor| {
        let before_ns = clock.ticks(anchor.host_before_ticks);
        let after_ns = clock.ticks(anchor.host_after_ticks);
        let half_ns = after_ns.abs_diff(before_ns) / 2;
        Pair {
            ticks: anchor.device_ticks,
            mono_ns: before_ns.saturating_add(half_ns as i64),
            uncertainty_ns: u32::try_from(half_ns + 1).unwrap_or(u32::MAX),
        }
    };
    let pairs: Vec<Pair> = anchors.iter().map(pair).collect();
    Conversion::from_pairs(&pairs, frequency_hz)
}

impl Domain {
    /// What is known of it, for times in `from_ns..=to_ns`.
    pub(crate) fn describe(&self, pid: u32, from_ns: i64, to_ns: i64) -> DeviceClock {
        let conversion = self.conversion.as_ref();
        let pairs = conversion.map_or(&[][..], Conversion::pairs);
        DeviceClock {
            pid,
            domain: self.id,
            name: self.name.clone(),
            frequency_hz: self.frequency_hz,
            alignment: self.alignment,
            pairs: pairs.len(),
            uncertainty_ns: match self.alignment {
                Alignment::Anchors | Alignment::Containment => {
                    conversion.and_then(|known| uncertainty_ns(known, from_ns, to_ns))
                }
                Alignment::LaunchesOnly | Alignment::Unavailable => None,
            },
            drift_ppm: drift_ppm(pairs, self.frequency_hz),
        }
    }
}

impl Domain {
    /// How far off the times of something that begins and ends at these moments may be; `None` when nothing bounds that.
    pub(crate) fn slack_ns(&self, start_ns: i64, end_ns: i64) -> Option<u64> {
        let conversion = match self.alignment {
            Alignment::Anchors | Alignment::Containment => self.conversion.as_ref()?,
            Alignment::LaunchesOnly | Alignment::Unavailable => return None,
        };
        let at = |ns: i64| {
            let known = conversion.uncertainty_at(ns)?;
            Some(known.saturating_add(frequency_error_ns(conversion, ns)))
        };
        Some(at(start_ns)?.max(at(end_ns)?))
    }
}

/// What the stated frequency may be off comes to, where a single pair leaves nothing better.
fn frequency_error_ns(conversion: &Conversion, ns: i64) -> u64 {
    match conversion.pairs() {
        [only] => (only.mono_ns.abs_diff(ns) as f64 * FREQUENCY_TOLERANCE).ceil() as u64,
        _ => 0,
    }
}

/// As [`Conversion::uncertainty_ns`]; with a single pair the frequency is taken as stated, and may be off.
fn uncertainty_ns(conversion: &Conversion, from_ns: i64, to_ns: i64) -> Option<u64> {
    let known = conversion.uncertainty_ns(from_ns, to_ns)?;
    let error_ns = |ns| frequency_error_ns(conversion, ns);
    Some(known.saturating_add(error_ns(from_ns).max(error_ns(to_ns))))
}

fn drift_ppm(pairs: &[Pair], frequency_hz: u64) -> Option<f64> {
    let (first, last) = (pairs.first()?, pairs.last()?);
    let (ticks, ns) = (
        last.ticks - first.ticks,
        last.mono_ns.abs_diff(first.mono_ns),
    );
    if frequency_hz == 0 || ns == 0 {
        return None;
    }
    let measured_hz = ticks as f64 * 1e9 / ns as f64;
    let ppm = (measured_hz / frequency_hz as f64 - 1.0) * 1e6;
    Some((ppm * 1e3).round() / 1e3)
}
