//! Deaths of every kind but SIGKILL, on memory and on disk: the judge of the kill campaign, and how the end is told.
//!
//! `RINGSCOPE_DEATHS` says how often each is tried: 300 times unless set.

use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};

use ringscope_tests::cgroups::MemoryGroup;
use ringscope_tests::judge::{Terms, judge};
use ringscope_tests::not_run::not_run_here;
use ringscope_tests::programs::{Medium, command, new_dir, runs_in, writer};
use ringscope_tests::run_files::RunFiles;

fn die(how: &str, is_right: impl Fn(ExitStatus) -> bool, is_clean: bool) {
    die_in(None, how, is_right, is_clean);
}

/// As [`die`], in a memory cgroup.
fn die_in(
    group: Option<&MemoryGroup>,
    how: &str,
    is_right: impl Fn(ExitStatus) -> bool,
    is_clean: bool,
) {
    let times = std::env::var("RINGSCOPE_DEATHS").map_or(300, |n| n.parse().expect("a number"));
    for time in 0..times {
        let medium = [Medium::Memory, Medium::Disk][time % 2];
        let dir = new_dir(medium);
        let mut command = command(&writer());
        if let Some(group) = group {
            group.put(&mut command);
        }
        let status = command
            .args(["deaths", &format!("how={how}")])
            .env("RINGSCOPE_DIR", dir.path())
            .env("RINGSCOPE_RING_SIZE", "64KiB")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("the writer starts");
        assert!(is_right(status), "{how}: {status}");
        for run in runs_in(dir.path()) {
            let terms = Terms {
                killed: true,
                ..Terms::default()
            };
            let verdict = judge(&run, terms);
            verdict.assert_sound();
            assert!(verdict.records > 100, "{how}");
            let files = RunFiles::read(&run).expect("the run can be read");
            let [process] = &files.processes[..] else {
                panic!("{how}: one process a run")
            };
            // What an exec left is a run that did not end cleanly, beside that of the new program.
            let replaced = how == "exec" && process.rings.len() > 1;
            assert_eq!(process.ended_cleanly(), is_clean && !replaced, "{how}");
        }
    }
}

#[test]
fn segmentation_fault() {
    die(
        "segv",
        |status| status.signal() == Some(libc::SIGSEGV),
        false,
    );
}

#[test]
fn abort() {
    die(
        "abort",
        |status| status.signal() == Some(libc::SIGABRT),
        false,
    );
}

#[test]
fn exit_at_once() {
    die("_exit", |status| status.code() == Some(3), false);
}

#[test]
fn exec() {
    die("exec", |status| status.success(), true);
}

#[test]
fn cancelled_thread() {
    die("cancel", |status| status.success(), true);
}

#[test]
fn exit() {
    die("exit", |status| status.code() == Some(3), true);
}

#[test]
fn return_from_main() {
    die("return", |status| status.success(), true);
}

#[test]
fn panic() {
    die("panic", |status| status.code() == Some(101), true);
}

#[test]
fn out_of_memory() {
    match MemoryGroup::new("oom", 48 << 20) {
        Ok(group) => die_in(
            Some(&group),
            "oom",
            |status| status.signal() == Some(libc::SIGKILL),
            false,
        ),
        Err(because) => not_run_here("the kill of a process out of memory", &because),
    }
}
