//! What the engine prints: above all the summary at the end.

use std::fmt;
use std::io::{self, Write};

use crate::error::Error;
use crate::expectation::Verdict;
use crate::http::Completion;
use crate::scheduler::WorkerLoss;

/// What a run did and how fast.
pub(crate) struct Summary<'a> {
    /// All completions.
    pub(crate) completions: &'a [Completion],
    /// From the first request to the last token.
    pub(crate) wall_ns: u64,
    /// Workers that ended before their time.
    pub(crate) losses: &'a [WorkerLoss],
    /// The check of the tokens.
    pub(crate) verdict: Verdict,
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tokens: usize = self
            .completions
            .iter()
            .map(|completion| completion.tokens.len())
            .sum();
        let wall_s = self.wall_ns as f64 / 1e9;
        writeln!(f, "requests      {}", self.completions.len())?;
        writeln!(f, "tokens        {tokens}")?;
        writeln!(f, "wall time     {wall_s:.3} s")?;
        writeln!(f, "throughput    {:.0} tokens/s", tokens as f64 / wall_s)?;
        writeln!(
            f,
            "TTFT          {}",
            Percentiles::of(self.completions.iter().map(ttft_ns))
        )?;
        writeln!(
            f,
            "TPOT          {}",
            Percentiles::of(self.completions.iter().filter_map(tpot_ns))
        )?;
        for WorkerLoss { worker, rerouted } in self.losses {
            writeln!(
                f,
                "worker {worker}      died, {rerouted} requests run again"
            )?;
        }
        writeln!(f, "output check  {}", self.verdict)
    }
}

/// Time to first token, in nanoseconds.
fn ttft_ns(completion: &Completion) -> u64 {
    completion.first_token_ns - completion.arrived_ns
}

/// Mean time per output token after the first one, in nanoseconds; none where there is only one.
fn tpot_ns(completion: &Completion) -> Option<u64> {
    let steps = completion
        .tokens
        .len()
        .checked_sub(1)
        .filter(|steps| *steps > 0)?;
    Some((completion.last_token_ns - completion.first_token_ns) / steps as u64)
}

/// Median and 99th percentile, in nanoseconds; none of an empty set.
struct Percentiles(Option<(u64, u64)>);

impl Percentiles {
    fn of(values_ns: impl Iterator<Item = u64>) -> Self {
        let mut sorted: Vec<u64> = values_ns.collect();
        sorted.sort_unstable();
        let nearest_rank = |percent: usize| {
            sorted
                .get((sorted.len() * percent).div_ceil(100).saturating_sub(1))
                .copied()
        };
        Self(nearest_rank(50).zip(nearest_rank(99)))
    }
}

impl fmt::Display for Percentiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => write!(f, "-"),
            Some((p50_ns, p99_ns)) => {
                write!(
                    f,
                    "p50 {:.3} ms   p99 {:.3} ms",
                    p50_ns as f64 / 1e6,
                    p99_ns as f64 / 1e6
                )
            }
        }
    }
}

/// Writes to standard output. A reader that has seen enough is no reason to fail.
pub(crate) fn print(text: fmt::Arguments<'_>) -> Result<(), Error> {
    match io::stdout().lock().write_fmt(text) {
        Err(why) if why.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::new("cannot print", "standard output", why))
        }
        _ => Ok(()),
    }
}
