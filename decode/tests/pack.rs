//! Packs: what is packed decodes as the run did, and what is no pack of a run is refused.

#![allow(clippy::unwrap_used, reason = "in a test a failure is a panic")]

mod common;

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use common::*;
use ringscope_decode::{Limits, Options, Order, Run, Timeline, pack};
use ringscope_ringbuf::file::FileKind;
use ringscope_ringbuf::layout::*;
use tar::{EntryType, Header};
use tempfile::TempDir;

fn packed(run: &Run) -> (Vec<u8>, pack::Packed) {
    let mut bytes = Vec::new();
    let packed = pack::write(run, &mut bytes, 1, &|_| {}).unwrap();
    (bytes, packed)
}

/// The trace without the lines that name where the run lies.
fn trace_of(run: Run) -> String {
    let timeline = Timeline::build(&[run], &Options::default()).unwrap();
    let text = String::from_utf8(trace_bytes(&timeline, Order::Time)).unwrap();
    serde_json::from_str::<serde_json::Value>(&text).unwrap();
    text
}

fn without_place(trace: &str, place: &Path) -> String {
    let place = place.display().to_string();
    assert!(trace.contains(&place));
    trace.replace(&place, "RUN")
}

/// A dead process with a ring of which a part was written, and one that wrapped around.
fn write_run(run: &TestRun) {
    let process = run.process(100, 1).named("engine");
    process.site(1, "step", "worker", &[]);
    process.owner(0, 101, 0, 0, "main");
    process.owner(1, 102, 0, 0, "helper");
    let ring = process.ring(0, 16, 101);
    for at in 0..50 {
        ring.span(1, 1_000 + at * 10, 1_005 + at * 10);
    }
    ring.torn(1);
    ring.open_span(1, 0, 2_000, &[]);
    let wrapped = process.ring(1, 6, 102);
    for at in 0..100 {
        wrapped.span(1, 1_000 + at * 10, 1_005 + at * 10);
        if at == 40 {
            wrapped.save(FileKind::Drain, 0, 0..40);
        }
    }
    process.finish();
}

#[test]
fn a_pack_decodes_as_its_run_and_holds_what_was_used() {
    let run = TestRun::new();
    write_run(&run);
    let (bytes, packed) = packed(&run.open());
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("run.tar.zst");
    fs::write(&path, &bytes).unwrap();
    assert!(pack::is_pack(&path));
    assert_eq!(packed.files, 5);
    let ring_bytes = (RECORD_LEN as u64) << 16;
    assert!(packed.run_bytes > ring_bytes);
    assert!(packed.used_bytes < packed.run_bytes - ring_bytes + 100 * RECORD_LEN as u64);

    let opened = Run::open(&path, &Limits::default()).unwrap();
    assert_eq!(opened.bytes_on_disk(), bytes.len() as u64);
    assert!(!opened.is_alive());
    let expected = without_place(&trace_of(run.open()), run.path());
    assert!(without_place(&trace_of(opened), &path) == expected);
}

#[test]
fn the_golden_run_survives_packing() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/v1/every-kind");
    let run = Run::open(&golden, &Limits::default()).unwrap();
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("golden.tar.zst");
    fs::write(&path, packed(&run).0).unwrap();
    let expected = without_place(&trace_of(run), &golden);
    let opened = Run::open(&path, &Limits::default()).unwrap();
    assert!(without_place(&trace_of(opened), &path) == expected);
}

#[test]
fn damage_of_a_ring_is_packed_with_it() {
    let run = TestRun::new();
    write_run(&run);
    let ring = run.open().processes[0].rings[0].file.clone().unwrap().0;
    let file = fs::OpenOptions::new().write(true).open(&ring).unwrap();
    file.set_len(ring_header_len(8) as u64 + 33).unwrap();
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("damaged.tar.zst");
    fs::write(&path, packed(&run.open()).0).unwrap();
    let trace = trace_of(Run::open(&path, &Limits::default()).unwrap());
    assert_eq!(
        without_place(&trace, &path),
        without_place(&trace_of(run.open()), run.path())
    );
    assert!(trace.contains("cut short"));
}

#[test]
fn tar_makes_the_run_again() {
    let run = TestRun::new();
    write_run(&run);
    let (bytes, _) = packed(&run.open());
    let dir = TempDir::new().unwrap();
    let archive = zstd::decode_all(&bytes[..]).unwrap();
    tar::Archive::new(&archive[..]).unpack(dir.path()).unwrap();
    let unpacked = dir.path().join(run.path().file_name().unwrap());
    for entry in fs::read_dir(run.path()).unwrap() {
        let name = entry.unwrap().file_name();
        let read = |dir: &Path| fs::read(dir.join(&name)).unwrap();
        assert!(read(run.path()) == read(&unpacked), "{name:?}");
    }
}

/// An archive made by hand.
struct Archive {
    tar: tar::Builder<Vec<u8>>,
    dir: TempDir,
}

const PROCESS: &str = "run/1-0000000000000001.process";
const RING: &str = "run/1-0000000000000001-0.ring";

impl Archive {
    fn new() -> Archive {
        Archive {
            tar: tar::Builder::new(Vec::new()),
            dir: TempDir::new().unwrap(),
        }
    }

    /// Adds an entry under a name that `Builder` would refuse to write.
    fn add(mut self, name: &str, kind: EntryType, bytes: &[u8]) -> Archive {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        self.tar.append(&header, bytes).unwrap();
        self
    }

    fn sparse(
        mut self,
        name: &str,
        real_len: u64,
        extents: &[(u64, u64)],
        stored: &[u8],
    ) -> Archive {
        let mut header = Header::new_gnu();
        header.set_path(name).unwrap();
        header.set_entry_type(EntryType::GNUSparse);
        header.set_size(stored.len() as u64);
        let gnu = header.as_gnu_mut().unwrap();
        gnu.set_real_size(real_len);
        for (sparse, (offset, len)) in gnu.sparse.iter_mut().zip(extents) {
            sparse.set_offset(*offset);
            sparse.set_length(*len);
        }
        header.set_cksum();
        self.tar.append(&header, stored).unwrap();
        self
    }

    fn write(self) -> (PathBuf, TempDir) {
        let bytes = zstd::encode_all(&self.tar.into_inner().unwrap()[..], 1).unwrap();
        let path = self.dir.path().join("hostile.tar.zst");
        fs::write(&path, bytes).unwrap();
        (path, self.dir)
    }

    fn refusal(self) -> String {
        let (path, _dir) = self.write();
        let error = Run::open(&path, &Limits::default())
            .unwrap_err()
            .to_string();
        error
            .strip_prefix(&format!("{}: ", path.display()))
            .unwrap()
            .to_owned()
    }
}

#[test]
fn what_leads_out_of_a_pack_is_refused() {
    for name in [
        "../1-0000000000000001.process",
        "/1-0000000000000001.process",
        "a/../../b",
    ] {
        assert_eq!(
            Archive::new().add(name, EntryType::Regular, b"x").refusal(),
            format!(
                "entry {name:?}: expected a path inside the archive, found one that leads out of it"
            )
        );
    }
    for (kind, found) in [
        (EntryType::Symlink, "a symbolic link"),
        (EntryType::Link, "a hard link"),
        (EntryType::Fifo, "a pipe"),
        (EntryType::Block, "a device"),
    ] {
        assert_eq!(
            Archive::new().add(PROCESS, kind, b"").refusal(),
            format!("entry {PROCESS:?}: expected a file or a directory, found {found}")
        );
    }
}

#[test]
fn what_no_run_has_is_refused_or_passed_over() {
    let twice = Archive::new().add(PROCESS, EntryType::Regular, b"x").add(
        PROCESS,
        EntryType::Regular,
        b"y",
    );
    assert_eq!(
        twice.refusal(),
        format!("entry {PROCESS:?}: expected each file once, found it again")
    );
    let two_runs = Archive::new().add(PROCESS, EntryType::Regular, b"x").add(
        "other/2-0000000000000001.process",
        EntryType::Regular,
        b"y",
    );
    assert!(
        two_runs
            .refusal()
            .ends_with("expected the files of one run, found a second directory")
    );
    let long_name = Archive::new().add("././@LongLink", EntryType::GNULongName, &[b'a'; 300]);
    assert!(
        long_name
            .refusal()
            .ends_with("found a name of more than 100 bytes")
    );
    let others = Archive::new().add("run/notes.txt", EntryType::Regular, b"x");
    assert_eq!(
        others.refusal(),
        "expected a run, a directory of runs or a pack, found no process or ring file"
    );
}

#[test]
fn sizes_that_no_file_of_a_run_has_are_refused() {
    let lock = "run/1-0000000000000001.lock";
    let refusal = Archive::new()
        .add(lock, EntryType::Regular, &[1; 4097])
        .refusal();
    assert_eq!(
        refusal,
        format!("entry {lock:?}: expected at most 4096 bytes, found 4097")
    );
    let refusal = Archive::new()
        .sparse(RING, 1 << 40, &[(0, 1), (1 << 40, 0)], b"x")
        .refusal();
    assert!(refusal.contains("expected at most 1073876992 bytes, found 1099511627776"));
    for extents in [
        &[(10, 1), (5, 0)][..],
        &[(0, 2)],
        &[(u64::MAX >> 1, u64::MAX >> 1)],
        &[(200, 1)],
    ] {
        let refusal = Archive::new().sparse(RING, 100, extents, b"x").refusal();
        assert!(
            refusal.contains("expected a table of up to four ascending extents"),
            "{refusal}"
        );
    }
}

#[test]
fn a_pack_that_unpacks_to_too_much_is_refused() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("bomb.tar.zst");
    let mut zstd = zstd::Encoder::new(fs::File::create(&path).unwrap(), 1).unwrap();
    let mut header = Header::new_gnu();
    header.set_path("run/notes.txt").unwrap();
    header.set_size(1 << 28);
    header.set_entry_type(EntryType::Regular);
    header.set_cksum();
    zstd.write_all(header.as_bytes()).unwrap();
    for _ in 0..1 << 10 {
        zstd.write_all(&[7; 1 << 18]).unwrap();
    }
    zstd.finish().unwrap();
    let error = Run::open(&path, &Limits::default())
        .unwrap_err()
        .to_string();
    assert!(fs::metadata(&path).unwrap().len() < 100 << 10);
    assert!(
        error.contains("when unpacked (1000 for each byte of the pack"),
        "{error}"
    );
}

#[test]
fn a_pack_that_is_cut_short_is_refused() {
    let run = TestRun::new();
    write_run(&run);
    let (bytes, _) = packed(&run.open());
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("cut.tar.zst");
    for len in [5, 100, bytes.len() / 2, bytes.len() - 5, bytes.len() - 1] {
        fs::write(&path, &bytes[..len]).unwrap();
        let error = Run::open(&path, &Limits::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains("expected a whole archive"), "{len}: {error}");
    }
    for flipped in [bytes.len() / 3, bytes.len() - 2] {
        let mut bytes = bytes.clone();
        bytes[flipped] ^= 0x10;
        fs::write(&path, &bytes).unwrap();
        assert!(
            Run::open(&path, &Limits::default()).is_err(),
            "bit flipped at {flipped}"
        );
    }
    fs::write(&path, b"plain text").unwrap();
    let error = Run::open(&path, &Limits::default())
        .unwrap_err()
        .to_string();
    assert!(error.ends_with("found no process or ring file"), "{error}");
}

#[test]
fn zeros_of_a_pack_take_no_room() {
    let stored = vec![0; 4 << 20];
    let archive = Archive::new().add(PROCESS, EntryType::Regular, &stored);
    let (path, _dir) = archive.write();
    let run = Run::open(&path, &Limits::default()).unwrap();
    let unpacked = run.processes[0].path.metadata().unwrap();
    assert_eq!(unpacked.len(), 4 << 20);
    assert!(unpacked.blocks() * 512 < 1 << 20);
    let file = run.processes[0].path.clone();
    drop(run);
    assert!(!file.exists());
}
