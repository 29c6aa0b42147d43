//! The time line: the events of one or more runs, merged, converted, and laid on lanes.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use ringscope_ringbuf::block::SpanCost;

use crate::assembly::Assembly;
use crate::device_clock::DeviceClock;
use crate::engine::{Engine, Scope};
use crate::error::{Error, ErrorKind, Problem};
use crate::event::{Event, EventKind, PAYLOAD_IN_WORD};
use crate::filter::{self, Filter};
use crate::lanes::Lane;
use crate::losses::Losses;
use crate::process::Site;
use crate::ring::gather::{Gatherer, RowSet};
use crate::ring::plain::PlainSpan;
use crate::rows::ProcessRow;
use crate::run::Run;
use crate::slack::DeviceSlack;

/// What time stamps count from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeBase {
    /// The start of the run.
    #[default]
    Run,
    /// CLOCK_MONOTONIC.
    Monotonic,
    /// 1970.
    Epoch,
}

/// How to make a time line.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What to keep.
    pub filter: Filter,
    /// What time stamps count from.
    pub time_base: TimeBase,
    /// Threads to use; `None`: as many as the machine has. The result is the same with any number.
    pub threads: Option<usize>,
    /// CLOCK_MONOTONIC of the run's start, ns, where another time line tells it; `None`: what the run says.
    pub start_ns: Option<i64>,
    /// Tells CLOCK_MONOTONIC in ns, asked once the rings that are still written are copied: spans that stand open in living
    /// processes are drawn up to then, and the run ends there. `None`: the last record of all.
    pub now_ns: Option<fn() -> i64>,
    /// Device events say how far off their times may be, as `slack_ns` in their arguments.
    pub device_slack: bool,
    /// What to add to the times of recorders, by their nonce, ns.
    pub shifts_ns: HashMap<u64, i64>,
}

/// A ring that events came from.
pub(crate) struct Source {
    /// Index of its recorder: processes of all runs in order.
    pub recorder: u32,
    /// Main records found.
    pub present: u64,
    /// Records ever reserved, where the ring says so.
    pub reserved: Option<u64>,
    pub losses: Losses,
    /// End of its last record or start of its last open span, ns.
    pub last_ns: Option<i64>,
}

/// What the records of a time line cover, whatever a filter leaves of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Records that are shown: open spans and what stands for losses do not count.
    pub records: u64,
    /// Spans that stood open.
    pub open_spans: u64,
    /// Start of the first record, CLOCK_MONOTONIC in ns; `None` without records.
    pub first_record_ns: Option<i64>,
    /// End of the last record, the same.
    pub last_record_ns: Option<i64>,
    /// Start of the first event.
    pub(crate) first_ns: Option<i64>,
    /// End of the last event.
    pub(crate) end_ns: Option<i64>,
}

impl Extent {
    /// Time from the first record to the last, ns.
    pub fn span_ns(&self) -> u64 {
        let (Some(first), Some(last)) = (self.first_record_ns, self.last_record_ns) else {
            return 0;
        };
        last.saturating_sub(first).max(0) as u64
    }
}

/// The events of one or more runs.
pub struct Timeline {
    /// Directories of the runs.
    pub runs: Vec<PathBuf>,
    /// The command of the first run that has one.
    pub command: Option<Vec<String>>,
    /// Processes, then devices.
    pub processes: Vec<ProcessRow>,
    /// Lanes, by process.
    pub lanes: Vec<Lane>,
    /// Events on the time line.
    pub event_count: u64,
    /// What the records cover.
    pub extent: Extent,
    /// What is missing, of all processes.
    pub losses: Losses,
    /// CLOCK_MONOTONIC of the run's start, ns.
    pub start_ns: i64,
    /// CLOCK_REALTIME of the run's start, ns since 1970.
    pub start_epoch_ns: i64,
    /// CLOCK_MONOTONIC of the last event's end, ns; what a filter removes counts.
    pub end_ns: i64,
    /// From the first event to the last, cut by the filter's time bounds, ns.
    pub wall_ns: u64,
    /// First and last moment of what is kept, CLOCK_MONOTONIC in ns.
    pub window_ns: (i64, i64),
    /// How far off a time stamp may be against CLOCK_MONOTONIC; `None` when that is unknown.
    pub uncertainty_ns: Option<u64>,
    /// Sources of the ticks.
    pub clock_sources: Vec<String>,
    /// What a span took on the machine, measured by the supervisor of the first run that has one.
    pub span_cost: Option<SpanCost>,
    /// Clocks of devices.
    pub device_clocks: Vec<DeviceClock>,
    /// What time stamps count from.
    pub time_base: TimeBase,
    /// What the user should know: a filter that matches nothing, lanes too deep, times unavailable.
    pub warnings: Vec<String>,
    /// Damage that was skipped.
    pub problems: Vec<Problem>,
    /// The filter that was applied.
    pub filter: Filter,
    /// What was added to the times of recorders, by their nonce, ns.
    pub shifts_ns: HashMap<u64, i64>,
    pub(crate) sites: Vec<Site>,
    /// Keys of late arguments, by recorder.
    pub(crate) keys: Vec<HashMap<u32, String>>,
    /// In the order of runs, processes and ring numbers.
    pub(crate) sources: Vec<Source>,
    pub(crate) is_filtered: bool,
    /// Where it was asked for.
    pub(crate) device_slack: Option<DeviceSlack>,
    /// Threads of its own, where a number was asked for.
    pub(crate) pool: Option<Arc<rayon::ThreadPool>>,
    /// The slices of the time line, in order of time.
    pub(crate) cuts: Vec<i64>,
    pub(crate) engine: Engine,
}

impl Timeline {
    /// Reads the records of `runs` and lays them out.
    ///
    /// # Errors
    ///
    /// When a filter's pattern can't be understood or the threads can't be started. Damage is no error: see
    /// [`Timeline::problems`] and [`Timeline::losses`].
    pub fn build(runs: &[Run], options: &Options) -> Result<Timeline, Error> {
        let pool = match options.threads {
            None => None,
            Some(threads) => {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.max(1));
                let pool = pool
                    .build()
                    .map_err(|error| Error::without_place(ErrorKind::Threads(error)))?;
                Some(Arc::new(pool))
            }
        };
        let mut timeline = match pool.clone() {
            Some(of_threads) => {
                of_threads.install(|| Assembly::new(runs, options).build(options, pool))
            }
            None => Assembly::new(runs, options).build(options, None),
        }?;
        for problem in &mut timeline.problems {
            runs.iter().for_each(|run| run.show_in_pack(problem));
        }
        Ok(timeline)
    }

    /// What to subtract from CLOCK_MONOTONIC for a time stamp, ns.
    pub(crate) fn base_ns(&self) -> i64 {
        match self.time_base {
            TimeBase::Run => self.start_ns,
            TimeBase::Monotonic => 0,
            TimeBase::Epoch => self.start_ns.saturating_sub(self.start_epoch_ns),
        }
    }

    /// CLOCK_REALTIME of time stamp 0, ns since 1970.
    pub(crate) fn base_epoch_ns(&self) -> i64 {
        let offset_ns = self.start_epoch_ns.saturating_sub(self.start_ns);
        offset_ns.saturating_add(self.base_ns())
    }

    /// Visits the events in order of time.
    ///
    /// # Errors
    ///
    /// When the temporary file fails.
    pub fn visit(&self, mut visit: impl FnMut(&Event)) -> io::Result<()> {
        let rings = self.engine.all_rings();
        let scope = Scope {
            rings: &rings,
            rows: RowSet::All,
            is_by_lane: false,
        };
        let mut gatherer = Gatherer::default();
        for cut in self.cuts.windows(2) {
            self.engine.slice(&mut gatherer, scope, cut[0], cut[1])?;
            gatherer.events.iter().for_each(&mut visit);
        }
        Ok(())
    }

    /// Name of an event.
    pub fn name(&self, event: &Event) -> &str {
        match event.kind {
            EventKind::Lost => "ringscope.lost",
            EventKind::ArrowStart | EventKind::ArrowEnd => "ac2g",
            _ => self.site(event).map_or("", |site| site.name.as_str()),
        }
    }

    /// What to ask about a name that no event has: "; did you mean …?" with the names nearest to it, or nothing.
    pub fn near_misses(&self, wanted: &str) -> String {
        filter::near_misses(wanted, self.sites.iter().map(|site| site.name.as_str()))
    }

    /// Category of an event.
    pub fn category(&self, event: &Event) -> &str {
        match event.kind {
            EventKind::Lost => "ringscope",
            EventKind::ArrowStart | EventKind::ArrowEnd => "ac2g",
            _ => self.site(event).map_or("", |site| site.category.as_str()),
        }
    }

    /// Rank of the run, when all its processes that have one have the same.
    pub fn rank(&self) -> Option<i32> {
        let mut ranks = self.processes.iter().filter_map(|process| process.rank);
        let first = ranks.next()?;
        ranks.all(|rank| rank == first).then_some(first)
    }

    /// True when a lane is to be shown: it has events, or nothing was filtered away.
    pub(crate) fn shows(&self, lane: &Lane) -> bool {
        lane.event_count > 0 || !self.is_filtered
    }

    /// How far off the times of a device event may be, ns; `None` where that is unknown or was not asked for.
    pub fn slack_ns(&self, event: &Event) -> Option<u64> {
        let recorder = self.sources.get(event.source as usize)?.recorder;
        self.device_slack.as_ref()?.of_event(event, recorder)
    }

    pub(crate) fn site(&self, event: &Event) -> Option<&Site> {
        self.sites.get(event.site as usize)
    }

    /// The event that a plain span is.
    pub(crate) fn plain_event(&self, span: &PlainSpan) -> Event {
        let site = self.sites.get(span.site as usize);
        let has_payload = site.is_some_and(|site| !site.args.is_empty());
        Event {
            start_ns: span.start_ns,
            end_ns: span.end_ns,
            word: span.word,
            payload_at: if has_payload { PAYLOAD_IN_WORD } else { 0 },
            payload_len: u32::from(has_payload) * 8,
            site: span.site,
            lane: span.lane,
            kind: EventKind::Span,
            ..Event::BLANK
        }
    }

    /// Key of a late argument.
    pub(crate) fn key(&self, event: &Event, key_id: u32) -> Option<&str> {
        let source = self.sources.get(event.source as usize)?;
        let keys = self.keys.get(source.recorder as usize)?;
        keys.get(&key_id).map(String::as_str)
    }

    /// Lanes that a row was divided into, those that a filter emptied left out.
    pub(crate) fn lanes_of_row(&self, row: u32) -> usize {
        let first = self.engine.lane_of_row[row as usize] as usize;
        let row_of_lane = self.engine.row_of_lane.iter().skip(first);
        let lanes = row_of_lane.take_while(|of| **of == row).count();
        match &self.engine.filter {
            None => lanes,
            Some(filter) => {
                let left = |lane: usize| filter.lane_left.get(lane).copied();
                let end = left(first + lanes).unwrap_or(self.lanes.len() as u32);
                left(first).map_or(0, |first| (end - first) as usize)
            }
        }
    }

    /// The slices of some rings, and of what a filter moved there.
    pub(crate) fn cuts_of(&self, rings: &[u32]) -> Vec<i64> {
        let cuts = self.engine.cuts(rings);
        self.engine.cuts_with_clipped(cuts)
    }

    /// The same for a row that is not split and stands in some blocks of one ring.
    pub(crate) fn cuts_of_row(&self, row: u32, ring: u32, blocks: Range<usize>) -> Vec<i64> {
        let cuts = self.engine.cuts_of_row(row, ring, blocks);
        self.engine.cuts_with_clipped(cuts)
    }

    /// Runs `work` on the time line's own threads, where it has some.
    pub(crate) fn on_threads<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match &self.pool {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }
}
