//! The usage object of Chat Completions, in the spellings of those who speak it.

use schemas::usage::Usage;

use crate::formats::anthropic::usage::cache_writes;
use crate::formats::json::Object;

/// Translates a usage object. `prompt_tokens` hold the cached ones; where a provider reports more cached than prompt
/// tokens (it rounds to cache blocks, or counts a hidden prefix), nothing of the prompt was fresh.
pub(crate) fn normalise(usage: &Object<'_>) -> Usage {
    let prompt = usage.object("prompt_tokens_details").unwrap_or_default();
    let input = usage.count("prompt_tokens");
    let cache_read = prompt
        .count("cached_tokens")
        .or_else(|| usage.count("prompt_cache_hit_tokens"))
        .or_else(|| usage.count("num_cached_tokens"))
        .or_else(|| usage.count("cached_tokens"))
        .or_else(|| usage.count("cache_read_input_tokens"));
    let (cache_write_5m, cache_write_1h) = match prompt.count("cache_write_tokens") {
        Some(written) if usage.get("cache_creation").is_none() => (Some(written), None),
        _ => cache_writes(usage),
    };
    let parts = [cache_read, cache_write_5m, cache_write_1h];
    let cached = parts.iter().flatten().fold(0, |sum: u64, part| sum.saturating_add(*part));
    let reasoning = reasoning(usage);
    Usage {
        input,
        fresh_input: input.map(|input| input.saturating_sub(cached)),
        cache_read,
        cache_write_5m,
        cache_write_1h,
        output: output(usage, reasoning),
        reasoning,
    }
}

/// Whether a usage object counts anything: one with nothing but zeros does not undo an earlier one (S59).
pub(crate) fn counts(usage: &Usage) -> bool {
    usage.input.unwrap_or(0) > 0 || usage.output.unwrap_or(0) > 0
}

fn reasoning(usage: &Object<'_>) -> Option<u64> {
    let details = usage.object("completion_tokens_details").unwrap_or_default();
    details.count("reasoning_tokens").or_else(|| usage.count("reasoning_tokens"))
}

/// All billed output. `completion_tokens` hold the reasoning, except with those who count it beside: then the total
/// tells (xAI), or the reasoning is more than it could be a part of (Vercel's gateway before Gemini, whose charge
/// confirms it). OpenRouter reports the total as reasoning when an answer is cut inside it; its charge says that the
/// completion is all there was.
fn output(usage: &Object<'_>, reasoning: Option<u64>) -> Option<u64> {
    let completion = usage.count("completion_tokens")?;
    let Some(reasoning) = reasoning.filter(|tokens| *tokens > 0) else { return Some(completion) };
    let with_reasoning = completion.saturating_add(reasoning);
    let total = usage.count("total_tokens");
    let by_total = total == Some(usage.count("prompt_tokens").unwrap_or(0).saturating_add(with_reasoning));
    let by_size = reasoning > completion && total != Some(reasoning);
    Some(if by_total || by_size { with_reasoning } else { completion })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Usage {
        normalise(&Object::parse(text).unwrap())
    }

    #[test]
    fn cached_tokens_are_part_of_the_prompt_in_every_spelling() {
        for cached in [
            r#""prompt_tokens_details":{"cached_tokens":30}"#,
            r#""prompt_tokens_details":null,"prompt_cache_hit_tokens":30"#,
            r#""num_cached_tokens":30"#,
            r#""cached_tokens":30"#,
            r#""cache_read_input_tokens":30"#,
        ] {
            let usage = read(&format!(r#"{{"prompt_tokens":100,"completion_tokens":5,{cached}}}"#));
            assert_eq!((usage.input, usage.fresh_input, usage.cache_read), (Some(100), Some(70), Some(30)), "{cached}");
        }
    }

    #[test]
    fn cache_writes_keep_their_split() {
        let split = r#"{"prompt_tokens":50,"cache_creation_input_tokens":30,"cache_creation":{"ephemeral_1h_input_tokens":10},
            "prompt_tokens_details":{"cache_write_tokens":30}}"#;
        let usage = read(split);
        assert_eq!((usage.cache_write_5m, usage.cache_write_1h, usage.fresh_input), (Some(20), Some(10), Some(20)));
        let usage = read(r#"{"prompt_tokens":50,"prompt_tokens_details":{"cache_write_tokens":30}}"#);
        assert_eq!((usage.cache_write_5m, usage.cache_write_1h, usage.fresh_input), (Some(30), None, Some(20)));
    }

    #[test]
    fn output_has_the_reasoning_wherever_it_is_counted() {
        let output = |prompt, completion, reasoning, total| {
            read(&format!(
                r#"{{"prompt_tokens":{prompt},"completion_tokens":{completion},"total_tokens":{total},
                    "completion_tokens_details":{{"reasoning_tokens":{reasoning}}}}}"#
            ))
            .output
        };
        assert_eq!(output(24, 1355, 1084, 1379), Some(1355), "inside");
        assert_eq!(output(288, 27, 350, 665), Some(377), "beside, and the total has it");
        assert_eq!(output(432, 136, 68, 636), Some(204), "beside and smaller, and the total has it");
        assert_eq!(output(57, 10, 37, 67), Some(47), "beside, and the total leaves it out");
        assert_eq!(output(15, 256, 271, 271), Some(256), "the total reported as reasoning");
    }

    #[test]
    fn what_is_not_reported_is_unknown() {
        assert_eq!(read("{}"), Usage::UNKNOWN);
        let usage = read(r#"{"prompt_tokens":7,"completion_tokens":null,"total_tokens":null}"#);
        assert_eq!((usage.input, usage.fresh_input, usage.output), (Some(7), Some(7), None));
    }
}
