//! A small LLM-serving engine, instrumented the way a real one would be.
//!
//! Nothing here is mocked: an engine process with HTTP-like request threads and a scheduler feeds two forked worker
//! processes, and each worker runs a small transformer on two compute threads, kernel by kernel, over a paged KV cache.
//! Run it under the profiler to get a time line with several processes, nested kernels, one lane per request, counters,
//! and, with `--kill-worker-after`, a process that dies in the middle of its spans:
//!
//! ```text
//! ringscope record -o trace.json -- target/release/examples/serving
//! ringscope record -o trace.json -- target/release/examples/serving --kill-worker-after 5000
//! ```
//!
//! The tokens are the same on every machine, in every build and in every order of events, and the program checks them.
//!
//! Where to start reading: `serving/scheduler.rs` for the engine, `serving/worker.rs` for a worker process,
//! `serving/kernels.rs` for the innermost spans.

use std::process::ExitCode;

use clap::Parser;

#[path = "serving/arithmetic.rs"]
mod arithmetic;
#[path = "serving/compute.rs"]
mod compute;
#[path = "serving/engine.rs"]
mod engine;
#[path = "serving/error.rs"]
mod error;
#[path = "serving/expectation.rs"]
mod expectation;
#[path = "serving/http.rs"]
mod http;
#[path = "serving/kernels.rs"]
mod kernels;
#[path = "serving/kv_cache.rs"]
mod kv_cache;
#[path = "serving/model.rs"]
mod model;
#[path = "serving/process.rs"]
mod process;
#[path = "serving/protocol.rs"]
mod protocol;
#[path = "serving/random.rs"]
mod random;
#[path = "serving/reference.rs"]
mod reference;
#[path = "serving/request.rs"]
mod request;
#[path = "serving/scheduler.rs"]
mod scheduler;
#[path = "serving/stream.rs"]
mod stream;
#[path = "serving/summary.rs"]
mod summary;
#[path = "serving/weights.rs"]
mod weights;
#[path = "serving/worker.rs"]
mod worker;

use error::Error;
use process::Role;

/// Number of forked worker processes.
const WORKERS: usize = 2;

/// The worker that `--kill-worker-after` kills.
const DOOMED_WORKER: usize = 1;

/// Serve requests with a small transformer in two worker processes, and check every token it produces.
#[derive(Clone, Debug, Parser)]
#[command(name = "serving", version)]
struct Options {
    /// Requests to serve
    #[arg(long, value_name = "N", default_value_t = expectation::DEFAULT_REQUESTS,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    requests: u32,

    /// Tokens to generate for each request
    #[arg(long, value_name = "N", default_value_t = expectation::DEFAULT_TOKENS,
          value_parser = clap::value_parser!(u32).range(1..=4096))]
    tokens: u32,

    /// Let worker 1 kill itself with SIGKILL in its N-th kernel call; its requests move to worker 0
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    kill_worker_after: Option<u64>,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("serving: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Forks the workers while this process still has a single thread, then plays the part that fell to this process.
fn run(options: &Options) -> Result<(), Error> {
    ringscope::set_process_name("serving-engine");
    ringscope::set_thread_name("main");
    match process::fork_workers(WORKERS)? {
        Role::Engine(workers) => engine::run(workers, options),
        Role::Worker { index, engine } => {
            let kill_after = options.kill_worker_after.filter(|_| index == DOOMED_WORKER);
            worker::run(index, engine, options.tokens, kill_after)
        }
    }
}
