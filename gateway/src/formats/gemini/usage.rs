//! Gemini's `usageMetadata`. It leaves out what is zero, as protocol buffers do; thoughts are counted beside the
//! candidates, and the results of the provider's own tools beside the prompt.

use schemas::usage::Usage;

use crate::formats::json::Object;

/// Translates a usage object.
pub(crate) fn normalise(usage: &Object<'_>) -> Usage {
    let count = |key| usage.count(key).unwrap_or(0);
    let input = count("promptTokenCount").saturating_add(count("toolUsePromptTokenCount"));
    let cache_read = count("cachedContentTokenCount");
    let reasoning = count("thoughtsTokenCount");
    Usage {
        input: Some(input),
        fresh_input: Some(input.saturating_sub(cache_read)),
        cache_read: Some(cache_read),
        // Explicit caches are written, and billed, by requests of their own.
        cache_write_5m: None,
        cache_write_1h: None,
        output: Some(count("candidatesTokenCount").saturating_add(reasoning)),
        reasoning: Some(reasoning),
    }
}
