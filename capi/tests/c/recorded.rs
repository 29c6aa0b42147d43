//! What a run's files say, record by record.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use ringscope_ringbuf::block::{Block, blocks};
use ringscope_ringbuf::file::{FileKind, FileName, LockFile, ProcessFile, RingFile};
use ringscope_ringbuf::layout::{DropCause, Kind, ProcessHeader, Record};
use ringscope_ringbuf::payload::{ArgType, Value, take_late, take_value};
use ringscope_ringbuf::reader::OpenState;

/// A process of a run.
pub(crate) struct Process {
    pub(crate) header: ProcessHeader,
    pub(crate) name: Option<String>,
    pub(crate) threads: HashMap<u32, String>,
    pub(crate) sites: HashMap<u32, Site>,
    pub(crate) rings: Vec<Ring>,
    pub(crate) drops: HashMap<&'static str, u64>,
    pub(crate) ended_cleanly: bool,
    keys: HashMap<u32, String>,
    lanes: HashMap<u16, String>,
}

/// A place in the program.
pub(crate) struct Site {
    pub(crate) name: String,
    pub(crate) category: String,
    pub(crate) level: u8,
    pub(crate) line: u32,
    /// Key and value of what all its records have in common.
    pub(crate) constants: Vec<String>,
    args: Vec<(String, ArgType)>,
}

/// A ring and its owners, in order.
pub(crate) struct Ring {
    pub(crate) tids: Vec<u32>,
    pub(crate) records: Vec<Entry>,
    pub(crate) open: Vec<String>,
}

/// A record with its payload.
pub(crate) struct Entry {
    pub(crate) record: Record,
    /// Name, arguments, and the track where it has one.
    pub(crate) text: String,
}

impl Process {
    /// The texts of all records, ring by ring.
    pub(crate) fn texts(&self) -> Vec<&str> {
        let records = self.rings.iter().flat_map(|ring| &ring.records);
        records.map(|entry| entry.text.as_str()).collect()
    }

    /// The causes that were counted.
    pub(crate) fn counted(&self) -> Vec<(&'static str, u64)> {
        let mut counted: Vec<_> = self.drops.iter().map(|(k, v)| (*k, *v)).collect();
        counted.retain(|(_, count)| *count != 0);
        counted
    }
}

/// The only run in `dir`.
pub(crate) fn only_run(dir: &Path) -> PathBuf {
    let runs: Vec<_> = std::fs::read_dir(dir).unwrap().collect();
    assert_eq!(runs.len(), 1, "runs in {}", dir.display());
    runs.into_iter().next().unwrap().unwrap().path()
}

/// The processes of a run, in order of their creation.
pub(crate) fn processes(run: &Path) -> Vec<Process> {
    let mut processes: Vec<Process> = named_files(run)
        .into_iter()
        .filter(|(name, _)| name.kind == FileKind::Process)
        .map(|(name, path)| read_process(run, name, &path))
        .collect();
    processes.sort_by_key(|process| process.header.created_mono_ns.get());
    processes
}

fn named_files(run: &Path) -> Vec<(FileName, PathBuf)> {
    let paths = std::fs::read_dir(run)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = paths
        .filter_map(|path| Some((FileName::parse(path.file_name()?.to_str()?)?, path)))
        .collect();
    files.sort();
    files
}

fn read_process(run: &Path, name: FileName, path: &Path) -> Process {
    let file = ProcessFile::read(path, 1 << 24).unwrap();
    let lock = LockFile::read(
        &run.join(
            FileName {
                kind: FileKind::Lock,
                ..name
            }
            .to_string(),
        ),
    );
    let lock = lock.unwrap();
    let mut process = Process {
        header: file.header,
        name: None,
        threads: HashMap::new(),
        sites: HashMap::new(),
        rings: Vec::new(),
        drops: DropCause::ALL
            .map(|cause| (cause.name(), lock.drops(cause)))
            .into(),
        ended_cleanly: lock.page.end_state.get() == 1,
        keys: HashMap::new(),
        lanes: HashMap::new(),
    };
    let mut owners: HashMap<u32, Vec<u32>> = HashMap::new();
    let mut damaged = 0;
    for found in blocks(&file.body, &mut damaged) {
        process.take_block(&found.block.unwrap(), &mut owners);
    }
    assert_eq!(damaged, 0);
    for (ring_name, path) in named_files(run) {
        if ring_name.kind == FileKind::Ring && ring_name.nonce == name.nonce {
            let tids = owners.remove(&ring_name.index).unwrap_or_default();
            process.rings.push(process.read_ring(&path, tids));
        }
    }
    process
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Process {
    fn take_block(&mut self, block: &Block<'_>, owners: &mut HashMap<u32, Vec<u32>>) {
        match *block {
            Block::Site(ref site) => {
                let constants = site.constants.iter().map(|constant| {
                    let value = take_value(&mut { constant.value }, constant.arg_type).unwrap();
                    format!("{}={}", text(constant.key), shown(value))
                });
                let args = site.args.iter().map(|arg| (text(arg.key), arg.arg_type));
                let made = Site {
                    name: text(site.name),
                    category: text(site.category),
                    level: site.level,
                    line: site.line,
                    constants: constants.collect(),
                    args: args.collect(),
                };
                assert!(
                    self.sites.insert(site.id, made).is_none(),
                    "site id used twice"
                );
            }
            Block::Key { id, key } => drop(self.keys.insert(id, text(key))),
            Block::Lane { lane, name, .. } => drop(self.lanes.insert(lane, text(name))),
            Block::Owner {
                ring_index,
                tid,
                name,
                ..
            } => {
                owners.entry(ring_index).or_default().push(tid);
                self.threads.insert(tid, text(name));
            }
            Block::ThreadName { tid, name, .. } => drop(self.threads.insert(tid, text(name))),
            Block::ProcessName { name } => self.name = Some(text(name)),
            _ => {}
        }
    }

    fn read_ring(&self, path: &Path, tids: Vec<u32>) -> Ring {
        let ring = RingFile::open(path).unwrap();
        let state = ring.state().unwrap();
        let (sequence, capacity) = (state.head.sequence, ring.capacity());
        let mut slots = vec![Record::default(); capacity as usize];
        ring.read_slots(0, &mut slots).unwrap();
        let mut found: Vec<(Kind, Record, Vec<u8>)> = Vec::new();
        for at in sequence.saturating_sub(capacity)..sequence {
            let record = slots[(at & (capacity - 1)) as usize];
            assert!(
                record.is_stamped(at, ring.capacity_log2()),
                "slot {at} of {path:?}"
            );
            match Kind::from_u8(record.kind_number()).unwrap() {
                Kind::Continuation => {
                    if let Some(last) = found.last_mut() {
                        last.2.extend(record.continuation_payload());
                    }
                }
                kind if kind.payload_starts_in_w2() => {
                    found.push((kind, record, record.w[2].to_le_bytes().to_vec()));
                }
                kind => found.push((kind, record, Vec::new())),
            }
        }
        if sequence <= capacity {
            let counted = state.head.record_count(state.continuations);
            assert_eq!(counted, found.len() as u64, "records of {path:?}");
            let continuations = sequence - counted;
            assert_eq!(
                state.continuations, continuations,
                "continuations of {path:?}"
            );
        }
        let open = ring.open_slots().unwrap();
        Ring {
            tids,
            records: found.into_iter().map(|found| self.entry(found)).collect(),
            open: open
                .iter()
                .map(|(_, state)| self.open_text(state))
                .collect(),
        }
    }

    fn entry(&self, (kind, record, payload): (Kind, Record, Vec<u8>)) -> Entry {
        if kind == Kind::DeviceTask {
            let text = format!("task {} by register {}", record.w[2], record.site());
            return Entry { record, text };
        }
        let mut text = self.shown(record.site(), &payload);
        if kind == Kind::Counter {
            let value_type = ArgType::from_u8(record.duration() as u8).unwrap();
            let word = record.w[2].to_le_bytes();
            let value = take_value(&mut &word[..], value_type).unwrap();
            text = format!("{text} = {}", shown(value));
        }
        if record.lane() != 0 {
            text = format!("{text} on {}", self.lanes[&record.lane()]);
        }
        Entry { record, text }
    }

    fn open_text(&self, state: &OpenState) -> String {
        let OpenState::Open(slot) = state else {
            return format!("{state:?}");
        };
        let mut payload = slot.w2.to_le_bytes().to_vec();
        payload.extend(&slot.payload[..slot.payload_len]);
        self.shown(slot.site, &payload)
    }

    fn shown(&self, site: u32, mut payload: &[u8]) -> String {
        let site = &self.sites[&site];
        let mut text = site.name.clone();
        for (key, arg_type) in &site.args {
            match take_value(&mut payload, *arg_type) {
                Some(value) => text += &format!(" {key}={}", shown(value)),
                None => text += &format!(" {key} is missing"),
            }
        }
        while let Some((key, value)) = take_late(&mut payload) {
            text += &format!(" {}={}", self.keys[&key], shown(value));
        }
        text
    }
}

fn shown(value: Value<'_>) -> String {
    match value {
        Value::I64(v) => v.to_string(),
        Value::U64(v) => format!("{v}u"),
        Value::F64(v) => format!("{v:?}"),
        Value::Bool(v) => v.to_string(),
        Value::Hex(v) => format!("{v:#x}"),
        Value::Null => "null".to_owned(),
        Value::Str { bytes, full_len } if bytes.len() > 60 || full_len != bytes.len() => {
            format!("{} of {full_len} bytes", bytes.len())
        }
        Value::Str { bytes, .. } => format!("'{}'", text(bytes)),
        Value::Json { bytes, .. } => text(bytes),
    }
}
