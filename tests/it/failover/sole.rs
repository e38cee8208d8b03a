//! A model's only provider is not hammered either: while it is shut, its callers are told what it last said.

use std::time::Instant;

use futures_util::future::join_all;
use tests::answers;
use tests::caller::Answer;
use tests::provider::Reply;

use super::{Bench, Scenario, overloaded, refusal, scenario, skipped};

pub const SCENARIOS: &[Scenario] = &[
    scenario("sole", |_| Some(overloaded()), None),
    scenario("sole-dead", |_| Some(refusal(401, "authentication_error", "", "No such key as upstream-key")), None),
    scenario("sole-limited", |_| Some(limited()), None),
];

fn limited() -> Reply {
    refusal(429, "rate_limit_error", "", "Come back later").header("retry-after", "60")
}

/// Fifty ask at once. Returns how many of them reached the provider, and what one of the others was told.
fn crowd(bench: &Bench, scenario: &str, status: u16, words: &str) -> (usize, Answer) {
    let before = Instant::now();
    let body = &answers::openai_request(scenario, true);
    let callers = (0..50).map(|_| bench.stack.caller());
    let asking = callers.map(|caller| async move { caller.send("/v1/chat/completions", body).await });
    let all = bench.run(join_all(asking));
    let reached = bench.asked(scenario, before).len();
    let told: Vec<Answer> = all.into_iter().filter(|answer| answer.headers["x-weir-attempts"] == "0").collect();
    assert_eq!(told.len() + reached, 50);
    for answer in &told {
        assert_eq!(answer.status, status, "{}", answer.text());
        let error = answer.json();
        assert!(error["error"]["message"].as_str().unwrap().contains(words), "{error}");
        let wait: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=60).contains(&wait), "{wait}");
    }
    (reached, told.into_iter().next().unwrap())
}

#[test]
fn a_sole_provider_that_fails_is_left_alone_and_its_callers_hear_what_it_said() {
    let bench = Bench::shared();
    let begun = Instant::now();
    // Three tries and two: the fifth failure opens the breaker.
    bench.ask("sole").assert_failed(503, "The primary is overloaded", "upstream_server_error");
    bench.ask("sole").assert_failed(503, "The primary is overloaded", "upstream_server_error");
    assert_eq!(bench.asked("sole", begun).len(), 5);
    let (asked, answer) = crowd(&bench, "sole", 503, "the last answer was 503 (service_unavailable_error)");
    // A probe is due every quarter of a minute, however slow the machine is.
    assert!(asked as u64 <= begun.elapsed().as_secs() / 15, "{asked} of 50 reached it");
    let rows = bench.run(skipped(&bench.stack, answer.request_id(), 1));
    assert_eq!(rows, [("sole-primary".to_owned(), "breaker_open".to_owned())]);
    let row = bench.run(bench.stack.row(answer.request_id()));
    assert_eq!((row.outcome.as_str(), row.error_class.as_str(), row.attempts), ("failed", "no_candidate", 0));
}

#[test]
fn a_sole_key_that_is_refused_is_left_alone_and_nobody_hears_its_words() {
    let bench = Bench::shared();
    bench.ask("sole-dead").assert_failed(401, "No such key", "upstream_auth");
    let (asked, answer) = crowd(&bench, "sole-dead", 503, "the last answer was 401 (authentication_error)");
    assert_eq!(asked, 0);
    assert!(!answer.text().contains("upstream-key"), "{}", answer.text());
}

#[test]
fn a_sole_provider_that_is_at_its_limit_for_long_is_left_alone() {
    let bench = Bench::shared();
    bench.ask("sole-limited").assert_failed(429, "Come back later", "upstream_rate_limited");
    let (asked, _) = crowd(&bench, "sole-limited", 429, "at its limit; the last answer was 429 (rate_limit_error)");
    assert_eq!(asked, 0);
}
