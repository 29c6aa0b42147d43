//! `libringscope.so.1`: what `include/ringscope.h` calls where it does not record inline.
//!
//! Where to start reading: `thread.rs` finds the calling thread's ring and keeps the header's thread-local pointer to
//! it; `site.rs` registers places; `payload.rs` encodes what is too long to be encoded inline; `setup.rs`,
//! `launch.rs` and `host_span.rs` are what programs call by name.

pub mod abi;
mod border;
pub mod host_span;
pub mod launch;
pub mod payload;
pub mod setup;
pub mod site;
pub mod thread;
