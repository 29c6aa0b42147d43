//! Compiles C and C++ programs against the installed header and libraries, runs them, and reads what they recorded.
//!
//! `toolchain` installs and compiles; `recorded` reads a run's files back; the other modules are the tests.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod emitted;
mod hello;
mod host_spans;
mod jumps;
mod launches;
mod layout;
mod objects;
mod processes;
mod recorded;
mod toolchain;
mod values;
