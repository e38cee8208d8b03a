//! A provider in all four formats that looks at what it is asked: it says what it saw, thinks when told to, and calls the
//! tool that it is given until it has the tool's result.

use bytes::Bytes;
use schemas::outcome::Format;
use serde_json::{Value, json};
use tests::answers::{named, unnamed};
use tests::provider::{Received, Reply, Step};

/// What the vendor lets a model think, and the proof that a client must send back with it.
const THOUGHT: [&str; 2] = ["Let me see: ", "what do I know?"];
const SIGNATURE: &str = "c2lnbmVkIGJ5IHRoZSB2ZW5kb3I=";
const CALL_ID: &str = "call_0123456789";
/// Arguments of a call, as they come in pieces.
const ARGUMENTS: [&str; 3] = ["{\"location\": \"Lis", "bon\", \"da", "ys\": 3}"];

/// What a request wants.
#[derive(Default)]
struct Ask {
    stream: bool,
    wants_thinking: bool,
    tool: Option<String>,
    /// What the answer tells back: the results, images and proofs that were sent.
    seen: Vec<String>,
}

/// What is answered.
struct Said {
    thinks: bool,
    words: Vec<String>,
    tool: Option<String>,
    input: u64,
    output: u64,
    reasoning: u64,
}

impl Said {
    /// Counts that differ from request to request, so that no row can be taken for another's.
    fn to(ask: &Ask, body: &[u8]) -> Self {
        let length = body.len() as u64;
        let has_result = ask.seen.iter().any(|seen| seen.starts_with("result"));
        let tool = ask.tool.clone().filter(|_| !has_result);
        let words = match tool {
            Some(_) => Vec::new(),
            None => ["I ", "see: "]
                .map(str::to_owned)
                .into_iter()
                .chain(ask.seen.iter().map(|seen| format!("[{seen}]")))
                .collect(),
        };
        let reasoning = if ask.wants_thinking { 11 + length % 5 } else { 0 };
        Self {
            thinks: ask.wants_thinking,
            words,
            tool,
            input: 100 + length,
            output: 20 + length % 13 + reasoning,
            reasoning,
        }
    }

    fn text(&self) -> String {
        self.words.concat()
    }
}

pub fn answer(received: &Received) -> Reply {
    let path = received.uri.path();
    let body = received.json();
    let count = 7 + received.body.len() as u64;
    if path.ends_with("/count_tokens") {
        return Reply::whole(200, "application/json", json!({ "input_tokens": count }).to_string());
    }
    if path.ends_with(":countTokens") {
        return Reply::whole(200, "application/json", json!({ "totalTokens": count }).to_string());
    }
    let format = match path {
        "/v1/messages" => Format::Anthropic,
        "/v1/chat/completions" => Format::OpenaiChat,
        "/v1/responses" => Format::OpenaiResponses,
        _ => Format::Gemini,
    };
    let ask = match format {
        Format::Anthropic => ask_of_messages(&body),
        Format::OpenaiChat => ask_of_chat(&body),
        Format::OpenaiResponses => ask_of_responses(&body),
        Format::Gemini => ask_of_gemini(path, &body),
    };
    let said = Said::to(&ask, &received.body);
    let (events, whole) = match format {
        Format::Anthropic => messages(&said),
        Format::OpenaiChat => chat(&said, &body),
        Format::OpenaiResponses => responses(&said, &body),
        Format::Gemini => gemini(&said),
    };
    match received.header("x-script") {
        _ if !ask.stream => Reply::whole(200, "application/json", whole.to_string()),
        Some(script) => broken(script, format, events),
        None => Reply::events(events),
    }
}

/// A stream whose end never comes.
fn broken(script: &str, format: Format, mut events: Vec<Bytes>) -> Reply {
    events.pop();
    let mut steps: Vec<Step> = events.into_iter().map(Step::Send).collect();
    steps.push(match (script, format) {
        ("cut", _) => Step::Cut,
        ("error", Format::Gemini) => {
            let error =
                json!({ "error": { "code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE" } });
            Step::Send(format!("data: {error}\r\n\r\n").into())
        }
        ("error", Format::OpenaiResponses) => {
            let error =
                json!({ "type": "server_error", "code": "server_error", "message": "The model is overloaded." });
            Step::Send(named(&json!({ "type": "error", "error": error, "sequence_number": 9 })))
        }
        _ => panic!("no script {script} for {format}"),
    });
    Reply::steps(200, "text/event-stream", steps)
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text_at<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn image(media_type: &str, data: &str) -> String {
    format!("image {media_type} {data}")
}

/// An image in a URL.
fn image_url(url: &str) -> String {
    let (media_type, data) = url.strip_prefix("data:").and_then(|url| url.split_once(";base64,")).unwrap_or_default();
    image(media_type, data)
}

fn ask_of_messages(body: &Value) -> Ask {
    let tool = items(&body["tools"]).first().map(|tool| text_at(tool, "/name").to_owned());
    let wants_thinking = text_at(body, "/thinking/type") == "enabled";
    let blocks = items(&body["messages"]).iter().flat_map(|message| items(&message["content"]));
    let seen = blocks.filter_map(|block| match text_at(block, "/type") {
        "tool_result" => Some(format!("result {} {}", text_at(block, "/tool_use_id"), block["content"].as_str()?)),
        "image" => Some(image(text_at(block, "/source/media_type"), text_at(block, "/source/data"))),
        "thinking" => Some(format!("signature {}", text_at(block, "/signature"))),
        _ => None,
    });
    Ask { stream: body["stream"] == json!(true), wants_thinking, tool, seen: seen.collect() }
}

fn ask_of_chat(body: &Value) -> Ask {
    let tool = items(&body["tools"]).first().map(|tool| text_at(tool, "/function/name").to_owned());
    let mut seen = Vec::new();
    for message in items(&body["messages"]) {
        if message["role"] == "tool" {
            seen.push(format!("result {} {}", text_at(message, "/tool_call_id"), text_at(message, "/content")));
        }
        let parts = items(&message["content"]).iter().filter(|part| part["type"] == "image_url");
        seen.extend(parts.map(|part| image_url(text_at(part, "/image_url/url"))));
    }
    let wants_thinking = body["reasoning_effort"].is_string();
    Ask { stream: body["stream"] == json!(true), wants_thinking, tool, seen }
}

fn ask_of_responses(body: &Value) -> Ask {
    let tool = items(&body["tools"]).first().map(|tool| text_at(tool, "/name").to_owned());
    let mut seen = Vec::new();
    for item in items(&body["input"]) {
        match text_at(item, "/type") {
            "function_call_output" => {
                seen.push(format!("result {} {}", text_at(item, "/call_id"), text_at(item, "/output")));
            }
            "reasoning" => seen.push(format!("signature {}", text_at(item, "/encrypted_content"))),
            _ => {}
        }
        let parts = items(&item["content"]).iter().filter(|part| part["type"] == "input_image");
        seen.extend(parts.map(|part| image_url(text_at(part, "/image_url"))));
    }
    let wants_thinking = body["reasoning"]["effort"].is_string();
    Ask { stream: body["stream"] == json!(true), wants_thinking, tool, seen }
}

fn ask_of_gemini(path: &str, body: &Value) -> Ask {
    let tool = body.pointer("/tools/0/functionDeclarations/0/name").and_then(Value::as_str).map(str::to_owned);
    let mut seen = Vec::new();
    for part in items(&body["contents"]).iter().flat_map(|content| items(&content["parts"])) {
        if let Some(result) = part.get("functionResponse") {
            seen.push(format!("result {} {}", text_at(result, "/name"), text_at(result, "/response/result")));
        }
        if let Some(data) = part.get("inlineData") {
            // Google's own client spells fields one way here and another there; Google takes both.
            let media_type = [text_at(data, "/mimeType"), text_at(data, "/mime_type")].concat();
            seen.push(image(&media_type, text_at(data, "/data")));
        }
        if let Some(signature) = part.get("thoughtSignature") {
            seen.push(format!("signature {}", signature.as_str().unwrap_or_default()));
        }
    }
    let thinking = &body["generationConfig"]["thinkingConfig"];
    let wants_thinking = [&thinking["includeThoughts"], &thinking["include_thoughts"]].contains(&&json!(true));
    Ask { stream: path.ends_with(":streamGenerateContent"), wants_thinking, tool, seen }
}

fn messages(said: &Said) -> (Vec<Bytes>, Value) {
    let usage = json!({
        "input_tokens": said.input, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
        "output_tokens": said.output, "output_tokens_details": { "thinking_tokens": said.reasoning },
    });
    // Each block as it begins, its deltas, and how it is as a whole.
    let mut blocks = Vec::new();
    if said.thinks {
        let mut deltas = THOUGHT.map(|text| json!({ "type": "thinking_delta", "thinking": text })).to_vec();
        deltas.push(json!({ "type": "signature_delta", "signature": SIGNATURE }));
        let block = |thinking: &str, signature: &str| json!({ "type": "thinking", "thinking": thinking, "signature": signature });
        blocks.push((block("", ""), deltas, block(&THOUGHT.concat(), SIGNATURE)));
    }
    if !said.words.is_empty() {
        let deltas = said.words.iter().map(|text| json!({ "type": "text_delta", "text": text })).collect();
        let block = |text: &str| json!({ "type": "text", "text": text });
        blocks.push((block(""), deltas, block(&said.text())));
    }
    if let Some(tool) = &said.tool {
        let deltas = ARGUMENTS.map(|part| json!({ "type": "input_json_delta", "partial_json": part })).to_vec();
        let block = |input: Value| json!({ "type": "tool_use", "id": CALL_ID, "name": tool, "input": input });
        blocks.push((block(json!({})), deltas, block(serde_json::from_str(&ARGUMENTS.concat()).unwrap())));
    }
    let stop_reason = if said.tool.is_some() { "tool_use" } else { "end_turn" };
    let mut message = json!({
        "id": "msg_scripted", "type": "message", "role": "assistant", "model": "claude-scripted", "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": usage,
    });
    message["usage"]["output_tokens"] = json!(1);
    let mut events = vec![named(&json!({ "type": "message_start", "message": message }))];
    for (index, (begin, deltas, _)) in blocks.iter().enumerate() {
        events.push(named(&json!({ "type": "content_block_start", "index": index, "content_block": begin })));
        let delta = |delta| named(&json!({ "type": "content_block_delta", "index": index, "delta": delta }));
        events.extend(deltas.iter().map(delta));
        events.push(named(&json!({ "type": "content_block_stop", "index": index })));
    }
    let end = json!({ "stop_reason": stop_reason, "stop_sequence": null });
    events.push(named(&json!({ "type": "message_delta", "delta": end, "usage": usage })));
    events.push(named(&json!({ "type": "message_stop" })));
    message["content"] = blocks.into_iter().map(|(_, _, whole)| whole).collect();
    message["stop_reason"] = json!(stop_reason);
    message["usage"] = usage;
    (events, message)
}

fn chat(said: &Said, body: &Value) -> (Vec<Bytes>, Value) {
    let usage = json!({
        "prompt_tokens": said.input, "completion_tokens": said.output, "total_tokens": said.input + said.output,
        "prompt_tokens_details": { "cached_tokens": 0 },
        "completion_tokens_details": { "reasoning_tokens": said.reasoning },
    });
    let finish = if said.tool.is_some() { "tool_calls" } else { "stop" };
    let mut deltas = vec![json!({ "role": "assistant", "content": "" })];
    if said.thinks {
        deltas.extend(THOUGHT.map(|text| json!({ "reasoning_content": text })));
    }
    deltas.extend(said.words.iter().map(|text| json!({ "content": text })));
    if let Some(tool) = &said.tool {
        let function = json!({ "name": tool, "arguments": "" });
        let begin = json!({ "index": 0, "id": CALL_ID, "type": "function", "function": function });
        deltas.push(json!({ "tool_calls": [begin] }));
        deltas
            .extend(ARGUMENTS.map(|part| json!({ "tool_calls": [{ "index": 0, "function": { "arguments": part } }] })));
    }
    let chunk = |choices: Value, usage: Value| {
        let (id, object) = ("chatcmpl-scripted", "chat.completion.chunk");
        unnamed(
            &json!({ "id": id, "object": object, "created": 1, "model": "gpt", "choices": choices, "usage": usage }),
        )
    };
    let choice = |delta, finish: Value| json!([{ "index": 0, "delta": delta, "finish_reason": finish }]);
    let mut events: Vec<Bytes> =
        deltas.into_iter().map(|delta| chunk(choice(delta, Value::Null), Value::Null)).collect();
    events.push(chunk(choice(json!({}), json!(finish)), Value::Null));
    if body.pointer("/stream_options/include_usage") == Some(&json!(true)) {
        events.push(chunk(json!([]), usage.clone()));
    }
    events.push(Bytes::from_static(b"data: [DONE]\n\n"));
    let mut message = json!({ "role": "assistant", "content": said.text() });
    if said.thinks {
        message["reasoning_content"] = json!(THOUGHT.concat());
    }
    if let Some(tool) = &said.tool {
        let function = json!({ "name": tool, "arguments": ARGUMENTS.concat() });
        message["tool_calls"] = json!([{ "id": CALL_ID, "type": "function", "function": function }]);
    }
    let whole = json!({
        "id": "chatcmpl-scripted", "object": "chat.completion", "created": 1, "model": "gpt",
        "choices": [{ "index": 0, "message": message, "finish_reason": finish }], "usage": usage,
    });
    (events, whole)
}

fn responses(said: &Said, body: &Value) -> (Vec<Bytes>, Value) {
    let usage = json!({
        "input_tokens": said.input, "input_tokens_details": { "cached_tokens": 0 }, "output_tokens": said.output,
        "output_tokens_details": { "reasoning_tokens": said.reasoning }, "total_tokens": said.input + said.output,
    });
    let mut response = json!({
        "id": "resp_scripted", "object": "response", "created_at": 1, "model": body["model"], "status": "in_progress",
        "error": null, "incomplete_details": null, "output": [], "tools": [], "tool_choice": "auto",
        "parallel_tool_calls": true, "usage": null,
    });
    let mut events = vec![json!({ "type": "response.created", "response": response })];
    let mut output = Vec::new();
    let mut add = |begin: Value, within: Vec<Value>, whole: Value| {
        let index = output.len();
        events.push(json!({ "type": "response.output_item.added", "output_index": index, "item": begin }));
        events.extend(within.into_iter().map(|mut event| {
            event["output_index"] = json!(index);
            event["item_id"] = whole["id"].clone();
            event
        }));
        events.push(json!({ "type": "response.output_item.done", "output_index": index, "item": whole }));
        output.push(whole);
    };
    if said.thinks {
        let item = |summary: Value| json!({ "type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": SIGNATURE });
        let part = |text: &str| json!({ "type": "summary_text", "text": text });
        let event = |kind: &str, name: &str, value: Value| json!({ "type": format!("response.reasoning_summary_{kind}"), "summary_index": 0, name: value });
        let mut within = vec![event("part.added", "part", part(""))];
        within.extend(THOUGHT.map(|text| event("text.delta", "delta", json!(text))));
        within.push(event("text.done", "text", json!(THOUGHT.concat())));
        within.push(event("part.done", "part", part(&THOUGHT.concat())));
        add(item(json!([])), within, item(json!([part(&THOUGHT.concat())])));
    }
    if !said.words.is_empty() {
        let item = |status: &str, content: Value| json!({ "type": "message", "id": "msg_1", "role": "assistant", "status": status, "content": content });
        let part = |text: &str| json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": [] });
        let event = |kind: &str, name: &str, value: Value| json!({ "type": format!("response.{kind}"), "content_index": 0, "logprobs": [], name: value });
        let mut within = vec![event("content_part.added", "part", part(""))];
        within.extend(said.words.iter().map(|text| event("output_text.delta", "delta", json!(text))));
        within.push(event("output_text.done", "text", json!(said.text())));
        within.push(event("content_part.done", "part", part(&said.text())));
        add(item("in_progress", json!([])), within, item("completed", json!([part(&said.text())])));
    }
    if let Some(tool) = &said.tool {
        let item = |arguments: &str, status: &str| {
            json!({ "type": "function_call", "id": "fc_1", "call_id": CALL_ID, "name": tool, "arguments": arguments,
                    "status": status })
        };
        let event = |kind: &str, name: &str, value: &str| json!({ "type": format!("response.function_call_arguments.{kind}"), name: value });
        let mut within = ARGUMENTS.map(|part| event("delta", "delta", part)).to_vec();
        within.push(event("done", "arguments", &ARGUMENTS.concat()));
        add(item("", "in_progress"), within, item(&ARGUMENTS.concat(), "completed"));
    }
    response["status"] = json!("completed");
    response["output"] = json!(output);
    response["usage"] = usage;
    events.push(json!({ "type": "response.completed", "response": response }));
    let number = |(number, mut event): (usize, Value)| {
        event["sequence_number"] = json!(number);
        named(&event)
    };
    (events.into_iter().enumerate().map(number).collect(), response)
}

fn gemini(said: &Said) -> (Vec<Bytes>, Value) {
    let mut usage = json!({
        "promptTokenCount": said.input, "candidatesTokenCount": said.output - said.reasoning,
        "totalTokenCount": said.input + said.output,
    });
    let mut parts = Vec::new();
    if said.thinks {
        usage["thoughtsTokenCount"] = json!(said.reasoning);
        parts.extend(THOUGHT.map(|text| json!({ "text": text, "thought": true })));
    }
    parts.extend(said.words.iter().map(|text| json!({ "text": text })));
    if let Some(tool) = &said.tool {
        let arguments: Value = serde_json::from_str(&ARGUMENTS.concat()).unwrap();
        parts.push(json!({ "functionCall": { "name": tool, "args": arguments }, "thoughtSignature": SIGNATURE }));
    }
    let chunk = |parts: Value, finish: Option<&str>| {
        let mut candidate = json!({ "content": { "parts": parts, "role": "model" }, "index": 0 });
        if let Some(reason) = finish {
            candidate["finishReason"] = json!(reason);
        }
        json!({ "candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-scripted", "responseId": "r" })
    };
    let whole = chunk(json!(parts), Some("STOP"));
    let last = parts.len() - 1;
    let event = |(at, part): (usize, Value)| {
        let data = chunk(json!([part]), (at == last).then_some("STOP"));
        Bytes::from(format!("data: {data}\r\n\r\n"))
    };
    (parts.into_iter().enumerate().map(event).collect(), whole)
}
