//! The measurement: every case once a round, in all threads at once, each thread on a core of its own.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::{hint, thread};

use clap::Args;
use ringscope_ringbuf::clock::{counter, monotonic_ns};
use serde::{Deserialize, Serialize};

use crate::case::Subject;
use crate::instructions::Counter;
use crate::kernel::{ThreadUsage, allowed_cores, pin_to};
use crate::work::Work;

/// Calls that come before the first measured ones, to register sites and to warm caches and predictors.
pub const WARM_UP_CALLS: u64 = 1_000;
/// Turns of a loop that waits before it lets others run: threads that wait for each other should not sleep.
const SPINS: u32 = 100_000;

/// How much is measured.
#[derive(Clone, Copy, Debug, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Rounds; each measures every case once
    #[arg(long)]
    pub rounds: usize,
    /// Calls of a case in a round
    #[arg(long)]
    pub calls: u64,
    /// Calls of a case in a round that are timed one by one, beside the others
    #[arg(long)]
    pub samples: usize,
}

impl Plan {
    /// What gives figures worth keeping on a quiet machine.
    pub const THOROUGH: Plan = Plan {
        rounds: 25,
        calls: 100_000,
        samples: 20_000,
    };
    /// What shows that everything works.
    pub const QUICK: Plan = Plan {
        rounds: 3,
        calls: 2_000,
        samples: 500,
    };
}

/// What the rounds of one case came to, in one thread.
#[derive(Debug)]
pub struct CaseRounds {
    /// Name of the case.
    pub name: &'static str,
    /// Records that one call makes.
    pub records_per_call: u64,
    /// All calls, by round.
    pub run: Vec<Timed>,
    /// All calls with work in them, by round.
    pub around: Vec<Timed>,
    /// Ticks of single calls.
    pub samples: Vec<u32>,
    /// Page faults in all rounds.
    pub page_faults: u64,
    /// Bytes of records in all rounds, where the case can tell.
    pub bytes: Option<u64>,
    /// Instructions in all rounds, where the processor counts them.
    pub instructions: Option<u64>,
}

/// How long the calls of a round took.
#[derive(Clone, Copy, Debug)]
pub struct Timed {
    /// Ticks.
    pub ticks: u64,
    /// True when the core was taken away meanwhile: the time is then that of another program.
    pub preempted: bool,
}

impl Timed {
    fn of(calls: impl FnOnce()) -> Timed {
        let before = ThreadUsage::now();
        let start = counter();
        calls();
        let ticks = counter() - start;
        let preempted = ThreadUsage::now().preemptions > before.preemptions;
        Timed { ticks, preempted }
    }
}

/// The rounds of all threads.
#[derive(Debug)]
pub struct Rounds {
    /// By thread, then by case.
    pub threads: Vec<Vec<CaseRounds>>,
    /// Calls of a case in a round.
    pub calls: u64,
    /// Ticks of the counter per ns.
    pub ticks_per_ns: f64,
    /// Turns of a step of work.
    pub work_turns: u32,
}

/// Makes the cases of a thread, on that thread, whose number is given.
pub type Cast<'a> = dyn Fn(usize) -> Result<Vec<Box<dyn Subject>>, String> + Sync + 'a;

/// What a thread does with its cases.
pub type Body<'a, T> = dyn Fn(&mut [Box<dyn Subject>], &StartLine) -> T + Sync + 'a;

/// Measures the cases that `cast` makes, in `thread_count` threads at once.
///
/// # Errors
///
/// When there are fewer cores than threads, or a case can't be made.
pub fn measure(plan: &Plan, thread_count: usize, cast: &Cast<'_>) -> Result<Rounds, String> {
    let (start_ticks, start_ns) = (counter(), monotonic_ns());
    let cores = allowed_cores();
    if let Some(core) = cores.first() {
        pin_to(*core).map_err(|error| format!("pin: core {core}: {error}"))?;
    }
    let work = Work::calibrated();
    let threads = on_threads(&cores, thread_count, cast, &|subjects, line| {
        measure_in_thread(plan, subjects, work.clone(), line)
    })?;
    let ticks_per_ns = (counter() - start_ticks) as f64 / (monotonic_ns() - start_ns) as f64;
    Ok(Rounds {
        threads,
        calls: plan.calls,
        ticks_per_ns,
        work_turns: work.turns(),
    })
}

/// Runs `body` in `thread_count` threads at once, each on one of `cores`, with the cases that `cast` makes there.
///
/// # Errors
///
/// When there are fewer cores than threads, or a case can't be made.
pub fn on_threads<T: Send>(
    cores: &[usize],
    thread_count: usize,
    cast: &Cast<'_>,
    body: &Body<'_, T>,
) -> Result<Vec<T>, String> {
    if cores.len() < thread_count {
        let found = cores.len();
        return Err(format!(
            "pin: threads: expected {thread_count} cores, found {found}"
        ));
    }
    let line = StartLine::new(thread_count);
    let gave_up = AtomicBool::new(false);
    let in_thread = |number: usize, core: usize| {
        let subjects = pin_to(core)
            .map_err(|error| format!("pin: core {core}: {error}"))
            .and_then(|()| cast(number));
        gave_up.fetch_or(subjects.is_err(), Ordering::Relaxed);
        line.wait();
        match subjects {
            Ok(mut subjects) if !gave_up.load(Ordering::Relaxed) => Ok(body(&mut subjects, &line)),
            Ok(_) => Err("start: thread: another one could not start".to_string()),
            Err(why) => Err(why),
        }
    };
    thread::scope(|scope| {
        let in_thread = &in_thread;
        let threads: Vec<_> = (0..thread_count)
            .map(|number| scope.spawn(move || in_thread(number, cores[number])))
            .collect();
        let panicked = |_| Err("measure: thread: it panicked".to_string());
        let outcomes = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(panicked));
        outcomes.collect()
    })
}

/// Where threads wait for each other, without sleeping.
#[derive(Debug)]
pub struct StartLine {
    arrived: AtomicUsize,
    thread_count: usize,
}

impl StartLine {
    fn new(thread_count: usize) -> StartLine {
        StartLine {
            arrived: AtomicUsize::new(0),
            thread_count,
        }
    }

    /// Returns when all threads are here.
    pub fn wait(&self) {
        // AcqRel and Acquire: what a thread did before the line is seen by all behind it.
        let before = self.arrived.fetch_add(1, Ordering::AcqRel);
        let all = (before / self.thread_count + 1) * self.thread_count;
        let mut spins = 0;
        while self.arrived.load(Ordering::Acquire) < all {
            spins += 1;
            if spins < SPINS {
                hint::spin_loop();
            } else {
                thread::yield_now();
            }
        }
    }
}

fn measure_in_thread(
    plan: &Plan,
    subjects: &mut [Box<dyn Subject>],
    mut work: Work,
    line: &StartLine,
) -> Vec<CaseRounds> {
    let mut all: Vec<CaseRounds> = subjects
        .iter()
        .map(|s| CaseRounds::new(&**s, plan))
        .collect();
    let mut warm_up = vec![0; WARM_UP_CALLS as usize];
    for subject in &mut *subjects {
        line.wait();
        subject.prepare();
        line.wait();
        subject.run(WARM_UP_CALLS);
        subject.run_around(WARM_UP_CALLS, &mut work);
        subject.sample(&mut warm_up);
        line.wait();
        subject.finish();
    }
    let instructions = Counter::open().ok();
    let count = subjects.len();
    for round in 0..plan.rounds {
        // Each round begins with another case, so that none always follows the same one.
        for index in (0..count).map(|index| (index + round) % count) {
            line.wait();
            subjects[index].prepare();
            all[index].add(
                round,
                plan,
                &mut *subjects[index],
                &mut work,
                &instructions,
                line,
            );
            line.wait();
            subjects[index].finish();
        }
    }
    all
}

impl CaseRounds {
    fn new(subject: &dyn Subject, plan: &Plan) -> CaseRounds {
        CaseRounds {
            name: subject.name(),
            records_per_call: subject.records_per_call(),
            run: Vec::with_capacity(plan.rounds),
            around: Vec::with_capacity(plan.rounds),
            // Written here, so that the samples themselves meet no page fault.
            samples: vec![1; plan.rounds * plan.samples],
            page_faults: 0,
            bytes: Some(0),
            instructions: Some(0),
        }
    }

    fn add(
        &mut self,
        round: usize,
        plan: &Plan,
        subject: &mut dyn Subject,
        work: &mut Work,
        instructions: &Option<Counter>,
        line: &StartLine,
    ) {
        let (bytes, page_faults) = (subject.bytes(), ThreadUsage::now().page_faults);
        let instructions_before = instructions.as_ref().and_then(Counter::read);
        line.wait();
        self.run.push(Timed::of(|| subject.run(plan.calls)));
        let instructions_after = instructions.as_ref().and_then(Counter::read);
        self.page_faults += ThreadUsage::now().page_faults - page_faults;
        self.bytes = added(self.bytes, bytes, subject.bytes());
        self.instructions = added(self.instructions, instructions_before, instructions_after);
        line.wait();
        self.around
            .push(Timed::of(|| subject.run_around(plan.calls, work)));
        line.wait();
        let first = round * plan.samples;
        subject.sample(&mut self.samples[first..first + plan.samples]);
    }
}

/// `sum` and the difference of two readings; `None` once a reading is missing.
fn added(sum: Option<u64>, before: Option<u64>, after: Option<u64>) -> Option<u64> {
    Some(sum? + after?.saturating_sub(before?))
}
