//! Hostile runs: cut at every length, flipped, with extreme numbers, and with planted things that are no files. Nothing panics
//! or hangs or takes more than its limits, what is undamaged is decoded, and the rest is told.
//!
//! `RINGSCOPE_FLIPS` says how many times bytes are flipped: 100,000 times unless set.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Output, Stdio};

use ringscope_ringbuf::block::{Args, Block, Site};
use ringscope_ringbuf::file::FileName;
use ringscope_ringbuf::layout::PROCESS_HEADER_LEN;
use ringscope_tests::campaign::Random;
use ringscope_tests::golden_run::GoldenRun;
use ringscope_tests::not_run::is_root;
use ringscope_tests::programs::{Medium, command, new_dir, ringscope};
use serde_json::Value;

fn golden(name: &str) -> GoldenRun {
    GoldenRun::copy(Path::new(env!("CARGO_MANIFEST_DIR")), name)
}

/// Spans, instants and counters by the process that recorded them.
fn events_by_pid(trace: &[u8]) -> BTreeMap<u64, usize> {
    let trace: Value = serde_json::from_slice(trace).expect("strict JSON");
    let events = trace["traceEvents"].as_array().expect("a trace has events");
    let mut by_pid = BTreeMap::new();
    for event in events.iter().filter(|event| event["ph"] != "M") {
        if let Some(pid) = event["pid"].as_u64() {
            *by_pid.entry(pid).or_default() += 1;
        }
    }
    by_pid
}

/// Does `body` with each number below `count`, on as many threads as there are processors; `name` tells their runs apart.
fn in_parallel(name: &str, count: u64, body: impl Fn(&GoldenRun, u64) + Sync) {
    let workers = std::thread::available_parallelism().map_or(1, |n| n.get()) as u64;
    std::thread::scope(|scope| {
        for worker in 0..workers {
            let body = &body;
            scope.spawn(move || {
                let run = golden(&format!("{name}-{worker}"));
                (worker..count)
                    .step_by(workers as usize)
                    .for_each(|number| body(&run, number));
            });
        }
    });
}

#[test]
fn files_cut_at_every_length() {
    let whole = golden("cut");
    let (_, bytes) = &whole.files()[0];
    let all = whole
        .trace_with(0, bytes.clone(), false)
        .expect("the run is sound");
    let all = events_by_pid(&all);
    let cuts: Vec<(usize, usize)> = whole
        .files()
        .iter()
        .enumerate()
        .flat_map(|(file, (_, bytes))| (0..bytes.len()).map(move |len| (file, len)))
        .collect();
    assert!(cuts.len() > 40_000);
    in_parallel("cut", cuts.len() as u64, |run, number| {
        let (file, len) = cuts[number as usize];
        let (name, bytes) = &run.files()[file];
        let trace = run.trace_with(file, bytes[..len].to_vec(), false);
        let trace = trace.expect("one damaged file refuses no run");
        let found = events_by_pid(&trace);
        // The worker shares nothing with the other processes.
        let untouched = if name.pid == 4300 { 4242 } else { 4300 };
        assert_eq!(
            found[&untouched], all[&untouched],
            "{name} cut to {len} bytes"
        );
    });
}

#[test]
fn bytes_flipped_at_random() {
    let flips = std::env::var("RINGSCOPE_FLIPS");
    let flips = flips.map_or(100_000, |text| text.parse().expect("a number"));
    in_parallel("flip", flips, |run, number| {
        let mut random = Random::new(number);
        let file = random.below(run.files().len() as u64) as usize;
        let mut bytes = run.files()[file].1.clone();
        if bytes.is_empty() {
            return;
        }
        let len = bytes.len() as u64;
        // Half of them near the beginning, where headers stand.
        let end = if random.below(2) == 0 {
            len.min(600)
        } else {
            len
        };
        for _ in 0..=random.below(8) {
            bytes[random.below(end) as usize] ^= 1 << random.below(8);
        }
        run.trace_with(file, bytes, random.below(2) == 0);
    });
}

#[test]
fn every_word_at_its_extremes() {
    const EXTREMES: [u64; 8] = [
        0,
        1,
        u32::MAX as u64,
        1 << 48,
        i64::MAX as u64,
        1 << 63,
        u64::MAX - 7,
        u64::MAX,
    ];
    let files = golden("words");
    let words: Vec<(usize, usize)> = files
        .files()
        .iter()
        .enumerate()
        .flat_map(|(file, (_, bytes))| (0..bytes.len() / 4).map(move |word| (file, word * 4)))
        .collect();
    in_parallel("words", words.len() as u64, |run, number| {
        let (file, at) = words[number as usize];
        let original = &run.files()[file].1;
        // Zeros behind the body have no meaning; a few of them do as well as all.
        let is_blank = original[at..].iter().take(64).all(|byte| *byte == 0);
        for extreme in EXTREMES.iter().step_by(if is_blank { 7 } else { 1 }) {
            let mut bytes = original.clone();
            let end = bytes.len().min(at + 8);
            bytes[at..end].copy_from_slice(&extreme.to_le_bytes()[..end - at]);
            run.trace_with(file, bytes, true);
        }
    });
}

/// Runs `ringscope`, which must come to an end by itself within half a minute.
fn bounded(arguments: &[&str], run: &Path) -> Output {
    let mut bounded = command(Path::new("timeout"));
    bounded
        .arg("30")
        .arg(ringscope())
        .args(arguments)
        .arg(run)
        .stdin(Stdio::null());
    let output = bounded.output().expect("timeout is part of every system");
    let code = output.status.code();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        matches!(code, Some(0 | 1 | 3)),
        "{arguments:?}: {code:?}: {said}"
    );
    assert!(!said.contains("panicked"), "{said}");
    output
}

/// Makes what no recorder makes, under a name that a recorder would give.
fn plant(kind: &str, path: &Path) {
    let c_path = CString::new(path.as_os_str().as_bytes()).expect("no NUL inside");
    let node = |mode, device| {
        // SAFETY: the path is NUL-terminated.
        let made = unsafe { libc::mknod(c_path.as_ptr(), mode | 0o600, device) };
        assert_eq!(made, 0, "{kind}: {}", std::io::Error::last_os_error());
    };
    match kind {
        "link" => symlink("/etc/passwd", path).expect("a link"),
        "loop" => symlink(path, path).expect("a link to itself"),
        "pipe" => node(libc::S_IFIFO, 0),
        // As /dev/zero and /dev/tty.
        "endless device" => node(libc::S_IFCHR, libc::makedev(1, 5)),
        "terminal" => node(libc::S_IFCHR, libc::makedev(5, 0)),
        "socket" => drop(UnixListener::bind(path).expect("a socket")),
        _ => fs::create_dir(path).expect("a directory"),
    }
}

#[test]
fn planted_things_that_are_no_files() {
    let kinds = ["link", "loop", "pipe", "socket", "directory"];
    let devices = ["endless device", "terminal"];
    let kinds = if is_root("planted devices") {
        [&kinds[..], &devices].concat()
    } else {
        kinds.to_vec()
    };
    for kind in kinds {
        let run = golden(&format!("planted-{}", kind.replace(' ', "-")));
        for (name, _) in run.files() {
            let path = run.dir().join(name.to_string());
            let planted = FileName {
                nonce: name.nonce ^ 1,
                ..*name
            };
            // Beside a sound file, and in the place of one.
            plant(kind, &run.dir().join(planted.to_string()));
            if name.pid == 4242 {
                fs::remove_file(&path).expect("the copy is ours");
                plant(kind, &path);
            }
        }
        plant(kind, &run.dir().join("level"));
        let trace = bounded(&["decode", "-o", "-"], run.dir());
        assert_eq!(trace.status.code(), Some(0), "{kind}");
        assert!(events_by_pid(&trace.stdout)[&4300] > 0, "{kind}");
        let said = String::from_utf8_lossy(&trace.stderr);
        assert!(said.contains("ringscope: damage: "), "{kind}: {said}");
        for arguments in [
            &["stats", "--json"][..],
            &["inspect", "--json"],
            &["decode", "--strict", "-o", "/dev/null"],
        ] {
            bounded(arguments, run.dir());
        }
        let mut level = command(Path::new("timeout"));
        level
            .arg("30")
            .arg(ringscope())
            .arg("level")
            .arg(run.dir())
            .arg("off");
        let level = level.output().expect("ringscope starts");
        assert!(
            matches!(level.status.code(), Some(0 | 1)),
            "{kind}: {level:?}"
        );
        let parent = new_dir(Medium::Memory);
        fs::rename(run.dir(), parent.path().join("run")).expect("the copy is ours");
        bounded(&["ls"], parent.path());
        bounded(&["gc"], parent.path());
    }
    assert!(fs::metadata("/etc/passwd").expect("still there").len() > 0);
}

/// A process file with as many sites as fit, each named by one byte.
fn many_sites(header: &[u8], count: u32) -> Vec<u8> {
    let mut bytes = header.to_vec();
    let mut buffer = vec![0; 1 << 10];
    for id in 0..count {
        let site = Block::Site(Site {
            id,
            level: 1,
            run_time: false,
            line: 0,
            name: b"x",
            category: b"",
            file: b"",
            args: Args::List(&[]),
            constants: Args::List(&[]),
        });
        let len = site.encode(&mut buffer).expect("it fits");
        bytes.extend(&buffer[..len]);
    }
    bytes
}

/// Decodes `run` with at most `memory_bytes` of memory of its own; what it says.
fn decode_within(memory_bytes: u64, max_names_size: &str, run: &Path) -> String {
    let mut decode = command(&ringscope());
    decode
        .args(["decode", "-o", "-", "--max-names-size", max_names_size])
        .arg(run)
        .stdout(Stdio::null());
    let limit = libc::rlimit {
        rlim_cur: memory_bytes,
        rlim_max: memory_bytes,
    };
    // SAFETY: setrlimit is one system call.
    unsafe {
        decode.pre_exec(move || {
            libc::setrlimit(libc::RLIMIT_DATA, &limit);
            Ok(())
        });
    }
    let output = decode.output().expect("ringscope starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{:?}: {said}", output.status);
    said
}

#[test]
fn tables_of_millions_of_names() {
    const LITTLE: u64 = 64 << 20;
    let run = golden("names");
    let is_wanted =
        |(name, _): &&(FileName, _)| name.to_string() == "4242-0123456789abcdef.process";
    let wanted = run.files().iter().find(is_wanted);
    let (name, bytes) = wanted.expect("the golden run has it");
    let (path, name) = (run.dir().join(name.to_string()), name.to_string());
    let file = many_sites(&bytes[..PROCESS_HEADER_LEN], 1_000_000);
    fs::write(&path, &file).expect("the copy is ours");
    // The file itself, and a table that takes a small multiple of it.
    decode_within(16 * file.len() as u64 + LITTLE, "1GiB", run.dir());
    let said = decode_within(LITTLE, "1MiB", run.dir());
    assert!(
        said.contains(&name) && said.contains("at most 1048576 bytes"),
        "{said}"
    );
    // A hole of a terabyte is no reason to read it.
    let sparse = fs::File::options()
        .write(true)
        .open(&path)
        .expect("writable");
    sparse.set_len(1 << 40).expect("a file with a hole");
    let said = decode_within(LITTLE, "256MiB", run.dir());
    assert!(said.contains(&name), "{said}");
}

#[test]
fn too_many_files() {
    let run = golden("files");
    for number in 0..300 {
        let name = format!("7-{number:016x}.process");
        fs::write(run.dir().join(name), "").expect("the copy is ours");
    }
    let output = bounded(&["decode", "-o", "-", "--max-files", "100"], run.dir());
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.starts_with("ringscope: ") && said.contains("100"),
        "{said}"
    );
    assert_eq!(
        bounded(&["decode", "-o", "-"], run.dir()).status.code(),
        Some(0)
    );
}
