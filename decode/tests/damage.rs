//! No damage makes the decoder panic, allocate without bound or write a trace that can't be read.

#![allow(clippy::unwrap_used, reason = "in a test a failure is a panic")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::*;
use proptest::prelude::*;
use ringscope_decode::{Limits, Options, Order, Run, Timeline, inspect};
use ringscope_ringbuf::block::Block;
use ringscope_ringbuf::file::FileKind;
use ringscope_ringbuf::payload::ArgType;

fn write_run(run: &TestRun) {
    let process = run.process(100, 1);
    process.site(1, "work", "c", &[("v", ArgType::Str)]);
    process.block(&Block::Key {
        id: 1,
        key: b"late",
    });
    process.owner(0, 101, 0, 0, "worker");
    let ring = process.ring(0, 6, 101);
    for at in 1..=40 {
        let payload = Payload::default().text(b"hello, world of rings");
        ring.span_on(1, 0, at * 10, at * 10 + 4, &payload.0);
        if at == 20 {
            ring.save(FileKind::Drain, 0, 0..40);
        }
    }
    ring.open_span(1, 0, 500, &[5; 40]);
    process.finish();
}

fn decode_all(dir: &Path) {
    let Ok(run) = Run::open(dir, &Limits::default()) else {
        return;
    };
    let runs = [run];
    let timeline = Timeline::build(&runs, &Options::default()).unwrap();
    let bytes = trace_bytes(&timeline, Order::Time);
    serde_json::from_slice::<serde_json::Value>(&bytes).unwrap();
    inspect::report(&runs, 5).unwrap();
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

#[test]
fn files_cut_at_any_length_decode() {
    let run = TestRun::new();
    write_run(&run);
    for path in files(run.path()) {
        let whole = fs::read(&path).unwrap();
        for len in (0..whole.len()).step_by(61) {
            fs::write(&path, &whole[..len]).unwrap();
            decode_all(run.path());
        }
        fs::write(&path, whole).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn flipped_bytes_decode(
        flips in prop::collection::vec((0usize..4, any::<prop::sample::Index>(), any::<u8>()), 1..20),
        headers_only: bool,
    ) {
        let run = TestRun::new();
        write_run(&run);
        let files = files(run.path());
        for (file, at, value) in flips {
            let path = &files[file % files.len()];
            let mut bytes = fs::read(path).unwrap();
            let len = if headers_only { bytes.len().min(300) } else { bytes.len() };
            let at = at.index(len);
            bytes[at] = value;
            fs::write(path, bytes).unwrap();
        }
        decode_all(run.path());
    }
}

#[test]
fn links_pipes_and_strange_names_are_left_alone() {
    let run = TestRun::new();
    write_run(&run);
    let dir = run.path();
    std::os::unix::fs::symlink("/etc/passwd", dir.join("7-0000000000000007.process")).unwrap();
    fs::create_dir(dir.join("8-0000000000000008.process")).unwrap();
    fs::write(dir.join("notes.txt"), "hello").unwrap();
    fs::write(dir.join("100-0000000000000001-0.bak"), "hello").unwrap();
    let timeline = run.timeline();
    // 40 spans and the open one.
    assert_eq!(timeline.event_count, 41);
    let told: Vec<String> = timeline.problems.iter().map(|p| p.to_string()).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told.iter()
            .all(|text| text.contains("expected a regular file"))
    );
}

#[test]
fn a_limit_on_process_files_holds() {
    let run = TestRun::new();
    write_run(&run);
    let limits = Limits {
        process_file_bytes: 600,
        ..Limits::default()
    };
    let opened = Run::open(run.path(), &limits).unwrap();
    assert!(opened.problems[0].to_string().contains("at most 600 bytes"));
    let limits = Limits {
        files: 2,
        ..Limits::default()
    };
    assert!(Run::open(run.path(), &limits).is_err());
}
