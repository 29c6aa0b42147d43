//! A program that records what its arguments say, straight through `ringscope-ringbuf`: what the tests of the
//! command line run under `ringscope record`.
//!
//! Arguments are steps, done in order:
//!
//! | step | what it does |
//! |---|---|
//! | `spans:N` | records N spans named `work` with the argument `n` |
//! | `open:NAME` | enters a span and never leaves it |
//! | `hole` | reserves a record and never publishes it |
//! | `drained` | waits until the supervisor has saved all records |
//! | `seen` | waits until the supervisor has looked at all records, whether it saves them or has stopped to |
//! | `level:MASK` | waits until the level word is MASK |
//! | `print:TEXT` | prints a line |
//! | `line` | waits for a line (or the end) of standard input |
//! | `signal:N` | waits for signal N, which has been blocked since the start |
//! | `steal:PATH` | puts the file PATH behind the descriptor of the level word |
//! | `orphaned` | waits until the process that `child` left behind is gone |
//! | `held:N` | fails unless the supervisor, which goes on draining, has saved just N records |
//! | `group` | leaves the process group of the terminal |
//! | `none:N` | fails when signal N is pending |
//! | `child` | goes on in a forked child; the parent waits for its step `release`, or its end |
//! | `release` | lets the parent that `child` left behind end |
//! | `end` | marks the clean end |
//! | `exit:N`, `kill:N` | ends by `_exit`, or by a signal |

use std::error::Error;
use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, thread};

use ringscope_ringbuf::block::{Arg, Args, Block, PairSource, Site};
use ringscope_ringbuf::clock::{self, ClockSource};
use ringscope_ringbuf::file::{self, FileKind, FileName, RingFile};
use ringscope_ringbuf::layout::{
    FileStart, Kind, LEVEL_E2E, LEVEL_KERNEL, MODE_FLIGHT, MODE_FULL, OPEN_SLOT_LEN,
    PROCESS_HEADER_LEN, ProcessHeader, RECORD_LEN, RING_DRAIN_ALIVE_OFFSET, ROLE_PROCESS, Record,
    RingHeader,
};
use ringscope_ringbuf::map::{MappedLock, MappedRing};
use ringscope_ringbuf::payload::ArgType;
use ringscope_ringbuf::reader::pack_duration;
use ringscope_ringbuf::ring::{OpenSpan, Writer};
use ringscope_ringbuf::sys;

type Outcome<T> = Result<T, Box<dyn Error>>;

const OPEN_SLOTS: usize = 64;
const WORK_SITE: u32 = 1;

/// A recording process with one ring.
struct Recorder {
    run: PathBuf,
    nonce: u64,
    process: File,
    process_end: u64,
    lock: MappedLock,
    level: File,
    writer: Writer,
    clock_source: ClockSource,
    sites: u32,
    recorded: u64,
}

fn c_path(path: &Path) -> Outcome<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}

fn errno(errno: i32) -> io::Error {
    io::Error::from_raw_os_error(errno)
}

impl Recorder {
    fn start(run: PathBuf) -> Outcome<Recorder> {
        let nonce = sys::random_u64();
        let clock_source = clock::detect();
        let path = |kind| c_path(&run.join(name(nonce, kind)));
        let start = file::file_start(nonce, sys::process_id(), 0, 0);
        let lock = MappedLock::create(&path(FileKind::Lock)?, &start).map_err(errno)?;
        let level = File::from(sys::sealed_memfd(c"level", 8).map_err(errno)?);
        let level_mask = match env::var("RINGSCOPE_LEVEL").as_deref() {
            Ok("off") => 0,
            _ => LEVEL_E2E | LEVEL_KERNEL,
        };
        level.write_all_at(&level_mask.to_le_bytes(), 0)?;

        let header = process_header(start, clock_source, &level, level_mask)?;
        let process = sys::create_new(&path(FileKind::Process)?).map_err(errno)?;
        process.write_all_at(&file::seal_process_header(&header), 0)?;
        let ring = create_ring(&path(FileKind::Ring)?, nonce, clock_source)?;
        // SAFETY: the ring is mapped for as long as the process lives, and this is its only writer.
        let writer = unsafe { Writer::new(ring.memory(), ring.capacity_log2(), OPEN_SLOTS, 0) };
        let mut recorder = Recorder {
            run,
            nonce,
            process,
            process_end: PROCESS_HEADER_LEN as u64,
            lock,
            level,
            writer,
            clock_source,
            sites: 0,
            recorded: 0,
        };
        recorder.describe()?;
        Ok(recorder)
    }

    /// Clock pair, owner and the site of `work`.
    fn describe(&mut self) -> Outcome<()> {
        let pair = clock::pair(self.clock_source, PairSource::Start, 32);
        self.append(&Block::ClockPair(pair))?;
        self.append(&Block::Owner {
            ring_index: 0,
            tid: sys::thread_id(),
            first_sequence: 0,
            start_ticks: clock::ticks(self.clock_source),
            name: b"main",
        })?;
        let site = self.add_site("work")?;
        assert_eq!(site, WORK_SITE);
        Ok(())
    }

    fn add_site(&mut self, name: &str) -> Outcome<u32> {
        self.sites += 1;
        let args = [Arg {
            key: b"n",
            arg_type: ArgType::U64,
            value: b"",
        }];
        self.append(&Block::Site(Site {
            id: self.sites,
            level: LEVEL_E2E as u8,
            run_time: false,
            line: 0,
            name: name.as_bytes(),
            category: b"test",
            file: b"",
            args: Args::List(&args),
            constants: Args::List(&[]),
        }))?;
        Ok(self.sites)
    }

    fn append(&mut self, block: &Block<'_>) -> Outcome<()> {
        let mut buffer = [0; 1024];
        let len = block.encode(&mut buffer).ok_or("block too large")?;
        self.process
            .write_all_at(&buffer[..len], self.process_end)?;
        self.process_end += len as u64;
        Ok(())
    }

    fn record_spans(&mut self, count: u64) {
        for _ in 0..count {
            let start = clock::ticks(self.clock_source);
            let duration = clock::ticks(self.clock_source) - start;
            let sequence = self.writer.reserve(1);
            self.writer.publish(
                sequence,
                [start, pack_duration(duration, 0), self.recorded],
                Record::site_and_kind(WORK_SITE, Kind::Span),
            );
            self.recorded += 1;
        }
    }

    fn open_span(&mut self, name: &str) -> Outcome<()> {
        let site = self.add_site(name)?;
        let span = OpenSpan {
            site_and_kind: Record::site_and_kind(site, Kind::Span),
            w2: self.recorded,
            lane: 0,
            payload_len: 0,
        };
        if let Some(slot) = self.writer.take_open_slot(site) {
            self.writer
                .open(slot, span, || clock::ticks(self.clock_source));
        }
        Ok(())
    }

    fn leave_hole(&mut self) {
        self.writer.reserve(1);
        self.recorded += 1;
    }

    fn steal_level(&self, path: &str) -> Outcome<()> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        // SAFETY: both descriptors are open.
        match unsafe { libc::dup2(file.as_raw_fd(), self.level.as_raw_fd()) } {
            -1 => Err(io::Error::last_os_error().into()),
            _ => Ok(()),
        }
    }

    fn wait_drained(&self) -> Outcome<()> {
        let ring = RingFile::open(&self.run.join(name(self.nonce, FileKind::Ring)))?;
        wait_until(|| Ok(ring.state()?.drained >= self.recorded))
    }

    /// Waits for two signs of life of the supervisor: it has looked at the ring in between.
    fn wait_seen(&self) -> Outcome<()> {
        let ring = RingFile::open(&self.run.join(name(self.nonce, FileKind::Ring)))?;
        let sign_of_life = || {
            let mut word = [0; 8];
            ring.file()
                .read_at(RING_DRAIN_ALIVE_OFFSET as u64, &mut word)?;
            Ok::<_, Box<dyn Error>>(u64::from_le_bytes(word))
        };
        for _ in 0..2 {
            let before = sign_of_life()?;
            wait_until(|| Ok(sign_of_life()? != before))?;
        }
        Ok(())
    }

    fn check_held(&self, saved: u64) -> Outcome<()> {
        self.wait_seen()?;
        let ring = RingFile::open(&self.run.join(name(self.nonce, FileKind::Ring)))?;
        match ring.state()?.drained {
            drained if drained == saved => Ok(()),
            drained => Err(format!("expected {saved} records saved, found {drained}").into()),
        }
    }

    fn wait_level(&self, mask: u64) -> Outcome<()> {
        wait_until(|| {
            let mut word = [0; 8];
            self.level.read_exact_at(&mut word, 0)?;
            Ok(u64::from_le_bytes(word) == mask)
        })
    }

    fn mark_clean_end(&self) {
        self.lock
            .mark_clean_end(&clock::pair(self.clock_source, PairSource::End, 32));
    }
}

fn name(nonce: u64, kind: FileKind) -> String {
    let pid = sys::process_id();
    FileName {
        pid,
        nonce,
        index: 0,
        kind,
    }
    .to_string()
}

fn process_header(
    start: FileStart,
    clock_source: ClockSource,
    level: &File,
    level_mask: u64,
) -> Outcome<ProcessHeader> {
    let (level_device, level_inode) = sys::device_and_inode(level.as_raw_fd()).map_err(errno)?;
    let mut stem = [0; 64];
    stem[..8].copy_from_slice(b"scripted");
    Ok(ProcessHeader {
        start,
        role: ROLE_PROCESS.into(),
        reserved0: 0.into(),
        parent_pid: sys::parent_id().into(),
        start_time: sys::start_time(0).unwrap_or(0).into(),
        pid_namespace: sys::pid_namespace().into(),
        boot_id: sys::boot_id(),
        created_mono_ns: clock::monotonic_ns().into(),
        created_real_ns: clock::realtime_ns().into(),
        clock_source: (clock_source as u32).into(),
        rank: (-1).into(),
        nominal_hz: clock::nominal_hz(clock_source).into(),
        parent_nonce: 0.into(),
        generation: 0.into(),
        mode: mode().into(),
        level_fd: level.as_raw_fd().into(),
        level_device: level_device.into(),
        level_inode: level_inode.into(),
        level: level_mask.into(),
        ring_bytes: ring_bytes().into(),
        uid: sys::user_id().into(),
        reserved1: 0.into(),
        host: sys::host_name(),
        stem,
        process_name: stem,
        reserved2: [0; 128],
    })
}

fn mode() -> u32 {
    match env::var("RINGSCOPE_MODE").as_deref() {
        Ok("full") => MODE_FULL,
        _ => MODE_FLIGHT,
    }
}

fn ring_bytes() -> u64 {
    let bytes = env::var("RINGSCOPE_RING_SIZE");
    bytes
        .ok()
        .and_then(|bytes| bytes.parse().ok())
        .unwrap_or(1 << 20)
}

fn create_ring(path: &CString, nonce: u64, clock_source: ClockSource) -> Outcome<MappedRing> {
    let capacity_log2 = (ring_bytes() / RECORD_LEN as u64).ilog2();
    let header = RingHeader {
        start: file::file_start(nonce, sys::process_id(), 0, RECORD_LEN),
        capacity_log2: capacity_log2.into(),
        open_slot_count: (OPEN_SLOTS as u32).into(),
        open_slot_len: (OPEN_SLOT_LEN as u32).into(),
        mode: mode().into(),
        base_sequence: 0.into(),
        created_ticks: clock::ticks(clock_source).into(),
        created_mono_ns: clock::monotonic_ns().into(),
        clock_source: (clock_source as u32).into(),
        tid: sys::thread_id().into(),
        reserved: [0; 24],
    };
    Ok(MappedRing::create(path, &header).map_err(errno)?)
}

/// Waits for what must come; an error after a time that only something broken takes, so that no test hangs.
fn wait_until(mut condition: impl FnMut() -> Outcome<bool>) -> Outcome<()> {
    let start = Instant::now();
    while !condition()? {
        if start.elapsed() > Duration::from_secs(60) {
            return Err("waited a minute for what did not come".into());
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Blocks the signals that the steps wait for, or must not meet.
fn block_signals(steps: &[String]) -> libc::sigset_t {
    // SAFETY: sigemptyset fills the set in before it is used.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        for step in steps {
            let signal = step.strip_prefix("signal:").or(step.strip_prefix("none:"));
            if let Some(Ok(signal)) = signal.map(str::parse) {
                libc::sigaddset(&mut set, signal);
            }
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        set
    }
}

fn wait_signal(signal: i32, blocked: &libc::sigset_t) -> Outcome<()> {
    let mut got = 0;
    while got != signal {
        // SAFETY: both pointers are to live variables.
        unsafe { libc::sigwait(blocked, &mut got) };
    }
    Ok(())
}

fn refuse_pending(signal: i32) -> Outcome<()> {
    // SAFETY: sigpending fills the set in before it is used.
    let is_pending = unsafe {
        let mut pending = std::mem::zeroed();
        libc::sigpending(&mut pending);
        libc::sigismember(&pending, signal) == 1
    };
    if is_pending {
        return Err(format!("signal {signal} came once more").into());
    }
    Ok(())
}

fn main() -> Outcome<()> {
    let steps: Vec<String> = env::args().skip(1).collect();
    let blocked = block_signals(&steps);
    let run = env::var_os("RINGSCOPE_RUN").map(PathBuf::from);
    let parent = PathBuf::from(format!("/proc/{}", sys::process_id()));
    let mut recorder = None;
    let mut held_parent = None;
    for step in &steps {
        let (verb, value) = step.split_once(':').unwrap_or((step, ""));
        match verb {
            "print" => {
                println!("{value}");
                io::stdout().flush()?;
            }
            "line" => {
                io::stdin().lock().read_line(&mut String::new())?;
            }
            "signal" => wait_signal(value.parse()?, &blocked)?,
            // SAFETY: takes two integers.
            "group" => match unsafe { libc::setpgid(0, 0) } {
                0 => {}
                _ => return Err(io::Error::last_os_error().into()),
            },
            "none" => refuse_pending(value.parse()?)?,
            "orphaned" => wait_until(|| Ok(!parent.exists()))?,
            "child" => {
                let (mut reader, writer) = io::pipe()?;
                // SAFETY: the program has one thread.
                if unsafe { libc::fork() } != 0 {
                    drop(writer);
                    reader.read_to_end(&mut Vec::new())?;
                    return Ok(());
                }
                held_parent = Some(writer);
            }
            "release" => drop(held_parent.take()),
            // SAFETY: ends the process at once.
            "exit" => unsafe { libc::_exit(value.parse()?) },
            "kill" => {
                // SAFETY: sends a signal to this very process.
                unsafe { libc::raise(value.parse()?) };
            }
            _ => {
                // Recording starts with the first step that needs it.
                if recorder.is_none() {
                    let run = run.clone().ok_or("RINGSCOPE_RUN is not set")?;
                    recorder = Some(Recorder::start(run)?);
                }
                if let Some(recorder) = &mut recorder {
                    record_step(recorder, verb, value)?;
                }
            }
        }
    }
    Ok(())
}

fn record_step(recorder: &mut Recorder, verb: &str, value: &str) -> Outcome<()> {
    match verb {
        "spans" => recorder.record_spans(value.parse()?),
        "open" => recorder.open_span(value)?,
        "hole" => recorder.leave_hole(),
        "steal" => recorder.steal_level(value)?,
        "drained" => recorder.wait_drained()?,
        "seen" => recorder.wait_seen()?,
        "held" => recorder.check_held(value.parse()?)?,
        "level" => recorder.wait_level(value.parse()?)?,
        "end" => recorder.mark_clean_end(),
        _ => return Err(format!("unknown step {verb}").into()),
    }
    Ok(())
}
