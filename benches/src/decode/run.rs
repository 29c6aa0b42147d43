//! One measurement, in a process of its own.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use ringscope_decode::format::Format;
use ringscope_decode::gzip::GzipWriter;
use ringscope_decode::{
    Filter, Limits, Options, Order, Output, Run, Timeline, chrome, find_runs, launches, perfetto,
    stats, trace,
};

use crate::figure::{Measured, Task, What};
use crate::floor;

/// Level of compression.
const LEVEL: u32 = 1;
/// Bytes of a trace handed over at once.
const PIECE: usize = 1 << 18;
/// How often memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Does what the task says and prints what it took.
pub(crate) fn measure(task: &Task) -> Result<(), String> {
    let is_over = AtomicBool::new(false);
    let measured = thread::scope(|scope| {
        let watch = scope.spawn(|| peak_private_kib(&is_over));
        let started = Instant::now();
        let outcome = work(task);
        let elapsed = started.elapsed();
        is_over.store(true, Ordering::Relaxed);
        let private_kib = watch.join().unwrap_or(0);
        outcome.map(|(events, bytes)| Measured {
            seconds: elapsed.as_secs_f64(),
            events,
            bytes,
            private_kib,
        })
    })?;
    let text = serde_json::to_string(&measured).map_err(|error| format!("figure: {error}"))?;
    println!("{text}");
    Ok(())
}

/// Largest private memory of this process until it is over, KiB.
fn peak_private_kib(is_over: &AtomicBool) -> u64 {
    let mut peak = 0;
    loop {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("RssAnon:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
        peak = peak.max(kib.unwrap_or(0));
        if is_over.load(Ordering::Relaxed) {
            return peak;
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// Events and bytes.
fn work(task: &Task) -> Result<(u64, u64), String> {
    let failed = |error: io::Error| format!("{:?}: {error}", task.what);
    let open = || {
        OpenOptions::new()
            .write(true)
            .open(&task.out)
            .map_err(failed)
    };
    match task.what {
        What::Floor => {
            let bytes = floor::format(task.amount, &mut open()?).map_err(failed)?;
            Ok((task.amount, bytes))
        }
        What::Write => write_bare(&open()?, task.amount, task.threads).map_err(failed),
        What::Decode(order) => {
            let timeline = timeline(task)?;
            let file = open()?;
            let format = chrome::Chrome::new(&timeline);
            let output = Output::File(&file);
            let events = trace::write(&timeline, &format, order.into(), output, &|_done| {});
            Ok((events.map_err(failed)?, 0))
        }
        What::Pipe | What::Perfetto | What::DecodeGzip => {
            let timeline = timeline(task)?;
            stream(task, &timeline, open()?).map_err(failed)
        }
        What::Stats => {
            let timeline = timeline(task)?;
            stats::table(&timeline, &stats::Options::default()).map_err(failed)?;
            Ok((timeline.event_count, 0))
        }
        What::Launches => {
            let timeline = timeline(task)?;
            launches::report(&timeline, 0).map_err(failed)?;
            Ok((timeline.event_count, 0))
        }
        What::Deflate | What::Gzip => compress(task).map_err(failed),
    }
}

/// Writes a trace by time into `out`, whose bytes are counted.
fn stream(task: &Task, timeline: &Timeline, out: File) -> io::Result<(u64, u64)> {
    let mut out = Counted { out, bytes: 0 };
    let format: Box<dyn Format + '_> = match task.what {
        What::Perfetto => Box::new(perfetto::Perfetto::new(timeline)),
        _ => Box::new(chrome::Chrome::new(timeline)),
    };
    let write = |out: &mut (dyn Write + Send)| {
        let output = Output::Stream(out);
        trace::write(timeline, &*format, Order::Time, output, &|_done| {})
    };
    if task.what == What::DecodeGzip {
        let mut writer = GzipWriter::new(out, LEVEL, task.threads)?;
        let events = write(&mut writer)?;
        return Ok((events, writer.finish()?.bytes));
    }
    let events = write(&mut out)?;
    Ok((events, out.bytes))
}

/// Counts what passes.
struct Counted<W> {
    out: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Compresses the first bytes of a trace, handed over in pieces as a decoder does; the bytes that it comes to.
fn compress(task: &Task) -> io::Result<(u64, u64)> {
    let mut trace = File::open(&task.out)?.take(task.amount);
    let counted = Counted {
        out: io::sink(),
        bytes: 0,
    };
    let bytes = if task.what == What::Deflate {
        let mut writer = GzEncoder::new(counted, Compression::new(LEVEL));
        pass(&mut trace, &mut writer)?;
        writer.finish()?.bytes
    } else {
        let mut writer = GzipWriter::new(counted, LEVEL, task.threads)?;
        pass(&mut trace, &mut writer)?;
        writer.finish()?.bytes
    };
    Ok((0, bytes))
}

fn pass(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        let len = from.read(&mut piece)?;
        if len == 0 {
            return Ok(());
        }
        to.write_all(&piece[..len])?;
    }
}

fn timeline(task: &Task) -> Result<Timeline, String> {
    let failed = |error: ringscope_decode::Error| error.to_string();
    let dirs = find_runs(Path::new(&task.run)).map_err(failed)?;
    let open = |dir: &std::path::PathBuf| Run::open(dir, &Limits::default());
    let runs: Result<Vec<Run>, _> = dirs.iter().map(open).collect();
    let options = Options {
        filter: Filter::default(),
        threads: Some(task.threads),
        ..Options::default()
    };
    Timeline::build(&runs.map_err(failed)?, &options).map_err(failed)
}

/// Writes so many bytes that stand ready, from several threads at once.
fn write_bare(file: &File, bytes: u64, threads: usize) -> io::Result<(u64, u64)> {
    let piece = vec![b'x'; 2 << 20];
    let pieces = bytes.div_ceil(piece.len() as u64);
    let next = std::sync::atomic::AtomicU64::new(0);
    let work = || -> io::Result<()> {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= pieces {
                return Ok(());
            }
            let offset = at * piece.len() as u64;
            let len = (bytes - offset).min(piece.len() as u64) as usize;
            file.write_all_at(&piece[..len], offset)?;
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or(Ok(())))
    })?;
    (&*file).flush()?;
    Ok((0, bytes))
}
