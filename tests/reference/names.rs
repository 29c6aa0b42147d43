//! The tables of a process file, as lists.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ringscope_ringbuf::block::{Block, LaneKind, blocks};
use ringscope_ringbuf::file::{FileKind, FileName, LockFile, ProcessFile, padded_text};
use ringscope_ringbuf::layout::END_CLEAN;
use ringscope_ringbuf::payload::ArgType;

use super::clock::Clock;

/// Host, boot id, pid namespace, pid, start time.
pub type Identity = (String, [u8; 16], u64, u32, u64);

#[derive(Clone, Debug)]
pub struct Pair {
    pub ticks: i128,
    pub mono_ns: i128,
    pub uncertainty_ns: i128,
}

#[derive(Clone, Debug)]
pub struct Anchor {
    pub before: i128,
    pub device: i128,
    pub after: i128,
}

#[derive(Clone, Debug)]
pub struct Site {
    pub name: String,
    pub category: String,
    pub args: Vec<(String, ArgType)>,
    pub constants: Vec<(String, ArgType, Vec<u8>)>,
}

#[derive(Clone, Debug)]
pub struct Owner {
    pub ring_index: u32,
    pub tid: u32,
    pub first_sequence: u64,
    pub start_ticks: u64,
    pub name: String,
}

#[derive(Clone, Debug)]
struct Lane {
    number: u16,
    generation: u32,
    start_ticks: u64,
    name: String,
    stream: Option<Stream>,
}

#[derive(Clone, Debug)]
pub struct Stream {
    pub device: u32,
    pub clock_domain: u32,
    pub name: String,
}

/// A record's end, in the unit that it carries.
#[derive(Clone, Copy)]
pub enum Moment {
    Ticks(i128),
    Ns(i128),
}

/// A process file.
pub struct Names {
    pub identity: Identity,
    pub role: u16,
    pub pid: u32,
    pub nonce: u64,
    pub name: String,
    pub boot_id: [u8; 16],
    pub clock_source: u32,
    pub nominal_hz: u64,
    pub created_mono_ns: u64,
    pub pairs: Vec<Pair>,
    pub sites: BTreeMap<u32, Site>,
    pub keys: BTreeMap<u32, String>,
    pub owners: Vec<Owner>,
    pub domains: BTreeMap<u32, u64>,
    pub anchors: BTreeMap<u32, Vec<Anchor>>,
    lanes: Vec<Lane>,
}

impl Names {
    pub fn read(dir: &Path, name: FileName) -> Names {
        let path = dir.join(name.to_string());
        let file = ProcessFile::read(&path, u64::MAX).unwrap();
        let header = &file.header;
        let named = padded_text(&header.process_name);
        let mut names = Names {
            identity: (
                padded_text(&header.host),
                header.boot_id,
                header.pid_namespace.get(),
                header.start.pid.get(),
                header.start_time.get(),
            ),
            role: header.role.get(),
            pid: header.start.pid.get(),
            nonce: header.start.nonce.get(),
            name: if named.is_empty() {
                padded_text(&header.stem)
            } else {
                named
            },
            boot_id: header.boot_id,
            clock_source: header.clock_source.get(),
            nominal_hz: header.nominal_hz.get(),
            created_mono_ns: header.created_mono_ns.get(),
            pairs: Vec::new(),
            sites: BTreeMap::new(),
            keys: BTreeMap::new(),
            owners: Vec::new(),
            domains: BTreeMap::new(),
            anchors: BTreeMap::new(),
            lanes: Vec::new(),
        };
        let mut damaged = 0;
        for found in blocks(&file.body, &mut damaged) {
            if let Ok(block) = found.block {
                names.add(&block);
            }
        }
        assert_eq!(damaged, 0, "{}", path.display());
        names.add_end_pair(dir, name);
        names
    }

    fn add_end_pair(&mut self, dir: &Path, name: FileName) {
        let lock = dir.join(
            FileName {
                kind: FileKind::Lock,
                ..name
            }
            .to_string(),
        );
        if fs::exists(&lock).unwrap() {
            let page = LockFile::read(&lock).unwrap().page;
            if page.end_state.get() == END_CLEAN {
                self.pairs.push(Pair {
                    ticks: page.end_ticks.get() as i128,
                    mono_ns: page.end_mono_ns.get() as i128,
                    uncertainty_ns: page.end_uncertainty_ns.get() as i128,
                });
            }
        }
    }

    fn add(&mut self, block: &Block<'_>) {
        match *block {
            Block::Site(site) => {
                let arg = |arg: ringscope_ringbuf::block::Arg<'_>| (text(arg.key), arg.arg_type);
                let site_entry = Site {
                    name: text(site.name),
                    category: text(site.category),
                    args: site.args.iter().map(arg).collect(),
                    constants: site
                        .constants
                        .iter()
                        .map(|arg| (text(arg.key), arg.arg_type, arg.value.to_vec()))
                        .collect(),
                };
                self.sites.insert(site.id, site_entry);
            }
            Block::Key { id, key } => {
                self.keys.insert(id, text(key));
            }
            Block::Lane {
                lane,
                kind,
                generation,
                start_ticks,
                device,
                clock_domain,
                name,
                ..
            } => {
                let stream = Stream {
                    device,
                    clock_domain,
                    name: text(name),
                };
                self.lanes.push(Lane {
                    number: lane,
                    generation,
                    start_ticks,
                    name: text(name),
                    stream: (kind == LaneKind::Stream).then_some(stream),
                });
            }
            Block::Owner {
                ring_index,
                tid,
                first_sequence,
                start_ticks,
                name,
            } => {
                self.owners.push(Owner {
                    ring_index,
                    tid,
                    first_sequence,
                    start_ticks,
                    name: text(name),
                });
            }
            Block::ThreadName {
                tid,
                ring_index,
                name,
            } => {
                let same = |owner: &&mut Owner| owner.tid == tid && owner.ring_index == ring_index;
                if let Some(owner) = self.owners.iter_mut().rev().find(same) {
                    owner.name = text(name);
                }
            }
            Block::ProcessName { name } => self.name = text(name),
            Block::ClockPair(pair) => self.pairs.push(Pair {
                ticks: pair.ticks as i128,
                mono_ns: pair.mono_ns as i128,
                uncertainty_ns: pair.uncertainty_ns as i128,
            }),
            Block::ClockDomain {
                id, frequency_hz, ..
            } => {
                self.domains.insert(id, frequency_hz);
            }
            Block::Anchor {
                domain,
                host_before_ticks,
                device_ticks,
                host_after_ticks,
            } => {
                self.anchors.entry(domain).or_default().push(Anchor {
                    before: host_before_ticks as i128,
                    device: device_ticks as i128,
                    after: host_after_ticks as i128,
                });
            }
            _ => {}
        }
    }

    /// Name of a lane when a record ended; `None` for the thread itself and for lanes that nobody described.
    pub fn lane_at(&self, number: u16, end: Moment, clock: &Clock) -> Option<String> {
        let began = |lane: &&Lane| match end {
            Moment::Ticks(end) => lane.start_ticks as i128 <= end,
            Moment::Ns(end) => clock.ns(lane.start_ticks as i128) <= end,
        };
        let of_number = self
            .lanes
            .iter()
            .filter(|lane| number != 0 && lane.number == number);
        let newest = of_number
            .filter(began)
            .max_by_key(|lane| (lane.start_ticks, lane.generation));
        newest.map(|lane| lane.name.clone())
    }

    pub fn newest_stream(&self, number: u16) -> Option<Stream> {
        let of_number = self.lanes.iter().filter(|lane| lane.number == number);
        of_number
            .max_by_key(|lane| (lane.start_ticks, lane.generation))?
            .stream
            .clone()
    }

    /// The thread that wrote a sequence of a ring; 0 when nobody said so.
    pub fn owner_tid(&self, ring_index: u32, sequence: u64) -> u32 {
        let mut owners: Vec<&Owner> = self
            .owners
            .iter()
            .filter(|owner| owner.ring_index == ring_index)
            .collect();
        owners.sort_by_key(|owner| owner.first_sequence);
        let before = owners
            .iter()
            .rev()
            .find(|owner| owner.first_sequence <= sequence);
        before.or(owners.first()).map_or(0, |owner| owner.tid)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
