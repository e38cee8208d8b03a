//! S06 and S07: a primary that says nothing, or nothing yet, is left once its time is up, and not asked again.

use tests::provider::Step;

use super::{Bench, FIRST_BYTE, GOOD, SLACK, Scenario, beginning, scenario};

pub const SCENARIOS: &[Scenario] = &[
    scenario("no-response", |_| None, GOOD),
    scenario("slow", |_| Some(beginning(0, Step::Stall)), GOOD),
    scenario("slow-after-preamble", |_| Some(beginning(1, Step::Stall)), GOOD),
];

#[test]
fn s06_no_response_at_all_gets_one_attempt_and_then_the_fallback() {
    let told = Bench::shared().ask("no-response");
    told.assert_left(&["primary", "fallback"], "silent");
    told.assert_answered_by("fallback");
    assert!(told.took >= FIRST_BYTE && told.took < FIRST_BYTE + SLACK, "{:?}", told.took);
}

/// Headers at once, and then no token; or a role, which is none either.
#[test]
fn s07_a_slow_first_token_is_failed_over_within_the_limit() {
    let bench = Bench::shared();
    for name in ["slow", "slow-after-preamble"] {
        let told = bench.ask(name);
        told.assert_left(&["primary", "fallback"], "silent");
        told.assert_answered_by("fallback");
        assert!(told.took >= FIRST_BYTE && told.took < FIRST_BYTE + SLACK, "{name}: {:?}", told.took);
    }
}
