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
    /// The model that the provider is asked for.
    pub model: String,
    /// The model that the client asks for: one of this play's own.
    pub alias: String,
    /// Path and query of the client's request.
    pub path: String,
    /// Path and query of the request upstream.
    pub path_upstream: String,
    /// The request body as sent.
    pub request: Bytes,
    /// What the provider says, as far as the client is to see it.
    pub expected: Bytes,
}

const MODEL_OF_BODILESS: &str = "unrecorded-model";

impl Play {
    /// Every recording at every chunking; streams of chat completions also for a client that did not ask for usage.
    pub fn all(format: Format, recordings: Vec<Recording>) -> Vec<Self> {
        let mut plays = Vec::new();
        for recording in recordings.into_iter().map(Arc::new) {
            let asks_for_usage = format == Format::OpenaiChat && recording.stream;
            for cut in Cut::ALL {
                plays.push(Self::new(plays.len(), format, &recording, cut, asks_for_usage));
            }
            if asks_for_usage {
                for cut in [Cut::Even, Cut::Mixed] {
                    let play = Self::new(plays.len(), format, &recording, cut, false);
                    let expected = without_usage_chunk(&recording.response.body).into();
                    plays.push(Self { expected, ..play });
                }
            }
        }
        plays
    }

    fn new(number: usize, format: Format, recording: &Arc<Recording>, cut: Cut, asks_for_usage: bool) -> Self {
        let alias = format!("play-{number}");
        let (model, path, path_upstream, mut body) = match format {
            Format::Gemini => gemini_request(recording, &alias),
            _ => openai_like_request(format, recording, &alias),
        };
        // Whatever the recorded client asked for.
        if let Some(members) = body.as_object_mut() {
            members.remove("stream_options");
        }
        if asks_for_usage {
            body["stream_options"] = json!({ "include_usage": true });
        } else {
            body.as_object_mut().unwrap().remove("stream_options");
        }
        let expected = recording.response.body.clone().into();
        let (recording, request) = (Arc::clone(recording), body.to_string().into());
        Self { recording, format, cut, model, alias, path, path_upstream, request, expected }
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

/// Upstream model, path, path upstream and body.
type Asked = (String, String, String, Value);

fn openai_like_request(format: Format, recording: &Recording, alias: &str) -> Asked {
    let (path, prompt) = match format {
        Format::Anthropic => ("/v1/messages", "messages"),
        Format::OpenaiChat => ("/v1/chat/completions", "messages"),
        _ => ("/v1/responses", "input"),
    };
    let mut body = recording.request.body.clone().unwrap_or_else(|| json!({ prompt: [] }));
    let recorded = body.get("model").and_then(Value::as_str).filter(|model| !model.is_empty());
    let model = recorded.or(recording.expected.model.as_deref()).unwrap_or(MODEL_OF_BODILESS).to_owned();
    body["model"] = json!(alias);
    if recording.stream {
        body["stream"] = json!(true);
    }
    (model, path.to_owned(), path.to_owned(), body)
}

/// Gemini's model, action and form of stream stand in the path, whose beginning differs between Google's services.
fn gemini_request(recording: &Recording, alias: &str) -> Asked {
    let (_, target) = recording.request.path.split_once("/models/").expect("a path with a model");
    let (model, action) = target.split_once(':').expect("a path with an action");
    let body = recording.request.body.clone().unwrap_or_else(|| json!({ "contents": [] }));
    let path = |model: &str| format!("/v1beta/models/{model}:{action}");
    (model.to_owned(), path(alias), path(model), body)
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

/// A catalogue with a model for every play. Plays that do not end well have an endpoint each, so that the gateway does not
/// think ill of one for what another recording's provider did.
pub fn plan(format: Format, plays: &[Play]) -> Plan {
    let mut endpoints = "[[providers]]\nname = \"recorded\"\n".to_owned();
    let mut add_endpoint = |name: &str| {
        endpoints.push_str(&format!(
            "[[providers.endpoints]]\nname = \"{name}\"\nformat = \"{format}\"\nbase_url = \"{{provider}}\"\n\
             max_retries = 0\n[[providers.endpoints.keys]]\nname = \"main\"\nsecret = {{ plain = \"upstream\" }}\n"
        ));
    };
    add_endpoint("well");
    let mut models = String::new();
    for play in plays {
        let endpoint = if play.recording.expected.completed { "well" } else { &play.alias };
        if endpoint != "well" {
            add_endpoint(endpoint);
        }
        let (alias, model) = (&play.alias, toml::Value::String(play.model.clone()));
        let route = format!("[[models.routes]]\nendpoint = \"{endpoint}\"\nmodel = {model}\n");
        models.push_str(&format!("[[models]]\nname = \"{alias}\"\n{route}"));
    }
    let client = format!("[[clients]]\nname = \"team-a\"\nkey = {{ plain = \"{KEY_A}\" }}\n");
    Plan { catalogue: [endpoints, models, client].concat(), ..Plan::default() }
}

/// The provider's side. Which play it is comes in a header of the client's, which therefore has to pass.
pub fn answer(plays: &[Play], received: &Received) -> Reply {
    let number = received.header("x-play").and_then(|number| number.parse::<usize>().ok());
    let Some(play) = number.and_then(|number| plays.get(number)) else {
        return Reply::whole(500, "text/plain", "the header x-play did not come through");
    };
    if received.uri.path_and_query().map(|path| path.as_str()) != Some(&play.path_upstream) {
        return Reply::whole(500, "text/plain", format!("{} instead of {}", received.uri, play.path_upstream));
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
