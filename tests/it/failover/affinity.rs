//! A conversation stays where its prompt is cached, and moves only when that target itself fails.

use std::sync::{Arc, Mutex};

use http::Method;
use serde_json::{Value, json};
use tests::answers::{openai_body, openai_events};
use tests::caller::{self, Caller};
use tests::configuration::KEY_A;
use tests::provider::{Gate, Received, Reply, Step};
use tests::stack::{Plan, Stack};

use super::{PRIMARY, refusal, skipped};

/// Two targets of the same priority and weight; each bears two requests at once.
fn catalogue() -> String {
    let target = |name: &str| {
        format!(
            "[[providers]]\nname = \"{name}\"\n[[providers.endpoints]]\nname = \"{name}\"\nformat = \"openai_chat\"\n\
             base_url = \"{{provider}}/{name}/v1\"\nmax_retries = 0\n[[providers.endpoints.keys]]\nname = \"main\"\n\
             secret = {{ plain = \"upstream-key-of-{name}\" }}\nmax_concurrent = 2\n"
        )
    };
    format!(
        "[[clients]]\nname = \"team-a\"\nkey = {{ plain = \"{KEY_A}\" }}\n{}{}[[models]]\nname = \"m\"\n\
         [[models.routes]]\nendpoint = \"one\"\n[[models.routes]]\nendpoint = \"two\"\n",
        target("one"),
        target("two"),
    )
}

/// What the next request gets, whoever is asked; then all is well again.
type Next = Arc<Mutex<Option<Reply>>>;

struct Pair {
    stack: Stack,
    next: Next,
}

impl Pair {
    async fn start() -> Self {
        let next = Next::default();
        let planned = Arc::clone(&next);
        let answer = move |_: &Received| {
            let good = || Reply::whole(200, "application/json", openai_body("m", PRIMARY, "Hi").to_string());
            planned.lock().unwrap().take().unwrap_or_else(good)
        };
        let stack = Stack::planned(Plan { catalogue: catalogue(), ..Plan::default() }, answer).await;
        Self { stack, next }
    }

    /// A turn of a conversation, and who was asked for it, in order.
    async fn turn(&self, name: &str, status: u16) -> Vec<String> {
        let before = self.stack.provider.received().len();
        let answer = self.stack.caller().send("/v1/chat/completions", &body(name, false)).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        self.asked_since(before)
    }

    fn asked_since(&self, before: usize) -> Vec<String> {
        let received = self.stack.provider.received();
        received[before..].iter().map(|one| one.uri.path().split('/').nth(1).unwrap().to_owned()).collect()
    }

    /// What the gateway has counted of a metric, by its results.
    async fn counted(&self, name: &str, results: &[&str]) -> Vec<u64> {
        let ops = Caller::new(&self.stack.gateway.as_ref().unwrap().ops_url, "");
        let text = caller::read(ops.anonymous(Method::GET, "/metrics")).await.text();
        let count = |result: &&str| {
            let start = format!("{name}{{result=\"{result}\"}} ");
            text.lines().find_map(|line| line.strip_prefix(&start)?.parse().ok()).unwrap()
        };
        results.iter().map(count).collect()
    }

    fn next(&self, reply: Reply) {
        *self.next.lock().unwrap() = Some(reply);
    }
}

fn body(conversation: &str, stream: bool) -> Value {
    json!({
        "model": "m", "stream": stream, "prompt_cache_key": conversation,
        "messages": [{ "role": "user", "content": "Hello" }]
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_moves_when_its_target_fails_and_stays_when_its_caller_is_wrong() {
    let pair = Pair::start().await;
    let usual = pair.turn("x", 200).await.remove(0);
    assert_eq!(pair.turn("y", 200).await, [usual.as_str()], "a client stays");

    pair.next(refusal(500, "server_error", "", "oops"));
    let asked = pair.turn("x", 200).await;
    let other = asked[1].clone();
    assert!(asked[0] == usual && other != usual, "{asked:?}");
    for _ in 0..3 {
        assert_eq!(pair.turn("x", 200).await, [other.as_str()], "its prompt is there now");
        assert_eq!(pair.turn("y", 200).await, [usual.as_str()], "and the other's is not");
    }

    pair.next(refusal(400, "invalid_request_error", "", "Wrong"));
    assert_eq!(pair.turn("x", 400).await, [other.as_str()]);
    assert_eq!(pair.turn("x", 200).await, [other.as_str()], "the caller's mistake moves nothing");

    pair.next(refusal(429, "rate_limit_error", "", "Slow down").header("retry-after", "1"));
    assert_eq!(pair.turn("x", 200).await, [other.as_str(), usual.as_str()]);
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    assert_eq!(pair.turn("x", 200).await, [usual.as_str()], "it has moved with its prompt");
    let counted = pair.counted("weir_affinity_total", &["hit", "new", "moved", "busy"]).await;
    assert_eq!(counted, [8, 2, 2, 0], "an error is no answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_in_headers_and_the_beginning_of_a_prompt_are_conversations_too() {
    let pair = Pair::start().await;
    let send = async |session: Option<&str>, words: &str, more: bool| {
        let before = pair.stack.provider.received().len();
        let mut messages = vec![json!({ "role": "user", "content": words })];
        if more {
            messages
                .extend([json!({ "role": "assistant", "content": "a" }), json!({ "role": "user", "content": "b" })]);
        }
        let body = json!({ "model": "m", "messages": messages });
        let request = pair.stack.caller().post("/v1/chat/completions", body.to_string());
        let request = session.into_iter().fold(request, |request, session| request.header("session_id", session));
        assert_eq!(caller::read(request).await.status, 200);
        pair.asked_since(before)
    };
    for (session, words) in [(Some("s"), "anything"), (None, "a long story")] {
        let usual = send(None, "another", false).await.remove(0);
        pair.next(refusal(500, "server_error", "", "oops"));
        let other = send(session, words, false).await.remove(1);
        assert_ne!(usual, other);
        let words = if session.is_some() { "something else" } else { words };
        assert_eq!(send(session, words, true).await, [other.as_str()], "{session:?}");
        assert_eq!(send(None, "another", false).await, [usual.as_str()]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn newcomers_leave_the_last_slot_to_a_conversation_that_is_known_there() {
    let pair = Pair::start().await;
    let usual = pair.turn("known", 200).await.remove(0);
    let gate = Gate::closed();
    let mut events: Vec<Step> = openai_events("m", PRIMARY, &["one "], true).into_iter().map(Step::Send).collect();
    events.insert(2, Step::Await(gate.clone()));
    pair.next(Reply::steps(200, "text/event-stream", events));
    let before = pair.stack.provider.received().len();
    let mut newcomer = pair.stack.caller().open("/v1/chat/completions", &body("first newcomer", true)).await;
    assert_eq!((newcomer.status.as_u16(), pair.asked_since(before)), (200, vec![usual.clone()]));

    let before = pair.stack.provider.received().len();
    let second = pair.stack.caller().send("/v1/chat/completions", &body("second newcomer", false)).await;
    assert_ne!(pair.asked_since(before), [usual.as_str()]);
    let rows = skipped(&pair.stack, second.request_id(), 1).await;
    assert_eq!(rows, [(usual.clone(), "concurrency_reserved".to_owned())]);
    assert_eq!(pair.turn("known", 200).await, [usual.as_str()], "the slot was kept for it");
    gate.open();
    assert!(newcomer.rest().await.1.is_none());
}
