//! Every string that breaks importers, in every place that takes one: valid JSON, and the right text.

use ringscope_ringbuf::layout::{DropCause, Kind};
use ringscope_tests::programs::{Medium, command, new_dir, runs_in, writer};
use ringscope_tests::run_files::RunFiles;
use ringscope_tests::texts::texts;
use ringscope_tests::traces::trace_of;

#[test]
fn strings_of_every_kind_come_out_right() {
    let dir = new_dir(Medium::Memory);
    let status = command(&writer())
        .arg("strings")
        .env("RINGSCOPE_DIR", dir.path())
        .status()
        .expect("the writer starts");
    assert!(status.success());
    let trace = trace_of(&runs_in(dir.path())[0]);
    assert!(!trace.timeline.losses.any(), "{:?}", trace.timeline.losses);

    let of_kind = |kind: &str, n: usize| {
        let by_kind = trace.events().iter().filter(|event| match kind {
            "name" => event["args"]["kind"] == "name",
            other => event["name"] == other,
        });
        let mut found = by_kind.filter(|event| event["args"]["n"] == n);
        found.next().unwrap_or_else(|| panic!("{kind} {n}"))
    };
    for (n, bytes) in texts().iter().enumerate() {
        let text = String::from_utf8_lossy(bytes);
        assert_eq!(of_kind("name", n)["name"], text.as_ref());
        for kind in ["value", "late value"] {
            assert_eq!(of_kind(kind, n)["args"]["text"], text.as_ref(), "{kind}");
        }
        // A row without a name gets one.
        let row = |kind| trace.row_of(of_kind(kind, n));
        assert!(
            text.is_empty() || row("on track") == Some(&text),
            "track {n}"
        );
        if std::str::from_utf8(bytes).is_ok() {
            let key = of_kind("key", n);
            assert_eq!(key["args"][text.as_ref()], n, "{key}");
            assert!(
                text.is_empty() || row("on thread") == Some(&text),
                "thread {n}"
            );
        }
    }
    let process = trace
        .named("process_name")
        .next()
        .expect("the process has a name");
    assert_eq!(process["args"]["name"], "quoted \" name \\");
}

#[test]
fn a_record_takes_a_quarter_of_its_ring_at_most() {
    let dir = new_dir(Medium::Memory);
    let status = command(&writer())
        .arg("strings")
        .env("RINGSCOPE_DIR", dir.path())
        .env("RINGSCOPE_RING_SIZE", "16KiB")
        .status()
        .expect("the writer starts");
    assert!(status.success());
    let run = RunFiles::read(&runs_in(dir.path())[0]).expect("the run can be read");
    let [process] = &run.processes[..] else {
        panic!("one process")
    };
    let cut = process.lock.drops(DropCause::ValueCut);
    assert!(
        cut >= 4,
        "two texts of 10 kB in two or three places each: {cut} cut"
    );
    for ring in &process.rings {
        let records = ring.contents().expect("the ring can be read").records;
        let is_continuation = |record: &Option<_>| {
            record.is_some_and(|r: ringscope_ringbuf::layout::Record| {
                r.kind_number() == Kind::Continuation as u8
            })
        };
        let runs = records.split(|record| !is_continuation(record));
        let longest = runs.map(<[_]>::len).max().unwrap_or(0) as u64;
        assert!(
            longest <= ring.file.capacity() / 4,
            "{longest} continuations"
        );
        assert!(
            records.iter().all(Option::is_some),
            "a slot is not published"
        );
    }
}
