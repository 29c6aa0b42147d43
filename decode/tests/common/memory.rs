//! What the tests of the memory bound have in common: they look at the memory of their process, so each is alone in one.

use std::fs;
use std::io::{self, Write, sink};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use ringscope_decode::format::Format;
use ringscope_decode::gzip::GzipWriter;
use ringscope_decode::launches::Report;
use ringscope_decode::{
    Limits, Options, Order, Output, Run, Timeline, chrome, launches, perfetto, stats, trace,
};

use super::TestRun;

pub const THREADS: usize = 2;
/// Of runs of devices.
pub const RANKS: u64 = 8;
pub const BOUND_KIB: u64 = (64 + 16 * THREADS as u64) << 10;

/// How often memory is looked at.
pub const LOOK_EVERY: Duration = Duration::from_millis(1);

struct SetAtEnd<'a>(&'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Largest private memory of this process while `work` goes on, KiB.
pub fn peak_kib(work: impl FnOnce()) -> u64 {
    let (is_over, peak) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Relaxed) {
                let status = fs::read_to_string("/proc/self/status").unwrap();
                let line = status.lines().find(|line| line.starts_with("RssAnon:"));
                let kib = line.unwrap().split_whitespace().nth(1).unwrap();
                peak.fetch_max(kib.parse().unwrap(), Relaxed);
                thread::sleep(LOOK_EVERY);
            }
        });
        // Also when the work panics: the scope waits for its thread.
        let _end = SetAtEnd(&is_over);
        work();
    });
    peak.into_inner()
}

pub fn timeline(run: &TestRun) -> Timeline {
    let runs = [Run::open(run.path(), &Limits::default()).unwrap()];
    let options = Options {
        threads: Some(THREADS),
        ..Options::default()
    };
    Timeline::build(&runs, &options).unwrap()
}

/// The largest private memory, KiB.
pub fn check(what: &str, work: impl FnOnce()) -> u64 {
    let peak = peak_kib(work);
    assert!(peak > 0 && peak < BOUND_KIB, "{what}: {peak} KiB");
    peak
}

/// Counts the ends of arrows and the device tasks in Chrome's JSON, which comes line by line in pieces of any length.
#[derive(Default)]
pub struct TraceCount {
    line: Vec<u8>,
    starts: u64,
    ends: u64,
    tasks: u64,
    tasks_ns: u64,
}

impl TraceCount {
    fn take_line(&mut self) {
        let start = b"{\"name\":\"ac2g\",\"cat\":\"ac2g\",\"ph\":\"";
        match self.line.strip_prefix(start).map(|rest| rest[0]) {
            Some(b's') => self.starts += 1,
            Some(b'f') => self.ends += 1,
            _ => {}
        }
        let line = std::str::from_utf8(&self.line).unwrap();
        if line.contains("\"task_token\":") {
            let (_, rest) = line.split_once("\"dur\":").unwrap();
            let (dur_us, _) = rest.split_once(',').unwrap();
            let (us, ns) = dur_us.split_once('.').unwrap();
            self.tasks += 1;
            self.tasks_ns += us.parse::<u64>().unwrap() * 1_000 + ns.parse::<u64>().unwrap();
        }
    }
}

impl Write for TraceCount {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                self.take_line();
                self.line.clear();
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub fn write(
    timeline: &Timeline,
    format: &dyn Format,
    order: Order,
    out: &mut (dyn Write + Send),
) -> u64 {
    trace::write(timeline, format, order, Output::Stream(out), &|_| {}).unwrap()
}

/// What a run of launches holds, by how it was made.
pub struct Made {
    pub records: u64,
    pub arrows: u64,
    pub tasks: u64,
    pub tasks_ns: u64,
    /// Those of the kernel with the most device time.
    pub executions: u64,
    pub steps: u64,
}

/// Decodes a run of launches into Chrome's JSON; the largest private memory, KiB.
pub fn check_trace(name: &str, run: &TestRun, order: Order, made: &Made) -> u64 {
    check(&format!("{name}, {order:?}"), || {
        let timeline = timeline(run);
        let mut count = TraceCount::default();
        let format = chrome::Chrome::new(&timeline);
        assert_eq!(write(&timeline, &format, order, &mut count), made.records);
        assert_eq!((count.starts, count.ends), (made.arrows, made.arrows));
        assert_eq!((count.tasks, count.tasks_ns), (made.tasks, made.tasks_ns));
    })
}

/// Decodes a run of launches in every way there is; the largest private memory, KiB.
pub fn check_launches(name: &str, run: &TestRun, made: &Made) -> u64 {
    let mut peaks = [Order::Time, Order::Lane]
        .map(|order| check_trace(name, run, order, made))
        .to_vec();
    peaks.push(check(&format!("{name}, perfetto"), || {
        let timeline = timeline(run);
        let format = perfetto::Perfetto::new(&timeline);
        let written = write(&timeline, &format, Order::Time, &mut sink());
        assert_eq!(written, made.records);
    }));
    peaks.push(check(&format!("{name}, .gz"), || {
        let timeline = timeline(run);
        let format = chrome::Chrome::new(&timeline);
        let mut out = GzipWriter::new(sink(), 1, THREADS).unwrap();
        let written = write(&timeline, &format, Order::Time, &mut out);
        assert_eq!(written, made.records);
        out.finish().unwrap();
    }));
    peaks.push(check(&format!("{name}, stats"), || {
        let rows = stats::table(&timeline(run), &stats::Options::default()).unwrap();
        let tasks = rows.iter().find(|row| row.key.ends_with(" (device task)"));
        let found = tasks.map_or((0, 0), |row| (row.count, row.total_ns));
        assert_eq!(found, (made.tasks, made.tasks_ns));
    }));
    peaks.push(check(&format!("{name}, stats --launches"), || {
        check_report(&launches::report(&timeline(run), 0).unwrap(), made);
    }));
    peaks.into_iter().max().unwrap()
}

pub fn check_report(report: &Report, made: &Made) {
    assert_eq!(report.launches_without_execution.count, 0);
    assert_eq!(report.executions_without_launch.count, 0);
    let kernel = &report.kernels[0];
    assert_eq!(kernel.executions, made.executions);
    assert_eq!(kernel.launches, made.arrows);
    if made.tasks > 0 {
        assert_eq!(kernel.device.unwrap().total_ns, made.tasks_ns);
        // What steers the graphs has a device span each.
        assert_eq!(report.kernels[1].executions, made.arrows);
    }
    assert_eq!(report.steps.len() as u64, made.steps);
    for step in &report.steps {
        let ranks: Vec<&str> = step.ranks.iter().map(|rank| rank.rank.as_str()).collect();
        let expected: Vec<String> = (0..RANKS).map(|rank| format!("rank {rank}")).collect();
        assert_eq!(ranks, expected);
        let of_graph_ns = made.tasks_ns / made.steps / RANKS;
        assert!(step.ranks.iter().all(|rank| rank.device_ns > of_graph_ns));
    }
}
