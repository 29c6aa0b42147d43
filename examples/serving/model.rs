//! The model runner of one compute thread: its sequences, their KV cache, and the pass through the layers.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::Error;
use crate::kernels::{self, Activations, Row};
use crate::kv_cache::{KvCache, PageTable};
use crate::request::RequestId;
use crate::stream::Stream;
use crate::weights::Weights;

/// Prompt tokens that go through the layers together.
const PREFILL_CHUNK: usize = 4;

/// A sequence being generated.
struct Sequence {
    /// Where its keys and values are.
    pages: PageTable,
    /// Positions in the cache.
    len: usize,
    /// The newest token, which is not in the cache yet.
    last_token: u32,
}

/// Generates tokens for the sequences of one compute thread.
pub(crate) struct ModelRunner {
    sequences: BTreeMap<RequestId, Sequence>,
    transformer: Transformer,
}

impl ModelRunner {
    /// A runner without sequences, whose cache has `pages` pages.
    pub(crate) fn new(weights: Arc<Weights>, stream: Stream, pages: usize) -> Self {
        let transformer = Transformer {
            weights,
            stream,
            cache: KvCache::new(pages),
            act: Activations::default(),
        };
        Self {
            sequences: BTreeMap::new(),
            transformer,
        }
    }

    /// Number of cache pages nobody uses.
    pub(crate) fn free_pages(&self) -> usize {
        self.transformer.cache.free_pages()
    }

    /// Reads a prompt into the cache and returns the first new token.
    #[ringscope::instrument(
        name = "ModelRunner.prefill",
        cat = "executor",
        level = kernel,
        args(prompt_tokens = prompt.len())
    )]
    pub(crate) fn prefill(&mut self, id: RequestId, prompt: &[u32]) -> Result<u32, Error> {
        let mut pages = PageTable::default();
        self.transformer.reserve(id, &mut pages, prompt.len())?;
        let (mut position, mut last_token) = (0, 0);
        for chunk in prompt.chunks(PREFILL_CHUNK) {
            let rows: Vec<Row<'_>> = chunk
                .iter()
                .enumerate()
                .map(|(offset, token)| Row {
                    token: *token,
                    position: position + offset,
                    pages: &pages,
                })
                .collect();
            self.transformer.forward(&rows);
            position += chunk.len();
            if position == prompt.len() {
                last_token = self.transformer.next_tokens(chunk.len() - 1)[0];
            }
        }
        self.sequences.insert(
            id,
            Sequence {
                pages,
                len: position,
                last_token,
            },
        );
        Ok(last_token)
    }

    /// One more token for each of `ids`, in their order.
    #[ringscope::instrument(name = "ModelRunner.decode", cat = "executor", level = kernel, args(rows = ids.len()))]
    pub(crate) fn decode(&mut self, ids: &[RequestId]) -> Result<Vec<u32>, Error> {
        for id in ids {
            let sequence = self
                .sequences
                .get_mut(id)
                .ok_or_else(|| unknown_sequence(*id))?;
            self.transformer
                .reserve(*id, &mut sequence.pages, sequence.len + 1)?;
        }
        let rows: Vec<Row<'_>> = ids
            .iter()
            .map(|id| &self.sequences[id])
            .map(|sequence| Row {
                token: sequence.last_token,
                position: sequence.len,
                pages: &sequence.pages,
            })
            .collect();
        self.transformer.forward(&rows);
        let tokens = self.transformer.next_tokens(0);
        for (id, token) in ids.iter().zip(&tokens) {
            let sequence = self
                .sequences
                .get_mut(id)
                .ok_or_else(|| unknown_sequence(*id))?;
            sequence.len += 1;
            sequence.last_token = *token;
        }
        Ok(tokens)
    }

    /// Forgets a finished sequence and frees its pages.
    pub(crate) fn release(&mut self, id: RequestId) {
        if let Some(sequence) = self.sequences.remove(&id) {
            self.transformer.cache.release(sequence.pages);
        }
    }
}

fn unknown_sequence(id: RequestId) -> Error {
    Error::new("cannot decode", id, "the sequence was never prefilled")
}

/// The layers and what flows through them.
struct Transformer {
    weights: Arc<Weights>,
    stream: Stream,
    cache: KvCache,
    act: Activations,
}

impl Transformer {
    /// Makes room in the cache for `len` positions of a sequence.
    fn reserve(&mut self, id: RequestId, pages: &mut PageTable, len: usize) -> Result<(), Error> {
        if self.cache.reserve(pages, len) {
            return Ok(());
        }
        Err(Error::new(
            "cannot extend a sequence",
            id,
            "no page of the KV cache is free",
        ))
    }

    /// Takes `batch` from tokens to the last layer's hidden rows, and its keys and values into the cache.
    fn forward(&mut self, batch: &[Row<'_>]) {
        self.act.resize(batch.len());
        kernels::embed(&self.stream, &self.weights, batch, &mut self.act);
        let weights = Arc::clone(&self.weights);
        for (index, layer) in weights.layers.iter().enumerate() {
            let _layer = ringscope::span!(
                &layer.name,
                rows = batch.len(),
                cat = "executor",
                level = kernel
            );
            let mut phase = ringscope::lap!("layer.attention", cat = "executor", level = kernel);
            kernels::qkv_proj(&self.stream, index, layer, &mut self.act);
            kernels::rope_kv_write(&self.stream, index, batch, &mut self.cache, &mut self.act);
            kernels::attention(&self.stream, index, batch, &self.cache, &mut self.act);
            kernels::out_proj(&self.stream, index, layer, &mut self.act);
            phase.next("layer.mlp");
            kernels::gate_up_proj(&self.stream, index, layer, &mut self.act);
            kernels::down_proj(&self.stream, index, layer, &mut self.act);
        }
    }

    /// The next token of the rows from `first_row` on, after [`Transformer::forward`].
    fn next_tokens(&mut self, first_row: usize) -> Vec<u32> {
        kernels::lm_head(&self.stream, first_row, &self.weights, &mut self.act);
        kernels::sample_greedy(&self.stream, first_row, &self.act)
    }
}
