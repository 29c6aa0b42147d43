//! Devices: their streams' numbers, and how their clocks are tied to the host's.
//!
//! All times of OpenCL's profiling are ns of the device's clock. Where it can be asked (`clGetDeviceAndHostTimer`) it is, between two
//! reads of the host's. Elsewhere commands serve: `CL_PROFILING_COMMAND_QUEUED` is what the device's clock said while the host was
//! in the call that enqueued, so each command brackets it; of all commands of a period the one with the shortest call is taken, unless
//! even that was long: a call may translate a kernel first.

use std::sync::Mutex;

use ringscope::ClockDomain;

use crate::cl::DeviceId;
use crate::registry::open;
use crate::target;

/// A bracket this many times as wide as the narrowest so far makes no anchor.
const MAX_TIMES_NARROWEST: u64 = 4;
/// Ticks a second of all clocks.
const FREQUENCY_HZ: u64 = 1_000_000_000;
/// Between two anchors: the longer, the less do their brackets say of the clock's rate that is not so.
const PERIOD_NS: u64 = 1_000_000_000;
/// Between two anchors at least: the last one comes when the process ends.
const MIN_PERIOD_NS: u64 = PERIOD_NS / 4;
/// Commands before the first anchor, unless the process ends: the first calls are slow.
const COMMANDS_BEFORE_FIRST: u32 = 256;
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
    /// Commands before there was one.
    commands_before: u32,
    /// The best bracket since.
    best: Option<Bracket>,
    /// Width of the narrowest bracket of all.
    narrowest_ticks: Option<u64>,
}

impl Anchors {
    fn is_due(&self, now_ns: u64) -> bool {
        match self.newest_ns {
            Some(newest_ns) => now_ns.saturating_sub(newest_ns) >= PERIOD_NS,
            None => self.commands_before >= COMMANDS_BEFORE_FIRST,
        }
    }

    /// Takes a bracket, if it is the best of its period.
    fn offer(&mut self, bracket: Bracket) {
        let width = bracket.width();
        if self.best.is_none_or(|best| width < best.width()) {
            self.best = Some(bracket);
        }
        let narrowest = self.narrowest_ticks.get_or_insert(width);
        *narrowest = width.min(*narrowest);
    }

    /// True when it is too early for another anchor.
    fn is_early(&self, now_ns: u64) -> bool {
        let newest_ns = self.newest_ns;
        newest_ns.is_some_and(|newest_ns| now_ns.saturating_sub(newest_ns) < MIN_PERIOD_NS)
    }

    /// The anchor of this period, if there is a good one.
    fn take(&mut self) -> Option<Bracket> {
        let limit = self.narrowest_ticks?.saturating_mul(MAX_TIMES_NARROWEST);
        self.best.take_if(|best| best.width() <= limit)
    }
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
            let mut anchors = open(self.anchors.lock());
            if anchors.is_early(end_ns) {
                return;
            }
            anchors.commands_before += u32::from(anchors.newest_ns.is_none());
            (anchors.is_due(end_ns), anchors.best)
        };
        let width = after_ticks.saturating_sub(before_ticks);
        let found = match self.has_clock {
            true if is_due || best.is_none() => self.read_clock(),
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
        if let Some(found) = found {
            anchors.offer(found);
        }
        if anchors.is_due(end_ns) {
            anchors.newest_ns = Some(end_ns);
            let best = anchors.take();
            drop(anchors);
            self.publish(best);
        }
    }

    /// The last anchor of the process.
    pub(crate) fn anchor_at_end(&self) {
        let best = open(self.anchors.lock()).take();
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
    use super::{Anchors, Bracket, COMMANDS_BEFORE_FIRST, MIN_PERIOD_NS, PERIOD_NS, has_timer};

    fn bracket(width: u64) -> Bracket {
        Bracket {
            before_ticks: 1_000,
            device_ns: 5,
            after_ticks: 1_000 + width,
        }
    }

    #[test]
    fn the_narrowest_bracket_of_a_period_is_its_anchor_unless_it_is_wide() {
        let mut anchors = Anchors::default();
        assert!(anchors.take().is_none());
        for width in [90, 10, 40] {
            anchors.offer(bracket(width));
        }
        assert_eq!(anchors.take().map(|best| best.width()), Some(10));
        anchors.offer(bracket(41));
        assert!(anchors.take().is_none());
        anchors.offer(bracket(40));
        assert_eq!(anchors.take().map(|best| best.width()), Some(40));
    }

    #[test]
    fn an_anchor_is_due_after_some_commands_and_then_a_period_after_the_newest() {
        let mut anchors = Anchors {
            commands_before: COMMANDS_BEFORE_FIRST - 1,
            ..Anchors::default()
        };
        assert!(!anchors.is_due(u64::MAX));
        anchors.commands_before += 1;
        assert!(anchors.is_due(0));
        assert!(!anchors.is_early(0));
        anchors.newest_ns = Some(7);
        assert!(!anchors.is_due(6 + PERIOD_NS) && anchors.is_due(7 + PERIOD_NS));
        assert!(anchors.is_early(6 + MIN_PERIOD_NS) && !anchors.is_early(7 + MIN_PERIOD_NS));
    }

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
