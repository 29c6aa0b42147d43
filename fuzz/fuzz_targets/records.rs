//! Payloads: any bytes can be read as values of any types, and the values written again are the bytes that were read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringscope_ringbuf::layout::{MAX_VALUE_LEN, RECORD_LEN, Record};
use ringscope_ringbuf::payload::{ArgType, Value, put_text, take_late, take_value};
use ringscope_ringbuf::reader::read_open_slot;

fuzz_target!(|data: &[u8]| {
    let Some((types, mut payload)) = data.split_at_checked(8) else {
        return;
    };
    check_text(payload);
    for arg_type in types
        .iter()
        .filter_map(|number| ArgType::from_u8(number % 9))
    {
        let before = payload;
        let Some(value) = take_value(&mut payload, arg_type) else {
            break;
        };
        check_value(value, &before[..before.len() - payload.len()]);
    }
    while let Some((key, _)) = take_late(&mut payload) {
        assert_ne!(key, 0);
    }
    for bytes in data.as_chunks::<RECORD_LEN>().0 {
        let record: Record = bytemuck::pod_read_unaligned(bytes);
        let payload = record.continuation_payload();
        assert_eq!(payload[..], bytes[..payload.len()]);
    }
    for slot in data.as_chunks().0 {
        read_open_slot(slot);
    }
});

/// The bytes of `value` are those it was taken from.
fn check_value(value: Value<'_>, taken: &[u8]) {
    let bytes = match value {
        Value::I64(value) => value.to_le_bytes().to_vec(),
        Value::U64(value) | Value::Hex(value) => value.to_le_bytes().to_vec(),
        Value::F64(value) => value.to_le_bytes().to_vec(),
        Value::Null => Vec::new(),
        // Any byte but 0 is true.
        Value::Bool(value) => return assert_eq!((value, taken.len()), (taken[0] != 0, 1)),
        Value::Str { bytes, full_len } | Value::Json { bytes, full_len } => {
            let is_cut = taken[1] & 0x80 != 0;
            let len = (bytes.len() as u16 | u16::from(is_cut) << 15).to_le_bytes();
            let mut text = [&len[..], bytes].concat();
            if is_cut {
                text.extend((full_len as u32).to_le_bytes());
            }
            text
        }
    };
    assert_eq!(bytes, taken);
}

/// A text that is put comes out again, whole or as its beginning with its full length.
fn check_text(text: &[u8]) {
    let mut out = vec![0; 64 + text.len() / 2];
    let Some((len, cut)) = put_text(&mut out, 3, text) else {
        panic!("64 bytes hold a cut text");
    };
    let mut rest = &out[3..len];
    let Some(Value::Str { bytes, full_len }) = take_value(&mut rest, ArgType::Str) else {
        panic!("what was put can be taken");
    };
    assert!(rest.is_empty() && text.starts_with(bytes) && bytes.len() <= MAX_VALUE_LEN);
    assert_eq!((full_len, cut), (text.len(), bytes.len() < text.len()));
}
