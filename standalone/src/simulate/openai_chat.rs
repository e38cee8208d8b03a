//! A plan as OpenAI Chat Completions: chunks of a stream, whole bodies, errors.

use schemas::usage::Usage;
use serde_json::{Value, json};

use super::Options;
use super::dialect::Names;
use super::frames::{Frame, Frames};
use super::plan::{CALL_TOKENS, Content, Plan, Stop};

/// Thought is billed and never shown: it is spent with the first chunk, which therefore comes later.
pub(super) fn stream(plan: &Plan, names: &Names<'_>, options: &Options) -> Vec<Frame> {
    let mut chunks = Chunks {
        frames: Frames::default(),
        head: format!(
            r#"{{"id":"{}","object":"chat.completion.chunk","created":{},"model":{},"service_tier":"default","system_fingerprint":"fp_51db84afab","#,
            names.id,
            names.created_s,
            Value::from(names.model),
        ),
        // With `include_usage`, every chunk but the last carries `usage: null`.
        tail: if names.with_usage { r#","usage":null}"# } else { "}" },
    };
    let size = usize::try_from(options.tokens_per_event.max(1)).unwrap_or(usize::MAX);
    let thought = plan.thought.len() as u64;
    match &plan.content {
        Content::Text(tokens) => {
            chunks.delta(&json!({"role": "assistant", "content": "", "refusal": null}).to_string(), "null", thought);
            for piece in tokens.chunks(size) {
                let delta = format!(r#"{{"content":{}}}"#, Value::from(piece.concat()));
                chunks.delta(&delta, "null", piece.len() as u64);
            }
        }
        Content::Call(call) => {
            let function = json!({"name": call.name, "arguments": ""});
            let opening = json!({"index": 0, "id": names.call_id, "type": "function", "function": function});
            let first = json!({"role": "assistant", "content": null, "tool_calls": [opening], "refusal": null});
            chunks.delta(&first.to_string(), "null", thought + CALL_TOKENS);
            for piece in call.arguments.chunks(size) {
                let call = json!({"index": 0, "function": {"arguments": piece.concat()}});
                chunks.delta(&json!({"tool_calls": [call]}).to_string(), "null", piece.len() as u64);
            }
        }
    }
    chunks.delta("{}", &format!("{:?}", finish_reason(plan.stop)), 0);
    let Chunks { mut frames, head, .. } = chunks;
    if names.with_usage {
        frames.data(&format!(r#"{head}"choices":[],"usage":{}}}"#, usage(&plan.usage)), 0);
    }
    frames.data("[DONE]", 0);
    frames.finish()
}

struct Chunks {
    frames: Frames,
    head: String,
    tail: &'static str,
}

impl Chunks {
    fn delta(&mut self, delta: &str, finish_reason: &str, tokens: u64) {
        let choice = format!(r#"{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish_reason}}}"#);
        self.frames.data(&format!(r#"{}"choices":[{choice}]{}"#, self.head, self.tail), tokens);
    }
}

pub(super) fn body(plan: &Plan, names: &Names<'_>) -> Value {
    let message = match &plan.content {
        Content::Text(tokens) => {
            json!({"role": "assistant", "content": tokens.concat(), "refusal": null, "annotations": []})
        }
        Content::Call(call) => {
            let function = json!({"name": call.name, "arguments": call.arguments.concat()});
            let call = json!({"id": names.call_id, "type": "function", "function": function});
            json!({"role": "assistant", "content": null, "tool_calls": [call], "refusal": null, "annotations": []})
        }
    };
    let choice = json!({"index": 0, "message": message, "logprobs": null, "finish_reason": finish_reason(plan.stop)});
    let mut completion = json!({
        "id": names.id,
        "object": "chat.completion",
        "created": names.created_s,
        "model": names.model,
        "choices": [choice],
        "service_tier": "default",
        "system_fingerprint": "fp_51db84afab",
    });
    if names.with_usage {
        completion["usage"] = usage(&plan.usage);
    }
    completion
}

fn finish_reason(stop: Stop) -> &'static str {
    match stop {
        Stop::End => "stop",
        Stop::Length => "length",
        Stop::Call => "tool_calls",
    }
}

/// OpenAI counts cached tokens inside `prompt_tokens`.
fn usage(usage: &Usage) -> Value {
    json!({
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input.unwrap_or(0) + usage.output.unwrap_or(0),
        "prompt_tokens_details": {"cached_tokens": usage.cache_read, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    })
}

pub(super) fn models(names: &[String]) -> Value {
    let entry =
        |name: &String| json!({"id": name, "object": "model", "created": 1_748_000_000, "owned_by": "simulator"});
    json!({"object": "list", "data": names.iter().map(entry).collect::<Vec<Value>>()})
}

pub(super) fn error(status: u16, message: &str) -> Value {
    let (kind, code) = match status {
        401 => ("invalid_request_error", Some("invalid_api_key")),
        404 => ("invalid_request_error", Some("model_not_found")),
        429 => ("requests", Some("rate_limit_exceeded")),
        400..500 => ("invalid_request_error", None),
        503 => ("service_unavailable_error", None),
        _ => ("server_error", None),
    };
    json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
}

/// The error of a stream that breaks.
pub(super) fn error_event() -> Vec<Frame> {
    let mut frames = Frames::default();
    let message = "The server had an error while processing your request. Sorry about that!";
    frames.data(&error(500, message).to_string(), 0);
    frames.finish()
}
