//! Spans that a C program forwards in another logger's structure, recorded by `ringscope record` and decoded by it.

use std::path::Path;
use std::process::{Command, Output};

use ringscope_tests::programs::{Medium, c_library, command, new_dir, ringscope};
use serde_json::{Value, json};

const SPANS: u64 = 20_003;

/// Compiles the program of the C library's own tests.
fn program(dir: &Path) -> std::path::PathBuf {
    let prefix = c_library();
    let libraries = prefix.join("lib");
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .with_file_name("capi")
        .join("tests/c/programs/host_spans.c");
    let program = dir.join("host_spans");
    let mut compiler = Command::new("cc");
    compiler.args(["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-I"]);
    compiler.arg(prefix.join("include")).arg(source).arg("-o");
    compiler.arg(&program).arg("-L").arg(&libraries);
    compiler.arg(format!("-Wl,-rpath,{}", libraries.display()));
    succeeded(compiler.arg("-lringscope"));
    program
}

fn succeeded(command: &mut Command) -> Output {
    let output = command.output().expect("the command starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    output
}

#[test]
fn forwarded_spans_are_drawn_with_their_arguments() {
    let dir = new_dir(Medium::Memory);
    let (program, trace) = (program(dir.path()), dir.path().join("trace.json"));
    let mut record = command(&ringscope());
    record.env_remove("LD_LIBRARY_PATH");
    record.args(["record", "--dir"]).arg(dir.path()).arg("-o");
    let output = succeeded(record.arg(&trace).arg("--").arg(program));
    assert_eq!(output.stdout, b"20003 8\n");
    let text = std::fs::read_to_string(trace).expect("the trace is written");
    let trace: Value = serde_json::from_str(&text).expect("JSON");
    let events = trace["traceEvents"].as_array().expect("events");
    let spans: Vec<&Value> = events.iter().filter(|e| e["ph"] == "X").collect();
    assert_eq!(spans.len() as u64, SPANS);
    let of_name = |name: &str| spans.iter().find(|span| span["name"] == name);
    let first = of_name("chip.run").expect("it was forwarded");
    let expected = json!({ "inv": 7, "hid": "0xabcd", "depth": 2, "ntensor": 4, "why": "a=b", "id": "007",
        "big": u64::MAX, "flag": "", "low": -3 });
    assert_eq!((&first["args"], &first["dur"]), (&expected, &json!(0.25)));
    assert_eq!(first["cat"], "strace");
    for refused in ["other version", "short", "early", "backwards"] {
        assert!(of_name(refused).is_none(), "{refused}");
    }
    let dropped = &trace["metadata"]["losses"]["dropped"];
    assert_eq!(*dropped, json!({ "refused_span": 8 }));
}
