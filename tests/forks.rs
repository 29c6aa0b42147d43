//! Forks of every kind: each process has files of its own, no child touches its parent's rings, a guard that was
//! inherited is counted, and a dead parent is told from its living child.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use ringscope_ringbuf::file::{FileKind, FileName, LockFile};
use ringscope_ringbuf::layout::{DropCause, END_CLEAN};
use ringscope_tests::programs::{self, Medium};
use ringscope_tests::scenarios;
use ringscope_tests::script::CYCLE;

fn every_process_has_its_own_records(how: &str, processes: usize) {
    let forked = scenarios::fork(&programs::writer(), how);
    forked.verdict.assert_sound();
    assert_eq!(forked.said.len(), processes, "{how}");
    assert_eq!(forked.run.processes.len(), processes, "{how}");
    let parent = &forked
        .run
        .processes
        .iter()
        .find(|p| p.header.parent_nonce.get() == 0);
    let parent = parent.expect("one process was not forked");
    assert!(parent.ended_cleanly());
    for child in forked
        .run
        .processes
        .iter()
        .filter(|p| p.pid() != parent.pid())
    {
        assert!(
            !child.ended_cleanly(),
            "a child that ended by _exit did not say so"
        );
        assert_ne!(child.header.parent_nonce.get(), 0);
    }
}

#[test]
fn fork() {
    every_process_has_its_own_records("fork", 2);
}

#[test]
fn bare_clone() {
    every_process_has_its_own_records("clone", 2);
}

#[test]
fn fork_without_handlers() {
    every_process_has_its_own_records("_Fork", 2);
}

#[test]
fn double_fork() {
    every_process_has_its_own_records("double", 3);
}

#[test]
fn fork_server() {
    every_process_has_its_own_records("server", 11);
}

#[test]
fn a_child_in_its_parents_memory_records_for_it() {
    let forked = scenarios::fork(&programs::writer(), "vfork");
    forked.verdict.assert_sound();
    let [parent] = &forked.run.processes[..] else {
        panic!("one process has files")
    };
    assert!(parent.ended_cleanly() && parent.rings.len() == 1);
    assert_eq!(parent.drops(), []);
    assert_eq!(forked.said[0].records, 3 * 20 * CYCLE);
}

#[test]
fn a_child_that_records_nothing_leaves_nothing() {
    every_process_has_its_own_records("unrecorded", 1);
}

#[test]
fn forks_amid_busy_threads() {
    let forked = scenarios::fork(&programs::writer(), "storm");
    forked.verdict.assert_sound();
    assert_eq!(forked.said.len(), 51);
    assert_eq!(forked.run.processes.len(), 51);
}

#[test]
fn a_guard_inherited_over_a_fork_is_counted() {
    let forked = scenarios::fork(&programs::writer(), "inside");
    forked.verdict.assert_sound();
    assert_eq!(forked.verdict.others["inherited"], 1);
    for process in &forked.run.processes {
        let is_child = process.header.parent_nonce.get() != 0;
        let expected = if is_child {
            vec![(DropCause::InheritedGuard, 1)]
        } else {
            vec![]
        };
        assert_eq!(process.drops(), expected);
    }
}

#[test]
fn a_dead_parent_is_told_from_its_living_child() {
    let dir = programs::new_dir(Medium::Memory);
    let mut parent = programs::command(&programs::writer())
        .args(["forks", "how=orphan"])
        .env("RINGSCOPE_DIR", dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the writer starts");
    let input = parent.stdin.take().expect("the input is a pipe");
    let output = parent.stdout.take().expect("the output is a pipe");
    let lines = BufReader::new(output)
        .lines()
        .map(|line| line.expect("the output is text"));
    let pids: Vec<u32> = lines
        .take(2)
        .map(|line| {
            line.split(' ')
                .nth(1)
                .and_then(|pid| pid.parse().ok())
                .expect("a pid")
        })
        .collect();
    let parent_pid = parent.id();
    assert!(
        parent
            .wait()
            .expect("the parent is ours to wait for")
            .success()
    );

    let child_pid = pids
        .iter()
        .copied()
        .find(|pid| *pid != parent_pid)
        .expect("a child");
    let lock = |pid: u32| {
        let run = &programs::runs_in(dir.path())[0];
        let is_wanted = |name: FileName| name.pid == pid && name.kind == FileKind::Lock;
        let path = programs::runs_in(run).into_iter().find(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            FileName::parse(&name).is_some_and(is_wanted)
        });
        LockFile::read(&path.expect("a lock file")).expect("it can be read")
    };
    let (dead, alive) = (lock(parent_pid), lock(child_pid));
    assert_eq!((dead.holder, dead.page.end_state.get()), (None, END_CLEAN));
    assert_eq!(
        (alive.holder, alive.page.end_state.get()),
        (Some(child_pid), 0)
    );
    drop(input);
}
