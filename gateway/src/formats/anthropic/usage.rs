//! Anthropic's usage object. Its `input_tokens` leave out what the cache read and wrote; Weir's `input` has it all.

use schemas::usage::Usage;
use serde_json::{Map, Value};

use crate::formats::json::Object;

/// Translates a usage object.
pub(crate) fn normalise(usage: &Object<'_>) -> Usage {
    let fresh_input = usage.count("input_tokens");
    let cache_read = usage.count("cache_read_input_tokens");
    let (cache_write_5m, cache_write_1h) = cache_writes(usage);
    let parts = [cache_read, cache_write_5m, cache_write_1h];
    let cached = parts.iter().flatten().fold(0, |sum: u64, part| sum.saturating_add(*part));
    let details = usage.object("output_tokens_details");
    Usage {
        input: fresh_input.map(|fresh| fresh.saturating_add(cached)),
        fresh_input,
        cache_read,
        cache_write_5m,
        cache_write_1h,
        output: usage.count("output_tokens"),
        reasoning: details.and_then(|details| details.count("thinking_tokens")),
    }
}

/// Tokens written to the cache, for five minutes and for an hour. Where only their sum is told, it is five minutes,
/// the API's default; where the sum has moved on since it was split, the hour's part is what is known.
pub(crate) fn cache_writes(usage: &Object<'_>) -> (Option<u64>, Option<u64>) {
    let split = usage.object("cache_creation").unwrap_or_default();
    let split_5m = split.count("ephemeral_5m_input_tokens");
    let split_1h = split.count("ephemeral_1h_input_tokens");
    let Some(total) = usage.count("cache_creation_input_tokens") else { return (split_5m, split_1h) };
    let one_hour = split_1h.map(|tokens| tokens.min(total));
    (Some(total - one_hour.unwrap_or(0)), one_hour)
}

/// Lays a later usage object of a stream over the earlier ones, member by member.
///
/// `message_delta` counts are cumulative, may fall, and often name only some members; `null` says nothing, and a zero
/// does not undo what was counted (S59, W13).
pub(crate) fn merge(merged: &mut Map<String, Value>, later: Map<String, Value>) {
    for (key, value) in later {
        match (merged.get_mut(&key), value) {
            (Some(_), Value::Null) => {}
            (Some(Value::Object(merged)), Value::Object(later)) => merge(merged, later),
            (Some(Value::Number(old)), Value::Number(new)) if is_zero(&new) && !is_zero(old) => {}
            (Some(slot), value) => *slot = value,
            (None, value) => {
                merged.insert(key, value);
            }
        }
    }
}

fn is_zero(number: &serde_json::Number) -> bool {
    number.as_f64() == Some(0.0)
}
