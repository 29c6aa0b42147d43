//! Blocks of a process file: encoded without allocation into a caller's buffer, decoded from borrowed bytes.
//!
//! Adding a kind of block touches this file alone: a variant of [`Block`], its number, one arm in
//! [`Block::encode`] and one in [`Block::decode`].

use core::fmt;

use zerocopy::{FromBytes, IntoBytes};

use crate::layout::{
    BLOCK_ALIGN, BLOCK_HEADER_LEN, BLOCK_MAGIC, BlockHeader, MAX_BLOCK_LEN, MAX_NAME_LEN,
};
use crate::payload::ArgType;

/// Number of a block's kind.
#[repr(u16)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "documented at the variants of `Block`")]
pub enum BlockKind {
    Site = 1,
    Key = 2,
    Lane = 3,
    Owner = 4,
    ThreadName = 5,
    ThreadEnd = 6,
    ProcessName = 7,
    ClockPair = 8,
    ClockDomain = 9,
    Anchor = 10,
    Ring = 11,
    Exit = 12,
    Command = 13,
    Message = 14,
    Drain = 15,
    Level = 16,
    SpanCost = 17,
}

/// What a row of the time line stands for.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LaneKind {
    /// A named track.
    Track = 1,
    /// A task of an event loop.
    Task = 2,
    /// A stream of a device.
    Stream = 3,
}

/// What a clock pair was taken for.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PairSource {
    /// The recorder's start.
    Start = 1,
    /// The creation of a ring.
    Ring = 2,
    /// The clean end of the process.
    End = 3,
    /// The supervisor, about once a second.
    Supervisor = 4,
    /// A decoder, after a process was killed and on the same boot.
    Decoder = 5,
}

/// A moment on the recorder's counter and on the system's clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockPair {
    /// Raw ticks.
    pub ticks: u64,
    /// CLOCK_MONOTONIC, ns.
    pub mono_ns: u64,
    /// CLOCK_REALTIME, ns since 1970.
    pub real_ns: u64,
    /// Half of the bracket the pair was taken in, ns.
    pub uncertainty_ns: u32,
    /// What it was taken for, see [`PairSource`].
    pub source: u32,
}

/// The name, type and (for constant arguments) value of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arg<'a> {
    /// Key.
    pub key: &'a [u8],
    /// Type.
    pub arg_type: ArgType,
    /// Encoded value for constant arguments; empty for arguments that the records carry.
    pub value: &'a [u8],
}

/// A place in the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site<'a> {
    /// Id that records refer to; never 0.
    pub id: u32,
    /// One of the level bits of [`crate::layout`].
    pub level: u8,
    /// True when the name was made at run time.
    pub run_time: bool,
    /// Source line, 0 when unknown.
    pub line: u32,
    /// Name.
    pub name: &'a [u8],
    /// Category.
    pub category: &'a [u8],
    /// Source file, empty when unknown.
    pub file: &'a [u8],
    /// Arguments that each record carries, in order.
    pub args: Args<'a>,
    /// Arguments that are the same in every record of the site (a launch's descriptor).
    pub constants: Args<'a>,
}

/// Arguments, borrowed in memory or still encoded.
#[derive(Clone, Copy)]
pub enum Args<'a> {
    /// As a slice.
    List(&'a [Arg<'a>]),
    /// As they stand in a block: `count` times type, key length, key, value length, value.
    Encoded {
        /// Number of arguments.
        count: u8,
        /// Their bytes, already checked.
        bytes: &'a [u8],
    },
}

impl<'a> Args<'a> {
    /// The arguments in order.
    pub fn iter(self) -> impl Iterator<Item = Arg<'a>> {
        let mut index = 0usize;
        let mut reader = match self {
            Args::List(_) => Reader { bytes: &[] },
            Args::Encoded { bytes, .. } => Reader { bytes },
        };
        core::iter::from_fn(move || {
            index += 1;
            match self {
                Args::List(list) => list.get(index - 1).copied(),
                Args::Encoded { count, .. } if index <= count as usize => reader.arg(),
                Args::Encoded { .. } => None,
            }
        })
    }

    fn count(self) -> u8 {
        match self {
            Args::List(list) => list.len().min(u8::MAX as usize) as u8,
            Args::Encoded { count, .. } => count,
        }
    }
}

impl PartialEq for Args<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Args<'_> {}

impl fmt::Debug for Args<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// One entry of a process file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block<'a> {
    /// A place in the program; published before the first record that refers to it.
    Site(Site<'a>),
    /// The key of arguments that records name by number (arguments known late).
    Key {
        /// Id, never 0.
        id: u32,
        /// Key.
        key: &'a [u8],
    },
    /// A lane other than a thread. A lane number is used again under the next generation; a record belongs to
    /// the newest generation that began before the record's end.
    Lane {
        /// Number that records carry, never 0.
        lane: u16,
        /// What it stands for.
        kind: LaneKind,
        /// 0, 1, 2, … for each use of the number.
        generation: u32,
        /// When this generation began.
        start_ticks: u64,
        /// Device of a stream.
        device: u32,
        /// Number of a stream.
        stream: u32,
        /// Clock domain of a stream.
        clock_domain: u32,
        /// Name.
        name: &'a [u8],
    },
    /// A thread takes a ring: records from this sequence on are its own.
    Owner {
        /// Ring number.
        ring_index: u32,
        /// Thread id.
        tid: u32,
        /// First sequence of the owner.
        first_sequence: u64,
        /// When.
        start_ticks: u64,
        /// Thread name, possibly empty.
        name: &'a [u8],
    },
    /// A thread gets another name.
    ThreadName {
        /// Thread id.
        tid: u32,
        /// Ring number.
        ring_index: u32,
        /// Name.
        name: &'a [u8],
    },
    /// A thread gives its ring back.
    ThreadEnd {
        /// Ring number.
        ring_index: u32,
        /// Thread id.
        tid: u32,
        /// First sequence that is no longer the thread's.
        end_sequence: u64,
        /// When.
        end_ticks: u64,
    },
    /// The process gets another name.
    ProcessName {
        /// Name.
        name: &'a [u8],
    },
    /// A clock pair.
    ClockPair(ClockPair),
    /// A clock of a device.
    ClockDomain {
        /// Id that streams and anchors refer to.
        id: u32,
        /// Ticks a second.
        frequency_hz: u64,
        /// Name.
        name: &'a [u8],
    },
    /// A device clock read between two host clock reads.
    Anchor {
        /// Clock domain.
        domain: u32,
        /// Host ticks before.
        host_before_ticks: u64,
        /// Device ticks.
        device_ticks: u64,
        /// Host ticks after.
        host_after_ticks: u64,
    },
    /// A ring was made, smaller than wished, or not at all.
    Ring {
        /// Ring number.
        ring_index: u32,
        /// Size that it got, as a power of two of records; 0 when it was not made.
        capacity_log2: u32,
        /// Size that was wished.
        wished_log2: u32,
        /// Error number of the failure, 0 when it was made.
        errno: i32,
    },
    /// The supervisor saw a process end.
    Exit {
        /// Process id as the supervisor sees it.
        pid: u32,
        /// Wait status as `waitpid` gives it.
        status: i32,
        /// Start time of the process, see [`crate::layout::ProcessHeader::start_time`].
        start_time: u64,
        /// CLOCK_MONOTONIC when it was seen, ns.
        mono_ns: u64,
    },
    /// The command of the run: arguments separated by NUL.
    Command {
        /// Arguments.
        argv: &'a [u8],
    },
    /// A remark of the recorder: why something is off or smaller.
    Message {
        /// Text.
        text: &'a [u8],
    },
    /// What draining a ring came to, written by the supervisor at the end.
    Drain {
        /// Nonce of the ring's process.
        nonce: u64,
        /// Ring number.
        ring_index: u32,
        /// Size of the ring that would have lost nothing, as a power of two of records; 0 when nothing was lost.
        wanted_log2: u32,
        /// Records (slots) that were overwritten before they could be drained.
        overwritten: u64,
        /// Largest number of records that stood undrained at once.
        high_water: u64,
    },
    /// The level mask changed.
    Level {
        /// When.
        ticks: u64,
        /// New mask.
        mask: u64,
    },
    /// What recording costs on this machine, measured by the supervisor.
    SpanCost(SpanCost),
}

/// What a span takes, in picoseconds: a nanosecond would be a step of several percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanCost {
    /// A span without arguments: two clock reads, the open slot, and a record reserved, written and published.
    pub span_ps: u64,
    /// Two clock reads and one store of 32 bytes.
    pub floor_ps: u64,
}

/// Writes fields one after the other and remembers when they did not fit.
struct Writer<'b> {
    bytes: &'b mut [u8],
    len: usize,
    overflow: bool,
}

impl Writer<'_> {
    fn put(&mut self, field: &[u8]) -> &mut Self {
        match self.bytes.get_mut(self.len..self.len + field.len()) {
            Some(place) => place.copy_from_slice(field),
            None => self.overflow = true,
        }
        self.len += field.len();
        self
    }
    fn u8(&mut self, v: u8) -> &mut Self {
        self.put(&[v])
    }
    fn u16(&mut self, v: u16) -> &mut Self {
        self.put(&v.to_le_bytes())
    }
    fn u32(&mut self, v: u32) -> &mut Self {
        self.put(&v.to_le_bytes())
    }
    fn u64(&mut self, v: u64) -> &mut Self {
        self.put(&v.to_le_bytes())
    }
    fn text(&mut self, text: &[u8]) -> &mut Self {
        let text = cut_name(text);
        self.u16(text.len() as u16).put(text)
    }
    fn args(&mut self, args: Args<'_>) -> &mut Self {
        for arg in args.iter().take(args.count() as usize) {
            self.u8(arg.arg_type as u8).text(arg.key).text(arg.value);
        }
        self
    }
}

/// The part of a name that is kept: at most [`MAX_NAME_LEN`] bytes.
pub fn cut_name(name: &[u8]) -> &[u8] {
    &name[..name.len().min(MAX_NAME_LEN)]
}

/// Reads fields one after the other; `None` when they end early.
struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (field, rest) = self.bytes.split_at_checked(len)?;
        self.bytes = rest;
        Some(field)
    }
    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|b| b[0])
    }
    fn u16(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_le_bytes)
    }
    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }
    fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }
    fn text(&mut self) -> Option<&'a [u8]> {
        let len = self.u16()? as usize;
        self.take(len)
    }
    fn arg(&mut self) -> Option<Arg<'a>> {
        let arg_type = ArgType::from_u8(self.u8()?)?;
        Some(Arg {
            arg_type,
            key: self.text()?,
            value: self.text()?,
        })
    }
    fn args(&mut self, count: u8) -> Option<Args<'a>> {
        let all = self.bytes;
        for _ in 0..count {
            self.arg()?;
        }
        Some(Args::Encoded {
            count,
            bytes: &all[..all.len() - self.bytes.len()],
        })
    }
}

impl<'a> Block<'a> {
    /// Number of the block's kind.
    pub fn kind(&self) -> BlockKind {
        match self {
            Block::Site(_) => BlockKind::Site,
            Block::Key { .. } => BlockKind::Key,
            Block::Lane { .. } => BlockKind::Lane,
            Block::Owner { .. } => BlockKind::Owner,
            Block::ThreadName { .. } => BlockKind::ThreadName,
            Block::ThreadEnd { .. } => BlockKind::ThreadEnd,
            Block::ProcessName { .. } => BlockKind::ProcessName,
            Block::ClockPair(_) => BlockKind::ClockPair,
            Block::ClockDomain { .. } => BlockKind::ClockDomain,
            Block::Anchor { .. } => BlockKind::Anchor,
            Block::Ring { .. } => BlockKind::Ring,
            Block::Exit { .. } => BlockKind::Exit,
            Block::Command { .. } => BlockKind::Command,
            Block::Message { .. } => BlockKind::Message,
            Block::Drain { .. } => BlockKind::Drain,
            Block::Level { .. } => BlockKind::Level,
            Block::SpanCost(_) => BlockKind::SpanCost,
        }
    }

    /// The lane of a device's stream, which has its number to itself; `place` is device and stream.
    pub fn stream(lane: u16, place: (u32, u32), clock_domain: u32, name: &'a [u8]) -> Block<'a> {
        let (device, stream) = place;
        Block::Lane {
            lane,
            kind: LaneKind::Stream,
            generation: 0,
            start_ticks: 0,
            device,
            stream,
            clock_domain,
            name,
        }
    }

    /// Writes the whole block, header and padding included, to the front of `buffer`; its length, or `None` when
    /// it does not fit.
    pub fn encode(&self, buffer: &mut [u8]) -> Option<usize> {
        let (header, body) = buffer.split_at_mut_checked(BLOCK_HEADER_LEN)?;
        let mut out = Writer {
            bytes: body,
            len: 0,
            overflow: false,
        };
        self.encode_payload(&mut out);
        let len = out.len;
        let padded = len.next_multiple_of(BLOCK_ALIGN);
        out.put(&[0; BLOCK_ALIGN][..padded - len]);
        if out.overflow || len > MAX_BLOCK_LEN {
            return None;
        }
        let mut start = BlockHeader {
            magic: BLOCK_MAGIC.into(),
            kind: (self.kind() as u16).into(),
            reserved: 0.into(),
            len: (len as u32).into(),
            crc32: 0.into(),
        };
        start.crc32 = block_crc(&start, &body[..len]).into();
        header.copy_from_slice(start.as_bytes());
        Some(BLOCK_HEADER_LEN + padded)
    }

    fn encode_payload(&self, out: &mut Writer<'_>) {
        match *self {
            Block::Site(site) => {
                out.u32(site.id).u8(site.level).u8(site.run_time as u8);
                out.u8(site.args.count())
                    .u8(site.constants.count())
                    .u32(site.line);
                out.text(site.name).text(site.category).text(site.file);
                out.args(site.args).args(site.constants);
            }
            Block::Key { id, key } => {
                out.u32(id).text(key);
            }
            Block::Lane {
                lane,
                kind,
                generation,
                start_ticks,
                device,
                stream,
                clock_domain,
                name,
            } => {
                out.u16(lane)
                    .u8(kind as u8)
                    .u8(0)
                    .u32(generation)
                    .u64(start_ticks);
                out.u32(device).u32(stream).u32(clock_domain).text(name);
            }
            Block::Owner {
                ring_index,
                tid,
                first_sequence,
                start_ticks,
                name,
            } => {
                out.u32(ring_index)
                    .u32(tid)
                    .u64(first_sequence)
                    .u64(start_ticks)
                    .text(name);
            }
            Block::ThreadName {
                tid,
                ring_index,
                name,
            } => {
                out.u32(tid).u32(ring_index).text(name);
            }
            Block::ThreadEnd {
                ring_index,
                tid,
                end_sequence,
                end_ticks,
            } => {
                out.u32(ring_index)
                    .u32(tid)
                    .u64(end_sequence)
                    .u64(end_ticks);
            }
            Block::ProcessName { name } => {
                out.text(name);
            }
            Block::ClockPair(pair) => {
                out.u64(pair.ticks)
                    .u64(pair.mono_ns)
                    .u64(pair.real_ns)
                    .u32(pair.uncertainty_ns)
                    .u32(pair.source);
            }
            Block::ClockDomain {
                id,
                frequency_hz,
                name,
            } => {
                out.u32(id).u32(0).u64(frequency_hz).text(name);
            }
            Block::Anchor {
                domain,
                host_before_ticks,
                device_ticks,
                host_after_ticks,
            } => {
                out.u32(domain)
                    .u32(0)
                    .u64(host_before_ticks)
                    .u64(device_ticks)
                    .u64(host_after_ticks);
            }
            Block::Ring {
                ring_index,
                capacity_log2,
                wished_log2,
                errno,
            } => {
                out.u32(ring_index)
                    .u32(capacity_log2)
                    .u32(wished_log2)
                    .u32(errno as u32);
            }
            Block::Exit {
                pid,
                status,
                start_time,
                mono_ns,
            } => {
                out.u32(pid).u32(status as u32).u64(start_time).u64(mono_ns);
            }
            Block::Command { argv } => {
                out.u32(argv.len() as u32).put(argv);
            }
            Block::Message { text } => {
                out.text(text);
            }
            Block::Drain {
                nonce,
                ring_index,
                wanted_log2,
                overwritten,
                high_water,
            } => {
                out.u64(nonce)
                    .u32(ring_index)
                    .u32(wanted_log2)
                    .u64(overwritten)
                    .u64(high_water);
            }
            Block::Level { ticks, mask } => {
                out.u64(ticks).u64(mask);
            }
            Block::SpanCost(SpanCost { span_ps, floor_ps }) => {
                out.u64(span_ps).u64(floor_ps);
            }
        }
    }

    /// Reads the payload of a block of kind `kind`.
    ///
    /// # Errors
    ///
    /// [`BadBlock::UnknownKind`] for kinds of a later version, which readers skip and count;
    /// [`BadBlock::Payload`] when the payload is not what the kind demands.
    pub fn decode(kind: u16, payload: &'a [u8]) -> Result<Block<'a>, BadBlock> {
        let mut fields = Reader { bytes: payload };
        if !(1..=BlockKind::SpanCost as u16).contains(&kind) {
            return Err(BadBlock::UnknownKind(kind));
        }
        Block::decode_payload(kind, &mut fields).ok_or(BadBlock::Payload(kind))
    }

    fn decode_payload(kind: u16, fields: &mut Reader<'a>) -> Option<Block<'a>> {
        Some(match kind {
            1 => {
                let (id, level, run_time) = (fields.u32()?, fields.u8()?, fields.u8()? & 1 != 0);
                let (arg_count, constant_count, line) = (fields.u8()?, fields.u8()?, fields.u32()?);
                let (name, category, file) = (fields.text()?, fields.text()?, fields.text()?);
                let (args, constants) = (fields.args(arg_count)?, fields.args(constant_count)?);
                Block::Site(Site {
                    id,
                    level,
                    run_time,
                    line,
                    name,
                    category,
                    file,
                    args,
                    constants,
                })
            }
            2 => Block::Key {
                id: fields.u32()?,
                key: fields.text()?,
            },
            3 => {
                let lane = fields.u16()?;
                let kind = match fields.u8()? {
                    1 => LaneKind::Track,
                    2 => LaneKind::Task,
                    3 => LaneKind::Stream,
                    _ => return None,
                };
                fields.u8()?;
                let (generation, start_ticks) = (fields.u32()?, fields.u64()?);
                let (device, stream, clock_domain) = (fields.u32()?, fields.u32()?, fields.u32()?);
                Block::Lane {
                    lane,
                    kind,
                    generation,
                    start_ticks,
                    device,
                    stream,
                    clock_domain,
                    name: fields.text()?,
                }
            }
            4 => {
                let (ring_index, tid) = (fields.u32()?, fields.u32()?);
                let (first_sequence, start_ticks) = (fields.u64()?, fields.u64()?);
                Block::Owner {
                    ring_index,
                    tid,
                    first_sequence,
                    start_ticks,
                    name: fields.text()?,
                }
            }
            5 => Block::ThreadName {
                tid: fields.u32()?,
                ring_index: fields.u32()?,
                name: fields.text()?,
            },
            6 => Block::ThreadEnd {
                ring_index: fields.u32()?,
                tid: fields.u32()?,
                end_sequence: fields.u64()?,
                end_ticks: fields.u64()?,
            },
            7 => Block::ProcessName {
                name: fields.text()?,
            },
            8 => Block::ClockPair(ClockPair {
                ticks: fields.u64()?,
                mono_ns: fields.u64()?,
                real_ns: fields.u64()?,
                uncertainty_ns: fields.u32()?,
                source: fields.u32()?,
            }),
            9 => {
                let id = fields.u32()?;
                fields.u32()?;
                Block::ClockDomain {
                    id,
                    frequency_hz: fields.u64()?,
                    name: fields.text()?,
                }
            }
            10 => {
                let domain = fields.u32()?;
                fields.u32()?;
                let (host_before_ticks, device_ticks) = (fields.u64()?, fields.u64()?);
                Block::Anchor {
                    domain,
                    host_before_ticks,
                    device_ticks,
                    host_after_ticks: fields.u64()?,
                }
            }
            11 => Block::Ring {
                ring_index: fields.u32()?,
                capacity_log2: fields.u32()?,
                wished_log2: fields.u32()?,
                errno: fields.u32()? as i32,
            },
            12 => Block::Exit {
                pid: fields.u32()?,
                status: fields.u32()? as i32,
                start_time: fields.u64()?,
                mono_ns: fields.u64()?,
            },
            13 => {
                let len = fields.u32()? as usize;
                Block::Command {
                    argv: fields.take(len)?,
                }
            }
            14 => Block::Message {
                text: fields.text()?,
            },
            15 => Block::Drain {
                nonce: fields.u64()?,
                ring_index: fields.u32()?,
                wanted_log2: fields.u32()?,
                overwritten: fields.u64()?,
                high_water: fields.u64()?,
            },
            16 => Block::Level {
                ticks: fields.u64()?,
                mask: fields.u64()?,
            },
            17 => Block::SpanCost(SpanCost {
                span_ps: fields.u64()?,
                floor_ps: fields.u64()?,
            }),
            _ => return None,
        })
    }
}

/// Why a block could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadBlock {
    /// A kind that version 1 does not know.
    UnknownKind(u16),
    /// The payload is shorter than its kind demands, or holds a number that the kind does not know.
    Payload(u16),
}

fn block_crc(header: &BlockHeader, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&header.as_bytes()[4..12]);
    hasher.update(payload);
    hasher.finalize()
}

/// Where a block stands in a process file, and what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// Offset of the block's header in the bytes given to [`blocks`].
    pub offset: usize,
    /// The block, or why it could not be read.
    pub block: Result<Block<'a>, BadBlock>,
}

/// The whole blocks in the body of a process file (the bytes behind its header), in file order.
///
/// A place that is no whole block (a writer died between reserving its place and writing it, or the file is
/// damaged) is skipped in steps of eight bytes; `damaged` gets the number of non-zero bytes skipped so.
pub fn blocks<'a>(body: &'a [u8], damaged: &mut usize) -> Vec<Found<'a>> {
    let mut found = Vec::new();
    let mut offset = 0;
    while offset + BLOCK_HEADER_LEN <= body.len() {
        if let Some((kind, payload)) = whole_block(&body[offset..]) {
            found.push(Found {
                offset,
                block: Block::decode(kind, payload),
            });
            offset += BLOCK_HEADER_LEN + payload.len().next_multiple_of(BLOCK_ALIGN);
        } else {
            *damaged += body[offset..offset + BLOCK_ALIGN]
                .iter()
                .filter(|b| **b != 0)
                .count();
            offset += BLOCK_ALIGN;
        }
    }
    if offset < body.len() {
        *damaged += body[offset..].iter().filter(|b| **b != 0).count();
    }
    found
}

fn whole_block(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (header, rest) = BlockHeader::read_from_prefix(bytes).ok()?;
    let len = header.len.get() as usize;
    if header.magic.get() != BLOCK_MAGIC || len > MAX_BLOCK_LEN {
        return None;
    }
    let payload = rest.get(..len)?;
    (block_crc(&header, payload) == header.crc32.get()).then_some((header.kind.get(), payload))
}
