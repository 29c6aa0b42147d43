//! The world changes while a program records: disks fill up, files go, descriptors are closed, limits bite, the clock is
//! set. The program's output and exit status stay as they are, what was recorded is right, and what was not is counted.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use ringscope_decode::{Limits, Liveness, Run};
use ringscope_ringbuf::layout::DropCause;
use ringscope_tests::host::Host;
use ringscope_tests::judge::Terms;
use ringscope_tests::mounts::Mount;
use ringscope_tests::not_run::{has_program, is_root};
use ringscope_tests::programs::{
    Medium, command, new_dir, new_run, recorded, ringscope, runs_in, writer,
};
use ringscope_tests::run_files::RunFiles;
use ringscope_tests::scenarios::judge_counts;
use ringscope_tests::script::CYCLE;
use ringscope_tests::traces::{ns, trace_of};

/// Records that a thread of the host makes in a step.
const STEP: u64 = 20 * CYCLE;

fn host_in(run: &Path) -> Command {
    let mut command = command(&writer());
    command.env("RINGSCOPE_RUN", run);
    command
}

/// Starts `command` with a limit of `bytes` on a resource.
fn limit(command: &mut Command, resource: libc::__rlimit_resource_t, bytes: u64) {
    let limit = libc::rlimit {
        rlim_cur: bytes,
        rlim_max: bytes,
    };
    // SAFETY: setrlimit is one system call.
    unsafe {
        command.pre_exec(move || {
            libc::setrlimit(resource, &limit);
            Ok(())
        });
    }
}

#[test]
fn a_disk_that_fills_up_while_rings_are_saved() {
    if !is_root("a disk that fills up") {
        return;
    }
    let mount = Mount::new("tmpfs", "size=1m");
    let output = command(&writer())
        .args(["numbered", "threads=2", "cycles=3000"])
        .env("RINGSCOPE_DIR", mount.path())
        .env("RINGSCOPE_RING_SIZE", "16KiB")
        .env("RINGSCOPE_MODE", "full")
        .output()
        .expect("the writer starts");
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    let terms = Terms {
        full: true,
        provoked: &[DropCause::SpillFailed],
        ..Terms::default()
    };
    let run = &runs_in(mount.path())[0];
    let verdict = judge_counts(run, terms, &recorded(&output));
    verdict.assert_sound();
    assert!(
        verdict.overwritten > 0 && verdict.records > 3_000,
        "{verdict:?}"
    );
    let losses = trace_of(run).timeline.losses;
    assert_eq!(losses.overwritten, verdict.overwritten);
    assert!(losses.notes["spill_failed"] > 0, "{losses:?}");
}

#[test]
fn a_disk_that_is_full_when_a_thread_comes() {
    if !is_root("a full disk") {
        return;
    }
    let mount = Mount::new("tmpfs", "size=4m");
    let run = mount.path();
    let mut host = Host::start({
        let mut command = host_in(run);
        command.env("RINGSCOPE_RING_SIZE", "64KiB");
        command
    });
    host.step("record");
    let mut filler = std::fs::File::create(run.join("filler")).expect("there is room");
    while filler.write_all(&[0; 4096]).is_ok() {}
    host.step("record");
    host.step("fork");
    let ended = host.end();
    ended.assert_unharmed();
    std::fs::remove_file(run.join("filler")).expect("the filler is ours");
    let files = RunFiles::read(run).expect("the run can be read");
    // The second thread has the first one's ring; the forked child found no room for files and said so.
    let [process] = &files.processes[..] else {
        panic!("{} processes have files", files.processes.len())
    };
    assert_eq!(process.rings.len(), 2);
    assert_eq!(files.off.len(), 1);
    assert_eq!(files.off[0].index, libc::ENOSPC as u32);
    let own: Vec<_> = ended
        .recorded
        .into_iter()
        .filter(|one| one.pid == process.pid())
        .collect();
    judge_counts(run, Terms::default(), &own).assert_sound();
}

/// The pool hands on rings; where the files are gone, a ring that was never made stays missing.
#[test]
fn files_that_are_removed_under_the_recorder() {
    let run = new_run();
    let mut host = Host::start(host_in(run.path()));
    host.step("record");
    for path in runs_in(run.path()) {
        std::fs::remove_file(path).expect("the files are ours");
    }
    host.step("record");
    std::fs::remove_dir(run.path()).expect("the run is empty");
    host.step("record");
    host.step("fork");
    host.end().assert_unharmed();
    std::fs::create_dir(run.path()).expect("for the guard to remove");
}

#[test]
fn descriptors_that_a_daemon_closes() {
    let run = new_run();
    let mut host = Host::start(host_in(run.path()));
    host.step("record");
    host.step("close");
    host.step("record");
    host.step("fork");
    host.step("check");
    // The lock went with its descriptor; the process is told alive all the same.
    let opened = Run::open(run.path(), &Limits::default()).expect("the run can be read");
    let process = opened.processes.iter().find(|p| p.pid == host.pid());
    assert_eq!(process.map(|p| p.liveness), Some(Liveness::Alive));
    let ended = host.end();
    ended.assert_unharmed();
    assert!(ended.said.contains("0 foreign bytes\n"), "{}", ended.said);
    assert!(
        ended.said.contains("0 descriptors closed\n"),
        "{}",
        ended.said
    );
    let verdict = judge_counts(run.path(), Terms::default(), &ended.recorded);
    verdict.assert_sound();
    assert_eq!(verdict.records, 5 * STEP);
}

#[test]
fn no_more_descriptors_after_the_start() {
    let run = new_run();
    let mut command = host_in(run.path());
    // Standard ones, the lock's, the level's, and one that files are opened by: then none is left for the child's own.
    limit(&mut command, libc::RLIMIT_NOFILE, 6);
    let mut host = Host::start(command);
    host.step("record");
    host.step("record");
    let ended = host.end();
    ended.assert_unharmed();
    judge_counts(run.path(), Terms::default(), &ended.recorded).assert_sound();
}

/// Growing a file past its limit would end the host by SIGXFSZ.
#[test]
fn files_that_may_not_grow() {
    let run = new_run();
    for (bytes, threads) in [(1_000, 0), (100_000, 0), (2_000_000, 2)] {
        let mut command = host_in(run.path());
        limit(&mut command, libc::RLIMIT_FSIZE, bytes);
        let mut host = Host::start(command);
        host.step("record");
        let ended = host.end();
        ended.assert_unharmed();
        let files = RunFiles::read(run.path()).expect("the run can be read");
        let rings = files.processes.iter().map(|p| p.rings.len()).sum::<usize>();
        assert_eq!(rings, threads, "at most {bytes} bytes");
    }
    // Saving a ring meets the limit later.
    let output = {
        let mut command = host_in(run.path());
        limit(&mut command, libc::RLIMIT_FSIZE, 100_000);
        command
            .args(["numbered", "threads=1", "cycles=1000"])
            .env("RINGSCOPE_RING_SIZE", "16KiB")
            .env("RINGSCOPE_MODE", "full")
            .env_remove("RINGSCOPE_RUN")
            .env("RINGSCOPE_DIR", run.path())
            .output()
            .expect("the writer starts")
    };
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn no_memory_for_rings() {
    let run = new_run();
    let mut command = host_in(run.path());
    command.env("RINGSCOPE_RING_SIZE", "1GiB");
    limit(&mut command, libc::RLIMIT_AS, 256 << 20);
    let mut host = Host::start(command);
    host.step("record");
    let ended = host.end();
    ended.assert_unharmed();
    let files = RunFiles::read(run.path()).expect("the run can be read");
    let sizes = &files.processes[0].tables.ring_sizes;
    assert!(
        sizes.len() == 2 && sizes.values().all(|(got, wished)| got < wished),
        "{sizes:?}"
    );
    judge_counts(run.path(), Terms::default(), &ended.recorded).assert_sound();
}

#[test]
fn processes_of_two_pid_namespaces_with_one_id() {
    let what = "two processes of one id in two pid namespaces";
    if !is_root(what) || !has_program("unshare", what) {
        return;
    }
    let run = new_run();
    let start = || {
        let mut unshared = command(Path::new("unshare"));
        unshared
            .args(["--pid", "--fork", "--kill-child"])
            .arg(writer())
            .env("RINGSCOPE_RUN", run.path());
        Host::start(unshared)
    };
    let mut hosts = [start(), start()];
    for host in &mut hosts {
        host.step("record");
    }
    let opened = Run::open(run.path(), &Limits::default()).expect("the run can be read");
    let alive = opened
        .processes
        .iter()
        .filter(|p| p.liveness == Liveness::Alive);
    assert_eq!(alive.count(), 2, "seen from outside, by their locks");
    for host in hosts {
        host.end().assert_unharmed();
    }
    let files = RunFiles::read(run.path()).expect("the run can be read");
    let [one, two] = &files.processes[..] else {
        panic!("two processes")
    };
    assert_eq!((one.pid(), two.pid()), (1, 1));
    let trace = trace_of(run.path());
    let mut pids: Vec<u64> = trace
        .named("instant")
        .filter_map(|event| event["pid"].as_u64())
        .collect();
    assert_eq!(pids.len() as u64, 2 * 2 * STEP / CYCLE);
    pids.sort_unstable();
    pids.dedup();
    assert_eq!(pids.len(), 2, "two processes in the trace: {pids:?}");
    assert!(!trace.timeline.losses.any(), "{:?}", trace.timeline.losses);
}

/// A library that sets CLOCK_REALTIME an hour on, and back by two, for whoever asks for it often.
fn clock_stepper(dir: &Path) -> PathBuf {
    let (source, library) = (dir.join("step.c"), dir.join("step.so"));
    let text = r#"
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <time.h>
        int clock_gettime(clockid_t clock, struct timespec *time)
        {
            static int (*next)(clockid_t, struct timespec *);
            static int asked;
            if (!next)
                next = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
            int result = next(clock, time);
            if (clock == CLOCK_REALTIME) {
                int turn = __sync_fetch_and_add(&asked, 1) % 3;
                time->tv_sec += turn == 1 ? 3600 : turn == 2 ? -3600 : 0;
            }
            return result;
        }
    "#;
    std::fs::write(&source, text).expect("the source can be written");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(&library)
        .arg(&source)
        .arg("-ldl")
        .status()
        .expect("a C compiler is there");
    assert!(built.success());
    library
}

#[test]
fn a_clock_that_is_set_while_a_program_records() {
    let dir = new_dir(Medium::Memory);
    let library = clock_stepper(dir.path());
    let runs = new_dir(Medium::Memory);
    let output = command(&writer())
        .args(["times", "millis=200"])
        .env("RINGSCOPE_DIR", runs.path())
        .env("LD_PRELOAD", &library)
        .output()
        .expect("the writer starts");
    assert!(output.status.success(), "{output:?}");
    let trace = trace_of(&runs_in(runs.path())[0]);
    // Times follow CLOCK_MONOTONIC: the program says when it looked there.
    let said = String::from_utf8_lossy(&output.stdout);
    let mut marks = 0;
    for line in said.lines().filter_map(|line| line.strip_prefix("mark ")) {
        let words: Vec<i64> = line
            .split(' ')
            .map(|n| n.parse().expect("a number"))
            .collect();
        let found = trace
            .named("mark")
            .find(|event| event["args"]["number"] == words[0]);
        let at = ns(found.expect("every mark is there"), "ts");
        assert!(
            words[1] - 1_000 < at && at < words[2] + 1_000,
            "{line}: {at}"
        );
        marks += 1;
    }
    assert!(marks > 20);
}

#[test]
fn a_run_of_an_earlier_boot() {
    let runs = new_dir(Medium::Memory);
    let mut host = Host::start({
        let mut command = command(&writer());
        command.env("RINGSCOPE_DIR", runs.path());
        command
    });
    host.step("record");
    let run = runs_in(runs.path()).remove(0);
    let is_alive = || {
        Run::open(&run, &Limits::default())
            .expect("readable")
            .is_alive()
    };
    assert!(is_alive());
    let copy = runs.path().join("run-20200101-000000-1-00000000");
    copy_of_another_boot(&run, &copy);
    let mut stale = Run::open(&copy, &Limits::default()).expect("readable");
    // The process with that id lives, and is another one.
    assert_eq!(stale.processes[0].pid, host.pid());
    assert_eq!(stale.processes[0].liveness, Liveness::Ended);
    let files = runs_in(&copy).len();
    stale.ensure_end_pair();
    assert_eq!(runs_in(&copy).len(), files, "no clock pair of this boot");
    let collected = command(&ringscope())
        .arg("gc")
        .arg(runs.path())
        .output()
        .expect("gc runs");
    assert!(collected.status.success(), "{collected:?}");
    assert!(!copy.exists() && is_alive());
    host.end().assert_unharmed();
}

fn copy_of_another_boot(run: &Path, copy: &Path) {
    use ringscope_ringbuf::file::{ProcessFile, seal_process_header};
    std::fs::create_dir(copy).expect("a directory");
    for path in runs_in(run) {
        let to = copy.join(path.file_name().unwrap_or_default());
        std::fs::copy(&path, &to).expect("a copy");
        if to.extension().is_some_and(|kind| kind == "process") {
            let mut header = ProcessFile::read(&to, 1 << 20).expect("readable").header;
            header.boot_id = [7; 16];
            let bytes = std::fs::read(&to).expect("readable");
            let sealed = seal_process_header(&header);
            let whole = [&sealed[..], &bytes[sealed.len()..]].concat();
            std::fs::write(&to, whole).expect("writable");
        }
    }
}
