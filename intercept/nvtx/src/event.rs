//! What an annotation says, and how it stands in a record.

use core::fmt;
use std::sync::OnceLock;

use ringscope::c_abi::{self, Ring};
use ringscope::dynamic::{self, Handle};
use ringscope_ringbuf::layout::DropCause;
use ringscope_ringbuf::payload::{ArgType, payload_word, put_text};

use crate::domain::{Domain, Shape};

/// Bytes of a record's arguments, at most: what an open slot shows.
const MAX_LEN: usize = 96;
/// Bytes of them that most records need at most: two numbers.
const SHORT_LEN: usize = 16;

/// A name, and where it was found when it was used first.
#[derive(Debug, Default)]
pub(crate) struct KnownPlace(OnceLock<Place>);

/// A name's place for arguments of some types.
struct Place {
    shape: Shape,
    domain: &'static Domain,
    types: &'static [ArgType],
    handle: Handle,
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Place({})", self.handle.number())
    }
}

/// An annotation as the program gave it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event<'a> {
    /// Its domain.
    pub(crate) domain: &'static Domain,
    /// Its message.
    pub(crate) name: &'a [u8],
    /// What is known of a message that was registered.
    pub(crate) known: Option<&'static KnownPlace>,
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
#[derive(Debug, Default)]
pub(crate) struct Encoded {
    short: [u8; SHORT_LEN],
    len: usize,
    /// All of them where they are more.
    long: Option<Box<[u8; MAX_LEN]>>,
}

impl Encoded {
    fn bytes(&self) -> &[u8] {
        match &self.long {
            Some(long) => &long[..self.len],
            None => &self.short[..self.len],
        }
    }

    /// The first eight bytes.
    pub(crate) fn word(&self) -> u64 {
        // Here in both cases.
        payload_word(&self.short, 0)
    }

    /// The bytes behind the first eight.
    pub(crate) fn rest(&self) -> &[u8] {
        self.bytes().get(8..).unwrap_or_default()
    }

    fn put_number(&mut self, number: u64) {
        self.short[self.len..self.len + 8].copy_from_slice(&number.to_le_bytes());
        self.len += 8;
    }

    fn put_text(&mut self, text: &[u8]) {
        let mut long = Box::new([0; MAX_LEN]);
        long[..self.len].copy_from_slice(&self.short[..self.len]);
        let put = put_text(&mut long[..], self.len, text);
        // There is room for a cut text behind one number: see `MAX_LEN`.
        if put.is_none_or(|(_, cut)| cut) {
            c_abi::count(DropCause::ValueCut);
        }
        if let Some((len, _)) = put {
            self.short.copy_from_slice(&long[..SHORT_LEN]);
            self.len = len;
            self.long = Some(long);
        }
    }
}

impl Event<'_> {
    /// Id of the annotation's name and place in this process, and its arguments.
    pub(crate) fn encode(&self, ring: Ring) -> (u32, Encoded) {
        let mut encoded = Encoded::default();
        if c_abi::keeps_values_out() {
            return (self.id(ring, 0, &[]), encoded);
        }
        let payload = self.payload.map(Payload::word);
        if let Some((_, word)) = payload {
            encoded.put_number(word);
        }
        let category = match self.category {
            0 => None,
            number => Some(match self.domain.category_name(number) {
                Some(name) => {
                    encoded.put_text(name);
                    ArgType::Str
                }
                None => {
                    encoded.put_number(u64::from(number));
                    ArgType::U64
                }
            }),
        };
        let shape = usize::from(payload.is_some()) + 2 * usize::from(category.is_some());
        let types = types(payload.map(|(arg_type, _)| arg_type), category);
        (self.id(ring, shape, types), encoded)
    }

    fn id(&self, ring: Ring, shape: Shape, types: &'static [ArgType]) -> u32 {
        match self
            .known
            .and_then(|known| self.known_id(known, shape, types))
        {
            Some(handle) => ring.id(handle),
            None => ring.named_id(self.domain.site(shape), self.name, types),
        }
    }

    /// The place of a registered message, which is mostly used in one domain and with arguments of the same types.
    fn known_id(
        &self,
        known: &KnownPlace,
        shape: Shape,
        types: &'static [ArgType],
    ) -> Option<Handle> {
        if known.0.get().is_none() {
            let handle = dynamic::place_of_types(self.domain.site(shape), self.name, types)?;
            // Another thread may have been here meanwhile.
            let _ = known.0.set(Place {
                shape,
                domain: self.domain,
                types,
                handle,
            });
        }
        let place = known.0.get()?;
        let is_it = place.shape == shape
            && core::ptr::eq(place.domain, self.domain)
            && place.types == types;
        is_it.then_some(place.handle)
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
