//! The usage object of Responses: cached tokens are part of the input, reasoning is part of the output.

use schemas::usage::Usage;

use crate::formats::json::Object;

/// Translates a usage object.
pub(crate) fn normalise(usage: &Object<'_>) -> Usage {
    let details = usage.object("input_tokens_details").unwrap_or_default();
    let input = usage.count("input_tokens");
    let cache_read = details.count("cached_tokens");
    let cache_write_5m = details.count("cache_write_tokens");
    let cached = cache_read.unwrap_or(0).saturating_add(cache_write_5m.unwrap_or(0));
    let output_details = usage.object("output_tokens_details").unwrap_or_default();
    Usage {
        input,
        fresh_input: input.map(|input| input.saturating_sub(cached)),
        cache_read,
        cache_write_5m,
        cache_write_1h: None,
        output: usage.count("output_tokens"),
        reasoning: output_details.count("reasoning_tokens"),
    }
}
