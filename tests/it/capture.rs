//! Bodies are kept where that is asked for: once, redacted, cut, and what no client got as well.

use bytes::Bytes;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tests::answers::{self, Tokens, anthropic_events, openai_events};
use tests::caller::{Answer, Caller, read};
use tests::configuration::{KEY_A, KEY_B, UPSTREAM_KEY_ANTHROPIC, UPSTREAM_KEY_OPENAI};
use tests::eventually;
use tests::provider::{Received, Reply, Step};
use tests::stack::{ARRIVAL, Plan, Stack};
use uuid::Uuid;

const MESSAGES: &str = "/v1/messages";
const CHAT: &str = "/v1/chat/completions";
const TOKENS: Tokens = Tokens { input: 12, cache_read: 0, cache_write_5m: 0, cache_write_1h: 0, output: 3 };
/// Most bytes kept of a body.
const TEXT_MAX_BYTES: usize = 64 << 10;

/// A row of `bodies`.
#[derive(Clone, Debug, Deserialize)]
struct Row {
    scope: String,
    candidate_index: Option<u16>,
    client: String,
    format: String,
    model: String,
    provider: String,
    endpoint: String,
    outcome: String,
    status: Option<u16>,
    error_class: String,
    request_content_type: String,
    request_bytes: Option<u64>,
    request_body: String,
    request_truncated: bool,
    response_content_type: String,
    response_bytes: Option<u64>,
    response_body: String,
    response_truncated: bool,
}

async fn stack(capture: &str, answer: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Stack {
    let gateway = format!("capture = \"{capture}\"");
    Stack::planned(Plan { gateway, ..Plan::default() }, answer).await
}

/// The rows of a request as they lie in the table, once there are so many.
async fn rows(stack: &Stack, id: Uuid, count: usize) -> Vec<Row> {
    let sql = format!("SELECT * FROM {{db}}.bodies WHERE request_id = '{id}' ORDER BY scope, seq");
    eventually(&format!("{count} bodies of {id}"), ARRIVAL, || async {
        let rows: Vec<Row> = stack.database.try_rows(&sql).await?;
        assert!(rows.len() <= count, "{} rows for {count} bodies: {rows:?}", rows.len());
        if rows.len() == count { Ok(rows) } else { Err(format!("{} rows", rows.len())) }
    })
    .await
}

/// Every captured body of the test, of whichever request.
async fn count(stack: &Stack) -> usize {
    stack.database.rows::<Row>("SELECT * FROM {db}.bodies").await.len()
}

async fn only(stack: &Stack, answer: &Answer) -> Row {
    rows(stack, answer.request_id(), 1).await.remove(0)
}

fn request(path: &str, stream: bool) -> Value {
    if path == MESSAGES {
        answers::anthropic_request("sonnet", stream)
    } else {
        answers::openai_request("small", stream)
    }
}

fn events(path: &str, words: &[&str]) -> Vec<Bytes> {
    match path.ends_with("/messages") {
        true => anthropic_events("claude-sonnet-4-5-20250929", TOKENS, words),
        false => openai_events("gpt-4o-mini-2024-07-18", TOKENS, words, true),
    }
}

/// What the request's last message says is what the provider does.
fn obey(received: &Received) -> Reply {
    let body = received.json();
    let path = received.uri.path();
    match body["messages"][0]["content"].as_str().unwrap_or_default() {
        "fail" => Reply::whole(529, "application/json", r#"{"error":{"type":"overloaded_error","message":"Busy"}}"#),
        "cut" => {
            let begin = if path.ends_with("/messages") { 5 } else { 3 };
            let mut steps: Vec<Step> = events(path, &["one", "two"]).into_iter().take(begin).map(Step::Send).collect();
            steps.push(Step::Cut);
            Reply::steps(200, "text/event-stream", steps)
        }
        "answer at length" => {
            let words = "word after word ".repeat(1_000);
            Reply::events(events(path, &[words.as_str(); 20]))
        }
        _ => Reply::events(events(path, &["one", "two"])),
    }
}

fn asking(path: &str, content: &str) -> Value {
    let mut body = request(path, true);
    body["messages"][0]["content"] = json!(content);
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn all_keeps_what_was_said_as_it_was_said() {
    let stack = stack("all", obey).await;
    for (path, format, provider) in [(MESSAGES, "anthropic", "anthropic"), (CHAT, "openai_chat", "openai")] {
        let body = asking(path, "Hello, \"you\"\n\u{1F600}").to_string();
        let answer = read(stack.caller().post(path, body.clone())).await;
        assert_eq!(answer.status, 200);
        let row = only(&stack, &answer).await;
        let named = (row.scope.as_str(), row.client.as_str(), row.format.as_str(), row.provider.as_str());
        assert_eq!(named, ("exchange", "team-a", format, provider), "{row:?}");
        assert_eq!(
            (row.outcome.as_str(), row.status, row.error_class.as_str()),
            ("completed", Some(200), ""),
            "{row:?}"
        );
        assert_eq!((row.request_body.as_str(), row.request_bytes), (body.as_str(), Some(body.len() as u64)));
        assert_eq!((row.response_body, row.response_bytes), (answer.text(), Some(answer.body.len() as u64)));
        assert_eq!((row.request_content_type.as_str(), row.candidate_index), ("application/json", None));
        assert!(row.response_content_type.starts_with("text/event-stream"), "{}", row.response_content_type);
        assert!(!row.request_truncated && !row.response_truncated);
        assert!(!row.model.is_empty() && !row.endpoint.is_empty());

        let story = stack.reader().get_json(&format!("/v1/requests/{}", answer.request_id())).await;
        assert_eq!(story["bodies"].as_array().map(Vec::len), Some(1), "{story}");
        assert_eq!(story["bodies"][0]["request_body"], json!(body), "{story}");
        assert_eq!(story["request"]["outcome"], "completed", "{story}");
    }
    assert_eq!(count(&stack).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_keeps_what_did_not_complete() {
    let stack = stack("errors", obey).await;
    let caller = stack.caller();
    let mut kept = 0;
    for path in [MESSAGES, CHAT] {
        let completed = caller.send(path, &asking(path, "answer")).await;
        assert_eq!(stack.row(completed.request_id()).await.outcome, "completed");
        let story = stack.reader().get_json(&format!("/v1/requests/{}", completed.request_id())).await;
        assert!(story.get("bodies").is_none(), "{story}");
        let unknown = read(caller.with_key("no-such-key").post(path, asking(path, "answer").to_string())).await;
        assert_eq!(unknown.status, 401);

        let mut no_model = asking(path, "answer");
        no_model["model"] = json!("no-such-model");
        let rejected = caller.send(path, &no_model).await;
        let failed = caller.send(path, &asking(path, "fail")).await;
        let cut = caller.send(path, &asking(path, "cut")).await;
        for (answer, outcome, class, says) in [
            (&rejected, "rejected", "model_not_found", "no-such-model"),
            (&failed, "failed", "upstream_server_error", "Busy"),
            (&cut, "interrupted", "stream_cut", "two"),
        ] {
            let row = only(&stack, answer).await;
            assert_eq!((row.outcome.as_str(), row.error_class.as_str()), (outcome, class), "{row:?}");
            assert_eq!(row.status, Some(answer.status.as_u16()), "{row:?}");
            let got = String::from_utf8_lossy(&answer.body);
            assert_eq!((row.response_body.as_str(), row.response_bytes), (&*got, Some(got.len() as u64)));
            assert!(row.response_body.contains(says), "{row:?}");
            assert!(row.request_body.contains("\"messages\""), "{row:?}");
            kept += 1;
        }
        // A client that leaves: what it had got until then.
        let id = caller.leave_after(path, &asking(path, "cut"), "one").await;
        let row = rows(&stack, id, 1).await.remove(0);
        assert!(row.response_body.contains("one") && row.outcome != "completed", "{row:?}");
        kept += 1;
    }
    assert_eq!(count(&stack).await, kept, "nothing else was kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn none_keeps_nothing() {
    let stack = stack("none", obey).await;
    for content in ["answer", "fail", "cut", "answer"] {
        let answer = stack.caller().send(CHAT, &asking(CHAT, content)).await;
        stack.row(answer.request_id()).await;
    }
    assert_eq!(count(&stack).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_and_no_image_is_kept() {
    // A provider that repeats what it was sent, its own key included.
    let stack = stack("all", |received| {
        let key = received.header("x-api-key").or(received.header("authorization")).unwrap_or_default();
        let said = received.json()["messages"][0]["content"].to_string();
        let words = [key, said.as_str()];
        Reply::events(events(received.uri.path(), &words))
    })
    .await;
    let image = "iVBORw0KGgoAAAANSUhEUg".repeat(10_000);
    for (path, key) in [(MESSAGES, KEY_A), (CHAT, KEY_A), (MESSAGES, KEY_B), (CHAT, KEY_B)] {
        let says = format!("my key is {key}, see data:image/png;base64,{image} and answer");
        let caller = stack.caller().with_key(key);
        let answer = caller.send(path, &asking(path, &says)).await;
        assert!(answer.text().contains(key), "the client gets what the provider said");
        let row = only(&stack, &answer).await;
        for secret in [KEY_A, KEY_B, UPSTREAM_KEY_ANTHROPIC, UPSTREAM_KEY_OPENAI] {
            assert!(!row.request_body.contains(secret) && !row.response_body.contains(secret), "{secret}: {row:?}");
        }
        assert!(row.request_body.contains("my key is ***, see data:image/png;base64,["), "{row:?}");
        assert!(row.request_body.contains("[220000 characters of encoded data] and answer"), "{row:?}");
        assert!(row.response_body.contains("my key is ***"), "{row:?}");
        assert!(!row.request_truncated, "what is behind the image is there: {row:?}");
        assert!(row.request_bytes > Some(220_000), "{row:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn long_bodies_are_cut_and_say_how_long_they_were() {
    let stack = stack("all", obey).await;
    for path in [MESSAGES, CHAT] {
        let mut body = asking(path, "answer at length");
        body["metadata"] = json!({ "notes": "line after line\n".repeat(20_000) });
        let sent = body.to_string();
        let answer = read(stack.caller().post(path, sent.clone())).await;
        assert!(answer.body.len() > 300_000, "the client gets all of it");
        let row = only(&stack, &answer).await;
        assert_eq!((row.request_bytes, row.request_truncated), (Some(sent.len() as u64), true));
        assert_eq!((row.response_bytes, row.response_truncated), (Some(answer.body.len() as u64), true));
        assert_eq!((row.request_body.len(), row.response_body.len()), (TEXT_MAX_BYTES, TEXT_MAX_BYTES));
        assert!(sent.starts_with(&row.request_body) && answer.text().starts_with(&row.response_body));
    }
}

/// Two endpoints for each model: the first one's provider has a web page for everybody.
fn with_a_web_page_first() -> String {
    let usual = tests::configuration::catalogue("{provider}");
    let first = |format: &str, name: &str, base: &str| {
        format!(
            "[[providers]]\nname = \"broken-{name}\"\n[[providers.endpoints]]\nname = \"broken-{name}\"\n\
             format = \"{format}\"\nbase_url = \"{base}\"\nmax_retries = 0\n[[providers.endpoints.keys]]\n\
             name = \"k\"\nsecret = {{ plain = \"{UPSTREAM_KEY_OPENAI}\" }}\n"
        )
    };
    let broken =
        first("anthropic", "anthropic", "{provider}/broken") + &first("openai_chat", "openai", "{provider}/broken/v1");
    let mut catalogue = usual;
    for (endpoint, broken) in [("anthropic-api", "broken-anthropic"), ("openai-api", "broken-openai")] {
        let route = format!("  [[models.routes]]\n  endpoint = \"{endpoint}\"\n");
        let both = format!("  [[models.routes]]\n  endpoint = \"{broken}\"\n  priority = -1\n{route}");
        assert!(catalogue.contains(&route));
        catalogue = catalogue.replace(&route, &both);
    }
    broken + &catalogue
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_cannot_be_read_is_kept_though_no_client_got_it() {
    for (status, class) in [(200, "upstream_invalid"), (403, "upstream_auth")] {
        let page = format!("<html>{UPSTREAM_KEY_OPENAI} {}</html>", "blocked é ".repeat(5_000));
        let sent = page.clone();
        let plan =
            Plan { gateway: "capture = \"errors\"".to_owned(), catalogue: with_a_web_page_first(), ..Plan::default() };
        let stack = Stack::planned(plan, move |received| match received.uri.path().starts_with("/broken") {
            true => Reply::whole(status, "text/html; charset=utf-8", sent.clone()),
            false => obey(received),
        })
        .await;
        for (path, endpoint) in [(MESSAGES, "broken-anthropic"), (CHAT, "broken-openai")] {
            let answer = stack.caller().send(path, &asking(path, "answer")).await;
            assert_eq!(answer.status, 200, "{:?}", answer.body);
            let row = only(&stack, &answer).await;
            let named = (row.scope.as_str(), row.candidate_index, row.endpoint.as_str(), row.outcome.as_str());
            assert_eq!(named, ("attempt", Some(0), endpoint, "completed"), "{row:?}");
            assert_eq!((row.status, row.error_class.as_str()), (Some(status), class), "{row:?}");
            assert_eq!((row.request_bytes, row.request_body.as_str()), (None, ""), "{row:?}");
            assert_eq!(row.response_content_type, "text/html; charset=utf-8");
            assert_eq!((row.response_bytes, row.response_truncated), (Some(page.len() as u64), true));
            assert_eq!(row.response_body.chars().count(), 10_000);
            assert!(row.response_body.starts_with("<html>*** blocked é blocked"), "{row:?}");

            // When nobody else answers either, the exchange is kept beside it.
            let answer = stack.caller().send(path, &asking(path, "fail")).await;
            let both = rows(&stack, answer.request_id(), 2).await;
            assert_eq!(both.iter().map(|row| row.scope.as_str()).collect::<Vec<_>>(), ["attempt", "exchange"]);
            assert!(both[1].request_body.contains("fail") && both[1].outcome == "failed", "{both:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_give_way_before_anything_that_is_billed() {
    let mut stack = {
        let gateway = "capture = \"all\"\nledger_max_bytes = \"1MiB\"".to_owned();
        Stack::planned(Plan { gateway, ..Plan::default() }, obey).await
    };
    // Nothing leaves the ledger while nobody records.
    drop(stack.recorder.take());
    let filler = "line after line\n".repeat(2_000);
    let mut ids = Vec::new();
    for _ in 0..40 {
        let mut body = asking(CHAT, "answer");
        body["metadata"] = json!({ "notes": filler });
        let answer = stack.caller().send(CHAT, &body).await;
        assert_eq!(answer.status, 200);
        ids.push(answer.request_id());
    }
    let ops = stack.gateway.as_ref().unwrap().ops_url.clone();
    let metric = |name: String| {
        let ops = Caller::new(&ops, "");
        async move {
            let text = read(ops.anonymous(Method::GET, "/metrics")).await.text();
            let value = text.lines().find_map(|line| line.strip_prefix(&name)?.trim().parse::<u64>().ok());
            value.unwrap_or(0)
        }
    };
    let dropped = eventually("bodies are dropped", ARRIVAL, || async {
        let appended = metric("weir_events_appended_total ".to_owned()).await;
        let dropped = metric("weir_bodies_dropped_total{reason=\"ledger_full\"} ".to_owned()).await;
        // Opened, candidate and terminal of each, and each body either written or dropped.
        if appended + dropped == 40 * 4 { Ok(dropped) } else { Err(format!("{appended} and {dropped}")) }
    })
    .await;
    assert!((1..40).contains(&dropped), "{dropped}");
    assert_eq!(metric("weir_events_lost_total ".to_owned()).await, 0);
    stack.replace_recorder().await;
    for id in &ids {
        assert_eq!(stack.row(*id).await.outcome, "completed");
    }
    let kept = 40 - usize::try_from(dropped).unwrap();
    eventually("the bodies that were kept", ARRIVAL, || async {
        let count = count(&stack).await;
        if count == kept { Ok(()) } else { Err(format!("{count} of {kept}")) }
    })
    .await;
}
