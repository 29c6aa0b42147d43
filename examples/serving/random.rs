//! A small seeded generator for weights and prompts: the same numbers on every machine.

/// SplitMix64: one 64-bit word of state, good enough to fill matrices with.
#[derive(Clone, Debug)]
pub(crate) struct SplitMix64(u64);

impl SplitMix64 {
    /// Starts a sequence; equal seeds give equal sequences.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 random bits.
    pub(crate) fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        (((self.next_u64() >> 32) * u64::from(bound)) >> 32) as u32
    }

    /// A number in `-half_width..half_width`; 24 bits, so the conversion to `f32` is exact.
    pub(crate) fn symmetric(&mut self, half_width: f32) -> f32 {
        let bits = (self.next_u64() >> 40) as f32;
        (bits / 8_388_608.0 - 1.0) * half_width
    }
}
