//! The command line. A doc comment here is the help that people read.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ringscope_decode::{Limits, TimeBound};

use crate::diff::Percent;
use crate::level::LevelSet;
use crate::open::Ui;
use crate::record::intercept::InterceptArgs;
use crate::size::Size;
use crate::span_of_time::SpanOfTime;
use crate::split::SplitBy;

const TOP_EXAMPLES: &str = "\
Start here:
  ringscope record -o trace.json -- ./my_program --its-options
  ringscope open trace.json

A RUN is a run directory, a directory of runs, a pack (RUN.tar.zst), or the id of a process that
recorded; without one the newest run is taken.

Exit status: 0 good; 1 failed, with one line `ringscope: what: where: why`; 2 wrong usage; 3 decoded
with losses or damage under --strict, or `diff` found a regression. `record` gives the status of the program it ran.";

/// Record what a program does, nanosecond by nanosecond, and look at it afterwards.
#[derive(Debug, Parser)]
#[command(name = "ringscope", version, after_help = TOP_EXAMPLES, max_term_width = 100)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a program, record it and its children, decode what they recorded
    Record(RecordArgs),
    /// Turn runs into a trace (Chrome trace JSON or Perfetto's format)
    Decode(DecodeArgs),
    /// Decode the last seconds of a run that is still being recorded
    Snapshot(SnapshotArgs),
    /// Table of how often and how long, by name, thread, process or argument
    Stats(StatsArgs),
    /// What changed between two runs, and whether something got slower
    Diff(DiffArgs),
    /// Show a trace in the Perfetto UI
    Open(OpenArgs),
    /// What each process and thread was doing last, also after a crash
    Inspect(InspectArgs),
    /// List the runs
    Ls(LsArgs),
    /// Remove the runs that no process belongs to any more
    Gc(GcArgs),
    /// Switch recording in the running processes of a run
    Level(LevelArgs),
    /// What this machine gives to a recording: clock, room, limits, cost of a span; is it fit?
    Doctor(DoctorArgs),
    /// Make one file of a run, which every command takes for the run
    Pack(PackArgs),
    /// Make one trace of the fragments that the processes of a serving stack left
    Merge(MergeArgs),
    /// Make a run of what another recorder logged
    Import(ImportArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Print the manual page, or write all of them into a directory
    Man(ManArgs),
}

const RECORD_EXAMPLES: &str = "\
Examples:
  ringscope record -- ./server --port 8000             everything, into trace.json
  ringscope record -o t-%p.json -- python3 train.py    trace named by process id
  ringscope record --mode flight -- ./server           only the newest records of each thread
  ringscope record --delay 10s --duration 5s -- ./job  five seconds, after ten of warming up
  ringscope record --level off -- ./server             armed: `ringscope level RUN e2e` switches it on

The program keeps its standard input and output, its signals and its exit status; the summary goes to
standard error. Ctrl-C reaches the program; once it has ended, another Ctrl-C skips decoding.";

/// Arguments of `record`.
#[derive(Debug, Args)]
#[command(after_help = RECORD_EXAMPLES)]
pub(crate) struct RecordArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    #[command(flatten)]
    pub(crate) capture: CaptureArgs,
    #[command(flatten)]
    pub(crate) intercept: InterceptArgs,
    #[command(flatten)]
    pub(crate) afterwards: AfterwardsArgs,
    /// Program to run, with its arguments
    #[arg(
        help_heading = "Arguments",
        value_name = "CMD",
        required = true,
        trailing_var_arg = true
    )]
    pub(crate) command: Vec<OsString>,
}

/// Where a recording goes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Where the records go")]
pub(crate) struct PlaceArgs {
    /// Directory for the run's directory [default: $RINGSCOPE_DIR, else /dev/shm/ringscope-UID, else
    /// $TMPDIR/ringscope-UID]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Record on a network or copy-on-write file system too, where a full disk can kill the program
    #[arg(long)]
    pub(crate) force_dir: bool,
}

/// What is recorded.
#[derive(Debug, Args)]
#[command(next_help_heading = "What is recorded")]
pub(crate) struct CaptureArgs {
    /// Levels: a list of e2e, kernel, verbose (all of them), or off [default: $RINGSCOPE_LEVEL, else
    /// e2e,kernel]
    #[arg(long, value_name = "LEVELS")]
    pub(crate) level: Option<LevelSet>,
    /// Keep all records, or the newest of each thread [default: $RINGSCOPE_MODE, else full]
    #[arg(long, value_name = "MODE")]
    pub(crate) mode: Option<Mode>,
    /// Bytes of records in each thread's ring [default: $RINGSCOPE_RING_SIZE, else 1MiB]
    #[arg(long, value_name = "SIZE")]
    pub(crate) ring_size: Option<Size>,
    /// Bytes that the whole run may take [default: $RINGSCOPE_MAX_SIZE, else 4GiB]
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_size: Option<Size>,
    /// Keep argument values, which may be confidential, out of the run: spans and instants get no arguments [default:
    /// RINGSCOPE_ARGS=off]
    #[arg(long)]
    pub(crate) no_args: bool,
    /// Start recording this long after the program's start; a number alone means seconds
    #[arg(long, value_name = "TIME")]
    pub(crate) delay: Option<SpanOfTime>,
    /// Stop recording after this long (the program goes on)
    #[arg(long, value_name = "TIME")]
    pub(crate) duration: Option<SpanOfTime>,
}

/// What happens after a recording.
#[derive(Debug, Args)]
#[command(next_help_heading = "Afterwards")]
pub(crate) struct AfterwardsArgs {
    /// Trace to write; .gz compresses; %p is the program's process id, %h the host, - standard output
    #[arg(short, long, value_name = "OUT", default_value = "trace.json")]
    pub(crate) output: PathBuf,
    /// Do not decode; leave the run for `ringscope decode`
    #[arg(long, conflicts_with = "output")]
    pub(crate) no_decode: bool,
    /// Keep the run's directory after decoding too
    #[arg(long)]
    pub(crate) keep: bool,
}

/// Capture mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Keep all records
    Full,
    /// Keep the newest records of each thread
    Flight,
}

/// Which part of the records is looked at.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Which records")]
pub(crate) struct FilterArgs {
    /// From this time: 12.5s after the run's start, -10s before its end, or RFC 3339
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) from: Option<TimeBound>,
    /// Up to this time, written as for --from
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) to: Option<TimeBound>,
    #[command(flatten)]
    pub(crate) events: EventFilterArgs,
}

/// The same, whenever they were recorded.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Which records")]
pub(crate) struct EventFilterArgs {
    /// Names that match; '!GLOB' excludes. May be repeated
    #[arg(long, value_name = "GLOB")]
    pub(crate) name: Vec<String>,
    /// Category. May be repeated
    #[arg(long, value_name = "CATEGORY")]
    pub(crate) cat: Vec<String>,
    /// Levels: a list of e2e, kernel, verbose
    #[arg(long, value_name = "LEVELS")]
    pub(crate) level: Option<LevelSet>,
    /// Process. May be repeated
    #[arg(long, value_name = "PID")]
    pub(crate) pid: Vec<u32>,
    /// Thread. May be repeated
    #[arg(long, value_name = "TID")]
    pub(crate) tid: Vec<u32>,
    /// Spans that took at least this long, such as 100us
    #[arg(long, value_name = "TIME")]
    pub(crate) min_duration: Option<SpanOfTime>,
}

/// How decoding goes about it.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Decoding")]
pub(crate) struct EffortArgs {
    /// Threads that decode [default: all processors]
    #[arg(short = 'j', long, value_name = "THREADS")]
    pub(crate) jobs: Option<usize>,
    /// Exit with 3 when records were lost or files are damaged
    #[arg(long)]
    pub(crate) strict: bool,
}

/// What is refused, so that a damaged or hostile run can't exhaust the machine.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitArgs {
    /// Largest file of names that is read [default: 256MiB]
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_names_size: Option<Size>,
    /// Most files that a run may have [default: 100000]
    #[arg(long, value_name = "N")]
    pub(crate) max_files: Option<usize>,
}

impl LimitArgs {
    /// The limits as the decoder takes them.
    pub(crate) fn limits(&self) -> Limits {
        let default = Limits::default();
        Limits {
            process_file_bytes: self
                .max_names_size
                .map_or(default.process_file_bytes, |size| size.bytes),
            files: self.max_files.unwrap_or(default.files),
        }
    }
}

/// How runs are read, and what of them.
#[derive(Debug, Args)]
pub(crate) struct ReadingArgs {
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    #[command(flatten)]
    pub(crate) effort: EffortArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// The trace that is written.
#[derive(Debug, Args)]
pub(crate) struct TraceArgs {
    /// Trace to write; .gz compresses; %p is the process id, %h the host, - standard output
    #[arg(short, long, value_name = "OUT", default_value = "trace.json")]
    pub(crate) output: PathBuf,
    /// Format [default: perfetto for names that end in .pftrace or .pftrace.gz, else chrome]
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub(crate) format: Option<FormatName>,
    /// Order of the events in the file
    #[arg(long, value_name = "ORDER", value_enum, default_value_t = OrderName::Time)]
    pub(crate) order: OrderName,
    /// What time stamps count from
    #[arg(long, value_name = "BASE", value_enum, default_value_t = TimeBaseName::Run)]
    pub(crate) time_base: TimeBaseName,
}

const DOCTOR_EXAMPLES: &str = "\
Examples:
  ringscope doctor                                   can this machine record, and what does a span cost here?
  ringscope doctor --threads 200 --ring-size 16MiB   is there room for what is planned?
  ringscope doctor --json | jq .cost                 the same for programs

Exit status: 0 the machine is fit, perhaps with warnings; 1 it is not, with one line that names what is missing.";

/// Arguments of `doctor`.
#[derive(Debug, Args)]
#[command(after_help = DOCTOR_EXAMPLES)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Bytes of records in each thread's ring [default: $RINGSCOPE_RING_SIZE, else 1MiB]
    #[arg(long, value_name = "SIZE")]
    pub(crate) ring_size: Option<Size>,
    /// Threads that are to record at once [default: four a processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) threads: Option<u32>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

const DECODE_EXAMPLES: &str = "\
Examples:
  ringscope decode                                   newest run, into trace.json
  ringscope decode -o trace.pftrace.gz               in Perfetto's format, compressed
  ringscope decode RUN -o - --name 'worker.*' | jq   what matches, to standard output
  ringscope decode --from -10s --strict              the last ten seconds; losses make it exit with 3
  ringscope decode 4711 -o trace-%h-%p.json          the newest run that process 4711 belongs to
  ringscope decode A B --align barrier               two hosts' runs on one time line, tied by a barrier
  ringscope decode --split-by 100MiB                 files of a size that a browser loads";

/// Arguments of `decode`.
#[derive(Debug, Args)]
#[command(after_help = DECODE_EXAMPLES)]
pub(crate) struct DecodeArgs {
    /// Run directory, directory of runs, pack, or process id [default: the newest run]
    #[arg(value_name = "RUN")]
    pub(crate) runs: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) trace: TraceArgs,
    /// Move processes until the instant or span of this name, such as a barrier, stands at one moment in all of
    /// them, and tell how far each was off; the trace's metadata says it as shift_ns
    #[arg(long, value_name = "NAME")]
    pub(crate) align: Option<String>,
    /// Give device work slack_ns in its arguments: how far off its start and end may be at most, by the anchors, or the
    /// launches and waits, around them; left out where nothing bounds it
    #[arg(long)]
    pub(crate) slack: bool,
    /// Write several traces that load by themselves: one a rank, one every so many seconds (10s), or one every
    /// so many bytes (100MiB). OUT trace.json becomes trace.rank-0.json, trace.001.json, …
    #[arg(long, value_name = "WHAT")]
    pub(crate) split_by: Option<SplitBy>,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
}

/// Format of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatName {
    /// Chrome trace JSON
    Chrome,
    /// Perfetto's own: a quarter of the size, for Perfetto alone
    Perfetto,
}

/// Order of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OrderName {
    /// By time over all lanes
    Time,
    /// Lane by lane
    Lane,
}

/// What time stamps count from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TimeBaseName {
    /// The run's start
    Run,
    /// The machine's CLOCK_MONOTONIC
    Monotonic,
    /// 1970
    Epoch,
}

const SNAPSHOT_EXAMPLES: &str = "\
Examples:
  ringscope snapshot 4711 --last 10s                   what process 4711 and its run did until now
  ringscope snapshot RUN --last 500ms -o slow.pftrace  in Perfetto's format
  ringscope snapshot --last 2s --name 'worker.*'       of the newest run, what matches

The program is neither stopped nor slowed. Each thread is shown up to the moment its records were copied; what
stands open then is drawn up to it. How far back the records go is up to the rings (`record --ring-size`,
`--mode full`). Of a run that has ended, the last seconds before its end are taken.";

/// Arguments of `snapshot`.
#[derive(Debug, Args)]
#[command(after_help = SNAPSHOT_EXAMPLES)]
pub(crate) struct SnapshotArgs {
    /// Run directory, pack, or id of a process that records [default: the newest run]
    #[arg(value_name = "RUN")]
    pub(crate) run: Option<PathBuf>,
    /// How far back; a number alone means seconds
    #[arg(long, value_name = "TIME", default_value = "10s")]
    pub(crate) last: SpanOfTime,
    #[command(flatten)]
    pub(crate) trace: TraceArgs,
    #[command(flatten)]
    pub(crate) filter: EventFilterArgs,
    #[command(flatten)]
    pub(crate) effort: EffortArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

const STATS_EXAMPLES: &str = "\
Examples:
  ringscope stats                                    newest run, by name, longest total first
  ringscope stats --by arg:batch_size --name decode  one row per value of an argument
  ringscope stats --gaps decode_step --skip-first 2  time between the steps, warm-up left out
  ringscope stats --launches --skip-first 10         kernels: host, device, launch to start, gaps
  ringscope stats --json | jq '.[0]'

total, self, mean, p50, p90, p99 and max are times of a span; self leaves out what its inner spans took.
share is of the time from first to last record. Percentiles are exact up to 1,024 spans a row, and within
0.05 % beyond.";

/// Arguments of `stats`.
#[derive(Debug, Args)]
#[command(after_help = STATS_EXAMPLES)]
pub(crate) struct StatsArgs {
    /// Run directory, directory of runs, pack, or process id [default: the newest run]
    #[arg(value_name = "RUN")]
    pub(crate) runs: Vec<PathBuf>,
    /// What a row stands for: name, cat, process, thread, lane, or arg:KEY
    #[arg(long, value_name = "WHAT", default_value = "name")]
    pub(crate) by: ByName,
    /// Order of the rows
    #[arg(long, value_name = "COLUMN", value_enum, default_value_t = SortName::Total)]
    pub(crate) sort: SortName,
    /// Measure the gaps between spans of this name instead of the spans
    #[arg(long, value_name = "NAME")]
    pub(crate) gaps: Option<String>,
    /// Kernel launches and devices instead: a table of kernels, of streams, of steps and ranks (spans named
    /// ProfilerStep#N), and what has no other half
    #[arg(long, conflicts_with_all = ["by", "sort", "gaps", "csv"])]
    pub(crate) launches: bool,
    /// Leave out the first N spans of each row (with --launches: of each kernel and process, and the first N steps)
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) skip_first: usize,
    /// JSON: an array of objects (with --launches: an object), times in nanoseconds
    #[arg(long, conflicts_with = "csv")]
    pub(crate) json: bool,
    /// Comma-separated values, times in nanoseconds
    #[arg(long)]
    pub(crate) csv: bool,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
}

/// What a row of `stats` stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ByName(pub(crate) ringscope_decode::stats::By);

impl std::str::FromStr for ByName {
    type Err = String;

    fn from_str(text: &str) -> Result<ByName, String> {
        use ringscope_decode::stats::By;
        Ok(ByName(match text {
            "name" => By::Name,
            "cat" => By::Cat,
            "process" => By::Process,
            "thread" => By::Thread,
            "lane" => By::Lane,
            _ => match text.strip_prefix("arg:").filter(|key| !key.is_empty()) {
                Some(key) => By::Arg(key.to_owned()),
                None => {
                    return Err("expected name, cat, process, thread, lane, or arg:KEY".to_owned());
                }
            },
        }))
    }
}

/// Column that `stats` sorts by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SortName {
    /// Total time
    Total,
    /// Total time without inner spans
    #[value(name = "self")]
    SelfTime,
    /// Number of spans
    Count,
    /// Longest span
    Max,
    /// 99th percentile
    P99,
}

const DIFF_EXAMPLES: &str = "\
Examples:
  ringscope diff before.tar.zst after.tar.zst       by name, largest change of total time first
  ringscope diff A B --skip-first 2 --threshold 5   warm-up left out; 5 % are too much
  ringscope diff A B --metric p99 --name 'http.*'   some names, by their slowest hundredth
  ringscope diff A B --json | jq '.rows[] | select(.verdict == \"regressed\")'

Figures are those of RUN_B, changes are against RUN_A. A row has regressed, and the exit status is 3,
when all of this is true:
  - its mean and its median are both more than --threshold longer (or what --metric names is). One span
    that took ten times its time, as happens where others use the machine, moves the mean alone; by 10 %
    both move there from run to run, and on an idle machine a lower threshold serves;
  - it has at least --min-count spans in both runs;
  - its spans take at least --min-total together in RUN_B: of what takes less, most is noise.
What changed beyond the threshold but misses the other two is told as `too little to tell`. What stands
in one run only is told as well, and is no regression.";

/// Arguments of `diff`.
#[derive(Debug, Args)]
#[command(after_help = DIFF_EXAMPLES)]
pub(crate) struct DiffArgs {
    /// Run to compare with: run directory, directory of runs, pack, or process id
    #[arg(value_name = "RUN_A")]
    pub(crate) run_a: PathBuf,
    /// Run that may have become slower
    #[arg(value_name = "RUN_B")]
    pub(crate) run_b: PathBuf,
    /// Growth that counts as a regression, in percent
    #[arg(long, value_name = "PCT", default_value = "20")]
    pub(crate) threshold: Percent,
    /// What has to grow beyond the threshold
    #[arg(long, value_name = "METRIC", value_enum, default_value_t = MetricName::Typical)]
    pub(crate) metric: MetricName,
    /// Spans that a row has at least, in both runs, to be judged
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) min_count: u64,
    /// Time that the spans of a row take at least, together, to be judged
    #[arg(long, value_name = "TIME", default_value = "1ms")]
    pub(crate) min_total: SpanOfTime,
    /// What a row stands for: name, cat, process, thread, lane, or arg:KEY
    #[arg(long, value_name = "WHAT", default_value = "name")]
    pub(crate) by: ByName,
    /// Compare the gaps between spans of this name instead of the spans
    #[arg(long, value_name = "NAME")]
    pub(crate) gaps: Option<String>,
    /// Leave out the first N spans of each name in each process
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) skip_first: usize,
    /// JSON: an object with the rows, times in nanoseconds, changes as parts of what was
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
}

/// What `diff` compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MetricName {
    /// Mean and median, both
    Typical,
    /// Number of spans
    Count,
    /// Sum of the spans' times
    Total,
    /// Mean time of a span
    Mean,
    /// Median
    P50,
    /// 99th percentile
    P99,
}

const OPEN_EXAMPLES: &str = "\
Examples:
  ringscope open trace.json        serve it to https://ui.perfetto.dev, and start a browser
  ringscope open 4711              decode the newest run of process 4711 first
  ringscope open trace.pftrace --ui http://localhost:10000

The trace stays on this machine: the page that the browser loads reads it from the loopback interface,
and is the only one that may. The command ends once the trace was read, or on Ctrl-C.

The last example does without internet, with a UI that runs here: build it once from
https://github.com/google/perfetto (tools/install-build-deps --ui, ui/build); ui/run-dev-server serves
it. Or load a Chrome trace at chrome://tracing, a part of that browser.";

/// Arguments of `open`.
#[derive(Debug, Args)]
#[command(after_help = OPEN_EXAMPLES)]
pub(crate) struct OpenArgs {
    /// Trace, or a run to decode: run directory, pack, or process id [default: the newest run]
    #[arg(value_name = "TRACE|RUN")]
    pub(crate) trace: Option<PathBuf>,
    /// Address of the UI, whose page alone may read the trace
    #[arg(long, value_name = "URL", default_value = "https://ui.perfetto.dev")]
    pub(crate) ui: Ui,
    /// Port to serve on, 0 for any that is free; the UI on the web may read from 9001 only
    #[arg(long, value_name = "PORT", default_value_t = 9001)]
    pub(crate) port: u16,
    /// Print the address only, start no browser
    #[arg(long)]
    pub(crate) no_browser: bool,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

const INSPECT_EXAMPLES: &str = "\
Examples:
  ringscope inspect                    newest run: who ended how, and what stood open
  ringscope inspect RUN --last 20      with the last 20 records of every ring
  ringscope inspect RUN/4711-*.ring    single files
  ringscope inspect --json | jq '.processes[].end'";

/// Arguments of `inspect`.
#[derive(Debug, Args)]
#[command(after_help = INSPECT_EXAMPLES)]
pub(crate) struct InspectArgs {
    /// Run directory, directory of runs, pack, process id, or single files of a run [default: the newest run]
    #[arg(value_name = "RUN|FILE")]
    pub(crate) runs: Vec<PathBuf>,
    /// JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Newest records shown of each ring
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) last: usize,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// Arguments of `ls`.
#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// Directory of runs, or a pack [default: the places where `record` puts them]
    #[arg(value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

/// Arguments of `gc`.
#[derive(Debug, Args)]
pub(crate) struct GcArgs {
    /// Directory of runs [default: the places where `record` puts them]
    #[arg(value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Only say what would be removed
    #[arg(long)]
    pub(crate) dry_run: bool,
}

const LEVEL_EXAMPLES: &str = "\
Examples:
  ringscope level RUN off             stop recording, in every process of the run
  ringscope level RUN e2e,kernel      go on
  ringscope level 4711 verbose        the run that process 4711 belongs to";

/// Arguments of `level`.
#[derive(Debug, Args)]
#[command(after_help = LEVEL_EXAMPLES)]
pub(crate) struct LevelArgs {
    /// Run directory, or the id of a process of the run
    #[arg(value_name = "RUN")]
    pub(crate) run: PathBuf,
    /// Levels: a list of e2e, kernel, verbose (all of them), or off
    #[arg(value_name = "LEVELS")]
    pub(crate) level: LevelSet,
}

const PACK_EXAMPLES: &str = "\
Examples:
  ringscope pack                                     newest run, into RUN.tar.zst
  ringscope pack 4711 -o bug-17.tar.zst              to send to somebody
  ringscope inspect bug-17.tar.zst                   what they do with it";

/// Arguments of `pack`.
#[derive(Debug, Args)]
#[command(after_help = PACK_EXAMPLES)]
pub(crate) struct PackArgs {
    /// Run directory or process id [default: the newest run]
    #[arg(value_name = "RUN")]
    pub(crate) run: Option<PathBuf>,
    /// File to write, - for standard output [default: the run's name and .tar.zst]
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

const MERGE_EXAMPLES: &str = "\
Examples:
  ringscope merge profile_out/fragments -o trace.json   rings and JSON lines alike

Time stamps are those of CLOCK_MONOTONIC, as of Python's time.perf_counter.";

/// Arguments of `merge`.
#[derive(Debug, Args)]
#[command(after_help = MERGE_EXAMPLES)]
pub(crate) struct MergeArgs {
    /// Directory with trace.*.jsonl files, rings, or both
    #[arg(value_name = "DIR")]
    pub(crate) dirs: Vec<PathBuf>,
    /// Trace to write, - for standard output
    #[arg(short, long, value_name = "OUT", default_value = "trace.json")]
    pub(crate) output: PathBuf,
    /// Nothing from rings that was recorded before this time of CLOCK_MONOTONIC, in nanoseconds
    #[arg(long, value_name = "NS")]
    pub(crate) from_ns: Option<i64>,
    /// File that says under "heads" how far each ring was written at that time: what counts where records tell of older times
    #[arg(long, value_name = "FILE", requires = "from_ns")]
    pub(crate) session: Option<PathBuf>,
    /// Print the number of events and bytes as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `import`.
#[derive(Debug, Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct ImportArgs {
    /// What wrote the log.
    #[command(subcommand)]
    pub(crate) recorder: ImportedRecorder,
}

/// Recorders whose logs can be imported.
#[derive(Debug, Subcommand)]
pub(crate) enum ImportedRecorder {
    /// Lines with STRACE and CLOCK_ANCHOR records, as simpler's host trace writes them
    Strace(StraceArgs),
}

const STRACE_EXAMPLES: &str = "\
Examples:
  ringscope import strace host.log -o RUN              then: ringscope decode RUN
  ringscope import strace out/host.*.log -o RUN        one log a process
  ringscope decode RUN RECORDED -o trace.json          on one time line with a recorded run

Each process of the log becomes one of the run. Host times are those of CLOCK_MONOTONIC; a [CLOCK_ANCHOR] tells of
which machine and start, without one they are taken as this machine's. Device times (clk=dev) count from an origin
of their own in each launch: they are drawn in the middle of the host span that launched them, `slack_ns` says how far
off they may be. Malformed records are counted and told with their lines; everything else is kept.";

/// Arguments of `import strace`.
#[derive(Debug, Args)]
#[command(after_help = STRACE_EXAMPLES)]
pub(crate) struct StraceArgs {
    /// Log to read, - for standard input; other lines than records may stand in it
    #[arg(value_name = "LOG", required = true)]
    pub(crate) logs: Vec<PathBuf>,
    /// Run directory to make
    #[arg(short, long, value_name = "RUN")]
    pub(crate) output: PathBuf,
    /// Print what was read as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// Shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
}

/// Arguments of `man`.
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Write ringscope.1 and one page per command here, instead of ringscope.1 to standard output
    #[arg(value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
