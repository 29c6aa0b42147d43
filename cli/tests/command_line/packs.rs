//! `pack`, and packs wherever a run may stand.

use std::fs;

use serde_json::Value;

use crate::sandbox::Sandbox;

/// A sandbox with a run of 1,000 spans that is packed as `run.tar.zst`, and gone.
fn sandbox_with_pack() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox
        .record(&["--no-decode"], &["spans:1000", "open:forever", "end"])
        .expect_code(0);
    sandbox
        .run(&["pack", "-o", "run.tar.zst"])
        .expect_code(0)
        .expect_stderr("run.tar.zst: ");
    sandbox
}

#[test]
fn every_command_reads_a_pack() {
    let sandbox = sandbox_with_pack();
    let decode = |run: &str| {
        let trace = sandbox
            .run(&["decode", run, "-o", "-", "--order", "lane"])
            .expect_code(0)
            .stdout;
        let trace: Value = serde_json::from_str(&trace).unwrap();
        trace["traceEvents"].clone()
    };
    let run = sandbox.only_run();
    let run = run.to_str().unwrap();
    assert_eq!(decode(run), decode("run.tar.zst"));
    let stats = |run: &str| sandbox.run(&["stats", run, "--json"]).expect_code(0).stdout;
    assert_eq!(stats(run), stats("run.tar.zst"));
    let inspect = |run: &str| {
        let report = sandbox
            .run(&["inspect", run, "--json"])
            .expect_code(0)
            .stdout;
        let report: Value = serde_json::from_str(&report).unwrap();
        report["processes"].clone()
    };
    assert_eq!(inspect(run), inspect("run.tar.zst"));
    let listed = sandbox.run(&["ls", "run.tar.zst"]).expect_code(0).stdout;
    assert!(
        listed.contains("run.tar.zst") && listed.contains("scripted"),
        "{listed}"
    );
    sandbox
        .run(&["level", "run.tar.zst", "off"])
        .expect_code(1)
        .expect_stderr("ringscope: level: run.tar.zst: is a pack");
    sandbox.run(&["gc", "run.tar.zst"]).expect_code(1);
    assert!(sandbox.path("run.tar.zst").exists());
}

#[test]
fn a_pack_is_small_and_named_after_its_run() {
    let sandbox = sandbox_with_pack();
    // Of a ring of 1 MiB with 1,000 records in it, 32 kB are in use.
    assert!(fs::metadata(sandbox.path("run.tar.zst")).unwrap().len() < 40_000);
    sandbox.run(&["pack"]).expect_code(0);
    let run = sandbox.only_run();
    let name = run.file_name().unwrap().to_str().unwrap();
    assert_eq!(
        sandbox.files(),
        [format!("{name}.tar.zst"), "run.tar.zst".to_owned()]
    );
    // Packing a pack is packing its run.
    sandbox
        .run(&["pack", "run.tar.zst", "-o", "again.tar.zst"])
        .expect_code(0);
    let stats = |run: &str| sandbox.run(&["stats", run, "--json"]).expect_code(0).stdout;
    assert_eq!(stats("run.tar.zst"), stats("again.tar.zst"));
}

#[test]
fn a_living_run_is_packed_as_it_stands() {
    let sandbox = Sandbox::new();
    let running = sandbox.start(
        &["--keep"],
        &[
            "spans:500",
            "drained",
            "print:ready",
            "line",
            "spans:500",
            "end",
        ],
    );
    sandbox.run(&["pack", "-o", "live.tar.zst"]).expect_code(0);
    running.finish().expect_code(0);
    let stats = sandbox
        .run(&["stats", "live.tar.zst", "--json"])
        .expect_code(0);
    let rows: Value = serde_json::from_str(&stats.stdout).unwrap();
    assert_eq!(rows[0]["count"], 500, "{rows}");
    assert_eq!(stats.stderr, "");
}

#[test]
fn what_is_no_pack_is_refused_in_one_line() {
    let sandbox = sandbox_with_pack();
    let pack = fs::read(sandbox.path("run.tar.zst")).unwrap();
    fs::write(sandbox.path("cut.tar.zst"), &pack[..pack.len() / 2]).unwrap();
    fs::write(sandbox.path("notes.txt"), "mine").unwrap();
    for command in ["decode", "stats", "pack"] {
        let refused = sandbox.run(&[command, "cut.tar.zst"]).expect_code(1);
        assert!(
            refused
                .stderr
                .starts_with("ringscope: read run: cut.tar.zst: "),
            "{refused:?}"
        );
        assert_eq!(refused.stderr.lines().count(), 1, "{refused:?}");
        sandbox
            .run(&[command, "notes.txt"])
            .expect_code(1)
            .expect_stderr("ringscope: find run: notes.txt: expected a run");
    }
    sandbox
        .record(&["--no-decode"], &["spans:1", "end"])
        .expect_code(0);
    sandbox
        .run(&["pack", "runs", "-o", "two.tar.zst"])
        .expect_code(1)
        .expect_stderr("ringscope: find run: runs: expected one run, found 2");
    assert!(!sandbox.path("two.tar.zst").exists());
}
