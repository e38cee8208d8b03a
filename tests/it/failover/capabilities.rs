//! What a request needs is asked only of those that have it; the others' rows say why they were left out.

use serde_json::{Value, json};
use tests::answers::{anthropic_body, anthropic_request};
use tests::caller::{self, Answer};
use tests::configuration::{KEY_A, KEY_B};
use tests::provider::Reply;
use tests::stack::{Plan, Stack};

use super::{PRIMARY, skipped};

/// Accounts of one provider, in order of priority, and what each may do.
const ACCOUNTS: [(&str, &str); 3] = [("plain", "[]"), ("long", "[\"context_1m\"]"), ("hour", "[\"cache_1h\"]")];

fn catalogue() -> String {
    let mut catalogue = format!(
        "[[clients]]\nname = \"team-a\"\nkey = {{ plain = \"{KEY_A}\" }}\n\
         [[clients]]\nname = \"team-b\"\nkey = {{ plain = \"{KEY_B}\" }}\nrequire_capabilities = [\"context_1m\"]\n"
    );
    let mut routes = String::new();
    for (at, (name, capabilities)) in ACCOUNTS.iter().enumerate() {
        catalogue += &format!(
            "[[providers]]\nname = \"{name}\"\npriority = {at}\n[[providers.endpoints]]\nname = \"{name}\"\n\
             format = \"anthropic\"\nbase_url = \"{{provider}}/{name}\"\n[[providers.endpoints.keys]]\nname = \"main\"\n\
             secret = {{ plain = \"upstream-key-of-{name}\" }}\ncapabilities = {capabilities}\n"
        );
        routes += &format!("[[models.routes]]\nendpoint = \"{name}\"\n");
    }
    format!("{catalogue}[[models]]\nname = \"m\"\n{routes}")
}

async fn send(stack: &Stack, body: &Value, beta: Option<&str>) -> Answer {
    let request = stack.caller().post("/v1/messages", body.to_string());
    let request = beta.into_iter().fold(request, |request, beta| request.header("anthropic-beta", beta));
    caller::read(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_context_and_a_long_cache_go_where_they_are_offered() {
    let answer = |_: &_| Reply::whole(200, "application/json", anthropic_body("m", PRIMARY, "Hi").to_string());
    let stack = Stack::planned(Plan { catalogue: catalogue(), ..Plan::default() }, answer).await;
    let plain = anthropic_request("m", false);
    let mut hour = plain.clone();
    hour["system"] = json!([{ "type": "text", "text": "s", "cache_control": { "type": "ephemeral", "ttl": "1h" } }]);
    let beta = Some("interleaved-thinking-2025-05-14,context-1m-2025-08-07");
    for (body, beta, served, left_out) in [
        (&plain, None, "plain", vec![("hour", "kept_for_cache_1h")]),
        (&plain, beta, "long", vec![("plain", "lacks_context_1m"), ("hour", "lacks_context_1m")]),
        (&hour, None, "hour", vec![("plain", "lacks_cache_1h"), ("long", "lacks_cache_1h")]),
    ] {
        let answer = send(&stack, body, beta).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.headers["x-weir-provider"]),
            (200, &http::HeaderValue::from_static(served))
        );
        let rows = skipped(&stack, answer.request_id(), left_out.len()).await;
        let rows: Vec<_> = rows.iter().map(|(endpoint, reason)| (endpoint.as_str(), reason.as_str())).collect();
        assert_eq!(rows, left_out);
    }

    // Both at once is more than anybody has.
    let before = stack.provider.received().len();
    let answer = send(&stack, &hour, beta).await;
    assert_eq!((answer.status.as_u16(), stack.provider.received().len()), (400, before));
    let error = answer.json();
    assert_eq!(error["error"]["type"], "invalid_request_error", "{error}");
    assert!(error["error"]["message"].as_str().unwrap().contains("long context"), "{error}");
    assert_eq!(skipped(&stack, answer.request_id(), 3).await.len(), 3);
    let row = stack.row(answer.request_id()).await;
    assert_eq!((row.outcome.as_str(), row.error_class.as_str(), row.attempts), ("failed", "invalid_request", 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_says_what_is_needed_and_counts_more_than_settings_and_looks() {
    let answer = |_: &_| Reply::whole(200, "application/json", anthropic_body("m", PRIMARY, "Hi").to_string());
    let stack = Stack::planned(Plan { catalogue: catalogue(), ..Plan::default() }, answer).await;
    let plain = anthropic_request("m", false);
    let mut hour = plain.clone();
    hour["system"] = json!([{ "type": "text", "text": "s", "cache_control": { "type": "ephemeral", "ttl": "1h" } }]);
    let ask = async |key: &str, body: &Value, header: Option<&str>| {
        let request = stack.caller().with_key(key).post("/v1/messages", body.to_string());
        caller::read(header.into_iter().fold(request, |request, value| request.header("X-Require-Capability", value)))
            .await
    };
    for (key, body, header, served) in [
        (KEY_A, &plain, Some("cache_1h"), "hour"),
        (KEY_A, &hour, Some("-cache_1h"), "plain"),
        (KEY_A, &plain, Some("context_1m, -cache_1h"), "long"),
        (KEY_B, &plain, None, "long"),
        (KEY_B, &plain, Some("-context_1m"), "plain"),
    ] {
        let answer = ask(key, body, header).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.headers["x-weir-provider"], served, "{header:?}");
        // It is said to us alone.
        assert_eq!(stack.provider.received().last().unwrap().header("x-require-capability"), None);
    }
    let before = stack.provider.received().len();
    let answer = ask(KEY_A, &plain, Some("cache_1h,vision")).await;
    let error = answer.json();
    assert_eq!((answer.status.as_u16(), &error["error"]["type"]), (400, &json!("invalid_request_error")), "{error}");
    let message = error["error"]["message"].as_str().unwrap();
    assert!(message.contains("\"vision\" is none of context_1m, cache_1h"), "{message}");
    assert_eq!(stack.provider.received().len(), before);
}
