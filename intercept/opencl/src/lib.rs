//! Records what programs do through OpenCL: a layer for the OpenCL loader.
//!
//! The loader loads the libraries that `OPENCL_LAYERS` names, and gives `clInitLayer` the table of functions that lie beneath: the
//! layer answers with one of its own. Its functions call those beneath, each exactly as the program asked but for two things: queues
//! measure the times of their commands, and commands have an event. Programs are shown what they asked for.
//!
//! Where to start reading: `entry.rs` has the functions that programs come through, `command.rs` the record of a command,
//! `pending.rs` how its device times are read once it is done. `target.rs` is what lies beneath.

#![deny(unsafe_code)]

mod cl;
mod command;
mod device;
#[allow(
    unsafe_code,
    reason = "the border to C: functions that programs call, pointers in and out"
)]
mod entry;
#[allow(
    unsafe_code,
    reason = "the border to C: what the loader calls, the table of functions, and hooks of the C library"
)]
mod layer;
mod pending;
mod queue;
mod registry;
#[allow(
    unsafe_code,
    reason = "the border to C: calls of the functions beneath the layer"
)]
mod target;
mod wait;
