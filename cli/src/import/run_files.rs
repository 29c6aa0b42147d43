//! The run that an import makes: spans go to their threads, device work waits for the end of its launch.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ringscope_ringbuf::layout::{DURATION_MAX, Kind, Record};
use ringscope_ringbuf::payload::payload_word;
use ringscope_ringbuf::reader::pack_duration;
use tempfile::TempDir;

use super::boot::{Boot, Boots};
use super::launch::{Held, Launch, Placement};
use super::line::{Anchor, Span, parsed};
use super::payload;
use super::process_file::{NOT_PLACED, PLACED, ProcessFile};
use crate::failure::Failure;

/// Correlation id of invocation 0, since 0 stands for none; all others have their own number.
const FIRST_CORRELATION: u64 = (1 << 53) - 1;

/// Launches that wait for more of their records; a log holds the records of a launch close to each other.
const MAX_LAUNCHES: usize = 1 << 14;
/// Pieces of device work of a launch that wait.
const MAX_DEVICE_SPANS: usize = 1 << 12;
/// Threads of a run: each keeps records in memory, and has two files.
const MAX_THREADS: usize = 1 << 12;

/// What became of the records.
#[derive(Debug, Default)]
pub(super) struct Summary {
    pub processes: usize,
    pub threads: usize,
    /// Launches with device work inside them.
    pub launches: u64,
    pub device_without_launch: u64,
    /// Launches whose device work is longer than their host span.
    pub device_too_long: u64,
    pub arguments_cut: u64,
    pub is_this_boot: bool,
}

/// A run being written, in a directory that becomes it at the end.
#[derive(Debug)]
pub(super) struct RunFiles {
    target: PathBuf,
    dir: TempDir,
    source: Vec<u8>,
    boots: Boots,
    boot_of: HashMap<u32, Boot>,
    first_anchor: Option<Boot>,
    processes: BTreeMap<u32, ProcessFile>,
    thread_count: usize,
    launches: HashMap<(u32, u64), Launch>,
    order: VecDeque<(u32, u64)>,
    summary: Summary,
}

impl RunFiles {
    /// A run that will stand at `target`, of the log `source`.
    ///
    /// # Errors
    ///
    /// When there is something at `target`, or nothing can be made beside it.
    pub(super) fn create(target: &Path, source: &[u8]) -> Result<RunFiles, Failure> {
        let is_free = match fs::read_dir(target) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        if !is_free {
            let why = "expected a new or empty directory, found something else";
            return Err(Failure::new("import", target.display(), why));
        }
        let parent = target.parent().filter(|dir| !dir.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        let dir = tempfile::Builder::new()
            .prefix(".import-")
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(parent);
        Ok(RunFiles {
            target: target.to_owned(),
            dir: dir.map_err(|error| Failure::io("import", parent, &error))?,
            source: [b"imported from ", source].concat(),
            boots: Boots::new(),
            boot_of: HashMap::new(),
            first_anchor: None,
            processes: BTreeMap::new(),
            thread_count: 0,
            launches: HashMap::new(),
            order: VecDeque::new(),
            summary: Summary::default(),
        })
    }

    /// Takes a moment on the clocks of a process.
    pub(super) fn anchor(&mut self, anchor: Anchor) {
        // A process of more threads than there may be could say so for ever.
        if self.boot_of.len() < MAX_THREADS {
            let boot = self.boots.of_anchor(anchor.mono_ns, anchor.real_ns);
            self.boot_of.entry(anchor.pid).or_insert(boot);
            self.first_anchor.get_or_insert(boot);
        }
    }

    /// Takes a span; the inner error says why it can't be one.
    ///
    /// # Errors
    ///
    /// When a file can't be written.
    pub(super) fn span(&mut self, span: &Span<'_>) -> Result<Result<(), String>, Failure> {
        if span.is_on_device && span.duration_ns > DURATION_MAX {
            let why = "dur: expected less than 2^48 ns on a device, found more";
            return Ok(Err(why.to_owned()));
        }
        let known = self.processes.get(&span.pid);
        let is_new = !known.is_some_and(|process| process.has_thread(span.tid));
        if is_new && self.thread_count >= MAX_THREADS {
            return Ok(Err(format!(
                "tid: expected at most {MAX_THREADS} threads, found more"
            )));
        }
        let held = self.held(span);
        self.thread_count += usize::from(is_new);
        let key = (span.pid, span.invocation);
        if !self.launches.contains_key(&key) {
            self.order.push_back(key);
        }
        let launch = self.launches.entry(key).or_default();
        if span.is_on_device {
            launch.device.push(held);
        } else if launch.is_full() {
            self.write_host(span.pid, &held, None)?;
        } else {
            launch.host.push(held);
        }
        let is_full = self
            .launches
            .get(&key)
            .is_some_and(|l| l.device.len() >= MAX_DEVICE_SPANS);
        if is_full {
            self.write_launch(key)?;
        }
        if self.order.len() > MAX_LAUNCHES
            && let Some(oldest) = self.order.pop_front()
        {
            self.write_launch(oldest)?;
            self.launches.remove(&oldest);
        }
        Ok(Ok(()))
    }

    fn held(&mut self, span: &Span<'_>) -> Held {
        let attribute = |key: &str| {
            let found = span.attributes.iter().find(|(k, _)| **k == *key.as_bytes());
            found.and_then(|(_, value)| parsed::<u32>(value))
        };
        let (pid, dir) = (span.pid, self.dir.path());
        let process = self
            .processes
            .entry(pid)
            .or_insert_with(|| ProcessFile::new(pid));
        process.thread(dir, span.tid);
        let (payload, cut) = payload::of_span(span, process);
        self.summary.arguments_cut += cut;
        if !span.is_on_device {
            process.rank = process.rank.or(attribute("rank"));
            process.lived_at(span.start_ns, span.start_ns + span.duration_ns);
        }
        let device = attribute("device").or(attribute("rank")).unwrap_or(0);
        Held {
            tid: span.tid,
            site: process.site(&span.name),
            name: (*span.name).into(),
            depth: span.depth,
            start_ns: span.start_ns,
            duration_ns: span.duration_ns,
            payload,
            stream: span
                .is_on_device
                .then(|| (device, attribute("stream").unwrap_or(0))),
        }
    }

    /// Writes what is known of a launch.
    fn write_launch(&mut self, key: (u32, u64)) -> Result<(), Failure> {
        let launch = self
            .launches
            .get_mut(&key)
            .map(std::mem::take)
            .unwrap_or_default();
        let placement = launch.place();
        let (pid, invocation) = key;
        let correlation = match invocation {
            0 => FIRST_CORRELATION,
            other => other,
        };
        for (index, span) in launch.host.iter().enumerate() {
            let launches = placement.is_some_and(|placement| placement.host == index);
            self.write_host(pid, span, launches.then_some(correlation))?;
        }
        for span in &launch.device {
            self.write_device((pid, correlation), span, placement)?;
        }
        match placement {
            Some(placement) => {
                self.summary.launches += 1;
                self.summary.device_too_long += u64::from(placement.slack_ns.is_none());
            }
            None => self.summary.device_without_launch += launch.device.len() as u64,
        }
        Ok(())
    }

    /// Writes a host span; with a correlation id as the launch of device work.
    fn write_host(
        &mut self,
        pid: u32,
        span: &Held,
        correlation: Option<u64>,
    ) -> Result<(), Failure> {
        let (start, duration) = (span.start_ns, span.duration_ns);
        let tail = span.payload.get(8..).unwrap_or_default();
        let (kind, words, tail) = match correlation {
            _ if duration >= DURATION_MAX => {
                let words = [start, pack_duration(DURATION_MAX, 0), duration];
                (Kind::SpanLong, words, &span.payload[..])
            }
            Some(id) => (
                Kind::Launch,
                [start, pack_duration(duration, 0), id],
                &span.payload[..],
            ),
            None => {
                let first = payload_word(&span.payload, 0);
                (Kind::Span, [start, pack_duration(duration, 0), first], tail)
            }
        };
        self.write(
            pid,
            span.tid,
            words,
            Record::site_and_kind(span.site, kind),
            tail,
        )
    }

    fn write_device(
        &mut self,
        (pid, correlation): (u32, u64),
        span: &Held,
        placement: Option<Placement>,
    ) -> Result<(), Failure> {
        let (device, stream) = span.stream.unwrap_or_default();
        let Some(process) = self.processes.get_mut(&pid) else {
            return Ok(());
        };
        let mut tail = span.payload.clone();
        let mut start = span.start_ns;
        let mut domain = NOT_PLACED;
        if let Some(placement) = placement {
            domain = PLACED;
            start = placement.host_time_ns(span.start_ns);
            let off_ns = placement.slack_ns.unwrap_or(span.duration_ns);
            if let Some(slack_ns) = placement.slack_ns {
                payload::add_slack(&mut tail, process.key(b"slack_ns"), slack_ns);
            }
            process.placed_within_ns = process.placed_within_ns.max(Some(off_ns));
        }
        let lane = process.lane(device, stream, domain);
        let words = [start, pack_duration(span.duration_ns, lane), correlation];
        self.write(
            pid,
            span.tid,
            words,
            Record::site_and_kind(span.site, Kind::DeviceSpan),
            &tail,
        )
    }

    fn write(
        &mut self,
        pid: u32,
        tid: u32,
        words: [u64; 3],
        site_and_kind: u64,
        tail: &[u8],
    ) -> Result<(), Failure> {
        let dir = self.dir.path();
        let Some(process) = self.processes.get_mut(&pid) else {
            return Ok(());
        };
        let written = process.thread(dir, tid).push(words, site_and_kind, tail);
        written.map_err(|error| Failure::io("import", dir, &error))
    }

    /// Writes the rest, and moves the run to its place.
    ///
    /// # Errors
    ///
    /// When a file can't be written, or the place was taken meanwhile.
    pub(super) fn finish(mut self) -> Result<Summary, Failure> {
        while let Some(key) = self.order.pop_front() {
            self.write_launch(key)?;
        }
        let other = self.boots.of_no_anchor(self.first_anchor);
        let boot = |pid: &u32| self.boot_of.get(pid).copied().unwrap_or(other);
        for (pid, process) in &mut self.processes {
            self.summary.threads += process.thread_count();
            process
                .finish(self.dir.path(), &boot(pid), &self.source)
                .map_err(|error| Failure::io("import", self.dir.path(), &error))?;
        }
        self.summary.processes = self.processes.len();
        self.summary.is_this_boot = self
            .processes
            .keys()
            .all(|pid| self.boots.is_this(&boot(pid)));
        let failed = |error: io::Error| Failure::io("import", &self.target, &error);
        // An empty directory gives way to the run.
        fs::rename(self.dir.path(), &self.target).map_err(failed)?;
        // What it named is no more: nothing is left to be removed.
        let _ = self.dir.keep();
        Ok(self.summary)
    }
}
