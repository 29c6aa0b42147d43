//! Arguments as JSON values.

use ringscope_ringbuf::payload::{Value, take_late, take_value};
use serde_json::{Map, Value as Json, json};

use super::names::Names;

/// Constants of the site, declared arguments, late arguments; a later value of a key replaces an earlier one.
pub fn read(process: &Names, site: u32, payload: &[u8]) -> Map<String, Json> {
    let mut args = Map::new();
    let mut rest = payload;
    if let Some(site) = process.sites.get(&site) {
        for (key, arg_type, value) in &site.constants {
            let value = take_value(&mut &value[..], *arg_type).unwrap();
            args.insert(key.clone(), json(&value));
        }
        for (key, arg_type) in &site.args {
            let Some(value) = take_value(&mut rest, *arg_type) else {
                return args;
            };
            args.insert(key.clone(), json(&value));
        }
    }
    while let Some((key, value)) = take_late(&mut rest) {
        let key = process
            .keys
            .get(&key)
            .cloned()
            .unwrap_or(format!("key {key}"));
        args.insert(key, json(&value));
    }
    args
}

fn json(value: &Value<'_>) -> Json {
    match *value {
        Value::I64(number) => json!(number),
        Value::U64(number) => json!(number),
        Value::F64(number) if number.is_nan() => json!("NaN"),
        Value::F64(number) if number == f64::INFINITY => json!("Infinity"),
        Value::F64(number) if number == f64::NEG_INFINITY => json!("-Infinity"),
        Value::F64(number) => json!(number),
        Value::Bool(truth) => json!(truth),
        Value::Hex(number) => json!(format!("0x{number:x}")),
        Value::Null => Json::Null,
        Value::Str { bytes, full_len } => text(bytes, full_len),
        Value::Json { bytes, full_len } if bytes.len() == full_len => {
            serde_json::from_slice(bytes).unwrap_or_else(|_| text(bytes, full_len))
        }
        Value::Json { bytes, full_len } => text(bytes, full_len),
    }
}

fn text(bytes: &[u8], full_len: usize) -> Json {
    let kept = String::from_utf8_lossy(bytes);
    if full_len > bytes.len() {
        json!(format!("{kept}… [{full_len} bytes]"))
    } else {
        json!(kept)
    }
}
