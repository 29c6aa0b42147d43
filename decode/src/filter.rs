//! What to keep of a time line.

use std::collections::BTreeMap;
use std::str::FromStr;

use globset::{GlobBuilder, GlobMatcher};

use crate::error::{Error, ErrorKind};
use crate::event::{Event, EventKind, FLAG_CLIPPED, FLAG_OPEN};
use crate::links::Link;
use crate::process::Site;

/// Near misses that a warning names at most.
const MAX_NEAR_MISSES: usize = 3;

/// What to keep. Empty lists and `None` keep everything.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Globs on names; one that begins with `!` excludes. With only excluding ones, the rest is kept.
    pub names: Vec<String>,
    /// Categories.
    pub categories: Vec<String>,
    /// Mask of level bits.
    pub levels: Option<u64>,
    /// Process ids, as the processes saw them.
    pub pids: Vec<u32>,
    /// Thread ids, as the trace shows them.
    pub tids: Vec<u32>,
    /// Shortest span; moments are kept whatever it is.
    pub min_duration_ns: u64,
    /// Nothing that ends before it; spans that it cuts are kept from it on.
    pub from: Option<TimeBound>,
    /// Nothing that starts after it; spans that it cuts are kept up to it.
    pub to: Option<TimeBound>,
    /// Nothing that was recorded before a moment, whatever its time is; what was recorded later is kept whole.
    pub recorded_since: Option<RecordedSince>,
}

/// A moment, and how far the rings that were there then had been written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordedSince {
    /// The moment, CLOCK_MONOTONIC in ns.
    pub moment_ns: i64,
    /// The next sequence of each ring that was there, by its recorder's nonce and its number; `None`: nothing but the time
    /// of a record tells when it was made.
    pub sequences: Option<BTreeMap<(u64, u32), u64>>,
}

/// A moment of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeBound {
    /// After the run's start, ns.
    FromStart(u64),
    /// Before the run's end, ns.
    FromEnd(u64),
    /// Since 1970, ns.
    Epoch(i64),
    /// On CLOCK_MONOTONIC, ns.
    Monotonic(i64),
}

impl std::fmt::Display for TimeBound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = |ns: u64| (ns / 1_000_000_000, ns % 1_000_000_000);
        match *self {
            TimeBound::FromStart(ns) => {
                let (whole, part) = seconds(ns);
                write!(f, "{whole}.{part:09}s")
            }
            TimeBound::FromEnd(ns) => {
                let (whole, part) = seconds(ns);
                write!(f, "-{whole}.{part:09}s")
            }
            TimeBound::Epoch(ns) => match jiff::Timestamp::from_nanosecond(ns.into()) {
                Ok(date) => write!(f, "{date}"),
                Err(_) => write!(f, "{ns} ns since 1970"),
            },
            TimeBound::Monotonic(ns) => write!(f, "{ns} ns of CLOCK_MONOTONIC"),
        }
    }
}

/// Why a text is no moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadTimeBound(String);

impl std::fmt::Display for BadTimeBound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "expected seconds from the run's start (12.5s), from its end (-10s) or a date (RFC 3339), found {:?}",
            self.0
        )
    }
}

impl std::error::Error for BadTimeBound {}

impl FromStr for TimeBound {
    type Err = BadTimeBound;

    fn from_str(text: &str) -> Result<TimeBound, BadTimeBound> {
        let bad = || BadTimeBound(text.to_owned());
        if let Some(seconds) = text.strip_suffix('s') {
            return match seconds.strip_prefix('-') {
                Some(seconds) => parse_seconds(seconds).map(TimeBound::FromEnd),
                None => parse_seconds(seconds).map(TimeBound::FromStart),
            }
            .ok_or_else(bad);
        }
        let date: jiff::Timestamp = text.parse().map_err(|_| bad())?;
        let epoch_ns = i64::try_from(date.as_nanosecond()).map_err(|_| bad())?;
        Ok(TimeBound::Epoch(epoch_ns))
    }
}

/// Digits with at most nine after the point, in ns; exact, as no floating point could be.
fn parse_seconds(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole) || !is_number(part) || part.len() > 9 || (whole.len() + part.len() == 0) {
        return None;
    }
    let whole: u64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let part: u64 = format!("{part:0<9}").parse().ok()?;
    whole.checked_mul(1_000_000_000)?.checked_add(part)
}

/// What the time bounds of a filter mean for one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub start_ns: i64,
    pub end_ns: i64,
    pub epoch_offset_ns: i64,
}

impl Bounds {
    fn ns(&self, bound: TimeBound) -> i64 {
        let signed = |ns: u64| i64::try_from(ns).unwrap_or(i64::MAX);
        match bound {
            TimeBound::FromStart(ns) => self.start_ns.saturating_add(signed(ns)),
            TimeBound::FromEnd(ns) => self.end_ns.saturating_sub(signed(ns)),
            TimeBound::Epoch(ns) => ns.saturating_sub(self.epoch_offset_ns),
            TimeBound::Monotonic(ns) => ns,
        }
    }
}

/// A filter made ready for one run.
pub(crate) struct Compiled {
    filter: Filter,
    site_passes: Vec<bool>,
    from_ns: i64,
    to_ns: i64,
    /// The first sequence that is kept of each ring, in the time line's order; empty where nothing tells.
    first_sequences: Vec<u64>,
}

struct NamePattern {
    text: String,
    excludes: bool,
    glob: GlobMatcher,
}

impl Compiled {
    /// `used`: which of the sites have events, for the warnings about patterns that match none of them.
    pub(crate) fn new(
        filter: &Filter,
        sites: &[Site],
        used: &[bool],
        bounds: Bounds,
        warnings: &mut Vec<String>,
    ) -> Result<Compiled, Error> {
        let patterns = filter
            .names
            .iter()
            .map(|text| NamePattern::new(text))
            .collect::<Result<Vec<_>, _>>()?;
        let used: Vec<&Site> = sites
            .iter()
            .zip(used)
            .filter(|(_, used)| **used)
            .map(|(site, _)| site)
            .collect();
        warn_of_names(&patterns, &used, warnings);
        warn_of_categories(&filter.categories, &used, warnings);
        let passes = |site: &Site| {
            let (excluding, including): (Vec<_>, Vec<_>) =
                patterns.iter().partition(|pattern| pattern.excludes);
            let matches = |pattern: &&NamePattern| pattern.glob.is_match(&site.name);
            (including.is_empty() || including.iter().any(matches))
                && !excluding.iter().any(matches)
                && (filter.categories.is_empty() || filter.categories.contains(&site.category))
                && filter
                    .levels
                    .is_none_or(|mask| mask & site.level as u64 != 0)
        };
        Ok(Compiled {
            filter: filter.clone(),
            site_passes: sites.iter().map(passes).collect(),
            from_ns: filter.from.map_or(i64::MIN, |bound| bounds.ns(bound)),
            to_ns: filter.to.map_or(i64::MAX, |bound| bounds.ns(bound)),
            first_sequences: Vec::new(),
        })
    }

    /// Tells which rings there are, by nonce and number, in the time line's order.
    pub(crate) fn of_rings(mut self, rings: impl Iterator<Item = (u64, u32)>) -> Compiled {
        let since = self.filter.recorded_since.as_ref();
        if let Some(sequences) = since.and_then(|since| since.sequences.as_ref()) {
            let first_sequence = |ring| sequences.get(&ring).copied().unwrap_or(0);
            self.first_sequences = rings.map(first_sequence).collect();
        }
        self
    }

    /// True when an event was recorded before the moment that the filter begins with.
    fn is_too_old(&self, event: &Event) -> bool {
        let Some(since) = &self.filter.recorded_since else {
            return false;
        };
        // What stands open or is lost was not recorded.
        let is_record = !event.is_open() && event.kind != EventKind::Lost;
        match self.first_sequences.get(event.source as usize) {
            Some(first_sequence) if is_record => event.sequence < *first_sequence,
            _ => event.end_ns < since.moment_ns,
        }
    }

    /// The part of `from_ns..=to_ns` that the filter leaves, in ns.
    pub(crate) fn window_ns(&self, from_ns: i64, to_ns: i64) -> u64 {
        let (from, to) = (from_ns.max(self.from_ns), to_ns.min(self.to_ns));
        to.saturating_sub(from).max(0) as u64
    }

    /// The same as moments.
    pub(crate) fn window(&self, from_ns: i64, to_ns: i64) -> (i64, i64) {
        (from_ns.max(self.from_ns), to_ns.min(self.to_ns))
    }

    /// True when a lane's events may be kept.
    pub(crate) fn keeps_lane(&self, pid: u32, tid: u32) -> bool {
        let has = |list: &[u32], id: u32| list.is_empty() || list.contains(&id);
        has(&self.filter.pids, pid) && has(&self.filter.tids, tid)
    }

    /// Warnings about ids that the run does not have.
    pub(crate) fn warn_of_ids(
        &self,
        pids: impl Iterator<Item = u32>,
        tids: impl Iterator<Item = u32>,
    ) -> Vec<String> {
        let unknown = |option: &str, wanted: &[u32], have: Vec<u32>| -> Vec<String> {
            let missing = wanted.iter().filter(|id| !have.contains(id));
            missing
                .map(|id| format!("{option} {id} matches nothing"))
                .collect()
        };
        let mut warnings = unknown("--pid", &self.filter.pids, pids.collect());
        warnings.extend(unknown("--tid", &self.filter.tids, tids.collect()));
        warnings
    }

    /// True when nothing is left out.
    pub(crate) fn keeps_all(&self) -> bool {
        let filter = &self.filter;
        filter.pids.is_empty()
            && filter.tids.is_empty()
            && filter.min_duration_ns == 0
            && filter.from.is_none()
            && filter.to.is_none()
            && filter.recorded_since.is_none()
            && self.site_passes.iter().all(|passes| *passes)
    }

    /// Where a link's event begins, if it is kept.
    pub(crate) fn start_of(&self, link: &Link) -> Option<i64> {
        let mut event = Event {
            start_ns: link.start_ns,
            end_ns: link.end_ns,
            site: link.site,
            kind: EventKind::Launch,
            sequence: link.sequence,
            source: link.ring,
            flags: if link.is_open() { FLAG_OPEN } else { 0 },
            ..Event::BLANK
        };
        self.keep(&mut event).then_some(event.start_ns)
    }

    /// Start of the time that is kept, CLOCK_MONOTONIC in ns.
    pub(crate) fn first_ns(&self) -> i64 {
        self.from_ns
    }

    /// True when an event passes; a span that a bound cuts is clipped and marked.
    pub(crate) fn keep(&self, event: &mut Event) -> bool {
        // Losses stay visible whatever names are asked for.
        let passes = event.kind == EventKind::Lost
            || (self
                .site_passes
                .get(event.site as usize)
                .copied()
                .unwrap_or(true)
                && (!event.kind.is_interval()
                    || event.duration_ns() >= self.filter.min_duration_ns));
        if !passes
            || self.is_too_old(event)
            || event.end_ns < self.from_ns
            || event.start_ns > self.to_ns
        {
            return false;
        }
        if event.start_ns < self.from_ns || event.end_ns > self.to_ns {
            event.start_ns = event.start_ns.max(self.from_ns);
            event.end_ns = event.end_ns.min(self.to_ns);
            event.flags |= FLAG_CLIPPED;
        }
        true
    }
}

impl NamePattern {
    fn new(text: &str) -> Result<NamePattern, Error> {
        let (pattern, excludes) = match text.strip_prefix('!') {
            Some(pattern) => (pattern, true),
            None => (text, false),
        };
        let glob = GlobBuilder::new(pattern)
            .backslash_escape(true)
            .build()
            .map_err(|error| Error::without_place(ErrorKind::Pattern(error)))?;
        Ok(NamePattern {
            text: pattern.to_owned(),
            excludes,
            glob: glob.compile_matcher(),
        })
    }
}

fn warn_of_names(patterns: &[NamePattern], used: &[&Site], warnings: &mut Vec<String>) {
    for pattern in patterns {
        if used.iter().any(|site| pattern.glob.is_match(&site.name)) {
            continue;
        }
        let names = used.iter().map(|site| site.name.as_str());
        let near = near_misses(&pattern.text, names);
        warnings.push(format!(
            "--name {:?} matches nothing{near}",
            if pattern.excludes {
                format!("!{}", pattern.text)
            } else {
                pattern.text.clone()
            }
        ));
    }
}

fn warn_of_categories(categories: &[String], used: &[&Site], warnings: &mut Vec<String>) {
    for category in categories {
        if used.iter().any(|site| site.category == *category) {
            continue;
        }
        let near = near_misses(category, used.iter().map(|site| site.category.as_str()));
        warnings.push(format!("--cat {category:?} matches nothing{near}"));
    }
}

/// "; did you mean …": the names nearest to `wanted`, or nothing.
pub(crate) fn near_misses<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> String {
    let plain: String = wanted
        .chars()
        .filter(|c| !matches!(c, '*' | '?' | '[' | ']' | '{' | '}'))
        .flat_map(char::to_lowercase)
        .collect();
    let mut near: Vec<(usize, &str)> = names
        .filter(|name| !name.is_empty())
        .filter_map(|name| {
            let lower = name.to_lowercase();
            let distance = edit_distance(&plain, &lower);
            let is_part = !plain.is_empty() && (lower.contains(&plain) || plain.contains(&lower));
            let is_near = distance <= 2.max(plain.chars().count() / 4)
                || is_part
                || abbreviates(&plain, &lower);
            is_near.then_some((distance, name))
        })
        .collect();
    near.sort_unstable();
    near.dedup();
    if near.is_empty() {
        return String::new();
    }
    let names: Vec<String> = near
        .iter()
        .take(MAX_NEAR_MISSES)
        .map(|(_, name)| format!("{name:?}"))
        .collect();
    format!("; did you mean {}?", names.join(", "))
}

/// True when a text of three characters or more is the other one with some left out, but for its first.
fn abbreviates(short: &str, long: &str) -> bool {
    let mut rest = long.chars();
    short.chars().count() >= 3
        && short.chars().next() == long.chars().next()
        && short
            .chars()
            .all(|wanted| rest.any(|found| found == wanted))
}

/// Insertions, deletions and replacements of characters between two texts, of which the first 256 count.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(256).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().take(256).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + (from != *to) as usize;
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_bounds_are_exact() {
        let parse = |text: &str| text.parse::<TimeBound>();
        assert_eq!(parse("12.5s"), Ok(TimeBound::FromStart(12_500_000_000)));
        assert_eq!(parse("-10s"), Ok(TimeBound::FromEnd(10_000_000_000)));
        assert_eq!(parse("0.000000001s"), Ok(TimeBound::FromStart(1)));
        assert_eq!(
            parse("1970-01-01T00:00:01.5Z"),
            Ok(TimeBound::Epoch(1_500_000_000))
        );
        for text in ["12.500000000s", "-0.000000001s", "1970-01-01T00:00:01.5Z"] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        for bad in ["", "s", "-s", "1", "1.0000000001s", "--1s", "1e3s", "soon"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn edit_distances() {
        assert_eq!(edit_distance("", "abc"), 3);
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("same", "same"), 0);
    }

    #[test]
    fn near_misses_are_named() {
        let names = ["decode_step", "prefill", "scheduler.schedule"];
        let near = |wanted| near_misses(wanted, names.into_iter());
        assert_eq!(near("decode_stpe"), "; did you mean \"decode_step\"?");
        assert_eq!(near("Schedule"), "; did you mean \"scheduler.schedule\"?");
        assert_eq!(near("schd*"), "; did you mean \"scheduler.schedule\"?");
        assert_eq!(near("zzzzzzzz"), "");
        assert_eq!(near("sr"), "");
    }
}
