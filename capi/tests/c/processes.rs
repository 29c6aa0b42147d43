//! Threads, forks, full rings.

use std::path::{Path, PathBuf};

use ringscope_ringbuf::file::SegmentFile;

use crate::recorded::{Process, only_run, processes};
use crate::toolchain::{Language, compiled, recording, succeeded};

/// Compiles and runs a program; its run.
fn run_of(name: &str, dir: &Path, settings: &[(&str, &str)]) -> PathBuf {
    let (binary, runs) = (dir.join("program"), dir.join("runs"));
    compiled(Language::C, name, &binary);
    succeeded(recording(&binary, &runs).envs(settings.iter().copied()));
    only_run(&runs)
}

#[test]
fn threads_that_the_library_never_saw_begin() {
    let dir = tempfile::tempdir().unwrap();
    let run = run_of("threads.c", dir.path(), &[]);
    let processes = processes(&run);
    let process = &processes[0];
    // The thread that comes last finds the ring of one that has ended.
    assert!(process.rings.len() <= 9 && process.threads.len() == 10);
    for thread in 0..9 {
        let text = |i: usize| format!("work thread={thread} i={i}");
        let ring = process
            .rings
            .iter()
            .find(|ring| ring.records.iter().any(|entry| entry.text == text(0)))
            .unwrap();
        let own: Vec<&str> = ring
            .records
            .iter()
            .map(|entry| entry.text.as_str())
            .filter(|text| text.starts_with(&format!("work thread={thread} ")))
            .collect();
        assert_eq!(own, (0..1000).map(text).collect::<Vec<_>>());
        assert!(
            process
                .threads
                .values()
                .any(|name| *name == format!("worker {thread}"))
        );
    }
    assert_eq!(process.counted(), [("late_thread", 1)]);
}

#[test]
fn forked_children_record_to_files_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let run = run_of("forks.c", dir.path(), &[]);
    let processes = processes(&run);
    assert_eq!(processes.len(), 3);
    let steps = |process: &Process, who: &str| {
        let wanted = |text: &&&str| text.starts_with(&format!("step who='{who}' "));
        process.texts().iter().filter(wanted).count()
    };
    for (process, (who, count)) in
        processes
            .iter()
            .zip([("parent", 200), ("child", 100), ("grandchild", 100)])
    {
        let all: usize = ["parent", "child", "grandchild"]
            .map(|who| steps(process, who))
            .iter()
            .sum();
        assert_eq!((steps(process, who), all), (count, count), "{who}");
        let events = process.texts();
        assert!(events.contains(&"tracked on a track"));
        assert!(events.contains(&"by the writer of the parent"));
        assert!(process.rings[0].open.is_empty());
    }
    // The span that was open at a fork is the parent's to end; the grandchild inherited two.
    assert_eq!(processes[0].counted(), []);
    assert_eq!(processes[1].counted(), [("inherited_guard", 1)]);
    assert_eq!(processes[2].counted(), [("inherited_guard", 2)]);
    assert!(processes[0].ended_cleanly);
    assert!(
        !processes[1].ended_cleanly && !processes[2].ended_cleanly,
        "_exit runs no hooks"
    );
    assert_eq!(
        processes[1].header.parent_nonce.get(),
        processes[0].header.start.nonce.get()
    );
}

#[test]
fn open_spans_show_their_arguments_after_a_sudden_end() {
    let dir = tempfile::tempdir().unwrap();
    let run = run_of("open.c", dir.path(), &[]);
    let processes = processes(&run);
    let expected = [
        "outer n=1 late='known late'",
        "texts text='first' n=2",
        "values n=3 text='second' x=0.5",
        "phase 2",
    ];
    assert_eq!(processes[0].rings[0].open, expected);
    assert_eq!(processes[0].texts(), ["phase 1"]);
    assert!(!processes[0].ended_cleanly);
}

#[test]
fn full_mode_without_a_supervisor_keeps_everything() {
    let dir = tempfile::tempdir().unwrap();
    let settings = [("RINGSCOPE_MODE", "full"), ("RINGSCOPE_RING_SIZE", "16KiB")];
    let run = run_of("full.c", dir.path(), &settings);
    let processes = processes(&run);
    let ring = &processes[0].rings[0];
    let spill = std::fs::read_dir(&run)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| {
            path.extension()
                .is_some_and(|extension| extension == "spill")
        });
    let segments = SegmentFile::open(&spill.unwrap()).unwrap().segments;
    let saved: u64 = segments.iter().map(|segment| segment.record_count).sum();
    assert!(segments.len() > 50 && segments[0].base_sequence == 0);
    // 20,000 records of two slots, 10,000 of them of three: what is not saved stands in the ring.
    let last = ring.records.last().unwrap();
    assert_eq!(
        last.text,
        "numbered i=19999 text='odd and long enough for two slots'"
    );
    let total = saved + 512;
    assert!(total >= 20_000 * 2 + 10_000, "{saved} slots saved");
    assert_eq!(processes[0].counted(), []);
}
