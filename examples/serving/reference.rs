//! A plain, slow version of the model to check the workers against: one sequence, one token at a time, no pages, no
//! batches, no spans. It adds up in the same order as the kernels, so the results agree to the last bit.

use crate::arithmetic::{argmax, dot, rms_norm, silu_times, softmax};
use crate::kernels::rotate;
use crate::request::Request;
use crate::weights::{HEAD_WIDTH, HEADS, LAYERS, LayerWeights, MLP_WIDTH, WIDTH, Weights};

/// Keys and values of one layer, one row of `[WIDTH]` per position.
#[derive(Default)]
struct History {
    keys: Vec<Vec<f32>>,
    values: Vec<Vec<f32>>,
}

/// Generates all tokens of `request`.
pub(crate) fn generate(weights: &Weights, request: &Request) -> Vec<u32> {
    let mut histories: [History; LAYERS] = Default::default();
    let mut next = 0;
    for (position, token) in request.prompt.iter().enumerate() {
        next = read_token(weights, &mut histories, position, *token);
    }
    let mut tokens = vec![next];
    for position in (request.prompt.len()..).take(request.max_new_tokens as usize - 1) {
        next = read_token(weights, &mut histories, position, next);
        tokens.push(next);
    }
    tokens
}

/// Takes one token through all layers and returns the likeliest next one.
fn read_token(weights: &Weights, histories: &mut [History], position: usize, token: u32) -> u32 {
    let start = token as usize * WIDTH;
    let mut hidden = weights.embedding[start..start + WIDTH].to_vec();
    for (layer, history) in weights.layers.iter().zip(histories) {
        let attended = attention(layer, history, position, &hidden);
        add_product(&mut hidden, &attended, &layer.out);
        let gated = mlp(layer, &hidden);
        add_product(&mut hidden, &gated, &layer.down);
    }
    argmax(&product(
        &norm(&hidden, &weights.final_norm),
        &weights.lm_head,
    )) as u32
}

fn attention(
    layer: &LayerWeights,
    history: &mut History,
    position: usize,
    hidden: &[f32],
) -> Vec<f32> {
    let mut qkv = product(&norm(hidden, &layer.attention_norm), &layer.qkv);
    rotate(&mut qkv[..2 * WIDTH], position);
    history.keys.push(qkv[WIDTH..2 * WIDTH].to_vec());
    history.values.push(qkv[2 * WIDTH..].to_vec());
    let scale = 1.0 / (HEAD_WIDTH as f32).sqrt();
    let mut attended = vec![0.0; WIDTH];
    for head in 0..HEADS {
        let lanes = head * HEAD_WIDTH..(head + 1) * HEAD_WIDTH;
        let query = &qkv[lanes.clone()];
        let mut scores: Vec<f32> = history
            .keys
            .iter()
            .map(|key| dot(query, &key[lanes.clone()]) * scale)
            .collect();
        softmax(&mut scores);
        for lane in lanes {
            attended[lane] = scores
                .iter()
                .zip(&history.values)
                .fold(0.0, |sum, (score, value)| sum + score * value[lane]);
        }
    }
    attended
}

fn mlp(layer: &LayerWeights, hidden: &[f32]) -> Vec<f32> {
    let gate_up = product(&norm(hidden, &layer.mlp_norm), &layer.gate_up);
    (0..MLP_WIDTH)
        .map(|lane| silu_times(gate_up[lane], gate_up[MLP_WIDTH + lane]))
        .collect()
}

fn norm(row: &[f32], gain: &[f32]) -> Vec<f32> {
    let mut output = vec![0.0; row.len()];
    rms_norm(row, gain, &mut output);
    output
}

/// `[K] * [K, N]`.
fn product(row: &[f32], weight: &[f32]) -> Vec<f32> {
    let mut output = vec![0.0; weight.len() / row.len()];
    add_product(&mut output, row, weight);
    output
}

/// Adds `[K] * [K, N]` to `[N]`.
fn add_product(output: &mut [f32], row: &[f32], weight: &[f32]) {
    for (value, weight) in row.iter().zip(weight.chunks_exact(output.len())) {
        for (output, weight) in output.iter_mut().zip(weight) {
            *output += value * weight;
        }
    }
}
