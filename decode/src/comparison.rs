//! What changed between two tables: row by row, and whether it is worse.

use std::collections::BTreeMap;

use crate::stats::Row;

/// What is compared to find regressions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Metric {
    /// Mean and median, both: a single long span moves one of them only.
    #[default]
    Typical,
    /// Number of spans.
    Count,
    /// Sum of durations.
    Total,
    /// Mean duration.
    Mean,
    /// Median duration.
    P50,
    /// 99th percentile.
    P99,
}

/// When a change counts.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// What is compared.
    pub metric: Metric,
    /// Growth beyond which it counts, as a part of what it was.
    pub threshold: f64,
    /// Spans that both tables have at least.
    pub min_count: u64,
    /// Total time that the second table has at least, for improvements the first one, ns.
    pub min_total_ns: u64,
}

/// What a rule says of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Less than the threshold in either direction.
    Unchanged,
    /// Grew beyond the threshold.
    Regressed,
    /// Shrank beyond the threshold.
    Improved,
    /// Beyond the threshold, but of too few spans or too little time to count.
    TooLittle,
    /// The second table lacks it.
    OnlyInA,
    /// The first table lacks it.
    OnlyInB,
}

/// A row of either table, or of both.
#[derive(Clone, Debug)]
pub struct Change {
    /// Name, category, process, … as asked for.
    pub key: String,
    /// What the first table says.
    pub a: Option<Row>,
    /// What the second table says.
    pub b: Option<Row>,
    /// What comes of it.
    pub verdict: Verdict,
}

impl Change {
    /// Growth of a figure, as a part of what it was: 0.1 is a tenth more. `None` where one table lacks the row, or
    /// where nothing became something.
    pub fn of(&self, figure: impl Fn(&Row) -> f64) -> Option<f64> {
        let (a, b) = (figure(self.a.as_ref()?), figure(self.b.as_ref()?));
        growth(a, b)
    }

    /// Time by which the totals differ, ns.
    fn moved_ns(&self) -> u64 {
        let total_ns = |row: &Option<Row>| row.as_ref().map_or(0, |row| row.total_ns);
        total_ns(&self.a).abs_diff(total_ns(&self.b))
    }
}

/// Compares two tables; the rows whose totals changed most come first.
pub fn compare(a: Vec<Row>, b: Vec<Row>, rule: &Rule) -> Vec<Change> {
    let mut rows: BTreeMap<String, (Option<Row>, Option<Row>)> = BTreeMap::new();
    for row in a {
        let side = &mut rows.entry(row.key.clone()).or_default().0;
        *side = Some(row);
    }
    for row in b {
        let side = &mut rows.entry(row.key.clone()).or_default().1;
        *side = Some(row);
    }
    let mut changes: Vec<Change> = rows
        .into_iter()
        .map(|(key, (a, b))| Change {
            key,
            verdict: rule.verdict(a.as_ref(), b.as_ref()),
            a,
            b,
        })
        .collect();
    // Equal ones stay in the order of their keys.
    changes.sort_by_key(|change| std::cmp::Reverse(change.moved_ns()));
    changes
}

impl Rule {
    fn verdict(&self, a: Option<&Row>, b: Option<&Row>) -> Verdict {
        let (a, b) = match (a, b) {
            (Some(a), Some(b)) => (a, b),
            (Some(_), None) => return Verdict::OnlyInA,
            (None, _) => return Verdict::OnlyInB,
        };
        let grew = self.exceeds(a, b);
        let shrank = self.exceeds(b, a);
        if !grew && !shrank {
            return Verdict::Unchanged;
        }
        let longer = if grew { b } else { a };
        if a.count.min(b.count) < self.min_count || longer.total_ns < self.min_total_ns {
            return Verdict::TooLittle;
        }
        if grew {
            Verdict::Regressed
        } else {
            Verdict::Improved
        }
    }

    /// True when `to` is more than `from` by more than the threshold.
    fn exceeds(&self, from: &Row, to: &Row) -> bool {
        let grew = |figure: fn(&Row) -> f64| {
            let (from, to) = (figure(from), figure(to));
            to > from && growth(from, to).is_none_or(|growth| growth > self.threshold)
        };
        match self.metric {
            Metric::Typical => grew(mean_ns) && grew(|row| row.p50_ns as f64),
            Metric::Count => grew(|row| row.count as f64),
            Metric::Total => grew(|row| row.total_ns as f64),
            Metric::Mean => grew(mean_ns),
            Metric::P50 => grew(|row| row.p50_ns as f64),
            Metric::P99 => grew(|row| row.p99_ns as f64),
        }
    }
}

/// Mean duration of a row's spans in ns, not rounded: of spans of ten nanoseconds, one is a tenth.
pub fn mean_ns(row: &Row) -> f64 {
    row.total_ns as f64 / row.count.max(1) as f64
}

/// `None` where nothing became something.
fn growth(from: f64, to: f64) -> Option<f64> {
    if from > 0.0 {
        Some(to / from - 1.0)
    } else {
        (to == 0.0).then_some(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule = Rule {
        metric: Metric::Typical,
        threshold: 0.1,
        min_count: 5,
        min_total_ns: 1_000,
    };

    fn row(key: &str, count: u64, mean_ns: u64, p50_ns: u64) -> Row {
        Row {
            key: key.to_owned(),
            count,
            total_ns: count * mean_ns,
            self_ns: 0,
            mean_ns,
            p50_ns,
            p90_ns: p50_ns,
            p99_ns: p50_ns,
            max_ns: p50_ns,
            share: 0.0,
        }
    }

    fn verdict(rule: &Rule, a: (u64, u64, u64), b: (u64, u64, u64)) -> Verdict {
        let row = |(count, mean_ns, p50_ns)| row("x", count, mean_ns, p50_ns);
        compare(vec![row(a)], vec![row(b)], rule)[0].verdict
    }

    #[test]
    fn both_mean_and_median_have_to_grow() {
        let a = (100, 1_000, 1_000);
        assert_eq!(verdict(&RULE, a, (100, 1_101, 1_101)), Verdict::Regressed);
        assert_eq!(verdict(&RULE, a, (100, 1_099, 1_099)), Verdict::Unchanged);
        assert_eq!(verdict(&RULE, a, (100, 2_000, 1_050)), Verdict::Unchanged);
        assert_eq!(verdict(&RULE, a, (100, 1_050, 2_000)), Verdict::Unchanged);
        assert_eq!(verdict(&RULE, a, (100, 500, 500)), Verdict::Improved);
        let mean = Rule {
            metric: Metric::Mean,
            ..RULE
        };
        assert_eq!(verdict(&mean, a, (100, 2_000, 1_050)), Verdict::Regressed);
    }

    #[test]
    fn few_spans_and_little_time_do_not_count() {
        let a = (5, 1_000, 1_000);
        assert_eq!(verdict(&RULE, a, (5, 2_000, 2_000)), Verdict::Regressed);
        assert_eq!(verdict(&RULE, a, (4, 2_000, 2_000)), Verdict::TooLittle);
        let short = (5, 100, 100);
        assert_eq!(verdict(&RULE, short, (5, 200, 200)), Verdict::Regressed);
        assert_eq!(verdict(&RULE, short, (5, 199, 199)), Verdict::TooLittle);
        // An improvement is measured by what there was.
        assert_eq!(verdict(&RULE, (5, 200, 200), short), Verdict::Improved);
    }

    #[test]
    fn nothing_that_becomes_something_exceeds_every_threshold() {
        assert_eq!(verdict(&RULE, (9, 0, 0), (9, 500, 500)), Verdict::Regressed);
        assert_eq!(verdict(&RULE, (9, 0, 0), (9, 0, 0)), Verdict::Unchanged);
        let changes = compare(vec![row("x", 9, 0, 0)], vec![row("x", 9, 5, 5)], &RULE);
        assert_eq!(changes[0].of(mean_ns), None);
        assert_eq!(changes[0].of(|row| row.count as f64), Some(0.0));
    }

    #[test]
    fn the_largest_change_comes_first_and_lone_rows_are_told() {
        let a = vec![
            row("same", 5, 10, 10),
            row("gone", 5, 30, 30),
            row("up", 5, 10, 10),
        ];
        let b = vec![
            row("same", 5, 10, 10),
            row("new", 5, 20, 20),
            row("up", 5, 500, 500),
        ];
        let changes = compare(a, b, &RULE);
        let found: Vec<(&str, Verdict)> = changes
            .iter()
            .map(|change| (change.key.as_str(), change.verdict))
            .collect();
        assert_eq!(
            found,
            [
                ("up", Verdict::Regressed),
                ("gone", Verdict::OnlyInA),
                ("new", Verdict::OnlyInB),
                ("same", Verdict::Unchanged),
            ]
        );
    }
}
