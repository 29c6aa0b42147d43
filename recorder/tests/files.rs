//! What a recording leaves in its files, read back record by record. One process, so one test.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::HashMap;
use std::path::Path;

use ringscope::{Config, InSpan, Level};
use ringscope_ringbuf::block::{Block, blocks};
use ringscope_ringbuf::file::{FileKind, FileName, LockFile, ProcessFile, RingFile};
use ringscope_ringbuf::layout::{DropCause, Kind, Record};
use ringscope_ringbuf::payload::{ArgType, Value, take_late, take_value};
use ringscope_ringbuf::reader::OpenState;

#[ringscope::instrument(cat = "test", level = kernel, args(n = values.len()))]
fn instrumented(values: &[u32]) -> usize {
    values.len()
}

fn generic<T: ringscope::Value + Copy>(value: T) {
    let _span = ringscope::span!("generic", value);
}

/// Depth of [`nested`].
const NESTED: u64 = 299;

/// Spans with a late argument of 400 bytes.
const LONG: u64 = 40;

/// Nests deeper than a ring has open slots, and longer arguments than a slot holds.
fn nested(depth: u64) {
    let text = "y".repeat(if depth.is_multiple_of(2) { 10 } else { 150 });
    let span = ringscope::span!("nested", depth, text);
    if depth > 0 {
        nested(depth - 1);
    }
    span.record("late", depth);
}

fn record_everything() {
    let _plain = ringscope::span!("plain");
    let step = 7u64;
    let id = std::net::Ipv4Addr::LOCALHOST;
    {
        let s = ringscope::span!("args", step, cat = "worker", level = kernel, user = %id, list = ?[1, 2], ok = true,);
        s.record("tokens", 3i32);
        s.record("why", "late text");
    }
    ringscope::instant!("instant", text = "x".repeat(10_000));
    ringscope::counter!("counter", 2.5);
    ringscope::complete("complete", 1_000, 500);
    let name = format!("run-time {step}");
    drop(ringscope::span!(&name, step));
    let mut lap = ringscope::lap!("one");
    lap.next("two");
    drop(lap);
    let track = ringscope::track("a track");
    drop(ringscope::span!("tracked", track = track));
    instrumented(&[1, 2, 3]);
    nested(NESTED);
    for turn in 0..LONG {
        // More of them than the thread has long buffers, one after the other; the late text fits nowhere else.
        let span = ringscope::span!("long", turn, at = "entry");
        span.record("late", "z".repeat(400));
    }
    generic(1u8);
    generic("text");
    drop(ringscope::span!("not recorded", level = verbose));
    let future = async { 5 }.in_span(ringscope::future_span!("future", n = 1u8));
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(future.as_mut().poll(&mut context).is_ready());
}

struct Tables {
    names: HashMap<u32, (String, Vec<(String, ArgType)>)>,
    keys: HashMap<u32, String>,
    blocks: Vec<String>,
}

fn tables(file: &ProcessFile) -> Tables {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut damaged = 0;
    let mut tables = Tables {
        names: HashMap::new(),
        keys: HashMap::new(),
        blocks: Vec::new(),
    };
    for found in blocks(&file.body, &mut damaged) {
        let block = found.block.unwrap();
        tables.blocks.push(format!("{:?}", block.kind()));
        match block {
            Block::Site(site) => {
                let args = site
                    .args
                    .iter()
                    .map(|arg| (text(arg.key), arg.arg_type))
                    .collect();
                assert!(
                    tables
                        .names
                        .insert(site.id, (text(site.name), args))
                        .is_none()
                );
            }
            Block::Key { id, key } => drop(tables.keys.insert(id, text(key))),
            _ => {}
        }
    }
    assert_eq!(damaged, 0);
    tables
}

/// Name, kind and arguments of every record, in ring order.
fn decoded(ring: &RingFile, tables: &Tables) -> Vec<(String, Kind, Vec<String>)> {
    let head = ring.state().unwrap().head;
    let mut records = vec![Record::default(); head.sequence as usize];
    ring.read_slots(0, &mut records).unwrap();
    let mut found: Vec<(String, Kind, Vec<u8>, u32)> = Vec::new();
    for (sequence, record) in (0..).zip(&records) {
        assert!(record.is_stamped(sequence, ring.capacity_log2()));
        match Kind::from_u8(record.kind_number()).unwrap() {
            Kind::Continuation => found
                .last_mut()
                .unwrap()
                .2
                .extend(record.continuation_payload()),
            kind => {
                let name = tables.names[&record.site()].0.clone();
                found.push((
                    name,
                    kind,
                    record.w[2].to_le_bytes().to_vec(),
                    record.site(),
                ));
            }
        }
    }
    let show = |(name, kind, payload, site): (String, Kind, Vec<u8>, u32)| {
        let mut bytes = &payload[..];
        let mut args = Vec::new();
        if kind.payload_starts_in_w2() {
            for (key, arg_type) in &tables.names[&site].1 {
                args.push(format!(
                    "{key}={}",
                    shown(take_value(&mut bytes, *arg_type).unwrap())
                ));
            }
            while let Some((key, value)) = take_late(&mut bytes) {
                args.push(format!("{}={}", tables.keys[&key], shown(value)));
            }
        }
        (name, kind, args)
    };
    found.into_iter().map(show).collect()
}

fn shown(value: Value<'_>) -> String {
    match value {
        Value::Str { bytes, full_len } if bytes.len() > 20 => {
            format!("{} of {full_len} bytes", bytes.len())
        }
        Value::Str { bytes, .. } => String::from_utf8_lossy(bytes).into_owned(),
        other => format!("{other:?}"),
    }
}

fn files(run: &Path, kind: FileKind) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(run)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .filter(|path| {
            FileName::parse(path.file_name().unwrap().to_str().unwrap())
                .unwrap()
                .kind
                == kind
        })
        .collect()
}

#[test]
fn everything_recorded_is_in_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let parent = dir.path().join("runs");
    let config = Config::new()
        .dir(&parent)
        .ring_size(256 << 10)
        .level(Level::DEFAULT);
    ringscope::init(config).unwrap();
    assert_eq!(
        ringscope::init(config),
        Err(ringscope::InitError::AlreadyRecording)
    );
    ringscope::set_process_name("tester");
    record_everything();
    let left_open = ringscope::span!("left open", n = 9u64);
    left_open.record("late", 1.5);

    let run = ringscope::status().run.unwrap();
    let process = ProcessFile::read(&files(&run, FileKind::Process)[0], 1 << 20).unwrap();
    let tables = tables(&process);
    assert!(
        tables.blocks.contains(&"ProcessName".to_string())
            && tables.blocks.contains(&"Owner".to_string())
    );
    let ring = RingFile::open(&files(&run, FileKind::Ring)[0]).unwrap();
    let records = decoded(&ring, &tables);

    let line = |(name, kind, args): &(String, Kind, Vec<String>)| {
        format!("{name} {kind:?} {}", args.join(" "))
    };
    let (nested, records): (Vec<_>, Vec<_>) =
        records.into_iter().partition(|record| record.0 == "nested");
    let expected: Vec<String> = (0..=NESTED)
        .map(|depth| {
            let text = match depth.is_multiple_of(2) {
                true => "y".repeat(10),
                false => "150 of 150 bytes".to_string(),
            };
            format!("nested Span depth=U64({depth}) text={text} late=U64({depth})")
        })
        .collect();
    assert_eq!(nested.iter().map(line).collect::<Vec<_>>(), expected);
    let (long, records): (Vec<_>, Vec<_>) =
        records.into_iter().partition(|record| record.0 == "long");
    let expected: Vec<String> = (0..LONG)
        .map(|turn| format!("long Span turn=U64({turn}) at=entry late=400 of 400 bytes"))
        .collect();
    assert_eq!(long.iter().map(line).collect::<Vec<_>>(), expected);
    let lines: Vec<String> = records.iter().map(line).collect();
    let expected = [
        "args Span step=U64(7) user=127.0.0.1 list=[1, 2] ok=Bool(true) tokens=I64(3) why=late text",
        "instant Instant text=10000 of 10000 bytes",
        "counter Counter ",
        "complete SpanNs ",
        "run-time 7 Span step=U64(7)",
        "one Span ",
        "two Span ",
        "tracked Span ",
        "instrumented Span n=U64(3)",
        "generic Span value=U64(1)",
        "generic Span value=text",
        "future Span n=U64(1)",
        "plain Span ",
    ];
    assert_eq!(lines, expected);
    let state = ring.state().unwrap();
    assert_eq!(
        state.head.record_count(state.continuations),
        (expected.len() + nested.len() + long.len()) as u64
    );

    let open = ring.open_slots().unwrap();
    let [(_, OpenState::Open(slot))] = open[..] else {
        panic!("expected one open span, found {open:?}")
    };
    assert_eq!(tables.names[&slot.site].0, "left open");
    assert_eq!(slot.w2, 9);
    assert_eq!(
        take_late(&mut &slot.payload[..slot.payload_len]).unwrap().1,
        Value::F64(1.5)
    );
    drop(left_open);
    assert_eq!(ring.open_slots().unwrap(), []);

    let lock_path = files(&run, FileKind::Lock).remove(0);
    let drops = in_child(|| {
        let lock = LockFile::read(&lock_path).unwrap();
        let counts = DropCause::ALL.map(|cause| lock.drops(cause));
        assert_eq!(lock.holder, Some(std::os::unix::process::parent_id()));
        // Nothing is lost, and no value is cut; 64 open spans are shown, "plain" among them.
        let expected = DropCause::ALL.map(|cause| match cause {
            DropCause::NotShownWhileOpen => NESTED + 2 - 64,
            _ => 0,
        });
        assert_eq!(counts, expected);
    });
    assert_eq!(drops, 0);
}

/// Runs `body` in a forked child, as a process must not open its own lock file; the child's exit status.
fn in_child(body: impl FnOnce()) -> i32 {
    // SAFETY: the child runs `body` and ends without returning.
    match unsafe { libc::fork() } {
        0 => {
            let ok = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).is_ok();
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(if ok { 0 } else { 1 }) }
        }
        child => {
            let mut status = 0;
            // SAFETY: waits for the child that was just made.
            unsafe { libc::waitpid(child, &mut status, 0) };
            status
        }
    }
}
