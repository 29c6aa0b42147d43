//! Handlers that leave by `siglongjmp`, out of spans and out of the recorder itself: the thread goes on recording, and each
//! jump costs one record at most.

use std::path::Path;

use ringscope_ringbuf::block::{Block, blocks};
use ringscope_ringbuf::file::{FileKind, FileName, LockFile, ProcessFile, RingFile, SegmentFile};
use ringscope_ringbuf::layout::{DropCause, Kind, Record};
use ringscope_ringbuf::reader::copy_published;

use crate::recorded::only_run;
use crate::toolchain::{Language, compiled, recording, succeeded};

/// As the program has it.
const JUMPS: u64 = 500;

/// The files of the run's only process.
struct Files<'a> {
    run: &'a Path,
    name: FileName,
}

impl Files<'_> {
    fn path(&self, kind: FileKind) -> std::path::PathBuf {
        let index = 0;
        let name = FileName {
            kind,
            index,
            ..self.name
        };
        self.run.join(name.to_string())
    }

    /// Every published record of the ring and its segments, by sequence; `None` for what is not.
    fn records(&self) -> Vec<Option<Record>> {
        let ring = RingFile::open(&self.path(FileKind::Ring)).unwrap();
        let log2 = ring.capacity_log2();
        let head = ring.state().unwrap().head.sequence;
        let mut records = vec![None; head as usize];
        if let Ok(file) = SegmentFile::open(&self.path(FileKind::Spill)) {
            for segment in &file.segments {
                let mut saved = vec![Record::default(); segment.record_count as usize];
                file.read_records(segment, 0, &mut saved).unwrap();
                for (sequence, record) in (segment.base_sequence..).zip(saved) {
                    if record.is_stamped(sequence, log2) {
                        records[sequence as usize] = Some(record);
                    }
                }
            }
        }
        let mut window = Vec::new();
        let range = copy_published(&mut &ring, 0..head, log2, &mut window).unwrap();
        for (sequence, record) in range.zip(window) {
            if record.is_stamped(sequence, log2) {
                records[sequence as usize] = Some(record);
            }
        }
        records
    }
}

fn check(mode: &str) {
    let dir = tempfile::tempdir().unwrap();
    let (binary, runs) = (dir.path().join("program"), dir.path().join("runs"));
    compiled(Language::C, "jumps.c", &binary);
    let mut command = recording(&binary, &runs);
    command
        .env("RINGSCOPE_MODE", mode)
        .env("RINGSCOPE_RING_SIZE", "256KiB");
    succeeded(&mut command);
    let run = only_run(&runs);
    let lock = std::fs::read_dir(&run).unwrap().find_map(|entry| {
        let name = FileName::parse(entry.unwrap().file_name().to_str()?)?;
        (name.kind == FileKind::Lock).then_some(name)
    });
    let files = Files {
        run: &run,
        name: lock.unwrap(),
    };
    let process = ProcessFile::read(&files.path(FileKind::Process), 1 << 20).unwrap();
    let sites = site_ids(&process);
    let records = files.records();
    let ring = RingFile::open(&files.path(FileKind::Ring)).unwrap();
    let state = ring.state().unwrap();
    let made = state.head.record_count(state.continuations);
    let found = count_sound(&records, sites);
    let lock = LockFile::read(&files.path(FileKind::Lock)).unwrap();
    assert_eq!(lock.drops(DropCause::NestedSetup), 0);
    if mode == "full" {
        assert!(made - found <= JUMPS, "{made} made, {found} there");
        assert_eq!(lock.drops(DropCause::SpillFailed), 0);
    }
}

/// Ids of `landed` and `left`: two of a place, where a jump came between its registration and its first record.
fn site_ids(process: &ProcessFile) -> [Vec<u32>; 2] {
    let mut damaged = 0;
    let found = blocks(&process.body, &mut damaged);
    [&b"landed"[..], b"left"].map(|name| {
        let ids = found.iter().filter_map(|found| match found.block {
            Ok(Block::Site(ref site)) if site.name == name => Some(site.id),
            _ => None,
        });
        ids.collect()
    })
}

/// Checks that `landed` counts the jumps and `left` the records since the last one; how many records are there.
fn count_sound(records: &[Option<Record>], [landed, left]: [Vec<u32>; 2]) -> u64 {
    let (mut found, mut jumps, mut next) = (0, None, None);
    for record in records.iter().flatten() {
        if record.kind_number() == Kind::Continuation as u8 {
            continue;
        }
        found += 1;
        let value = record.w[2] as i64;
        if landed.contains(&record.site()) {
            assert!(
                jumps.is_none_or(|jump| value == jump + 1),
                "jump {value} after {jumps:?}"
            );
            (jumps, next) = (Some(value), Some(0));
        } else {
            assert!(left.contains(&record.site()));
            // What the jump tore out stands at the end of its turn: within a turn nothing is missing.
            assert!(
                next.is_none_or(|next| value == next),
                "{value} instead of {next:?}"
            );
            next = Some(value + 1);
        }
    }
    assert_eq!(jumps, Some(JUMPS as i64 - 1));
    found
}

#[test]
fn a_handler_may_jump_out_of_whatever_it_interrupts() {
    check("full");
    check("flight");
}
