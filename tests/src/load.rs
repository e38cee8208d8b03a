//! A steady load whose every request has its own token counts, which the provider repeats and the bill must show.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::answers::{self, Tokens};
use crate::caller::{Caller, read, try_read};
use crate::provider::{Received, Reply, Step};

/// What a finished request must have cost.
#[derive(Clone, Debug)]
pub struct Served {
    /// The tokens that the provider reported.
    pub tokens: Tokens,
    /// How long the client waited for the head of the answer.
    pub head_after: Duration,
    /// How long the client waited for the whole answer.
    pub end_after: Duration,
}

/// Clients that send one request after the other until told to stop.
pub struct Load {
    end: CancellationToken,
    workers: JoinSet<Vec<(Uuid, Served)>>,
    count: Arc<AtomicU64>,
}

const WORDS: &[&str] = &["The ", "quick ", "brown ", "fox ", "jumps ", "over ", "the ", "lazy ", "dog."];

impl Load {
    /// Starts `clients` of them. The gateway's provider must answer with [`answer`]. Whatever a client does not like, an
    /// error, a wrong byte, a missing end, fails the test.
    pub fn start(caller: &Caller, clients: u64) -> Self {
        let end = CancellationToken::new();
        let count = Arc::new(AtomicU64::new(0));
        let mut workers = JoinSet::new();
        for _ in 0..clients {
            let (caller, end, count) = (caller.clone(), end.clone(), Arc::clone(&count));
            workers.spawn(async move {
                let mut served = Vec::new();
                while !end.is_cancelled() {
                    served.push(send_one(&caller, count.fetch_add(1, Ordering::Relaxed)).await);
                }
                served
            });
        }
        Self { end, workers, count }
    }

    /// How many requests were begun so far.
    pub fn begun(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Lets running requests finish and returns all of them.
    pub async fn finish(mut self) -> BTreeMap<Uuid, Served> {
        self.end.cancel();
        let mut all = BTreeMap::new();
        while let Some(worker) = self.workers.join_next().await {
            for (id, served) in worker.expect("a client that noticed nothing") {
                assert!(all.insert(id, served).is_none(), "the request id {id} was given twice");
            }
        }
        all
    }
}

/// Sends request number `number` and checks its answer.
pub async fn send_one(caller: &Caller, number: u64) -> (Uuid, Served) {
    let (path, body, tokens) = request(number);
    let answer = read(caller.post(path, body.to_string())).await;
    assert_eq!(answer.status, 200, "request {number}: {:?}", answer.body);
    assert_eq!(answer.broken, None, "request {number}");
    let expected = expected_bytes(&body, tokens);
    assert_eq!(answer.body, expected, "request {number}");
    (answer.request_id(), Served { tokens, head_after: answer.head_after, end_after: answer.end_after })
}

/// Sends request number `number` to a gateway that may die meanwhile: the request's id, if the client got that far, and
/// whether its answer was complete.
pub async fn try_send_one(caller: &Caller, number: u64) -> Option<(Uuid, bool)> {
    let (path, body, tokens) = request(number);
    let answer = try_read(caller.post(path, body.to_string())).await.ok()?;
    let complete = answer.broken.is_none() && answer.body == expected_bytes(&body, tokens);
    Some((answer.request_id(), complete))
}

/// Path, body and token counts of a request: both dialects, streamed and not.
fn request(number: u64) -> (&'static str, Value, Tokens) {
    let tokens = Tokens {
        input: 100 + number % 9_973,
        cache_read: if number.is_multiple_of(3) { 1_000 + number } else { 0 },
        output: 1 + number * 7 % 4_001,
        ..Tokens::default()
    };
    let ask = json!({ "input": tokens.input, "cache_read": tokens.cache_read, "output": tokens.output }).to_string();
    let messages = json!([{ "role": "user", "content": ask }]);
    let stream = number % 4 != 3;
    if number.is_multiple_of(2) {
        let body = json!({ "model": "sonnet", "max_tokens": 9, "stream": stream, "messages": messages });
        ("/v1/messages", body, tokens)
    } else {
        // A model that one endpoint alone serves: three events a request, with no row for an endpoint of another format.
        let mut body = json!({ "model": "small", "stream": stream, "messages": messages });
        if stream {
            body["stream_options"] = json!({ "include_usage": true });
        }
        ("/v1/chat/completions", body, tokens)
    }
}

/// What the provider sends for a request body, in the order of its pieces.
fn pieces(anthropic: bool, body: &Value, tokens: Tokens) -> Vec<Bytes> {
    let stream = body["stream"] == json!(true);
    match (anthropic, stream) {
        (true, true) => answers::anthropic_events("claude-sonnet-4-5-20250929", tokens, WORDS),
        (true, false) => {
            vec![answers::anthropic_body("claude-sonnet-4-5-20250929", tokens, &WORDS.concat()).to_string().into()]
        }
        (false, true) => answers::openai_events("gpt-4o-mini-2024-07-18", tokens, WORDS, true),
        (false, false) => {
            vec![answers::openai_body("gpt-4o-mini-2024-07-18", tokens, &WORDS.concat()).to_string().into()]
        }
    }
}

fn expected_bytes(body: &Value, tokens: Tokens) -> Bytes {
    let anthropic = body["model"] == json!("sonnet");
    pieces(anthropic, body, tokens).concat().into()
}

/// The provider's side: answers with the token counts that the request asks for, a few milliseconds between events.
pub fn answer(received: &Received) -> Reply {
    let body = received.json();
    let ask: Value = body["messages"][0]["content"]
        .as_str()
        .map_or(Value::Null, |text| serde_json::from_str(text).unwrap_or(Value::Null));
    let count = |name: &str| ask[name].as_u64().unwrap_or_default();
    let tokens =
        Tokens { input: count("input"), cache_read: count("cache_read"), output: count("output"), ..Tokens::default() };
    let anthropic = received.uri.path().ends_with("/messages");
    let mut pieces = pieces(anthropic, &body, tokens);
    if pieces.len() == 1 {
        return Reply::whole(200, "application/json", pieces.remove(0));
    }
    let pause = Step::Pause(Duration::from_millis(2));
    let steps = pieces.into_iter().flat_map(|piece| [Step::Send(piece), pause.clone()]).collect();
    Reply::steps(200, "text/event-stream; charset=utf-8", steps)
}
