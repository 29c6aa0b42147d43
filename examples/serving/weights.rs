//! Sizes and weights of the model: a decoder-only transformer with rotary positions and a gated MLP.

use crate::random::SplitMix64;

/// Tokens the model knows.
pub(crate) const VOCABULARY: usize = 512;
/// Width of a hidden row, in floats.
pub(crate) const WIDTH: usize = 320;
/// Attention heads; each sees [`HEAD_WIDTH`] floats of a row.
pub(crate) const HEADS: usize = WIDTH / HEAD_WIDTH;
/// Width of one attention head, in floats.
pub(crate) const HEAD_WIDTH: usize = 32;
/// Width of the MLP's hidden layer, in floats.
pub(crate) const MLP_WIDTH: usize = 768;
/// Decoder layers.
pub(crate) const LAYERS: usize = 4;

/// Seed of all weights.
const SEED: u64 = 0x7269_6e67_7363_6f70;

/// Weights of one decoder layer. Matrices are row-major, input by output.
pub(crate) struct LayerWeights {
    /// `decoder_layer.N`, the name of the layer's span.
    pub(crate) name: String,
    /// Gains of the norm before the attention: `[WIDTH]`.
    pub(crate) attention_norm: Vec<f32>,
    /// Query, key and value projections side by side: `[WIDTH, 3 * WIDTH]`.
    pub(crate) qkv: Vec<f32>,
    /// Output projection of the attention: `[WIDTH, WIDTH]`.
    pub(crate) out: Vec<f32>,
    /// Gains of the norm before the MLP: `[WIDTH]`.
    pub(crate) mlp_norm: Vec<f32>,
    /// Gate and up projections side by side: `[WIDTH, 2 * MLP_WIDTH]`.
    pub(crate) gate_up: Vec<f32>,
    /// Down projection: `[MLP_WIDTH, WIDTH]`.
    pub(crate) down: Vec<f32>,
}

/// All weights of the model.
pub(crate) struct Weights {
    /// One row per token: `[VOCABULARY, WIDTH]`.
    pub(crate) embedding: Vec<f32>,
    /// The decoder layers, first to last.
    pub(crate) layers: Vec<LayerWeights>,
    /// Gains of the last norm: `[WIDTH]`.
    pub(crate) final_norm: Vec<f32>,
    /// Projection to one logit per token: `[WIDTH, VOCABULARY]`.
    pub(crate) lm_head: Vec<f32>,
}

impl Weights {
    /// Fills the model with seeded random weights: the same in every process.
    pub(crate) fn seeded() -> Self {
        let mut random = SplitMix64::new(SEED);
        Self {
            embedding: (0..VOCABULARY * WIDTH)
                .map(|_| random.symmetric(1.0))
                .collect(),
            layers: (0..LAYERS)
                .map(|index| LayerWeights::seeded(index, &mut random))
                .collect(),
            final_norm: gains(&mut random),
            lm_head: matrix(&mut random, WIDTH, VOCABULARY),
        }
    }
}

impl LayerWeights {
    fn seeded(index: usize, random: &mut SplitMix64) -> Self {
        Self {
            name: format!("decoder_layer.{index}"),
            attention_norm: gains(random),
            qkv: matrix(random, WIDTH, 3 * WIDTH),
            out: matrix(random, WIDTH, WIDTH),
            mlp_norm: gains(random),
            gate_up: matrix(random, WIDTH, 2 * MLP_WIDTH),
            down: matrix(random, MLP_WIDTH, WIDTH),
        }
    }
}

/// A random matrix that keeps the variance of its input: `[inputs, outputs]`.
fn matrix(random: &mut SplitMix64, inputs: usize, outputs: usize) -> Vec<f32> {
    let half_width = (6.0 / inputs as f32).sqrt();
    (0..inputs * outputs)
        .map(|_| random.symmetric(half_width))
        .collect()
}

/// Gains of a norm, around one: `[WIDTH]`.
fn gains(random: &mut SplitMix64) -> Vec<f32> {
    (0..WIDTH).map(|_| 1.0 + random.symmetric(0.25)).collect()
}
