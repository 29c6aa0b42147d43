//! The compute threads of a worker process: each owns the sequences that were given to it, and their KV cache.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

use crate::error::Error;
use crate::model::ModelRunner;
use crate::process;
use crate::request::RequestId;
use crate::stream::Stream;
use crate::weights::Weights;

/// Something for a compute thread to do.
pub(crate) enum Task {
    /// Forget these sequences, before anything else of the step. Not answered.
    Release(Vec<RequestId>),
    /// Start these sequences from their prompts.
    Prefill(Vec<(RequestId, Vec<u32>)>),
    /// Continue these sequences by one token.
    Decode(Vec<RequestId>),
}

/// What came out of a task.
pub(crate) struct TaskOutput {
    /// One new token for each sequence of the task.
    pub(crate) tokens: Vec<(RequestId, u32)>,
    /// Pages of this thread's KV cache that nobody uses.
    pub(crate) free_pages: usize,
}

/// A compute thread as the worker's main thread sees it.
pub(crate) struct ComputeThread {
    name: String,
    tasks: Sender<Task>,
    outputs: Receiver<Result<TaskOutput, Error>>,
    thread: JoinHandle<()>,
}

impl ComputeThread {
    /// Starts the thread with an empty cache of `pages` pages.
    pub(crate) fn start(
        index: usize,
        weights: Arc<Weights>,
        stream: Stream,
        pages: usize,
    ) -> Result<Self, Error> {
        let name = format!("compute-{index}");
        let (tasks, task_queue) = mpsc::channel();
        let (output_queue, outputs) = mpsc::channel();
        let thread = process::spawn_thread(name.clone(), move || {
            run_tasks(
                ModelRunner::new(weights, stream, pages),
                &task_queue,
                &output_queue,
            );
        })?;
        Ok(Self {
            name,
            tasks,
            outputs,
            thread,
        })
    }

    /// Hands a task to the thread.
    pub(crate) fn submit(&self, task: Task) -> Result<(), Error> {
        self.tasks.send(task).map_err(|_| self.ended())
    }

    /// Waits for the output of the oldest task not waited for.
    pub(crate) fn wait(&self) -> Result<TaskOutput, Error> {
        self.outputs.recv().map_err(|_| self.ended())?
    }

    /// Lets the thread finish what it was given, and waits for its end.
    pub(crate) fn stop(self) -> Result<(), Error> {
        drop(self.tasks);
        process::join_thread(&self.name, self.thread)
    }

    fn ended(&self) -> Error {
        Error::new("cannot run a task", &self.name, "the thread has ended")
    }
}

/// The body of a compute thread: one task after the other until nobody can submit any more.
fn run_tasks(
    mut runner: ModelRunner,
    tasks: &Receiver<Task>,
    outputs: &Sender<Result<TaskOutput, Error>>,
) {
    for task in tasks {
        let tokens = match task {
            Task::Release(ids) => {
                ids.into_iter().for_each(|id| runner.release(id));
                continue;
            }
            Task::Prefill(prompts) => prefill(&mut runner, &prompts),
            Task::Decode(ids) => runner
                .decode(&ids)
                .map(|tokens| ids.into_iter().zip(tokens).collect()),
        };
        let output = tokens.map(|tokens| TaskOutput {
            tokens,
            free_pages: runner.free_pages(),
        });
        if outputs.send(output).is_err() {
            return; // the main thread has given up; it says why
        }
    }
}

fn prefill(
    runner: &mut ModelRunner,
    prompts: &[(RequestId, Vec<u32>)],
) -> Result<Vec<(RequestId, u32)>, Error> {
    prompts
        .iter()
        .map(|(id, prompt)| runner.prefill(*id, prompt).map(|token| (*id, token)))
        .collect()
}
