//! Runs the binary as people do, on a program that records what its arguments say.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod annotations;
mod comparing;
mod devices;
mod doctor;
mod imports;
mod layers;
mod levels;
mod opening;
mod options;
mod packs;
mod recording;
mod runs;
mod sandbox;
mod snapshots;
mod traces;
