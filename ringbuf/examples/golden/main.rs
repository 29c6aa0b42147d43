//! Writes the golden run of format version 1: `cargo run -p ringscope-ringbuf --example golden -- DIRECTORY`.
//!
//! `DIRECTORY/every-kind/` becomes the run, `DIRECTORY/expected.json` what a reader must find in it, put together
//! from the same constants as the files, without reading them. Nothing depends on the machine, the time or
//! chance: the same bytes come out everywhere. `tests/golden/README.md` describes the contents.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use serde_json::Value;

mod clock;
mod engine;
pub(crate) mod entry;
mod others;
mod process;
mod ring;
mod site;

fn main() -> ExitCode {
    let Some(directory) = std::env::args_os().nth(1) else {
        eprintln!("usage: golden DIRECTORY");
        return ExitCode::from(2);
    };
    match write(Path::new(&directory)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!(
                "ringscope: golden run: {}: {error}",
                Path::new(&directory).display()
            );
            ExitCode::FAILURE
        }
    }
}

/// Writes the run and its meaning to `directory`, which must not hold a run already.
///
/// # Errors
///
/// When a directory or the JSON file can't be written.
///
/// # Panics
///
/// When a file of the run can't be written.
pub(crate) fn write(directory: &Path) -> std::io::Result<()> {
    let run = directory.join("every-kind");
    fs::create_dir_all(directory)?;
    fs::create_dir(&run)?;
    let processes = [engine::write(&run), others::write_worker(&run)];
    let mut expected = others::write_supervisor(&run);
    expected.insert("clock".into(), clock::meaning());
    expected.insert("processes".into(), processes.into());
    fs::write(
        directory.join("expected.json"),
        lines(&Value::Object(expected), 0) + "\n",
    )
}

/// JSON with one line a record.
fn lines(value: &Value, depth: usize) -> String {
    let compact = value.to_string();
    let (open, close, items): (_, _, Vec<String>) = match value {
        _ if compact.len() <= 400 => return compact,
        Value::Array(items) => (
            '[',
            ']',
            items.iter().map(|v| lines(v, depth + 1)).collect(),
        ),
        Value::Object(map) => {
            let item = |(k, v)| format!("{}: {}", Value::from(k as &str), lines(v, depth + 1));
            ('{', '}', map.iter().map(|(k, v)| item((k, v))).collect())
        }
        _ => return compact,
    };
    let (inner, outer) = ("  ".repeat(depth + 1), "  ".repeat(depth));
    let items = items.join(&format!(",\n{inner}"));
    format!("{open}\n{inner}{items}\n{outer}{close}")
}
