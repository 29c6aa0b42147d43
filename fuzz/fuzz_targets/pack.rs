//! A pack: any tar archive is unpacked inside a directory of its own or refused, and what it holds decodes to strict JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringscope_decode::{Limits, Options, Order, Run, Timeline, chrome};
use ringscope_fuzz::file_with;

/// Fast, as the content is thrown away.
const LEVEL: i32 = 1;

fuzz_target!(|archive: &[u8]| {
    let packed = zstd::bulk::compress(archive, LEVEL).expect("memory can be compressed");
    let limits = Limits {
        process_file_bytes: 1 << 20,
        files: 100,
    };
    let Ok(run) = Run::open(&file_with(&packed), &limits) else {
        return;
    };
    let Ok(timeline) = Timeline::build(&[run], &Options::default()) else {
        return;
    };
    let mut out = Vec::new();
    chrome::write(&timeline, Order::Time, &mut out, &|_done| {})
        .expect("a vector takes everything");
    serde_json::from_slice::<serde_json::Value>(&out).expect("the trace is JSON");
});
