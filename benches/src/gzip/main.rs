//! Measures compressing a trace into one gzip member on several threads, beside one thread that hands the same bytes to
//! the same deflate in one piece. Not typical use: the trace is made beforehand, so that nothing but compression is
//! timed; a decode that formats on the same cores has less of them.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use flate2::Compression;
use flate2::write::GzEncoder;
use ringscope_benches::machine::Machine;
use ringscope_decode::gzip::GzipWriter;

/// Bytes given to a writer at once, as a decoder does.
const PIECE_LEN: usize = 1 << 18;

/// Measures compression of a trace by several threads beside one.
#[derive(Debug, Parser)]
struct Options {
    /// MiB of trace
    #[arg(long, value_name = "MIB", default_value_t = 512)]
    size: usize,
    /// Level, 1 (fast) to 9 (small)
    #[arg(long, value_name = "LEVEL", default_value_t = 1)]
    level: u32,
    /// Threads [default: all processors]
    #[arg(long, value_name = "THREADS")]
    threads: Option<usize>,
    /// Rounds; the best of each side counts
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: usize,
}

/// Counts bytes and forgets them.
#[derive(Debug, Default)]
struct Count(u64);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Lines as a decoder writes them: three names, times that grow by a little, one argument.
fn trace(len_bytes: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(len_bytes + 256);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let (mut at_ns, mut step) = (0u64, 0u64);
    while out.len() < len_bytes {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let name = ["decode_step", "attention", "mlp"][(state >> 61) as usize % 3];
        at_ns += 100 + (state >> 54);
        step += 1;
        let (us, ns) = (at_ns / 1000, at_ns % 1000);
        let dur_ns = state >> 52 & 0xfff;
        let _ = write!(
            out,
            ",\n{{\"name\":\"{name}\",\"cat\":\"worker\",\"ph\":\"X\",\"ts\":{us}.{ns:03},\"dur\":{}.{:03},\
             \"pid\":4711,\"tid\":4711,\"args\":{{\"step\":{step}}}}}",
            dur_ns / 1000,
            dur_ns % 1000,
        );
    }
    out
}

fn by_one(trace: &[u8], level: u32) -> io::Result<u64> {
    let mut writer = GzEncoder::new(Count::default(), Compression::new(level));
    for piece in trace.chunks(PIECE_LEN) {
        writer.write_all(piece)?;
    }
    Ok(writer.finish()?.0)
}

fn by_several(trace: &[u8], level: u32, threads: usize) -> io::Result<u64> {
    let mut writer = GzipWriter::new(Count::default(), level, threads)?;
    for piece in trace.chunks(PIECE_LEN) {
        writer.write_all(piece)?;
    }
    Ok(writer.finish()?.0)
}

fn timed(work: impl FnOnce() -> io::Result<u64>) -> io::Result<(f64, u64)> {
    let start = Instant::now();
    let len_bytes = work()?;
    Ok((start.elapsed().as_secs_f64(), len_bytes))
}

fn measure(options: &Options) -> io::Result<()> {
    let machine = Machine::this();
    let threads = options.threads.unwrap_or(machine.cores);
    println!("{machine}");
    let trace = trace(options.size << 20);
    let mut best = [(f64::INFINITY, 0); 2];
    for _ in 0..options.rounds.max(1) {
        let rounds = [
            timed(|| by_one(&trace, options.level))?,
            timed(|| by_several(&trace, options.level, threads))?,
        ];
        for (best, round) in best.iter_mut().zip(rounds) {
            if round.0 < best.0 {
                *best = round;
            }
        }
    }
    for (what, (seconds, len_bytes)) in ["one thread, one piece", "blocks"].iter().zip(best) {
        let (rate, ratio) = (
            trace.len() as f64 / seconds / 1e6,
            trace.len() as f64 / len_bytes as f64,
        );
        println!("{what:22} {rate:7.0} MB/s, {ratio:.2} to 1");
    }
    println!("{threads} threads are {:.2} x one", best[0].0 / best[1].0);
    Ok(())
}

fn main() -> ExitCode {
    match measure(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gzip: measure: {error}");
            ExitCode::FAILURE
        }
    }
}
