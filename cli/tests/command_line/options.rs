//! Help, usage errors, completions, manual pages.

use crate::sandbox::Sandbox;

#[test]
fn wrong_usage_exits_with_2() {
    let sandbox = Sandbox::new();
    for args in [
        &[][..],
        &["snapshot", "--last", "soon"],
        &["diff", "run"],
        &["open", "trace.json", "--port", "66000"],
        &["record"],
        &["record", "--no-such-flag", "--", "true"],
        &["record", "--ring-size", "big", "--", "true"],
        &["decode", "--order", "random"],
        &["decode", "--split-by", "colour"],
        &["stats", "--by", "arg:"],
        &["stats", "--json", "--csv"],
        &["level", "run", "loud"],
    ] {
        let outcome = sandbox.run(args).expect_code(2);
        assert!(outcome.stdout.is_empty(), "{args:?}");
    }
    let mut command = sandbox.ringscope(["record", "--", "true"]);
    let output = command.env("RINGSCOPE_RING_SIZE", "big").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn help_shows_examples() {
    let sandbox = Sandbox::new();
    sandbox
        .run(&["--help"])
        .expect_code(0)
        .expect_stdout("Start here:");
    for command in [
        "record", "decode", "snapshot", "stats", "diff", "open", "inspect", "level",
    ] {
        sandbox
            .run(&[command, "--help"])
            .expect_code(0)
            .expect_stdout("Examples:");
    }
}

#[test]
fn shells_and_manual_readers_are_served() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish"] {
        sandbox
            .run(&["completions", shell])
            .expect_code(0)
            .expect_stdout("inspect");
    }
    sandbox
        .run(&["man"])
        .expect_code(0)
        .expect_stdout(".TH ringscope 1");
    sandbox.run(&["man", "pages"]).expect_code(0);
    for page in ["ringscope.1", "ringscope-record.1", "ringscope-gc.1"] {
        assert!(sandbox.path("pages").join(page).exists(), "{page}");
    }
}
