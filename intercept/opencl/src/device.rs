//! Devices: their streams' numbers, and how their clocks are tied to the host's.
//!
//! All times of OpenCL's profiling are ns of the device's clock. Where it can be asked (`clGetDeviceAndHostTimer`) it is, between two
//! reads of the host's. Elsewhere commands serve: `CL_PROFILING_COMMAND_QUEUED` is what the device's clock said while the host was
//! in the call that enqueued, so each command brackets it; of all commands of a period the one with the shortest call is taken.

use std::sync::Mutex;

use ringscope::ClockDomain;

use crate::cl::DeviceId;
use crate::registry::open;
use crate::target;

/// Ticks a second of all clocks.
const FREQUENCY_HZ: u64 = 1_000_000_000;
/// Between two anchors.
const PERIOD_NS: u64 = 100_000_000;
/// Reads of the device's clock for one anchor: the one in the shortest time is taken.
const READS: u32 = 8;

/// A moment at which the device's clock was somewhere between two reads of the host's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bracket {
    pub(crate) before_ticks: u64,
    pub(crate) device_ns: u64,
    pub(crate) after_ticks: u64,
}

impl Bracket {
    fn width(&self) -> u64 {
        self.after_ticks.saturating_sub(self.before_ticks)
    }
}

/// A device; lives for ever.
pub(crate) struct Device {
    pub(crate) id: DeviceId,
    /// By first use.
    pub(crate) number: u32,
    pub(crate) clock: ClockDomain,
    /// It can be asked what its clock says.
    has_clock: bool,
    anchors: Mutex<Anchors>,
    streams: Mutex<Streams>,
}

#[derive(Default)]
struct Anchors {
    /// Device time of the newest anchor.
    newest_ns: Option<u64>,
    /// The best bracket since.
    best: Option<Bracket>,
}

/// Numbers of streams: those of released queues are given to new ones, so that there are as few as queues at a time.
#[derive(Default)]
struct Streams {
    next: u32,
    free: Vec<u32>,
}

impl Device {
    /// What has to be asked of a device once: its name, and whether its clock can be read.
    pub(crate) fn ask(id: DeviceId) -> (String, bool) {
        let name = target::device_name(id).unwrap_or_default();
        let version = target::device_version(id).unwrap_or_default();
        // An older implementation's table of functions may end before this one.
        let has_clock = has_timer(&version) && target::device_clock_ns(id).is_some();
        (String::from_utf8_lossy(&name).into_owned(), has_clock)
    }

    pub(crate) fn new(id: DeviceId, index: usize, name: &str, has_clock: bool) -> Device {
        let number = u32::try_from(index).unwrap_or(u32::MAX);
        Device {
            id,
            number,
            clock: ringscope::clock_domain(number.saturating_add(1), FREQUENCY_HZ, name),
            has_clock,
            anchors: Mutex::default(),
            streams: Mutex::default(),
        }
    }

    /// A number for a new queue.
    pub(crate) fn take_stream(&self) -> u32 {
        let mut streams = open(self.streams.lock());
        streams.free.pop().unwrap_or_else(|| {
            streams.next += 1;
            streams.next - 1
        })
    }

    /// Takes the number of a released queue back.
    pub(crate) fn give_stream(&self, number: u32) {
        open(self.streams.lock()).free.push(number);
    }

    /// Ties the device's clock to the host's now and then. A command that ended at `end_ns` was enqueued between the two host times;
    /// `queued_ns` asks when that was by the device's clock.
    pub(crate) fn anchor(
        &self,
        end_ns: u64,
        (before_ticks, after_ticks): (u64, u64),
        queued_ns: impl FnOnce() -> Option<u64>,
    ) {
        let (is_due, best) = {
            let anchors = open(self.anchors.lock());
            let is_due = anchors
                .newest_ns
                .is_none_or(|newest| end_ns.saturating_sub(newest) >= PERIOD_NS);
            (is_due, anchors.best)
        };
        let width = after_ticks.saturating_sub(before_ticks);
        let found = match self.has_clock {
            true if is_due => self.read_clock(),
            true => None,
            false if best.is_some_and(|best| best.width() <= width) => None,
            false => queued_ns().map(|device_ns| Bracket {
                before_ticks,
                device_ns,
                after_ticks,
            }),
        };
        if found.is_none() && !is_due {
            return;
        }
        let mut anchors = open(self.anchors.lock());
        if let Some(found) = found
            && anchors.best.is_none_or(|best| found.width() < best.width())
        {
            anchors.best = Some(found);
        }
        if is_due {
            anchors.newest_ns = Some(end_ns);
            let best = anchors.best.take();
            drop(anchors);
            self.publish(best);
        }
    }

    /// The last anchor of the process.
    pub(crate) fn anchor_at_end(&self) {
        let best = open(self.anchors.lock()).best.take();
        self.publish(best);
    }

    fn publish(&self, bracket: Option<Bracket>) {
        if let Some(bracket) = bracket {
            self.clock
                .anchor(bracket.before_ticks, bracket.device_ns, bracket.after_ticks);
        }
    }

    fn read_clock(&self) -> Option<Bracket> {
        let read = |_| {
            let before_ticks = ringscope::ticks();
            let device_ns = target::device_clock_ns(self.id)?;
            let after_ticks = ringscope::ticks();
            Some(Bracket {
                before_ticks,
                device_ns,
                after_ticks,
            })
        };
        (0..READS).filter_map(read).min_by_key(Bracket::width)
    }
}

/// True for "OpenCL 2.1" and later: these have `clGetDeviceAndHostTimer`.
fn has_timer(version: &[u8]) -> bool {
    let number = version.strip_prefix(b"OpenCL ").unwrap_or_default();
    let text = String::from_utf8_lossy(number);
    let mut parts = text.split([' ', '.']).map(str::parse::<u32>);
    match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= (2, 1),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::has_timer;

    #[test]
    fn only_devices_of_opencl_2_1_and_later_are_asked_for_their_clock() {
        for (version, expected) in [
            ("OpenCL 1.2 CUDA", false),
            ("OpenCL 2.0 ", false),
            ("OpenCL 2.1 ", true),
            ("OpenCL 3.0 PoCL HSTR: pthread", true),
            ("OpenCL 10.0 x", true),
            ("OpenCL", false),
            ("", false),
            ("OpenGL 4.6", false),
        ] {
            assert_eq!(has_timer(version.as_bytes()), expected, "{version}");
        }
    }
}
