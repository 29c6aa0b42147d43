//! The files of one imported process: names, lanes and threads as a recorder would have written them.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::Ordering;

use ringscope_ringbuf::block::{Args, Block, ClockPair, PairSource, Site};
use ringscope_ringbuf::clock::ClockSource;
use ringscope_ringbuf::file::{FileKind, FileName, file_start, seal_process_header};
use ringscope_ringbuf::layout::{
    DropCause, LEVEL_KERNEL, MAX_NAME_LEN, MODE_FULL, PROCESS_HEADER_LEN, ProcessHeader,
    ROLE_PROCESS,
};
use ringscope_ringbuf::map::MappedLock;
use ringscope_ringbuf::sys;

use super::boot::Boot;
use super::thread_file::{ThreadFile, private_file};
use crate::kernel::c_path;

/// Names, keys and lanes of a process take at most so many bytes; what comes later goes under a placeholder.
const MAX_BODY_BYTES: usize = 64 << 20;
/// Longest block: three texts of the longest name, and its numbers.
const BLOCK_BYTES: usize = 4 * MAX_NAME_LEN;
/// Name of spans whose own name came too late.
const PLACEHOLDER: &[u8] = b"(another name)";
const CATEGORY: &[u8] = b"strace";

/// Domain of device times that were placed inside their launches: its ticks are the host's nanoseconds.
pub(super) const PLACED: u32 = 1;
/// Domain of device times that nothing ties to the host.
pub(super) const NOT_PLACED: u32 = 2;

/// A process of a log, on its way to files.
#[derive(Debug)]
pub(super) struct ProcessFile {
    name: FileName,
    body: Vec<u8>,
    sites: HashMap<Vec<u8>, u32>,
    keys: HashMap<Vec<u8>, u32>,
    lanes: HashMap<(u32, u32, u32), u16>,
    threads: HashMap<u32, ThreadFile>,
    names_past_cap: u64,
    first_ns: u64,
    last_ns: u64,
    /// As the log says.
    pub rank: Option<u32>,
    /// How far off the device work inside launches may be, ns; `None` without any.
    pub placed_within_ns: Option<u64>,
}

impl ProcessFile {
    /// A process without records.
    pub(super) fn new(pid: u32) -> ProcessFile {
        let mut process = ProcessFile {
            name: FileName {
                pid,
                nonce: sys::random_u64(),
                index: 0,
                kind: FileKind::Process,
            },
            body: Vec::new(),
            sites: HashMap::new(),
            keys: HashMap::new(),
            lanes: HashMap::new(),
            threads: HashMap::new(),
            names_past_cap: 0,
            first_ns: u64::MAX,
            last_ns: 0,
            rank: None,
            placed_within_ns: None,
        };
        process.add_site(PLACEHOLDER);
        process
    }

    /// Threads that have records.
    pub(super) fn thread_count(&self) -> usize {
        self.threads.len()
    }

    pub(super) fn has_thread(&self, tid: u32) -> bool {
        self.threads.contains_key(&tid)
    }

    /// The id of the site of this name.
    pub(super) fn site(&mut self, name: &[u8]) -> u32 {
        let name = &name[..name.len().min(MAX_NAME_LEN)];
        if let Some(id) = self.sites.get(name) {
            return *id;
        }
        if self.is_full() {
            self.names_past_cap += 1;
            return self.sites.get(PLACEHOLDER).copied().unwrap_or(0);
        }
        self.add_site(name)
    }

    fn add_site(&mut self, name: &[u8]) -> u32 {
        let id = self.sites.len() as u32 + 1;
        self.sites.insert(name.to_vec(), id);
        self.append(&Block::Site(Site {
            id,
            level: LEVEL_KERNEL as u8,
            run_time: true,
            line: 0,
            name,
            category: CATEGORY,
            file: b"",
            args: Args::List(&[]),
            constants: Args::List(&[]),
        }));
        id
    }

    /// The id of this argument's key; `None` when there are too many.
    pub(super) fn key(&mut self, key: &[u8]) -> Option<u32> {
        let key = &key[..key.len().min(MAX_NAME_LEN)];
        if let Some(id) = self.keys.get(key) {
            return Some(*id);
        }
        if self.is_full() {
            return None;
        }
        let id = self.keys.len() as u32 + 1;
        self.keys.insert(key.to_vec(), id);
        self.append(&Block::Key { id, key });
        Some(id)
    }

    /// The lane of a device's stream; of more than a lane number can tell, the last.
    pub(super) fn lane(&mut self, device: u32, stream: u32, domain: u32) -> u16 {
        let next = u16::try_from(self.lanes.len() + 1).unwrap_or(u16::MAX);
        let lane = *self.lanes.entry((device, stream, domain)).or_insert(next);
        if lane == next && usize::from(lane) == self.lanes.len() {
            let name = format!("stream {stream}");
            self.append(&Block::stream(
                lane,
                (device, stream),
                domain,
                name.as_bytes(),
            ));
        }
        lane
    }

    fn is_full(&self) -> bool {
        self.body.len() > MAX_BODY_BYTES
    }

    fn append(&mut self, block: &Block<'_>) {
        // No block is longer than the buffer: its texts are cut to the longest name.
        let mut buffer = vec![0; BLOCK_BYTES];
        if let Some(len) = block.encode(&mut buffer) {
            self.body.extend_from_slice(&buffer[..len]);
        }
    }

    /// The records of a thread.
    pub(super) fn thread(&mut self, dir: &Path, tid: u32) -> &mut ThreadFile {
        let index = self.threads.len() as u32;
        let name = self.name;
        self.threads
            .entry(tid)
            .or_insert_with(|| ThreadFile::new(dir, name, index, tid))
    }

    /// Hears of a moment of the process on the host's clock.
    pub(super) fn lived_at(&mut self, from_ns: u64, to_ns: u64) {
        self.first_ns = self.first_ns.min(from_ns);
        self.last_ns = self.last_ns.max(to_ns);
    }

    /// Writes all files.
    ///
    /// # Errors
    ///
    /// When one can't be written.
    pub(super) fn finish(&mut self, dir: &Path, boot: &Boot, source: &[u8]) -> io::Result<()> {
        let mut threads = std::mem::take(&mut self.threads);
        for thread in threads.values_mut() {
            thread.finish(dir)?;
            self.append(&Block::Owner {
                ring_index: thread.index(),
                tid: thread.tid(),
                first_sequence: 0,
                start_ticks: 0,
                name: b"",
            });
        }
        self.append_domains();
        self.append(&Block::Message {
            text: &source[..source.len().min(MAX_NAME_LEN)],
        });
        let header = seal_process_header(&self.header(boot));
        let file = private_file(&dir.join(self.name.to_string()))?;
        file.write_all_at(&self.body, PROCESS_HEADER_LEN as u64)?;
        file.write_all_at(&header, 0)?;
        self.write_lock_file(dir, boot)
    }

    fn append_domains(&mut self) {
        let has = |domain| self.lanes.keys().any(|(_, _, of)| *of == domain);
        let has_others = has(NOT_PLACED);
        if let Some(off_ns) = self.placed_within_ns {
            self.append(&Block::ClockDomain {
                id: PLACED,
                frequency_hz: 1_000_000_000,
                name: b"device, inside its launches",
            });
            for at_ns in [self.first_ns, self.last_ns] {
                self.append(&Block::Anchor {
                    domain: PLACED,
                    host_before_ticks: at_ns.saturating_sub(off_ns),
                    device_ticks: at_ns,
                    host_after_ticks: at_ns + off_ns.min(at_ns),
                });
            }
        }
        if has_others {
            self.append(&Block::ClockDomain {
                id: NOT_PLACED,
                frequency_hz: 0,
                name: b"device, launch unknown",
            });
        }
    }

    fn header(&self, boot: &Boot) -> ProcessHeader {
        let first_ns = self.first_ns.min(self.last_ns);
        ProcessHeader {
            start: file_start(self.name.nonce, self.name.pid, 0, 0),
            role: ROLE_PROCESS.into(),
            reserved0: 0.into(),
            parent_pid: 0.into(),
            start_time: 0.into(),
            pid_namespace: 0.into(),
            boot_id: boot.id,
            created_mono_ns: first_ns.into(),
            created_real_ns: boot.real_ns(first_ns).into(),
            clock_source: (ClockSource::Monotonic as u32).into(),
            rank: self
                .rank
                .and_then(|rank| i32::try_from(rank).ok())
                .unwrap_or(-1)
                .into(),
            nominal_hz: 1_000_000_000.into(),
            parent_nonce: 0.into(),
            generation: 0.into(),
            mode: MODE_FULL.into(),
            level_fd: (-1).into(),
            level_device: 0.into(),
            level_inode: 0.into(),
            level: LEVEL_KERNEL.into(),
            ring_bytes: 0.into(),
            uid: sys::user_id().into(),
            reserved1: 0.into(),
            host: boot.host,
            stem: [0; 64],
            process_name: padded(format!("process {}", self.name.pid).as_bytes()),
            reserved2: [0; 128],
        }
    }

    /// The end of the process is that of its log: nothing says that it failed.
    fn write_lock_file(&self, dir: &Path, boot: &Boot) -> io::Result<()> {
        let name = FileName {
            kind: FileKind::Lock,
            ..self.name
        };
        let path = dir.join(name.to_string());
        let path = c_path(&path).map_err(|failure| io::Error::other(failure.line().to_owned()))?;
        let lock = MappedLock::create(&path, &file_start(name.nonce, name.pid, 0, 0))
            .map_err(io::Error::from_raw_os_error)?;
        lock.drop_counter(DropCause::NameCap)
            .store(self.names_past_cap, Ordering::Relaxed);
        lock.mark_clean_end(&ClockPair {
            ticks: self.last_ns,
            mono_ns: self.last_ns,
            real_ns: boot.real_ns(self.last_ns),
            uncertainty_ns: 0,
            source: PairSource::End as u32,
        });
        Ok(())
    }
}

fn padded(text: &[u8]) -> [u8; 64] {
    let mut field = [0; 64];
    field[..text.len()].copy_from_slice(text);
    field
}
