//! Token counts, in one definition for all formats.
//!
//! OpenTelemetry GenAI's inclusive meaning: `input` holds every prompt token, cached ones included, and `output` every
//! billed output token, reasoning included. Providers differ (OpenAI and Gemini report cached tokens inside the prompt,
//! Anthropic beside it); the gateway's format folders translate, everybody else uses these fields as they are.

use serde::{Deserialize, Serialize};

/// What a request used. `None` means that nobody told: it is never the same as zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// All prompt tokens: `fresh_input + cache_read + cache_write_5m + cache_write_1h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<u64>,
    /// The part of `input` that is charged at the full input price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fresh_input: Option<u64>,
    /// The part of `input` that was read from the provider's prompt cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<u64>,
    /// The part of `input` written to the cache for five minutes (also: written with an unstated lifetime).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_5m: Option<u64>,
    /// The part of `input` written to the cache for one hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<u64>,
    /// All billed output tokens, reasoning included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<u64>,
    /// The part of `output` that the model spent on reasoning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<u64>,
}

impl Usage {
    /// Nothing known.
    pub const UNKNOWN: Self = Self {
        input: None,
        fresh_input: None,
        cache_read: None,
        cache_write_5m: None,
        cache_write_1h: None,
        output: None,
        reasoning: None,
    };

    /// The same prompt and answer, had nothing been read from or written to a prompt cache.
    pub fn without_cache(&self) -> Self {
        Self { fresh_input: self.input, cache_read: None, cache_write_5m: None, cache_write_1h: None, ..*self }
    }

    /// Whether the provider told anything about its prompt cache, if only that it was not used.
    pub fn tells_of_cache(&self) -> bool {
        [self.cache_read, self.cache_write_5m, self.cache_write_1h].iter().any(Option::is_some)
    }

    /// Whether anything at all is known.
    pub fn is_known(&self) -> bool {
        *self != Self::UNKNOWN
    }
}
