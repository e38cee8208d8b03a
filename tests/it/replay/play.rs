//! What of a recording is sent, how its answer is cut into writes, and what the client must get.

use std::sync::Arc;

use bytes::Bytes;
use schemas::outcome::Format;
use serde_json::{Value, json};
use tests::configuration::KEY_A;
use tests::corpus::Recording;
use tests::provider::{Received, Reply, Step};
use tests::stack::Plan;

/// How the provider cuts a body into writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
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
pub struct Play {
    pub recording: Arc<Recording>,
    pub format: Format,
    pub cut: Cut,
    /// The model that is asked for.
    pub model: String,
    /// Path and query, both of the client's request and of the one upstream.
    pub path: String,
    /// The request body as sent.
    pub request: Bytes,
    /// What the provider says, as far as the client is to see it.
    pub expected: Bytes,
}

const MODEL_OF_BODILESS: &str = "unrecorded-model";

impl Play {
    /// A recording at every chunking; streams of chat completions also for a client that did not ask for usage.
    pub fn all(format: Format, recording: Recording) -> Vec<Self> {
        let recording = Arc::new(recording);
        let (model, path, mut body) = match format {
            Format::Gemini => gemini_request(&recording),
            _ => openai_like_request(format, &recording),
        };
        let chat_stream = format == Format::OpenaiChat && recording.stream;
        if chat_stream {
            body["stream_options"] = json!({ "include_usage": true });
        }
        let whole = Self {
            format,
            cut: Cut::Whole,
            model,
            path,
            request: body.to_string().into(),
            expected: recording.response.body.clone().into(),
            recording,
        };
        let mut plays: Vec<Self> = Cut::ALL.map(|cut| Self { cut, ..whole.clone() }).into();
        if chat_stream {
            body.as_object_mut().unwrap().remove("stream_options");
            let request = Bytes::from(body.to_string());
            let expected = Bytes::from(without_usage_chunk(&whole.recording.response.body));
            let hidden = |cut| Self { cut, request: request.clone(), expected: expected.clone(), ..whole.clone() };
            plays.extend([Cut::Even, Cut::Mixed].map(hidden));
        }
        plays
    }

    /// What to call it in messages.
    pub fn name(&self) -> String {
        format!("{} ({:?})", self.recording.name, self.cut)
    }

    /// Whether the answer is a stream by what it holds.
    pub fn is_stream(&self) -> bool {
        self.recording.has("sse_body") || (self.recording.has("json_array_body") && self.recording.stream)
    }

    /// Whether the provider's stream stops without an end and without saying why: the gateway must then say so.
    pub fn stops_short(&self) -> bool {
        let expected = &self.recording.expected;
        self.is_stream() && self.recording.response.status == 200 && !expected.completed && !expected.is_error
    }

    /// The status that the client must get: the provider's, but for an error in a plain body that calls itself a
    /// success, which goes out under the status that its body names.
    pub fn status(&self) -> u16 {
        let (status, expected) = (self.recording.response.status, &self.recording.expected);
        let is_hidden_error = status == 200 && expected.is_error && !self.is_stream();
        if is_hidden_error { expected.error_status.unwrap_or(502) } else { status }
    }
}

fn openai_like_request(format: Format, recording: &Recording) -> (String, String, Value) {
    let (path, prompt) = match format {
        Format::Anthropic => ("/v1/messages", "messages"),
        Format::OpenaiChat => ("/v1/chat/completions", "messages"),
        _ => ("/v1/responses", "input"),
    };
    let mut body = recording.request.body.clone().unwrap_or_else(|| json!({ prompt: [] }));
    if body.get("model").and_then(Value::as_str).is_none_or(str::is_empty) {
        body["model"] = json!(recording.expected.model.as_deref().unwrap_or(MODEL_OF_BODILESS));
    }
    if recording.stream {
        body["stream"] = json!(true);
    }
    (body["model"].as_str().unwrap().to_owned(), path.to_owned(), body)
}

/// Gemini's model, action and form of stream stand in the path, whose beginning differs between Google's services.
fn gemini_request(recording: &Recording) -> (String, String, Value) {
    let (_, target) = recording.request.path.split_once("/models/").expect("a path with a model");
    let (model, _) = target.split_once(':').expect("a path with an action");
    let body = recording.request.body.clone().unwrap_or_else(|| json!({ "contents": [] }));
    (model.to_owned(), format!("/v1beta/models/{target}"), body)
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
pub fn plan(format: Format, plays: &[Play]) -> Plan {
    let mut models: Vec<&str> = plays.iter().map(|play| play.model.as_str()).collect();
    models.sort_unstable();
    models.dedup();
    let mut catalogue = format!(
        "[[providers]]\nname = \"recorded\"\n[[providers.endpoints]]\nname = \"recorded-api\"\nformat = \"{format}\"\n\
         base_url = \"{{provider}}\"\nmax_retries = 0\n[[providers.endpoints.keys]]\nname = \"main\"\n\
         secret = {{ plain = \"upstream\" }}\n[[clients]]\nname = \"team-a\"\nkey = {{ plain = \"{KEY_A}\" }}\n"
    );
    for model in models {
        let name = toml::Value::String(model.to_owned());
        catalogue.push_str(&format!("[[models]]\nname = {name}\n[[models.routes]]\nendpoint = \"recorded-api\"\n"));
    }
    Plan { catalogue, ..Plan::default() }
}

/// The provider's side. Which play it is comes in a header of the client's, which therefore has to pass.
pub fn answer(plays: &[Play], received: &Received) -> Reply {
    let number = received.header("x-play").and_then(|number| number.parse::<usize>().ok());
    let Some(play) = number.and_then(|number| plays.get(number)) else {
        return Reply::whole(500, "text/plain", "the header x-play did not come through");
    };
    if received.uri.path_and_query().map(|path| path.as_str()) != Some(&play.path) {
        return Reply::whole(500, "text/plain", format!("{} instead of {}", received.uri, play.path));
    }
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
