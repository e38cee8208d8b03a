//! S12, S13 and S14: what the request itself is to blame for is asked once, and never hides why others failed.

use tests::provider::{Reply, Step};

use super::{Bench, GOOD, Scenario, beginning, overloaded, refusal, scenario};

pub const SCENARIOS: &[Scenario] = &[
    scenario("too-long", |_| Some(too_long()), GOOD),
    scenario("too-long-alone", |_| Some(too_long()), None),
    scenario("forbidden", |_| Some(forbidden()), GOOD),
    scenario("prefill", |_| Some(overloaded()), Some(|_| Some(prefill()))),
    scenario("prefill-after-cut", |_| Some(beginning(2, Step::Cut)), Some(|_| Some(prefill()))),
];

fn too_long() -> Reply {
    refusal(400, "invalid_request_error", "context_length_exceeded", "This model's maximum context length is 8 tokens")
}

fn forbidden() -> Reply {
    refusal(400, "invalid_request_error", "content_policy_violation", "Not with us")
}

fn prefill() -> Reply {
    refusal(400, "invalid_request_error", "", "This model does not support assistant message prefill")
}

#[test]
fn s12_a_context_length_exceeded_gets_one_attempt_and_then_another_model() {
    let told = Bench::shared().ask("too-long");
    told.assert_left(&["primary", "fallback"], "context_length");
    told.assert_answered_by("fallback");
}

#[test]
fn s12_a_context_length_exceeded_fails_cleanly_where_there_is_no_other_model() {
    let told = Bench::shared().ask("too-long-alone");
    assert_eq!(told.order(), ["primary"]);
    told.assert_failed(400, "maximum context length", "upstream_client_error");
}

#[test]
fn s13_a_content_filter_gets_one_attempt_and_its_reason_is_passed_on() {
    let told = Bench::shared().ask("forbidden");
    assert_eq!(told.order(), ["primary"], "what is forbidden is not taken elsewhere");
    assert_eq!(told.reasons(), ["content_policy"]);
    told.assert_failed(400, "Not with us", "upstream_client_error");
}

#[test]
fn s14_a_rejected_prefill_never_masks_the_first_error() {
    let bench = Bench::shared();
    let told = bench.ask("prefill");
    assert!(told.order().contains(&"fallback"));
    told.assert_failed(503, "The primary is overloaded", "upstream_server_error");

    // As the catalogue has it: the stream breaks, and whoever goes on with it elsewhere is told off for its prefill.
    let cut = bench.ask("prefill-after-cut");
    assert_eq!(cut.order(), ["primary"]);
    assert!(!cut.answer.text().contains("prefill") && !cut.answer.text().contains("[DONE]"), "{}", cut.answer.text());
    assert_eq!(cut.row.error_class, "stream_cut");
}
