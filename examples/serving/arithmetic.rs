//! Floating-point building blocks that give the same bits on every machine.
//!
//! Only `+ - * /`, square root and comparisons are used, which IEEE 754 defines to the last bit, and every sum has one
//! fixed order. The exponential, sine and cosine of the platform's math library are not defined to the last bit, so the
//! model brings its own.

use std::f32::consts::LOG2_E;
use std::f64::consts::TAU;

/// Partial sums that [`dot`] keeps side by side.
const DOT_LANES: usize = 8;

/// ln 2 in two parts: the first has few enough bits that a product with a small integer is exact.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// e to the power of `x`, with `x` limited to -87..=88 so that the result is a normal number.
pub(crate) fn exp(x: f32) -> f32 {
    let x = x.clamp(-87.0, 88.0);
    let halves = x * LOG2_E + if x < 0.0 { -0.5 } else { 0.5 };
    let exponent = halves as i32;
    let rest = (x - exponent as f32 * LN_2_HIGH) - exponent as f32 * LN_2_LOW;
    // Taylor's series; |rest| <= ln 2 / 2 keeps the error below two units in the last place.
    const COEFFICIENTS: [f32; 6] = [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];
    let power = COEFFICIENTS
        .iter()
        .fold(1.0 / 720.0, |sum, coefficient| sum * rest + coefficient);
    let scale = f32::from_bits(((exponent + 127) as u32) << 23);
    power * scale
}

/// Sine and cosine of an angle in full turns, `0.0..`.
pub(crate) fn sin_cos_of_turns(turns: f64) -> (f32, f32) {
    let quarters = (turns * 4.0 + 0.5) as u64;
    let angle = (turns - quarters as f64 * 0.25) * TAU;
    let square = angle * angle;
    let sine = angle
        * (1.0
            - square / 6.0 * (1.0 - square / 20.0 * (1.0 - square / 42.0 * (1.0 - square / 72.0))));
    let cosine =
        1.0 - square / 2.0 * (1.0 - square / 12.0 * (1.0 - square / 30.0 * (1.0 - square / 56.0)));
    let (sine, cosine) = (sine as f32, cosine as f32);
    match quarters % 4 {
        0 => (sine, cosine),
        1 => (cosine, -sine),
        2 => (-sine, -cosine),
        _ => (-cosine, sine),
    }
}

/// Sum of the products of two equally long vectors, whose length is a multiple of eight.
pub(crate) fn dot(left: &[f32], right: &[f32]) -> f32 {
    let (left, _) = left.as_chunks::<DOT_LANES>();
    let (right, _) = right.as_chunks::<DOT_LANES>();
    let mut sums = [0.0f32; DOT_LANES];
    for (left, right) in left.iter().zip(right) {
        for lane in 0..DOT_LANES {
            sums[lane] += left[lane] * right[lane];
        }
    }
    ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]))
}

/// Adds `factor * input` to `output`, element by element.
pub(crate) fn add_scaled(output: &mut [f32], factor: f32, input: &[f32]) {
    for (output, input) in output.iter_mut().zip(input) {
        *output += factor * input;
    }
}

/// Divides each element of `row` by the row's root mean square and multiplies it by its gain.
pub(crate) fn rms_norm(row: &[f32], gain: &[f32], output: &mut [f32]) {
    let mean_square = dot(row, row) / row.len() as f32;
    let scale = 1.0 / (mean_square + 1e-5).sqrt();
    for ((output, value), gain) in output.iter_mut().zip(row).zip(gain) {
        *output = value * scale * gain;
    }
}

/// Turns scores into weights that sum to one.
pub(crate) fn softmax(scores: &mut [f32]) {
    let largest = scores.iter().copied().fold(f32::MIN, f32::max);
    let mut sum = 0.0f32;
    for score in scores.iter_mut() {
        *score = exp(*score - largest);
        sum += *score;
    }
    for score in scores.iter_mut() {
        *score /= sum;
    }
}

/// The gated activation of the MLP: `gate * sigmoid(gate) * up`.
pub(crate) fn silu_times(gate: f32, up: f32) -> f32 {
    gate / (1.0 + exp(-gate)) * up
}

/// Position of the largest element; the first one of several equal ones.
pub(crate) fn argmax(values: &[f32]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    best
}
