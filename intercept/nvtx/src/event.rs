//! What an annotation says, and how it stands in a record.

use ringscope::c_abi::{self, Ring};
use ringscope_ringbuf::layout::DropCause;
use ringscope_ringbuf::payload::{ArgType, payload_word, put_text};

use crate::domain::{Domain, Shape};

/// Bytes of a record's arguments, at most: what an open slot shows.
const MAX_LEN: usize = 96;

/// An annotation as the program gave it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event<'a> {
    /// Its domain.
    pub(crate) domain: &'static Domain,
    /// Its message.
    pub(crate) name: &'a [u8],
    /// Number of its category; 0 for none.
    pub(crate) category: u32,
    /// Its number, if it has one.
    pub(crate) payload: Option<Payload>,
}

/// The number that an annotation carries.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Payload {
    /// Unsigned.
    Unsigned(u64),
    /// Signed.
    Signed(i64),
    /// Floating point.
    Float(f64),
}

impl Payload {
    fn word(self) -> (ArgType, u64) {
        match self {
            Payload::Unsigned(value) => (ArgType::U64, value),
            Payload::Signed(value) => (ArgType::I64, value as u64),
            Payload::Float(value) => (ArgType::F64, value.to_bits()),
        }
    }
}

/// The arguments of a record, encoded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Encoded {
    bytes: [u8; MAX_LEN],
    len: usize,
}

impl Encoded {
    /// The first eight bytes.
    pub(crate) fn word(&self) -> u64 {
        payload_word(&self.bytes, 0)
    }

    /// The bytes behind the first eight.
    pub(crate) fn rest(&self) -> &[u8] {
        self.bytes.get(8..self.len).unwrap_or_default()
    }

    fn put(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    fn put_text(&mut self, text: &[u8]) {
        match put_text(&mut self.bytes, self.len, text) {
            Some((len, cut)) => {
                self.len = len;
                if cut {
                    c_abi::count(DropCause::ValueCut);
                }
            }
            // There is room for a cut text behind one number: see `MAX_LEN`.
            None => c_abi::count(DropCause::ValueCut),
        }
    }
}

impl Event<'_> {
    /// Id of the annotation's name and place in this process, and its arguments.
    pub(crate) fn encode(&self, ring: Ring) -> (u32, Encoded) {
        let mut encoded = Encoded {
            bytes: [0; MAX_LEN],
            len: 0,
        };
        if c_abi::keeps_values_out() {
            return (self.id(ring, 0, &[]), encoded);
        }
        let payload = self.payload.map(Payload::word);
        if let Some((_, word)) = payload {
            encoded.put(&word.to_le_bytes());
        }
        let category = match (self.category, self.domain.category_name(self.category)) {
            (0, _) => None,
            (_, Some(name)) => {
                encoded.put_text(name);
                Some(ArgType::Str)
            }
            (number, None) => {
                encoded.put(&u64::from(number).to_le_bytes());
                Some(ArgType::U64)
            }
        };
        let shape = usize::from(payload.is_some()) + 2 * usize::from(category.is_some());
        let types = types(payload.map(|(arg_type, _)| arg_type), category);
        (self.id(ring, shape, types), encoded)
    }

    fn id(&self, ring: Ring, shape: Shape, types: &'static [ArgType]) -> u32 {
        ring.named_id(self.domain.site(shape), self.name, types)
    }
}

/// The types of a record's arguments.
fn types(payload: Option<ArgType>, category: Option<ArgType>) -> &'static [ArgType] {
    use ArgType::{F64, I64, Str, U64};
    match (payload, category) {
        (None, None) => &[],
        (None, Some(Str)) => &[Str],
        (None, Some(_)) => &[U64],
        (Some(I64), None) => &[I64],
        (Some(I64), Some(Str)) => &[I64, Str],
        (Some(I64), Some(_)) => &[I64, U64],
        (Some(F64), None) => &[F64],
        (Some(F64), Some(Str)) => &[F64, Str],
        (Some(F64), Some(_)) => &[F64, U64],
        (Some(_), None) => &[U64],
        (Some(_), Some(Str)) => &[U64, Str],
        (Some(_), Some(_)) => &[U64, U64],
    }
}
