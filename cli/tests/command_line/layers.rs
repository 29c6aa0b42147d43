//! `record --opencl`: what the program's environment names; `ci/opencl` has programs that use OpenCL.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::sandbox::{Outcome, Sandbox};

const LIBRARY: &str = "libringscope_opencl.so";

/// What `OPENCL_LAYERS` is in a program that is recorded by an installed binary, where it was `before`.
fn layers(sandbox: &Sandbox, before: Option<&str>) -> Outcome {
    let mut command = Command::new(sandbox.path("bin/ringscope"));
    command.env_remove("OPENCL_LAYERS");
    if let Some(before) = before {
        command.env("OPENCL_LAYERS", before);
    }
    command
        .args(["record", "--opencl", "--no-decode", "--"])
        .args(["sh", "-c", "printf %s \"$OPENCL_LAYERS\""])
        .current_dir(sandbox.path("."))
        .env("RINGSCOPE_DIR", sandbox.path("runs"))
        .stdin(Stdio::null());
    Outcome::from(command.output().unwrap())
}

fn install(with_library: bool) -> Sandbox {
    let sandbox = Sandbox::new();
    let binary = Path::new(env!("CARGO_BIN_EXE_ringscope"));
    sandbox.copy(binary, "bin/ringscope");
    if with_library {
        let built = binary.with_file_name("deps").join(LIBRARY);
        sandbox.copy(&built, &format!("bin/{LIBRARY}"));
    }
    sandbox
}

#[test]
fn the_layer_stands_behind_those_that_were_named_already() {
    let sandbox = install(true);
    let library = sandbox.path("bin").join(LIBRARY);
    let library = fs::canonicalize(library).unwrap().display().to_string();
    for (before, expected) in [
        (None, library.clone()),
        (Some(""), library.clone()),
        (
            Some("/opt/one.so:/opt/two.so"),
            format!("/opt/one.so:/opt/two.so:{library}"),
        ),
    ] {
        let outcome = layers(&sandbox, before);
        assert_eq!(outcome.stdout, expected, "{outcome:#?}");
    }
}

#[test]
fn a_layer_that_is_missing_is_told_and_the_program_is_not_started() {
    let outcome = layers(&install(false), None).expect_code(1);
    assert!(
        outcome
            .stderr
            .starts_with("ringscope: record: libringscope_opencl.so: expected ")
    );
    assert_eq!(outcome.stdout, "");
}

/// Records the program that is an implementation by itself; its trace, where there is one.
fn trace_of_program(arguments: [&str; 2]) -> Option<Value> {
    let sandbox = install(true);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/layered.c");
    let mut compile = Command::new("cc");
    compile.args(["-std=gnu11", "-Wall", "-Wextra", "-Werror"]);
    compile
        .arg(source)
        .arg("-o")
        .arg(sandbox.path("layered"))
        .arg("-ldl");
    assert!(compile.status().unwrap().success());
    let mut command = Command::new(sandbox.path("bin/ringscope"));
    command
        .args(["record", "--opencl", "-o", "trace.json", "--", "./layered"])
        .args(arguments)
        .current_dir(sandbox.path("."))
        .env_remove("OPENCL_LAYERS")
        .env("RINGSCOPE_DIR", sandbox.path("runs"));
    Outcome::from(command.output().unwrap()).expect_code(5);
    let trace = fs::read_to_string(sandbox.path("trace.json")).ok()?;
    Some(serde_json::from_str(&trace).unwrap())
}

#[test]
fn what_the_implementation_refuses_the_layer_the_program_does_not_notice() {
    // A table without functions that the layer needs is left as it is.
    assert_eq!(trace_of_program(["OpenCL 1.2 ", "47"]), None);
    for version in ["OpenCL 1.2 ", "OpenCL 2.1 "] {
        let trace = trace_of_program([version, "149"]).unwrap();
        let events = trace["traceEvents"].as_array().unwrap();
        let with = |key: &str| {
            events
                .iter()
                .filter(|event| event["args"][key].is_u64())
                .count()
        };
        // One without times, two without events, and the rest.
        assert_eq!(with("work_items"), 43, "{version}");
        assert_eq!(with("stream"), 40, "{version}");
        let clock = &trace["metadata"]["device_clocks"][0];
        assert_eq!(clock["name"], "made by hand");
        assert_eq!(clock["alignment"], "anchors", "{version}");
    }
}
