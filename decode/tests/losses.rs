//! What is missing is counted exactly, by cause, and drawn where it is missing.

#![allow(clippy::unwrap_used, reason = "in a test a failure is a panic")]

mod common;

use std::fs;

use common::*;
use ringscope_ringbuf::file::FileKind;
use ringscope_ringbuf::layout::*;
use serde_json::Value as Json;

fn process(run: &TestRun) -> TestProcess {
    let process = run.process(100, 1);
    process.site(1, "work", "c", &[]);
    process.owner(0, 101, 0, 0, "worker");
    process
}

fn lost(events: &[Json]) -> Vec<(u64, String, f64, f64)> {
    named(events, "ringscope.lost")
        .iter()
        .map(|event| {
            (
                event["args"]["records"].as_u64().unwrap(),
                event["args"]["cause"].as_str().unwrap().to_owned(),
                event["ts"].as_f64().unwrap(),
                event["dur"].as_f64().unwrap(),
            )
        })
        .collect()
}

#[test]
fn a_wrapped_ring_counts_what_it_overwrote_and_draws_it_before_the_rest() {
    let run = TestRun::new();
    let process = process(&run);
    let ring = process.ring(0, 6, 101);
    for at in 1..=200 {
        ring.span(1, at * 10, at * 10 + 4);
    }
    process.finish();
    let timeline = run.timeline();
    let events = events(&trace(&timeline));
    assert_eq!(timeline.losses.overwritten, 136);
    assert_eq!(timeline.losses.total(), 136);
    assert_eq!(named(&events, "work").len(), 64);
    // From the owner's start to the start of the first span that is left.
    let first = 137.0 * 10.0 * 10.0 / 1000.0;
    assert_eq!(lost(&events), [(136, "overwritten".to_owned(), 0.0, first)]);
}

#[test]
fn records_with_continuations_count_once() {
    let run = TestRun::new();
    let process = process(&run);
    let ring = process.ring(0, 6, 101);
    for at in 1..=50 {
        ring.span_on(1, 0, at * 10, at * 10 + 4, &[0; 40]);
    }
    process.finish();
    let timeline = run.timeline();
    let events = events(&trace(&timeline));
    // 150 slots written, 64 kept: the oldest of them are the rest of a record.
    assert_eq!(named(&events, "work").len(), 21);
    assert_eq!(timeline.losses.overwritten, 29);
}

#[test]
fn a_torn_record_is_told_from_an_overwritten_one() {
    let run = TestRun::new();
    let process = process(&run);
    let ring = process.ring(0, 6, 101);
    ring.span(1, 100, 110);
    ring.torn(3);
    ring.span(1, 120, 130);
    ring.torn(1);
    process.finish_cleanly(200);
    let timeline = run.timeline();
    let events = events(&trace(&timeline));
    assert_eq!((timeline.losses.torn, timeline.losses.overwritten), (2, 0));
    assert_eq!(
        lost(&events),
        [
            (1, "torn".to_owned(), 1.1, 0.1),
            (1, "torn".to_owned(), 1.3, 0.7),
        ]
    );
}

#[test]
fn a_gap_crosses_no_span_and_moves_none() {
    let run = TestRun::new();
    let process = process(&run);
    process.site(2, "parent", "c", &[]);
    let ring = process.ring(0, 6, 101);
    for at in 0..100 {
        ring.span(1, 100 + at * 10, 105 + at * 10);
    }
    // Began before the first record that is left, ends last.
    ring.span(2, 300, 2_000);
    process.finish();
    let timeline = run.timeline();
    assert_eq!(timeline.lanes.len(), 1);
    let events = events(&trace(&timeline));
    assert_eq!(lost(&events)[0].2 + lost(&events)[0].3, 3.0);
}

#[test]
fn segments_and_ring_are_one_sequence_and_holes_between_them_are_lost() {
    let run = TestRun::new();
    let process = process(&run);
    let ring = process.ring(0, 6, 101);
    let write = |count: u64| {
        for _ in 0..count {
            let at = ring.writer.next_sequence() + 1;
            ring.span(1, at * 10, at * 10 + 5);
        }
    };
    write(64);
    ring.save(FileKind::Drain, 0, 0..64);
    write(100);
    // The supervisor was late: 64..100 are gone. The thread itself saved some of the same records.
    ring.save(FileKind::Drain, 1, 100..150);
    ring.save(FileKind::Spill, 0, 140..164);
    write(64);
    process.finish();
    let timeline = run.timeline();
    let events = events(&trace(&timeline));
    assert_eq!(named(&events, "work").len(), 228 - 36);
    assert_eq!(timeline.losses.overwritten, 36);
    assert_eq!(lost(&events), [(36, "overwritten".to_owned(), 6.45, 3.65)]);
}

#[test]
fn each_owner_of_a_ring_keeps_its_records() {
    let run = TestRun::new();
    let process = process(&run);
    let ring = process.ring(0, 6, 101);
    ring.span(1, 10, 20);
    process.owner(0, 102, 1, 25, "second");
    ring.span(1, 30, 40);
    ring.span(1, 50, 60);
    process.owner(0, 103, 3, 65, "");
    ring.span(1, 70, 80);
    process.finish();
    let timeline = run.timeline();
    let lanes: Vec<(String, u64)> = timeline
        .lanes
        .iter()
        .map(|lane| (lane.name.clone(), lane.event_count))
        .collect();
    assert_eq!(
        lanes,
        [
            ("worker".to_owned(), 1),
            ("second".to_owned(), 2),
            ("stem 103".to_owned(), 1)
        ]
    );
}

#[test]
fn a_ring_that_began_at_a_later_sequence_has_lost_nothing() {
    let run = TestRun::new();
    let process = process(&run);
    let ring = process.ring_from(0, 6, 101, 65_536 * 3 + 17);
    for at in 1..=5 {
        ring.span(1, at * 10, at * 10 + 4);
    }
    process.finish();
    let timeline = run.timeline();
    assert_eq!(timeline.event_count, 5);
    assert!(!timeline.losses.any(), "{:?}", timeline.losses);
}

#[test]
fn drop_counters_are_losses_or_notes() {
    let run = TestRun::new();
    let process = process(&run);
    process.drops(DropCause::NoRing, 3);
    process.drops(DropCause::LateThread, 4);
    process.drops(DropCause::ValueCut, 5);
    process.finish();
    let losses = run.timeline().losses;
    assert_eq!(losses.no_ring, 3);
    assert_eq!(losses.dropped["late_thread"], 4);
    assert_eq!(losses.notes["value_cut"], 5);
    assert_eq!(losses.total(), 7);
}

fn written_ring(run: &TestRun, records: u64) -> std::path::PathBuf {
    let process = process(run);
    let ring = process.ring(0, 6, 101);
    for at in 1..=records {
        ring.span(1, at * 10, at * 10 + 4);
    }
    process.finish();
    ring.path.clone()
}

#[test]
fn a_ring_cut_short_keeps_what_is_there() {
    let run = TestRun::new();
    let path = written_ring(&run, 60);
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    let header_len = ring_header_len(8) as u64;
    file.set_len(header_len + 32 * 50 + 7).unwrap();
    let timeline = run.timeline();
    assert_eq!(named(&events(&trace(&timeline)), "work").len(), 50);
    assert_eq!((timeline.losses.damaged, timeline.losses.torn), (10, 0));
    assert!(timeline.problems[0].to_string().contains("cut short"));
}

#[test]
fn a_damaged_head_word_is_seen_and_the_stamps_read_instead() {
    for (records, head) in [(60, 0u64), (60, 3), (100, 20), (100, 5_000), (100, 1 << 47)] {
        let run = TestRun::new();
        let path = written_ring(&run, records);
        let mut bytes = fs::read(&path).unwrap();
        bytes[RING_HEAD_OFFSET..RING_HEAD_OFFSET + 8].copy_from_slice(&head.to_le_bytes());
        fs::write(&path, bytes).unwrap();
        let timeline = run.timeline();
        let found = named(&events(&trace(&timeline)), "work").len() as u64;
        assert_eq!(found, records.min(64), "{records} {head}");
        assert!(timeline.problems[0].to_string().contains("head word"));
        assert_eq!(timeline.losses.overwritten, records.saturating_sub(64));
    }
}

#[test]
fn one_flipped_stamp_costs_one_record() {
    let run = TestRun::new();
    let path = written_ring(&run, 60);
    let mut bytes = fs::read(&path).unwrap();
    bytes[ring_header_len(8) + 31] ^= 1;
    fs::write(&path, bytes).unwrap();
    let timeline = run.timeline();
    assert!(timeline.problems.is_empty());
    assert_eq!(named(&events(&trace(&timeline)), "work").len(), 59);
    assert_eq!(timeline.losses.torn, 1);
}

#[test]
fn rings_without_a_process_file_are_read_all_the_same() {
    let run = TestRun::new();
    written_ring(&run, 10);
    let other = run.process(200, 5);
    other.finish();
    fs::remove_file(run.path().join("100-0000000000000001.process")).unwrap();
    let timeline = run.timeline();
    assert_eq!(timeline.event_count, 10);
    assert_eq!(timeline.losses.unknown_site, 10);
    assert!(
        timeline
            .problems
            .iter()
            .any(|p| p.to_string().contains("names are unknown")),
        "{:?}",
        timeline.problems
    );
    // Its ticks convert by the pairs of the rest of the run.
    assert_eq!(
        timeline.extent.first_record_ns.unwrap() as u64,
        MONO_ZERO_NS + 100
    );
}
