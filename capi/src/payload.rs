//! What the header does not do inline: payloads too long for a span's own bytes, arguments known late, and spans of
//! more than a day.

use core::ffi::c_char;
use core::mem::MaybeUninit;

use ringscope::c_abi::{self, Ring};
use ringscope_ringbuf::layout::DropCause;
use ringscope_ringbuf::payload::{ArgType, payload_word, put_text};
use ringscope_ringbuf::ring::Writer;

use crate::abi::{INLINE_LEN, MAX_ARGUMENTS, NO_SLOT, PADDING, Payload, Span, Value};
use crate::border::{bytes, without_panic};

/// Bytes kept free for each value that follows one: a fixed one takes 8 at most, a text cut to nothing 6.
const RESERVED_LEN: usize = 8;

/// Encodes values that are longer than a span's own bytes: into one of the thread's long buffers, or cut.
///
/// # Safety
///
/// `writer` is the calling thread's; `payload` is being made; `values` points to `count` values, at most four.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringscope_private_encode_long(
    writer: *const Writer,
    payload: *mut Payload,
    values: *const Value,
    count: u32,
) {
    // SAFETY: passed on to the caller.
    let (ring, payload, values) = unsafe {
        let count = (count as usize).min(MAX_ARGUMENTS);
        let values = core::slice::from_raw_parts(values, count);
        (Ring::of_writer(writer), &mut *payload, values)
    };
    // Should encoding panic, the record is there without arguments.
    (payload.word, payload.len, payload.long_buffer) = (0, 0, 0);
    without_panic((), || encode(ring, payload, values));
}

fn encode(ring: Ring, payload: &mut Payload, values: &[Value]) {
    if let Some((number, room)) = ring.take_long() {
        room.fill(MaybeUninit::new(0));
        payload.long_buffer = number + 1;
        payload.long_bytes = room.as_mut_ptr().cast();
        // SAFETY: just filled in.
        let (len, cut) = put_values(unsafe { room.assume_init_mut() }, 0, values);
        finish(payload, len, cut);
    } else {
        payload.bytes.fill(0);
        let (len, cut) = put_values(&mut payload.bytes, 0, values);
        finish(payload, len, cut);
    }
}

fn finish(payload: &mut Payload, len: usize, cut: bool) {
    payload.len = len as u32;
    payload.word = payload_word(filled(payload), 0);
    if cut {
        c_abi::count(DropCause::ValueCut);
    }
}

/// The payload's bytes, where they do not stand in its word alone.
fn filled(payload: &Payload) -> &[u8] {
    let start = if payload.long_buffer != 0 {
        payload.long_bytes
    } else {
        payload.bytes.as_ptr()
    };
    // SAFETY: as many bytes were written there, by the header or by this module.
    unsafe { core::slice::from_raw_parts(start, payload.len as usize) }
}

/// Appends values behind the first `len` bytes of `out`, whose last [`PADDING`] bytes stay as they are: the new
/// length, and whether a value was cut.
fn put_values(out: &mut [u8], mut len: usize, values: &[Value]) -> (usize, bool) {
    let end = out.len().saturating_sub(PADDING);
    let mut cut = false;
    for (index, value) in values.iter().enumerate() {
        let reserved = (values.len() - index - 1) * RESERVED_LEN;
        let room = &mut out[..end.saturating_sub(reserved)];
        match put_value(room, len, value) {
            Some((new_len, was_cut)) => (len, cut) = (new_len, cut | was_cut),
            None => cut = true,
        }
    }
    (len, cut)
}

/// As [`put_text`], for any value.
fn put_value(out: &mut [u8], len: usize, value: &Value) -> Option<(usize, bool)> {
    let word_len = match ArgType::from_u8(value.type_number as u8) {
        Some(ArgType::Str | ArgType::Json) => return put_text(out, len, text(value)),
        Some(ArgType::Bool) => 1,
        Some(ArgType::Null) | None => 0,
        Some(_) => 8,
    };
    let place = out.get_mut(len..len + word_len)?;
    place.copy_from_slice(&value.word.to_le_bytes()[..word_len]);
    Some((len + word_len, false))
}

fn text(value: &Value) -> &[u8] {
    if value.text.is_null() {
        return &[];
    }
    // SAFETY: the header sets pointer and length together, from a text that lives as long as the call.
    unsafe { core::slice::from_raw_parts(value.text, value.text_len as usize) }
}

/// Gives the long buffer of a payload back.
///
/// # Safety
///
/// `writer` is the calling thread's; the payload's record is written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringscope_private_release_long(
    writer: *const Writer,
    payload: *mut Payload,
) {
    // SAFETY: passed on to the caller.
    let (ring, payload) = unsafe { (Ring::of_writer(writer), &mut *payload) };
    without_panic((), || release(ring, payload));
}

fn release(ring: Ring, payload: &mut Payload) {
    if payload.long_buffer != 0 {
        ring.give_long(payload.long_buffer - 1);
        payload.long_buffer = 0;
        payload.len = 0;
    }
}

/// Records a span of more than 2^48 ticks; the header closes its open slot.
///
/// # Safety
///
/// `span` is open on the calling thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringscope_private_end_day_long(span: *mut Span, duration_ticks: u64) {
    without_panic((), || {
        // SAFETY: passed on to the caller.
        let (ring, span) = unsafe { (Ring::of_writer((*span).writer), &mut *span) };
        let word = span.payload.word.to_le_bytes();
        let bytes = match span.payload.len as usize {
            len @ 0..=8 => &word[..len],
            _ => filled(&span.payload),
        };
        ring.record_day_long(
            span.site,
            span.lane as u16,
            span.start,
            duration_ticks,
            bytes,
        );
        release(ring, &mut span.payload);
    });
}

/// Adds an argument that became known late to an open span.
///
/// # Safety
///
/// `span` is open on the calling thread, or was when it forked; `key` is NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringscope_private_set(
    span: *mut Span,
    key: *const c_char,
    value: *const Value,
) {
    without_panic((), || {
        // SAFETY: passed on to the caller.
        let (ring, span, key, value) = unsafe {
            let ring = Ring::of_writer((*span).writer);
            (ring, &mut *span, bytes(key), &*value)
        };
        if ring.is_ours() && !c_abi::keeps_values_out() {
            set(ring, span, key, value);
        }
    });
}

fn set(ring: Ring, span: &mut Span, key: &[u8], value: &Value) {
    let Some(key_id) = ring.key_id(key) else {
        return;
    };
    if !append(ring, &mut span.payload, key_id, value) {
        c_abi::count(DropCause::ValueCut);
    }
    if span.open_slot != NO_SLOT && span.payload.len > 8 {
        let rest = &filled(&span.payload)[8..];
        let (slot, writer) = (span.open_slot, ring.writer());
        writer.fill_open_payload(slot, rest.len(), |index| payload_word(rest, index));
        writer.extend_open(slot, span.payload.word, rest.len());
    }
}

/// Appends an argument with its key; false when it had to be cut or left out.
fn append(ring: Ring, payload: &mut Payload, key_id: u32, value: &Value) -> bool {
    let len = payload.len as usize;
    if len <= 8 {
        payload.bytes.fill(0);
        payload.bytes[..8].copy_from_slice(&payload.word.to_le_bytes());
    }
    let mut head = [0u8; 5];
    head[..4].copy_from_slice(&key_id.to_le_bytes());
    head[4] = value.type_number as u8;
    let out = room(ring, payload);
    let end = out.len() - PADDING;
    let out = &mut out[..end];
    let Some(place) = out.get_mut(len..len + head.len()) else {
        return false;
    };
    place.copy_from_slice(&head);
    match put_value(out, len + head.len(), value) {
        Some((new_len, cut)) => {
            payload.len = new_len as u32;
            payload.word = payload_word(filled(payload), 0);
            !cut
        }
        // A key without a value would be read as damage.
        None => {
            out[len..len + head.len()].fill(0);
            false
        }
    }
}

/// All bytes that the payload may take, and its padding.
fn room(ring: Ring, payload: &mut Payload) -> &mut [u8] {
    if payload.long_buffer == 0 {
        return &mut payload.bytes;
    }
    // SAFETY: the buffer that `encode` took, as long as it was there and filled in.
    unsafe { core::slice::from_raw_parts_mut(payload.long_bytes, ring.long_len()) }
}

const _: () = assert!(INLINE_LEN.is_multiple_of(8) && PADDING >= 28);
