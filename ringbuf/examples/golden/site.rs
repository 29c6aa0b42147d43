//! Sites of the golden run and argument values: their bytes and their meaning.

use ringscope_ringbuf::block::{Arg, Args, Block, Site};
use ringscope_ringbuf::layout::{LEVEL_E2E, LEVEL_KERNEL, LEVEL_VERBOSE};
use ringscope_ringbuf::payload::ArgType;
use serde_json::{Map, Value, json};

/// An argument value as the program gave it.
#[derive(Clone, Copy)]
pub(crate) enum Datum {
    I64(i64),
    U64(u64),
    F64(f64),
    Bool(bool),
    Str(&'static str),
    /// The kept text, and the length of the text that was given.
    Cut(&'static str, u32),
    Json(&'static str),
    Hex(u64),
    Null,
}

impl Datum {
    pub(crate) fn arg_type(self) -> ArgType {
        match self {
            Datum::I64(_) => ArgType::I64,
            Datum::U64(_) => ArgType::U64,
            Datum::F64(_) => ArgType::F64,
            Datum::Bool(_) => ArgType::Bool,
            Datum::Str(_) | Datum::Cut(..) => ArgType::Str,
            Datum::Json(_) => ArgType::Json,
            Datum::Hex(_) => ArgType::Hex,
            Datum::Null => ArgType::Null,
        }
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        let text = |len: u16, text: &str| [&len.to_le_bytes(), text.as_bytes()].concat();
        match self {
            Datum::I64(value) => value.to_le_bytes().to_vec(),
            Datum::U64(value) | Datum::Hex(value) => value.to_le_bytes().to_vec(),
            Datum::F64(value) => value.to_le_bytes().to_vec(),
            Datum::Bool(value) => vec![value.into()],
            Datum::Str(value) | Datum::Json(value) => text(value.len() as u16, value),
            Datum::Cut(kept, full_len) => {
                let cut = text(kept.len() as u16 | 1 << 15, kept);
                [&cut[..], &full_len.to_le_bytes()].concat()
            }
            Datum::Null => Vec::new(),
        }
    }

    pub(crate) fn meaning(self) -> Value {
        match self {
            Datum::I64(value) => json!(value),
            Datum::U64(value) => json!(value),
            Datum::F64(value) => json!(value),
            Datum::Bool(value) => json!(value),
            Datum::Str(value) => json!(value),
            Datum::Cut(kept, full_len) => json!({ "kept": kept, "full_len": full_len }),
            Datum::Json(value) => serde_json::from_str(value).expect("the run's JSON is sound"),
            Datum::Hex(value) => json!(format!("{value:#x}")),
            Datum::Null => Value::Null,
        }
    }
}

/// A place in the golden program.
pub(crate) struct Place {
    pub(crate) id: u32,
    pub(crate) level: u64,
    pub(crate) run_time: bool,
    pub(crate) name: &'static str,
    pub(crate) category: &'static str,
    /// Keys and types of the arguments that every record carries.
    pub(crate) args: &'static [(&'static str, ArgType)],
    /// Keys and values of the arguments that never change.
    pub(crate) constants: &'static [(&'static str, Datum)],
}

const fn place(
    id: u32,
    level: u64,
    name: &'static str,
    category: &'static str,
    args: &'static [(&'static str, ArgType)],
) -> Place {
    let (run_time, constants) = (false, &[] as &[_]);
    Place {
        id,
        level,
        run_time,
        name,
        category,
        args,
        constants,
    }
}

pub(crate) const REQUEST: Place = place(
    1,
    LEVEL_E2E,
    "http.completions",
    "request",
    &[
        ("i", ArgType::I64),
        ("u", ArgType::U64),
        ("f", ArgType::F64),
        ("b", ArgType::Bool),
        ("s", ArgType::Str),
        ("j", ArgType::Json),
        ("h", ArgType::Hex),
        ("n", ArgType::Null),
    ],
);
pub(crate) const STEP: Place = place(
    2,
    LEVEL_E2E,
    "decode_step",
    "worker",
    &[("step", ArgType::U64)],
);
pub(crate) const PROMPT: Place = Place {
    run_time: true,
    ..place(
        3,
        LEVEL_VERBOSE,
        "prompt \"é\" \\",
        "request",
        &[("text", ArgType::Str)],
    )
};
pub(crate) const QUEUED: Place = place(
    4,
    LEVEL_E2E,
    "request.queued",
    "serving",
    &[("prompt_tokens", ArgType::U64)],
);
pub(crate) const IMPORTED: Place = place(5, LEVEL_E2E, "imported", "serving", &[]);
pub(crate) const SERVER: Place =
    place(6, LEVEL_E2E, "server", "serving", &[("port", ArgType::I64)]);
pub(crate) const PAGES: Place = place(7, LEVEL_E2E, "kv_pages_free", "scheduler", &[]);
pub(crate) const HANDOFF: Place = place(8, LEVEL_VERBOSE, "handoff", "scheduler", &[]);
pub(crate) const STREAMING: Place = place(9, LEVEL_E2E, "http.stream_completion", "request", &[]);
pub(crate) const FORWARD: Place = Place {
    constants: &[
        ("device", Datum::U64(0)),
        ("stream", Datum::U64(3)),
        ("grid", Datum::Str("8x4")),
    ],
    ..place(
        10,
        LEVEL_KERNEL,
        "qwen3.decode_fwd",
        "kernel",
        &[("step", ArgType::U64)],
    )
};
pub(crate) const FORWARD_WAIT: Place = place(
    11,
    LEVEL_KERNEL,
    "qwen3.decode_fwd.worker_wait",
    "kernel",
    &[],
);
pub(crate) const TICK: Place = place(
    12,
    LEVEL_KERNEL,
    "tick",
    "scheduler",
    &[("n", ArgType::U64)],
);
pub(crate) const GENERATE: Place = place(
    13,
    LEVEL_E2E,
    "generate",
    "worker",
    &[("request_id", ArgType::Str)],
);

/// Every place of the engine process, in the order of its site blocks.
pub(crate) const ALL: [&Place; 13] = [
    &REQUEST,
    &STEP,
    &PROMPT,
    &QUEUED,
    &IMPORTED,
    &SERVER,
    &PAGES,
    &HANDOFF,
    &STREAMING,
    &FORWARD,
    &FORWARD_WAIT,
    &TICK,
    &GENERATE,
];

/// Id and key of the argument that becomes known late.
pub(crate) const LATE_KEY: (u32, &str) = (1, "tokens");

impl Place {
    /// Hands the place's site block to `write`.
    pub(crate) fn block(&self, write: &mut dyn FnMut(&Block<'_>)) {
        let arg = |key: &'static str, arg_type, value| Arg {
            key: key.as_bytes(),
            arg_type,
            value,
        };
        let values: Vec<_> = self
            .constants
            .iter()
            .map(|(_, datum)| datum.bytes())
            .collect();
        let args: Vec<_> = self
            .args
            .iter()
            .map(|(key, kind)| arg(key, *kind, &[]))
            .collect();
        let constants: Vec<_> = self
            .constants
            .iter()
            .zip(&values)
            .map(|((key, datum), value)| arg(key, datum.arg_type(), value))
            .collect();
        write(&Block::Site(Site {
            id: self.id,
            level: self.level as u8,
            run_time: self.run_time,
            line: self.id * 10,
            name: self.name.as_bytes(),
            category: self.category.as_bytes(),
            file: b"src/engine.rs",
            args: Args::List(&args),
            constants: Args::List(&constants),
        }));
    }

    /// The bytes and the meaning of the arguments `data`, one per key.
    pub(crate) fn arguments(&self, data: &[Datum]) -> (Vec<u8>, Map<String, Value>) {
        assert_eq!(data.len(), self.args.len());
        let mut bytes = Vec::new();
        let mut meaning = Map::new();
        for (key, datum) in self.constants {
            meaning.insert((*key).into(), datum.meaning());
        }
        for ((key, kind), datum) in self.args.iter().zip(data) {
            assert_eq!(datum.arg_type(), *kind);
            bytes.extend(datum.bytes());
            meaning.insert((*key).into(), datum.meaning());
        }
        (bytes, meaning)
    }
}
