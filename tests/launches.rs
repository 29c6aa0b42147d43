//! Launches, waits and executions that the recorder wrote, as the decoder shows them.

use std::collections::HashMap;

use ringscope_tests::programs::{Medium, command, new_dir, runs_in, writer};
use ringscope_tests::traces::{Trace, ns, trace_of};
use serde_json::Value;

/// What the writer said of one launch: correlation, device, stream, start and end in ns.
type Said = [i64; 5];

fn numbers<const N: usize>(line: &str, word: &str) -> Option<[i64; N]> {
    let rest = line.strip_prefix(word)?.trim();
    let numbers: Vec<i64> = rest
        .split(' ')
        .map(|n| n.parse().expect("a number"))
        .collect();
    numbers.try_into().ok()
}

fn recorded(mode: &str) -> (String, Trace) {
    let dir = new_dir(Medium::Memory);
    let output = command(&writer())
        .arg("launches")
        .env("RINGSCOPE_DIR", dir.path())
        .env("RINGSCOPE_MODE", mode)
        .output()
        .expect("the writer starts");
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).expect("text");
    (said, trace_of(&runs_in(dir.path())[0]))
}

/// The spans of a correlation id: launch, wait and executions, by what they are.
fn spans(trace: &Trace, correlation: i64) -> Vec<&Value> {
    let has_it = |event: &&Value| event["ph"] == "X" && event["args"]["correlation"] == correlation;
    trace.events().iter().filter(has_it).collect()
}

/// Process of the host: devices are processes of their own.
fn host(trace: &Trace) -> &Value {
    &trace.named("graph").next().expect("it was launched")["pid"]
}

fn check_launch(trace: &Trace, said: Said, slack_ns: i64) {
    let [correlation, device, stream, start_ns, end_ns] = said;
    let all = spans(trace, correlation);
    let (on_host, on_device): (Vec<&Value>, Vec<&Value>) = all
        .into_iter()
        .partition(|span| span["pid"] == *host(trace));
    let ([launch, wait], [execution]) = (&on_host[..], &on_device[..]) else {
        panic!("{correlation}: {on_host:?} {on_device:?}")
    };
    assert!(ns(launch, "ts") + ns(launch, "dur") <= ns(wait, "ts"));
    for span in [launch, wait, execution] {
        assert_eq!(span["name"], launch["name"]);
        assert_eq!(span["args"]["device"], device, "{span}");
        let key = if span == execution {
            "stream"
        } else {
            "to_stream"
        };
        assert_eq!(span["args"][key], stream, "{span}");
        assert_eq!(span["args"]["kind"], "kernel", "{span}");
    }
    let (ts, dur) = (ns(execution, "ts"), ns(execution, "dur"));
    assert!(
        (ts - start_ns).abs() <= slack_ns,
        "{ts} {start_ns} {slack_ns}"
    );
    assert!((ts + dur - end_ns).abs() <= slack_ns, "{ts} {dur} {end_ns}");
    let arguments = &launch["args"];
    match launch["name"].as_str().expect("a name") {
        "matmul" => assert_eq!(arguments["block_dim"], 24),
        "softmax" => {
            assert_eq!(arguments["bytes"], correlation - 1_000_000);
            assert_eq!(arguments["step"], "one");
        }
        "late" => assert_eq!(arguments["text"], "x".repeat(400)),
        name => {
            assert!(name.starts_with("kernel "), "{name}");
            assert_eq!(arguments["rank"], 3);
        }
    }
}

fn check(mode: &str) {
    let (said, trace) = recorded(mode);
    let [bracket_ns] = said
        .lines()
        .find_map(|line| numbers(line, "bracket"))
        .expect("said");
    // Half a bracket on either side, and ticks of 20 ns that begin where they like.
    let slack_ns = bracket_ns / 2 + 40;
    let launches: Vec<Said> = said
        .lines()
        .filter_map(|line| numbers(line, "launch"))
        .collect();
    assert_eq!(launches.len(), 127);
    for launch in launches {
        check_launch(&trace, launch, slack_ns);
    }
    let arrows = |phase: &str| {
        let ends = trace
            .events()
            .iter()
            .filter(|e| e["ph"] == phase && e["cat"] == "ac2g");
        ends.count()
    };
    assert_eq!((arrows("s"), arrows("f")), (128, 128));
    check_child(&trace, &said, slack_ns);
    let copy = trace.named("copy").next().expect("it was launched");
    assert_eq!(copy["args"]["kind"], "memcpy HtoD");
    assert_eq!(copy["args"]["bytes"], 4096);
    assert_eq!(
        trace.named("fill").next().expect("it was launched")["args"]["kind"],
        "memset"
    );
    let values: Vec<&Value> = trace
        .named("generic")
        .map(|launch| &launch["args"]["value"])
        .collect();
    assert_eq!(values, [&Value::from(7), &Value::from("seven")]);
    let step = trace.named("ProfilerStep#0").next().expect("a step");
    assert_eq!(step["ph"], "X");
    check_tasks(&trace, &said, slack_ns);
}

/// The child's kernel is its parent's, but its file names stream and clock anew.
fn check_child(trace: &Trace, said: &str, slack_ns: i64) {
    let [correlation, device, stream, start_ns, _] = said
        .lines()
        .find_map(|line| numbers(line, "child"))
        .expect("said");
    let all = spans(trace, correlation);
    let on_device = |span: &&&Value| span["args"]["stream"] == stream;
    let [execution] = all.iter().filter(on_device).collect::<Vec<_>>()[..] else {
        panic!("{correlation}: {all:?}")
    };
    assert_eq!(all.len(), 3);
    assert_eq!(execution["args"]["device"], device);
    // The child's anchor has a bracket of its own.
    let slack_ns = slack_ns + 1_000_000;
    assert!(
        (ns(execution, "ts") - start_ns).abs() <= slack_ns,
        "{execution}"
    );
}

fn check_tasks(trace: &Trace, said: &str, slack_ns: i64) {
    let [correlation, empty, first_ns] = said
        .lines()
        .find_map(|line| numbers(line, "tasks"))
        .expect("said");
    assert_eq!(empty, 300);
    assert_eq!(trace.timeline.losses.notes["empty_task"], 300);
    assert!(!trace.timeline.losses.any(), "{:?}", trace.timeline.losses);
    let tasks = trace
        .events()
        .iter()
        .filter(|event| !event["args"]["task_token"].is_null());
    let by_token: HashMap<i64, &Value> = tasks
        .map(|task| (task["args"]["task_token"].as_i64().expect("a number"), task))
        .collect();
    assert_eq!(by_token.len(), 2_700);
    for (token, task) in by_token {
        assert_eq!(task["args"]["correlation"], correlation);
        assert_eq!(task["args"]["register"], token % 16);
        assert_eq!(task["args"]["stream"], 9);
        assert!(
            (ns(task, "ts") - first_ns - token * 40).abs() <= slack_ns,
            "{task}"
        );
    }
}

#[test]
fn launches_waits_and_executions_are_there() {
    check("flight");
    check("full");
}
