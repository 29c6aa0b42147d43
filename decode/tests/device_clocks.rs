//! Device clocks of known skew, drift and jitter come out within the uncertainty that is stated.

#![allow(clippy::unwrap_used, reason = "in a test a failure is a panic")]

mod common;

use std::collections::HashMap;

use common::*;
use ringscope_decode::device_clock::{Alignment, DeviceClock};
use ringscope_decode::event::EventKind;
use ringscope_decode::{Options, Timeline};
use ringscope_ringbuf::layout::*;
use ringscope_ringbuf::reader::pack_duration;

/// Length of a host tick.
const TICK_NS: i64 = 10;
const SECOND_NS: i64 = 1_000_000_000;

/// Numbers that look random and are the same in every run (splitmix64).
struct Jitter(u64);

impl Jitter {
    fn below(&mut self, limit: i64) -> i64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % limit as u64) as i64
    }
}

/// A device clock as it really is.
#[derive(Clone, Copy)]
struct Device {
    domain: u32,
    frequency_hz: u64,
    /// Its ticks when the host's clock is at zero.
    skew_ticks: u64,
    /// How much faster than stated it runs, in millionths.
    drift_ppm: i64,
}

impl Device {
    /// Its ticks at a moment of the host, exact but for the tick.
    fn ticks(&self, host_ns: i64) -> u64 {
        let rate = self.frequency_hz as i128 * i128::from(1_000_000 + self.drift_ppm);
        let ticks = host_ns as i128 * rate / 1_000_000_000_000_000;
        self.skew_ticks + ticks as u64
    }

    fn tick_ns(&self) -> i64 {
        (SECOND_NS / self.frequency_hz as i64).max(1)
    }
}

const DEVICES: [Device; 3] = [
    Device {
        domain: 1,
        frequency_hz: 50_000_000,
        skew_ticks: 77_000_000_000,
        drift_ppm: 83,
    },
    Device {
        domain: 2,
        frequency_hz: 100_000_000,
        skew_ticks: 5,
        drift_ppm: -41,
    },
    Device {
        domain: 3,
        frequency_hz: 1_000_000_000,
        skew_ticks: 9_999_999_999_999,
        drift_ppm: 12,
    },
];

/// A moment of the host in its ticks.
fn host_ticks(ns: i64) -> u64 {
    (ns / TICK_NS) as u64
}

fn mono_ns(host_ns: i64) -> i64 {
    MONO_ZERO_NS as i64 + host_ns
}

fn describe(process: &TestProcess, device: &Device) {
    process.stream(
        device.domain as u16,
        (device.domain, 0),
        device.domain,
        "compute",
    );
    process.clock_domain(device.domain, device.frequency_hz);
}

/// What ties the host and the devices together, beside the launches.
#[derive(Clone, Copy, PartialEq)]
enum Ties {
    Anchors,
    OneAnchor,
    Waits,
    Nothing,
}

/// What each piece of work truly is, by correlation id: its device, start and end, in ns of the host's clock.
type Truth = HashMap<u64, (Device, i64, i64)>;

/// A run over `len_ns` in which each device does a piece of work now and then.
fn synthetic_run(ties: Ties, len_ns: i64) -> (TestRun, Truth) {
    let run = TestRun::new();
    let process = run.process(100, 1).named("worker");
    process.site(1, "launch", "kernel", &[]);
    process.site(2, "matmul", "kernel", &[]);
    process.owner(0, 101, 0, 0, "launcher");
    let ring = process.ring(0, 14, 101);
    let mut jitter = Jitter(7);
    let mut truth = HashMap::new();
    for device in DEVICES {
        describe(&process, &device);
        let mut anchor_ns = 1_000_000;
        let has_anchors = matches!(ties, Ties::Anchors | Ties::OneAnchor);
        while has_anchors && anchor_ns < len_ns {
            let (before_ns, after_ns) = (jitter.below(9_000) + 10, jitter.below(9_000) + 10);
            let before = host_ticks(anchor_ns - before_ns);
            let after = host_ticks(anchor_ns + after_ns) + 1;
            process.anchor(device.domain, [before, device.ticks(anchor_ns), after]);
            anchor_ns += if ties == Ties::OneAnchor {
                len_ns
            } else {
                len_ns / 9
            };
        }
        for at in 0..800 {
            let correlation = u64::from(device.domain) << 32 | (at + 1);
            let start_ns = len_ns / 800 * at as i64 + 500_000 + jitter.below(100_000);
            let end_ns = start_ns + 20_000 + jitter.below(50_000);
            let launched_ns = start_ns - 3_000 - jitter.below(150_000);
            let launch = [host_ticks(launched_ns), pack_duration(100, 0), correlation];
            ring.put(Kind::Launch, 1, launch, &[]);
            let (start, end) = (device.ticks(start_ns), device.ticks(end_ns));
            let work = [
                start,
                pack_duration(end - start, device.domain as u16),
                correlation,
            ];
            ring.put(Kind::DeviceSpan, 2, work, &[]);
            if ties == Ties::Waits {
                let known_ns = end_ns + 2_000 + jitter.below(80_000);
                let wait = [
                    host_ticks(end_ns),
                    pack_duration(host_ticks(known_ns - end_ns) + 1, 0),
                    correlation,
                ];
                ring.put(Kind::Wait, 1, wait, &[]);
            }
            truth.insert(correlation, (device, start_ns, end_ns));
        }
    }
    process.finish();
    (run, truth)
}

fn clock_of(timeline: &Timeline, device: Device) -> &DeviceClock {
    let mut clocks = timeline.device_clocks.iter();
    clocks.find(|clock| clock.domain == device.domain).unwrap()
}

fn timeline_with_slack(run: &TestRun) -> Timeline {
    run.timeline_with(&Options {
        device_slack: true,
        ..Options::default()
    })
}

/// Asserts that all work stands where it was, within what is stated of each piece, and that no piece is said to be worse than
/// its clock; the largest error of each domain.
fn check(timeline: &Timeline, truth: &Truth) -> HashMap<u32, i64> {
    let mut errors_ns: HashMap<u32, i64> = HashMap::new();
    let mut slacks_ns: HashMap<u32, Vec<i64>> = HashMap::new();
    let visited = timeline.visit(|event| {
        if event.kind != EventKind::DeviceSpan {
            return;
        }
        let (device, start_ns, end_ns) = truth[&event.word];
        let slack_ns = timeline.slack_ns(event).unwrap() as i64;
        let stated_ns = clock_of(timeline, device).uncertainty_ns.unwrap() as i64;
        assert!(
            slack_ns <= stated_ns,
            "{slack_ns} ns, stated {stated_ns} ns"
        );
        slacks_ns.entry(device.domain).or_default().push(slack_ns);
        for error_ns in [
            event.start_ns - mono_ns(start_ns),
            event.end_ns - mono_ns(end_ns),
        ] {
            assert!(
                error_ns.abs() <= slack_ns + device.tick_ns(),
                "domain {}: off by {error_ns} ns, slack {slack_ns} ns",
                device.domain
            );
            let largest = errors_ns.entry(device.domain).or_default();
            *largest = error_ns.abs().max(*largest);
        }
    });
    visited.unwrap();
    assert_eq!(errors_ns.len(), DEVICES.len());
    for device in DEVICES {
        let slacks_ns = &slacks_ns[&device.domain];
        assert_eq!(slacks_ns.len(), truth.len() / DEVICES.len());
        // It is the event's own where the clock has more than one window or pair.
        let differ = slacks_ns.iter().any(|slack| *slack != slacks_ns[0]);
        assert!(differ || clock_of(timeline, device).pairs == 1);
    }
    errors_ns
}

#[test]
fn anchors_are_interpolated_and_drift_is_found() {
    let (run, truth) = synthetic_run(Ties::Anchors, 9 * SECOND_NS);
    let timeline = timeline_with_slack(&run);
    check(&timeline, &truth);
    for device in DEVICES {
        let clock = clock_of(&timeline, device);
        assert_eq!(clock.alignment, Alignment::Anchors);
        // Half of the widest bracket, and a little for what lies before the first and behind the last anchor.
        assert!(clock.uncertainty_ns.unwrap() < 12_000, "{clock:?}");
        let error_ppm = clock.drift_ppm.unwrap() - device.drift_ppm as f64;
        assert!(error_ppm.abs() < 3.0, "{clock:?}");
    }
}

#[test]
fn a_short_run_goes_by_its_first_and_last_anchor() {
    let (run, truth) = synthetic_run(Ties::Anchors, 9_000_000);
    let timeline = timeline_with_slack(&run);
    check(&timeline, &truth);
    for device in DEVICES {
        assert_eq!(clock_of(&timeline, device).pairs, 2);
    }
}

#[test]
fn with_one_anchor_the_frequency_may_be_off() {
    let (run, truth) = synthetic_run(Ties::OneAnchor, 2 * SECOND_NS);
    let timeline = timeline_with_slack(&run);
    // What 83 millionths come to in two seconds.
    let errors_ns = check(&timeline, &truth);
    assert!(errors_ns[&1] > 150_000, "{errors_ns:?}");
    for device in DEVICES {
        let clock = clock_of(&timeline, device);
        assert_eq!((clock.pairs, clock.drift_ppm), (1, None));
        let stated_ns = clock.uncertainty_ns.unwrap();
        assert!((200_000..230_000).contains(&stated_ns), "{clock:?}");
    }
}

#[test]
fn without_anchors_work_lies_between_launch_and_wait() {
    for len_ns in [20 * SECOND_NS, 150_000_000, 80_000_000] {
        let (run, truth) = synthetic_run(Ties::Waits, len_ns);
        let timeline = timeline_with_slack(&run);
        let errors_ns = check(&timeline, &truth);
        for device in DEVICES {
            let clock = clock_of(&timeline, device);
            assert_eq!(clock.alignment, Alignment::Containment);
            // The fastest launches and waits took 3 and 2 us; of the drift over the run nothing may be left.
            assert!(
                clock.uncertainty_ns.unwrap() < 30_000,
                "{len_ns}: {clock:?}"
            );
            assert!(
                errors_ns[&device.domain] < 15_000,
                "{len_ns}: {errors_ns:?}"
            );
        }
    }
}

#[test]
fn launches_alone_place_work_and_state_no_bound() {
    let (run, truth) = synthetic_run(Ties::Nothing, SECOND_NS);
    let timeline = timeline_with_slack(&run);
    for device in DEVICES {
        let clock = clock_of(&timeline, device);
        assert_eq!(clock.alignment, Alignment::LaunchesOnly);
        assert_eq!(clock.uncertainty_ns, None);
    }
    let mut seen = 0;
    let visited = timeline.visit(|event| {
        if event.kind == EventKind::DeviceSpan {
            let error_ns = event.start_ns - mono_ns(truth[&event.word].1);
            // Drift is not known either: 83 millionths of a second are 83 us.
            assert!(error_ns.abs() < 100_000, "{error_ns}");
            assert_eq!(timeline.slack_ns(event), None);
            seen += 1;
        }
    });
    visited.unwrap();
    assert_eq!(seen, truth.len());
}

#[test]
fn tasks_lie_before_the_arrival_of_their_batch() {
    let run = TestRun::new();
    let process = run.process(100, 1).named("worker");
    process.site(1, "launch", "kernel", &[]);
    process.site(2, "tasks", "kernel", &[]);
    process.owner(0, 101, 0, 0, "collector");
    let device = DEVICES[0];
    describe(&process, &device);
    let ring = process.ring(0, 12, 101);
    let lane = device.domain as u16;
    for at in 0..20 {
        let start_ns = SECOND_NS + at * 5_000_000;
        let correlation = at as u64 + 1;
        let launch = [
            host_ticks(start_ns - 4_000),
            pack_duration(10, 0),
            correlation,
        ];
        ring.put(Kind::Launch, 1, launch, &[]);
        let arrived = host_ticks(start_ns + 50_000);
        ring.put(
            Kind::DeviceBatch,
            2,
            [arrived, pack_duration(3, lane), correlation],
            &[],
        );
        for task in 0..3 {
            let begun_ns = start_ns + task * 15_000;
            let start = device.ticks(begun_ns);
            let len = device.ticks(begun_ns + 14_000) - start;
            ring.put(Kind::DeviceTask, 0, [start, len, correlation], &[]);
        }
    }
    process.finish();
    let timeline = run.timeline();
    let clock = clock_of(&timeline, device);
    assert_eq!(clock.alignment, Alignment::Containment);
    let stated_ns = clock.uncertainty_ns.unwrap() as i64;
    // 4 us before the first task's start, 6 us behind the last one's end.
    assert!((5_000..30_000).contains(&stated_ns), "{clock:?}");
    let mut starts = Vec::new();
    let visited = timeline.visit(|event| {
        if event.kind == EventKind::DeviceTask {
            starts.push(event.start_ns);
        }
    });
    visited.unwrap();
    let expected = (0..20).flat_map(|at| (0..3).map(move |task| (at, task)));
    for ((at, task), start_ns) in expected.zip(starts) {
        let truth_ns = mono_ns(SECOND_NS + at * 5_000_000 + task * 15_000);
        assert!((start_ns - truth_ns).abs() <= stated_ns + 20, "{at} {task}");
    }
}
