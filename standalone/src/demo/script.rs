//! Who asks for what in the demo: ordinary work of three clients, and a fourth one's drills, in which things go wrong.

use bytes::Bytes;
use schemas::outcome::{Format, Outcome};

use super::question::Question;

/// A client of the demo.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) name: &'static str,
    pub(crate) key: &'static str,
    pub(crate) project: &'static str,
}

/// A model of the demo.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) name: &'static str,
    /// What the provider calls it.
    pub(crate) upstream: &'static str,
    pub(crate) format: Format,
    /// The endpoints that serve it, the preferred one first.
    pub(crate) routes: &'static [&'static str],
}

/// The client whose answers are broken on purpose: what it used is not fully told by the provider.
pub(crate) const DRILLS: &Client = &CLIENTS[3];
/// The client whose models have a first provider that is out of order.
const BATCH: &Client = &CLIENTS[2];

pub(crate) const CLIENTS: [Client; 4] = [
    Client { name: "search", key: "demo-key-search", project: "alpha" },
    Client { name: "support", key: "demo-key-support", project: "beta" },
    Client { name: "batch", key: "demo-key-batch", project: "alpha" },
    Client { name: "drills", key: "demo-key-drills", project: "operations" },
];

const fn model(name: &'static str, format: Format, routes: &'static [&'static str]) -> Model {
    Model { name, upstream: name, format, routes }
}

/// Two models of each dialect, which are served as they should be.
pub(crate) const STEADY: [Model; 8] = [
    model("claude-sonnet-5-5", Format::Anthropic, &["anthropic-api"]),
    model("claude-haiku-5-5", Format::Anthropic, &["anthropic-api"]),
    model("gpt-5.4", Format::OpenaiChat, &["openai-chat"]),
    model("gpt-4.1-mini", Format::OpenaiChat, &["openai-chat"]),
    model("gpt-5.6-sol", Format::OpenaiResponses, &["openai-responses"]),
    model("gpt-6-luna", Format::OpenaiResponses, &["openai-responses"]),
    model("gemini-3.8-flash", Format::Gemini, &["google-api"]),
    model("gemini-3.5-flash-lite", Format::Gemini, &["google-api"]),
];

/// One of each dialect whose first route fails.
pub(crate) const FAILING_OVER: [Model; 4] = [
    model("claude-opus-5-5", Format::Anthropic, &["relay-anthropic", "anthropic-api"]),
    model("gpt-5.4-mini", Format::OpenaiChat, &["relay-chat", "openai-chat"]),
    model("gpt-5.5", Format::OpenaiResponses, &["relay-responses", "openai-responses"]),
    model("gemini-3.1-pro-preview", Format::Gemini, &["relay-gemini", "google-api"]),
];

/// One of each dialect for the drills, on endpoints of their own: a gateway learns from failures whom to leave alone.
pub(crate) const DRILLED: [Model; 4] = [
    Model { upstream: "claude-sonnet-5-5", ..model("drill-messages", Format::Anthropic, &["anthropic-drills"]) },
    Model { upstream: "gpt-5.4", ..model("drill-chat", Format::OpenaiChat, &["chat-drills"]) },
    Model { upstream: "gpt-5.6-sol", ..model("drill-responses", Format::OpenaiResponses, &["responses-drills"]) },
    Model { upstream: "gemini-3.8-flash", ..model("drill-gemini", Format::Gemini, &["google-drills"]) },
];

/// All models.
pub(crate) fn models() -> impl Iterator<Item = &'static Model> {
    const { &STEADY }.iter().chain(const { &FAILING_OVER }).chain(const { &DRILLED })
}

/// One request to send.
#[derive(Clone, Debug)]
pub(crate) struct Shot {
    pub(crate) key: &'static str,
    pub(crate) format: Format,
    pub(crate) is_stream: bool,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) body: Bytes,
    /// What the simulated provider is told to do wrong, as the `x-simulate` header.
    pub(crate) fault: Option<&'static str>,
    /// The client leaves as soon as it has seen that much of the answer.
    pub(crate) leaves_after_bytes: Option<usize>,
    /// What has to become of it.
    pub(crate) expected: Outcome,
    /// The endpoints that its model has.
    pub(crate) routes: &'static [&'static str],
}

const ORDINARY: usize = 80;
const FAILOVERS: usize = 12;

/// All requests, in the order in which they are sent.
pub(crate) fn shots() -> Vec<Shot> {
    let mut shots: Vec<Shot> = (0..ORDINARY).map(ordinary).collect();
    let others: Vec<Shot> = drills().into_iter().chain((0..FAILOVERS).map(failover)).collect();
    // Things go wrong in between, and not at the end.
    let distance = (ORDINARY / others.len()).max(1);
    for (number, other) in others.into_iter().enumerate() {
        shots.insert((number * (distance + 1)).min(shots.len()), other);
    }
    shots
}

/// Number `n` of the ordinary requests: every model in all kinds of use, half of them each client's.
fn ordinary(n: usize) -> Shot {
    let model = STEADY.get(n % STEADY.len()).unwrap_or(&STEADY[0]);
    let client = CLIENTS.get(n % 2).unwrap_or(DRILLS);
    let stream = !n.is_multiple_of(5);
    let mut question = Question::new(model, n, stream);
    match n / STEADY.len() % 4 {
        1 => question.show_more(),
        2 => question.offer_tools(),
        3 => question.lengthen(n),
        _ => {}
    }
    question.shot(client.key)
}

/// Number `n` of the requests whose first provider fails before any content: the second one answers.
fn failover(n: usize) -> Shot {
    let model = FAILING_OVER.get(n % FAILING_OVER.len()).unwrap_or(&FAILING_OVER[0]);
    Question::new(model, 5000 + n, !n.is_multiple_of(5)).shot(BATCH.key)
}

/// What goes wrong, each with what has to become of it.
fn drills() -> Vec<Shot> {
    let mut drills = Vec::new();
    // The first model of each dialect stays out of trouble: only its clients do something unusual.
    let steady = STEADY.iter().step_by(2);
    for (number, (model, drilled)) in steady.zip(&DRILLED).enumerate() {
        let ask = |stream| Question::new(drilled, 1000 + number, stream).shot(DRILLS.key);
        let with = |fault, expected, stream| Shot { fault: Some(fault), expected, ..ask(stream) };
        drills.push(with("error-529", Outcome::Failed, true));
        drills.push(with("cut", Outcome::Interrupted, true));
        drills.push(with("stream-error", Outcome::Interrupted, true));
        drills.push(with("no-usage", Outcome::Completed, number.is_multiple_of(2)));
        let shot = Question::new(model, 2000 + number, true).shot(CLIENTS[0].key);
        // Responses has much to say before it begins.
        let leaves_after_bytes = Some(if model.format == Format::OpenaiResponses { 5000 } else { 1500 });
        drills.push(Shot { leaves_after_bytes, expected: Outcome::Cancelled, ..shot });
        let unlisted = Model { name: "no-such-model", routes: &[], ..*model };
        let unknown = Question::new(&unlisted, 3000, true).shot(CLIENTS[0].key);
        drills.push(Shot { expected: Outcome::Rejected, ..unknown });
        let stranger = Question::new(model, 4000, false).shot("not-a-key-of-ours");
        drills.push(Shot { expected: Outcome::Rejected, ..stranger });
    }
    drills
}
