//! S03, S04, S05 and S16: a primary that fails before it answers; keys that die; whose answer the caller gets.

use serde_json::json;
use tests::answers::openai_events;
use tests::provider::{Reply, Step};

use super::{Bench, FALLBACK, GOOD, Scenario, beginning, overloaded, refusal, scenario, skipped};

pub const SCENARIOS: &[Scenario] = &[
    scenario("once", |nth| (nth == 1).then(|| refusal(500, "server_error", "", "oops")), GOOD),
    scenario("overloaded", |_| Some(overloaded()), GOOD),
    scenario("overloaded-alone", |_| Some(overloaded()), None),
    scenario("reset", |_| None, GOOD),
    scenario("reset-for-ever", |_| None, GOOD),
    scenario("accounting", |_| Some(overloaded()), GOOD),
    scenario("dead-key", |_| Some(refusal(401, "invalid_request_error", "invalid_api_key", "Incorrect key")), GOOD),
    scenario("same-id", |_| Some(same_id()), GOOD),
    scenario("empty", |_| Some(Reply::whole(200, "text/event-stream", "")), GOOD),
    scenario("page", |_| Some(Reply::whole(200, "text/html", "<html><title>hello</title></html>")), GOOD),
];

/// The preamble of an answer, under the id that the fallback's answer has as well, and then an error.
fn same_id() -> Reply {
    let error = json!({ "error": { "message": "no capacity", "type": "server_error", "code": null } });
    beginning(1, Step::Send(format!("data: {error}\n\n").into()))
}

#[test]
fn s03_500_once_is_retried_once_on_the_same_provider() {
    let told = Bench::shared().ask("once");
    told.assert_left(&["primary", "primary"], "server_error");
    told.assert_answered_by("primary");
    let attempts: Vec<u16> = told.candidates.iter().map(|candidate| candidate.attempt_index).collect();
    assert_eq!(attempts, [0, 1]);
}

#[test]
fn s04_503_for_ever_is_left_within_the_budget() {
    let told = Bench::shared().ask("overloaded");
    told.assert_left(&["primary", "primary", "fallback"], "overloaded");
    told.assert_answered_by("fallback");
}

#[test]
fn s04_503_for_ever_reaches_the_caller_where_there_is_nowhere_to_go() {
    let told = Bench::shared().ask("overloaded-alone");
    assert_eq!(told.order(), ["primary"; 3], "at most two retries");
    told.assert_failed(503, "The primary is overloaded", "upstream_server_error");
}

#[test]
fn s05_a_reset_before_headers_is_retried() {
    let told = Bench::shared().ask("reset");
    told.assert_left(&["primary", "primary"], "connect_failed");
    told.assert_answered_by("primary");
}

#[test]
fn s05_resets_for_ever_are_left_for_the_fallback() {
    let told = Bench::shared().ask("reset-for-ever");
    told.assert_left(&["primary", "primary", "fallback"], "connect_failed");
    told.assert_answered_by("fallback");
}

#[test]
fn s16_the_caller_sees_the_fallbacks_model_and_usage_and_failed_tries_are_not_billed() {
    let told = Bench::shared().ask("accounting");
    told.assert_answered_by("fallback");
    assert_eq!(
        (told.row.model_upstream.as_str(), told.row.model_reported.as_str()),
        ("fallback-model", "fallback-model")
    );
    let usage: Vec<_> = told.candidates.iter().map(|row| (row.input_tokens, row.output_tokens)).collect();
    let answered = (Some(FALLBACK.input), Some(FALLBACK.output));
    assert_eq!(usage, [(None, None), (None, None), answered], "a failed try has used what nobody knows, and no zero");
}

#[test]
fn a_dead_key_is_not_used_again_and_the_story_says_so() {
    let bench = Bench::shared();
    let first = bench.ask("dead-key");
    first.assert_left(&["primary", "fallback"], "key_refused");
    first.assert_answered_by("fallback");
    let second = bench.ask("dead-key");
    assert_eq!(second.order(), ["fallback"]);
    second.assert_answered_by("fallback");
    let id = second.answer.request_id();
    let rows = bench.run(skipped(&bench.stack, id, 1));
    assert_eq!(rows, [("dead-key-primary".to_owned(), "key_disabled".to_owned())]);

    let story = bench.story(id);
    let told = |candidate: &serde_json::Value| {
        ["endpoint", "verdict", "reason"].map(|field| candidate[field].as_str().unwrap().to_owned())
    };
    let candidates: Vec<_> = story["candidates"].as_array().unwrap().iter().map(told).collect();
    assert_eq!(candidates[0], ["dead-key-primary", "skipped", "key_disabled"]);
    assert_eq!(candidates[1][..2], ["dead-key-fallback", "succeeded"]);
    assert_eq!(candidates.len(), 2, "{story}");
    assert_eq!(story["request"]["attempts"], 1, "{story}");
}

/// Every answer of both providers has one and the same id: it is no key of anything.
#[test]
fn two_providers_with_the_same_response_id_are_two_rows() {
    let bench = Bench::shared();
    let events = openai_events("m", FALLBACK, &[""], true).concat();
    assert!(String::from_utf8(events).unwrap().contains("chatcmpl-test"));
    let (one, other) = (bench.ask("same-id"), bench.ask("same-id"));
    for told in [&one, &other] {
        told.assert_left(&["primary", "primary", "fallback"], "server_error");
        told.assert_answered_by("fallback");
        assert_eq!(told.answer.text().matches("chatcmpl-test").count(), 4, "{}", told.answer.text());
    }
    assert_ne!(one.row.request_id, other.row.request_id);
}

#[test]
fn an_empty_answer_and_a_web_page_are_no_answers() {
    let bench = Bench::shared();
    for name in ["empty", "page"] {
        let told = bench.ask(name);
        told.assert_left(&["primary", "primary", "fallback"], "unusable_answer");
        told.assert_answered_by("fallback");
    }
}
