//! Believable answers of providers, with the token counts that a test wants.

use bytes::Bytes;
use schemas::outcome::Format;
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

    /// The same under the names of Responses.
    fn responses(&self) -> Value {
        json!({
            "input_tokens": self.input + self.cache_read,
            "input_tokens_details": { "cached_tokens": self.cache_read },
            "output_tokens": self.output,
            "output_tokens_details": { "reasoning_tokens": 0 },
            "total_tokens": self.input + self.cache_read + self.output,
        })
    }

    /// Google leaves out what is zero.
    fn gemini(&self) -> Value {
        let prompt = self.input + self.cache_read;
        let mut usage = json!({ "promptTokenCount": prompt, "totalTokenCount": prompt + self.output });
        for (name, count) in [("cachedContentTokenCount", self.cache_read), ("candidatesTokenCount", self.output)] {
            if count > 0 {
                usage[name] = json!(count);
            }
        }
        usage
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

/// A response of OpenAI's with one message, or none where it has no text yet.
pub fn responses_body(model: &str, tokens: Tokens, text: &str) -> Value {
    let part = json!({ "type": "output_text", "text": text, "annotations": [] });
    json!({
        "id": "resp_test", "object": "response", "created_at": 1_790_000_000, "model": model, "status": "completed",
        "error": null, "incomplete_details": null, "tools": [], "tool_choice": "auto", "parallel_tool_calls": true,
        "output": [{ "id": "msg_test", "type": "message", "role": "assistant", "status": "completed", "content": [part] }],
        "usage": tokens.responses(),
    })
}

/// The events of a Responses stream that says `words`.
pub fn responses_events(model: &str, tokens: Tokens, words: &[&str]) -> Vec<Bytes> {
    let whole = responses_body(model, tokens, &words.concat());
    let mut begun = whole.clone();
    begun["status"] = json!("in_progress");
    begun["output"] = json!([]);
    begun["usage"] = Value::Null;
    let item =
        json!({ "id": "msg_test", "type": "message", "role": "assistant", "status": "in_progress", "content": [] });
    let place = |kind: &str| json!({ "type": kind, "item_id": "msg_test", "output_index": 0, "content_index": 0 });
    let with = |mut event: Value, name: &str, value: Value| {
        event[name] = value;
        event
    };
    let empty = json!({ "type": "output_text", "text": "", "annotations": [] });
    let mut events = vec![
        json!({ "type": "response.created", "response": begun }),
        json!({ "type": "response.in_progress", "response": begun }),
        json!({ "type": "response.output_item.added", "output_index": 0, "item": item }),
        with(place("response.content_part.added"), "part", empty),
    ];
    let delta = |word: &&str| with(place("response.output_text.delta"), "delta", json!(word));
    events.extend(words.iter().map(delta));
    events.push(with(place("response.output_text.done"), "text", json!(words.concat())));
    events.push(json!({ "type": "response.output_item.done", "output_index": 0, "item": whole["output"][0] }));
    events.push(json!({ "type": "response.completed", "response": whole }));
    let number = |(number, event): (usize, Value)| named(&with(event, "sequence_number", json!(number)));
    events.into_iter().enumerate().map(number).collect()
}

/// An answer of Gemini's, whole or a chunk of one that is not the last.
pub fn gemini_body(model: &str, tokens: Tokens, text: &str, is_last: bool) -> Value {
    let mut candidate = json!({ "content": { "parts": [{ "text": text }], "role": "model" }, "index": 0 });
    if is_last {
        candidate["finishReason"] = json!("STOP");
    }
    json!({
        "candidates": [candidate], "usageMetadata": tokens.gemini(), "modelVersion": model, "responseId": "test",
    })
}

/// The events of a Gemini stream that says `words`; the count of the answer grows until the last chunk.
pub fn gemini_events(model: &str, tokens: Tokens, words: &[&str]) -> Vec<Bytes> {
    let begun = Tokens { output: 0, ..tokens };
    let mut chunks: Vec<Value> = words.iter().map(|word| gemini_body(model, begun, word, false)).collect();
    chunks.push(gemini_body(model, tokens, "", true));
    chunks.iter().map(|chunk| format!("data: {chunk}\r\n\r\n").into()).collect()
}

/// The events of a stream of any format that says `words`.
pub fn events(format: Format, model: &str, tokens: Tokens, words: &[&str]) -> Vec<Bytes> {
    match format {
        Format::Anthropic => anthropic_events(model, tokens, words),
        Format::OpenaiChat => openai_events(model, tokens, words, true),
        Format::OpenaiResponses => responses_events(model, tokens, words),
        Format::Gemini => gemini_events(model, tokens, words),
    }
}

/// Path and body of a streaming request in any format that says `text` and, where that has to be asked for, wants usage.
pub fn streaming_request(format: Format, model: &str, text: &str) -> (String, Value) {
    let messages = json!([{ "role": "user", "content": text }]);
    match format {
        Format::Anthropic => (
            "/v1/messages".to_owned(),
            json!({ "model": model, "max_tokens": 256, "stream": true, "messages": messages }),
        ),
        Format::OpenaiChat => {
            let options = json!({ "include_usage": true });
            let body = json!({ "model": model, "stream": true, "stream_options": options, "messages": messages });
            ("/v1/chat/completions".to_owned(), body)
        }
        Format::OpenaiResponses => {
            ("/v1/responses".to_owned(), json!({ "model": model, "stream": true, "input": messages }))
        }
        Format::Gemini => (
            format!("/v1beta/models/{model}:streamGenerateContent?alt=sse"),
            json!({ "contents": [{ "role": "user", "parts": [{ "text": text }] }] }),
        ),
    }
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
