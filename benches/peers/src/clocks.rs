//! Clocks that recorders build on: two reads a span, and nothing else. What a recorder with this clock can't go below.

use std::hint::black_box;

use ringscope_benches::case::{Case, Subject};

use crate::peer::Troupe;

pub(crate) struct Clocks;

impl Troupe for Clocks {
    fn cases(&self) -> Vec<Box<dyn Subject>> {
        vec![
            Box::new(Minstant),
            Box::new(Quanta(quanta::Clock::new())),
            Box::new(Std),
        ]
    }
}

struct Minstant;

impl Case for Minstant {
    const NAME: &'static str = "minstant, 2 reads";

    #[inline(always)]
    fn call(&mut self, _number: u64, inside: impl FnOnce()) {
        let start = minstant::Instant::now();
        inside();
        black_box((start, minstant::Instant::now()));
    }
}

struct Quanta(quanta::Clock);

impl Case for Quanta {
    const NAME: &'static str = "quanta, 2 raw reads";

    #[inline(always)]
    fn call(&mut self, _number: u64, inside: impl FnOnce()) {
        let start = self.0.raw();
        inside();
        black_box((start, self.0.raw()));
    }
}

struct Std;

impl Case for Std {
    const NAME: &'static str = "std, 2 reads";

    #[inline(always)]
    fn call(&mut self, _number: u64, inside: impl FnOnce()) {
        let start = std::time::Instant::now();
        inside();
        black_box((start, std::time::Instant::now()));
    }
}
