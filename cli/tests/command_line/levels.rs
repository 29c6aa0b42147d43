//! `level`, `--level`, `--delay` and `--duration`: recording is switched in running processes.

use std::fs;

use crate::sandbox::Sandbox;

#[test]
fn the_level_of_a_running_process_is_switched() {
    let sandbox = Sandbox::new();
    let steps = [
        "level:3",
        "print:on",
        "level:0",
        "print:off",
        "level:7",
        "end",
    ];
    let mut running = sandbox.start(&["--keep"], &steps);
    let run = sandbox.only_run();
    let level = |level: &str| {
        sandbox
            .run(&["level", run.to_str().unwrap(), level])
            .expect_code(0)
            .expect_stderr("in 1 living process of");
        fs::read_to_string(run.join("level")).unwrap()
    };
    assert_eq!(level("off"), "off\n");
    assert_eq!(running.line(), "off");
    assert_eq!(level("verbose"), "e2e,kernel,verbose\n");
    running.finish().expect_code(0);
    sandbox
        .run(&["level", run.to_str().unwrap(), "off"])
        .expect_code(0)
        .expect_stderr("in 0 living processes of");
}

#[test]
fn a_descriptor_that_is_another_file_by_now_is_left_alone() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("precious"), "precious").unwrap();
    let steps = ["spans:1", "steal:precious", "print:ready", "line", "end"];
    let running = sandbox.start(&["--no-decode"], &steps);
    let run = sandbox.only_run();
    sandbox
        .run(&["level", run.to_str().unwrap(), "off"])
        .expect_code(1)
        .expect_stderr("is another file by now");
    assert_eq!(
        fs::read_to_string(sandbox.path("precious")).unwrap(),
        "precious"
    );
    running.finish().expect_code(0);
}

#[test]
fn recording_begins_late_and_stops_early() {
    let sandbox = Sandbox::new();
    let steps = ["level:0", "level:3", "level:0", "end"];
    sandbox
        .record(
            &["--no-decode", "--delay", "50ms", "--duration", "1s"],
            &steps,
        )
        .expect_code(0);
    assert_eq!(
        fs::read_to_string(sandbox.only_run().join("level")).unwrap(),
        "off\n"
    );
}

#[test]
fn the_environment_is_the_default_and_arguments_win() {
    let sandbox = Sandbox::new();
    let show = [
        "record",
        "--no-decode",
        "--",
        "sh",
        "-c",
        "echo $RINGSCOPE_LEVEL $RINGSCOPE_MODE",
    ];
    let output = |args: &[&str]| {
        let mut command = sandbox.ringscope(args);
        command
            .env("RINGSCOPE_LEVEL", "e2e")
            .env("RINGSCOPE_MODE", "flight");
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    assert_eq!(sandbox.run(&show).stdout, "e2e,kernel full\n");
    assert_eq!(output(&show), "e2e flight\n");
    let mut args = show.to_vec();
    args.splice(1..1, ["--level", "verbose", "--mode", "full"]);
    assert_eq!(output(&args), "e2e,kernel,verbose full\n");
}
