//! A ring and the segments saved from it: found, scanned once, and read again piece by piece.
//!
//! | module | what it does |
//! |---|---|
//! | [`source`] | where the records of each sequence stand in which file |
//! | [`recovery`] | the same for a ring whose head word is damaged |
//! | [`resolve`] | a record becomes an event |
//! | [`nesting`] | do the spans of a row nest? |
//! | [`index`] | which blocks of records hold events of which time |
//! | [`aside`] | events that began long before they were recorded, by time |
//! | [`scan`] | the one pass over all records that fills the index and counts what is missing |
//! | [`gather`] | the events of a stretch of time |
//! | [`plain`] | the same where they are nothing but plain spans |
//! | [`keys`] | what both are sorted by |

pub(crate) mod aside;
pub(crate) mod gather;
pub(crate) mod index;
pub(crate) mod keys;
pub(crate) mod nesting;
pub(crate) mod plain;
mod recovery;
pub(crate) mod resolve;
pub(crate) mod scan;
pub(crate) mod source;
