//! The arguments of a span or event, encoded as they will stand in the ring: each with its key, as an argument that
//! became known late.

use core::mem::MaybeUninit;

use ringscope_ringbuf::layout::MAX_VALUE_LEN;
use ringscope_ringbuf::payload::ArgType;

/// Bytes that a payload holds without allocating: w2 and eight continuations.
const INLINE_LEN: usize = 232;
/// Bytes of a payload, at most: one value at its longest, and some room for the others.
const MAX_LEN: usize = MAX_VALUE_LEN + 512;
/// Bytes of key and type before a value.
const HEAD_LEN: usize = 5;
/// Bytes around a text that was cut: its length, and its full length behind it.
const CUT_FRAME_LEN: usize = 6;
/// Stands in a text's length when the text was cut.
const CUT: u16 = 1 << 15;

/// Encoded arguments.
pub(crate) struct Payload {
    len: usize,
    /// All bytes, once they do not fit in `inline`.
    heap: Option<Vec<u8>>,
    inline: [MaybeUninit<u8>; INLINE_LEN],
}

impl Payload {
    pub(crate) const EMPTY: Payload = Payload {
        len: 0,
        heap: None,
        inline: [const { MaybeUninit::uninit() }; INLINE_LEN],
    };

    /// Makes the memory at `place` an empty payload without writing to its bytes.
    ///
    /// # Safety
    ///
    /// `place` may be written, and holds no payload.
    #[inline(always)]
    pub(crate) unsafe fn begin_at(place: *mut Payload) {
        // SAFETY: passed on to the caller; the inline bytes may be anything.
        unsafe {
            (&raw mut (*place).len).write(0);
            (&raw mut (*place).heap).write(None);
        }
    }

    /// Bytes in use.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// True when no argument has room any more.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        MAX_LEN - self.len < HEAD_LEN + CUT_FRAME_LEN
    }

    /// Forgets what stands behind the first `len` bytes.
    #[inline(always)]
    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
        if let Some(heap) = &mut self.heap {
            heap.truncate(len);
        }
    }

    /// The bytes.
    #[inline(always)]
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.heap {
            Some(heap) => heap,
            // SAFETY: the first `len` bytes are written, by `push`.
            None => unsafe { core::slice::from_raw_parts(self.inline.as_ptr().cast(), self.len) },
        }
    }

    /// The first eight bytes, zeros behind the end.
    #[inline(always)]
    pub(crate) fn word(&self) -> u64 {
        if self.len == 0 {
            return 0;
        }
        let mut word = [0u8; 8];
        let bytes = self.bytes();
        let len = bytes.len().min(8);
        word[..len].copy_from_slice(&bytes[..len]);
        u64::from_le_bytes(word)
    }

    /// What follows the first eight bytes.
    #[inline(always)]
    pub(crate) fn rest(&self) -> &[u8] {
        if self.len <= 8 {
            &[]
        } else {
            &self.bytes()[8..]
        }
    }

    /// Holds a copy of another payload's bytes.
    pub(crate) fn copy_bytes(&mut self, bytes: &[u8]) {
        self.truncate(0);
        self.push(bytes);
    }

    /// Appends encoded arguments; false when there is no room for all of them.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> bool {
        self.put_all(bytes)
    }

    /// Appends a value of eight bytes; false when there is no room.
    #[inline]
    pub(crate) fn put_word(&mut self, key: u32, arg_type: ArgType, word: u64) -> bool {
        let mut bytes = [0u8; HEAD_LEN + 8];
        bytes[..4].copy_from_slice(&key.to_le_bytes());
        bytes[4] = arg_type as u8;
        bytes[HEAD_LEN..].copy_from_slice(&word.to_le_bytes());
        self.put_all(&bytes)
    }

    /// Appends a value of one byte or, for `None`, of none; false when there is no room.
    pub(crate) fn put_small(&mut self, key: u32, value: Option<bool>) -> bool {
        let mut bytes = [0u8; HEAD_LEN + 1];
        bytes[..4].copy_from_slice(&key.to_le_bytes());
        let (arg_type, len) = match value {
            Some(value) => {
                bytes[HEAD_LEN] = value.into();
                (ArgType::Bool, HEAD_LEN + 1)
            }
            None => (ArgType::Null, HEAD_LEN),
        };
        bytes[4] = arg_type as u8;
        self.put_all(&bytes[..len])
    }

    /// Appends a text or JSON; false when it had to be cut or left out.
    #[inline]
    pub(crate) fn put_text(&mut self, key: u32, arg_type: ArgType, text: &[u8]) -> bool {
        let Some(room) = (MAX_LEN - self.len).checked_sub(HEAD_LEN + CUT_FRAME_LEN) else {
            return false;
        };
        let kept_len = if text.len() <= room.min(MAX_VALUE_LEN) {
            text.len()
        } else {
            floor_char_boundary(text, room.min(MAX_VALUE_LEN))
        };
        let is_cut = kept_len < text.len();
        let mut head = [0u8; HEAD_LEN + 2];
        head[..4].copy_from_slice(&key.to_le_bytes());
        head[4] = arg_type as u8;
        let len = kept_len as u16 | if is_cut { CUT } else { 0 };
        head[HEAD_LEN..].copy_from_slice(&len.to_le_bytes());
        self.push(&head);
        self.push(&text[..kept_len]);
        if is_cut {
            self.push(&(text.len().min(u32::MAX as usize) as u32).to_le_bytes());
        }
        !is_cut
    }

    fn put_all(&mut self, bytes: &[u8]) -> bool {
        let fits = self.len + bytes.len() <= MAX_LEN;
        if fits {
            self.push(bytes);
        }
        fits
    }

    #[inline]
    fn push(&mut self, bytes: &[u8]) {
        match self.inline.get_mut(self.len..self.len + bytes.len()) {
            Some(place) if self.heap.is_none() => {
                place.write_copy_of_slice(bytes);
            }
            _ => self.push_to_heap(bytes),
        }
        self.len += bytes.len();
    }

    #[cold]
    #[inline(never)]
    fn push_to_heap(&mut self, bytes: &[u8]) {
        if self.heap.is_none() {
            self.heap = Some(self.bytes().to_vec());
        }
        if let Some(heap) = &mut self.heap {
            heap.extend_from_slice(bytes);
        }
    }
}

/// The largest length up to `len` that does not split a character of UTF-8.
fn floor_char_boundary(text: &[u8], len: usize) -> usize {
    let mut at = len.min(text.len());
    while at > 0 && at < text.len() && text[at] & 0xC0 == 0x80 {
        at -= 1;
    }
    at
}
