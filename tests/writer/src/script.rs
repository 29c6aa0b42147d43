//! The script of numbered records: every field of a record is computed from its thread and its number, so that
//! a wrong record can be told from a right one. The writer records by these formulas and the judge computes them anew.
//!
//! A thread's records are numbered 0, 1, 2, … in the order they stand in its ring, sixteen to a cycle:
//!
//! | number in the cycle | record |
//! |---|---|
//! | 0 | instant `instant` {id} |
//! | 1 | counter `counter` = id |
//! | 2 | span `plain.K` {id}; K grows with the cycles, so that sites are registered midway |
//! | 3, 4, 5 | spans `leaf` inside `branch` inside `root` {id} |
//! | 6 | span `wide` {id, text, ratio, flag, handled}: one to five continuations |
//! | 7 | span `late` {id}, late {twice, word} |
//! | 8 | complete `complete` {id} with start and duration by formula |
//! | 9, 10 | lap `lap.one`, `lap.two`, without arguments |
//! | 11 | span `named K` {id}: a run-time name |
//! | 12 | span `tracked` {id} on the thread's track |
//! | 13 | instant `long` {id, text of 300 bytes} |
//! | 14 | counter `ratio` |
//! | 15 | span `instrumented` {id} of a function |
//!
//! A signal handler's records have numbers of their own, under the thread's number plus [`HANDLER`], four to a cycle:
//! instant `handler.instant` {id}, span `handler.span` {id, text of 40 bytes}, counter `handler.counter` = id, complete
//! `handler.complete` {id}.

/// Records of a cycle.
pub const CYCLE: u64 = 16;
/// Records of a cycle of a handler.
pub const HANDLER_CYCLE: u64 = 4;
/// Added to a thread's number in the records of its handler.
pub const HANDLER: u64 = 1 << 19;
/// Bytes of the text of record 13.
pub const LONG_TEXT: usize = 300;
/// Bytes of the text of a handler's span.
pub const HANDLER_TEXT: usize = 40;
/// Records of a thread that lives for a moment only.
pub const SHORT_LIFE: u64 = 12 * CYCLE;
/// Number of the first thread that lives for a moment only.
pub const FIRST_SHORT_THREAD: u64 = 1 << 12;

/// What a record carries: thread and number in one word.
pub fn id(thread: u64, number: u64) -> u64 {
    thread << 44 | number
}

/// A word that shares no bytes with the id it comes from, nor with those of its neighbours.
pub fn mixed(id: u64) -> u64 {
    let word = (id ^ id >> 31).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    word ^ word >> 29
}

/// Fills `out` with the text of a record.
pub fn fill_text(id: u64, out: &mut [u8]) -> &str {
    let word = mixed(id);
    for (at, byte) in out.iter_mut().enumerate() {
        *byte = b'a' + (word >> (at * 4 % 60) & 15) as u8;
    }
    // Letters only, so the text is never replaced.
    core::str::from_utf8(out).unwrap_or_default()
}

/// Bytes of the text of record 6: 0 to 80.
pub fn wide_len(number: u64) -> usize {
    (number / CYCLE % 5) as usize * 20
}

/// Start of record 8 and of a handler's complete span, ns.
pub fn start_ns(id: u64) -> u64 {
    mixed(id) & 0xFFFF_FFFF_FFFF
}

/// Duration of record 8 and of a handler's complete span, ns.
pub fn duration_ns(id: u64) -> u64 {
    mixed(!id) & 0xFFFF_FFFF_FFFF
}

/// Value of record 14 and of an argument of record 6.
pub fn ratio(thread: u64, number: u64) -> f64 {
    (number as f64 + 0.5) * (thread as f64 + 1.0)
}

/// Last part of the name of record 2.
pub fn plain_index(number: u64) -> u64 {
    (number / CYCLE / 4).min(7)
}

/// Last part of the name of record 11.
pub fn name_index(number: u64) -> u64 {
    number / CYCLE % 40
}
