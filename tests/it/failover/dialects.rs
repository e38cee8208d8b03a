//! Endpoints that speak another format than the client have their rows too, and are not counted as passed over.

use http::HeaderValue;
use serde_json::json;
use tests::answers::{openai_body, openai_request};
use tests::configuration::KEY_A;
use tests::provider::{Received, Reply};
use tests::stack::{Plan, Stack};

use super::{PRIMARY, rows, skipped};

/// Three endpoints of one model, each with two keys, in three formats.
const ENDPOINTS: [(&str, &str); 3] =
    [("claude", "anthropic"), ("chat", "openai_chat"), ("responses", "openai_responses")];

fn catalogue() -> String {
    let key = |name: &str| {
        format!("[[providers.endpoints.keys]]\nname = \"{name}\"\nsecret = {{ plain = \"upstream-key-{name}\" }}\n")
    };
    let mut catalogue = format!("[[clients]]\nname = \"team-a\"\nkey = {{ plain = \"{KEY_A}\" }}\n");
    let mut routes = String::new();
    for (name, format) in ENDPOINTS {
        catalogue += &format!(
            "[[providers]]\nname = \"{name}\"\n[[providers.endpoints]]\nname = \"{name}\"\nformat = \"{format}\"\n\
             base_url = \"{{provider}}/{name}/v1\"\n{}{}",
            key("one"),
            key("two")
        );
        routes += &format!("[[models.routes]]\nendpoint = \"{name}\"\n");
    }
    format!("{catalogue}[[models]]\nname = \"m\"\n{routes}")
}

#[tokio::test(flavor = "multi_thread")]
async fn who_speaks_another_format_is_left_out_with_the_reason() {
    let answer = |_: &Received| Reply::whole(200, "application/json", openai_body("m", PRIMARY, "Hi").to_string());
    let stack = Stack::planned(Plan { catalogue: catalogue(), ..Plan::default() }, answer).await;
    let answer = stack.caller().send("/v1/chat/completions", &openai_request("m", false)).await;
    assert_eq!((answer.status.as_u16(), &answer.headers["x-weir-provider"]), (200, &HeaderValue::from_static("chat")));
    assert_eq!(answer.headers["x-weir-attempts"], "1");
    // One row for each endpoint, whatever the number of its keys.
    let left_out = |names: &[&str]| {
        names.iter().map(|name| ((*name).to_owned(), "speaks_other_format".to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(skipped(&stack, answer.request_id(), 2).await, left_out(&["claude", "responses"]));

    // Where nobody speaks it the request is refused, and the rows say why.
    let body = json!({ "contents": [{ "role": "user", "parts": [{ "text": "Hello" }] }] });
    let refused = stack.caller().send("/v1beta/models/m:generateContent", &body).await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!(skipped(&stack, refused.request_id(), 3).await, left_out(&["claude", "chat", "responses"]));
    assert_eq!(stack.row(refused.request_id()).await.outcome, "rejected");

    // A provider is not judged by what it was not made for.
    rows(&stack, answer.request_id(), "!= 'skipped'", 1).await;
    stack.row(answer.request_id()).await;
    let providers = stack.reader().get_json("/v1/providers?group_by=provider").await;
    let rows = providers["rows"].as_array().unwrap();
    let told: Vec<_> =
        rows.iter().map(|row| (&row["provider"], &row["attempts"], &row["skipped"], &row["success_rate"])).collect();
    assert_eq!(told.len(), 1, "{providers}");
    let (provider, attempts, passed_over, success_rate) = told[0];
    assert_eq!((provider.as_str(), attempts.as_u64(), passed_over.as_u64()), (Some("chat"), Some(1), Some(0)));
    assert_eq!(success_rate.as_f64(), Some(1.0));
}
