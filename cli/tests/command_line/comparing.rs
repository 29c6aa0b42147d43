//! `diff`: what changed between two runs, and the exit status that says so.

use serde_json::Value;

use crate::sandbox::Sandbox;

/// Two runs, packed as `a.tar.zst` and `b.tar.zst`.
fn sandbox_with_two(a: &[&str], b: &[&str]) -> Sandbox {
    let sandbox = Sandbox::new();
    for (name, steps) in [("a.tar.zst", a), ("b.tar.zst", b)] {
        sandbox.record(&["--no-decode"], steps).expect_code(0);
        sandbox.run(&["pack", "-o", name]).expect_code(0);
    }
    sandbox
}

fn report(sandbox: &Sandbox, code: i32, args: &[&str]) -> Value {
    let mut all = vec!["diff", "a.tar.zst", "b.tar.zst", "--json"];
    all.extend(args);
    let text = sandbox.run(&all).expect_code(code).stdout;
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_run_that_does_more_has_regressed_by_count() {
    let sandbox = sandbox_with_two(&["spans:100", "end"], &["spans:150", "end"]);
    let by_count = ["--metric", "count", "--min-total", "0"];
    let grown = report(&sandbox, 3, &by_count);
    assert_eq!(grown["regressed"], 1);
    let row = &grown["rows"][0];
    assert_eq!(row["name"], "work");
    assert_eq!(row["verdict"], "regressed");
    assert_eq!(
        (&row["a"]["count"], &row["b"]["count"]),
        (&100.into(), &150.into())
    );
    assert_eq!(row["change"]["count"], 0.5);
    let mut tolerant = by_count.to_vec();
    tolerant.extend(["--threshold", "50"]);
    assert_eq!(
        report(&sandbox, 0, &tolerant)["rows"][0]["verdict"],
        "unchanged"
    );
    let mut demanding = by_count.to_vec();
    demanding.extend(["--min-count", "101"]);
    let row = &report(&sandbox, 0, &demanding)["rows"][0];
    assert_eq!(row["verdict"], "too little to tell");
    // The other way round it is an improvement.
    sandbox
        .run(&[
            "diff",
            "b.tar.zst",
            "a.tar.zst",
            "--metric",
            "count",
            "--min-total",
            "0",
        ])
        .expect_code(0)
        .expect_stdout("100  -33.3 %")
        .expect_stdout("improved\n")
        .expect_stdout("0 of 1 regressed");
}

#[test]
fn a_run_equals_itself() {
    let sandbox = sandbox_with_two(&["spans:100", "end"], &["spans:100", "end"]);
    let alone = sandbox
        .run(&[
            "diff",
            "a.tar.zst",
            "a.tar.zst",
            "--threshold",
            "0",
            "--min-total",
            "0",
        ])
        .expect_code(0)
        .stdout;
    assert!(
        alone.starts_with("A  a.tar.zst\nB  a.tar.zst\n\n"),
        "{alone}"
    );
    assert!(alone.contains("0 of 1 regressed (beyond 0 %"), "{alone}");
    let row = alone
        .lines()
        .find(|line| line.starts_with("work "))
        .unwrap();
    assert_eq!(row.matches(" =").count(), 5, "{row}");
}

#[test]
fn names_of_one_run_only_are_told() {
    let sandbox = sandbox_with_two(&["spans:100", "end"], &["spans:100", "end"]);
    let lone = report(&sandbox, 0, &["--by", "process"]);
    let verdicts = |report: &Value| -> Vec<String> {
        let rows = report["rows"].as_array().unwrap();
        let mut verdicts: Vec<String> = rows
            .iter()
            .map(|row| row["verdict"].as_str().unwrap().to_owned())
            .collect();
        verdicts.sort();
        verdicts
    };
    // Processes are named with their ids, which differ.
    assert_eq!(verdicts(&lone), ["only in A", "only in B"]);
    for row in lone["rows"].as_array().unwrap() {
        assert!(row["a"].is_null() != row["b"].is_null(), "{row}");
        assert!(row["change"]["total"].is_null(), "{row}");
    }
    let skipped = report(&sandbox, 0, &["--skip-first", "60"]);
    assert_eq!(skipped["rows"][0]["b"]["count"], 40);
}

#[test]
fn what_is_no_percentage_or_no_run_is_refused() {
    let sandbox = Sandbox::new();
    for bad in ["-1", "ten", "inf", "NaN", ""] {
        let threshold = format!("--threshold={bad}");
        sandbox.run(&["diff", "a", "b", &threshold]).expect_code(2);
    }
    sandbox.run(&["diff", "a"]).expect_code(2);
    sandbox
        .run(&["diff", "a", "b"])
        .expect_code(1)
        .expect_stderr("ringscope: find run: a");
}
