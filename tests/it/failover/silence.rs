//! S06 and S07: a primary that says nothing, or nothing yet, is left once its time is up, and not asked again.

use std::time::Duration;

use tests::answers::{openai_body, openai_request};
use tests::configuration::KEY_A;
use tests::provider::{Received, Reply, Step};
use tests::stack::{Plan, Stack};

use super::{Bench, FIRST_BYTE, GOOD, IDLE, PRIMARY, SLACK, Scenario, beginning, refusal, scenario};

pub const SCENARIOS: &[Scenario] = &[
    scenario("no-response", |_| None, GOOD),
    scenario("slow", |_| Some(beginning(0, Step::Stall)), GOOD),
    scenario("slow-after-preamble", |_| Some(beginning(1, Step::Stall)), GOOD),
    scenario("half", |_| Some(half()), GOOD),
];

/// Half of a plain answer.
fn half() -> Reply {
    let body = openai_body("primary-model", PRIMARY, "one two").to_string();
    let (first, _) = body.split_at(body.len() / 2);
    Reply::steps(200, "application/json", vec![Step::Send(first.to_owned().into()), Step::Stall])
}

/// Whether a stream was asked for or not.
#[test]
fn s06_no_response_at_all_gets_one_attempt_and_then_the_fallback() {
    let bench = Bench::shared();
    for told in [bench.ask("no-response"), bench.ask_plainly("no-response")] {
        told.assert_left(&["primary", "fallback"], "silent");
        told.assert_answered_by("fallback");
        assert!(told.took >= FIRST_BYTE && told.took < FIRST_BYTE + SLACK, "{:?}", told.took);
    }
}

/// Headers at once, and then no token; or a role, which is none either.
#[test]
fn s07_a_slow_first_token_is_failed_over_within_the_limit() {
    let bench = Bench::shared();
    for (name, told) in [
        ("slow", bench.ask("slow")),
        ("slow-after-preamble", bench.ask("slow-after-preamble")),
        ("slow and plain", bench.ask_plainly("slow")),
    ] {
        told.assert_left(&["primary", "fallback"], "silent");
        told.assert_answered_by("fallback");
        assert!(told.took >= FIRST_BYTE && told.took < FIRST_BYTE + SLACK, "{name}: {:?}", told.took);
    }
}

/// S09 for an answer that is not streamed: none of it has reached the caller, so that another one can still take its place.
#[test]
fn s09_a_plain_answer_that_stops_in_the_middle_is_left_for_the_fallback() {
    let told = Bench::shared().ask_plainly("half");
    told.assert_left(&["primary", "fallback"], "silent");
    told.assert_answered_by("fallback");
    assert!(told.took < IDLE + SLACK, "{:?}", told.took);
}

/// What the slow one takes, and what it may where somebody else could answer.
const SLOW: Duration = Duration::from_secs(2);

/// One that is slow, with two keys, and one that is at its limit for a minute.
fn catalogue() -> String {
    let side = |name: &str, priority: u8, keys: &[&str]| {
        let key = |key: &&str| {
            format!("[[providers.endpoints.keys]]\nname = \"{key}\"\nsecret = {{ plain = \"upstream-key-{key}\" }}\n")
        };
        format!(
            "[[providers]]\nname = \"{name}\"\npriority = {priority}\n[[providers.endpoints]]\nname = \"{name}\"\n\
             format = \"openai_chat\"\nbase_url = \"{{provider}}/{name}/v1\"\nmax_retries = 0\n{}",
            keys.iter().map(key).collect::<String>()
        )
    };
    let model = |name: &str, endpoints: &[&str]| {
        let route = |endpoint: &&str| format!("[[models.routes]]\nendpoint = \"{endpoint}\"\n");
        format!("[[models]]\nname = \"{name}\"\n{}", endpoints.iter().map(route).collect::<String>())
    };
    [
        format!("[[clients]]\nname = \"team-a\"\nkey = {{ plain = \"{KEY_A}\" }}\n"),
        side("slow", 1, &["one", "two"]),
        side("limited", 2, &["main"]),
        model("alone", &["slow"]),
        model("limited", &["limited"]),
        model("both", &["slow", "limited"]),
    ]
    .concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_request_has_all_its_time_where_nobody_else_could_answer() {
    let answer = |received: &Received| match received.uri.path().starts_with("/limited/") {
        true => refusal(429, "rate_limit_error", "", "Come back later").header("retry-after", "60"),
        false => {
            let body = openai_body("m", PRIMARY, "one two").to_string();
            Reply::steps(200, "application/json", vec![Step::Pause(SLOW), Step::Send(body.into())])
        }
    };
    let gateway = "[gateway.timeouts]\nplain_first_byte = \"1s\"\n".to_owned();
    let stack = Stack::planned(Plan { gateway, catalogue: catalogue(), ..Plan::default() }, answer).await;
    let ask = async |model: &str| stack.caller().send("/v1/chat/completions", &openai_request(model, false)).await;
    // Another key is no other provider, and one that is shut cannot answer.
    assert_eq!(ask("limited").await.status, 429);
    for model in ["alone", "both"] {
        let answer = ask(model).await;
        assert_eq!((answer.status.as_u16(), answer.text().contains("one two")), (200, true), "{}", answer.text());
        assert_eq!(answer.headers["x-weir-attempts"], "1", "{model}");
    }
}
