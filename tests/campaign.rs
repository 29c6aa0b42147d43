//! Writers that are killed at random moments, and their supervisors too; each judged record by record.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::expected::is_numbered;
use crate::judge::{Terms, Verdict, judge};
use crate::programs::{Medium, command, new_dir, runs_in};
use crate::traces::trace_of;

/// One of so many runs is decoded too.
const DECODED_SHARE: u64 = 10;

/// Who watches the writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supervision {
    /// Nobody: in full mode its threads save their rings themselves.
    None,
    /// `ringscope record`, which outlives it and drains its rings in full mode.
    Alive,
    /// `ringscope record`, which is killed at a random moment too, before the writer or after it.
    Killed,
}

/// A writer and the moment of its death.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Threads that record all the time.
    pub threads: u64,
    /// Threads that make threads of a short life.
    pub short: u64,
    /// Full mode.
    pub full: bool,
    /// What holds the files.
    pub medium: Medium,
    /// Signals a second to each thread, whose handlers record.
    pub signal_hz: u64,
    /// The kill may come while files and rings are being made.
    pub early: bool,
    /// Who watches.
    pub supervision: Supervision,
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
        let supervision = match random.below(8) {
            0 | 1 => Supervision::Alive,
            2 => Supervision::Killed,
            _ => Supervision::None,
        };
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
            // To kill a supervisor, the test waits for its writer's sign of life.
            early: random.below(8) == 0 && supervision != Supervision::Killed,
            supervision,
        }
    }

    fn terms(&self) -> Terms {
        Terms {
            handlers: self.signal_hz > 0,
            full: self.full,
            supervised: self.supervision != Supervision::None,
            killed: true,
            ..Terms::default()
        }
    }
}

/// The programs of a campaign.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The one that is killed.
    pub writer: PathBuf,
    /// The one that watches it; without one, no case is supervised.
    pub ringscope: Option<PathBuf>,
}

/// Has a writer killed at a random moment, and judges what it left.
///
/// Most are killed by a timer of the kernel, which comes between any two instructions however busy the machine is; every
/// eighth of those without a supervisor is killed from here.
pub fn kill_one(programs: &Programs, case: Case, random: &mut Random) -> Verdict {
    let dir = new_dir(case.medium);
    let longest_us = if case.early {
        4_000
    } else {
        100 * case.threads
    };
    let after_us = random.below(longest_us);
    let from_here = random.below(8) == 0 && !case.early;
    let mut command = command_for(programs, case, dir.path());
    if case.supervision == Supervision::Killed {
        command.arg(format!("kill-after-us={after_us}"));
        kill_both(command, random.below(longest_us));
    } else if case.supervision == Supervision::None && from_here {
        kill_from_here(command, after_us);
    } else {
        command.arg(format!("kill-after-us={after_us}"));
        command.arg(format!("kill-early={}", u8::from(case.early)));
        let output = command.output().expect("the writer starts");
        // The supervisor passes its program's end on as shells do.
        let killed = match case.supervision {
            Supervision::None => output.status.signal() == Some(libc::SIGKILL),
            _ => output.status.code() == Some(128 + libc::SIGKILL),
        };
        assert!(killed, "{output:?}");
    }
    judge_dir(dir.path(), case, random)
}

fn judge_dir(dir: &Path, case: Case, random: &mut Random) -> Verdict {
    let mut verdict = Verdict::default();
    for run in runs_in(dir) {
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

/// The writer, below its supervisor where the case has one; what is added to the command goes to the writer.
fn command_for(programs: &Programs, case: Case, dir: &Path) -> Command {
    let mode = if case.full { "full" } else { "flight" };
    let mut command = match (&programs.ringscope, case.supervision) {
        (Some(ringscope), Supervision::Alive | Supervision::Killed) => {
            let mut command = command(ringscope);
            command
                .args(["record", "--no-decode", "--ring-size", "16KiB"])
                .args(["--mode", mode, "--dir"])
                .arg(dir)
                .arg("--")
                .arg(&programs.writer);
            command
        }
        _ => {
            let mut command = command(&programs.writer);
            command
                .env("RINGSCOPE_DIR", dir)
                .env("RINGSCOPE_RING_SIZE", "16KiB")
                .env("RINGSCOPE_MODE", mode);
            command
        }
    };
    // In flight mode the ring has gone round a few times by then.
    let begun_after = if case.full { 64 } else { 500 };
    command
        .arg("numbered")
        .arg(format!("threads={}", case.threads))
        .arg(format!("short={}", case.short))
        .arg(format!("signal-hz={}", case.signal_hz))
        .arg(format!("begun-after={begun_after}"));
    command
}

fn kill_from_here(command: Command, after_us: u64) {
    let (mut child, _) = start(command);
    std::thread::sleep(Duration::from_micros(after_us));
    child.kill().expect("the writer is ours to kill");
    child.wait().expect("the writer is ours to wait for");
}

/// Kills the supervisor from here, while a timer kills its writer.
fn kill_both(command: Command, after_us: u64) {
    adopt_orphans();
    let (mut supervisor, writer) = start(command);
    std::thread::sleep(Duration::from_micros(after_us));
    supervisor.kill().expect("the supervisor is ours to kill");
    supervisor.wait().expect("it is ours to wait for");
    let mut status = 0;
    // The writer is this process's child now, unless its supervisor saw its end; its files are whole when it is gone.
    // SAFETY: waits for one process, whose status goes to a live integer.
    unsafe { libc::waitpid(writer, &mut status, 0) };
}

/// Orphaned descendants of this process become its children.
pub(crate) fn adopt_orphans() {
    // SAFETY: sets a flag of this process.
    let adopted = unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
    assert_eq!(adopted, 0, "the test needs to see the writer's end");
}

/// Starts the program and waits for the line in which the writer says that it has begun; its process id.
fn start(mut command: Command) -> (Child, libc::pid_t) {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let mut line = String::new();
    let output = child.stdout.take().expect("the output is a pipe");
    BufReader::new(output)
        .read_line(&mut line)
        .expect("the writer says that it has begun");
    let pid = line
        .strip_prefix("begun ")
        .and_then(|pid| pid.trim().parse().ok());
    (child, pid.expect("the writer says its process id"))
}

/// What a campaign came to.
#[derive(Debug, Default)]
pub struct Tally {
    /// Writers that were killed.
    pub kills: u64,
    /// Those of them that were supervised.
    pub supervised: u64,
    /// Those of these whose supervisor was killed as well.
    pub supervisors: u64,
    /// Records that were compared with the script.
    pub records: u64,
    /// Records that were in flight at the deaths.
    pub in_flight: u64,
    /// Records that were overwritten, exactly counted.
    pub overwritten: u64,
    /// Open spans that were compared with the script.
    pub open_spans: u64,
    /// Rings whose records could not be counted: a handler starved its thread for a whole ring.
    pub uncounted: u64,
    /// What was wrong, with the case and its seed.
    pub failures: Vec<String>,
}

/// After so many kills a long campaign says how far it is.
const PROGRESS_KILLS: u64 = 5_000;

/// Kills `kills` writers, as many at a time as there are processors; stops at the first failure where
/// `until_failure` says so.
pub fn run(programs: &Programs, kills: u64, seed: u64, until_failure: bool) -> Tally {
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
            let mut case = Case::of(kill, &mut random);
            if programs.ringscope.is_none() {
                case.supervision = Supervision::None;
            }
            let verdict = kill_one(programs, case, &mut random);
            let mut tally = tally.lock().expect("no judge panicked");
            tally.supervised += u64::from(case.supervision != Supervision::None);
            tally.supervisors += u64::from(case.supervision == Supervision::Killed);
            tally.add(verdict, &format!("seed {seed} kill {kill} {case:?}"));
            if tally.kills.is_multiple_of(PROGRESS_KILLS) {
                let complaints = tally.failures.len();
                println!("{} of {kills} kills, {complaints} complaints", tally.kills);
            }
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
        self.uncounted += verdict.uncounted;
        let named = verdict
            .failures
            .iter()
            .map(|what| format!("{case}: {what}"));
        self.failures.extend(named);
    }
}
