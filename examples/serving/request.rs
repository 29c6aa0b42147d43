//! Requests: their ids, their prompts, and the load this program serves.

use std::fmt;

use crate::random::SplitMix64;
use crate::weights::VOCABULARY;

/// Shortest and longest prompt, in tokens.
const PROMPT_TOKENS: std::ops::RangeInclusive<u32> = 6..=20;

/// Longest prompt, in tokens.
pub(crate) const MAX_PROMPT_TOKENS: usize = *PROMPT_TOKENS.end() as usize;

/// Number of a request, counted from 0 in the order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RequestId(pub(crate) u32);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "req-{}", self.0)
    }
}

/// Several request ids as a profile argument: `req-1,req-4`.
pub(crate) struct RequestIds<'a>(pub(crate) &'a [RequestId]);

impl fmt::Display for RequestIds<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, id) in self.0.iter().enumerate() {
            let separator = if position == 0 { "" } else { "," };
            write!(f, "{separator}{id}")?;
        }
        Ok(())
    }
}

/// One completion to produce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// Number of the request.
    pub(crate) id: RequestId,
    /// Tokens to start from, at least one.
    pub(crate) prompt: Vec<u32>,
    /// Tokens to generate, at least one.
    pub(crate) max_new_tokens: u32,
}

impl Request {
    /// The request with this number: its prompt depends on the number alone.
    pub(crate) fn numbered(id: RequestId, max_new_tokens: u32) -> Self {
        let mut random = SplitMix64::new(0x7265_7175_6573_7400 ^ u64::from(id.0));
        let spread = PROMPT_TOKENS.end() - PROMPT_TOKENS.start() + 1;
        let len = PROMPT_TOKENS.start() + random.below(spread);
        let prompt = (0..len).map(|_| random.below(VOCABULARY as u32)).collect();
        Self {
            id,
            prompt,
            max_new_tokens,
        }
    }
}
