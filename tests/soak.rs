//! Many events and many threads, the level switched and the run decoded meanwhile: memory, descriptors and maps stay as they
//! are, and every record is counted.
//!
//! `RINGSCOPE_SOAK_EVENTS` and `RINGSCOPE_SOAK_THREADS` make it longer: see `ci/soak`.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ringscope_tests::programs::{Medium, command, new_dir, ringscope, runs_in, writer};
use ringscope_tests::run_files::RunFiles;
use serde_json::Value;

/// What the process may grow by after its first tenth, KiB: the allocator's own habits.
const GROWTH_KIB: u64 = 2_048;

fn number(name: &str, default: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(default, |text| text.parse().expect("a number"))
}

/// The lines of `said` that begin with `word`, as numbers.
fn lines<'a, const N: usize>(said: &'a str, word: &'a str) -> impl Iterator<Item = [u64; N]> + 'a {
    let with_word = said.lines().filter_map(move |line| line.strip_prefix(word));
    with_word.map(|rest| {
        let numbers: Vec<u64> = rest
            .split(' ')
            .map(|n| n.parse().expect("a number"))
            .collect();
        numbers.try_into().expect("as many numbers as there are")
    })
}

/// Switches the level and decodes, over and over, until the process has ended; how often.
fn disturb(child: &mut Child, ringscope: &Path, dir: &Path, trace: &Path) -> u64 {
    let mut rounds = 0;
    while child.try_wait().expect("the writer is ours").is_none() {
        let Some(run) = runs_in(dir).pop() else {
            continue;
        };
        let told = |arguments: &[&str]| {
            let mut told = command(ringscope);
            told.arg(arguments[0]).arg(&run).args(&arguments[1..]);
            told.stdout(Stdio::null()).stderr(Stdio::null());
            told.status().expect("ringscope starts");
        };
        told(&["level", "off"]);
        told(&["level", "e2e,kernel"]);
        let mut decode: Command = command(ringscope);
        decode
            .args(["decode", "-o"])
            .arg(trace)
            .arg(&run)
            .stderr(Stdio::null());
        // The run may be young enough to hold no process yet.
        if decode.status().expect("ringscope starts").success() {
            let bytes = std::fs::read(trace).expect("a trace");
            serde_json::from_slice::<Value>(&bytes).expect("strict JSON");
            rounds += 1;
        }
    }
    rounds
}

#[test]
fn nothing_grows_and_nothing_goes_uncounted() {
    let events = number("RINGSCOPE_SOAK_EVENTS", 5_000_000);
    let threads = number("RINGSCOPE_SOAK_THREADS", 300);
    let (dir, elsewhere) = (new_dir(Medium::Memory), new_dir(Medium::Memory));
    let (log, trace) = (elsewhere.path().join("log"), elsewhere.path().join("trace"));
    // Built before the clock starts, where it is not there yet.
    let (ringscope, writer) = (ringscope(), writer());
    let started = Instant::now();
    let mut child = command(&writer)
        .arg("soak")
        .args([format!("events={events}"), format!("threads={threads}")])
        .env("RINGSCOPE_DIR", dir.path())
        .env("RINGSCOPE_RING_SIZE", "64KiB")
        .stdout(std::fs::File::create(&log).expect("a log"))
        .spawn()
        .expect("the writer starts");
    let rounds = disturb(&mut child, &ringscope, dir.path(), &trace);
    let took = started.elapsed();
    assert!(child.wait().expect("the writer is ours").success());
    let said = std::fs::read_to_string(&log).expect("the log");
    check_flat(&said);
    let made = check_counts(&said, &runs_in(dir.path())[0]);
    assert!(made >= events && rounds > 0);
    tell(made, threads, rounds, took, &said);
}

fn tell(made: u64, threads: u64, rounds: u64, took: Duration, said: &str) {
    let states: Vec<[u64; 3]> = lines(said, "state ").collect();
    println!(
        "{made} records of {threads} threads in {:.1} s, {rounds} times switched and decoded; KiB, descriptors and maps: {states:?}",
        took.as_secs_f64()
    );
}

fn check_flat(said: &str) {
    let states: Vec<[u64; 3]> = lines(said, "state ").collect();
    let [
        [kib, descriptors, maps],
        [kib_at_end, descriptors_at_end, maps_at_end],
    ] = states[..]
    else {
        panic!("two looks: {states:?}")
    };
    assert!(kib_at_end <= kib + GROWTH_KIB, "{states:?}");
    // At the first look other threads may be making rings, whose files are open for a moment.
    assert!(descriptors_at_end <= descriptors, "{states:?}");
    // A ring and the stack of a thread come and go.
    assert!(maps_at_end <= maps + 8, "{states:?}");
}

/// What each thread says it made is what its stretch of a ring holds; how many that is.
fn check_counts(said: &str, run: &Path) -> u64 {
    let mut made: HashMap<u64, u64> = HashMap::new();
    for [thread, records] in lines(said, "thread ") {
        *made.entry(thread).or_default() += records;
    }
    let files = RunFiles::read(run).expect("the run can be read");
    let [process] = &files.processes[..] else {
        panic!("one process")
    };
    assert_eq!(process.drops(), []);
    // Two threads at a time, and a third where one comes before another has quite gone.
    assert!(process.rings.len() <= 6, "{} rings", process.rings.len());
    let mut counted: HashMap<u64, u64> = HashMap::new();
    for owner in process.tables.owners.values().flatten() {
        // The main thread has its ring till the end, and a span takes one slot.
        let end = owner.end_sequence.expect("every thread said that it ended");
        *counted.entry(owner.tid.into()).or_default() += end - owner.first_sequence;
    }
    assert_eq!(counted, made);
    let reserved: u64 = process
        .rings
        .iter()
        .map(|ring| ring.contents().expect("readable").reserved)
        .sum();
    let total = made.values().sum();
    assert_eq!(reserved, total);
    total
}
