//! Off costs nothing: no file, no thread, no system call; armed with level off, no system call a record.

use std::path::Path;
use std::process::{Command, Stdio};

use ringscope_tests::not_run::has_program;
use ringscope_tests::programs::{Medium, command, new_dir, runs_in, writer};

/// Names of the system calls that the writer makes between its two marks.
fn calls_between_marks(command: &mut Command, log: &Path) -> Vec<String> {
    let output = command.output().expect("strace is installed");
    assert!(output.status.success(), "{output:?}");
    let text = std::fs::read_to_string(log).expect("strace wrote its log");
    let calls: Vec<String> = text
        .lines()
        .map(|line| line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' '))
        .filter_map(|line| Some(line.split_once('(')?.0.to_string()))
        .collect();
    let marks: Vec<usize> = (0..calls.len()).filter(|i| calls[*i] == "getsid").collect();
    let [from, to] = marks[..] else {
        panic!("two marks in {calls:?}")
    };
    calls[from + 1..to].to_vec()
}

fn traced(log: &Path, warm: bool) -> Command {
    let mut traced = command(Path::new("strace"));
    traced.arg("-f").arg("-o").arg(log).arg(writer()).arg("off");
    if warm {
        traced.arg("warm=1");
    }
    traced.stdin(Stdio::null());
    traced
}

#[test]
fn nothing_configured_makes_no_system_call() {
    if !has_program("strace", "system calls of a program that is off") {
        return;
    }
    let dir = new_dir(Medium::Memory);
    let calls = calls_between_marks(
        &mut traced(&dir.path().join("log"), false),
        &dir.path().join("log"),
    );
    assert_eq!(calls, [""; 0]);
}

#[test]
fn armed_with_level_off_makes_no_system_call_a_record() {
    if !has_program("strace", "system calls of a program that is off") {
        return;
    }
    let (dir, log) = (new_dir(Medium::Memory), new_dir(Medium::Memory));
    let log = log.path().join("log");
    let mut traced = traced(&log, true);
    traced
        .env("RINGSCOPE_DIR", dir.path())
        .env("RINGSCOPE_LEVEL", "off");
    assert_eq!(calls_between_marks(&mut traced, &log), [""; 0]);
    let files = runs_in(&runs_in(dir.path())[0]);
    let names: Vec<_> = files.iter().filter_map(|path| path.extension()).collect();
    assert_eq!(names.len(), 2, "a process file and a lock file: {files:?}");
}

#[test]
fn recording_makes_system_calls_at_first_and_none_later() {
    if !has_program("strace", "system calls of a program that is off") {
        return;
    }
    let (dir, log) = (new_dir(Medium::Memory), new_dir(Medium::Memory));
    let log = log.path().join("log");
    // The check of the checks above: they can see a system call.
    let mut cold = traced(&log, false);
    cold.env("RINGSCOPE_DIR", dir.path());
    assert!(calls_between_marks(&mut cold, &log).contains(&"openat".to_string()));
    let mut warm = traced(&log, true);
    warm.env("RINGSCOPE_DIR", dir.path());
    assert_eq!(calls_between_marks(&mut warm, &log), [""; 0]);
}
