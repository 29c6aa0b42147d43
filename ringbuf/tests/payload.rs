//! Argument values: what is put in comes out, and no bytes make the reader panic.
#![cfg(not(loom))]

use proptest::collection::vec;
use proptest::prelude::*;
use ringscope_ringbuf::layout::MAX_VALUE_LEN;
use ringscope_ringbuf::payload::{ArgType, Value, put_text, take_late, take_value};

const TYPES: [ArgType; 8] = [
    ArgType::I64,
    ArgType::U64,
    ArgType::F64,
    ArgType::Bool,
    ArgType::Str,
    ArgType::Json,
    ArgType::Hex,
    ArgType::Null,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn words_come_out_as_they_went_in(word: u64) {
        let bytes = word.to_le_bytes();
        let take = |arg_type| take_value(&mut &bytes[..], arg_type);
        prop_assert_eq!(take(ArgType::I64), Some(Value::I64(word as i64)));
        prop_assert_eq!(take(ArgType::U64), Some(Value::U64(word)));
        prop_assert_eq!(take(ArgType::Hex), Some(Value::Hex(word)));
        let Some(Value::F64(float)) = take(ArgType::F64) else { panic!() };
        prop_assert_eq!(float.to_bits(), word);
    }

    #[test]
    fn texts_come_out_whole_or_cut_at_a_character(text: String, room in 0usize..80, before in 0usize..8) {
        let mut out = vec![0; before + room];
        match put_text(&mut out, before, text.as_bytes()) {
            None => prop_assert!(room < 6),
            Some((len, cut)) => {
                let mut rest = &out[before..len];
                let Some(Value::Str { bytes, full_len }) = take_value(&mut rest, ArgType::Str) else {
                    panic!("no text in {out:?}");
                };
                prop_assert!(rest.is_empty());
                prop_assert!(std::str::from_utf8(bytes).is_ok());
                prop_assert!(text.as_bytes().starts_with(bytes));
                prop_assert_eq!(full_len, text.len());
                prop_assert_eq!(cut, bytes.len() < text.len());
            }
        }
    }

    #[test]
    fn values_in_a_row_are_taken_one_by_one(numbers in vec((1u32.., any::<u64>()), 0..6)) {
        let mut bytes = Vec::new();
        for (key, value) in &numbers {
            bytes.extend(key.to_le_bytes());
            bytes.push(ArgType::U64 as u8);
            bytes.extend(value.to_le_bytes());
        }
        // A continuation pads the last values with zeros, which end them.
        bytes.extend([0; 11]);
        let mut rest = &bytes[..];
        let taken: Vec<_> = std::iter::from_fn(|| take_late(&mut rest)).collect();
        let put: Vec<_> = numbers.iter().map(|(key, value)| (*key, Value::U64(*value))).collect();
        prop_assert_eq!(taken, put);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..64)) {
        for arg_type in TYPES {
            let mut rest = &bytes[..];
            let value = take_value(&mut rest, arg_type);
            prop_assert!(value.is_some() || rest.len() <= bytes.len());
        }
        let mut rest = &bytes[..];
        while take_late(&mut rest).is_some() {}
    }
}

#[test]
fn the_longest_value_is_kept_whole_and_one_byte_more_is_cut() {
    let mut out = vec![0; 2 * MAX_VALUE_LEN];
    for (given, kept) in [
        (MAX_VALUE_LEN - 1, MAX_VALUE_LEN - 1),
        (MAX_VALUE_LEN, MAX_VALUE_LEN),
        (MAX_VALUE_LEN + 1, MAX_VALUE_LEN),
    ] {
        let text = vec![b'x'; given];
        let (len, _) = put_text(&mut out, 0, &text).unwrap();
        let value = take_value(&mut &out[..len], ArgType::Json);
        let bytes = &text[..kept];
        assert_eq!(
            value,
            Some(Value::Json {
                bytes,
                full_len: given
            })
        );
    }
}

#[test]
fn key_zero_ends_the_late_arguments_whatever_stands_behind_it() {
    let value = [ArgType::Bool as u8, 1];
    assert!(take_late(&mut &[&[1, 0, 0, 0][..], &value].concat()[..]).is_some());
    assert_eq!(
        take_late(&mut &[&[0, 0, 0, 0][..], &value].concat()[..]),
        None
    );
}
