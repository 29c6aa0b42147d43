//! The harness that measures what recording costs, shared by `hot_path`, `sustained_rate` and `peers`.
//!
//! Cases run in interleaved rounds on pinned cores, each round beside the floor: two clock reads and one 32-byte
//! store, written out in [`floor`]. Ratios are taken within a round and their median is reported, so that a machine
//! that changes its speed from one second to the next changes both sides of each ratio.
//!
//! | module | what it holds |
//! |---|---|
//! | [`case`] | what a case is, and the loops around it |
//! | [`floor`] | the floor, and the loop with nothing in it |
//! | [`work`] | some real work for spans to enclose |
//! | [`rounds`] | the measurement: threads, cores, rounds |
//! | [`measurement`] | what is reported of a case |
//! | [`instructions`] | instruction counts, by the processor or by callgrind |
//! | [`system_calls`] | system calls, counted by tracing the process |
//! | [`kernel`] | cores, page faults, the program started once more |
//! | [`scratch`] | a directory for runs and rings |
//! | [`machine`] | what machine the figures are from |
//! | [`table`] | the figures for people |

pub mod case;
pub mod floor;
pub mod instructions;
pub mod kernel;
pub mod machine;
pub mod measurement;
pub mod rounds;
pub mod scratch;
pub mod system_calls;
pub mod table;
pub mod work;
