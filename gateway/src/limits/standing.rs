//! What is left of a client's limits, as an answer's headers tell it.

use std::time::Duration;

/// Of requests and tokens per minute, where they are limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Requests per minute.
    pub requests: Option<Figure>,
    /// Tokens per minute.
    pub tokens: Option<Figure>,
}

/// One limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figure {
    /// Most within a minute.
    pub limit: u64,
    /// What is left now.
    pub remaining: u64,
    /// Until all of it is there again.
    pub reset: Duration,
}

impl Standing {
    /// Of two that both hold, what is tighter.
    pub(super) fn tighter(self, other: Self) -> Self {
        let tighter = |one: Option<Figure>, other: Option<Figure>| match (one, other) {
            (Some(one), Some(other)) => Some(if other.remaining < one.remaining { other } else { one }),
            (one, other) => one.or(other),
        };
        Self { requests: tighter(self.requests, other.requests), tokens: tighter(self.tokens, other.tokens) }
    }
}
