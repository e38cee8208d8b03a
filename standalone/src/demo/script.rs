//! Who asks for what in the demo: ordinary work of three clients, and a fourth one's drills, in which things go wrong.

use bytes::Bytes;
use schemas::outcome::{Format, Outcome};
use serde_json::{Value, json};

/// A client of the demo.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) name: &'static str,
    pub(super) key: &'static str,
    pub(super) project: &'static str,
}

/// A model of the demo.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) name: &'static str,
    pub(super) endpoint: &'static str,
    pub(super) format: Format,
}

/// The client whose answers are broken on purpose: what it used is not fully told by the provider.
pub(super) const DRILLS: &Client = &CLIENTS[3];

pub(super) const CLIENTS: [Client; 4] = [
    Client { name: "search", key: "demo-key-search", project: "alpha" },
    Client { name: "support", key: "demo-key-support", project: "beta" },
    Client { name: "batch", key: "demo-key-batch", project: "alpha" },
    Client { name: "drills", key: "demo-key-drills", project: "operations" },
];

pub(super) const MODELS: [Model; 4] = [
    Model { name: "claude-sonnet-5-5", endpoint: "anthropic-api", format: Format::Anthropic },
    Model { name: "claude-haiku-5-5", endpoint: "anthropic-api", format: Format::Anthropic },
    Model { name: "gpt-4.1-mini", endpoint: "openai-api", format: Format::OpenaiChat },
    Model { name: "gpt-5.4", endpoint: "openai-api", format: Format::OpenaiChat },
];

/// One request to send.
#[derive(Clone, Debug)]
pub(super) struct Shot {
    pub(super) key: &'static str,
    pub(super) format: Format,
    pub(super) body: Bytes,
    /// What the simulated provider is told to do wrong, as the `x-simulate` header.
    pub(super) fault: Option<&'static str>,
    /// Whether the client leaves as soon as it has seen some of the answer.
    pub(super) leaves: bool,
    /// What has to become of it.
    pub(super) expected: Outcome,
}

const ORDINARY: usize = 72;

/// All requests, in the order in which they are sent.
pub(super) fn shots() -> Vec<Shot> {
    let mut shots: Vec<Shot> = (0..ORDINARY).map(ordinary).collect();
    let drills = drills();
    // Things go wrong in between, and not at the end.
    let distance = ORDINARY / drills.len();
    for (number, drill) in drills.into_iter().enumerate() {
        shots.insert((number * (distance + 1)).min(shots.len()), drill);
    }
    shots
}

/// Number `n` of the ordinary requests: models, clients and kinds in all combinations.
fn ordinary(n: usize) -> Shot {
    let model = MODELS.get(n % MODELS.len()).unwrap_or(&MODELS[0]);
    let client = CLIENTS.get(n / MODELS.len() % 3).unwrap_or(DRILLS);
    let stream = !n.is_multiple_of(5);
    let mut body = question(model.name, n, stream);
    let anthropic = model.format == Format::Anthropic;
    match n / 3 % 4 {
        1 => add(
            &mut body,
            if anthropic { cached_system() } else { json!({"stream_options": {"include_usage": true}}) },
            stream || anthropic,
        ),
        2 => add(&mut body, tools(model.format), true),
        3 if anthropic => add(&mut body, json!({"thinking": {"type": "enabled", "budget_tokens": 1024}}), true),
        3 => add(&mut body, long_prompt(n), true),
        _ => {}
    }
    shot(client.key, model.format, &body)
}

/// What goes wrong, each with what has to become of it.
fn drills() -> Vec<Shot> {
    let mut drills = Vec::new();
    for (number, model) in MODELS.iter().enumerate() {
        let ask = |stream| shot(DRILLS.key, model.format, &question(model.name, 1000 + number, stream));
        let with = |fault, expected, stream| Shot { fault: Some(fault), expected, ..ask(stream) };
        drills.push(with("error-529", Outcome::Failed, true));
        drills.push(with("cut", Outcome::Interrupted, true));
        drills.push(with("stream-error", Outcome::Interrupted, true));
        drills.push(with("no-usage", Outcome::Completed, number.is_multiple_of(2)));
        let client = CLIENTS.get(number % 3).unwrap_or(DRILLS);
        let body = question(model.name, 2000 + number, true);
        drills.push(Shot { leaves: true, expected: Outcome::Cancelled, ..shot(client.key, model.format, &body) });
    }
    for format in [Format::Anthropic, Format::OpenaiChat] {
        let unknown = question("no-such-model", 3000, true);
        drills.push(Shot { expected: Outcome::Rejected, ..shot(CLIENTS[0].key, format, &unknown) });
        let stranger = question(MODELS[0].name, 4000, false);
        drills.push(Shot { expected: Outcome::Rejected, ..shot("not-a-key-of-ours", format, &stranger) });
    }
    drills
}

fn shot(key: &'static str, format: Format, body: &Value) -> Shot {
    let body = Bytes::from(body.to_string());
    Shot { key, format, body, fault: None, leaves: false, expected: Outcome::Completed }
}

fn question(model: &str, n: usize, stream: bool) -> Value {
    let text = format!("Question {n}: how much water passes the weir in {} minutes?", n % 60 + 1);
    json!({"model": model, "max_tokens": 2048, "stream": stream, "messages": [{"role": "user", "content": text}]})
}

fn add(body: &mut Value, extra: Value, applies: bool) {
    if let (Some(body), Value::Object(extra), true) = (body.as_object_mut(), extra, applies) {
        body.extend(extra);
    }
}

fn cached_system() -> Value {
    let text = "You are an hydrologist who answers briefly and gives figures with their unit. ".repeat(60);
    json!({"system": [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]})
}

fn long_prompt(n: usize) -> Value {
    let text = format!("Summarise these readings of gauge {n}: {}", "12.4 cm, 12.9 cm, 13.1 cm, ".repeat(220));
    json!({"messages": [{"role": "user", "content": text}]})
}

fn tools(format: Format) -> Value {
    let schema = json!({"type": "object", "properties": {"location": {"type": "string"}, "days": {"type": "integer"}}});
    let (name, description) = ("forecast", "Water levels of the next days");
    match format {
        Format::Anthropic => {
            json!({"tools": [{"name": name, "description": description, "input_schema": schema}]})
        }
        _ => {
            let function = json!({"name": name, "description": description, "parameters": schema});
            json!({"tools": [{"type": "function", "function": function}]})
        }
    }
}
