//! S08 to S11: what has begun is finished, or ends in a clean error within bounds, and never looks complete.

use bytes::Bytes;
use tests::answers::openai_events;
use tests::provider::{Reply, Step};

use super::{Bench, GOOD, PRIMARY, SLACK, Scenario, beginning, scenario};

pub const SCENARIOS: &[Scenario] = &[
    scenario("cut", |_| Some(beginning(2, Step::Cut)), GOOD),
    scenario("stall", |nth| (nth == 1).then(|| beginning(2, Step::Stall)), GOOD),
    scenario("malformed", |_| Some(malformed()), GOOD),
    scenario("no-done", |_| Some(no_done()), GOOD),
];

fn malformed() -> Reply {
    let mut events = openai_events("primary-model", PRIMARY, &["one ", "two"], true);
    events.insert(2, Bytes::from_static(b"data: {\"choices\":[{\"delta\n\n"));
    Reply::events(events)
}

fn no_done() -> Reply {
    let mut events = openai_events("primary-model", PRIMARY, &["one ", "two"], true);
    events.pop();
    Reply::events(events)
}

fn assert_broken(name: &str, class: &str) {
    let told = Bench::shared().ask(name);
    assert_eq!(told.order(), ["primary"], "nothing is tried once the client reads");
    assert_eq!((told.row.outcome.as_str(), told.row.error_class.as_str()), ("interrupted", class));
    let text = told.answer.text();
    assert!(text.contains("\"error\"") && !text.contains("[DONE]"), "it looks complete: {text}");
    assert_eq!((told.candidates[0].verdict.as_str(), told.candidates[0].status), ("failed", Some(200)));
    assert!(told.took < SLACK, "{:?}", told.took);
}

#[test]
fn s08_a_stream_that_is_cut_is_never_a_truncated_success() {
    assert_broken("cut", "stream_cut");
}

#[test]
fn s09_a_stream_that_stalls_ends_in_an_error_and_the_gateway_is_well() {
    let bench = Bench::shared();
    assert_broken("stall", "stream_idle");
    bench.ask("stall").assert_answered_by("primary");
}

#[test]
fn s10_a_malformed_chunk_is_survived() {
    let told = Bench::shared().ask("malformed");
    assert_eq!(told.order(), ["primary"]);
    told.assert_answered_by("primary");
}

#[test]
fn s11_a_stream_without_done_is_finished_at_once_with_its_usage() {
    let told = Bench::shared().ask("no-done");
    assert_eq!(told.order(), ["primary"]);
    told.assert_answered_by("primary");
    assert!(told.took < SLACK, "{:?}", told.took);
}
