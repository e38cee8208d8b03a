//! Every recorded answer reaches the client byte for byte, at any chunking, and its row says what it was.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::{Value, json};
use tests::caller::{self, Caller};
use tests::configuration::KEY_A;
use tests::corpus::{Expected, Recording, recordings};
use tests::provider::{Received, Reply, Step};
use tests::stack::{Plan, Row, Stack};

/// How the provider cuts a body into writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// Not at all; a plain answer then has its length.
    Whole,
    /// Into single bytes, if the body is short.
    Bytes,
    /// Into pieces of one small odd size, larger for large bodies.
    Even,
    /// Into pieces of changing size.
    Mixed,
}

impl Cut {
    const ALL: [Self; 4] = [Self::Whole, Self::Bytes, Self::Even, Self::Mixed];

    fn pieces(self, body: &Bytes) -> Vec<Bytes> {
        let even = if body.len() < 4_096 { 7 } else { 1_021 };
        let mut sizes: Box<dyn Iterator<Item = usize>> = match self {
            Self::Whole => Box::new(std::iter::repeat(body.len())),
            Self::Bytes if body.len() < 2_048 => Box::new(std::iter::repeat(1)),
            Self::Even | Self::Bytes => Box::new(std::iter::repeat(even)),
            Self::Mixed => Box::new([1, 2, 37, 5, 311, 64, 3, 1_500, 16, 120].into_iter().cycle()),
        };
        let (mut rest, mut pieces) = (body.clone(), Vec::new());
        while !rest.is_empty() {
            let size = sizes.next().unwrap().clamp(1, rest.len());
            pieces.push(rest.split_to(size));
        }
        pieces
    }
}

/// One way of playing a recording.
#[derive(Clone)]
struct Play {
    recording: Arc<Recording>,
    cut: Cut,
    /// The request body as sent.
    request: Bytes,
    /// What the client must get.
    expected: Bytes,
}

/// Recordings after whose bytes the gateway adds its own error event, and why.
const ENDED_BY_US: &[(&str, &str)] =
    &[("derived-anthropic-cut-between-events-1a56f001", "it ends without an end, which must not look like one")];

const MODEL_OF_BODILESS: &str = "unrecorded-model";

#[tokio::test(flavor = "multi_thread")]
async fn every_anthropic_recording_passes_unchanged_and_is_accounted() {
    replay("anthropic", "/v1/messages").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_openai_chat_recording_passes_unchanged_and_is_accounted() {
    replay("openai_chat", "/v1/chat/completions").await;
}

async fn replay(format: &'static str, path: &'static str) {
    let Some(recordings) = recordings(format) else { return };
    let plays: Vec<Play> = recordings.into_iter().flat_map(|recording| plays(format, Arc::new(recording))).collect();
    let script = plays.clone();
    let stack = Stack::planned(plan(format, &plays), move |received| answer(&script, received)).await;
    let caller = Caller::new(&stack.gateway.as_ref().unwrap().url, KEY_A);

    let mut problems = Vec::new();
    let mut ids = BTreeMap::new();
    let mut outcomes = futures_util::stream::iter(plays.iter().enumerate().map(|(number, play)| {
        let request = caller.post(path, play.request.clone()).header("x-play", number.to_string());
        async move { (number, caller::try_read(request).await) }
    }))
    .buffer_unordered(8);
    while let Some((number, answer)) = outcomes.next().await {
        match answer {
            Ok(answer) => {
                problems.extend(differences(&plays[number], &answer));
                ids.insert(answer.request_id(), number);
            }
            Err(error) => problems.push(format!("{}: no answer: {error:?}", plays[number].name())),
        }
    }
    let rows = stack.all_rows(plays.len()).await;
    let mut endings = BTreeMap::new();
    for (id, number) in ids {
        let play = &plays[number];
        match rows.get(&id) {
            Some(row) => {
                problems.extend(row_differences(format, play, row));
                let ending = (row.outcome.clone(), row.error_class.clone());
                let key = (play.recording.name.clone(), play.expected.len());
                let first = endings.entry(key).or_insert_with(|| ending.clone());
                if *first != ending {
                    problems.push(format!("{}: ended as {ending:?}, elsewhere as {first:?}", play.name()));
                }
            }
            None => problems.push(format!("{}: no row for {id}", play.name())),
        }
    }
    let shown: Vec<&str> = problems.iter().take(60).map(String::as_str).collect();
    assert!(problems.is_empty(), "{} problems in {} plays:\n{}", problems.len(), plays.len(), shown.join("\n"));
    println!("{format}: {} plays without a difference", plays.len());
}

/// A recording at every chunking; streams of chat completions also for a client that did not ask for usage.
fn plays(format: &str, recording: Arc<Recording>) -> Vec<Play> {
    let mut body = recording.request.body.clone().unwrap_or_else(|| json!({ "messages": [] }));
    if body.get("model").and_then(Value::as_str).is_none_or(str::is_empty) {
        body["model"] = json!(recording.expected.model.as_deref().unwrap_or(MODEL_OF_BODILESS));
    }
    if recording.stream {
        body["stream"] = json!(true);
    }
    let chat_stream = format == "openai_chat" && recording.stream;
    if chat_stream {
        body["stream_options"] = json!({ "include_usage": true });
    }
    let whole = Bytes::from(recording.response.body.clone());
    let request = Bytes::from(body.to_string());
    let play = |cut| Play { recording: Arc::clone(&recording), cut, request: request.clone(), expected: whole.clone() };
    let mut plays: Vec<Play> = Cut::ALL.map(play).into();
    if chat_stream {
        body.as_object_mut().unwrap().remove("stream_options");
        let request = Bytes::from(body.to_string());
        let expected = Bytes::from(without_usage_chunk(&recording.response.body));
        let hidden = |cut| Play { request: request.clone(), expected: expected.clone(), ..play(cut) };
        plays.extend([Cut::Even, Cut::Mixed].map(hidden));
    }
    plays
}

/// The stream without its events that hold a usage object and no choice, read by the plainest reader there can be.
fn without_usage_chunk(stream: &str) -> String {
    let is_usage_only = |event: &str| {
        let lines = event.lines().filter_map(|line| line.strip_prefix("data:"));
        let data = lines.map(str::trim_start).collect::<Vec<_>>().join("\n");
        let Ok(data) = serde_json::from_str::<Value>(&data) else { return false };
        data["usage"].is_object() && data["choices"].as_array().is_some_and(Vec::is_empty)
    };
    let line_end = if stream.contains("\r\n\r\n") { "\r\n\r\n" } else { "\n\n" };
    stream.split_inclusive(line_end).filter(|event| !is_usage_only(event)).collect()
}

/// A catalogue in which every recorded model is asked for under its own name.
fn plan(format: &str, plays: &[Play]) -> Plan {
    let mut models: Vec<String> = plays.iter().map(|play| play.model()).collect();
    models.sort();
    models.dedup();
    let mut catalogue = format!(
        "[[providers]]\nname = \"recorded\"\n[[providers.endpoints]]\nname = \"recorded-api\"\nformat = \"{format}\"\n\
         base_url = \"{{provider}}\"\nmax_retries = 0\n[[providers.endpoints.keys]]\nname = \"main\"\n\
         secret = {{ plain = \"upstream\" }}\n[[clients]]\nname = \"team-a\"\nkey = {{ plain = \"{KEY_A}\" }}\n"
    );
    for model in models {
        let name = toml::Value::String(model);
        catalogue.push_str(&format!("[[models]]\nname = {name}\n[[models.routes]]\nendpoint = \"recorded-api\"\n"));
    }
    Plan { catalogue, ..Plan::default() }
}

/// The provider's side. Which play it is comes in a header of the client's, which therefore has to pass.
fn answer(plays: &[Play], received: &Received) -> Reply {
    let number = received.header("x-play").and_then(|number| number.parse::<usize>().ok());
    let Some(play) = number.and_then(|number| plays.get(number)) else {
        return Reply::whole(500, "text/plain", "the header x-play did not come through");
    };
    let recorded = &play.recording.response;
    let content_type = recorded.headers.get("content-type").map_or("application/json", String::as_str);
    let body = Bytes::from(recorded.body.clone());
    let reply = if play.cut == Cut::Whole && !play.recording.stream {
        Reply::whole(recorded.status, content_type, body)
    } else {
        let steps = play.cut.pieces(&body).into_iter().map(Step::Send).collect();
        Reply::steps(recorded.status, content_type, steps)
    };
    recorded.headers.iter().fold(reply, |reply, (name, value)| reply.header(name, value))
}

impl Play {
    fn name(&self) -> String {
        format!("{} ({:?})", self.recording.name, self.cut)
    }

    fn model(&self) -> String {
        let body: Value = serde_json::from_slice(&self.request).unwrap();
        body["model"].as_str().unwrap().to_owned()
    }
}

/// What the client got against what the provider sent.
fn differences(play: &Play, answer: &caller::Answer) -> Vec<String> {
    let (name, recorded) = (play.name(), &play.recording.response);
    let mut problems = Vec::new();
    if answer.status != recorded.status {
        problems.push(format!("{name}: status {} became {}", recorded.status, answer.status));
    }
    let content_type = answer.headers.get("content-type").and_then(|value| value.to_str().ok());
    let sent = recorded.headers.get("content-type").map_or("application/json", String::as_str);
    if content_type != Some(sent) {
        problems.push(format!("{name}: content-type {sent:?} became {content_type:?}"));
    }
    let ended_by_us = ENDED_BY_US.iter().any(|(name, _)| *name == play.recording.name);
    let added = answer.body.strip_prefix(play.expected.as_ref()).unwrap_or_default();
    if ended_by_us && added.starts_with(b"event: error\ndata: ") && added.ends_with(b"\n\n") {
        return problems;
    }
    if answer.body != play.expected {
        let same = answer.body.iter().zip(&play.expected).take_while(|(left, right)| left == right).count();
        let around = |bytes: &Bytes| String::from_utf8_lossy(&bytes[same..bytes.len().min(same + 80)]).into_owned();
        let (expected, got) = (around(&play.expected), around(&answer.body));
        problems.push(format!("{name}: other bytes from {same} on: {expected:?} became {got:?}"));
    }
    if let Some(broken) = &answer.broken {
        problems.push(format!("{name}: the answer broke: {broken}"));
    }
    problems
}

/// The row against what two other readers made of the recording.
fn row_differences(format: &str, play: &Play, row: &Row) -> Vec<String> {
    let expected = &play.recording.expected;
    let usage = if format == "anthropic" { anthropic_usage(expected) } else { chat_usage(expected) };
    let [input, fresh, read, write_5m, write_1h, output, reasoning] = usage;
    let status = play.recording.response.status;
    let text = |value: &dyn std::fmt::Debug| format!("{value:?}");
    // Parts of a usage that the provider does not report are unknown or none: both are said to be right.
    let part = |value: Option<u64>| text(&value.unwrap_or_default());
    let columns = [
        ("completed", text(&expected.completed), text(&(row.outcome == "completed"))),
        ("status", text(&status), text(&row.status)),
        ("upstream_status", text(&Some(status)), text(&row.upstream_status)),
        ("is an error", text(&expected.is_error), text(&!["", "stream_cut"].contains(&row.error_class.as_str()))),
        ("error_type", text(&expected.error_type.clone().unwrap_or_default()), text(&row.error_type)),
        ("stop_reason", text(&expected.stop_reason.clone().unwrap_or_default()), text(&row.stop_reason)),
        ("model_reported", text(&expected.model.clone().unwrap_or_default()), text(&row.model_reported)),
        ("model_requested", play.model(), row.model_requested.clone()),
        ("model_upstream", play.model(), row.model_upstream.clone()),
        ("input_tokens", text(&input), text(&row.input_tokens)),
        ("fresh_input_tokens", text(&fresh), text(&row.fresh_input_tokens)),
        ("output_tokens", text(&output), text(&row.output_tokens)),
        ("cache_read_tokens", part(read), part(row.cache_read_tokens)),
        ("cache_write_5m_tokens", part(write_5m), part(row.cache_write_5m_tokens)),
        ("cache_write_1h_tokens", part(write_1h), part(row.cache_write_1h_tokens)),
        ("reasoning_tokens", part(reasoning), part(row.reasoning_tokens)),
        // Of an answer that broke off, the counts so far are a lower bound, which is called an estimate.
        (
            "usage_source is known",
            text(&(input.is_some() || output.is_some())),
            text(&(row.usage_source == "provider" || !expected.completed && row.usage_source == "estimated")),
        ),
        ("raw_usage", text(&(input.is_some() || output.is_some())), text(&!row.raw_usage.is_empty())),
        ("response_bytes up to the end", text(&true), text(&(row.response_bytes >= until_end(&play.expected)))),
        ("request_bytes", text(&play.request.len()), text(&row.request_bytes)),
        ("attempts", text(&1), text(&row.attempts)),
        ("client", text(&"team-a"), text(&row.client)),
        ("provider", text(&"recorded"), text(&row.provider)),
        ("key", text(&"main"), text(&row.key)),
    ];
    let differs = columns.into_iter().filter(|(_, expected, got)| expected != got);
    differs
        .map(|(column, expected, got)| {
            format!("{}: {column} is {got}, not {expected} (outcome {})", play.name(), row.outcome)
        })
        .collect()
}

/// Bytes up to what marks the end. The terminal event is written before that goes out, so a line end behind it, when it
/// travels by itself, is relayed and not counted.
fn until_end(body: &[u8]) -> u64 {
    let end = [&br#"{"type":"message_stop""#[..], b"data: [DONE]"]
        .into_iter()
        .find_map(|mark| body.windows(mark.len()).position(|window| window == mark).map(|at| at + mark.len()));
    end.unwrap_or(body.len()) as u64
}

/// Anthropic counts cached tokens beside the input: input, fresh, read, write 5m, write 1h, output, reasoning.
fn anthropic_usage(expected: &Expected) -> [Option<u64>; 7] {
    let write_1h = expected.cache_creation_1h_tokens;
    // The sum grows during a stream while the split stays at its first value: what is not for an hour is for five minutes.
    let beside = |all: u64| all.saturating_sub(write_1h.unwrap_or_default());
    let write_5m = expected.cache_creation_tokens.map(beside).or(expected.cache_creation_5m_tokens);
    let cached = [expected.cache_read_tokens, write_5m, write_1h].into_iter().flatten().sum::<u64>();
    let input = expected.input_tokens.map(|fresh| fresh + cached);
    let (read, output, reasoning) = (expected.cache_read_tokens, expected.output_tokens, expected.reasoning_tokens);
    [input, expected.input_tokens, read, write_5m, write_1h, output, reasoning]
}

/// OpenAI counts cached tokens in the prompt. Some who speak its dialect count reasoning beside the answer.
fn chat_usage(expected: &Expected) -> [Option<u64>; 7] {
    let (read, written) = (expected.cache_read_tokens, expected.cache_creation_tokens);
    let fresh = expected
        .input_tokens
        .map(|all| all.saturating_sub(read.unwrap_or_default()).saturating_sub(written.unwrap_or_default()));
    let reasoning = expected.reasoning_tokens.unwrap_or_default();
    let output = expected.output_tokens.map(|answer| {
        let with_all = expected.input_tokens.unwrap_or_default() + answer + reasoning;
        let beside = reasoning > answer || (reasoning > 0 && expected.total_tokens == Some(with_all));
        if beside { answer + reasoning } else { answer }
    });
    [expected.input_tokens, fresh, read, written, None, output, expected.reasoning_tokens]
}
