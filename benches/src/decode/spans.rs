//! The runs that are decoded, written by the recorder.

use std::path::Path;
use std::thread;

use clap::ValueEnum;
use ringscope::{Config, Mode};
use serde::{Deserialize, Serialize};

use crate::device;

/// Spans that stand open at once on each ring of an asyncio-like run.
const OPEN_AT_ONCE: usize = 1_000;
/// Bytes that a run may take.
pub(crate) const MAX_RUN_BYTES: u64 = 1 << 40;

/// What a run consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Shape {
    /// 4 threads: steps of ten spans, one of them around the others
    Rings4,
    /// The same on 64 threads
    Rings64,
    /// 4 threads with 1,000 open spans each, which end in any order
    Asyncio,
    /// 8 ranks, each with 15,600 device tasks a step, delivered by the thousand after their graph has ended
    Device,
}

impl Shape {
    /// Those of host spans.
    pub(crate) const SPANS: [Shape; 3] = [Shape::Rings4, Shape::Rings64, Shape::Asyncio];

    /// Threads that record.
    fn threads(self) -> u64 {
        match self {
            Shape::Rings4 | Shape::Asyncio => 4,
            Shape::Rings64 => 64,
            Shape::Device => 2 * device::RANKS,
        }
    }

    /// The word for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Shape::Rings4 => "rings4",
            Shape::Rings64 => "rings64",
            Shape::Asyncio => "asyncio",
            Shape::Device => "device",
        }
    }
}

/// Records a run of so many spans, each with an integer argument, or of so many steps of devices, in `dir`.
pub(crate) fn record(shape: Shape, amount: u64, dir: &Path) -> Result<(), String> {
    if shape == Shape::Device {
        return device::record(amount, dir);
    }
    let config = Config::new()
        .dir(dir)
        .mode(Mode::Full)
        .max_size(MAX_RUN_BYTES);
    ringscope::init(config).map_err(|error| format!("recorder: {error}"))?;
    let each = amount / shape.threads();
    thread::scope(|scope| {
        for _ in 0..shape.threads() {
            scope.spawn(move || match shape {
                Shape::Rings4 | Shape::Rings64 => steps(each),
                Shape::Asyncio => tasks(each),
                Shape::Device => {}
            });
        }
    });
    Ok(())
}

fn steps(spans: u64) {
    for step in 0..spans / 10 {
        let _step = ringscope::span!("decode_step", step, cat = "worker");
        for layer in 0..9u64 {
            let _layer = ringscope::span!("attention_layer", layer, cat = "worker");
        }
    }
}

/// Ends a span and begins another in its place, all places about equally often.
fn tasks(spans: u64) {
    let begin = |request: u64| ringscope::span!("http.stream", request, cat = "request");
    let mut open: Vec<_> = (0..OPEN_AT_ONCE as u64).map(begin).collect();
    let mut state = 1u64;
    for request in OPEN_AT_ONCE as u64..spans {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let place = (state >> 33) as usize % OPEN_AT_ONCE;
        open[place] = begin(request);
    }
}
