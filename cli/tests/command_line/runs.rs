//! `ls` and `gc`: what there is, and what may go.

use std::fs;
use std::os::unix::fs::symlink;

use crate::sandbox::Sandbox;

#[test]
fn runs_are_listed_with_their_command_and_state() {
    let sandbox = Sandbox::new();
    let running = sandbox.start(&["--keep"], &["spans:1", "print:ready", "line", "end"]);
    let listed = |state: &str| {
        let listed = sandbox.run(&["ls"]).expect_code(0).stdout;
        let line = listed.lines().nth(1).unwrap();
        assert!(line.contains("scripted"), "{listed}");
        assert!(line.contains(&format!("  {state}  ")), "{listed}");
    };
    listed("yes");
    running.finish().expect_code(0);
    listed("no");
}

#[test]
fn an_empty_place_lists_nothing() {
    let sandbox = Sandbox::new();
    assert_eq!(
        sandbox.run(&["ls"]).expect_code(0).stdout.lines().count(),
        1
    );
    sandbox
        .run(&["gc"])
        .expect_code(0)
        .expect_stderr("0 runs removed");
    sandbox
        .run(&["decode"])
        .expect_code(1)
        .expect_stderr("ringscope: find run: ");
}

#[test]
fn a_living_run_is_never_removed() {
    let sandbox = Sandbox::new();
    let running = sandbox.start(&["--keep"], &["spans:1", "print:ready", "line", "end"]);
    sandbox
        .run(&["gc"])
        .expect_code(0)
        .expect_stderr("alive, kept");
    sandbox.only_run();
    running.finish().expect_code(0);
    sandbox
        .run(&["gc", "--dry-run"])
        .expect_code(0)
        .expect_stderr("1 run would be removed");
    sandbox.only_run();
    sandbox
        .run(&["gc"])
        .expect_code(0)
        .expect_stderr("1 run removed");
    assert!(sandbox.runs().is_empty());
}

#[test]
fn only_files_of_ours_are_removed_and_links_not_followed() {
    let sandbox = Sandbox::new();
    sandbox
        .record(&["--no-decode"], &["spans:1", "end"])
        .expect_code(0);
    let run = sandbox.only_run();
    fs::write(run.join("notes.txt"), "mine").unwrap();
    fs::write(sandbox.path("precious"), "precious").unwrap();
    symlink(sandbox.path("precious"), run.join("level")).unwrap();
    // A link to a run is not a run to be removed.
    symlink(&run, sandbox.path("runs").join("run-link")).unwrap();
    sandbox.run(&["gc"]).expect_code(1);
    let left: Vec<_> = fs::read_dir(&run)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(left, ["notes.txt"]);
    assert_eq!(
        fs::read_to_string(sandbox.path("precious")).unwrap(),
        "precious"
    );
}
