//! `record --nvtx`, on a program that does by hand what NVTX's header does; `ci/nvtx` has programs with the header itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::sandbox::{Outcome, Sandbox};

const LIBRARY: &str = "libringscope_nvtx.so";
/// Where `install.sh` and the wheel put it.
const INSTALLED: &str = "libexec/ringscope";

/// The library as cargo built it for these tests.
fn built_library() -> PathBuf {
    let binary = Path::new(env!("CARGO_BIN_EXE_ringscope"));
    binary.with_file_name("deps").join(LIBRARY)
}

/// An installation: `bin/ringscope`, and the library where `library` says.
fn install(sandbox: &Sandbox, library: Option<&str>) {
    let binary = Path::new(env!("CARGO_BIN_EXE_ringscope"));
    sandbox.copy(binary, "bin/ringscope");
    if let Some(folder) = library {
        sandbox.copy(&built_library(), &format!("{folder}/{LIBRARY}"));
    }
}

fn compile(sandbox: &Sandbox) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/annotated.c");
    let program = sandbox.path("annotated");
    let mut command = Command::new("cc");
    command.arg(source).arg("-o").arg(&program).arg("-ldl");
    assert!(command.status().unwrap().success());
    program
}

/// Records the program by the installed binary.
fn record(sandbox: &Sandbox, variable: Option<&str>) -> Outcome {
    record_with(sandbox, variable, &[])
}

fn record_with(sandbox: &Sandbox, variable: Option<&str>, arguments: &[&str]) -> Outcome {
    let program = compile(sandbox);
    let mut command = Command::new(sandbox.path("bin/ringscope"));
    let settings = std::env::vars_os().map(|(name, _)| name);
    for name in settings.filter(|name| name.to_string_lossy().starts_with("RINGSCOPE_")) {
        command.env_remove(name);
    }
    command.env_remove("NVTX_INJECTION64_PATH");
    if let Some(path) = variable {
        command.env("NVTX_INJECTION64_PATH", path);
    }
    command
        .args(["record", "--nvtx", "-o", "trace.json", "--"])
        .arg(program)
        .args(arguments)
        .current_dir(sandbox.path("."))
        .env("RINGSCOPE_DIR", sandbox.path("runs"))
        .stdin(Stdio::null());
    Outcome::from(command.output().unwrap())
}

fn names(sandbox: &Sandbox, phase: &str) -> Vec<String> {
    let trace = fs::read_to_string(sandbox.path("trace.json")).unwrap();
    let trace: Value = serde_json::from_str(&trace).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let mut names: Vec<String> = events
        .iter()
        .filter(|event| event["ph"] == phase)
        .inspect(|event| assert!(phase == "M" || event["cat"] == "nvtx", "{event}"))
        .map(|event| event["name"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn annotations_are_recorded_by_the_library_beside_the_binary_or_in_libexec() {
    for folder in ["bin", INSTALLED] {
        let sandbox = Sandbox::new();
        install(&sandbox, Some(folder));
        let outcome = record(&sandbox, None).expect_code(5);
        assert!(!outcome.stderr.contains("NVTX"), "{outcome:#?}");
        let mut expected = vec!["inner"; 10];
        expected.extend(["never popped", "outer", "request"]);
        assert_eq!(names(&sandbox, "X"), expected);
        assert_eq!(names(&sandbox, "i"), ["(no message)"]);
    }
}

#[test]
fn a_library_that_is_missing_is_told_with_the_places_looked_at() {
    let sandbox = Sandbox::new();
    install(&sandbox, None);
    let outcome = record(&sandbox, None).expect_code(1);
    let line = outcome.stderr.strip_suffix('\n').unwrap();
    assert!(!line.contains('\n'), "{line}");
    assert!(line.starts_with("ringscope: record: libringscope_nvtx.so: expected "));
    for folder in ["bin", INSTALLED] {
        assert!(line.contains(&format!("{folder}/{LIBRARY}")), "{line}");
    }
    assert!(line.contains("./install.sh PREFIX"), "{line}");
    assert!(sandbox.runs().is_empty(), "{:?}", sandbox.runs());
}

#[test]
fn a_tool_that_was_set_gives_way_and_that_is_told() {
    let sandbox = Sandbox::new();
    install(&sandbox, Some(INSTALLED));
    let outcome = record(&sandbox, Some("/opt/other/tool.so")).expect_code(5);
    let told = "ringscope: record: NVTX_INJECTION64_PATH: /opt/other/tool.so: gives way to ";
    assert!(outcome.stderr.starts_with(told), "{outcome:#?}");
    assert_eq!(names(&sandbox, "X").len(), 13);
}

#[test]
fn pushes_beyond_what_is_kept_are_counted_and_popped_in_order() {
    let sandbox = Sandbox::new();
    install(&sandbox, Some("bin"));
    record_with(&sandbox, None, &["deep"]).expect_code(5);
    let names = names(&sandbox, "X");
    let of = |name: &str| names.iter().filter(|one| *one == name).count();
    assert_eq!((of("deep"), of("again")), (4096, 1));
    let trace = fs::read_to_string(sandbox.path("trace.json")).unwrap();
    let trace: Value = serde_json::from_str(&trace).unwrap();
    assert_eq!(trace["metadata"]["losses"]["no_ring"], 904);
}
