//! The kernels of the model. They are launched on a stream that runs them at once, so the launch lasts until they end.
//!
//! Matrices are row-major. A kernel adds up in one fixed order for each output element, whatever the number of rows, so
//! a row's result does not depend on what else is in the batch.

use crate::arithmetic::{
    add_scaled, argmax, dot, exp, rms_norm, silu_times, sin_cos_of_turns, softmax,
};
use crate::kv_cache::{KvCache, PageTable};
use crate::stream::Stream;
use crate::weights::{HEAD_WIDTH, HEADS, LayerWeights, MLP_WIDTH, VOCABULARY, WIDTH, Weights};

/// Natural logarithm of the slowest rotary wavelength relative to the fastest one (10,000).
const ROPE_LN_BASE: f32 = 9.210_340_4;

/// Floats of one row of queries, keys and values.
const QKV_WIDTH: usize = 3 * WIDTH;

/// One row of a batch: one token of one sequence.
pub(crate) struct Row<'a> {
    /// The token to read.
    pub(crate) token: u32,
    /// Its position in the sequence, from 0.
    pub(crate) position: usize,
    /// Pages of the sequence, which reach at least to `position`.
    pub(crate) pages: &'a PageTable,
}

/// Everything that passes from kernel to kernel; all buffers have `rows` rows.
#[derive(Default)]
pub(crate) struct Activations {
    /// Rows in the batch.
    pub(crate) rows: usize,
    /// The residual stream: `[rows, WIDTH]`.
    hidden: Vec<f32>,
    /// `hidden` after a norm: `[rows, WIDTH]`.
    normed: Vec<f32>,
    /// Queries, keys and values side by side: `[rows, 3 * WIDTH]`.
    qkv: Vec<f32>,
    /// Output of the attention: `[rows, WIDTH]`.
    attended: Vec<f32>,
    /// Gates and ups side by side: `[rows, 2 * MLP_WIDTH]`.
    gate_up: Vec<f32>,
    /// The MLP's hidden layer: `[rows, MLP_WIDTH]`.
    gated: Vec<f32>,
    /// One logit per token of the vocabulary: `[rows, VOCABULARY]`.
    logits: Vec<f32>,
}

impl Activations {
    /// Sets the number of rows; contents are for the kernels to fill.
    pub(crate) fn resize(&mut self, rows: usize) {
        self.rows = rows;
        self.hidden.resize(rows * WIDTH, 0.0);
        self.normed.resize(rows * WIDTH, 0.0);
        self.qkv.resize(rows * QKV_WIDTH, 0.0);
        self.attended.resize(rows * WIDTH, 0.0);
        self.gate_up.resize(rows * 2 * MLP_WIDTH, 0.0);
        self.gated.resize(rows * MLP_WIDTH, 0.0);
        self.logits.resize(rows * VOCABULARY, 0.0);
    }
}

/// Looks up the embedding of each row's token.
pub(crate) fn embed(stream: &Stream, weights: &Weights, batch: &[Row<'_>], act: &mut Activations) {
    let launch = ringscope::launch!(
        "embed",
        device = stream.device,
        stream = stream.number,
        rank = stream.device,
        rows = act.rows
    );
    let _run = stream.run(&launch);
    for (row, hidden) in batch.iter().zip(act.hidden.chunks_exact_mut(WIDTH)) {
        let start = row.token as usize * WIDTH;
        hidden.copy_from_slice(&weights.embedding[start..start + WIDTH]);
    }
}

/// Norm, then the projections to queries, keys and values.
pub(crate) fn qkv_proj(
    stream: &Stream,
    layer: usize,
    weights: &LayerWeights,
    act: &mut Activations,
) {
    let launch = ringscope::launch!(
        "qkv_proj",
        device = stream.device,
        stream = stream.number,
        rank = stream.device,
        layer,
        rows = act.rows
    );
    act.qkv.fill(0.0);
    let _run = stream.run(&launch);
    norm_rows(&act.hidden, &weights.attention_norm, &mut act.normed);
    add_matmul(act.rows, &act.normed, &weights.qkv, &mut act.qkv);
}

/// Turns queries and keys by their position, then stores keys and values in the cache.
pub(crate) fn rope_kv_write(
    stream: &Stream,
    layer: usize,
    batch: &[Row<'_>],
    cache: &mut KvCache,
    act: &mut Activations,
) {
    let launch = ringscope::launch!(
        "rope_kv_write",
        device = stream.device,
        stream = stream.number,
        rank = stream.device,
        layer,
        rows = act.rows
    );
    let _run = stream.run(&launch);
    for (row, qkv) in batch.iter().zip(act.qkv.chunks_exact_mut(QKV_WIDTH)) {
        let (queries_and_keys, values) = qkv.split_at_mut(2 * WIDTH);
        rotate(queries_and_keys, row.position);
        cache.write(
            layer,
            row.pages,
            row.position,
            &queries_and_keys[WIDTH..],
            values,
        );
    }
}

/// Each row's queries against the keys of its sequence up to the row itself; the weighted sum of the values.
pub(crate) fn attention(
    stream: &Stream,
    layer: usize,
    batch: &[Row<'_>],
    cache: &KvCache,
    act: &mut Activations,
) {
    let context = batch.iter().map(|row| row.position + 1).max().unwrap_or(0);
    let launch = ringscope::launch!(
        "attention",
        device = stream.device,
        stream = stream.number,
        rank = stream.device,
        layer,
        rows = act.rows,
        context
    );
    act.attended.fill(0.0);
    let mut scores = vec![0.0; context];
    let _run = stream.run(&launch);
    let rows = act
        .qkv
        .chunks_exact(QKV_WIDTH)
        .zip(act.attended.chunks_exact_mut(WIDTH));
    for (row, (qkv, attended)) in batch.iter().zip(rows) {
        let _row = ringscope::span!(
            "attention.row",
            position = row.position,
            cat = "kernel",
            level = verbose
        );
        for head in 0..HEADS {
            let lanes = head * HEAD_WIDTH..(head + 1) * HEAD_WIDTH;
            let scores = &mut scores[..=row.position];
            attend(
                layer,
                row,
                lanes.clone(),
                cache,
                &qkv[lanes.clone()],
                scores,
                &mut attended[lanes],
            );
        }
    }
}

/// Output projection of the attention, added to the residual stream.
pub(crate) fn out_proj(
    stream: &Stream,
    layer: usize,
    weights: &LayerWeights,
    act: &mut Activations,
) {
    let launch = ringscope::launch!(
        "out_proj",
        device = stream.device,
        stream = stream.number,
        rank = stream.device,
        layer,
        rows = act.rows
    );
    let _run = stream.run(&launch);
    add_matmul(act.rows, &act.attended, &weights.out, &mut act.hidden);
}

/// Norm, the MLP's two input projections, and its gated activation.
pub(crate) fn gate_up_proj(
    stream: &Stream,
    layer: usize,
    weights: &LayerWeights,
    act: &mut Activations,
) {
    let launch = ringscope::launch!(
        "gate_up_proj",
        device = stream.device,
        stream = stream.number,
        rank = stream.device,
        layer,
        rows = act.rows
    );
    act.gate_up.fill(0.0);
    let _run = stream.run(&launch);
    norm_rows(&act.hidden, &weights.mlp_norm, &mut act.normed);
    add_matmul(act.rows, &act.normed, &weights.gate_up, &mut act.gate_up);
    let rows = act
        .gate_up
        .chunks_exact(2 * MLP_WIDTH)
        .zip(act.gated.chunks_exact_mut(MLP_WIDTH));
    for (gate_up, gated) in rows {
        let (gates, ups) = gate_up.split_at(MLP_WIDTH);
        for ((gated, gate), up) in gated.iter_mut().zip(gates).zip(ups) {
            *gated = silu_times(*gate, *up);
        }
    }
}

/// Output projection of the MLP, added to the residual stream.
pub(crate) fn down_proj(
    stream: &Stream,
    layer: usize,
    weights: &LayerWeights,
    act: &mut Activations,
) {
    let launch = ringscope::launch!(
        "down_proj",
        device = stream.device,
        stream = stream.number,
        rank = stream.device,
        layer,
        rows = act.rows
    );
    let _run = stream.run(&launch);
    add_matmul(act.rows, &act.gated, &weights.down, &mut act.hidden);
}

/// Last norm and one logit per token of the vocabulary, for the rows from `first_row` on.
pub(crate) fn lm_head(stream: &Stream, first_row: usize, weights: &Weights, act: &mut Activations) {
    let rows = act.rows - first_row;
    let launch = ringscope::launch!(
        "lm_head",
        device = stream.device,
        stream = stream.number,
        rank = stream.device,
        rows
    );
    let logits = &mut act.logits[first_row * VOCABULARY..];
    logits.fill(0.0);
    let _run = stream.run(&launch);
    norm_rows(&act.hidden, &weights.final_norm, &mut act.normed);
    add_matmul(
        rows,
        &act.normed[first_row * WIDTH..],
        &weights.lm_head,
        logits,
    );
}

/// The likeliest next token of the rows from `first_row` on.
pub(crate) fn sample_greedy(stream: &Stream, first_row: usize, act: &Activations) -> Vec<u32> {
    let launch = ringscope::launch!(
        "sample_greedy",
        device = stream.device,
        stream = stream.number,
        rank = stream.device,
        rows = act.rows - first_row
    );
    let _run = stream.run(&launch);
    act.logits
        .chunks_exact(VOCABULARY)
        .skip(first_row)
        .map(|logits| argmax(logits) as u32)
        .collect()
}

/// Adds `input` times `weight` to `output`: `[rows, K] * [K, N]`. Each element is summed in the order of K.
fn add_matmul(rows: usize, input: &[f32], weight: &[f32], output: &mut [f32]) {
    let (inputs, outputs) = (input.len() / rows, output.len() / rows);
    debug_assert_eq!(weight.len(), inputs * outputs);
    for (k, weight) in weight.chunks_exact(outputs).enumerate() {
        for (row, output) in output.chunks_exact_mut(outputs).enumerate() {
            add_scaled(output, input[row * inputs + k], weight);
        }
    }
}

/// Norms each row of `[rows, WIDTH]`.
fn norm_rows(input: &[f32], gain: &[f32], output: &mut [f32]) {
    for (input, output) in input
        .chunks_exact(WIDTH)
        .zip(output.chunks_exact_mut(WIDTH))
    {
        rms_norm(input, gain, output);
    }
}

/// Rotary embedding: turns each pair of lanes of each head by an angle that grows with the position.
pub(crate) fn rotate(heads: &mut [f32], position: usize) {
    const PAIRS: usize = HEAD_WIDTH / 2;
    let mut turns = [(0.0, 1.0); PAIRS];
    for (pair, turn) in turns.iter_mut().enumerate() {
        let radians_per_position = exp(-ROPE_LN_BASE * pair as f32 / PAIRS as f32);
        let turns_per_position = f64::from(radians_per_position) / std::f64::consts::TAU;
        *turn = sin_cos_of_turns(position as f64 * turns_per_position);
    }
    for head in heads.chunks_exact_mut(HEAD_WIDTH) {
        let (left, right) = head.split_at_mut(PAIRS);
        for ((left, right), (sine, cosine)) in left.iter_mut().zip(right).zip(turns) {
            (*left, *right) = (
                *left * cosine - *right * sine,
                *left * sine + *right * cosine,
            );
        }
    }
}

/// One head of one row: `query` and `attended` are `[HEAD_WIDTH]`, `scores` has one element per position.
fn attend(
    layer: usize,
    row: &Row<'_>,
    lanes: std::ops::Range<usize>,
    cache: &KvCache,
    query: &[f32],
    scores: &mut [f32],
    attended: &mut [f32],
) {
    let scale = 1.0 / (HEAD_WIDTH as f32).sqrt();
    for (position, score) in scores.iter_mut().enumerate() {
        *score = dot(query, &cache.key(layer, row.pages, position)[lanes.clone()]) * scale;
    }
    softmax(scores);
    for (position, weight) in scores.iter().enumerate() {
        add_scaled(
            attended,
            *weight,
            &cache.value(layer, row.pages, position)[lanes.clone()],
        );
    }
}
