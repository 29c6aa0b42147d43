//! The open slots of a ring against the script and the records.

use ringscope_ringbuf::reader::{OpenSlot, OpenState};

use super::stream::Streams;
use super::{Verdict, arguments};
use crate::expected::{expected, is_numbered};
use crate::run_files::{Process, Ring};
use crate::script::HANDLER;

/// Checks that no slot is mixed, that what is open has not ended long ago, and that it shows its arguments.
pub(super) fn check(process: &Process, ring: &Ring, streams: &Streams<'_>, verdict: &mut Verdict) {
    let slots = match ring.file.open_slots() {
        Ok(slots) => slots,
        Err(error) => return verdict.failures.push(error.to_string()),
    };
    for (index, state) in slots {
        let OpenState::Open(slot) = state else {
            verdict
                .failures
                .push(format!("open slot {index}: {state:?} after death"));
            continue;
        };
        match check_slot(process, streams, &slot) {
            Ok(()) => verdict.open_spans += 1,
            Err(what) => verdict.failures.push(format!("open slot {index}: {what}")),
        }
    }
}

fn check_slot(process: &Process, streams: &Streams<'_>, slot: &OpenSlot) -> Result<(), String> {
    let site = process
        .tables
        .sites
        .get(&slot.site)
        .ok_or("an unknown site")?;
    let name = &site.name;
    if !is_numbered(name) || site.args.is_empty() {
        return Ok(());
    }
    let (thread, number) = (slot.w2 >> 44, slot.w2 & ((1 << 44) - 1));
    let owner = streams.by_owner.last().ok_or("no thread owns the ring")?;
    let (made, nested) = if thread & HANDLER != 0 {
        (owner.handler_count(), 0)
    } else {
        (owner.own_count(), 2)
    };
    let mine = owner.thread.is_none_or(|mine| mine == thread & !HANDLER);
    // The span whose record was published last may not have been closed yet; of nested ones two more follow.
    let may_be_open = number + 1 >= made && number <= made + nested;
    if !mine || !may_be_open {
        return Err(format!(
            "{name} {number} of thread {thread:#x} is open after {made} records"
        ));
    }
    let expected = expected(thread, number);
    let mut bytes = slot.w2.to_le_bytes().to_vec();
    bytes.extend(&slot.payload[..slot.payload_len]);
    let args = arguments::read(&bytes, site, &process.tables);
    let cut = slot.payload_len == slot.payload.len();
    if *name != expected.name
        || !(args.complete || cut)
        || !arguments::agree(&args.found, &expected.args)
    {
        return Err(format!(
            "{name}: expected {expected:?}, found {:?}",
            args.found
        ));
    }
    Ok(())
}
