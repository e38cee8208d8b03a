//! A plan as Anthropic Messages: events of a stream, whole bodies, errors.

use schemas::usage::Usage;
use serde_json::{Value, json};

use super::Options;
use super::dialect::Names;
use super::frames::{Frame, Frames};
use super::plan::{CALL_TOKENS, Content, Plan, Stop};

pub(super) fn stream(plan: &Plan, names: &Names<'_>, options: &Options) -> Vec<Frame> {
    let mut frames = Frames::default();
    let mut message = message(names, Value::Array(Vec::new()), Value::Null);
    if names.with_usage {
        // What is known before the first token: the whole prompt, and a first few tokens of output (W3: not the bill).
        let first = plan.usage.output.map(|output| output.min(3));
        message["usage"] = usage(&Usage { output: first, reasoning: None, ..plan.usage });
    }
    frames.event("message_start", &json!({"type": "message_start", "message": message}).to_string(), 0);
    let mut index = 0;
    let mut pinged = false;
    let mut open = |frames: &mut Frames, index: u32, block: Value, tokens: u64| {
        let start = json!({"type": "content_block_start", "index": index, "content_block": block});
        frames.event("content_block_start", &start.to_string(), tokens);
        if !std::mem::replace(&mut pinged, true) {
            frames.event("ping", r#"{"type": "ping"}"#, 0);
        }
    };
    if !plan.thought.is_empty() {
        open(&mut frames, index, json!({"type": "thinking", "thinking": "", "signature": ""}), 0);
        deltas(&mut frames, index, &plan.thought, options, ("thinking_delta", "thinking"));
        let signature = json!({"type": "signature_delta", "signature": "c2ltdWxhdGVkIHRob3VnaHQ="});
        let delta = json!({"type": "content_block_delta", "index": index, "delta": signature});
        frames.event("content_block_delta", &delta.to_string(), 0);
        close(&mut frames, index);
        index += 1;
    }
    match &plan.content {
        Content::Text(tokens) => {
            open(&mut frames, index, json!({"type": "text", "text": ""}), 0);
            deltas(&mut frames, index, tokens, options, ("text_delta", "text"));
        }
        Content::Call(call) => {
            let block = json!({"type": "tool_use", "id": names.call_id, "name": call.name, "input": {}});
            open(&mut frames, index, block, CALL_TOKENS);
            deltas(&mut frames, index, &[""], options, ("input_json_delta", "partial_json"));
            deltas(&mut frames, index, &call.arguments, options, ("input_json_delta", "partial_json"));
        }
    }
    close(&mut frames, index);
    let mut delta =
        json!({"type": "message_delta", "delta": {"stop_reason": stop_reason(plan.stop), "stop_sequence": null}});
    if names.with_usage {
        delta["usage"] = usage(&plan.usage);
    }
    frames.event("message_delta", &delta.to_string(), 0);
    frames.event("message_stop", r#"{"type":"message_stop"}"#, 0);
    frames.finish()
}

fn deltas(frames: &mut Frames, index: u32, tokens: &[&str], options: &Options, (kind, key): (&str, &str)) {
    let size = usize::try_from(options.tokens_per_event.max(1)).unwrap_or(usize::MAX);
    for piece in tokens.chunks(size) {
        let text = Value::String(piece.concat());
        // Written by hand in the order in which the provider writes it, because this is what a stream mostly is.
        let data =
            format!(r#"{{"type":"content_block_delta","index":{index},"delta":{{"type":"{kind}","{key}":{text}}}}}"#);
        frames.event("content_block_delta", &data, if text == "" { 0 } else { piece.len() as u64 });
    }
}

fn close(frames: &mut Frames, index: u32) {
    frames.event("content_block_stop", &json!({"type": "content_block_stop", "index": index}).to_string(), 0);
}

pub(super) fn body(plan: &Plan, names: &Names<'_>) -> Value {
    let mut blocks = Vec::new();
    if !plan.thought.is_empty() {
        let thought = plan.thought.concat();
        blocks.push(json!({"type": "thinking", "thinking": thought, "signature": "c2ltdWxhdGVkIHRob3VnaHQ="}));
    }
    blocks.push(match &plan.content {
        Content::Text(tokens) => json!({"type": "text", "text": tokens.concat()}),
        Content::Call(call) => {
            let input: Value = serde_json::from_str(&call.arguments.concat()).unwrap_or_default();
            json!({"type": "tool_use", "id": names.call_id, "name": call.name, "input": input})
        }
    });
    let mut message = message(names, Value::Array(blocks), Value::String(stop_reason(plan.stop).to_owned()));
    if names.with_usage {
        message["usage"] = usage(&plan.usage);
    }
    message
}

fn message(names: &Names<'_>, content: Value, stop_reason: Value) -> Value {
    json!({
        "id": names.id,
        "type": "message",
        "role": "assistant",
        "model": names.model,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": null,
    })
}

fn stop_reason(stop: Stop) -> &'static str {
    match stop {
        Stop::End => "end_turn",
        Stop::Length => "max_tokens",
        Stop::Call => "tool_use",
    }
}

/// Anthropic counts cached tokens beside `input_tokens`.
fn usage(usage: &Usage) -> Value {
    let (short, long) = (usage.cache_write_5m.unwrap_or(0), usage.cache_write_1h.unwrap_or(0));
    let mut object = json!({
        "input_tokens": usage.fresh_input,
        "cache_creation_input_tokens": short + long,
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation": {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long},
        "output_tokens": usage.output,
        "service_tier": "standard",
    });
    if let Some(reasoning) = usage.reasoning.filter(|reasoning| *reasoning > 0) {
        object["output_tokens_details"] = json!({"thinking_tokens": reasoning});
    }
    object
}

pub(super) fn count(tokens: u64) -> Value {
    json!({"input_tokens": tokens})
}

pub(super) fn models(names: &[String]) -> Value {
    let entry = |name: &String| json!({"type": "model", "id": name, "display_name": name, "created_at": "2025-05-23T00:00:00Z"});
    let data: Vec<Value> = names.iter().map(entry).collect();
    json!({"data": data, "has_more": false, "first_id": names.first(), "last_id": names.last()})
}

pub(super) fn error(status: u16, message: &str, request_id: &str) -> Value {
    let kind = match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        400..500 => "invalid_request_error",
        529 => "overloaded_error",
        _ => "api_error",
    };
    json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": request_id})
}

/// The error event of a stream that breaks.
pub(super) fn error_event() -> Vec<Frame> {
    let mut frames = Frames::default();
    let data = r#"{"type":"error","error":{"details":null,"type":"overloaded_error","message":"Overloaded"}}"#;
    frames.event("error", data, 0);
    frames.finish()
}
