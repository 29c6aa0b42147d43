//! Records what the NVTX annotations of a program say: an NVTX v3 injection library.
//!
//! The NVTX header that a program includes loads the library that `NVTX_INJECTION64_PATH` names, and calls
//! `InitializeInjectionNvtx2`, which fills the header's tables of functions. Nothing is recorded unless the environment
//! asks for it, as for every other user of the recorder.
//!
//! Where to start reading: `abi.rs` is the border to C and holds all unsafe code; `stack.rs` has the ranges that are
//! pushed and popped, `started.rs` those that are started and ended on any thread.

#![deny(unsafe_code)]

#[allow(
    unsafe_code,
    reason = "the border to C: pointers in, texts and handles out"
)]
mod abi;
mod domain;
mod event;
mod range;
mod stack;
mod started;
mod thread_name;
