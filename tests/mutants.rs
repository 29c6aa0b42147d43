//! Known bugs, planted one at a time: the judge of the other tests must catch each of them.

use ringscope_tests::campaign::{self, Programs};
use ringscope_tests::{programs, scenarios};

/// Kills that a bug may survive.
const TRIES: u64 = 3_000;

fn is_caught_by_kills(name: &str) {
    let programs = Programs {
        writer: programs::mutant(name),
        ringscope: None,
    };
    let tally = campaign::run(&programs, TRIES, 1, true);
    println!(
        "{name}: caught after {} kills: {:?}",
        tally.kills,
        tally.failures.first()
    );
    assert!(!tally.failures.is_empty(), "{name} survived {TRIES} kills");
}

#[test]
fn a_stamp_before_its_payload_is_caught() {
    is_caught_by_kills("stamp_first");
}

#[test]
fn a_stamp_that_is_not_invalidated_is_caught() {
    is_caught_by_kills("no_invalidate");
}

#[test]
fn a_key_before_its_start_is_caught() {
    is_caught_by_kills("key_first");
}

#[test]
fn a_reservation_in_two_steps_is_caught_by_the_storm() {
    let writer = programs::mutant("load_store_reserve");
    let is_caught = |_| {
        let verdict = scenarios::signal_storm(&writer, false, 4_000);
        !verdict.failures.is_empty()
    };
    assert!((0..20).any(is_caught));
}

#[test]
fn a_child_that_does_not_look_at_its_generation_is_caught() {
    for how in ["fork", "clone", "inside"] {
        let forked = scenarios::fork(&programs::mutant("no_generation"), how);
        assert!(!forked.verdict.failures.is_empty(), "{how}");
    }
}
