//! Process and lock files of the golden run.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use ringscope_ringbuf::block::{Block, BlockKind, ClockPair};
use ringscope_ringbuf::clock::ClockSource;
use ringscope_ringbuf::file::{FileKind, FileName, file_start, seal_process_header};
use ringscope_ringbuf::layout::{
    BLOCK_MAGIC, DropCause, LEVEL_E2E, LEVEL_KERNEL, MAX_BLOCK_LEN, MODE_FULL, ProcessHeader,
    ROLE_PROCESS,
};
use ringscope_ringbuf::map::MappedLock;

use super::clock::{START_NS, START_REAL_NS, START_TICKS, mono_ns};

pub(crate) const HOST: &str = "golden-host";
pub(crate) const BOOT_ID: [u8; 16] =
    *b"\x3f\x1c\x5a\x0e\x7b\x21\x4d\x6e\x8a\x90\x1b\x2c\x3d\x4e\x5f\x60";

/// What tells one recorder of the golden run from another; `..ENGINE` fills in the rest.
#[derive(Clone, Copy)]
pub(crate) struct Recorder {
    pub(crate) pid: u32,
    pub(crate) nonce: u64,
    pub(crate) role: u16,
    pub(crate) parent_pid: u32,
    pub(crate) parent_nonce: u64,
    pub(crate) start_time: u64,
    pub(crate) created_ticks: u64,
    pub(crate) rank: i32,
    pub(crate) mode: u32,
    pub(crate) stem: &'static str,
    pub(crate) name: &'static str,
}

/// The engine: the process that records every kind of block and record.
pub(crate) const ENGINE: Recorder = Recorder {
    pid: 4242,
    nonce: 0x0123_4567_89ab_cdef,
    role: ROLE_PROCESS,
    parent_pid: 4200,
    parent_nonce: 0,
    start_time: 99_000,
    created_ticks: START_TICKS,
    rank: -1,
    mode: MODE_FULL,
    stem: "serve",
    name: "engine",
};

impl Recorder {
    pub(crate) fn file_name(&self, kind: FileKind, index: u32) -> String {
        FileName {
            pid: self.pid,
            nonce: self.nonce,
            index,
            kind,
        }
        .to_string()
    }

    fn header(&self) -> ProcessHeader {
        let created_mono_ns = mono_ns(self.created_ticks);
        ProcessHeader {
            start: file_start(self.nonce, self.pid, 0, 0),
            role: self.role.into(),
            reserved0: 0.into(),
            parent_pid: self.parent_pid.into(),
            start_time: self.start_time.into(),
            pid_namespace: 4_026_531_836.into(),
            boot_id: BOOT_ID,
            created_mono_ns: created_mono_ns.into(),
            created_real_ns: (START_REAL_NS + created_mono_ns - START_NS).into(),
            clock_source: (ClockSource::Tsc as u32).into(),
            rank: self.rank.into(),
            nominal_hz: 2_000_000_000.into(),
            parent_nonce: self.parent_nonce.into(),
            generation: 1.into(),
            mode: self.mode.into(),
            level_fd: (-1).into(),
            level_device: 0.into(),
            level_inode: 0.into(),
            level: (LEVEL_E2E | LEVEL_KERNEL).into(),
            ring_bytes: (1 << 20).into(),
            uid: 1000.into(),
            reserved1: 0.into(),
            host: padded(HOST),
            stem: padded(self.stem),
            process_name: padded(self.name),
            reserved2: [0; 128],
        }
    }

    /// Writes the process file: its header, then `body`.
    pub(crate) fn write_process_file(&self, dir: &Path, body: Body) {
        let bytes = [&seal_process_header(&self.header())[..], &body.0].concat();
        fs::write(dir.join(self.file_name(FileKind::Process, 0)), bytes)
            .expect("the process file can be written");
    }

    /// Writes the lock file; with `end` the process ended cleanly.
    pub(crate) fn write_lock_file(
        &self,
        dir: &Path,
        end: Option<ClockPair>,
        drops: &[(DropCause, u64)],
    ) {
        let path = dir.join(self.file_name(FileKind::Lock, 0));
        let path = CString::new(path.as_os_str().as_bytes()).expect("no NUL in a path");
        let lock = MappedLock::create(&path, &file_start(self.nonce, self.pid, 0, 0))
            .expect("the lock file can be created");
        for (cause, count) in drops {
            lock.drop_counter(*cause)
                .store(*count, std::sync::atomic::Ordering::Relaxed);
        }
        if let Some(pair) = end {
            lock.mark_clean_end(&pair);
        }
    }
}

fn padded(text: &str) -> [u8; 64] {
    let mut field = [0; 64];
    field[..text.len()].copy_from_slice(text.as_bytes());
    field
}

/// The blocks of a process file.
#[derive(Default)]
pub(crate) struct Body(Vec<u8>);

impl Body {
    pub(crate) fn push(&mut self, block: &Block<'_>) {
        let mut buffer = vec![0; MAX_BLOCK_LEN];
        let len = block.encode(&mut buffer).expect("the block fits");
        self.0.extend(&buffer[..len]);
    }

    /// Room that was reserved by a thread which died before it wrote its block.
    pub(crate) fn push_hole(&mut self) {
        self.0.extend([0; 24]);
    }

    /// A block of a kind that version 1 does not know.
    pub(crate) fn push_of_a_later_version(&mut self) {
        let kind = (BlockKind::Level as u16 + 983).to_le_bytes();
        let payload = b"later";
        let len = (payload.len() as u32).to_le_bytes();
        let summed = [&kind[..], &[0, 0], &len, payload].concat();
        self.0.extend(BLOCK_MAGIC.to_le_bytes());
        self.0.extend(&summed[..8]);
        self.0.extend(crc32fast::hash(&summed).to_le_bytes());
        self.0.extend(payload);
        self.0.extend([0; 3]);
    }
}
