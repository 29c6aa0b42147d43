//! `--split-by`: one trace becomes several, each of which loads by itself.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use ringscope_decode::{Options, Run, TimeBound, Timeline, parts};

use crate::cli::FormatName;
use crate::decode::{self, Written};
use crate::failure::Failure;
use crate::size::Size;
use crate::span_of_time::SpanOfTime;

/// Files that a trace is split into at most.
const MAX_PARTS: usize = 10_000;

/// What the parts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SplitBy {
    /// One a rank.
    Rank,
    /// One for so much time.
    Time(SpanOfTime),
    /// One for about so many bytes.
    Size(Size),
}

impl FromStr for SplitBy {
    type Err = String;

    fn from_str(text: &str) -> Result<SplitBy, String> {
        if text == "rank" {
            return Ok(SplitBy::Rank);
        }
        let time = text.parse().ok().filter(|span: &SpanOfTime| span.ns > 0);
        let size = text.parse().ok().filter(|size: &Size| size.bytes > 0);
        time.map(SplitBy::Time)
            .or(size.map(SplitBy::Size))
            .ok_or_else(|| {
                format!(
                    "expected rank, a time such as 10s, or a size such as 100MiB, found {text:?}"
                )
            })
    }
}

/// One of the files.
struct Part {
    /// What its name has before the ending.
    mark: String,
    runs: Vec<Run>,
    options: Options,
}

/// What is common to all parts.
pub(crate) struct Splitting<'a> {
    pub(crate) runs: &'a [Run],
    pub(crate) options: &'a Options,
    pub(crate) whole: &'a Timeline,
    pub(crate) format: FormatName,
    pub(crate) path: &'a Path,
}

impl Splitting<'_> {
    /// Writes the parts by `write`, which gets the time line and the file of each; those without events are left out.
    /// What was written.
    pub(crate) fn write(
        &self,
        by: SplitBy,
        mut write: impl FnMut(&Timeline, &Path) -> Result<Written, Failure>,
    ) -> Result<Vec<(PathBuf, Written)>, Failure> {
        let parts = match by {
            SplitBy::Rank => self.by_rank(),
            SplitBy::Time(span) => self.by_moments(&self.every(span)?)?,
            SplitBy::Size(size) => {
                let format = decode::format(self.format, self.whole);
                let moments = parts::by_size(self.whole, &*format, size.bytes)
                    .map_err(|error| Failure::new("decode", "temporary file", error))?;
                self.by_moments(&moments)?
            }
        };
        let mut written = Vec::new();
        for part in parts {
            let timeline = Timeline::build(&part.runs, &part.options)
                .map_err(|error| Failure::of("decode", error))?;
            if timeline.event_count > 0 {
                let path = marked(self.path, &part.mark);
                let done = write(&timeline, &path)?;
                written.push((path, done));
            }
        }
        Ok(written)
    }

    /// The options of a part: its times count from where those of the whole do.
    fn options(&self) -> Options {
        Options {
            start_ns: Some(self.whole.start_ns),
            ..self.options.clone()
        }
    }

    fn by_rank(&self) -> Vec<Part> {
        let processes = self.runs.iter().flat_map(|run| &run.processes);
        let mut ranks: Vec<Option<i32>> = processes.map(|process| process.rank).collect();
        ranks.sort_unstable();
        ranks.dedup();
        let part = |rank: &Option<i32>| {
            let mut runs = self.runs.to_vec();
            for run in &mut runs {
                run.processes.retain(|process| process.rank == *rank);
            }
            Part {
                mark: rank.map_or_else(|| "no-rank".to_owned(), |rank| format!("rank-{rank}")),
                runs,
                options: self.options(),
            }
        };
        ranks.iter().map(part).collect()
    }

    fn every(&self, span: SpanOfTime) -> Result<Vec<i64>, Failure> {
        let (first_ns, end_ns) = self.whole.window_ns;
        let lasts_ns = end_ns.saturating_sub(first_ns).max(0) as u64;
        let count = lasts_ns / span.ns + 1;
        if count > MAX_PARTS as u64 {
            return Err(self.too_many(count));
        }
        let moment = |part: u64| first_ns.saturating_add_unsigned(part * span.ns);
        Ok((0..=count).map(moment).collect())
    }

    fn by_moments(&self, moments: &[i64]) -> Result<Vec<Part>, Failure> {
        if moments.len() > MAX_PARTS + 1 {
            return Err(self.too_many(moments.len() as u64 - 1));
        }
        let width = moments.len().saturating_sub(1).to_string().len().max(3);
        let part = |(number, moments): (usize, &[i64])| {
            let mut options = self.options();
            options.filter.from = Some(TimeBound::Monotonic(moments[0]));
            // What happens at the moment between two parts belongs to the later one.
            options.filter.to = Some(TimeBound::Monotonic(moments[1] - 1));
            Part {
                mark: format!("{:0width$}", number + 1),
                runs: self.runs.to_vec(),
                options,
            }
        };
        Ok(moments.windows(2).enumerate().map(part).collect())
    }

    fn too_many(&self, count: u64) -> Failure {
        let why = format!("expected at most {MAX_PARTS} files, these would be {count}");
        Failure::new("split", self.path.display(), why)
    }
}

/// `trace.json.gz` with the mark `001` is `trace.001.json.gz`.
fn marked(path: &Path, mark: &str) -> PathBuf {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_default();
    let (name, compressed) = match name.strip_suffix(".gz") {
        Some(name) => (name, ".gz"),
        None => (name.as_str(), ""),
    };
    let (stem, ending) = match name.rsplit_once('.') {
        Some((stem, ending)) if !stem.is_empty() => (stem, format!(".{ending}")),
        _ => (name, String::new()),
    };
    path.with_file_name(format!("{stem}.{mark}{ending}{compressed}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_marked_before_the_ending() {
        let name = |path: &str| marked(Path::new(path), "001").display().to_string();
        assert_eq!(name("a/trace.json"), "a/trace.001.json");
        assert_eq!(name("trace.pftrace.gz"), "trace.001.pftrace.gz");
        assert_eq!(name("v1.2/trace"), "v1.2/trace.001");
        assert_eq!(name(".json"), ".json.001");
    }

    #[test]
    fn what_to_split_by_is_read() {
        let read = |text: &str| text.parse::<SplitBy>();
        assert_eq!(read("rank"), Ok(SplitBy::Rank));
        assert_eq!(
            read("10"),
            Ok(SplitBy::Time(SpanOfTime::new(10_000_000_000)))
        );
        assert_eq!(
            read("250ms"),
            Ok(SplitBy::Time(SpanOfTime::new(250_000_000)))
        );
        assert_eq!(read("100MiB"), Ok(SplitBy::Size(Size::new(100 << 20))));
        for bad in ["", "0", "0MiB", "ranks", "-1s"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
