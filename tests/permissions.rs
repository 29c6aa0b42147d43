//! Who may read and write what: run directories 0700 and their files 0600 whatever the umask, and no run where others could
//! plant files.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use ringscope_ringbuf::layout::Kind;
use ringscope_tests::programs::{Medium, command, new_dir, ringscope, runs_in, writer};
use ringscope_tests::run_files::RunFiles;

/// Starts `command` with this umask.
fn with_umask(command: &mut Command, umask: libc::mode_t) {
    // SAFETY: umask is one system call.
    unsafe {
        command.pre_exec(move || {
            libc::umask(umask);
            Ok(())
        });
    }
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).expect("it is there").mode() & 0o7777
}

fn assert_private(run: &Path) {
    assert_eq!(mode(run), 0o700, "{}", run.display());
    let files = runs_in(run);
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[test]
fn files_are_private_whatever_the_umask() {
    for umask in [0, 0o022, 0o077, 0o777] {
        let dir = new_dir(Medium::Memory);
        let parent = dir.path().join("runs");
        let mut recording = command(&writer());
        with_umask(&mut recording, umask);
        recording
            .args(["numbered", "threads=2", "cycles=200"])
            .env("RINGSCOPE_DIR", &parent)
            .env("RINGSCOPE_MODE", "full")
            .env("RINGSCOPE_RING_SIZE", "16KiB");
        let output = recording.output().expect("the writer starts");
        assert!(output.status.success(), "{output:?}");
        assert_eq!(mode(&parent), 0o700);
        let run = runs_in(&parent).remove(0);
        assert!(
            runs_in(&run)
                .iter()
                .any(|path| path.extension().is_some_and(|e| e == "spill"))
        );
        assert_private(&run);
    }
}

/// Under `ringscope record` there are a supervisor's files too; after a kill, a decoder's.
#[test]
fn files_of_supervisors_and_decoders_are_private() {
    for umask in [0, 0o077] {
        let dir = new_dir(Medium::Memory);
        let mut recording = command(&ringscope());
        with_umask(&mut recording, umask);
        recording
            .args(["record", "--no-decode", "--ring-size", "16KiB", "--dir"])
            .arg(dir.path())
            .arg("--")
            .arg(writer())
            .args(["numbered", "threads=1", "cycles=2000"]);
        let output = recording.output().expect("ringscope starts");
        assert!(output.status.success(), "{output:?}");
        assert_private(&runs_in(dir.path())[0]);

        let killed = new_dir(Medium::Memory);
        let mut dying = command(&writer());
        dying
            .args([
                "numbered",
                "threads=1",
                "kill-after-us=100",
                "begun-after=100",
            ])
            .env("RINGSCOPE_DIR", killed.path());
        dying.output().expect("the writer starts");
        let run = runs_in(killed.path()).remove(0);
        let before = runs_in(&run).len();
        let mut decoding = command(&ringscope());
        with_umask(&mut decoding, umask);
        let trace = dir.path().join("trace.json");
        decoding.args(["decode", "-o"]).arg(&trace).arg(&run);
        assert!(
            decoding
                .output()
                .expect("ringscope starts")
                .status
                .success()
        );
        assert_eq!(runs_in(&run).len(), before + 1, "the clock pair of the end");
        assert_private(&run);
    }
}

/// Confidential values can be kept out: of records, of what is shown while it is open, of places and tables.
#[test]
fn argument_values_can_be_kept_out() {
    let dir = new_dir(Medium::Memory);
    let mut recording = command(&ringscope());
    recording
        .args(["record", "--no-decode", "--no-args", "--dir"])
        .arg(dir.path())
        .arg("--")
        .arg(writer())
        .arg("strings");
    let output = recording.output().expect("ringscope starts");
    assert!(output.status.success(), "{output:?}");
    let run = RunFiles::read(&runs_in(dir.path())[0]).expect("the run can be read");
    let mut records = 0;
    for process in &run.processes {
        assert!(
            process
                .tables
                .sites
                .values()
                .all(|site| site.args.is_empty())
        );
        assert!(process.tables.keys.is_empty());
        for ring in &process.rings {
            let contents = ring.contents().expect("the ring can be read");
            for record in contents.records.iter().flatten() {
                assert_eq!(record.w[2], 0, "{record:?}");
                assert_ne!(record.kind_number(), Kind::Continuation as u8);
                records += 1;
            }
        }
    }
    assert!(records > 50, "{records} records");
}

#[test]
fn a_directory_for_all_needs_the_sticky_bit() {
    for (bits, is_taken) in [
        (0o1777, true),
        (0o777, false),
        (0o770, false),
        (0o755, true),
    ] {
        let dir = new_dir(Medium::Memory);
        let parent = dir.path().join("runs");
        fs::create_dir(&parent).expect("a directory");
        fs::set_permissions(&parent, fs::Permissions::from_mode(bits)).expect("it is ours");
        let mut host = command(&writer());
        host.arg("host").env("RINGSCOPE_DIR", &parent);
        let output = host.output().expect("the host starts");
        assert_eq!(output.status.code(), Some(7), "{output:?}");
        assert_eq!(runs_in(&parent).len(), usize::from(is_taken), "{bits:o}");

        let mut recording = command(&ringscope());
        recording
            .args(["record", "--no-decode", "--dir"])
            .arg(&parent)
            .args(["--", "true"]);
        let output = recording.output().expect("ringscope starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), is_taken, "{bits:o}: {said}");
        assert!(
            is_taken || said.starts_with("ringscope: record: "),
            "{said}"
        );
    }
}
