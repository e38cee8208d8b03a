//! What the row of a replayed recording must say, worked out from what two other readers made of it.

use schemas::outcome::Format;
use tests::corpus::{Expected, Recording};
use tests::stack::Row;

use super::play::Play;

/// Token counts in Weir's one definition.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    input: Option<u64>,
    fresh_input: Option<u64>,
    cache_read: Option<u64>,
    cache_write_5m: Option<u64>,
    cache_write_1h: Option<u64>,
    output: Option<u64>,
    reasoning: Option<u64>,
}

/// What is wrong with a row. `got_bytes`: how much the client got.
pub fn differences(play: &Play, row: &Row, got_bytes: usize) -> Vec<String> {
    let columns = identity(play, row).into_iter().chain(ending(play, row, got_bytes)).chain(counts(play, row));
    let differs = columns.filter(|(_, expected, got)| expected != got);
    differs
        .map(|(column, expected, got)| {
            format!("{}: {column} is {got}, not {expected} (outcome {})", play.name(), row.outcome)
        })
        .collect()
}

type Column = (&'static str, String, String);

fn text(value: impl std::fmt::Debug) -> String {
    format!("{value:?}")
}

fn identity(play: &Play, row: &Row) -> Vec<Column> {
    let model = play.recording.expected.model.clone().unwrap_or_default();
    vec![
        ("format", text(play.format.as_str()), text(&row.format)),
        ("model_reported", text(model), text(&row.model_reported)),
        ("model_requested", text(&play.alias), text(&row.model_requested)),
        ("model_upstream", text(&play.model), text(&row.model_upstream)),
        ("request_bytes", text(play.request.len()), text(row.request_bytes)),
        ("attempts", text(1), text(row.attempts)),
        ("client", text("team-a"), text(&row.client)),
        ("provider", text("recorded"), text(&row.provider)),
        ("key", text("main"), text(&row.key)),
    ]
}

fn ending(play: &Play, row: &Row, got_bytes: usize) -> Vec<Column> {
    let (expected, status) = (&play.recording.expected, play.recording.response.status);
    let counted = until_end(play)..=got_bytes as u64;
    vec![
        ("outcome", text(outcome(play, row)), text(&row.outcome)),
        ("status", text(play.status()), text(row.status)),
        ("upstream_status", text(Some(status)), text(row.upstream_status)),
        ("error_class", text(error_class(play)), text(&row.error_class)),
        ("error_type", text(expected.error_type.clone().unwrap_or_default()), text(&row.error_type)),
        ("stop_reason", text(expected.stop_reason.clone().unwrap_or_default()), text(&row.stop_reason)),
        (
            "response_bytes up to the end",
            format!("in {counted:?}"),
            if counted.contains(&row.response_bytes) { format!("in {counted:?}") } else { text(row.response_bytes) },
        ),
    ]
}

/// Before any content an error is a failed attempt, after it a broken answer. Where there was something else than text,
/// either is right.
fn outcome(play: &Play, row: &Row) -> &'static str {
    let (expected, status) = (&play.recording.expected, play.recording.response.status);
    let has_other = ["tools", "server_tools", "thinking", "reasoning", "reasoning_content", "reasoning_deltas"]
        .iter()
        .any(|feature| play.recording.has(feature));
    match () {
        () if expected.completed => "completed",
        () if status >= 400 => "failed",
        () if !expected.is_error || expected.text_chars > 0 => "interrupted",
        () if has_other && row.outcome == "interrupted" => "interrupted",
        () => "failed",
    }
}

fn error_class(play: &Play) -> &'static str {
    let expected = &play.recording.expected;
    match play.recording.response.status {
        401 | 403 => "upstream_auth",
        429 => "upstream_rate_limited",
        400..500 => "upstream_client_error",
        500.. => "upstream_server_error",
        _ if expected.completed => "",
        _ if expected.is_error => "upstream_in_band",
        _ if play.is_stream() => "stream_cut",
        _ => "upstream_invalid",
    }
}

fn counts(play: &Play, row: &Row) -> Vec<Column> {
    let recording = &play.recording;
    let expected = &recording.expected;
    let is_reported = expected.input_tokens.is_some() || expected.output_tokens.is_some();
    let raw_usage = ("raw_usage", text(is_reported), text(!row.raw_usage.is_empty()));
    if !is_reported {
        // What nobody reported is unknown, or an estimate that calls itself one; never a count that looks like theirs.
        let is_known = row.input_tokens.is_some() || row.output_tokens.is_some();
        let source = if is_known { "estimated" } else { "none" };
        return vec![raw_usage, ("usage_source", text(source), text(&row.usage_source))];
    }
    let counts = match play.format {
        Format::Anthropic => anthropic(expected),
        Format::OpenaiChat => openai_chat(recording),
        Format::OpenaiResponses => openai(expected),
        Format::Gemini => gemini(expected),
    };
    // Parts of a usage that the provider does not report are unknown or none: both are said to be right.
    let part = |value: Option<u64>| text(value.unwrap_or_default());
    // Of an answer that broke off, the output counted so far is a lower bound: an estimate, called one, takes its place.
    let is_bound = !expected.completed && row.usage_source == "estimated";
    let output = if is_bound { row.output_tokens.min(counts.output) } else { row.output_tokens };
    vec![
        raw_usage,
        ("usage_source", text("provider"), text(if is_bound { "provider" } else { &row.usage_source })),
        ("input_tokens", text(counts.input), text(row.input_tokens)),
        ("fresh_input_tokens", text(counts.fresh_input), text(row.fresh_input_tokens)),
        ("output_tokens", text(counts.output), text(output)),
        ("cache_read_tokens", part(counts.cache_read), part(row.cache_read_tokens)),
        ("cache_write_5m_tokens", part(counts.cache_write_5m), part(row.cache_write_5m_tokens)),
        ("cache_write_1h_tokens", part(counts.cache_write_1h), part(row.cache_write_1h_tokens)),
        ("reasoning_tokens", part(counts.reasoning), part(row.reasoning_tokens)),
    ]
}

/// The bytes up to what marks the end. The terminal event is written before that goes out, so what comes behind it is
/// relayed and not counted: a line end that travels by itself, a marker that a relay has appended.
fn until_end(play: &Play) -> u64 {
    let body = &play.expected;
    let end = |mark: &[u8]| body.windows(mark.len()).rposition(|window| window == mark).map(|at| at + mark.len());
    let found = match play.format {
        Format::Anthropic => end(br#"{"type":"message_stop""#),
        Format::OpenaiChat => end(b"data: [DONE]"),
        Format::OpenaiResponses => end(b"\n\ndata: [DONE]").map(|at| at - b"\n\ndata: [DONE]".len()),
        Format::Gemini => None,
    };
    found.unwrap_or(body.trim_ascii_end().len()) as u64
}

/// Anthropic counts cached tokens beside the input.
fn anthropic(expected: &Expected) -> Counts {
    let cache_write_1h = expected.cache_creation_1h_tokens;
    // The sum grows during a stream while the split stays at its first value: what is not for an hour is for five minutes.
    let beside = |all: u64| all.saturating_sub(cache_write_1h.unwrap_or_default());
    let cache_write_5m = expected.cache_creation_tokens.map(beside).or(expected.cache_creation_5m_tokens);
    let cached = [expected.cache_read_tokens, cache_write_5m, cache_write_1h].into_iter().flatten().sum::<u64>();
    Counts {
        input: expected.input_tokens.map(|fresh| fresh + cached),
        fresh_input: expected.input_tokens,
        cache_read: expected.cache_read_tokens,
        cache_write_5m,
        cache_write_1h,
        output: expected.output_tokens,
        reasoning: expected.reasoning_tokens,
    }
}

/// OpenAI counts cached tokens in the prompt and reasoning in the output.
fn openai(expected: &Expected) -> Counts {
    let (cache_read, cache_write_5m) = (expected.cache_read_tokens, expected.cache_creation_tokens);
    let cached = cache_read.unwrap_or_default() + cache_write_5m.unwrap_or_default();
    Counts {
        input: expected.input_tokens,
        fresh_input: expected.input_tokens.map(|all| all.saturating_sub(cached)),
        cache_read,
        cache_write_5m,
        cache_write_1h: None,
        output: expected.output_tokens,
        reasoning: expected.reasoning_tokens,
    }
}

/// Some who speak OpenAI's chat dialect count reasoning beside the answer. They are known by name here.
fn openai_chat(recording: &Recording) -> Counts {
    let expected = &recording.expected;
    let counts = openai(expected);
    let reasoning = expected.reasoning_tokens.unwrap_or_default();
    let both = expected.input_tokens.zip(expected.output_tokens).map(|(input, output)| input + output);
    let is_beside = match recording.provider.as_str() {
        "xai" | "azure" => expected.total_tokens > both,
        "vercel-gateway" | "doubleword" => Some(reasoning) > expected.output_tokens,
        _ => false,
    };
    let output = counts.output.map(|answer| if is_beside { answer + reasoning } else { answer });
    Counts { output, ..counts }
}

/// Gemini counts cached tokens in the prompt, and what its own tools read beside it.
fn gemini(expected: &Expected) -> Counts {
    let input = expected.input_tokens.map(|prompt| prompt + expected.tool_use_prompt_tokens.unwrap_or_default());
    let cached = expected.cache_read_tokens.unwrap_or_default();
    Counts {
        input,
        fresh_input: input.map(|input| input - cached),
        cache_read: expected.cache_read_tokens,
        output: expected.output_tokens,
        reasoning: expected.reasoning_tokens,
        ..Counts::default()
    }
}
