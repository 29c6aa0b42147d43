//! What is reported of a case, from its rounds.

use serde::{Deserialize, Serialize};

use crate::case::Case;
use crate::floor::{Floor, Loop};
use crate::rounds::{CaseRounds, Rounds, Timed};

/// A single call that takes longer is counted.
const LONG_CALL_NS: f64 = 1_000.0;

/// The figures of one case. All but those of single calls are per record.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measurement {
    /// Name of the case.
    pub case: String,
    /// Records that one call makes.
    pub records_per_call: u64,
    /// Median over the rounds, in ns.
    pub ns: f64,
    /// The same, without what the empty loop of the same round took.
    pub net_ns: f64,
    /// Median of the ratios to the floor of the same round.
    pub floor_ratio: f64,
    /// What it adds to 80 ns of work, in ns: the median of the differences to the work alone in the same round.
    pub added_to_work_ns: f64,
    /// What half of the single calls take at most, in ns; like the next two without the cost of the timing itself.
    pub call_p50_ns: f64,
    /// What 99 % of the single calls take at most, in ns.
    pub call_p99_ns: f64,
    /// What 99.9 % of the single calls take at most, in ns.
    pub call_p999_ns: f64,
    /// Single calls of more than 1 us, per million.
    pub calls_over_1us_per_million: f64,
    /// Page faults per million records.
    pub page_faults_per_million: f64,
    /// System calls per million records; `None` where they were not counted.
    pub system_calls_per_million: Option<f64>,
    /// Bytes of records, where the case can tell.
    pub bytes: Option<f64>,
    /// Instructions without those of the empty loop; `None` where they were not counted.
    pub instructions: Option<f64>,
}

/// The figures of all cases.
///
/// # Panics
///
/// When the floor or the loop is not among the cases, or there are no rounds.
pub fn summarise(rounds: &Rounds) -> Vec<Measurement> {
    (0..rounds.threads[0].len())
        .map(|case| OneCase { rounds, case }.summarise())
        .collect()
}

/// The rounds of a case, of all threads.
struct OneCase<'a> {
    rounds: &'a Rounds,
    case: usize,
}

impl OneCase<'_> {
    fn summarise(&self) -> Measurement {
        let first = &self.rounds.threads[0][self.case];
        let records = first.records_per_call as f64 * self.rounds.calls as f64;
        let ns_per_record = 1.0 / (self.rounds.ticks_per_ns * records);
        let run = |case: &CaseRounds| case.run.clone();
        let around = |case: &CaseRounds| case.around.clone();
        let mut calls = self.single_calls();
        let longer = calls.iter().filter(|ns| **ns > LONG_CALL_NS).count();
        Measurement {
            case: first.name.to_string(),
            records_per_call: first.records_per_call,
            ns: self.median::<Loop>(run, |ticks, _| ticks) * ns_per_record,
            net_ns: self.median::<Loop>(run, |ticks, nothing| ticks - nothing) * ns_per_record,
            floor_ratio: self.median::<Floor>(run, |ticks, floor| ticks / floor)
                / first.records_per_call as f64,
            added_to_work_ns: self.median::<Loop>(around, |ticks, work| ticks - work)
                * ns_per_record,
            call_p50_ns: percentile(&mut calls, 0.5),
            call_p99_ns: percentile(&mut calls, 0.99),
            call_p999_ns: percentile(&mut calls, 0.999),
            calls_over_1us_per_million: longer as f64 * 1e6 / calls.len() as f64,
            page_faults_per_million: self
                .per_record(|case| Some(case.page_faults))
                .unwrap_or(0.0)
                * 1e6,
            system_calls_per_million: None,
            bytes: self.per_record(|case| case.bytes),
            instructions: self.instructions(),
        }
    }

    /// Median over all threads and rounds of `figure`, which gets the ticks of this case and those of `Beside` in the
    /// same round. Rounds in which the kernel took the core away count only where there are no others.
    fn median<Beside: Case>(
        &self,
        timed: impl Fn(&CaseRounds) -> Vec<Timed>,
        figure: impl Fn(f64, f64) -> f64,
    ) -> f64 {
        let (mut undisturbed, mut all) = (Vec::new(), Vec::new());
        for thread in &self.rounds.threads {
            for (case, beside) in timed(&thread[self.case])
                .iter()
                .zip(timed(find::<Beside>(thread)))
            {
                let figure = figure(case.ticks as f64, beside.ticks as f64);
                all.push(figure);
                if !case.preempted && !beside.preempted {
                    undisturbed.push(figure);
                }
            }
        }
        let figures = if undisturbed.is_empty() {
            &mut all
        } else {
            &mut undisturbed
        };
        percentile(figures, 0.5)
    }

    /// Single calls of all threads in ns, without the median of what timing nothing takes.
    fn single_calls(&self) -> Vec<f64> {
        let mut calls = Vec::new();
        for thread in &self.rounds.threads {
            let mut nothing: Vec<f64> = find::<Loop>(thread)
                .samples
                .iter()
                .map(|t| f64::from(*t))
                .collect();
            let bracket = percentile(&mut nothing, 0.5);
            let ns =
                |ticks: &u32| (f64::from(*ticks) - bracket).max(0.0) / self.rounds.ticks_per_ns;
            calls.extend(thread[self.case].samples.iter().map(ns));
        }
        calls
    }

    fn per_record(&self, count: impl Fn(&CaseRounds) -> Option<u64>) -> Option<f64> {
        let (mut sum, mut records) = (0, 0);
        for thread in &self.rounds.threads {
            let case = &thread[self.case];
            sum += count(case)?;
            records += case.run.len() as u64 * self.rounds.calls * case.records_per_call;
        }
        Some(sum as f64 / records as f64)
    }

    fn instructions(&self) -> Option<f64> {
        let thread = &self.rounds.threads[0];
        let (case, nothing) = (&thread[self.case], find::<Loop>(thread));
        let records = (case.run.len() as u64 * self.rounds.calls * case.records_per_call) as f64;
        Some((case.instructions? as f64 - nothing.instructions? as f64) / records)
    }
}

/// The rounds of the case `C` among those of a thread.
fn find<C: Case>(cases: &[CaseRounds]) -> &CaseRounds {
    match cases.iter().find(|case| case.name == C::NAME) {
        Some(case) => case,
        None => panic!(
            "measure: cases: expected one named `{}`, found none",
            C::NAME
        ),
    }
}

/// The smallest of `figures` that at least `part` of them do not exceed.
fn percentile(figures: &mut [f64], part: f64) -> f64 {
    let rank = (figures.len() as f64 * part).ceil() as usize;
    let index = rank.clamp(1, figures.len()) - 1;
    *figures.select_nth_unstable_by(index, f64::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_by_rank() {
        let mut figures: Vec<f64> = (1..=1000).rev().map(f64::from).collect();
        assert_eq!(percentile(&mut figures, 0.5), 500.0);
        assert_eq!(percentile(&mut figures, 0.999), 999.0);
        assert_eq!(percentile(&mut [7.0], 0.999), 7.0);
    }

    fn timed(ticks: u64) -> Timed {
        // Nothing takes a tick over 9,000: those are rounds in which another program ran.
        Timed {
            ticks,
            preempted: ticks > 9_000,
        }
    }

    fn case(name: &'static str, run_ticks: [u64; 4], samples: [u32; 3]) -> CaseRounds {
        CaseRounds {
            name,
            records_per_call: if name == "nested" { 2 } else { 1 },
            run: run_ticks.map(timed).to_vec(),
            around: run_ticks.map(|ticks| timed(ticks + 800)).to_vec(),
            samples: samples.to_vec(),
            page_faults: 4,
            bytes: Some(80 * 32),
            instructions: Some(600),
        }
    }

    #[test]
    fn figures_are_per_record_and_ratios_within_a_round() {
        let rounds = Rounds {
            threads: vec![vec![
                case("loop", [10, 10, 10, 10], [4, 4, 4]),
                // The machine is twice as slow in the last round: ratios must not show it.
                case("floor", [100, 100, 200, 100], [24, 24, 24]),
                case("nested", [300, 10_000, 600, 10_000], [44, 5_000, 3]),
            ]],
            calls: 10,
            ticks_per_ns: 2.0,
            work_turns: 1,
        };
        let nested = &summarise(&rounds)[2];
        assert_eq!(
            (nested.ns, nested.net_ns, nested.floor_ratio),
            (7.5, 7.25, 1.5)
        );
        assert_eq!(nested.added_to_work_ns, 7.25);
        assert_eq!((nested.call_p50_ns, nested.call_p99_ns), (20.0, 2_498.0));
        assert_eq!(nested.calls_over_1us_per_million.round(), 333_333.0);
        assert_eq!((nested.bytes, nested.instructions), (Some(32.0), Some(0.0)));
        assert_eq!(nested.page_faults_per_million, 50_000.0);
    }
}
