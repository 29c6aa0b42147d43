//! Arguments as they stand in a payload, against those of the script.

use ringscope_ringbuf::payload::{self, take_late, take_value};

use crate::expected::Value;
use crate::run_files::{Site, Tables};

/// Arguments read from a payload.
pub(super) struct Arguments {
    /// Keys and values in order, late ones last.
    pub(super) found: Vec<(String, Value)>,
    /// What stands behind them is zeros, fewer than a continuation holds.
    pub(super) ends_well: bool,
    /// All arguments of the site are there.
    pub(super) complete: bool,
}

/// Reads the arguments of a record at `site`.
pub(super) fn read(mut bytes: &[u8], site: &Site, tables: &Tables) -> Arguments {
    let mut found = Vec::new();
    for (key, arg_type) in &site.args {
        let Some(value) = take_value(&mut bytes, *arg_type).and_then(owned) else {
            return Arguments {
                found,
                ends_well: false,
                complete: false,
            };
        };
        found.push((key.clone(), value));
    }
    while let Some((key_id, value)) = take_late(&mut bytes) {
        let key = tables.keys.get(&key_id);
        let (Some(key), Some(value)) = (key, owned(value)) else {
            break;
        };
        found.push((key.clone(), value));
    }
    Arguments {
        found,
        ends_well: bytes.len() < 28 && bytes.iter().all(|byte| *byte == 0),
        complete: true,
    }
}

/// The value with its text copied; `None` for types that the script does not use, and for text that was cut.
fn owned(value: payload::Value<'_>) -> Option<Value> {
    Some(match value {
        payload::Value::U64(v) => Value::U64(v),
        payload::Value::I64(v) => Value::I64(v),
        payload::Value::F64(v) => Value::F64(v),
        payload::Value::Bool(v) => Value::Bool(v),
        payload::Value::Str { bytes, full_len } if bytes.len() == full_len => {
            Value::Text(String::from_utf8_lossy(bytes).into_owned())
        }
        _ => return None,
    })
}

/// True when `found` begins as the script demands; `handled` alone may be anything.
pub(super) fn agree(found: &[(String, Value)], expected: &[(&'static str, Value)]) -> bool {
    found.len() <= expected.len()
        && found
            .iter()
            .zip(expected)
            .all(|((key, value), (name, wanted))| {
                key == name && (value == wanted || *name == "handled")
            })
}
