//! Decoding what is being written, cut short, or decoded by others at the same time.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use ringscope_tests::campaign::Random;
use ringscope_tests::expected::{is_anonymous, is_numbered};
use ringscope_tests::programs::{Medium, command, new_dir, ringscope, runs_in, writer};
use ringscope_tests::script::{CYCLE, HANDLER};
use serde_json::Value;

/// A writer that is killed when this is dropped; in flight mode it records until then.
struct Living(Child);

impl Living {
    /// Starts it, and waits until all of its threads record.
    fn start(dir: &Path, mode: &str) -> Living {
        // What full mode writes must have an end.
        let cycles = if mode == "full" { 1_500 } else { 0 };
        let mut child = command(&writer())
            .args(["numbered", "threads=3", "short=1", "begun-after=2000"])
            .arg(format!("cycles={cycles}"))
            .env("RINGSCOPE_DIR", dir)
            .env("RINGSCOPE_RING_SIZE", "64KiB")
            .env("RINGSCOPE_MODE", mode)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the writer starts");
        let output = child.stdout.take().expect("the output is a pipe");
        let mut line = String::new();
        BufReader::new(output)
            .read_line(&mut line)
            .expect("the writer says that it has begun");
        Living(child)
    }
}

impl Drop for Living {
    fn drop(&mut self) {
        // It may be gone already; then there is nothing to end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ringscope_with(arguments: &[&str], run: &Path) -> Command {
    let mut command = command(&ringscope());
    command.args(arguments).arg(run);
    command
}

/// What a command that must succeed says, as JSON.
fn json(command: &mut Command) -> Value {
    let output = command.output().expect("ringscope starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).expect("strict JSON")
}

/// Checks that no number is missing between two others of a thread; how many threads and numbers there are.
fn check_numbers(trace: &Value) -> (usize, usize) {
    let mut by_thread: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for event in trace["traceEvents"].as_array().expect("a trace has events") {
        let name = event["name"].as_str().expect("an event has a name");
        let is_open = event["args"]["ringscope.open"] == true;
        if event["ph"] == "M" || is_open || !is_numbered(name) || is_anonymous(name) {
            continue;
        }
        let id = if event["ph"] == "C" {
            let args = event["args"].as_object().expect("a counter has a value");
            args.values().next().and_then(Value::as_u64)
        } else {
            event["args"]["id"].as_u64()
        };
        let id = id.unwrap_or_else(|| panic!("no id in {event}"));
        let numbers = by_thread.entry(id >> 44 & !HANDLER).or_default();
        numbers.push(id & ((1 << 44) - 1));
    }
    let named = |number: &u64| !matches!(number % CYCLE, 9 | 10 | 14);
    for (thread, numbers) in &mut by_thread {
        numbers.sort_unstable();
        let (first, last) = (numbers[0], numbers[numbers.len() - 1]);
        let all: Vec<u64> = (first..=last).filter(named).collect();
        assert_eq!(*numbers, all, "thread {thread}");
    }
    (by_thread.len(), by_thread.values().map(Vec::len).sum())
}

#[test]
fn traces_of_a_living_process_are_whole() {
    for mode in ["flight", "full"] {
        let dir = new_dir(Medium::Memory);
        let living = Living::start(dir.path(), mode);
        let run = &runs_in(dir.path())[0];
        for _ in 0..4 {
            for whole in [
                &["decode", "-o", "-"][..],
                &["snapshot", "--last", "999h", "-o", "-"],
            ] {
                let trace = json(&mut ringscope_with(whole, run));
                let (threads, numbers) = check_numbers(&trace);
                assert!(
                    threads >= 3 && numbers > 1_000,
                    "{whole:?}: {threads} threads, {numbers} records"
                );
            }
            let report = json(&mut ringscope_with(&["inspect", "--json"], run));
            assert_eq!(report["processes"][0]["pid"], living.0.id());
            assert!(mode == "full" || report["processes"][0]["end"] == "alive");
            json(&mut ringscope_with(&["stats", "--json"], run));
        }
    }
}

/// A run whose process was killed, and that has no clock pair of the end yet.
fn killed_run(dir: &Path) -> PathBuf {
    drop(Living::start(dir, "flight"));
    runs_in(dir).remove(0)
}

#[test]
fn decoders_at_the_same_time_agree() {
    let (dir, traces) = (new_dir(Medium::Memory), new_dir(Medium::Memory));
    let run = killed_run(dir.path());
    let start = |number: u32| {
        let trace = traces.path().join(number.to_string());
        let mut decode = ringscope_with(&["decode", "-o"], &trace);
        decode.arg(&run).stderr(Stdio::null());
        (decode.spawn().expect("ringscope starts"), trace)
    };
    let decoders: Vec<_> = (0..8).map(start).collect();
    let mut bytes = Vec::new();
    for (mut decoder, trace) in decoders {
        assert!(decoder.wait().expect("it is ours").success());
        bytes.push(std::fs::read(trace).expect("a trace"));
    }
    assert!(bytes[0].len() > 100_000);
    assert!(bytes.iter().all(|trace| *trace == bytes[0]));
    let added = runs_in(&run)
        .iter()
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("0-") || name.starts_with('.')
        })
        .count();
    assert_eq!(added, 1, "one clock pair, and nothing half made");
}

/// Sets its flag when it goes, also by a panic.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn files_that_are_cut_and_grown_under_the_decoder() {
    let dir = new_dir(Medium::Memory);
    let run = killed_run(dir.path());
    // The clock pair of the end, so that nothing is written to the run below.
    json(&mut ringscope_with(&["decode", "-o", "-"], &run));
    let files: Vec<(PathBuf, Vec<u8>)> = runs_in(&run)
        .into_iter()
        .map(|path| (path.clone(), std::fs::read(path).expect("readable")))
        .collect();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut random = Random::new(1);
            while !done.load(Ordering::Relaxed) {
                let (path, bytes) = &files[random.below(files.len() as u64) as usize];
                let file = std::fs::File::options()
                    .write(true)
                    .open(path)
                    .expect("writable");
                file.set_len(random.below(bytes.len() as u64 + 1))
                    .expect("a file can be cut");
                std::thread::yield_now();
                std::fs::write(path, bytes).expect("writable");
            }
        });
        let _done = SetOnDrop(&done);
        for _ in 0..40 {
            let output = ringscope_with(&["decode", "-o", "-"], &run)
                .output()
                .expect("ringscope starts");
            let said = String::from_utf8_lossy(&output.stderr);
            match output.status.code() {
                Some(0) => {
                    serde_json::from_slice::<Value>(&output.stdout).expect("strict JSON");
                }
                Some(1) => assert!(said.starts_with("ringscope: "), "{said}"),
                _ => panic!("{:?}: {said}", output.status),
            }
        }
    });
}
