//! Writers that are killed at random moments, each judged record by record.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::expected::is_numbered;
use crate::judge::{Terms, Verdict, judge};
use crate::programs::{Medium, command, new_dir, runs_in};
use crate::traces::trace_of;

/// One of so many runs is decoded too.
const DECODED_SHARE: u64 = 50;

/// A writer and the moment of its death.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Threads that record all the time.
    pub threads: u64,
    /// Threads that make threads of a short life.
    pub short: u64,
    /// Full mode, without a supervisor: the threads save their rings themselves.
    pub full: bool,
    /// What holds the files.
    pub medium: Medium,
    /// Signals a second to each thread, whose handlers record.
    pub signal_hz: u64,
    /// The kill may come while files and rings are being made.
    pub early: bool,
}

/// Random numbers (xorshift) from a seed that failures name.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// Numbers that follow from `seed`.
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// The next number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }
}

impl Case {
    /// The case of kill number `kill`: every combination comes up, small ones more often.
    pub fn of(kill: u64, random: &mut Random) -> Case {
        let threads = [1, 1, 1, 4, 1, 4, 1, 1, 4, 64][(kill % 10) as usize];
        let with_signals = random.below(2) == 1;
        Case {
            threads,
            short: u64::from(random.below(4) == 0),
            full: random.below(2) == 1,
            medium: if random.below(2) == 1 {
                Medium::Disk
            } else {
                Medium::Memory
            },
            // As much as two processors take, whatever the number of threads.
            signal_hz: if with_signals { 10_000 / threads } else { 0 },
            early: random.below(8) == 0,
        }
    }

    fn terms(&self) -> Terms {
        Terms {
            handlers: self.signal_hz > 0,
            full: self.full,
            killed: true,
        }
    }
}

/// Starts `program`, has it killed at a random moment, and judges what it left.
///
/// Most are killed by a timer of the kernel, which comes between any two instructions however busy the machine is; every
/// eighth is killed from here.
pub fn kill_one(program: &Path, case: Case, random: &mut Random) -> Verdict {
    let dir = new_dir(case.medium);
    let mut command = writer_for(program, case);
    command.env("RINGSCOPE_DIR", dir.path());
    let longest_us = if case.early {
        4_000
    } else {
        100 * case.threads
    };
    let after_us = random.below(longest_us);
    if random.below(8) == 0 && !case.early {
        kill_from_here(command, after_us);
    } else {
        command.arg(format!("kill-after-us={after_us}"));
        command.arg(format!("kill-early={}", u8::from(case.early)));
        let output = command.output().expect("the writer starts");
        let signal = output.status.signal();
        assert_eq!(signal, Some(libc::SIGKILL), "{output:?}");
    }
    let mut verdict = Verdict::default();
    for run in runs_in(dir.path()) {
        verdict = judge(&run, case.terms());
        if verdict.rings > 0 && verdict.uncounted == 0 && random.below(DECODED_SHARE) == 0 {
            check_decoded(&run, &mut verdict);
        }
    }
    verdict
}

/// The decoder must find the same records, and count the same losses, as the judge did by the script. How it shares them
/// out between overwritten and torn is its own matter: records in flight side by side look like one.
fn check_decoded(run: &Path, verdict: &mut Verdict) {
    let trace = trace_of(run);
    let is_record = |event: &&Value| {
        let phase = event["ph"].as_str();
        let is_open = event["args"]["ringscope.open"] == true;
        !is_open && phase != Some("M") && event["name"].as_str().is_some_and(is_numbered)
    };
    let found = trace.events().iter().filter(is_record).count() as u64;
    let losses = &trace.timeline.losses;
    let (lost, wanted) = (
        losses.overwritten + losses.torn,
        verdict.overwritten + verdict.in_flight,
    );
    if (found, lost) != (verdict.records, wanted) {
        let records = verdict.records;
        verdict.failures.push(format!(
            "decoded: expected {records} records and {wanted} lost, found {found} and {losses:?}"
        ));
    }
}

fn writer_for(program: &Path, case: Case) -> Command {
    // In flight mode the ring has gone round a few times by then.
    let begun_after = if case.full { 64 } else { 500 };
    let mut command = command(program);
    command
        .arg("numbered")
        .arg(format!("threads={}", case.threads))
        .arg(format!("short={}", case.short))
        .arg(format!("signal-hz={}", case.signal_hz))
        .arg(format!("begun-after={begun_after}"))
        .env("RINGSCOPE_RING_SIZE", "16KiB")
        .env("RINGSCOPE_MODE", if case.full { "full" } else { "flight" });
    command
}

fn kill_from_here(mut command: Command, after_us: u64) {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .expect("the writer starts");
    let mut line = String::new();
    let output = child.stdout.take().expect("the output is a pipe");
    BufReader::new(output)
        .read_line(&mut line)
        .expect("the writer says that it has begun");
    assert_eq!(line, "begun\n");
    std::thread::sleep(Duration::from_micros(after_us));
    child.kill().expect("the writer is ours to kill");
    child.wait().expect("the writer is ours to wait for");
}

/// What a campaign came to.
#[derive(Debug, Default)]
pub struct Tally {
    /// Writers that were killed.
    pub kills: u64,
    /// Records that were compared with the script.
    pub records: u64,
    /// Records that were in flight at the deaths.
    pub in_flight: u64,
    /// Records that were overwritten, exactly counted.
    pub overwritten: u64,
    /// Open spans that were compared with the script.
    pub open_spans: u64,
    /// What was wrong, with the case and its seed.
    pub failures: Vec<String>,
}

/// Kills `kills` writers, as many at a time as there are processors; stops at the first failure where
/// `until_failure` says so.
pub fn run(program: &Path, kills: u64, seed: u64, until_failure: bool) -> Tally {
    let next = AtomicU64::new(0);
    let tally = Mutex::new(Tally::default());
    let work = || {
        loop {
            let kill = next.fetch_add(1, Ordering::Relaxed);
            let failed = !tally.lock().expect("no judge panicked").failures.is_empty();
            if kill >= kills || until_failure && failed {
                return;
            }
            let mut random = Random::new(seed.wrapping_add(kill));
            let case = Case::of(kill, &mut random);
            let verdict = kill_one(program, case, &mut random);
            let mut tally = tally.lock().expect("no judge panicked");
            tally.add(verdict, &format!("seed {seed} kill {kill} {case:?}"));
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, |n| n.get());
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(work);
        }
    });
    tally.into_inner().expect("no judge panicked")
}

impl Tally {
    fn add(&mut self, verdict: Verdict, case: &str) {
        self.kills += 1;
        self.records += verdict.records;
        self.in_flight += verdict.in_flight;
        self.overwritten += verdict.overwritten;
        self.open_spans += verdict.open_spans;
        let named = verdict
            .failures
            .iter()
            .map(|what| format!("{case}: {what}"));
        self.failures.extend(named);
    }
}
