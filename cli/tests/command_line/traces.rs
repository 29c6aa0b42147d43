//! `decode`, `stats` and `inspect`: what comes out, where, and with which status.

use std::fs;
use std::io::Read;

use serde_json::Value;

use crate::sandbox::Sandbox;

fn events(trace: &str) -> Vec<Value> {
    let trace: Value = serde_json::from_str(trace).unwrap();
    trace["traceEvents"].as_array().unwrap().clone()
}

fn spans(trace: &str) -> usize {
    events(trace)
        .iter()
        .filter(|event| event["ph"] == "X")
        .count()
}

#[test]
fn record_writes_the_trace() {
    let sandbox = Sandbox::new();
    sandbox
        .record(&["-o", "t-%p.json"], &["spans:100", "end"])
        .expect_code(0)
        .expect_stderr("100, none lost")
        .expect_stderr("show it: ringscope open t-");
    let [name] = &sandbox.files()[..] else {
        panic!("{:?}", sandbox.files());
    };
    let pid = name
        .strip_prefix("t-")
        .and_then(|name| name.strip_suffix(".json"));
    assert!(pid.is_some_and(|pid| pid.parse::<u32>().is_ok()), "{name}");
    assert_eq!(spans(&fs::read_to_string(sandbox.path(name)).unwrap()), 100);
}

#[test]
fn decode_writes_where_it_is_told() {
    let sandbox = Sandbox::new();
    sandbox
        .record(&["--no-decode"], &["spans:100", "end"])
        .expect_code(0);
    sandbox
        .run(&["decode"])
        .expect_code(0)
        .expect_stderr("trace.json");
    let to_stdout = sandbox.run(&["decode", "-o", "-"]).expect_code(0).stdout;
    assert_eq!(
        fs::read_to_string(sandbox.path("trace.json")).unwrap(),
        to_stdout
    );
    assert_eq!(sandbox.files(), ["trace.json"]);
    let run = sandbox.only_run();
    let by_path = sandbox.run(&["decode", run.to_str().unwrap(), "-o", "-"]);
    assert_eq!(by_path.stdout, to_stdout);
    sandbox.run(&["decode", "-o", "/dev/null"]).expect_code(0);
    sandbox
        .run(&["decode", "-o", "missing/trace.json"])
        .expect_code(1)
        .expect_stderr("ringscope: create: missing/trace.json: No such file");
}

#[test]
fn a_name_that_ends_in_gz_is_one_gzip_member() {
    let sandbox = Sandbox::new();
    sandbox
        .record(&["-o", "t.json.gz", "--keep"], &["spans:5000", "end"])
        .expect_code(0);
    let plain = sandbox.run(&["decode", "-o", "-"]).expect_code(0).stdout;
    sandbox
        .run(&["decode", "-o", "again.json.gz", "-j", "1"])
        .expect_code(0);
    for name in ["t.json.gz", "again.json.gz"] {
        let bytes = fs::read(sandbox.path(name)).unwrap();
        assert!(bytes.len() < plain.len() / 3);
        let mut reader = flate2::read::GzDecoder::new(&bytes[..]);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert!(text == plain, "{name}");
        assert!(
            reader.into_inner().is_empty(),
            "{name}: more than one member"
        );
    }
}

#[test]
fn a_run_is_found_by_a_process_of_it() {
    let sandbox = Sandbox::new();
    sandbox
        .record(&["--no-decode"], &["spans:7", "end"])
        .expect_code(0);
    let report = sandbox.run(&["inspect", "--json"]).expect_code(0).stdout;
    let report: Value = serde_json::from_str(&report).unwrap();
    let pid = report["processes"][0]["pid"].to_string();
    let trace = sandbox
        .run(&["decode", &pid, "-o", "-"])
        .expect_code(0)
        .stdout;
    assert_eq!(spans(&trace), 7);
    sandbox
        .run(&["decode", "4194303"])
        .expect_code(1)
        .expect_stderr("ringscope: find run: 4194303: ");
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let sandbox = Sandbox::new();
    sandbox
        .record(&["--no-decode"], &["spans:20000", "end"])
        .expect_code(0);
    for args in [
        &["decode", "-o", "-"][..],
        &["ls"],
        &["man"],
        &["inspect", "--last", "20000"],
    ] {
        let mut child = sandbox.ringscope(args).spawn().unwrap();
        drop(child.stdout.take());
        let mut stderr = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut stderr)
            .unwrap();
        let code = child.wait().unwrap().code();
        assert_eq!(code, Some(0), "{args:?}: {stderr}");
        assert!(!stderr.contains("panicked"), "{args:?}: {stderr}");
    }
}

#[test]
fn losses_are_told_and_strict_makes_them_an_exit_status() {
    let sandbox = Sandbox::new();
    let options = ["--mode", "flight", "--ring-size", "2KiB"];
    sandbox
        .record(&options, &["spans:100", "end"])
        .expect_code(0)
        .expect_stderr("36 overwritten")
        .expect_stderr("kept       ");
    for command in [&["decode"][..], &["stats"]] {
        sandbox
            .run(command)
            .expect_code(0)
            .expect_stderr("ringscope: lost records: 36 overwritten");
        sandbox
            .run(&[command, &["--strict"]].concat())
            .expect_code(3);
    }
}

#[test]
fn strict_is_satisfied_by_a_whole_run() {
    let sandbox = Sandbox::new();
    sandbox
        .record(&["--no-decode"], &["spans:100", "end"])
        .expect_code(0);
    sandbox.run(&["decode", "--strict"]).expect_code(0);
}

#[test]
fn damage_is_told_and_strict_makes_it_an_exit_status() {
    let sandbox = Sandbox::new();
    sandbox
        .record(&["--no-decode"], &["spans:100", "end"])
        .expect_code(0);
    let run = sandbox.only_run();
    fs::write(run.join("77-00000000000000aa-0.ring"), vec![7; 8192]).unwrap();
    sandbox
        .run(&["decode", "--strict"])
        .expect_code(3)
        .expect_stderr("ringscope: damage: ");
    sandbox.run(&["decode"]).expect_code(0);
}

#[test]
fn an_empty_table_says_why() {
    let sandbox = Sandbox::new();
    sandbox
        .record(&["--no-decode"], &["spans:100", "end"])
        .expect_code(0);
    let said = [
        (
            ["--gaps", "wrok"],
            "--gaps \"wrok\": no two spans of this name follow each other on a lane; did you mean \"work\"?",
        ),
        (
            ["--by", "arg:nosuch"],
            "--by arg:nosuch: no span has this argument",
        ),
    ];
    for (options, why) in said {
        sandbox
            .run(&[&["stats"], &options[..]].concat())
            .expect_code(0)
            .expect_stderr(&format!("ringscope: stats: {why}"));
    }
}

#[test]
fn stats_come_as_table_json_and_csv() {
    let sandbox = Sandbox::new();
    sandbox
        .record(&["--no-decode"], &["spans:100", "end"])
        .expect_code(0);
    sandbox.run(&["stats"]).expect_code(0).expect_stdout("work");
    let rows: Value =
        serde_json::from_str(&sandbox.run(&["stats", "--json"]).expect_code(0).stdout).unwrap();
    let row = rows[0].as_object().unwrap();
    assert_eq!(row["count"], 100);
    for key in [
        "name", "total_ns", "self_ns", "mean_ns", "p50_ns", "p90_ns", "p99_ns", "max_ns", "share",
    ] {
        assert!(row.contains_key(key), "{key}");
    }
    let csv = sandbox.run(&["stats", "--csv"]).expect_code(0).stdout;
    assert_eq!(csv.lines().count(), 2);
    assert!(
        csv.lines().nth(1).unwrap().starts_with("work,100,"),
        "{csv}"
    );
    let by_argument = sandbox
        .run(&["stats", "--by", "arg:n", "--csv"])
        .expect_code(0)
        .stdout;
    assert_eq!(by_argument.lines().count(), 101);
}

#[test]
fn filters_reach_the_decoder() {
    let sandbox = Sandbox::new();
    sandbox
        .record(&["--no-decode"], &["spans:100", "end"])
        .expect_code(0);
    let matching = |filter: &[&str]| {
        let args = [&["decode", "-o", "-"], filter].concat();
        spans(&sandbox.run(&args).expect_code(0).stdout)
    };
    assert_eq!(matching(&["--name", "wo*"]), 100);
    assert_eq!(matching(&["--name", "!wo*"]), 0);
    assert_eq!(matching(&["--cat", "test"]), 100);
    assert_eq!(matching(&["--cat", "other"]), 0);
    assert_eq!(matching(&["--level", "kernel"]), 0);
    assert_eq!(matching(&["--pid", "1"]), 0);
    assert_eq!(matching(&["--tid", "1"]), 0);
    assert_eq!(matching(&["--min-duration", "1h"]), 0);
    assert_eq!(matching(&["--from", "3600s"]), 0);
    assert_eq!(matching(&["--to", "-3600s"]), 0);
}

#[test]
fn inspect_tells_the_end_and_what_stood_open() {
    let sandbox = Sandbox::new();
    let steps = ["spans:10", "open:stuck", "kill:9"];
    sandbox.record(&[], &steps).expect_code(128 + 9);
    sandbox
        .run(&["inspect"])
        .expect_code(0)
        .expect_stdout("killed by SIGKILL")
        .expect_stdout("open  stuck {n=10}")
        .expect_stdout("work {n=9}");
    let json = sandbox
        .run(&["inspect", "--json", "--last", "3"])
        .expect_code(0)
        .stdout;
    let report: Value = serde_json::from_str(&json).unwrap();
    let process = &report["processes"][0];
    assert_eq!(process["signal"], "SIGKILL");
    let ring = &process["rings"][0];
    assert_eq!(ring["open_spans"][0]["name"], "stuck");
    assert_eq!(ring["last_records"].as_array().unwrap().len(), 3);
}

#[test]
fn inspect_reads_single_files() {
    let sandbox = Sandbox::new();
    sandbox
        .record(&["--no-decode"], &["spans:10", "end"])
        .expect_code(0);
    let ring = fs::read_dir(sandbox.only_run())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|ending| ending == "ring"))
        .unwrap();
    sandbox
        .run(&["inspect", ring.to_str().unwrap()])
        .expect_code(0)
        .expect_stdout("10 records");
}

/// The spans of all traces that a decode was split into.
fn parts(sandbox: &Sandbox) -> Vec<(String, usize)> {
    let names = sandbox.files().into_iter();
    let names = names.filter(|name| name.starts_with("part.") && name.ends_with(".json"));
    names
        .map(|name| {
            let trace = fs::read_to_string(sandbox.path(&name)).unwrap();
            (name, spans(&trace))
        })
        .collect()
}

#[test]
fn a_trace_is_split_into_files_that_load_by_themselves() {
    let sandbox = Sandbox::new();
    sandbox
        .record(&["--no-decode"], &["spans:30000", "end"])
        .expect_code(0);
    sandbox
        .run(&["decode", "-o", "part.json", "--split-by", "1MiB"])
        .expect_code(0)
        .expect_stderr("part.001.json");
    let by_size = parts(&sandbox);
    assert!(by_size.len() > 2, "{by_size:?}");
    // Spans that the moment between two parts cuts stand in both.
    let total: usize = by_size.iter().map(|(_, spans)| spans).sum();
    assert!((30_000..30_000 + by_size.len()).contains(&total), "{total}");
    for (name, _) in &by_size {
        let bytes = fs::metadata(sandbox.path(name)).unwrap().len();
        assert!(bytes < 5 << 18, "{name}: {bytes} bytes");
        fs::remove_file(sandbox.path(name)).unwrap();
    }
    sandbox
        .run(&["decode", "-o", "part.json", "--split-by", "rank"])
        .expect_code(0);
    assert_eq!(parts(&sandbox), [("part.no-rank.json".to_owned(), 30_000)]);
    sandbox
        .run(&["decode", "-o", "-", "--split-by", "1s"])
        .expect_code(1)
        .expect_stderr("expected a file name for several traces");
    sandbox
        .run(&["decode", "-o", "part.json", "--split-by", "1ns"])
        .expect_code(1)
        .expect_stderr("expected at most 10000 files");
}

#[test]
fn aligning_needs_a_common_moment() {
    let sandbox = Sandbox::new();
    sandbox
        .record(&["--no-decode"], &["spans:10", "end"])
        .expect_code(0);
    sandbox
        .run(&["decode", "-o", "t.json", "--align", "barrier"])
        .expect_code(1)
        .expect_stderr(
            "ringscope: align: barrier: expected an instant or span of this name in two processes",
        );
}

#[test]
fn what_recording_cost_stands_in_summary_and_trace() {
    let sandbox = Sandbox::new();
    let summary = sandbox
        .record(&[], &["spans:20000", "end"])
        .expect_code(0)
        .stderr;
    let line = summary
        .lines()
        .find(|line| line.starts_with("cost       about "))
        .unwrap();
    let text = fs::read_to_string(sandbox.path("trace.json")).unwrap();
    let trace: Value = serde_json::from_str(&text).unwrap();
    let metadata = &trace["metadata"];
    for cost in [
        &metadata["recording"],
        &metadata["processes"][0]["recording"],
    ] {
        assert_eq!(cost["records"], 20_000);
        let figure = |name: &str| cost[name].as_f64().unwrap();
        let (span_ns, total_ns) = (figure("span_ns"), figure("total_ns"));
        assert!(figure("floor_ns") > 0.0 && span_ns > 0.0, "{cost}");
        assert!((total_ns / 20_000.0 - span_ns).abs() < 0.01, "{cost}");
        // The thread has lived as long as its process, which began after the run.
        assert!(figure("share_of_wall_time") > 0.0, "{cost}");
        assert!(figure("share_of_thread_time") >= figure("share_of_wall_time"));
        assert!(
            line.contains(&format!("20,000 records, {span_ns:.1} ns each")),
            "{line}"
        );
    }
}
