//! A record with its continuations put together.

use ringscope_ringbuf::layout::{Kind, Record};

/// A record and its payload.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// Sequence of the record's own slot.
    pub(super) sequence: u64,
    /// That slot.
    pub(super) record: Record,
    /// Payload from w2 (where the kind has it there) and the continuations, zeros at the end included.
    pub(super) payload: Vec<u8>,
    /// The slot behind the record's last one is not published.
    pub(super) before_hole: bool,
    /// Slots that are not published, from the first one looked at to this record.
    pub(super) holes_before: u64,
}

impl Item {
    /// Kind; `None` for a number that version 1 does not know.
    pub(super) fn kind(&self) -> Option<Kind> {
        Kind::from_u8(self.record.kind_number())
    }

    /// Start and end in ticks; `None` for records in nanoseconds.
    pub(super) fn ticks(&self) -> Option<(u64, u64)> {
        let start = self.record.start();
        match self.kind()? {
            Kind::Span => Some((start, start + self.record.duration())),
            Kind::Instant | Kind::Counter => Some((start, start)),
            _ => None,
        }
    }
}

/// Puts records and continuations together. Continuations whose record is not there are skipped.
pub(super) fn items(first: u64, records: &[Option<Record>]) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    let mut open = false;
    let mut holes = 0;
    #[expect(
        clippy::explicit_counter_loop,
        reason = "counts holes, not turns of the loop"
    )]
    for (sequence, record) in (first..).zip(records) {
        let Some(record) = record else {
            if open && let Some(last) = items.last_mut() {
                last.before_hole = true;
            }
            open = false;
            holes += 1;
            continue;
        };
        if record.kind_number() == Kind::Continuation as u8 {
            if open && let Some(last) = items.last_mut() {
                last.payload.extend(record.continuation_payload());
            }
            continue;
        }
        let in_w2 = Kind::from_u8(record.kind_number()).is_some_and(Kind::payload_starts_in_w2);
        items.push(Item {
            sequence,
            record: *record,
            payload: if in_w2 {
                record.w[2].to_le_bytes().to_vec()
            } else {
                Vec::new()
            },
            before_hole: false,
            holes_before: holes,
        });
        open = true;
    }
    items
}
