//! The engine process: starts the scheduler and the threads that listen to the workers, serves the load, checks the
//! outcome.

use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;

use crate::Options;
use crate::error::Error;
use crate::expectation;
use crate::http;
use crate::process::{self, ForkedWorker};
use crate::protocol::Reply;
use crate::request::Request;
use crate::scheduler::{Event, Scheduler, Submission, Update, WorkerLoss};
use crate::summary::{self, Summary};

/// Serves the load that `options` ask for with these workers, checks every token and prints a summary.
pub(crate) fn run(workers: Vec<ForkedWorker>, options: &Options) -> Result<(), Error> {
    let engine = AsyncLlmEngine::start(workers)?;
    let start_ns = ringscope::now_ns();
    let completions = http::serve(&engine.client, options.requests, options.tokens);
    let wall_ns = ringscope::now_ns() - start_ns;
    // The scheduler knows best why a request failed, so its error goes first.
    let losses = engine.stop()?;
    let completions = completions?;
    if options.kill_worker_after.is_some() && losses.is_empty() {
        summary::print(format_args!(
            "worker {} ended before the kernel call that was to kill it\n",
            crate::DOOMED_WORKER
        ))?;
    }
    let verdict = expectation::check(&completions, options.requests, options.tokens)?;
    let summary = Summary {
        completions: &completions,
        wall_ns,
        losses: &losses,
        verdict,
    };
    summary::print(format_args!("{summary}"))
}

/// A handle to submit requests with.
#[derive(Clone)]
pub(crate) struct EngineClient {
    events: Sender<Event>,
}

impl EngineClient {
    /// Queues a request that arrived at `arrived_ns`; its progress goes to `updates`.
    pub(crate) fn add_request(
        &self,
        request: Request,
        arrived_ns: u64,
        updates: Sender<Update>,
    ) -> Result<(), Error> {
        let id = request.id;
        let _span = ringscope::span!(
            "ReplicaEngineCore.add_request",
            request_id = %id,
            max_new_tokens = request.max_new_tokens,
            cat = "serving"
        );
        ringscope::instant!(
            "request.queued",
            prompt_tokens = request.prompt.len(),
            cat = "serving"
        );
        let submission = Submission {
            request,
            arrived_ns,
            updates,
        };
        self.events
            .send(Event::Submitted(submission))
            .map_err(|_| Error::new("cannot queue", id, "the scheduler has ended"))
    }
}

/// The running engine: the scheduler, and one thread per worker that listens to it.
struct AsyncLlmEngine {
    client: EngineClient,
    scheduler: JoinHandle<Result<Vec<WorkerLoss>, Error>>,
    listeners: Vec<JoinHandle<()>>,
}

impl AsyncLlmEngine {
    /// Waits until all workers have their model, then starts the engine's threads.
    fn start(mut workers: Vec<ForkedWorker>) -> Result<Self, Error> {
        let _span = ringscope::span!(
            "AsyncLLMEngine.start",
            workers = workers.len(),
            cat = "serving"
        );
        let (sender, events) = mpsc::channel();
        let mut listeners = Vec::new();
        for worker in &mut workers {
            let (index, stream) = wait_until_ready(worker)?;
            let sender = sender.clone();
            listeners.push(process::spawn_thread(
                format!("listener-{index}"),
                move || listen(index, stream, &sender),
            )?);
        }
        let scheduler = process::spawn_thread("scheduler".to_owned(), move || {
            Scheduler::new(workers).run(&events)
        })?;
        Ok(Self {
            client: EngineClient { events: sender },
            scheduler,
            listeners,
        })
    }

    /// Ends the workers and the engine's threads. Returns the workers that were lost on the way.
    fn stop(self) -> Result<Vec<WorkerLoss>, Error> {
        // Fails when the scheduler has ended already; its result says why.
        let _ = self.client.events.send(Event::Closed);
        let losses = process::join_thread("scheduler", self.scheduler)?;
        for listener in self.listeners {
            process::join_thread("listener", listener)?;
        }
        losses
    }
}

/// Waits for the worker's first message. Returns its number and a copy of the connection to listen on.
fn wait_until_ready(worker: &mut ForkedWorker) -> Result<(usize, UnixStream), Error> {
    // A name made at run time: one span name for each worker.
    let name = format!("AsyncLLMEngine.wait_for_worker_{}", worker.index);
    let _span = ringscope::span!(&name, cat = "serving");
    let failed = |why: String| Error::new("cannot start", format!("worker {}", worker.index), why);
    match Reply::receive(&mut worker.stream) {
        Ok(Some(Reply::Ready)) => {}
        Ok(Some(Reply::Output(_))) => {
            return Err(failed("it answered before it was asked".to_owned()));
        }
        Ok(None) => return Err(failed("it ended before its model was loaded".to_owned())),
        Err(why) => return Err(failed(why.to_string())),
    }
    let stream = worker
        .stream
        .try_clone()
        .map_err(|why| failed(why.to_string()))?;
    Ok((worker.index, stream))
}

/// The body of a listener thread: passes a worker's outputs to the scheduler until the connection ends.
fn listen(worker: usize, mut stream: UnixStream, events: &Sender<Event>) {
    loop {
        let reply = {
            let _span =
                ringscope::span!("listener.receive", worker, cat = "serving", level = verbose);
            Reply::receive(&mut stream)
        };
        let event = match reply {
            Ok(Some(Reply::Output(output))) => Event::Output { worker, output },
            Ok(Some(Reply::Ready)) => Event::Lost {
                worker,
                why: "it reported ready twice".to_owned(),
            },
            Ok(None) => Event::Lost {
                worker,
                why: "connection closed".to_owned(),
            },
            Err(why) => Event::Lost {
                worker,
                why: why.to_string(),
            },
        };
        let last = matches!(event, Event::Lost { .. });
        // Sending fails once the scheduler has ended, and then nobody needs the event.
        if events.send(event).is_err() || last {
            return;
        }
    }
}
