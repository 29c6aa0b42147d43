//! `record --opencl`: what the program's environment names; `ci/opencl` has programs that use OpenCL.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

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
    fs::create_dir_all(sandbox.path("bin")).unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_ringscope"));
    fs::copy(binary, sandbox.path("bin/ringscope")).unwrap();
    if with_library {
        let built = binary.with_file_name("deps").join(LIBRARY);
        fs::copy(built, sandbox.path("bin").join(LIBRARY)).unwrap();
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
