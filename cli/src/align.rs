//! `--align`: processes are moved until something that happened in all of them at once stands at one moment.

use ringscope_decode::{Filter, Options, Run, Timeline, align};

use crate::failure::Failure;
use crate::span_of_time::SpanOfTime;

/// Adds to `options` what aligns the processes of `runs` by `name`, and tells on standard error how far they were off.
pub(crate) fn add(options: &mut Options, runs: &[Run], name: &str) -> Result<(), Failure> {
    let unfiltered = Options {
        filter: Filter {
            names: vec![escaped(name)],
            ..Filter::default()
        },
        ..options.clone()
    };
    let timeline =
        Timeline::build(runs, &unfiltered).map_err(|error| Failure::of("decode", error))?;
    let offsets = align::offsets(&timeline, name)
        .map_err(|error| Failure::new("align", "temporary file", error))?;
    if offsets.len() < 2 {
        let why = format!(
            "expected an instant or span of this name in two processes or more, found it in {}",
            offsets.len()
        );
        return Err(Failure::new("align", name, why));
    }
    for offset in &offsets {
        let process = &timeline.processes[offset.process];
        let sign = if offset.offset_ns < 0 { "-" } else { "" };
        let rank = process
            .rank
            .map_or_else(String::new, |rank| format!(", rank {rank}"));
        eprintln!(
            "ringscope: align: {} [{}] on {}{rank}: was {sign}{} off, by {} moments that agree within {}",
            process.name,
            process.pid,
            process.host,
            SpanOfTime::new(offset.offset_ns.unsigned_abs()),
            offset.moments,
            SpanOfTime::new(offset.spread_ns),
        );
        for nonce in &process.nonces {
            options.shifts_ns.insert(*nonce, -offset.offset_ns);
        }
    }
    let is_aligned = |at: usize| offsets.iter().any(|offset| offset.process == at);
    let hosts = timeline.processes.iter().enumerate();
    for (_, process) in hosts.filter(|(at, p)| p.device.is_none() && !is_aligned(*at)) {
        eprintln!(
            "ringscope: align: {} [{}] has no {name:?}: left where it was",
            process.name, process.pid
        );
    }
    Ok(())
}

/// A glob that matches this name only.
fn escaped(name: &str) -> String {
    let mut glob = String::new();
    for c in name.chars() {
        if "*?[]{}!\\,".contains(c) {
            glob.push('\\');
        }
        glob.push(c);
    }
    glob
}
