//! Requests and pre-rendered answers in the four formats, of the size and shape that providers send.

use std::ops::Range;

use bytes::Bytes;
use schemas::outcome::Format;
use serde_json::{Value, json};

use crate::pacing::Pacing;
use crate::stamp;

/// Events in the streams of all formats.
const EVENTS: usize = 64;
/// How many of them an idle stream has sent: content is among them, so that nobody holds them back.
pub const IDLE_EVENTS: usize = 6;

/// The header that tells the upstream which answer to give; relays pass it on like any other.
pub const ANSWER_HEADER: &str = "x-bench-answer";

/// What the gateway's client sends.
#[derive(Clone, Debug)]
pub struct Request {
    /// Path and query.
    pub path: String,
    /// Value of [`ANSWER_HEADER`].
    pub answer: String,
    /// The body.
    pub body: Bytes,
    /// What must come back.
    pub expected: Bytes,
    /// Where in it the times stand at which events were sent.
    pub stamps: Vec<Range<usize>>,
}

/// What the upstream sends.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The content type.
    pub content_type: &'static str,
    /// The body, event by event; one piece if it is no stream.
    pub pieces: Vec<Bytes>,
}

/// Every format with every pacing, under the value that the header has for it.
pub fn all() -> impl Iterator<Item = (String, Pacing, Answer)> {
    let pairs = Format::ALL.iter().flat_map(|format| Pacing::ALL.map(|pacing| (*format, pacing)));
    pairs.map(|(format, pacing)| (name(format, pacing), pacing, answer(format, pacing)))
}

/// The request for an answer.
pub fn request(format: Format, pacing: Pacing) -> Request {
    prompted(format, pacing, model(format), 3)
}

/// The request for an answer of a model, whose prompt repeats a sentence of 91 bytes.
pub fn prompted(format: Format, pacing: Pacing, model: &str, repeated: usize) -> Request {
    let path = match (format, pacing.is_stream()) {
        (Format::Anthropic, _) => "/v1/messages".to_owned(),
        (Format::OpenaiChat, _) => "/v1/chat/completions".to_owned(),
        (Format::OpenaiResponses, _) => "/v1/responses".to_owned(),
        (Format::Gemini, true) => format!("/v1beta/models/{model}:streamGenerateContent?alt=sse"),
        (Format::Gemini, false) => format!("/v1beta/models/{model}:generateContent"),
    };
    let sentence = "Tell me, in a few sentences, what a gateway between clients and providers has to remember. ";
    let prompt = sentence.repeat(repeated);
    let turn = json!([{ "role": "user", "content": prompt }]);
    let stream = pacing.is_stream();
    let body = match format {
        Format::Anthropic => json!({ "model": model, "max_tokens": 1024, "stream": stream, "messages": turn }),
        Format::OpenaiChat if stream => {
            let options = json!({ "include_usage": true });
            json!({ "model": model, "stream": true, "stream_options": options, "messages": turn })
        }
        Format::OpenaiChat => json!({ "model": model, "messages": turn }),
        Format::OpenaiResponses => json!({ "model": model, "stream": stream, "input": turn }),
        Format::Gemini => json!({ "contents": [{ "role": "user", "parts": [{ "text": prompt }] }] }),
    };
    let answer = answer(format, pacing);
    let sent = if pacing == Pacing::Idle { IDLE_EVENTS } else { answer.pieces.len() };
    let expected: Bytes = answer.pieces.iter().take(sent).flatten().copied().collect();
    let stamps = stamp::places(&expected);
    Request { path, answer: name(format, pacing), body: body.to_string().into(), expected, stamps }
}

/// The model that is asked for.
pub fn model(format: Format) -> &'static str {
    match format {
        Format::Anthropic => "claude-sonnet-4-5",
        Format::OpenaiChat => "gpt-4.1-mini",
        Format::OpenaiResponses => "gpt-5-mini",
        Format::Gemini => "gemini-2.5-flash",
    }
}

fn name(format: Format, pacing: Pacing) -> String {
    let words = format!("{format}-{}", pacing.as_str());
    words.replace([' ', '_'], "-")
}

fn answer(format: Format, pacing: Pacing) -> Answer {
    if !pacing.is_stream() {
        return Answer { content_type: "application/json", pieces: vec![plain(format).to_string().into()] };
    }
    let pieces = match format {
        Format::Anthropic => anthropic(),
        Format::OpenaiChat => chat(pacing),
        Format::OpenaiResponses => responses(),
        Format::Gemini => gemini(),
    };
    Answer { content_type: "text/event-stream; charset=utf-8", pieces }
}

/// The text of delta number `index`.
fn word(index: usize) -> String {
    const WORDS: [&str; 8] =
        ["A relay", " forwards", " bytes", ", and", " remembers", " \"tokens\"", " for\nyou", " \u{2014} always"];
    WORDS.get(index % WORDS.len()).copied().unwrap_or_default().to_owned()
}

fn text(words: usize) -> String {
    (0..words).map(word).collect()
}

/// A body of about 1 KiB.
fn plain(format: Format) -> Value {
    let (model, text) = (model(format), text(84));
    match format {
        Format::Anthropic => json!({
            "id": "msg_01XFDUDYJgAACzvnptvVoYEL", "type": "message", "role": "assistant", "model": model,
            "content": [{ "type": "text", "text": text }], "stop_reason": "end_turn", "stop_sequence": null,
            "usage": { "input_tokens": 64, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
                "output_tokens": 140, "service_tier": "standard" } }),
        Format::OpenaiChat => json!({
            "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT", "object": "chat.completion", "created": 1_790_000_000,
            "model": model, "choices": [{ "index": 0, "message": { "role": "assistant", "content": text,
                "refusal": null, "annotations": [] }, "logprobs": null, "finish_reason": "stop" }],
            "usage": { "prompt_tokens": 64, "completion_tokens": 140, "total_tokens": 204,
                "prompt_tokens_details": { "cached_tokens": 0, "audio_tokens": 0 },
                "completion_tokens_details": { "reasoning_tokens": 0, "audio_tokens": 0 } },
            "service_tier": "default", "system_fingerprint": "fp_44709d6fcb" }),
        Format::OpenaiResponses => response(model, "completed", &text),
        Format::Gemini => json!({
            "candidates": [{ "content": { "parts": [{ "text": text }], "role": "model" }, "finishReason": "STOP",
                "index": 0 }],
            "usageMetadata": { "promptTokenCount": 64, "candidatesTokenCount": 140, "totalTokenCount": 204 },
            "modelVersion": model, "responseId": "mUz6aJ3uGqPjvdIP0pWxsAk" }),
    }
}

fn response(model: &str, status: &str, text: &str) -> Value {
    let is_complete = status == "completed";
    let output = json!([{ "id": "msg_68a", "type": "message", "status": "completed", "role": "assistant",
        "content": [{ "type": "output_text", "text": text, "annotations": [], "logprobs": [] }] }]);
    let usage = json!({ "input_tokens": 64, "input_tokens_details": { "cached_tokens": 0 }, "output_tokens": 140,
        "output_tokens_details": { "reasoning_tokens": 0 }, "total_tokens": 204 });
    json!({ "id": "resp_68af4030baa48193b0b43b4c2a176a1a0e6967589f080e77", "object": "response",
        "created_at": 1_790_000_000, "status": status, "error": null, "incomplete_details": null,
        "instructions": null, "max_output_tokens": null, "model": model, "parallel_tool_calls": true,
        "output": if is_complete { output } else { json!([]) },
        "reasoning": { "effort": null, "summary": null }, "store": true, "temperature": 1.0,
        "text": { "format": { "type": "text" } }, "tool_choice": "auto", "tools": [], "top_p": 1.0,
        "truncation": "disabled", "usage": if is_complete { usage } else { Value::Null }, "user": null,
        "metadata": {} })
}

fn named(data: &Value) -> Bytes {
    format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap_or_default()).into()
}

fn unnamed(data: &Value) -> Bytes {
    format!("data: {data}\n\n").into()
}

fn anthropic() -> Vec<Bytes> {
    let message = json!({ "id": "msg_01XFDUDYJgAACzvnptvVoYEL", "type": "message", "role": "assistant",
        "model": model(Format::Anthropic), "content": [], "stop_reason": null, "stop_sequence": null,
        "usage": { "input_tokens": 64, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
            "output_tokens": 1, "service_tier": "standard" } });
    let mut events = vec![
        named(&json!({ "type": "message_start", "message": message })),
        named(&json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } })),
        named(&json!({ "type": "ping" })),
    ];
    events.extend((0..EVENTS - 6).map(|index| {
        named(&json!({ "type": "content_block_delta", "index": 0,
            "delta": { "type": "text_delta", "text": word(index) } }))
    }));
    events.push(named(&json!({ "type": "content_block_stop", "index": 0 })));
    events.push(named(&json!({ "type": "message_delta",
        "delta": { "stop_reason": "end_turn", "stop_sequence": null }, "usage": { "output_tokens": 140 } })));
    events.push(named(&json!({ "type": "message_stop" })));
    events
}

fn chat(pacing: Pacing) -> Vec<Bytes> {
    let chunk = |choices: Value, usage: Value| {
        unnamed(&json!({ "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT", "object": "chat.completion.chunk",
            "created": 1_790_000_000, "model": model(Format::OpenaiChat), "service_tier": "default",
            "system_fingerprint": "fp_44709d6fcb", "choices": choices, "usage": usage, "obfuscation": "gT5xWc2" }))
    };
    let choice = |delta: Value, finish: Value| {
        chunk(json!([{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish }]), Value::Null)
    };
    let mut events = vec![choice(json!({ "role": "assistant", "content": "", "refusal": null }), Value::Null)];
    let said = |index: usize| match pacing {
        Pacing::Spoken => format!("{} {}", stamp::PLACEHOLDER, word(index)),
        _ => word(index),
    };
    events.extend((0..pacing.events() - 4).map(|index| choice(json!({ "content": said(index) }), Value::Null)));
    events.push(choice(json!({}), json!("stop")));
    events.push(chunk(
        json!([]),
        json!({ "prompt_tokens": 64, "completion_tokens": 140, "total_tokens": 204,
            "prompt_tokens_details": { "cached_tokens": 0, "audio_tokens": 0 },
            "completion_tokens_details": { "reasoning_tokens": 0, "audio_tokens": 0 } }),
    ));
    events.push(Bytes::from_static(b"data: [DONE]\n\n"));
    events
}

fn responses() -> Vec<Bytes> {
    let (model, item) = (model(Format::OpenaiResponses), "msg_68af40322cac8193");
    let part = |text: &str| json!({ "type": "output_text", "annotations": [], "logprobs": [], "text": text });
    let whole = text(EVENTS - 8);
    let message = |status: &str, content: Value| json!({ "id": item, "type": "message", "status": status, "content": content, "role": "assistant" });
    let mut events = vec![
        json!({ "type": "response.created", "response": response(model, "in_progress", "") }),
        json!({ "type": "response.in_progress", "response": response(model, "in_progress", "") }),
        json!({ "type": "response.output_item.added", "output_index": 0, "item": message("in_progress", json!([])) }),
        json!({ "type": "response.content_part.added", "item_id": item, "output_index": 0, "content_index": 0,
            "part": part("") }),
    ];
    events.extend((0..EVENTS - 8).map(|index| {
        json!({ "type": "response.output_text.delta", "item_id": item, "output_index": 0, "content_index": 0,
            "delta": word(index), "logprobs": [], "obfuscation": "a2Xc" })
    }));
    events.extend([
        json!({ "type": "response.output_text.done", "item_id": item, "output_index": 0, "content_index": 0,
            "text": whole, "logprobs": [] }),
        json!({ "type": "response.content_part.done", "item_id": item, "output_index": 0, "content_index": 0,
            "part": part(&whole) }),
        json!({ "type": "response.output_item.done", "output_index": 0,
            "item": message("completed", json!([part(&whole)])) }),
        json!({ "type": "response.completed", "response": response(model, "completed", &whole) }),
    ]);
    let numbered = events.into_iter().enumerate().map(|(number, mut event)| {
        event["sequence_number"] = json!(number);
        named(&event)
    });
    numbered.collect()
}

fn gemini() -> Vec<Bytes> {
    let chunk = |index: usize| {
        let mut candidate = json!({ "content": { "parts": [{ "text": word(index) }], "role": "model" }, "index": 0 });
        if index == EVENTS - 1 {
            candidate["finishReason"] = json!("STOP");
        }
        // CRLF, as Google sends it.
        let data = json!({ "candidates": [candidate], "usageMetadata": { "promptTokenCount": 64,
            "candidatesTokenCount": 2 * index + 2, "totalTokenCount": 66 + 2 * index,
            "promptTokensDetails": [{ "modality": "TEXT", "tokenCount": 64 }] },
            "modelVersion": model(Format::Gemini), "responseId": "mUz6aJ3uGqPjvdIP0pWxsAk" });
        Bytes::from(format!("data: {data}\r\n\r\n"))
    };
    (0..EVENTS).map(chunk).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateway_reads_every_answer_as_complete_with_its_tokens() {
        for format in Format::ALL.iter().copied() {
            let stream = answer(format, Pacing::Together);
            assert_eq!(stream.pieces.len(), EVENTS, "{format:?}");
            let mut reader = gateway::formats::StreamReader::new(format, false);
            for (number, piece) in stream.pieces.iter().enumerate() {
                assert_eq!(reader.push(piece.clone()), piece, "{format:?}");
                if number + 1 == IDLE_EVENTS {
                    assert!(reader.reading().has_content, "{format:?} has no content when it goes idle");
                }
            }
            reader.finish();
            let (streamed, whole) =
                (reader.reading().clone(), gateway::formats::read_body(format, plain(format).to_string().as_bytes()));
            for reading in [&streamed, &whole] {
                assert!(reading.completed && reading.error.is_none(), "{format:?}: {reading:?}");
                assert_eq!(reading.usage().input, Some(64), "{format:?}");
            }
            assert_eq!((streamed.events, streamed.unreadable_events), (EVENTS as u64, 0), "{format:?}");
            assert!((900..2000).contains(&plain(format).to_string().len()), "{format:?}");
        }
    }

    #[test]
    fn the_gateway_reads_every_request() {
        for (format, pacing) in Format::ALL.iter().flat_map(|f| Pacing::ALL.map(|p| (*f, p))) {
            let Request { path, body, .. } = request(format, pacing);
            let peeked = gateway::formats::peek_at(format, path.split('?').next().unwrap(), &body).unwrap();
            assert_eq!((peeked.model.as_str(), peeked.stream), (model(format), pacing.is_stream()));
        }
    }
}
