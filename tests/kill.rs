//! Writers killed in mid-record: no record may be wrong, at most one of each thread and handler be missing, every gap be
//! counted exactly, and every open span be one that was open.
//!
//! `RINGSCOPE_KILLS` says how many writers are killed, `RINGSCOPE_SEED` which random numbers are used:
//! `RINGSCOPE_KILLS=100000 cargo test --release --package ringscope-tests --test kill -- --nocapture`

use ringscope_tests::campaign::{self, Programs};
use ringscope_tests::programs;

fn number(name: &str, default: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn killed_writers_leave_no_wrong_record() {
    let kills = number("RINGSCOPE_KILLS", 2_000);
    let seed = number("RINGSCOPE_SEED", u64::from(std::process::id()));
    let programs = Programs {
        writer: programs::writer(),
        ringscope: Some(programs::ringscope()),
    };
    let start = std::time::Instant::now();
    let tally = campaign::run(&programs, kills, seed, false);
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{} kills in {seconds:.1} s ({} supervised, of whose supervisors {} were killed too): {} records right, \
         {} in flight, {} overwritten, {} open spans right, {} rings uncounted",
        tally.kills,
        tally.supervised,
        tally.supervisors,
        tally.records,
        tally.in_flight,
        tally.overwritten,
        tally.open_spans,
        tally.uncounted
    );
    let failures = &tally.failures;
    assert!(
        failures.is_empty(),
        "{}: {:#?}",
        failures.len(),
        &failures[..failures.len().min(20)]
    );
    assert_eq!(tally.kills, kills);
    // A campaign that kills no writer in mid-record, or finds no span open, has shown nothing.
    assert!(kills < 100 || tally.in_flight > 0 && tally.open_spans > 0);
    assert!(kills < 100 || tally.supervisors > 0);
}
