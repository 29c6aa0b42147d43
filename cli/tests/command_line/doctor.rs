//! `doctor`: a fit machine passes, and what makes one unfit is named.

use std::io::Write;

use serde_json::Value;

use crate::sandbox::{Outcome, Sandbox};

/// Runs `doctor --json` behind shell commands that take something away; the report, read back, and the outcome.
fn examined(sandbox: &Sandbox, deprive: &str, arguments: &str) -> (Value, Outcome) {
    let doctor = env!("CARGO_BIN_EXE_ringscope");
    let script = format!("{deprive}; exec {doctor} doctor --json {arguments}");
    let outcome = sandbox.shell(&script);
    let report = serde_json::from_str(&outcome.stdout).unwrap();
    (report, outcome)
}

/// The check of this name.
fn check<'a>(report: &'a Value, name: &str) -> &'a Value {
    let checks = report["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).unwrap()
}

#[test]
fn a_machine_that_runs_these_tests_is_fit() {
    let sandbox = Sandbox::new();
    let shown = sandbox.run(&["doctor"]).expect_code(0).stdout;
    assert!(shown.contains("\nok    fork "), "{shown}");
    assert!(shown.ends_with(" to a recording\n"), "{shown}");

    let (report, outcome) = examined(&sandbox, "true", "");
    outcome.expect_code(0);
    assert_eq!(report["fit"], true);
    for name in ["ring", "lock", "fork", "level"] {
        assert_eq!(check(&report, name)["state"], "ok", "{report}");
    }
    let figure = |name: &str, figure: &str| check(&report, name)["figures"][figure].clone();
    for (name, of) in [
        ("clock", "step_ns"),
        ("clock", "ghz"),
        ("cost", "span_ns"),
        ("cost", "floor_ns"),
        ("ring", "took_ns"),
        ("space", "free_bytes"),
        ("processors", "count"),
    ] {
        assert!(figure(name, of).as_f64().unwrap() > 0.0, "{name} {of}");
    }
    assert!(figure("calibration", "error_ns").is_number());
    assert_eq!(report["cost"]["span_ns"], figure("cost", "span_ns"));
    assert!(sandbox.runs().is_empty(), "a trial run was left behind");
}

#[test]
fn files_that_may_not_hold_a_ring_make_it_unfit() {
    let sandbox = Sandbox::new();
    let (report, outcome) = examined(&sandbox, "ulimit -f 100", "");
    assert_eq!(
        outcome.expect_code(1).stderr,
        "ringscope: doctor: this machine: unfit for recording: ring, file size\n"
    );
    assert_eq!(report["fit"], false);
    assert_eq!(check(&report, "file size")["state"], "fail");
    let ring = check(&report, "ring");
    assert!(
        ring["found"].as_str().unwrap().contains("File too large"),
        "{ring}"
    );
    // A smaller ring fits.
    let (report, outcome) = examined(&sandbox, "ulimit -f 100", "--ring-size 16KiB");
    outcome.expect_code(0);
    assert_eq!(check(&report, "file size")["state"], "warn");
}

#[test]
fn a_place_where_no_run_can_be_made_makes_it_unfit() {
    let sandbox = Sandbox::new();
    let (report, outcome) = examined(&sandbox, "true", "--dir /proc/ringscope");
    outcome
        .expect_code(1)
        .expect_stderr("ringscope: doctor: this machine: unfit for recording: place\n");
    assert_eq!(check(&report, "place")["state"], "fail");
}

#[test]
fn what_a_recording_would_miss_is_a_warning() {
    let sandbox = Sandbox::new();
    let poor = |name: &str, deprive: &str, arguments: &str| {
        let (report, outcome) = examined(&sandbox, deprive, arguments);
        outcome.expect_code(0);
        let check = check(&report, name);
        assert_eq!(check["state"], "warn", "{check}");
        assert!(check["remedy"].is_string(), "{check}");
    };
    poor("space", "true", "--threads 100000 --ring-size 1GiB");
    poor("files", "ulimit -n 70", "");
    poor("memory", "ulimit -v 4000000", "--threads 2000");
    poor("maps", "true", "--threads 1000000 --ring-size 16KiB");
    // Other C libraries say nothing about it, which is a warning too.
    poor(
        "tls",
        "export GLIBC_TUNABLES=glibc.rtld.optional_static_tls=16",
        "",
    );
}

/// Runs `doctor --json` on a file system of its own; `None` where none can be mounted.
fn examined_on(mount: &str) -> Option<(Value, Outcome)> {
    let sandbox = Sandbox::new();
    let place = sandbox.path("mounted");
    std::fs::create_dir(&place).unwrap();
    let place = place.display();
    let in_namespace = |then: &str| {
        let script = format!("unshare -m sh -c 'mount {mount} none {place} && {then}'");
        sandbox.shell(&script)
    };
    if in_namespace("true").code != Some(0) {
        // Standard error itself, since the harness hides what passing tests print; nobody may be there to tell.
        let _ = writeln!(
            std::io::stderr(),
            "not run here: doctor on {mount}, because it can't be mounted"
        );
        return None;
    }
    let doctor = env!("CARGO_BIN_EXE_ringscope");
    let outcome = in_namespace(&format!("exec {doctor} doctor --json --dir {place}/runs"));
    let report = serde_json::from_str(&outcome.stdout).unwrap();
    Some((report, outcome))
}

#[test]
fn file_systems_that_are_small_full_read_only_or_unsafe_are_told() {
    let small: &[_] = &[("space", "warn"), ("ring", "ok")];
    let full: &[_] = &[("space", "fail"), ("ring", "fail")];
    let no_place: &[_] = &[("place", "fail")];
    let expected = [
        ("-t tmpfs -o size=1m", 0, small),
        ("-t tmpfs -o size=60k", 1, full),
        ("-t tmpfs -o ro", 1, no_place),
        ("-t ramfs", 1, no_place),
    ];
    for (mount, code, states) in expected {
        let Some((report, outcome)) = examined_on(mount) else {
            continue;
        };
        outcome.expect_code(code);
        for (name, state) in states {
            assert_eq!(check(&report, name)["state"], *state, "{mount}: {report}");
        }
    }
}
