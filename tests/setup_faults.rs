//! Everything that set-up can meet: the host's output and exit status stay as they are, and the reason is told where
//! `RINGSCOPE_LOG=stderr` asks for it.

use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

use ringscope_ringbuf::layout::DropCause;
use ringscope_tests::mounts::Mount;
use ringscope_tests::not_run::is_root;
use ringscope_tests::programs::{Medium, command, copy_program, new_dir, writer};
use ringscope_tests::run_files::RunFiles;

/// Runs the host as `set_up` says, silently and with its reasons told; returns the lines that tell them.
fn host(set_up: impl Fn(&mut Command)) -> Vec<String> {
    let run = |log: bool| -> Output {
        let mut command = command(&writer());
        command.arg("host");
        set_up(&mut command);
        if log {
            command.env("RINGSCOPE_LOG", "stderr");
        }
        command.output().expect("the host starts")
    };
    let silent = run(false);
    assert_eq!(String::from_utf8_lossy(&silent.stdout), "total 6400\n");
    assert_eq!(String::from_utf8_lossy(&silent.stderr), "done\n");
    assert_eq!(silent.status.code(), Some(7), "{silent:?}");
    let told = run(true);
    assert_eq!(told.stdout, silent.stdout);
    assert_eq!(told.status.code(), Some(7));
    let text = String::from_utf8_lossy(&told.stderr);
    let (reasons, rest): (Vec<&str>, Vec<&str>) = text
        .lines()
        .partition(|line| line.starts_with("ringscope: pid "));
    assert_eq!(rest, ["done"]);
    reasons.into_iter().map(str::to_string).collect()
}

fn refused(reason: &str, set_up: impl Fn(&mut Command)) {
    let lines = host(set_up);
    let [line] = &lines[..] else {
        panic!("one line a process: {lines:?}")
    };
    assert!(line.contains(": off: ") && line.ends_with(reason), "{line}");
}

fn refused_run(reason: &str, run: &Path) {
    refused(reason, |command| {
        command.env("RINGSCOPE_RUN", run);
    });
}

fn with_mode(dir: &Path, mode: u32) {
    let permissions = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(dir, permissions).expect("the directory is ours");
}

#[test]
fn no_directory() {
    refused_run(
        "No such file or directory (os error 2)",
        Path::new("/nonexistent/run"),
    );
    refused("No such file or directory (os error 2)", |command| {
        command.env("RINGSCOPE_DIR", "/nonexistent/runs/here");
    });
}

#[test]
fn a_link_or_a_file_in_place_of_the_directory() {
    let dir = new_dir(Medium::Memory);
    let [real, link, file] = ["real", "link", "file"].map(|name| dir.path().join(name));
    std::fs::create_dir(&real).expect("a directory");
    symlink(&real, &link).expect("a link");
    std::fs::write(&file, "").expect("a file");
    for run in [&link, &file] {
        refused_run("expected a directory, found a link or another file", run);
    }
    let planted = std::fs::read_dir(&real).expect("it can be read").count();
    assert_eq!(planted, 0, "something was written through the link");
}

#[test]
fn a_directory_that_others_may_write_to() {
    let dir = new_dir(Medium::Memory);
    with_mode(dir.path(), 0o777);
    refused_run("others may write to the directory", dir.path());
}

#[test]
fn a_directory_of_another_user() {
    if !is_root("a directory of another user") {
        return;
    }
    let dir = new_dir(Medium::Memory);
    chown(dir.path(), Some(65_534), Some(65_534)).expect("root may give it away");
    refused_run("the directory belongs to another user", dir.path());
}

#[test]
fn no_permission() {
    if !is_root("a host of another user") {
        return;
    }
    let dir = new_dir(Medium::Memory);
    let private = dir.path().join("private");
    std::fs::create_dir(&private).expect("a directory");
    with_mode(&private, 0o700);
    with_mode(dir.path(), 0o755);
    // The target directory may be closed to the other user.
    let copy = dir.path().join("writer");
    copy_program(&writer(), &copy);
    for (name, value) in [("RINGSCOPE_RUN", "run"), ("RINGSCOPE_DIR", "runs")] {
        let mut seen = Vec::new();
        for log in [None, Some("stderr")] {
            let mut command = command(&copy);
            command
                .arg("host")
                .uid(65_534)
                .gid(65_534)
                .env(name, private.join(value));
            command.envs(log.map(|log| ("RINGSCOPE_LOG", log)));
            let output = command.output().expect("the host starts");
            assert_eq!(output.stdout, b"total 6400\n");
            assert_eq!(output.status.code(), Some(7));
            seen.push(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        assert_eq!(seen[0], "done\n");
        assert!(
            seen[1].contains("Permission denied (os error 13)"),
            "{}",
            seen[1]
        );
    }
}

#[test]
fn no_descriptors() {
    let dir = new_dir(Medium::Memory);
    refused("Too many open files (os error 24)", |command| {
        command.env("RINGSCOPE_DIR", dir.path());
        // One above the standard three: as much as the loader needs, and not enough for the recorder's files.
        let limit = libc::rlimit {
            rlim_cur: 4,
            rlim_max: 4,
        };
        // SAFETY: setrlimit is one system call.
        unsafe {
            command.pre_exec(move || {
                libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
                Ok(())
            });
        }
    });
}

#[test]
fn a_read_only_file_system() {
    if !is_root("a read-only mount") {
        return;
    }
    let mount = Mount::new("tmpfs", "size=1m");
    mount.make_read_only();
    refused_run("Read-only file system (os error 30)", mount.path());
}

#[test]
fn a_file_system_that_is_not_safe_to_map() {
    if !is_root("a mount of ramfs") {
        return;
    }
    let mount = Mount::new("ramfs", "");
    let reason = "the file system is ramfs; tmpfs, ext4 and xfs are safe to map (RINGSCOPE_FORCE_DIR=1 overrides)";
    refused_run(reason, mount.path());
}

#[test]
fn a_full_disk() {
    if !is_root("a full disk") {
        return;
    }
    let mount = Mount::new("tmpfs", "size=16k");
    std::fs::write(mount.path().join("filler"), vec![0; 16 << 10]).expect("it fits exactly");
    refused_run("No space left on device (os error 28)", mount.path());
    let run = RunFiles::read(mount.path());
    let run = run.unwrap_or_default();
    assert!(run.processes.is_empty());
}

#[test]
fn a_disk_too_small_for_rings() {
    if !is_root("a disk too small for rings") {
        return;
    }
    let mount = Mount::new("tmpfs", "size=64k");
    let lines = host(|command| {
        command.env("RINGSCOPE_RUN", mount.path());
    });
    let [on, no_ring] = &lines[..] else {
        panic!("what records, and that there is no ring: {lines:?}")
    };
    assert!(on.contains(": on: "), "{on}");
    assert!(no_ring.contains("No space left on device"), "{no_ring}");
    let run = RunFiles::read(mount.path()).expect("the run can be read");
    assert_eq!(run.processes.len(), 2);
    for process in &run.processes {
        assert!(process.rings.is_empty());
        // Of each of the four threads: every record but the second phase of its laps, which is never begun where the
        // first one had no ring; and its track, which asks for the ring too. The host's first record comes before them.
        let expected = 4 * (1_600 - 100 + 1) + 1;
        assert_eq!(process.drops(), [(DropCause::NoRing, expected)]);
    }
}
