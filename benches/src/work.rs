//! Some real work for spans to enclose: a walk through words in the first-level cache, each step of which depends on
//! the one before. It stores nothing on the way, so that the time it takes does not depend on where it walks.

use std::hint::black_box;

use ringscope_ringbuf::clock::monotonic_ns;

/// How long one step of work is meant to take, in ns.
pub const WORK_NS: f64 = 80.0;
/// Words that the work goes through: 4 KiB.
const WORDS: usize = 512;
/// Multiplier of 64-bit FNV.
const PRIME: u64 = 0x0100_0000_01B3;

/// A piece of work that takes about [`WORK_NS`].
#[derive(Clone, Debug)]
pub struct Work {
    words: [u64; WORDS],
    hash: u64,
    turns: u32,
}

impl Work {
    /// Work whose step takes `turns` turns.
    pub fn with_turns(turns: u32) -> Work {
        Work {
            words: std::array::from_fn(|index| index as u64),
            hash: 0,
            turns,
        }
    }

    /// Work of about [`WORK_NS`] on the core that asks: the fastest of a few tries decides.
    pub fn calibrated() -> Work {
        const TURNS: u32 = 64;
        const STEPS: u32 = 2_000;
        let mut work = Work::with_turns(TURNS);
        let mut fastest_ns = u64::MAX;
        for _ in 0..9 {
            let start_ns = monotonic_ns();
            for _ in 0..STEPS {
                work.step();
            }
            fastest_ns = fastest_ns.min(monotonic_ns() - start_ns);
        }
        let turn_ns = fastest_ns as f64 / f64::from(TURNS * STEPS);
        Work::with_turns((WORK_NS / turn_ns).ceil() as u32)
    }

    /// Turns of one step.
    pub fn turns(&self) -> u32 {
        self.turns
    }

    /// Does the work once. Never inlined, so that it is the same instructions in the loop of every case.
    #[inline(never)]
    pub fn step(&mut self) {
        let mut hash = self.hash;
        for _ in 0..self.turns {
            hash = (hash ^ self.words[(hash >> 32) as usize % WORDS]).wrapping_mul(PRIME);
        }
        self.hash = black_box(hash);
    }
}
