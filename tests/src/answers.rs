//! Believable answers of providers, with the token counts that a test wants.

use bytes::Bytes;
use serde_json::{Value, json};

/// What an answer says it used, in Anthropic's terms: the cache counts stand beside `input`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// `input_tokens`.
    pub input: u64,
    /// `cache_read_input_tokens`.
    pub cache_read: u64,
    /// `cache_creation.ephemeral_5m_input_tokens`.
    pub cache_write_5m: u64,
    /// `cache_creation.ephemeral_1h_input_tokens`.
    pub cache_write_1h: u64,
    /// `output_tokens`.
    pub output: u64,
}

impl Tokens {
    fn anthropic(&self) -> Value {
        json!({
            "input_tokens": self.input,
            "cache_creation_input_tokens": self.cache_write_5m + self.cache_write_1h,
            "cache_read_input_tokens": self.cache_read,
            "cache_creation": {
                "ephemeral_5m_input_tokens": self.cache_write_5m,
                "ephemeral_1h_input_tokens": self.cache_write_1h,
            },
            "output_tokens": self.output,
        })
    }

    /// In OpenAI's terms the cached tokens are a part of the prompt.
    fn openai(&self) -> Value {
        json!({
            "prompt_tokens": self.input + self.cache_read,
            "completion_tokens": self.output,
            "total_tokens": self.input + self.cache_read + self.output,
            "prompt_tokens_details": { "cached_tokens": self.cache_read },
        })
    }
}

/// A server-sent event of Anthropic's: with its name.
pub fn named(data: &Value) -> Bytes {
    let name = data["type"].as_str().expect("Anthropic's events have a type");
    format!("event: {name}\ndata: {data}\n\n").into()
}

/// A server-sent event of OpenAI's: data only.
pub fn unnamed(data: &Value) -> Bytes {
    format!("data: {data}\n\n").into()
}

/// The events of an Anthropic stream that says `words`.
pub fn anthropic_events(model: &str, tokens: Tokens, words: &[&str]) -> Vec<Bytes> {
    let started = Tokens { output: 1, ..tokens };
    let mut events = vec![
        named(&json!({ "type": "message_start", "message": {
            "id": "msg_test", "type": "message", "role": "assistant", "model": model, "content": [],
            "stop_reason": null, "stop_sequence": null, "usage": started.anthropic() } })),
        named(&json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } })),
        named(&json!({ "type": "ping" })),
    ];
    events.extend(words.iter().map(|word| {
        named(&json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": word } }))
    }));
    events.push(named(&json!({ "type": "content_block_stop", "index": 0 })));
    events.push(named(&json!({
        "type": "message_delta", "delta": { "stop_reason": "end_turn", "stop_sequence": null },
        "usage": { "output_tokens": tokens.output } })));
    events.push(named(&json!({ "type": "message_stop" })));
    events
}

/// A plain Anthropic answer.
pub fn anthropic_body(model: &str, tokens: Tokens, text: &str) -> Value {
    json!({
        "id": "msg_test", "type": "message", "role": "assistant", "model": model,
        "content": [{ "type": "text", "text": text }],
        "stop_reason": "end_turn", "stop_sequence": null, "usage": tokens.anthropic(),
    })
}

/// The events of an OpenAI chat stream that says `words`; the usage chunk only if it was asked for, as OpenAI does.
pub fn openai_events(model: &str, tokens: Tokens, words: &[&str], with_usage: bool) -> Vec<Bytes> {
    let chunk = |choices: Value| {
        let mut chunk = json!({
            "id": "chatcmpl-test", "object": "chat.completion.chunk", "created": 1_790_000_000, "model": model,
            "choices": choices });
        if with_usage {
            chunk["usage"] = Value::Null;
        }
        chunk
    };
    let choice = |delta: Value, finish: Value| json!([{ "index": 0, "delta": delta, "finish_reason": finish }]);
    let mut events = vec![unnamed(&chunk(choice(json!({ "role": "assistant", "content": "" }), Value::Null)))];
    events.extend(words.iter().map(|word| unnamed(&chunk(choice(json!({ "content": word }), Value::Null)))));
    events.push(unnamed(&chunk(choice(json!({}), json!("stop")))));
    if with_usage {
        let mut last = chunk(json!([]));
        last["usage"] = tokens.openai();
        events.push(unnamed(&last));
    }
    events.push(Bytes::from_static(b"data: [DONE]\n\n"));
    events
}

/// A plain OpenAI chat answer.
pub fn openai_body(model: &str, tokens: Tokens, text: &str) -> Value {
    json!({
        "id": "chatcmpl-test", "object": "chat.completion", "created": 1_790_000_000, "model": model,
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": text }, "finish_reason": "stop" }],
        "usage": tokens.openai(),
    })
}

/// A request to Anthropic's dialect.
pub fn anthropic_request(model: &str, stream: bool) -> Value {
    json!({ "model": model, "max_tokens": 256, "stream": stream, "messages": [{ "role": "user", "content": "Hello" }] })
}

/// A request to OpenAI's chat dialect that does not ask for usage.
pub fn openai_request(model: &str, stream: bool) -> Value {
    json!({ "model": model, "stream": stream, "messages": [{ "role": "user", "content": "Hello" }] })
}
