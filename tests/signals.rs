//! Signal handlers that record on the thread they interrupt: every record of both is there, or counted.

use ringscope_tests::{programs, scenarios, script};

#[test]
fn records_of_thread_and_handler_are_counted_exactly() {
    for full in [false, true] {
        let verdict = scenarios::signal_storm(&programs::writer(), full, 4_000);
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
