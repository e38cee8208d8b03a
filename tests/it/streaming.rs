//! Answers pass at once, and requests go upstream as they came, but for what must be changed.

use serde_json::{Value, json};
use tests::answers::{self, Tokens, anthropic_events, openai_events};
use tests::caller::read;
use tests::configuration::KEY_A;
use tests::provider::{Gate, Received, Reply, Step};
use tests::stack::Stack;

const TOKENS: Tokens = Tokens { input: 11, cache_read: 5, cache_write_5m: 0, cache_write_1h: 0, output: 3 };

/// A provider of both dialects that gives usage to those who ask for it.
fn both_dialects(received: &Received) -> Reply {
    let body = received.json();
    let model = body["model"].as_str().unwrap();
    let stream = body["stream"] == json!(true);
    if received.uri.path().ends_with("/messages") {
        return match stream {
            true => Reply::events(anthropic_events(model, TOKENS, &["Hi", "!"])),
            false => Reply::whole(200, "application/json", answers::anthropic_body(model, TOKENS, "Hi!").to_string()),
        };
    }
    match stream {
        true => {
            let with_usage = body.pointer("/stream_options/include_usage") == Some(&json!(true));
            Reply::events(openai_events(model, TOKENS, &["Hi", "!"], with_usage))
        }
        false => Reply::whole(200, "application/json", answers::openai_body(model, TOKENS, "Hi!").to_string()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_reaches_the_client_before_the_provider_sends_the_next() {
    const WORDS: [&str; 3] = ["one ", "two ", "three "];
    let gates = WORDS.map(|_| Gate::closed());
    let script = gates.clone();
    let stack = Stack::start(move |received| {
        let events = match received.uri.path().ends_with("/messages") {
            true => anthropic_events("claude-sonnet-4-5-20250929", TOKENS, &WORDS),
            false => openai_events("gpt-4o-mini", TOKENS, &WORDS, true),
        };
        let mut steps = Vec::new();
        for event in events {
            let text = String::from_utf8_lossy(&event).into_owned();
            steps.push(Step::Send(event));
            let gate = WORDS.iter().position(|word| text.contains(word)).map(|word| script[word].clone());
            steps.extend(gate.map(Step::Await));
        }
        Reply::steps(200, "text/event-stream", steps)
    })
    .await;
    let caller = stack.caller();
    let mut streams = [
        caller.open("/v1/messages", &answers::anthropic_request("sonnet", true)).await,
        caller.open("/v1/chat/completions", &answers::openai_request("gpt-4o-mini", true)).await,
    ];
    for (gate, word) in gates.iter().zip(WORDS) {
        for stream in &mut streams {
            stream.until(word).await;
        }
        gate.open();
    }
    for stream in &mut streams {
        let (_, broken) = stream.rest().await;
        assert_eq!(broken, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_marked_against_buffering_and_every_answer_names_its_request() {
    let stack = Stack::start(both_dialects).await;
    let answer = stack.caller().send("/v1/messages", &answers::anthropic_request("sonnet", true)).await;
    let header = |name: &str| answer.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(header("x-weir-provider").as_deref(), Some("anthropic"));
    assert_eq!(header("x-weir-attempts").as_deref(), Some("1"));
    assert_eq!(header("cache-control").as_deref(), Some("no-cache, no-transform"));
    assert_eq!(header("x-accel-buffering").as_deref(), Some("no"));
    assert_eq!(answer.request_id().get_version_num(), 7);
}

/// What goes upstream for what the client sent: byte for byte, but for the marked places.
const BODIES: &[(&str, &str, &str)] = &[
    // Nothing to change: odd spaces, escapes, large numbers, unknown fields and key order all stay.
    (
        "/v1/chat/completions",
        " {\"messages\" :[{\"role\":\"user\",\"content\":\"\\u00fc \\ud83d\\ude00 ü\"}],\t\"seed\":123456789012345678901234567890,\n\"model\":\"gpt-4o-mini\",\"temperature\":1.0e0}\n",
        " {\"messages\" :[{\"role\":\"user\",\"content\":\"\\u00fc \\ud83d\\ude00 ü\"}],\t\"seed\":123456789012345678901234567890,\n\"model\":\"gpt-4o-mini\",\"temperature\":1.0e0}\n",
    ),
    // Only the model's own name, not the one in the tool or the text.
    (
        "/v1/messages",
        r#"{"tools":[{"name":"t","model":"sonnet"}],"max_tokens":5,"model" : "sonnet" ,"messages":[{"role":"user","content":"\"model\":\"sonnet\""}]}"#,
        r#"{"tools":[{"name":"t","model":"sonnet"}],"max_tokens":5,"model" : "claude-sonnet-4-5-20250929" ,"messages":[{"role":"user","content":"\"model\":\"sonnet\""}]}"#,
    ),
    // A model written with escapes is the same model.
    (
        "/v1/chat/completions",
        r#"{"model":"sm\u0061ll","messages":[{"role":"user","content":"x"}]}"#,
        r#"{"model":"gpt-4o-mini-2024-07-18","messages":[{"role":"user","content":"x"}]}"#,
    ),
    // The client asks for usage itself: nothing to add.
    (
        "/v1/chat/completions",
        r#"{"model":"gpt-4o-mini","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"x"}]}"#,
        r#"{"model":"gpt-4o-mini","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"x"}]}"#,
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_provider_gets_the_clients_bytes() {
    let stack = Stack::start(both_dialects).await;
    let caller = stack.caller();
    for (path, sent, upstream) in BODIES {
        let answer = read(caller.post(path, *sent)).await;
        assert_eq!(answer.status, 200, "{sent}: {:?}", answer.body);
        let received = stack.provider.received().pop().unwrap();
        assert_eq!(received.uri.path(), *path);
        assert_eq!(String::from_utf8_lossy(&received.body), *upstream);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_asked_for_where_the_client_did_not_and_hidden_again() {
    let stack = Stack::start(both_dialects).await;
    let caller = stack.caller();
    let shown = openai_events("gpt-4o-mini", TOKENS, &["Hi", "!"], true).concat();
    let is_usage = |event: &&bytes::Bytes| event.windows(12).any(|bytes| bytes == b"\"choices\":[]");
    let events = openai_events("gpt-4o-mini", TOKENS, &["Hi", "!"], true);
    let hidden = events.iter().filter(|event| !is_usage(event)).flatten().copied().collect::<Vec<u8>>();
    assert_ne!(shown, hidden);

    let variants = [
        (json!({ "stream": true, "stream_options": { "include_usage": true } }), &shown),
        (json!({ "stream": true }), &hidden),
        (json!({ "stream": true, "stream_options": null }), &hidden),
        (json!({ "stream": true, "stream_options": {} }), &hidden),
        (json!({ "stream": true, "stream_options": { "include_usage": false } }), &hidden),
        (json!({ "stream": true, "stream_options": { "include_obfuscation": false } }), &hidden),
    ];
    for (options, expected) in variants {
        let mut body = answers::openai_request("gpt-4o-mini", true);
        for (key, value) in options.as_object().unwrap() {
            body[key] = value.clone();
        }
        let answer = caller.send("/v1/chat/completions", &body).await;
        assert_eq!(answer.status, 200, "{options}: {:?}", answer.body);
        assert_eq!(answer.text(), String::from_utf8_lossy(expected), "{options}");

        // Upstream: everything the client said, and the usage asked for.
        let mut upstream = body.clone();
        if !upstream["stream_options"].is_object() {
            upstream["stream_options"] = json!({});
        }
        upstream["stream_options"]["include_usage"] = json!(true);
        assert_eq!(stack.provider.received().pop().unwrap().json(), upstream, "{options}");

        let row = stack.row(answer.request_id()).await;
        assert_eq!((row.input_tokens, row.cache_read_tokens, row.output_tokens), (Some(16), Some(5), Some(3)));
        assert_eq!(row.response_bytes, expected.len() as u64);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_answer_is_not_asked_for_stream_options() {
    let stack = Stack::start(both_dialects).await;
    let body = answers::openai_request("gpt-4o-mini", false);
    let answer = stack.caller().send("/v1/chat/completions", &body).await;
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "Hi!");
    assert_eq!(stack.provider.received().pop().unwrap().json(), body);
    let row = stack.row(answer.request_id()).await;
    assert_eq!((row.outcome.as_str(), row.input_tokens, row.output_tokens), ("completed", Some(16), Some(3)));
    assert_eq!(row.stop_reason, "stop");
    let raw: Value = serde_json::from_str(&row.raw_usage).unwrap();
    assert_eq!(raw, answer.json()["usage"], "the provider's own object is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_to_the_provider_are_used_again() {
    let stack = Stack::start(both_dialects).await;
    let caller = stack.caller();
    for _ in 0..10 {
        let answer = caller.send("/v1/messages", &answers::anthropic_request("sonnet", true)).await;
        assert_eq!(answer.status, 200);
        let answer = caller.send("/v1/chat/completions", &answers::openai_request("small", true)).await;
        assert_eq!(answer.status, 200);
    }
    // A connection whose end has not been read yet cannot be taken at once, so there may be a spare one.
    let connections = stack.provider.connections();
    assert!(connections <= 3, "{connections} connections for 20 requests, one after the other");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_may_speak_http_2() {
    let stack = Stack::start(both_dialects).await;
    let http = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    let url = format!("{}/v1/messages", stack.gateway.as_ref().unwrap().url);
    let body = answers::anthropic_request("sonnet", true).to_string();
    let sent = (0..20).map(|_| read(http.post(&url).header("x-api-key", KEY_A).body(body.clone())));
    let expected = anthropic_events("claude-sonnet-4-5-20250929", TOKENS, &["Hi", "!"]).concat();
    for answer in futures_util::future::join_all(sent).await {
        assert_eq!((answer.status.as_u16(), answer.broken.as_deref()), (200, None));
        assert_eq!(answer.text(), String::from_utf8_lossy(&expected));
        assert_eq!(stack.row(answer.request_id()).await.outcome, "completed");
    }
}
