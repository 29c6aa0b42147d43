//! The file format of ringscope and its single-writer ring.
//!
//! | module | what it holds |
//! |---|---|
//! | [`layout`] | every byte of every file: FORMAT.md and its structures |
//! | [`block`] | entries of process files: sites, lanes, owners, clock pairs |
//! | [`packed`] | records in fewer bytes, for files |
//! | [`payload`] | argument values |
//! | [`ring`] | the writer's protocol, over any memory |
//! | [`reader`] | the validating reader, over any memory |
//! | [`registration`] | how a place in the program gets its id |
//! | [`map`] | mapped files |
//! | [`mod@file`] | reading ring, segment, lock and process files by `pread` |
//! | [`shared_words`] | words that another process changes, read and written whole |
//! | [`clock`] | counters and clock pairs |
//! | [`cost`] | what a span costs on this machine |
//! | [`room`] | how much room rings may take |
//! | [`setting`] | levels and sizes as people write them |
//! | [`sys`] | system calls without allocation |
//!
//! Unsafe code stands in `sync`, `ring`, `map`, `clock`, `cost` and `sys`.

pub mod block;
pub mod clock;
#[cfg(not(loom))]
pub mod cost;
#[cfg(not(loom))]
pub mod file;
pub mod layout;
#[cfg(not(loom))]
pub mod map;
pub mod packed;
pub mod payload;
pub mod reader;
pub mod registration;
pub mod ring;
#[cfg(not(loom))]
pub mod room;
pub mod setting;
#[cfg(not(loom))]
pub mod shared_words;
pub mod sync;
pub mod sys;
