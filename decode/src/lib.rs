//! Reads the runs that ringscope records.
//!
//! The data flows through the modules in this order, each of which does one thing:
//!
//! | module | from | to |
//! |---|---|---|
//! | [`discovery`] | a path, a pid, nothing | directories of runs, packs |
//! | [`pack`] | a run | one file, and back |
//! | [`run`], [`process`] | a directory | process files and tables, read and checked |
//! | [`clock`] | clock pairs | ticks to nanoseconds |
//! | [`device_clock`], `containment` | anchors, launches and waits | device ticks to nanoseconds |
//! | `rows` | processes of all runs | who is on the time line |
//! | `source` | a ring and its segments | valid records by sequence |
//! | [`event`], `gaps`, `open_spans` | records | events, losses |
//! | [`lanes`] | events of a row | lanes on which spans nest |
//! | [`filter`] | events | those asked for |
//! | `assembly`, [`timeline`] | all of these | one [`Timeline`] |
//! | [`trace`], [`mod@format`], [`chrome`] | a time line | a trace |
//! | [`cost`] | a time line | what recording itself cost |
//! | [`stats`] | a time line | a table |
//! | [`comparison`] | two tables | what changed |
//! | [`launches`] | a time line | kernels, streams, steps |
//! | [`inspect`] | runs | what every thread was doing |
//!
//! Files are read by `pread`, never mapped: one that is cut short or grows can't hurt. Damage stays local: the piece
//! is left out, counted in [`Losses`] or told as a [`Problem`], and the rest is decoded. Nothing here panics on any
//! input, and nothing is allocated that the real size of a file does not justify.
//!
//! ```no_run
//! use ringscope_decode::{Limits, Options, Order, Run, Timeline, chrome};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let run = Run::open("run-20260101-120000-4711-89abcdef".as_ref(), &Limits::default())?;
//! let timeline = Timeline::build(&[run], &Options::default())?;
//! let mut file = std::fs::File::create("trace.json")?;
//! chrome::write(&timeline, Order::Time, &mut file, &|_done| {})?;
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

pub mod align;
mod args;
mod arrows;
mod assembly;
pub mod chrome;
pub mod clock;
pub mod comparison;
mod containment;
pub mod cost;
pub mod device_clock;
pub mod discovery;
mod distribution;
mod division;
pub mod end_pair;
mod engine;
pub mod error;
pub mod event;
pub mod filter;
pub mod format;
mod gaps;
pub mod gzip;
mod ids;
pub mod inspect;
mod json;
pub mod lanes;
pub mod launches;
mod links;
pub mod losses;
mod open_files;
mod open_spans;
mod overlap;
pub mod pack;
mod pairs;
pub mod parts;
pub mod perfetto;
mod pipeline;
pub mod process;
mod recorder;
mod ring;
mod rows;
pub mod run;
mod sequence;
mod sheet;
mod slack;
mod spill;
pub mod stats;
mod survey;
mod task_template;
mod template;
pub mod timeline;
pub mod trace;

pub use discovery::{default_parents, find_runs, find_runs_by_pid, newest_run};
pub use error::{Error, ErrorKind, Problem};
pub use filter::{Filter, RecordedSince, TimeBound};
pub use losses::Losses;
pub use process::{ExitStatus, Liveness, Process};
pub use rows::{ProcessRow, RowKind};
pub use run::{Limits, Run};
pub use timeline::Extent;
pub use timeline::{Options, TimeBase, Timeline};
pub use trace::{Order, Output};
