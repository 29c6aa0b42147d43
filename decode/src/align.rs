//! Aligning processes by something that happened in all of them at once, such as a barrier.

use std::collections::BTreeMap;
use std::io;

use crate::event::EventKind;
use crate::timeline::Timeline;

/// Moments of a process that are compared.
const MAX_MOMENTS: usize = 1 << 12;

/// How far a process is off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offset {
    /// Index into the time line's processes.
    pub process: usize,
    /// Moments compared.
    pub moments: usize,
    /// What its times are ahead of the reference, ns: the median over the moments.
    pub offset_ns: i64,
    /// How far a moment is from where the median puts it, at most, ns.
    pub spread_ns: u64,
}

/// The offsets of all processes that have the instant or span `name`, against the first of them by rank and start: the
/// n-th moment of each is taken for the same. Of a span its end counts, as a barrier lets everybody go at once.
///
/// # Errors
///
/// When the temporary file fails.
pub fn offsets(timeline: &Timeline, name: &str) -> io::Result<Vec<Offset>> {
    let mut moments: BTreeMap<usize, Vec<i64>> = BTreeMap::new();
    timeline.visit(|event| {
        let is_moment = event.kind.is_interval() || event.kind == EventKind::Instant;
        let Some(lane) = timeline.lanes.get(event.lane as usize) else {
            return;
        };
        if is_moment && !event.is_open() && timeline.name(event) == name {
            let of_process = moments.entry(lane.process as usize).or_default();
            if of_process.len() < MAX_MOMENTS {
                of_process.push(event.end_ns);
            }
        }
    })?;
    for moments in moments.values_mut() {
        moments.sort_unstable();
    }
    let by_rank = |process: &&usize| {
        let row = &timeline.processes[**process];
        (row.rank.is_none(), row.rank, row.created_ns, row.pid)
    };
    let Some(reference) = moments.keys().min_by_key(by_rank) else {
        return Ok(Vec::new());
    };
    let reference = moments[reference].clone();
    let offset_of = |(process, moments): (&usize, &Vec<i64>)| offset(*process, moments, &reference);
    Ok(moments.iter().map(offset_of).collect())
}

fn offset(process: usize, moments: &[i64], reference: &[i64]) -> Offset {
    let pairs = moments.iter().zip(reference);
    let mut differences: Vec<i64> = pairs
        .map(|(own, other)| own.saturating_sub(*other))
        .collect();
    differences.sort_unstable();
    let offset_ns = differences[differences.len() / 2];
    let spread = differences.iter().map(|d| d.abs_diff(offset_ns)).max();
    Offset {
        process,
        moments: differences.len(),
        offset_ns,
        spread_ns: spread.unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_stands_and_the_worst_is_told() {
        let found = offset(3, &[110, 205, 312, 900], &[10, 105, 210]);
        let expected = Offset {
            process: 3,
            moments: 3,
            offset_ns: 100,
            spread_ns: 2,
        };
        assert_eq!(found, expected);
    }
}
