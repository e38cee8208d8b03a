//! An answer that breaks is recorded as broken, and never looks complete.

use bytes::Bytes;
use serde_json::{Value, json};
use tests::answers::{self, Tokens, anthropic_events, openai_events};
use tests::caller::Answer;
use tests::provider::{Reply, Step};
use tests::stack::{Plan, Row, Stack};

const TOKENS: Tokens = Tokens { input: 33, cache_read: 0, cache_write_5m: 0, cache_write_1h: 0, output: 9 };

/// Sends one streaming request in each dialect to a provider that sends the first events and then does as `last` says.
async fn break_off(last: Step) -> Vec<(Vec<u8>, Answer, Row)> {
    let plan = Plan { gateway: "[gateway.timeouts]\nidle = \"1s\"\n".to_owned(), ..Plan::default() };
    let stack = Stack::planned(plan, move |received| {
        let mut steps: Vec<Step> = begin(received.uri.path()).into_iter().map(Step::Send).collect();
        steps.push(last.clone());
        Reply::steps(200, "text/event-stream", steps)
    })
    .await;
    let caller = stack.caller();
    let mut results = Vec::new();
    for (path, body) in [
        ("/v1/messages", answers::anthropic_request("sonnet", true)),
        ("/v1/chat/completions", answers::openai_request("small", true)),
    ] {
        let answer = caller.send(path, &body).await;
        let row = stack.row(answer.request_id()).await;
        results.push((begin(path).concat(), answer, row));
    }
    results
}

/// The events before the break: a word has been said, the usage at the end has not come.
fn begin(path: &str) -> Vec<Bytes> {
    let (mut events, count) = match path.ends_with("/messages") {
        true => (anthropic_events("claude-sonnet-4-5-20250929", TOKENS, &["one", "two"]), 5),
        false => (openai_events("gpt-4o-mini-2024-07-18", TOKENS, &["one", "two"], true), 3),
    };
    events.truncate(count);
    events
}

/// What came after the provider's own bytes: nothing that could be taken for an end.
fn assert_not_complete(sent: &[u8], answer: &Answer) {
    let rest = answer.body.strip_prefix(sent).expect("what the provider sent comes first, unchanged");
    let rest = String::from_utf8_lossy(rest);
    assert!(!rest.contains("[DONE]") && !rest.contains("message_stop"), "looks complete: {rest}");
    let errors: Vec<Value> = rest
        .lines()
        .filter_map(|line| line.strip_prefix("data:"))
        .map(|data| serde_json::from_str(data).expect("JSON in our own event"))
        .collect();
    assert!(errors.iter().all(|error| error["error"]["message"].is_string()), "not an error of the dialect: {rest}");
    assert!(answer.broken.is_some() || errors.len() == 1, "ended as if it were complete: {rest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_stream_is_interrupted() {
    for (sent, answer, row) in break_off(Step::Cut).await {
        assert_not_complete(&sent, &answer);
        assert_eq!((row.outcome.as_str(), row.error_class.as_str()), ("interrupted", "stream_cut"), "{row:?}");
        assert_seen_so_far(&row);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_falls_silent_is_interrupted() {
    for (sent, answer, row) in break_off(Step::Stall).await {
        assert_not_complete(&sent, &answer);
        assert_eq!((row.outcome.as_str(), row.error_class.as_str()), ("interrupted", "stream_idle"), "{row:?}");
        assert_seen_so_far(&row);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_ends_cleanly_before_its_end_is_interrupted() {
    for (sent, answer, row) in break_off(Step::Send(Bytes::from_static(b": that was all\n\n"))).await {
        assert!(answer.body.starts_with(&sent));
        assert!(!answer.text().contains("[DONE]") && !answer.text().contains("message_stop"));
        assert_eq!((row.outcome.as_str(), row.error_class.as_str()), ("interrupted", "stream_cut"), "{row:?}");
        assert_seen_so_far(&row);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_inside_the_stream_is_passed_on_and_recorded() {
    let error = json!({ "type": "error", "error": { "type": "overloaded_error", "message": "Overloaded" } });
    for (sent, answer, row) in break_off(Step::Send(answers::named(&error))).await {
        let expected = [sent, answers::named(&error).to_vec()].concat();
        assert_eq!(answer.text(), String::from_utf8_lossy(&expected), "the provider's own error is enough");
        let recorded = (row.outcome.as_str(), row.error_class.as_str(), row.error_type.as_str());
        assert_eq!(recorded, ("interrupted", "upstream_in_band", "overloaded_error"), "{row:?}");
        assert!(row.error_message.contains("Overloaded"), "{row:?}");
        assert_seen_so_far(&row);
    }
}

/// Anthropic tells the input at the start; OpenAI tells nothing before the end, and unknown is not zero.
fn assert_seen_so_far(row: &Row) {
    assert_eq!((row.status, row.upstream_status), (200, Some(200)), "{row:?}");
    assert_eq!(row.stop_reason, "", "{row:?}");
    match row.format.as_str() {
        "anthropic" => {
            assert_eq!(row.input_tokens, Some(33), "{row:?}");
            assert_eq!(row.model_reported, "claude-sonnet-4-5-20250929", "{row:?}");
        }
        _ if row.usage_source == "none" => {
            assert_eq!((row.input_tokens, row.output_tokens, row.cost_usd.as_deref()), (None, None, None), "{row:?}");
        }
        _ => {
            assert_eq!(row.usage_source, "estimated", "{row:?}");
            assert_ne!(row.output_tokens, Some(0), "{row:?}");
        }
    }
}
