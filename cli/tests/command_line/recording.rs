//! `record`: the program's status, signals and output stay its own; its records are saved; its end is told.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::sandbox::{Sandbox, scripted};

#[test]
fn the_exit_status_is_the_programs() {
    let sandbox = Sandbox::new();
    sandbox.record(&[], &["spans:1", "end"]).expect_code(0);
    sandbox.record(&[], &["spans:1", "exit:3"]).expect_code(3);
    sandbox.record(&[], &["exit:255"]).expect_code(255);
    sandbox.record(&[], &["kill:15"]).expect_code(128 + 15);
    sandbox.record(&[], &["kill:9"]).expect_code(128 + 9);
}

#[test]
fn a_program_that_cannot_start_leaves_nothing_behind() {
    let sandbox = Sandbox::new();
    sandbox
        .run(&["record", "--", "./no-such-program"])
        .expect_code(127)
        .expect_stderr("ringscope: start: ./no-such-program: No such file");
    fs::write(sandbox.path("plain"), "text").unwrap();
    sandbox
        .run(&["record", "--", "./plain"])
        .expect_code(126)
        .expect_stderr("ringscope: start: ./plain: Permission denied");
    assert!(sandbox.runs().is_empty());
    assert_eq!(sandbox.files(), ["plain"]);
}

#[test]
fn standard_output_is_the_programs_alone() {
    let sandbox = Sandbox::new();
    let outcome = sandbox.record(&[], &["print:hello", "spans:5", "end"]);
    assert_eq!(outcome.stdout, "hello\n");
}

#[test]
fn signals_reach_the_program() {
    for signal in [
        libc::SIGINT,
        libc::SIGTERM,
        libc::SIGHUP,
        libc::SIGUSR1,
        libc::SIGUSR2,
    ] {
        let sandbox = Sandbox::new();
        let steps = ["print:ready", &format!("signal:{signal}"), "print:got it"];
        let mut running = sandbox.start(&["--no-decode"], &steps);
        running.signal(signal);
        assert_eq!(running.line(), "got it", "signal {signal}");
        running.finish().expect_code(0);
    }
}

#[test]
fn the_terminals_interrupt_is_left_to_the_terminal() {
    let sandbox = Sandbox::new();
    let steps = ["signal:2", "print:got it", "end"];
    let (mut running, mut terminal) =
        sandbox.start_on_terminal(&[], &[&["spans:1", "print:ready"], &steps[..]].concat());
    terminal.type_interrupt();
    assert_eq!(running.line(), "got it");
    running
        .finish()
        .expect_code(0)
        .expect_stderr("1, none lost");

    // A program that left the terminal's group asked not to be interrupted by it.
    let steps = [
        "group",
        "print:ready",
        "line",
        "spans:1",
        "drained",
        "none:2",
        "end",
    ];
    let (running, mut terminal) = sandbox.start_on_terminal(&[], &steps);
    terminal.type_interrupt();
    running
        .finish()
        .expect_code(0)
        .expect_stderr("1, none lost");
}

#[test]
fn a_signal_that_ends_the_program_does_not_end_the_recording() {
    let sandbox = Sandbox::new();
    let running = sandbox.start(&[], &["spans:10", "print:ready", "signal:12"]);
    running.signal(libc::SIGTERM);
    running
        .finish()
        .expect_code(128 + libc::SIGTERM)
        .expect_stderr("killed by SIGTERM")
        .expect_stderr("trace.json");
    assert_eq!(sandbox.files(), ["trace.json"]);
}

#[test]
fn a_signal_after_the_programs_end_skips_decoding() {
    let sandbox = Sandbox::new();
    // The program ends; a child that records lives on and is waited for.
    let steps = [
        "child",
        "spans:1",
        "drained",
        "release",
        "orphaned",
        "print:ready",
        "line",
    ];
    let running = sandbox.start(&[], &steps);
    running.signal(libc::SIGINT);
    running.finish().expect_code(0).expect_stderr("not decoded");
    assert!(sandbox.files().is_empty());
    sandbox.only_run();
}

#[test]
fn the_end_of_a_grandchild_is_seen() {
    let sandbox = Sandbox::new();
    let script = format!("{} spans:5 drained kill:9; exit 0", scripted());
    sandbox
        .run(&["record", "--", "sh", "-c", &script])
        .expect_code(0)
        .expect_stderr("killed by SIGKILL")
        .expect_stderr("kept       ");
    sandbox.only_run();
}

#[test]
fn a_clean_run_is_removed_and_a_killed_one_kept() {
    let sandbox = Sandbox::new();
    sandbox.record(&[], &["spans:5", "end"]).expect_code(0);
    assert!(sandbox.runs().is_empty());
    sandbox.record(&[], &["spans:5", "exit:0"]).expect_code(0);
    assert!(
        sandbox.runs().is_empty(),
        "_exit without open spans is fine"
    );
    sandbox
        .record(&[], &["spans:5", "open:stuck", "exit:0"])
        .expect_stderr("spans stood open");
    assert_eq!(sandbox.runs().len(), 1);
    sandbox
        .record(&["--keep"], &["spans:5", "end"])
        .expect_stderr("(--keep)");
    assert_eq!(sandbox.runs().len(), 2);
}

#[test]
fn processes_that_live_on_keep_their_run() {
    let sandbox = Sandbox::new();
    let steps = [
        "child",
        "spans:1",
        "drained",
        "release",
        "print:ready",
        "line",
    ];
    let mut running = sandbox.start(&[], &steps);
    // The program has ended, its child has the pipe; the supervisor waits for it and then goes.
    let stdin = running.take_stdin();
    running
        .wait_for_record()
        .expect_code(0)
        .expect_stderr("still records");
    sandbox
        .run(&["gc"])
        .expect_code(0)
        .expect_stderr("alive, kept");
    sandbox.only_run();
    drop(stdin);
}

#[test]
fn draining_saves_more_than_a_ring_holds() {
    let sandbox = Sandbox::new();
    // 2,048 records a ring.
    let steps: Vec<&str> = ["spans:1500", "drained"].repeat(10);
    sandbox
        .record(
            &["--ring-size", "64KiB", "--keep"],
            &[&steps[..], &["end"]].concat(),
        )
        .expect_code(0)
        .expect_stderr("15,000, none lost");
    let names = sandbox.run(&["stats", "--json", "--strict"]).expect_code(0);
    let rows: serde_json::Value = serde_json::from_str(&names.stdout).unwrap();
    assert_eq!(rows[0]["name"], "work");
    assert_eq!(rows[0]["count"], 15_000);
}

#[test]
fn a_record_that_stays_unpublished_holds_the_drain_up_only_so_long() {
    let sandbox = Sandbox::new();
    // A quarter of the ring, 512 records, must stand behind it first.
    let steps = [
        "spans:10",
        "hole",
        "spans:100",
        "held:10",
        "spans:1400",
        "drained",
        "end",
    ];
    sandbox
        .record(&["--ring-size", "64KiB"], &steps)
        .expect_code(0)
        .expect_stderr("1 torn");
}

#[test]
fn a_run_that_grows_past_its_limit_is_not_drained_further() {
    let sandbox = Sandbox::new();
    sandbox
        .record(
            &["--max-size", "72KiB", "--ring-size", "64KiB"],
            &["spans:1500", "seen", "spans:10", "end"],
        )
        .expect_code(0)
        .expect_stderr("draining stopped: the run takes");
}

#[test]
fn unsafe_places_are_refused() {
    let sandbox = Sandbox::new();
    let refused = |dir: &str, why: &str| {
        let path = sandbox.path(dir);
        sandbox
            .run(&["record", "--dir", path.to_str().unwrap(), "--", "true"])
            .expect_code(1)
            .expect_stderr(&format!("ringscope: record: {}: {why}", path.display()));
    };
    fs::create_dir(sandbox.path("real")).unwrap();
    symlink("real", sandbox.path("link")).unwrap();
    refused("link", "is a symlink");
    fs::write(sandbox.path("file"), "").unwrap();
    refused("file", "is not a directory");
    fs::create_dir(sandbox.path("open")).unwrap();
    fs::set_permissions(sandbox.path("open"), fs::Permissions::from_mode(0o777)).unwrap();
    refused("open", "others may rename files in it");
    fs::create_dir(sandbox.path("foreign")).unwrap();
    // Only the superuser can give a directory away.
    if std::os::unix::fs::chown(sandbox.path("foreign"), Some(12_345), None).is_ok() {
        refused("foreign", "belongs to user 12345");
    }
}

#[test]
fn run_directories_are_private() {
    let sandbox = Sandbox::new();
    sandbox
        .record(&["--no-decode"], &["spans:1", "end"])
        .expect_code(0);
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(sandbox.path("runs")), 0o700);
    assert_eq!(mode(sandbox.only_run()), 0o700);
    for file in fs::read_dir(sandbox.only_run()).unwrap() {
        assert_eq!(mode(file.unwrap().path()), 0o600);
    }
}

#[test]
fn nothing_recorded_is_said_with_reasons() {
    let sandbox = Sandbox::new();
    sandbox
        .run(&["record", "--", "true"])
        .expect_code(0)
        .expect_stderr("records    none")
        .expect_stderr("perhaps the program does not use ringscope");
    assert!(sandbox.files().is_empty());
    // EACCES, as a process says that could not make its files.
    sandbox
        .run(&[
            "record",
            "--",
            "sh",
            "-c",
            "touch $RINGSCOPE_RUN/77-00000000000000aa-13.off",
        ])
        .expect_stderr("process 77 could not record: Permission denied");
}
