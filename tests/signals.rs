//! Signal handlers that record on the thread they interrupt: every record of both is there, or counted.
//!
//! `RINGSCOPE_SIGNAL_CYCLES` says how many cycles of sixteen records a timer of 10 kHz interrupts; 6,250,000 make a hundred
//! million records.

use ringscope_tests::judge::Terms;
use ringscope_tests::programs::{Medium, command, new_dir, recorded, runs_in, writer};
use ringscope_tests::{scenarios, script};

#[test]
fn records_of_thread_and_handler_are_counted_exactly() {
    for full in [false, true] {
        let verdict = scenarios::signal_storm(&writer(), full, 4_000);
        verdict.assert_sound();
        let handled = |(_, thread): &(u32, u64)| thread & script::HANDLER != 0;
        let by_handler: u64 = verdict
            .counts
            .iter()
            .filter(|(k, _)| handled(k))
            .map(|(_, n)| n)
            .sum();
        // Without many signals nothing was shown.
        assert!(by_handler >= 1_000, "only {by_handler} records by handlers");
    }
}

#[test]
fn a_timer_of_10_khz_costs_no_record() {
    let cycles = std::env::var("RINGSCOPE_SIGNAL_CYCLES");
    let cycles: u64 = cycles.map_or(60_000, |text| text.parse().expect("a number"));
    let dir = new_dir(Medium::Memory);
    let output = command(&writer())
        .args(["numbered", "threads=1", "signal-hz=10000"])
        .arg(format!("cycles={cycles}"))
        .env("RINGSCOPE_DIR", dir.path())
        .output()
        .expect("the writer starts");
    assert!(output.status.success(), "{output:?}");
    let said = recorded(&output);
    let terms = Terms {
        handlers: true,
        ..Terms::default()
    };
    let verdict = scenarios::judge_counts(&runs_in(dir.path())[0], terms, &said);
    verdict.assert_sound();
    assert_eq!(said[0].records, cycles * script::CYCLE);
    assert!(said[0].handled > 0);
    println!(
        "{} records of a thread and {} of its handler: {} right, {} overwritten, {} in flight",
        said[0].records, said[0].handled, verdict.records, verdict.overwritten, verdict.in_flight
    );
}
