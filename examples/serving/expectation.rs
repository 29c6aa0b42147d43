//! What the model must say: the outputs of the first requests, a hash over those of the default load, and for loads of
//! another size the plain model's opinion on some requests.

use std::fmt;

use crate::error::Error;
use crate::http::Completion;
use crate::reference;
use crate::request::Request;
use crate::weights::Weights;

/// Requests of the default load.
pub(crate) const DEFAULT_REQUESTS: u32 = 72;

/// Tokens per request of the default load.
pub(crate) const DEFAULT_TOKENS: u32 = 48;

/// Hash over all tokens of the default load, in the order of the requests.
const DEFAULT_HASH: u64 = 0x3aa4_76b2_eb33_e792;

/// The first tokens of the first requests, whatever the size of the load.
const FIRST_TOKENS: [[u32; 16]; 4] = [
    [
        167, 137, 402, 52, 73, 288, 366, 497, 382, 175, 143, 485, 91, 146, 377, 202,
    ],
    [
        273, 345, 394, 173, 85, 314, 56, 443, 355, 306, 53, 72, 471, 142, 92, 427,
    ],
    [
        365, 219, 8, 143, 307, 246, 433, 47, 267, 316, 253, 314, 83, 364, 27, 311,
    ],
    [
        251, 304, 58, 482, 58, 61, 313, 47, 246, 384, 172, 430, 311, 427, 314, 4,
    ],
];

/// Requests compared with the plain model.
const REFERENCE_REQUESTS: usize = 3;

/// Tokens of each of them that are compared, from the first on.
const REFERENCE_TOKENS: usize = 32;

/// How the outputs were checked; all of them were right.
pub(crate) struct Verdict {
    hash: u64,
    hash_expected: bool,
    fixed_tokens: usize,
    reference_tokens: usize,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            hash,
            fixed_tokens,
            reference_tokens,
            ..
        } = self;
        let expected = if self.hash_expected {
            "as expected"
        } else {
            "of a load without an expected one"
        };
        write!(
            f,
            "ok (hash {hash:016x} {expected}; {fixed_tokens} fixed tokens"
        )?;
        write!(f, "; {reference_tokens} tokens of the plain model)")
    }
}

/// Checks the completions of a load of `requests` times `tokens`, sorted by number.
#[ringscope::instrument(name = "expectation.check", cat = "serving")]
pub(crate) fn check(
    completions: &[Completion],
    requests: u32,
    tokens: u32,
) -> Result<Verdict, Error> {
    check_sizes(completions, requests, tokens)?;
    let fixed_tokens = check_fixed(completions)?;
    let hash = hash(completions);
    let hash_expected = (requests, tokens) == (DEFAULT_REQUESTS, DEFAULT_TOKENS);
    if hash_expected && hash != DEFAULT_HASH {
        let why = format!("their hash is {hash:016x} instead of {DEFAULT_HASH:016x}");
        return Err(Error::new("wrong tokens", "the default load", why));
    }
    let reference_tokens = check_reference(completions, tokens)?;
    Ok(Verdict {
        hash,
        hash_expected,
        fixed_tokens,
        reference_tokens,
    })
}

/// Every request was answered once, with as many tokens as were asked for.
fn check_sizes(completions: &[Completion], requests: u32, tokens: u32) -> Result<(), Error> {
    let numbers = completions.iter().map(|completion| completion.id.0);
    if !numbers.eq(0..requests) {
        let why = format!("{} answers to {requests} requests", completions.len());
        return Err(Error::new("wrong answers", "all requests", why));
    }
    match completions
        .iter()
        .find(|completion| completion.tokens.len() != tokens as usize)
    {
        None => Ok(()),
        Some(Completion {
            id, tokens: got, ..
        }) => Err(Error::new(
            "wrong answer",
            id,
            format!("{} tokens instead of {tokens}", got.len()),
        )),
    }
}

/// The first requests begin as they always do. Returns the number of tokens compared.
fn check_fixed(completions: &[Completion]) -> Result<usize, Error> {
    let pairs = completions.iter().zip(&FIRST_TOKENS);
    pairs
        .map(|(completion, expected)| check_prefix(completion, expected))
        .sum()
}

/// Some requests, spread over the load, begin as the plain model has them. Returns the number of tokens compared.
fn check_reference(completions: &[Completion], tokens: u32) -> Result<usize, Error> {
    let weights = Weights::seeded();
    let stride = completions.len().div_ceil(REFERENCE_REQUESTS).max(1);
    let sample = completions.iter().rev().step_by(stride);
    sample
        .map(|completion| {
            let request = Request::numbered(completion.id, tokens.min(REFERENCE_TOKENS as u32));
            check_prefix(completion, &reference::generate(&weights, &request))
        })
        .sum()
}

/// The completion and the expected tokens agree as far as both go. Returns how far that is.
fn check_prefix(completion: &Completion, expected: &[u32]) -> Result<usize, Error> {
    let pairs = completion.tokens.iter().zip(expected);
    let compared = pairs.len();
    match pairs
        .enumerate()
        .find(|(_, (got, expected))| got != expected)
    {
        None => Ok(compared),
        Some((position, (got, expected))) => {
            let why = format!(
                "token {position} is {got} instead of {expected} (its tokens: {:?})",
                completion.tokens
            );
            Err(Error::new("wrong tokens", completion.id, why))
        }
    }
}

/// FNV-1a over the tokens of all completions.
fn hash(completions: &[Completion]) -> u64 {
    let tokens = completions.iter().flat_map(|completion| &completion.tokens);
    let bytes = tokens.flat_map(|token| token.to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
