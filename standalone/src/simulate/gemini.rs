//! A plan as Gemini's generateContent: chunks of a stream, as events or as one JSON array, whole bodies, errors.

use schemas::usage::Usage;
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};
use serde_json::{Value, json};

use super::Options;
use super::dialect::Names;
use super::endpoint::Framing;
use super::frames::{Frame, Frames};
use super::plan::{CALL_TOKENS, Content, Plan, Stop};

/// What a thinking model attaches to its calls, to be sent back with the next question.
const SIGNATURE: &str = "c2ltdWxhdGVkIHRob3VnaHQ=";

/// Every chunk tells what was used until then; what is not shown of the thought is spent before the first.
pub(super) fn stream(plan: &Plan, names: &Names<'_>, options: &Options) -> Vec<Frame> {
    let mut chunks =
        Chunks { frames: Frames::default(), names, used: Usage { output: Some(0), ..plan.usage }, sent: 0 };
    chunks.used.reasoning = Some(0);
    let size = usize::try_from(options.tokens_per_event.max(1)).unwrap_or(usize::MAX);
    let thought = plan.thought.len() as u64;
    let mut unseen = if names.shows_thought { 0 } else { thought };
    if names.shows_thought {
        for piece in plan.thought.chunks(size) {
            let part = json!({"text": piece.concat(), "thought": true});
            chunks.part(part, Spent { thought: piece.len() as u64, visible: 0 });
        }
    }
    match &plan.content {
        Content::Text(tokens) => {
            for piece in tokens.chunks(size) {
                let spent = Spent { thought: std::mem::take(&mut unseen), visible: piece.len() as u64 };
                chunks.part(json!({"text": piece.concat()}), spent);
            }
        }
        Content::Call(_) => {
            let visible = CALL_TOKENS + arguments(plan).map_or(0, |arguments| arguments.len() as u64);
            let spent = Spent { thought: std::mem::take(&mut unseen), visible };
            chunks.part(content_part(plan), spent);
        }
    }
    // A limit that the thought has used up leaves nothing but the end to say.
    chunks.end(plan.stop, unseen);
    let Chunks { mut frames, sent, .. } = chunks;
    if names.framing == Framing::Array && sent > 0 {
        frames.raw("]", 0);
    }
    frames.finish()
}

fn arguments(plan: &Plan) -> Option<&[&'static str]> {
    match &plan.content {
        Content::Call(call) => Some(&call.arguments),
        Content::Text(_) => None,
    }
}

struct Chunks<'a> {
    frames: Frames,
    names: &'a Names<'a>,
    used: Usage,
    sent: usize,
}

/// Tokens that a chunk brings.
struct Spent {
    thought: u64,
    visible: u64,
}

impl Chunks<'_> {
    fn part(&mut self, part: Value, spent: Spent) {
        let candidate = json!({"content": {"parts": [part], "role": "model"}, "index": 0});
        self.chunk(candidate, spent);
    }

    fn end(&mut self, stop: Stop, thought: u64) {
        let parts = json!([{"text": ""}]);
        let content = json!({"parts": parts, "role": "model"});
        let candidate = json!({"content": content, "finishReason": finish_reason(stop), "index": 0});
        self.chunk(candidate, Spent { thought, visible: 0 });
    }

    fn chunk(&mut self, candidate: Value, Spent { thought, visible }: Spent) {
        let tokens = thought + visible;
        self.used.output = self.used.output.map(|output| output + tokens);
        self.used.reasoning = self.used.reasoning.map(|reasoning| reasoning + thought);
        let chunk = envelope(candidate, &self.used, self.names);
        push(&mut self.frames, self.names.framing, self.sent, &chunk, tokens);
        self.sent += 1;
    }
}

/// One element of the stream. Google ends its lines with CR and LF.
fn push(frames: &mut Frames, framing: Framing, sent: usize, chunk: &Value, tokens: u64) {
    match framing {
        Framing::Events => frames.raw(&format!("data: {}\r\n\r\n", spaced(chunk)), tokens),
        Framing::Array => {
            let before = if sent == 0 { "[" } else { ",\r\n" };
            frames.raw(&format!("{before}{}\n", pretty(chunk)), tokens);
        }
    }
}

pub(super) fn body(plan: &Plan, names: &Names<'_>) -> Value {
    let mut parts = Vec::new();
    if names.shows_thought && !plan.thought.is_empty() {
        parts.push(json!({"text": plan.thought.concat(), "thought": true}));
    }
    parts.push(content_part(plan));
    let content = json!({"parts": parts, "role": "model"});
    let candidate = json!({"content": content, "finishReason": finish_reason(plan.stop), "index": 0});
    envelope(candidate, &plan.usage, names)
}

fn content_part(plan: &Plan) -> Value {
    match &plan.content {
        Content::Text(tokens) => json!({"text": tokens.concat()}),
        Content::Call(call) => {
            let args: Value = serde_json::from_str(&call.arguments.concat()).unwrap_or_default();
            let mut part = json!({"functionCall": {"name": call.name, "args": args}});
            if !plan.thought.is_empty() {
                part["thoughtSignature"] = Value::from(SIGNATURE);
            }
            part
        }
    }
}

fn envelope(candidate: Value, used: &Usage, names: &Names<'_>) -> Value {
    let mut chunk = json!({"candidates": [candidate], "modelVersion": names.model, "responseId": names.id});
    if names.with_usage {
        chunk["usageMetadata"] = usage(used);
    }
    chunk
}

fn finish_reason(stop: Stop) -> &'static str {
    match stop {
        // A call is an ordinary end here.
        Stop::End | Stop::Call => "STOP",
        Stop::Length => "MAX_TOKENS",
    }
}

/// Google counts cached tokens inside the prompt, and thought beside what it shows. What is zero is left out.
fn usage(usage: &Usage) -> Value {
    let input = usage.input.unwrap_or(0);
    let (output, thought) = (usage.output.unwrap_or(0), usage.reasoning.unwrap_or(0));
    let mut object = json!({
        "promptTokenCount": input,
        "totalTokenCount": input + output,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": input}],
    });
    let cached = usage.cache_read.unwrap_or(0);
    let counts = [
        ("candidatesTokenCount", output - thought),
        ("thoughtsTokenCount", thought),
        ("cachedContentTokenCount", cached),
    ];
    for (name, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        object[name] = Value::from(count);
    }
    if cached > 0 {
        object["cacheTokensDetails"] = json!([{"modality": "TEXT", "tokenCount": cached}]);
    }
    object
}

pub(super) fn count(tokens: u64) -> Value {
    json!({"totalTokens": tokens, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": tokens}]})
}

pub(super) fn models(names: &[String]) -> Value {
    let methods = ["generateContent", "countTokens"];
    let entry = |name: &String| {
        json!({
            "name": format!("models/{name}"),
            "version": "001",
            "displayName": name,
            "inputTokenLimit": 1_048_576,
            "outputTokenLimit": 65_536,
            "supportedGenerationMethods": methods,
        })
    };
    json!({"models": names.iter().map(entry).collect::<Vec<Value>>()})
}

pub(super) fn error(status: u16, message: &str) -> Value {
    let name = match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        400..500 => "INVALID_ARGUMENT",
        503 | 529 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        _ => "INTERNAL",
    };
    json!({"error": {"code": status, "message": message, "status": name}})
}

/// The error of a stream that breaks. An array is closed behind it, so that it can still be parsed.
pub(super) fn error_event(framing: Framing, sent: usize) -> Vec<Frame> {
    let mut frames = Frames::default();
    let error = error(503, "The model is overloaded. Please try again later.");
    push(&mut frames, framing, sent, &error, 0);
    if framing == Framing::Array {
        frames.raw("]", 0);
    }
    frames.finish()
}

fn pretty(value: &Value) -> String {
    format!("{value:#}")
}

/// As Google writes its events: a blank after each colon and nowhere else.
fn spaced(value: &Value) -> String {
    struct Spaced;
    impl Formatter for Spaced {
        fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
            writer.write_all(b": ")
        }
    }
    let mut bytes = Vec::new();
    let written = value.serialize(&mut Serializer::with_formatter(&mut bytes, Spaced));
    written.ok().and_then(|()| String::from_utf8(bytes).ok()).unwrap_or_default()
}
