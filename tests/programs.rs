//! The programs under test: built once by cargo, below the workspace's target directory; and places for their runs.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

use tempfile::TempDir;

/// The programs that were built by this test binary.
static BUILT: Mutex<Option<HashMap<String, PathBuf>>> = Mutex::new(None);

/// The writer, optimised: what dies in the tests is the machine code that ships.
pub fn writer() -> PathBuf {
    built("writer", |target| {
        let mut command = cargo_build("ringscope-test-writer", target);
        command.args(["--release", "--target", &triple()]);
        run_build(command);
        target.join(triple()).join("release/writer")
    })
}

/// The writer with a known bug planted: one of the mutants of the workspace's lints. Built without optimization, where
/// the few instructions in which each bug can be met are more.
pub fn mutant(name: &str) -> PathBuf {
    built(name, |target| {
        let target = target.with_file_name("mutants");
        let mut command = cargo_build("ringscope-test-writer", &target);
        command
            .args(["--target", &triple()])
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env("RUSTFLAGS", format!("--cfg ringscope_mutant=\"{name}\""));
        run_build(command);
        let copy = target.join(name);
        copy_program(&target.join(triple()).join("debug/writer"), &copy);
        copy
    })
}

/// Copies a program that is then run. By a process of its own: a descriptor of this one that is open for writing would be inherited
/// by programs that other tests start meanwhile, and what anybody may write to can't be run.
pub fn copy_program(from: &Path, to: &Path) {
    let status = Command::new("cp").arg(from).arg(to).status();
    assert!(
        status.expect("cp can be run").success(),
        "{}",
        from.display()
    );
}

/// The command `ringscope`, as `cargo test --workspace` has built it already.
pub fn ringscope() -> PathBuf {
    built("ringscope", |_| {
        let mut command = cargo_build("ringscope-cli", &target_dir());
        let profile = if cfg!(debug_assertions) {
            "debug"
        } else {
            command.arg("--release");
            "release"
        };
        run_build(command);
        target_dir().join(profile).join("ringscope")
    })
}

/// Header and libraries for C, installed under the folder this gives.
pub fn c_library() -> PathBuf {
    built("c_library", |target| {
        run_build(cargo_build("ringscope-capi", &target_dir()));
        let prefix = target.join("installed");
        let capi = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("capi");
        let mut install = Command::new(capi.join("install.sh"));
        install.arg(&prefix).arg(target_dir().join("debug"));
        run_build(install);
        prefix
    })
}

/// With a target of its own, cargo builds macros and build scripts apart from what mutants and sanitizers change.
fn triple() -> String {
    format!("{}-unknown-linux-gnu", std::env::consts::ARCH)
}

fn built(name: &str, build: impl FnOnce(&Path) -> PathBuf) -> PathBuf {
    let mut built = BUILT.lock().expect("no build panicked");
    let built = built.get_or_insert_default();
    if let Some(path) = built.get(name) {
        return path.clone();
    }
    let path = build(&target_dir().join("programs"));
    built.insert(name.to_string(), path.clone());
    path
}

fn cargo_build(package: &str, target: &Path) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into());
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("Cargo.toml");
    let mut command = Command::new(cargo);
    command
        .args(["build", "--quiet", "--package", package, "--manifest-path"])
        .arg(manifest)
        .arg("--target-dir")
        .arg(target);
    command
}

fn run_build(mut command: Command) {
    let status = command.status().expect("cargo runs");
    assert!(status.success(), "{command:?}: {status}");
}

/// The workspace's target directory, as this test binary lies in it.
pub fn target_dir() -> PathBuf {
    let program = std::env::current_exe().expect("a test has a path");
    // TARGET/PROFILE/deps/NAME
    let target = program.ancestors().nth(3);
    target
        .expect("a test lies in the target directory")
        .to_owned()
}

/// What holds a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// /dev/shm.
    Memory,
    /// The target directory.
    Disk,
}

/// A new directory on `medium`, removed when it is dropped.
pub fn new_dir(medium: Medium) -> TempDir {
    let mut builder = tempfile::Builder::new();
    builder.prefix("ringscope-test-");
    let parent = match medium {
        Medium::Memory => PathBuf::from("/dev/shm"),
        Medium::Disk => target_dir().join("runs"),
    };
    std::fs::create_dir_all(&parent).expect("a place for runs");
    builder.tempdir_in(parent).expect("a place for a run")
}

/// A new run of a name of its own, as `ringscope record` makes it, for processes that share it.
pub fn new_run() -> TempDir {
    use std::os::unix::fs::PermissionsExt;
    let dir = new_dir(Medium::Memory);
    let private = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(dir.path(), private).expect("the directory is ours");
    dir
}

/// `program` with an environment in which nothing of ringscope is set.
pub fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"RINGSCOPE_") {
            command.env_remove(name);
        }
    }
    command
}

/// The runs in a directory of runs, oldest first.
pub fn runs_in(parent: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(parent).expect("the directory is there");
    let mut runs: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the directory can be read").path())
        .collect();
    runs.sort();
    runs
}

/// What a program said that it recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Process id.
    pub pid: u32,
    /// Thread of the script.
    pub thread: u64,
    /// Records of the thread.
    pub records: u64,
    /// Records of its handler.
    pub handled: u64,
}

/// The lines `recorded PID THREAD RECORDS HANDLED` of a program's output.
pub fn recorded(output: &Output) -> Vec<Recorded> {
    recorded_lines(&String::from_utf8_lossy(&output.stdout))
}

/// The lines `recorded PID THREAD RECORDS HANDLED` among others.
pub fn recorded_lines(text: &str) -> Vec<Recorded> {
    let numbers = text.lines().filter_map(|line| {
        let words = line.strip_prefix("recorded ")?.split(' ');
        let numbers: Vec<u64> = words.filter_map(|word| word.parse().ok()).collect();
        let [pid, thread, records, handled] = numbers[..] else {
            return None;
        };
        Some(Recorded {
            pid: pid as u32,
            thread,
            records,
            handled,
        })
    });
    numbers.collect()
}
