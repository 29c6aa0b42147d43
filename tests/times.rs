//! Times: nanoseconds are kept, no message arrives before it was sent, and what the trace says lies within 1 us of
//! CLOCK_MONOTONIC, also for a process that was killed.
//!
//! `RINGSCOPE_TIMES_MS` says for how long the clocks are compared (60 s is what is promised).

use std::path::Path;
use std::process::Output;

use ringscope_tests::programs::{Medium, command, new_dir, new_run, runs_in, writer};
use ringscope_tests::traces::{Trace, ns, trace_of};

/// Error allowed against CLOCK_MONOTONIC, ns.
const ERROR_NS: i64 = 1_000;

fn record(dir: &Path, kill: bool) -> (Output, Trace) {
    let millis = std::env::var("RINGSCOPE_TIMES_MS").unwrap_or_else(|_| "1500".to_string());
    let mut writer = command(&writer());
    writer.args(["times", &format!("millis={millis}")]);
    if kill {
        writer.arg("kill=1");
    }
    let output = writer
        .env("RINGSCOPE_DIR", dir)
        .output()
        .expect("the writer starts");
    assert_eq!(output.status.success(), !kill);
    let trace = trace_of(&runs_in(dir)[0]);
    (output, trace)
}

/// The numbers of the output's lines that begin with `word`.
fn lines(output: &Output, word: &str) -> Vec<[i64; 3]> {
    let text = String::from_utf8_lossy(&output.stdout);
    let with_word = text.lines().filter_map(|line| line.strip_prefix(word));
    let numbers = with_word.map(|rest| {
        let numbers: Vec<i64> = rest
            .split_whitespace()
            .filter_map(|n| n.parse().ok())
            .collect();
        numbers.try_into().expect("three numbers a line")
    });
    numbers.collect()
}

fn check_marks(output: &Output, trace: &Trace) {
    let marks = lines(output, "mark ");
    assert!(marks.len() > 100, "only {} marks", marks.len());
    for [number, before, after] in marks {
        let mut found = trace
            .named("mark")
            .filter(|event| event["args"]["number"] == number);
        let at = ns(found.next().expect("every mark is there"), "ts");
        let early = before - at;
        let late = at - after;
        assert!(
            early.max(late) < ERROR_NS,
            "mark {number}: {at} is not in {before}..{after}"
        );
    }
    let stated = trace.timeline.uncertainty_ns.expect("two pairs or more");
    assert!(
        stated < ERROR_NS as u64,
        "the trace states an error of {stated} ns"
    );
}

#[test]
fn instants_stand_where_the_clock_said() {
    let dir = new_dir(Medium::Memory);
    let (output, trace) = record(dir.path(), false);
    check_marks(&output, &trace);
}

#[test]
fn instants_of_a_killed_process_stand_where_the_clock_said() {
    let dir = new_dir(Medium::Memory);
    let (output, trace) = record(dir.path(), true);
    check_marks(&output, &trace);
}

#[test]
fn durations_keep_their_nanoseconds() {
    let dir = new_dir(Medium::Memory);
    let (output, trace) = record(dir.path(), false);
    let known: Vec<i64> = trace.named("known").map(|event| ns(event, "dur")).collect();
    let expected: Vec<i64> = (1..=10).map(|digits| 10i64.pow(digits) + 7).collect();
    let mut sorted = known.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, expected);
    let measured = lines(&output, "span ");
    assert_eq!(measured.len(), 7);
    for [at_least_ns, inner, outer] in measured {
        let mut found = trace
            .named("measured")
            .filter(|event| event["args"]["at_least_ns"] == at_least_ns);
        let found = ns(found.next().expect("every span is there"), "dur");
        assert!(
            inner - 100 <= found && found <= outer + 100,
            "a span of {inner} to {outer} ns comes out as {found} ns"
        );
    }
}

#[test]
fn no_message_arrives_before_it_was_sent() {
    let run = new_run();
    let status = command(&writer())
        .args(["messages", "count=500"])
        .env("RINGSCOPE_RUN", run.path())
        .status()
        .expect("the writer starts");
    assert!(status.success());
    let trace = trace_of(run.path());
    let times = |name| {
        let mut times = vec![None; 1_000];
        for event in trace.named(name) {
            let message = event["args"]["message"].as_u64().expect("a number") as usize;
            times[message] = Some((ns(event, "ts"), event["pid"].clone()));
        }
        times
    };
    for (message, (sent, received)) in times("send").into_iter().zip(times("receive")).enumerate() {
        let (sent, received) = (sent.expect("sent"), received.expect("received"));
        assert!(
            sent.0 < received.0,
            "message {message}: {sent:?}, {received:?}"
        );
        assert_ne!(sent.1, received.1, "two processes");
    }
}
