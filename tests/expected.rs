//! What the record of a thread and number must say, computed anew from the script.

use ringscope_ringbuf::layout::Kind;

use crate::script::{self, CYCLE, HANDLER, HANDLER_CYCLE, HANDLER_TEXT, LONG_TEXT};

/// An argument's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Unsigned integer.
    U64(u64),
    /// Signed integer.
    I64(i64),
    /// Floating point.
    F64(f64),
    /// Truth value.
    Bool(bool),
    /// Text.
    Text(String),
}

/// A record as the script demands it.
#[derive(Clone, Debug, PartialEq)]
pub struct Expected {
    /// Name of the site.
    pub name: String,
    /// Kind.
    pub kind: Kind,
    /// Arguments and late arguments in order. The one named `handled` has no value by the script.
    pub args: Vec<(&'static str, Value)>,
    /// Start and duration in ns, where the script knows them.
    pub time: Option<(u64, u64)>,
    /// Name of the track, where it is not the thread's lane.
    pub track: Option<String>,
}

/// The record of this thread (with [`HANDLER`] added: of its handler) under this number.
pub fn expected(thread: u64, number: u64) -> Expected {
    if thread & HANDLER != 0 {
        of_handler(thread, number)
    } else {
        of_thread(thread, number)
    }
}

/// True for records that carry no id: their number follows from their place.
pub fn is_anonymous(name: &str) -> bool {
    matches!(name, "lap.one" | "lap.two" | "ratio")
}

/// True for names that the script knows.
pub fn is_numbered(name: &str) -> bool {
    const NAMES: [&str; 14] = [
        "instant",
        "counter",
        "root",
        "branch",
        "leaf",
        "wide",
        "late",
        "complete",
        "lap.one",
        "lap.two",
        "tracked",
        "long",
        "ratio",
        "instrumented",
    ];
    let prefixes = ["plain.", "named ", "handler."];
    NAMES.contains(&name) || prefixes.iter().any(|prefix| name.starts_with(prefix))
}

/// The number of the last record that ended before this one began. For the outer of nested spans that is not the one
/// right before it.
pub fn begins_after(number: u64) -> Option<u64> {
    let back = match number % CYCLE {
        4 => 2,
        5 => 3,
        _ => 1,
    };
    number.checked_sub(back)
}

fn of_thread(thread: u64, number: u64) -> Expected {
    let id = script::id(thread, number);
    let with_id = |name: &str, kind| plain(name, kind, vec![("id", Value::U64(id))]);
    match number % CYCLE {
        0 => with_id("instant", Kind::Instant),
        1 => plain("counter", Kind::Counter, vec![("value", Value::U64(id))]),
        2 => with_id(
            &format!("plain.{}", script::plain_index(number)),
            Kind::Span,
        ),
        3 => with_id("leaf", Kind::Span),
        4 => with_id("branch", Kind::Span),
        5 => with_id("root", Kind::Span),
        6 => plain("wide", Kind::Span, wide_args(thread, number)),
        7 => plain("late", Kind::Span, late_args(id)),
        8 => Expected {
            time: Some((script::start_ns(id), script::duration_ns(id))),
            ..with_id("complete", Kind::SpanNs)
        },
        9 => plain("lap.one", Kind::Span, vec![]),
        10 => plain("lap.two", Kind::Span, vec![]),
        11 => with_id(&format!("named {}", script::name_index(number)), Kind::Span),
        12 => Expected {
            track: Some(format!("track {thread}")),
            ..with_id("tracked", Kind::Span)
        },
        13 => {
            let args = vec![("id", Value::U64(id)), ("text", text(id, LONG_TEXT))];
            plain("long", Kind::Instant, args)
        }
        14 => {
            let value = Value::F64(script::ratio(thread, number));
            plain("ratio", Kind::Counter, vec![("value", value)])
        }
        _ => with_id("instrumented", Kind::Span),
    }
}

fn of_handler(thread: u64, number: u64) -> Expected {
    let id = script::id(thread, number);
    let with_id = |name: &str, kind| plain(name, kind, vec![("id", Value::U64(id))]);
    match number % HANDLER_CYCLE {
        0 => with_id("handler.instant", Kind::Instant),
        1 => {
            let args = vec![("id", Value::U64(id)), ("text", text(id, HANDLER_TEXT))];
            plain("handler.span", Kind::Span, args)
        }
        2 => plain(
            "handler.counter",
            Kind::Counter,
            vec![("value", Value::U64(id))],
        ),
        _ => Expected {
            time: Some((script::start_ns(id), script::duration_ns(id))),
            ..with_id("handler.complete", Kind::SpanNs)
        },
    }
}

fn wide_args(thread: u64, number: u64) -> Vec<(&'static str, Value)> {
    let id = script::id(thread, number);
    vec![
        ("id", Value::U64(id)),
        ("text", text(id, script::wide_len(number))),
        ("ratio", Value::F64(script::ratio(thread, number))),
        ("flag", Value::Bool(script::mixed(id) & 1 == 1)),
        ("handled", Value::U64(0)),
    ]
}

fn late_args(id: u64) -> Vec<(&'static str, Value)> {
    vec![
        ("id", Value::U64(id)),
        ("twice", Value::I64(id as i64 * 2)),
        ("word", text(id, 24)),
    ]
}

fn plain(name: &str, kind: Kind, args: Vec<(&'static str, Value)>) -> Expected {
    Expected {
        name: name.to_string(),
        kind,
        args,
        time: None,
        track: None,
    }
}

fn text(id: u64, len: usize) -> Value {
    Value::Text(script::fill_text(id, &mut vec![0; len]).to_string())
}
