//! A plan as OpenAI Responses: events of a stream, whole bodies. Errors that come with a status are Chat Completions'.

use schemas::usage::Usage;
use serde_json::{Value, json};

use super::Options;
use super::dialect::Names;
use super::frames::{Frame, Frames};
use super::plan::{CALL_TOKENS, Content, Plan, Stop, ToolCall};

/// The events of an answer: the response opens, each item of its output opens, grows and closes, the response closes.
pub(super) fn stream(plan: &Plan, names: &Names<'_>, options: &Options) -> Vec<Frame> {
    let size = usize::try_from(options.tokens_per_event.max(1)).unwrap_or(usize::MAX);
    let mut events = Events { frames: Frames::default(), sequence: 0, item: 0, size };
    let begun = response(names, "in_progress", Vec::new(), Value::Null);
    events.push("response.created", json!({"response": begun}), 0);
    events.push("response.in_progress", json!({"response": begun}), 0);
    if !plan.thought.is_empty() {
        events.thought(plan, names);
    }
    match &plan.content {
        // A limit that the thought has used up leaves no message.
        Content::Text(tokens) if tokens.is_empty() => {}
        Content::Text(tokens) => events.message(tokens, plan, names),
        Content::Call(call) => events.call(call, names),
    }
    let kind = if plan.stop == Stop::Length { "response.incomplete" } else { "response.completed" };
    events.push(kind, json!({"response": body(plan, names)}), 0);
    events.frames.finish()
}

struct Events {
    frames: Frames,
    sequence: usize,
    /// `output_index` of the item at hand.
    item: usize,
    size: usize,
}

impl Events {
    fn push(&mut self, kind: &str, mut event: Value, tokens: u64) {
        event["type"] = Value::from(kind);
        event["sequence_number"] = Value::from(self.sequence);
        self.sequence += 1;
        self.frames.event(kind, &event.to_string(), tokens);
    }

    fn opens(&mut self, item: Value, tokens: u64) {
        self.push("response.output_item.added", json!({"output_index": self.item, "item": item}), tokens);
    }

    fn closes(&mut self, item: Value, tokens: u64) {
        self.push("response.output_item.done", json!({"output_index": self.item, "item": item}), tokens);
        self.item += 1;
    }

    /// An event of a part of the item at hand.
    fn of_part(&mut self, kind: &str, of: &Part<'_>, more: (&str, Value), tokens: u64) {
        let mut event = json!({"item_id": of.item_id, "output_index": self.item, of.index: 0});
        event[more.0] = more.1;
        if kind.starts_with("response.output_text") {
            event["logprobs"] = json!([]);
        }
        self.push(kind, event, tokens);
    }

    fn deltas(&mut self, kind: &str, of: &Part<'_>, tokens: &[&str]) {
        // Written by hand, because this is what a stream mostly is.
        let tail = if kind.starts_with("response.output_text") { r#","logprobs":[]"# } else { "" };
        let index = if of.index.is_empty() { String::new() } else { format!(r#","{}":0"#, of.index) };
        for piece in tokens.chunks(self.size) {
            let data = format!(
                r#"{{"type":"{kind}","sequence_number":{},"item_id":"{}","output_index":{}{index},"delta":{}{tail}}}"#,
                self.sequence,
                of.item_id,
                self.item,
                Value::from(piece.concat()),
            );
            self.sequence += 1;
            self.frames.event(kind, &data, piece.len() as u64);
        }
    }

    /// Thought is billed whether it is shown or not; what is shown is called its summary.
    fn thought(&mut self, plan: &Plan, names: &Names<'_>) {
        let id = item_id("rs", names);
        self.opens(json!({"id": id, "type": "reasoning", "summary": []}), 0);
        let mut unseen = plan.thought.len() as u64;
        if names.shows_thought {
            unseen = 0;
            let of = Part { item_id: &id, index: "summary_index" };
            let part = |text: &str| ("part", json!({"type": "summary_text", "text": text}));
            let text = plan.thought.concat();
            self.of_part("response.reasoning_summary_part.added", &of, part(""), 0);
            self.deltas("response.reasoning_summary_text.delta", &of, &plan.thought);
            self.of_part("response.reasoning_summary_text.done", &of, ("text", Value::from(text.as_str())), 0);
            self.of_part("response.reasoning_summary_part.done", &of, part(&text), 0);
        }
        self.closes(reasoning_item(plan, names), unseen);
    }

    fn message(&mut self, tokens: &[&str], plan: &Plan, names: &Names<'_>) {
        let id = item_id("msg", names);
        let of = Part { item_id: &id, index: "content_index" };
        let text = tokens.concat();
        self.opens(message_item(names, "in_progress", Vec::new()), 0);
        self.of_part("response.content_part.added", &of, ("part", text_part("")), 0);
        self.deltas("response.output_text.delta", &of, tokens);
        self.of_part("response.output_text.done", &of, ("text", Value::from(text.as_str())), 0);
        self.of_part("response.content_part.done", &of, ("part", text_part(&text)), 0);
        self.closes(message_item(names, status(plan.stop), vec![text_part(&text)]), 0);
    }

    fn call(&mut self, call: &ToolCall, names: &Names<'_>) {
        let id = item_id("fc", names);
        let of = Part { item_id: &id, index: "" };
        self.opens(call_item(call, names, "in_progress", ""), CALL_TOKENS);
        self.deltas("response.function_call_arguments.delta", &of, &call.arguments);
        let arguments = call.arguments.concat();
        let done = json!({"item_id": id, "output_index": self.item, "name": call.name, "arguments": arguments});
        self.push("response.function_call_arguments.done", done, 0);
        self.closes(call_item(call, names, "completed", &arguments), 0);
    }
}

/// A part of an item, and what its events call its place.
struct Part<'a> {
    item_id: &'a str,
    index: &'static str,
}

pub(super) fn body(plan: &Plan, names: &Names<'_>) -> Value {
    let mut output = Vec::new();
    if !plan.thought.is_empty() {
        output.push(reasoning_item(plan, names));
    }
    match &plan.content {
        Content::Text(tokens) if tokens.is_empty() => {}
        Content::Text(tokens) => {
            output.push(message_item(names, status(plan.stop), vec![text_part(&tokens.concat())]));
        }
        Content::Call(call) => output.push(call_item(call, names, "completed", &call.arguments.concat())),
    }
    let used = if names.with_usage { usage(&plan.usage) } else { Value::Null };
    response(names, status(plan.stop), output, used)
}

fn response(names: &Names<'_>, status: &str, output: Vec<Value>, usage: Value) -> Value {
    let incomplete = if status == "incomplete" { json!({"reason": "max_output_tokens"}) } else { Value::Null };
    json!({
        "id": names.id,
        "object": "response",
        "created_at": names.created_s,
        "status": status,
        "background": false,
        "error": null,
        "incomplete_details": incomplete,
        "instructions": null,
        "metadata": {},
        "model": names.model,
        "output": output,
        "parallel_tool_calls": true,
        "previous_response_id": null,
        "service_tier": "default",
        "store": false,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": usage,
    })
}

fn status(stop: Stop) -> &'static str {
    if stop == Stop::Length { "incomplete" } else { "completed" }
}

/// The items of a response have ids of their own.
fn item_id(kind: &str, names: &Names<'_>) -> String {
    format!("{kind}_{}", names.id.trim_start_matches("resp_"))
}

fn reasoning_item(plan: &Plan, names: &Names<'_>) -> Value {
    let shown = json!({"type": "summary_text", "text": plan.thought.concat()});
    let summary: Vec<Value> = names.shows_thought.then_some(shown).into_iter().collect();
    json!({"id": item_id("rs", names), "type": "reasoning", "summary": summary})
}

fn message_item(names: &Names<'_>, status: &str, content: Vec<Value>) -> Value {
    let id = item_id("msg", names);
    json!({"id": id, "type": "message", "status": status, "role": "assistant", "content": content})
}

fn text_part(text: &str) -> Value {
    json!({"type": "output_text", "annotations": [], "logprobs": [], "text": text})
}

fn call_item(call: &ToolCall, names: &Names<'_>, status: &str, arguments: &str) -> Value {
    json!({
        "id": item_id("fc", names),
        "type": "function_call",
        "status": status,
        "call_id": names.call_id,
        "name": call.name,
        "arguments": arguments,
    })
}

/// OpenAI counts cached tokens inside `input_tokens`.
fn usage(usage: &Usage) -> Value {
    json!({
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": usage.cache_read},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input.unwrap_or(0) + usage.output.unwrap_or(0),
    })
}

/// The error of a stream that breaks: events are numbered, so it has the next number.
pub(super) fn error_event(sent: usize) -> Vec<Frame> {
    let mut frames = Frames::default();
    let message = "The server had an error while processing your request. Sorry about that!";
    let error = json!({"type": "server_error", "code": "server_error", "message": message, "param": null});
    frames.event("error", &json!({"type": "error", "sequence_number": sent, "error": error}).to_string(), 0);
    frames.finish()
}
