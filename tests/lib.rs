//! What the tests that cross crates share. The tests themselves are the files beside this one, see `Cargo.toml`.
//!
//! | module | what it holds |
//! |---|---|
//! | [`programs`] | building the programs under test, starting them, and places for their runs |
//! | [`mounts`], [`cgroups`] | small file systems and memory cgroups of the tests' own |
//! | [`not_run`] | what can't be tested on this machine |
//! | [`run_files`] | the files of a run, read straight through `ringscope-ringbuf` |
//! | [`script`], [`expected`] | what a numbered record must say |
//! | [`judge`] | judges every record of a run against the script |
//! | [`campaign`] | kills writers at random moments and has each judged |
//! | [`golden_run`], [`seal`] | the golden run with hostile bytes in it |
//! | [`host`] | a host that waits between two steps |
//! | [`scenarios`] | a storm of signals and forks, for tests and mutants |
//! | [`traces`] | decoded traces, read back by a strict parser |

pub mod campaign;
pub mod cgroups;
pub mod expected;
pub mod golden_run;
pub mod host;
pub mod judge;
pub mod mounts;
pub mod not_run;
pub mod programs;
pub mod run_files;
pub mod scenarios;
#[path = "writer/src/script.rs"]
pub mod script;
pub mod seal;
#[path = "writer/src/texts.rs"]
pub mod texts;
pub mod traces;
