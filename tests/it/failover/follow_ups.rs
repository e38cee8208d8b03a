//! What goes on from a response goes to the account that keeps it, for nobody else has it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use serde_json::{Value, json};
use tests::answers::{responses_body, responses_events};
use tests::configuration::{KEY_A, KEY_B};
use tests::provider::{Received, Reply};
use tests::stack::{Plan, Stack};

use super::{PRIMARY, refusal, rows, skipped};

/// A better and a worse account; either may be asked for both models.
fn catalogue() -> String {
    let client = |name: &str, key: &str| format!("[[clients]]\nname = \"{name}\"\nkey = {{ plain = \"{key}\" }}\n");
    let target = |name: &str, priority: u8| {
        format!(
            "[[providers]]\nname = \"{name}\"\npriority = {priority}\n[[providers.endpoints]]\nname = \"{name}\"\n\
             format = \"openai_responses\"\nbase_url = \"{{provider}}/{name}/v1\"\nmax_retries = 0\n\
             [[providers.endpoints.keys]]\nname = \"main\"\nsecret = {{ plain = \"upstream-key-of-{name}\" }}\n"
        )
    };
    let model = |name: &str| {
        format!(
            "[[models]]\nname = \"{name}\"\n[[models.routes]]\nendpoint = \"first\"\n[[models.routes]]\nendpoint = \"second\"\n"
        )
    };
    [client("team-a", KEY_A), client("team-b", KEY_B), target("first", 1), target("second", 2), model("m"), model("n")]
        .concat()
}

/// Two accounts, of which the first fails once in a while.
struct Accounts {
    stack: Stack,
    /// What the first says to the next request, instead of answering.
    trouble: Arc<Mutex<Option<Reply>>>,
}

/// An answer with an id of its own; what goes on from a response of another account is refused as OpenAI does.
fn answer(received: &Received, nth: usize) -> Reply {
    let (request, account) = (received.json(), account(received));
    let previous = request["previous_response_id"].as_str();
    if previous.is_some_and(|id| !id.ends_with(account)) {
        let message = format!("Previous response with id '{}' not found.", previous.unwrap());
        return refusal(400, "invalid_request_error", "previous_response_not_found", &message);
    }
    let id = format!("resp_{nth}_{account}");
    if request["stream"] != true {
        let mut body = responses_body("m", PRIMARY, "Hi");
        body["id"] = json!(id);
        return Reply::whole(200, "application/json", body.to_string());
    }
    let renamed = |event: Bytes| Bytes::from(String::from_utf8_lossy(&event).replace("resp_test", &id));
    Reply::events(responses_events("m", PRIMARY, &["Hi"]).into_iter().map(renamed).collect())
}

fn account(received: &Received) -> &str {
    received.uri.path().split('/').nth(1).unwrap()
}

impl Accounts {
    async fn start() -> Self {
        let (trouble, count) = (Arc::<Mutex<Option<Reply>>>::default(), AtomicUsize::new(0));
        let planned = Arc::clone(&trouble);
        let script = move |received: &Received| {
            let nth = count.fetch_add(1, Ordering::Relaxed);
            let trouble = if account(received) == "first" { planned.lock().unwrap().take() } else { None };
            trouble.unwrap_or_else(|| answer(received, nth))
        };
        Self { stack: Stack::planned(Plan { catalogue: catalogue(), ..Plan::default() }, script).await, trouble }
    }

    fn trouble(&self) {
        *self.trouble.lock().unwrap() = Some(refusal(500, "server_error", "", "oops"));
    }

    /// Who was asked for a request, in order, and the id of the response.
    async fn ask(&self, key: &str, body: &Value) -> (Vec<String>, String) {
        let before = self.stack.provider.received().len();
        let answer = self.stack.caller().with_key(key).send("/v1/responses", body).await;
        let text = answer.text();
        assert_eq!(answer.status, 200, "{text}");
        let (_, id) = text.split_once("\"id\":\"resp_").unwrap();
        let id = format!("resp_{}", id.split_once('"').unwrap().0);
        let received = self.stack.provider.received();
        (received[before..].iter().map(|one| account(one).to_owned()).collect(), id)
    }

    /// A response that the second account keeps, because the first one failed.
    async fn kept_by_the_second(&self, more: Value) -> String {
        self.trouble();
        let mut body = request("m", None);
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (asked, id) = self.ask(KEY_A, &body).await;
        assert_eq!(asked, ["first", "second"]);
        id
    }
}

fn request(model: &str, previous: Option<&str>) -> Value {
    // No two prompts begin alike: where the conversation is cached plays no part.
    let mut body = json!({ "model": model, "input": format!("after {previous:?}") });
    if let Some(previous) = previous {
        body["previous_response_id"] = json!(previous);
    }
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_goes_on_from_a_response_goes_where_that_is_kept() {
    let accounts = Accounts::start().await;
    for stream in [false, true] {
        let id = accounts.kept_by_the_second(json!({ "stream": stream })).await;
        // Whatever the priorities, whatever model goes on, and on from there.
        let (asked, next) = accounts.ask(KEY_A, &request("n", Some(&id))).await;
        assert_eq!(asked, ["second"], "stream: {stream}");
        assert_eq!(accounts.ask(KEY_A, &request("m", Some(&next))).await.0, ["second"]);
        let (asked, own) = accounts.ask(KEY_A, &request("m", None)).await;
        assert_eq!(asked, ["first"], "and nothing else does");
        assert_eq!(accounts.ask(KEY_A, &request("m", Some(&own))).await.0, ["first"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_does_not_keep_a_response_is_left_for_the_one_that_does() {
    let accounts = Accounts::start().await;
    // What is not to be kept is not remembered, nor is it told to others whose response is where. Here the account keeps
    // it all the same, so that it can be seen who is asked.
    let unkept = accounts.kept_by_the_second(json!({ "store": false })).await;
    let kept = accounts.kept_by_the_second(json!({})).await;
    for (key, id) in [(KEY_A, &unkept), (KEY_B, &kept)] {
        let (asked, _) = accounts.ask(key, &request("m", Some(id))).await;
        assert_eq!(asked, ["first", "second"]);
    }
    // Nobody keeps it: the caller gets the first one's words, and no account is blamed.
    let body = request("m", Some("resp_0_nobody"));
    for _ in 0..6 {
        let answer = accounts.stack.caller().send("/v1/responses", &body).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()["error"]["code"].as_str()),
            (400, Some("previous_response_not_found"))
        );
        let rows = rows(&accounts.stack, answer.request_id(), "!= 'skipped'", 2).await;
        assert!(rows.iter().all(|row| row.reason == "response_not_kept"), "{rows:?}");
    }
    assert_eq!(accounts.ask(KEY_A, &request("m", None)).await.0, ["first"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_account_is_gone_the_request_goes_the_usual_way() {
    let accounts = Accounts::start().await;
    let (asked, id) = accounts.ask(KEY_A, &request("m", None)).await;
    assert_eq!(asked, ["first"]);
    *accounts.trouble.lock().unwrap() =
        Some(refusal(429, "rate_limit_error", "", "Come back later").header("retry-after", "60"));
    let (asked, other) = accounts.ask(KEY_A, &request("n", None)).await;
    assert_eq!(asked, ["first", "second"], "the first is at its limit now");
    // What it keeps is asked for at the second, which does not know it, and says so.
    let before = accounts.stack.provider.received().len();
    let answer = accounts.stack.caller().send("/v1/responses", &request("m", Some(&id))).await;
    assert_eq!((answer.status.as_u16(), accounts.stack.provider.received().len()), (400, before + 1));
    let rows = skipped(&accounts.stack, answer.request_id(), 1).await;
    assert_eq!(rows, [("first".to_owned(), "cooling_down".to_owned())]);
    assert_eq!(accounts.ask(KEY_A, &request("m", Some(&other))).await.0, ["second"]);
}
