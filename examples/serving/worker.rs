//! A worker process: takes steps from the engine, splits them over its compute threads, answers with the new tokens.

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use crate::compute::{ComputeThread, Task, TaskOutput};
use crate::error::Error;
use crate::kv_cache::PAGE_TOKENS;
use crate::protocol::{Command, Reply, Step, StepOutput};
use crate::request::{MAX_PROMPT_TOKENS, RequestId, RequestIds};
use crate::stream::{KernelCalls, Stream};
use crate::weights::Weights;

/// Compute threads of each worker process.
const COMPUTE_THREADS: usize = 2;

/// Sequences that one compute thread works on at a time.
const SEQUENCES_PER_THREAD: usize = 2;

/// Sequences that one worker works on at a time; the scheduler keeps to it.
pub(crate) const SEQUENCES_PER_WORKER: usize = COMPUTE_THREADS * SEQUENCES_PER_THREAD;

/// Sets of decode buffers; a step writes one set while the one before may still be read.
const DECODE_BUFFERS: usize = 2;

/// The life of worker `index`: until the engine says so or closes the connection. With `kill_after`, the process kills
/// itself in its kernel call of that number. No sequence generates more than `max_new_tokens`.
pub(crate) fn run(
    index: usize,
    mut engine: UnixStream,
    max_new_tokens: u32,
    kill_after: Option<u64>,
) -> Result<(), Error> {
    ringscope::set_process_name(format!("serving-worker-{index}").as_str());
    ringscope::set_thread_name("worker-main");
    let lost = |why| Error::new("cannot reach the engine", format!("worker {index}"), why);
    let mut worker =
        WorkerProcess::init_device_and_model(index, max_new_tokens, KernelCalls::new(kill_after))?;
    Reply::Ready.send(&mut engine).map_err(lost)?;
    while let Some(Command::Step(step)) = Command::receive(&mut engine).map_err(lost)? {
        let output = worker.execute_step(&step)?;
        Reply::Output(output).send(&mut engine).map_err(lost)?;
    }
    worker.stop()
}

/// The main thread's view of its compute threads.
struct WorkerProcess {
    threads: Vec<ComputeThread>,
    /// The compute thread that each sequence lives on.
    homes: BTreeMap<RequestId, usize>,
    /// Sequences to decode on each compute thread, one set for each buffer slot.
    decode_buffers: [[Vec<RequestId>; COMPUTE_THREADS]; DECODE_BUFFERS],
    /// Free pages of each compute thread's cache when it was last heard of.
    free_pages: [usize; COMPUTE_THREADS],
}

impl WorkerProcess {
    /// Makes the weights and starts the compute threads with caches that fit the longest sequences.
    #[ringscope::instrument(name = "WorkerProcess.init_device_and_model", cat = "worker")]
    fn init_device_and_model(
        device: usize,
        max_new_tokens: u32,
        calls: KernelCalls,
    ) -> Result<Self, Error> {
        let weights = Arc::new(Weights::seeded());
        let calls = Arc::new(calls);
        let pages = SEQUENCES_PER_THREAD
            * (MAX_PROMPT_TOKENS + max_new_tokens as usize).div_ceil(PAGE_TOKENS);
        let threads: Result<Vec<_>, Error> = (0..COMPUTE_THREADS)
            .map(|index| {
                let stream = Stream::new(device, index, Arc::clone(&calls));
                ComputeThread::start(index, Arc::clone(&weights), stream, pages)
            })
            .collect();
        Ok(Self {
            threads: threads?,
            homes: BTreeMap::new(),
            decode_buffers: Default::default(),
            free_pages: [pages; COMPUTE_THREADS],
        })
    }

    /// Runs one step and returns a new token for each of its sequences.
    #[ringscope::instrument(
        name = "WorkerProcess.execute_step",
        cat = "worker",
        args(prefill = step.prefill.len(), decode = step.decode.len())
    )]
    fn execute_step(&mut self, step: &Step) -> Result<StepOutput, Error> {
        let _step = ringscope::step(step.id);
        self.release(&step.released)?;
        let mut tokens = Vec::with_capacity(step.sequences());
        if !step.prefill.is_empty() {
            tokens.extend(self.batch_prefill(&step.prefill)?);
        }
        if !step.decode.is_empty() {
            tokens.extend(self.batch_decode(step.id, &step.decode)?);
        }
        ringscope::counter!(
            "kv_pages_free",
            self.free_pages.iter().sum::<usize>() as u64,
            cat = "worker"
        );
        Ok(StepOutput {
            step_id: step.id,
            tokens,
        })
    }

    /// Forgets finished sequences.
    fn release(&mut self, ids: &[RequestId]) -> Result<(), Error> {
        for id in ids {
            if let Some(home) = self.homes.remove(id) {
                self.threads[home].submit(Task::Release(vec![*id]))?;
            }
        }
        Ok(())
    }

    /// Starts sequences: each on the compute thread with the fewest.
    #[ringscope::instrument(name = "WorkerProcess.batch_prefill", cat = "worker", args(batch_size = prompts.len()))]
    fn batch_prefill(
        &mut self,
        prompts: &[(RequestId, Vec<u32>)],
    ) -> Result<Vec<(RequestId, u32)>, Error> {
        let mut batches: [Vec<(RequestId, Vec<u32>)>; COMPUTE_THREADS] = Default::default();
        for (id, prompt) in prompts {
            let home = self.emptiest_thread();
            self.homes.insert(*id, home);
            batches[home].push((*id, prompt.clone()));
        }
        let busy = batches.each_ref().map(|batch| !batch.is_empty());
        let _call = ringscope::span!("prefill_fwd", cat = "kernel", level = kernel);
        {
            let _submit =
                ringscope::span!("prefill_fwd.worker_submit", cat = "kernel", level = kernel);
            for (thread, batch) in self
                .threads
                .iter()
                .zip(batches)
                .filter(|(_, batch)| !batch.is_empty())
            {
                thread.submit(Task::Prefill(batch))?;
            }
        }
        let _wait = ringscope::span!("prefill_fwd.worker_wait", cat = "kernel", level = kernel);
        self.collect_tokens(busy)
    }

    fn emptiest_thread(&self) -> usize {
        let sequences_on =
            |thread: &usize| self.homes.values().filter(|home| *home == thread).count();
        (0..COMPUTE_THREADS).min_by_key(sequences_on).unwrap_or(0)
    }

    /// Continues sequences by one token each.
    fn batch_decode(
        &mut self,
        step_id: u64,
        ids: &[RequestId],
    ) -> Result<Vec<(RequestId, u32)>, Error> {
        let _span = ringscope::span!(
            "WorkerProcess.batch_decode",
            batch_size = ids.len(),
            request_ids = %RequestIds(ids),
            cat = "worker"
        );
        let buffer_slot = (step_id % DECODE_BUFFERS as u64) as usize;
        self.prepare_decode(buffer_slot, ids)?;
        let _call = ringscope::span!("decode_fwd", step_id, cat = "kernel", level = kernel);
        self.dispatch_decode(step_id, buffer_slot)?;
        self.reclaim_decode(step_id, buffer_slot)
    }

    /// Sorts the sequences by the compute thread they live on.
    #[ringscope::instrument(name = "WorkerProcess.prepare_decode", cat = "worker")]
    fn prepare_decode(&mut self, buffer_slot: usize, ids: &[RequestId]) -> Result<(), Error> {
        let buffers = &mut self.decode_buffers[buffer_slot];
        buffers.iter_mut().for_each(Vec::clear);
        for id in ids {
            let home = self
                .homes
                .get(id)
                .ok_or_else(|| Error::new("cannot decode", id, "it was never prefilled"))?;
            buffers[*home].push(*id);
        }
        Ok(())
    }

    /// Hands each compute thread its part, if it has one.
    #[ringscope::instrument(
        name = "WorkerProcess.dispatch_decode",
        cat = "worker",
        args(step_id, buffer_slot)
    )]
    fn dispatch_decode(&self, step_id: u64, buffer_slot: usize) -> Result<(), Error> {
        let _submit = ringscope::span!("decode_fwd.worker_submit", cat = "kernel", level = kernel);
        let batches = self.decode_buffers[buffer_slot].iter();
        for (thread, ids) in self
            .threads
            .iter()
            .zip(batches)
            .filter(|(_, ids)| !ids.is_empty())
        {
            thread.submit(Task::Decode(ids.clone()))?;
        }
        Ok(())
    }

    /// Waits for the compute threads that have a part and gathers their tokens.
    #[ringscope::instrument(name = "WorkerProcess.reclaim_decode", cat = "worker", args(step_id))]
    fn reclaim_decode(
        &mut self,
        step_id: u64,
        buffer_slot: usize,
    ) -> Result<Vec<(RequestId, u32)>, Error> {
        let _wait = ringscope::span!("decode_fwd.worker_wait", cat = "kernel", level = kernel);
        self.collect_tokens(
            self.decode_buffers[buffer_slot]
                .each_ref()
                .map(|ids| !ids.is_empty()),
        )
    }

    /// Waits for one output of each busy compute thread.
    fn collect_tokens(
        &mut self,
        busy: [bool; COMPUTE_THREADS],
    ) -> Result<Vec<(RequestId, u32)>, Error> {
        let mut all_tokens = Vec::with_capacity(SEQUENCES_PER_WORKER);
        for (index, thread) in self
            .threads
            .iter()
            .enumerate()
            .filter(|(index, _)| busy[*index])
        {
            let TaskOutput { tokens, free_pages } = thread.wait()?;
            all_tokens.extend(tokens);
            self.free_pages[index] = free_pages;
        }
        Ok(all_tokens)
    }

    /// Ends the compute threads.
    fn stop(self) -> Result<(), Error> {
        self.threads.into_iter().try_for_each(ComputeThread::stop)
    }
}
