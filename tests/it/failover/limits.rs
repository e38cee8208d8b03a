//! S01 and S02: a primary that says 429 is waited for or left, never hammered.

use std::time::Duration;

use tests::provider::Reply;

use super::{Bench, GOOD, Scenario, refusal, scenario};

pub const SCENARIOS: &[Scenario] = &[
    scenario("limited", |nth| (nth == 1).then(|| limited().header("retry-after", "2")), GOOD),
    scenario("limited-alone", |nth| (nth == 1).then(|| limited().header("retry-after", "2")), None),
    scenario("limited-until", |nth| (nth == 1).then(|| limited().header("retry-after", &in_two_seconds())), None),
    scenario("limited-in-ms", |nth| (nth == 1).then(|| limited().header("retry-after-ms", "1900")), None),
    scenario("limited-for-ever", |_| Some(limited()), GOOD),
    scenario("limited-for-ever-alone", |_| Some(limited()), None),
];

fn limited() -> Reply {
    refusal(429, "rate_limit_error", "rate_limit_exceeded", "Slow down")
}

/// As an HTTP date, which has whole seconds: the next but two, to be two at least.
fn in_two_seconds() -> String {
    httpdate::fmt_http_date(std::time::SystemTime::now() + Duration::from_secs(3))
}

#[test]
fn s01_429_with_retry_after_is_left_at_once_for_the_fallback() {
    let told = Bench::shared().ask("limited");
    told.assert_left(&["primary", "fallback"], "rate_limited");
    told.assert_answered_by("fallback");
}

/// In all its forms: as seconds, as a date, as milliseconds.
#[test]
fn s01_429_with_retry_after_is_waited_for_where_there_is_no_fallback() {
    let bench = Bench::shared();
    for name in ["limited-alone", "limited-until", "limited-in-ms"] {
        let told = bench.ask(name);
        assert_eq!(told.order(), ["primary", "primary"], "{name}");
        assert!(told.gaps()[0] >= Duration::from_millis(1850), "{name}: {:?}", told.gaps());
        told.assert_answered_by("primary");
    }
}

#[test]
fn s02_429_for_ever_is_left_for_the_fallback_and_fails_cleanly_where_there_is_none() {
    let bench = Bench::shared();
    let told = bench.ask("limited-for-ever");
    told.assert_left(&["primary", "fallback"], "rate_limited");
    told.assert_answered_by("fallback");

    let alone = bench.ask("limited-for-ever-alone");
    assert!((2..=3).contains(&alone.order().len()), "{:?}", alone.order());
    assert!(alone.gaps().iter().all(|gap| *gap >= Duration::from_millis(900)), "{:?}", alone.gaps());
    alone.assert_failed(429, "Slow down", "upstream_rate_limited");
}
