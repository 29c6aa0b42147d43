//! Names of any bytes: the trace is strict JSON, and the name comes out as its UTF-8 reading.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use ringscope_fuzz::golden_run::GoldenRun;
use ringscope_ringbuf::block::{Args, Block, Site, blocks};
use ringscope_ringbuf::file::FileKind;
use ringscope_ringbuf::layout::{MAX_BLOCK_LEN, PROCESS_HEADER_LEN};

static RUN: OnceLock<GoldenRun> = OnceLock::new();
/// The forked worker: its only site is `decode_step`.
const WORKER_PID: u32 = 4300;

fuzz_target!(|name: &[u8]| {
    let run = RUN.get_or_init(ringscope_fuzz::golden_run);
    let worker = run
        .files()
        .iter()
        .position(|(file, _)| (file.pid, file.kind) == (WORKER_PID, FileKind::Process));
    let worker = worker.expect("the golden run has the worker");
    let file = with_site_name(&run.files()[worker].1, name);
    let trace = run
        .trace_with(worker, file, true)
        .expect("one name refuses no run");
    let trace: serde_json::Value = serde_json::from_slice(&trace).expect("the trace is JSON");
    let expected = String::from_utf8_lossy(name);
    let events = trace["traceEvents"]
        .as_array()
        .expect("the trace has events");
    let is_there = events
        .iter()
        .any(|event| event["ph"] == "X" && event["name"] == *expected);
    assert!(
        is_there || name.is_empty(),
        "no span is called {expected:?}"
    );
});

/// The process file `bytes` with `name` in the place of every site's.
fn with_site_name(bytes: &[u8], name: &[u8]) -> Vec<u8> {
    let mut renamed = bytes[..PROCESS_HEADER_LEN].to_vec();
    let mut buffer = vec![0; MAX_BLOCK_LEN];
    for found in blocks(&bytes[PROCESS_HEADER_LEN..], &mut 0) {
        let block = match found.block.expect("the worker's blocks are sound") {
            Block::Site(site) => Block::Site(Site {
                name,
                args: Args::List(&[]),
                ..site
            }),
            other => other,
        };
        let len = block.encode(&mut buffer).expect("the block fits");
        renamed.extend(&buffer[..len]);
    }
    renamed
}
