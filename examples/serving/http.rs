//! The request threads: each plays one HTTP handler that serves streamed completions, one after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};

use crate::engine::EngineClient;
use crate::error::Error;
use crate::process;
use crate::request::{Request, RequestId};
use crate::scheduler::{FinishReason, Update};

/// Request threads; a few more than the workers have room for, so that requests queue.
const HANDLERS: u32 = 10;

/// A completion as its client got it. Times are CLOCK_MONOTONIC.
#[derive(Debug)]
pub(crate) struct Completion {
    /// The request's number.
    pub(crate) id: RequestId,
    /// The generated tokens.
    pub(crate) tokens: Vec<u32>,
    /// When the request arrived.
    pub(crate) arrived_ns: u64,
    /// When its first token came.
    pub(crate) first_token_ns: u64,
    /// When its last token came.
    pub(crate) last_token_ns: u64,
}

/// Serves `requests` requests of `max_tokens` tokens each; returns the completions in the order of their numbers.
pub(crate) fn serve(
    client: &EngineClient,
    requests: u32,
    max_tokens: u32,
) -> Result<Vec<Completion>, Error> {
    let next = Arc::new(AtomicU32::new(0));
    let mut handlers = Vec::new();
    for index in 0..HANDLERS.min(requests) {
        let (client, next) = (client.clone(), Arc::clone(&next));
        let handler = process::spawn_thread(format!("http-{index}"), move || {
            let numbers = std::iter::from_fn(|| Some(next.fetch_add(1, Ordering::Relaxed)));
            let own = numbers.take_while(|number| *number < requests);
            own.map(|number| completions(&client, RequestId(number), max_tokens))
                .collect::<Result<Vec<_>, _>>()
        })?;
        handlers.push(handler);
    }
    let mut all = Vec::with_capacity(requests as usize);
    for handler in handlers {
        all.extend(process::join_thread("http", handler)??);
    }
    all.sort_by_key(|completion| completion.id);
    Ok(all)
}

/// Serves one request from its arrival to its last token.
fn completions(client: &EngineClient, id: RequestId, max_tokens: u32) -> Result<Completion, Error> {
    let span = ringscope::span!("http.completions", request_id = %id, max_tokens, stream = true, cat = "request");
    let arrived_ns = ringscope::now_ns();
    let request = {
        let _tokenize = ringscope::span!("http.tokenize", cat = "request", level = verbose);
        Request::numbered(id, max_tokens)
    };
    let (updates, stream) = mpsc::channel();
    client.add_request(request, arrived_ns, updates)?;
    let completion = stream_completion(id, arrived_ns, &stream)?;
    span.record("ttft_us", (completion.first_token_ns - arrived_ns) / 1000);
    Ok(completion)
}

/// Takes the tokens of one request as they come.
fn stream_completion(
    id: RequestId,
    arrived_ns: u64,
    stream: &Receiver<Update>,
) -> Result<Completion, Error> {
    let span = ringscope::span!("http.stream_completion", request_id = %id, cat = "request");
    let mut completion = Completion {
        id,
        tokens: Vec::new(),
        arrived_ns,
        first_token_ns: 0,
        last_token_ns: 0,
    };
    let reason = loop {
        match stream.recv() {
            Ok(Update::Token(token)) => completion.add_token(token),
            Ok(Update::Finished(reason)) => break reason,
            Ok(Update::Failed(why)) => return Err(Error::new("cannot complete", id, why)),
            Err(_) => return Err(Error::new("cannot complete", id, "the scheduler has ended")),
        }
    };
    span.record("tokens", completion.tokens.len());
    finished(id, reason);
    Ok(completion)
}

fn finished(id: RequestId, reason: FinishReason) {
    ringscope::instant!(
        "http.stream_completion.finished",
        request_id = %id,
        finish_reason = reason.as_str(),
        cat = "request"
    );
}

impl Completion {
    fn add_token(&mut self, token: u32) {
        self.last_token_ns = ringscope::now_ns();
        if self.tokens.is_empty() {
            self.first_token_ns = self.last_token_ns;
        }
        self.tokens.push(token);
        ringscope::instant!(
            "http.stream_completion.token",
            token,
            cat = "request",
            level = verbose
        );
    }
}
