//! What recording itself cost the processes of a run.

use serde::Serialize;

use ringscope_ringbuf::block::SpanCost;

use crate::rows::ProcessRow;
use crate::timeline::Timeline;

/// What making some records cost, at the price of a span that the supervisor measured on the same machine. Records that
/// are no spans cost less.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RecordingCost {
    /// Records that were made, lost ones included.
    pub records: u64,
    /// What a span takes, ns.
    pub span_ns: f64,
    /// What two clock reads and a store of 32 bytes take, ns: no recorder can do with less.
    pub floor_ns: f64,
    /// What all of them took, ns.
    pub total_ns: u64,
    /// The same in parts of the time that the run took.
    pub share_of_wall_time: f64,
    /// The same in parts of the time that the threads which recorded had, taken to have lived until the run's end.
    pub share_of_thread_time: f64,
}

impl RecordingCost {
    fn new(cost: SpanCost, records: u64, wall_ns: u64, thread_ns: u64) -> RecordingCost {
        let total_ns = records as f64 * cost.span_ps as f64 / 1e3;
        let share = |of_ns: u64| rounded(total_ns / of_ns.max(1) as f64);
        RecordingCost {
            records,
            span_ns: cost.span_ps as f64 / 1e3,
            floor_ns: cost.floor_ps as f64 / 1e3,
            total_ns: total_ns as u64,
            share_of_wall_time: share(wall_ns),
            share_of_thread_time: share(thread_ns),
        }
    }
}

/// To a millionth: more digits would claim what was not measured.
fn rounded(share: f64) -> f64 {
    (share * 1e6).round() / 1e6
}

impl Timeline {
    /// What recording cost all processes; `None` where nobody measured what a span takes.
    pub fn recording_cost(&self) -> Option<RecordingCost> {
        let hosts = || {
            self.processes
                .iter()
                .filter(|process| process.device.is_none())
        };
        // Times and counts of damaged files may be anything.
        let records = hosts().fold(0u64, |sum, process| sum.saturating_add(process.made));
        let thread_ns = hosts().fold(0u64, |sum, process| {
            sum.saturating_add(self.thread_ns(process))
        });
        let wall_ns = self.end_ns.saturating_sub(self.start_ns).max(0) as u64;
        Some(RecordingCost::new(
            self.span_cost?,
            records,
            wall_ns,
            thread_ns,
        ))
    }

    /// What recording cost one process, from its first record on.
    pub fn recording_cost_of(&self, process: &ProcessRow) -> Option<RecordingCost> {
        let thread_ns = self.thread_ns(process);
        let wall_ns = self.lived_ns(process);
        Some(RecordingCost::new(
            self.span_cost?,
            process.made,
            wall_ns,
            thread_ns,
        ))
    }

    fn lived_ns(&self, process: &ProcessRow) -> u64 {
        self.end_ns.saturating_sub(process.created_ns).max(0) as u64
    }

    fn thread_ns(&self, process: &ProcessRow) -> u64 {
        process.threads.saturating_mul(self.lived_ns(process))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_times_price() {
        let price = SpanCost {
            span_ps: 20_500,
            floor_ps: 20_000,
        };
        let cost = RecordingCost::new(price, 1_000_000, 1_000_000_000, 4_000_000_000);
        assert_eq!(cost.total_ns, 20_500_000);
        assert_eq!(
            (cost.share_of_wall_time, cost.share_of_thread_time),
            (0.0205, 0.005125)
        );
        assert_eq!(RecordingCost::new(price, 0, 0, 0).share_of_wall_time, 0.0);
    }
}
