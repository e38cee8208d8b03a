//! Each transition at a clock of the test's own, and eight threads on one sick key.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue};
use schemas::outcome::ErrorClass;

use super::*;
use crate::formats::UpstreamError;

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);

/// One target and a clock.
pub(super) struct Bench {
    health: Health,
    pub(super) now: Instant,
}

impl Bench {
    pub(super) fn new(max_concurrent: u32) -> Self {
        Self { health: Health::new([spec("key", max_concurrent)]), now: Instant::now() }
    }

    pub(super) fn wait(&mut self, time: Duration) {
        self.now += time;
    }

    pub(super) fn admit(&self) -> Result<Slot, Skipped> {
        match self.health.admit(0, Claim::Known, self.now) {
            Admission::Admitted(slot) => Ok(slot),
            Admission::Skipped(skipped) => Err(skipped),
        }
    }

    fn slots(&self, count: usize) -> Vec<Slot> {
        (0..count).map(|_| self.admit().unwrap()).collect()
    }

    fn succeed(&self, times: usize) {
        (0..times).for_each(|_| self.admit().unwrap().succeeded(self.now));
    }

    pub(super) fn fail(&self, fault: Fault, times: usize) {
        (0..times).for_each(|_| self.admit().unwrap().failed(fault, self.now));
    }

    /// One failure after half a minute of silence.
    fn fail_slowly(&mut self) {
        let slot = self.admit().unwrap();
        self.wait(30 * SECOND);
        slot.failed(Fault::Provider, self.now);
    }

    /// Why nobody is admitted, and for how long.
    fn skipped(&self) -> (SkipReason, Option<Duration>) {
        let skipped = self.admit().unwrap_err();
        (skipped.reason, skipped.until.map(|until| until - self.now))
    }

    fn is_open_for(&self, time: Duration) {
        assert_eq!(self.skipped(), (SkipReason::BreakerOpen, Some(time)));
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        self.health.snapshot(self.now).remove(0)
    }

    fn limit(&self) -> Option<u32> {
        self.snapshot().limit
    }
}

fn spec(key: &str, max_concurrent: u32) -> TargetSpec {
    TargetSpec {
        provider: "provider".to_owned(),
        endpoint: "endpoint".to_owned(),
        key: key.to_owned(),
        max_concurrent,
        fingerprint: 0,
    }
}

fn limited(kind: LimitKind, retry_after: Option<Duration>) -> Fault {
    Fault::RateLimited(RateLimit { kind, retry_after })
}

// The breaker.

#[test]
fn opens_at_five_results_of_which_half_failed() {
    let bench = Bench::new(0);
    bench.fail(Fault::Provider, 4);
    assert_eq!(bench.snapshot().breaker, BreakerState::Closed, "four results say nothing");
    bench.fail(Fault::Provider, 1);
    assert_eq!(bench.snapshot().breaker, BreakerState::Open);
    bench.is_open_for(15 * SECOND);

    let bench = Bench::new(0);
    bench.succeed(5);
    bench.fail(Fault::Provider, 4);
    assert_eq!(bench.snapshot().breaker, BreakerState::Closed, "4 of 9 failed");
    bench.fail(Fault::Provider, 1);
    assert_eq!(bench.snapshot().breaker, BreakerState::Open, "5 of 10 failed");
}

#[test]
fn looks_at_the_last_twenty_results() {
    let bench = Bench::new(0);
    bench.succeed(100);
    bench.fail(Fault::Provider, 9);
    assert_eq!(bench.snapshot().breaker, BreakerState::Closed);
    bench.fail(Fault::Provider, 1);
    assert_eq!(bench.snapshot().breaker, BreakerState::Open, "10 of the last 20 failed, of the last 110 a few");
}

#[test]
fn forgets_results_after_five_minutes() {
    let mut bench = Bench::new(0);
    bench.fail(Fault::Provider, 4);
    bench.wait(300 * SECOND + SECOND);
    bench.fail(Fault::Provider, 4);
    assert_eq!(bench.snapshot().breaker, BreakerState::Closed);
    bench.fail(Fault::Provider, 1);
    assert_eq!(bench.snapshot().breaker, BreakerState::Open);
}

#[test]
fn closes_after_three_probes_that_succeed_one_after_the_other() {
    let mut bench = Bench::new(0);
    bench.fail(Fault::Provider, 5);
    bench.wait(30 * SECOND);
    for _ in 0..3 {
        assert_eq!(bench.snapshot().breaker, BreakerState::HalfOpen);
        let probe = bench.admit().unwrap();
        assert!(probe.is_probe());
        bench.is_open_for(30 * SECOND);
        probe.succeeded(bench.now);
    }
    assert_eq!(bench.snapshot().breaker, BreakerState::Closed);
    assert!(!bench.admit().unwrap().is_probe());
    bench.fail(Fault::Provider, 4);
    assert_eq!(bench.snapshot().breaker, BreakerState::Closed, "what was before it opened is forgotten");
}

/// A bench whose breaker was opened by silence.
fn silent() -> Bench {
    let mut bench = Bench::new(0);
    bench.fail(Fault::Provider, 4);
    bench.fail_slowly();
    bench
}

#[test]
fn doubles_its_time_each_time_two_probes_that_cost_their_callers_a_wait_have_failed() {
    let mut bench = silent();
    for interval_s in [30, 60, 120, 240, 300, 300] {
        let interval = interval_s * SECOND;
        bench.is_open_for(interval);
        bench.wait(interval);
        bench.fail_slowly();
        bench.is_open_for(interval);
        assert_eq!(bench.snapshot().breaker, BreakerState::HalfOpen);
        bench.wait(interval);
        bench.fail_slowly();
        assert_eq!(bench.snapshot().breaker, BreakerState::Open);
    }
    bench.wait(300 * SECOND);
    bench.succeed(3);
    bench.fail(Fault::Provider, 5);
    bench.is_open_for(15 * SECOND);
}

#[test]
fn keeps_its_time_as_long_as_probes_fail_at_once_and_returns_to_it_when_they_do_again() {
    let mut bench = Bench::new(0);
    bench.fail(Fault::Provider, 5);
    for _ in 0..100 {
        bench.is_open_for(15 * SECOND);
        bench.wait(15 * SECOND);
        let probe = bench.admit().unwrap();
        bench.wait(Duration::from_millis(1999));
        probe.failed(Fault::Provider, bench.now);
        bench.is_open_for(Duration::from_millis(13_001));
        bench.wait(Duration::from_millis(13_001));
        bench.fail(Fault::Provider, 1);
    }
    // Then it is silent, for a long time.
    for _ in 0..10 {
        bench.wait(300 * SECOND);
        bench.fail_slowly();
    }
    bench.is_open_for(300 * SECOND);
    bench.wait(300 * SECOND);
    bench.fail(Fault::Provider, 1);
    bench.is_open_for(15 * SECOND);
    bench.wait(15 * SECOND);
    bench.fail_slowly();
    bench.is_open_for(30 * SECOND);
}

#[test]
fn an_answer_that_breaks_is_a_loss_to_its_caller_however_soon() {
    let mut bench = Bench::new(0);
    bench.fail(Fault::Provider, 4);
    for interval_s in [30, 30, 60, 60, 120] {
        bench.admit().unwrap().broke(Fault::Provider, bench.now);
        bench.is_open_for(interval_s * SECOND);
        bench.wait(interval_s * SECOND);
    }
}

#[test]
fn lets_no_second_probe_through_while_one_hangs() {
    let mut bench = Bench::new(0);
    bench.fail(Fault::Provider, 5);
    bench.wait(30 * SECOND);
    let _hanging = bench.admit().unwrap();
    bench.wait(29 * SECOND);
    bench.is_open_for(SECOND);
    bench.wait(SECOND);
    assert!(bench.admit().unwrap().is_probe(), "a probe without a verdict does not shut the target for ever");
}

#[test]
fn a_probe_that_nobody_judged_holds_up_the_next_one_for_the_interval_and_no_longer() {
    for fault in [None, Some(Fault::KeyRefused), Some(limited(LimitKind::Requests, Some(SECOND)))] {
        let mut bench = Bench::new(0);
        bench.fail(Fault::Provider, 5);
        bench.wait(15 * SECOND);
        let probe = bench.admit().unwrap();
        bench.is_open_for(30 * SECOND);
        bench.wait(SECOND);
        match fault {
            None => drop(probe),
            Some(fault) => probe.failed(fault, bench.now),
        }
        assert_eq!(bench.snapshot().probe_in_ms, Some(14_000), "{fault:?}");
    }
    // But what another one has moved on stays so.
    let mut bench = Bench::new(0);
    bench.fail(Fault::Provider, 5);
    bench.wait(15 * SECOND);
    let first = bench.admit().unwrap();
    bench.wait(30 * SECOND);
    let _second = bench.admit().unwrap();
    drop(first);
    bench.is_open_for(30 * SECOND);
}

#[test]
fn a_probe_that_fails_late_puts_off_the_next_one() {
    let mut bench = Bench::new(0);
    bench.fail(Fault::Provider, 5);
    bench.wait(30 * SECOND);
    let probe = bench.admit().unwrap();
    bench.wait(25 * SECOND);
    probe.failed(Fault::Provider, bench.now);
    bench.is_open_for(30 * SECOND);
}

#[test]
fn results_of_requests_from_before_it_opened_count_no_more() {
    let mut bench = Bench::new(0);
    let mut old = bench.slots(8);
    bench.fail(Fault::Provider, 5);
    old.pop().unwrap().failed(Fault::Provider, bench.now);
    bench.wait(10 * SECOND);
    old.drain(..3).for_each(|slot| slot.succeeded(bench.now));
    old.pop().unwrap().failed(Fault::Provider, bench.now);
    bench.is_open_for(5 * SECOND);
    bench.wait(5 * SECOND);
    bench.succeed(3);
    old.into_iter().for_each(|slot| slot.failed(Fault::Provider, bench.now));
    bench.fail(Fault::Provider, 4);
    assert_eq!(bench.snapshot().breaker, BreakerState::Closed);
}

#[test]
fn a_probe_that_ends_after_others_have_closed_it_counts_no_more() {
    let mut bench = Bench::new(0);
    bench.fail(Fault::Provider, 5);
    bench.wait(30 * SECOND);
    let hanging = bench.admit().unwrap();
    bench.wait(30 * SECOND);
    bench.succeed(3);
    hanging.failed(Fault::Provider, bench.now);
    bench.fail(Fault::Provider, 4);
    assert_eq!(bench.snapshot().breaker, BreakerState::Closed);
}

#[test]
fn a_success_counts_at_its_end_only() {
    let bench = Bench::new(0);
    let streams = bench.slots(5);
    bench.fail(Fault::Provider, 5);
    assert_eq!(bench.snapshot().breaker, BreakerState::Open, "five streams under way are no successes");
    drop(streams);
}

#[test]
fn what_nobody_judged_counts_nowhere() {
    let bench = Bench::new(0);
    bench.fail(Fault::Provider, 4);
    drop(bench.slots(100));
    bench.fail(Fault::Provider, 1);
    assert_eq!(bench.snapshot().breaker, BreakerState::Open, "5 of 5 failed, not 5 of 105");
}

#[test]
fn limits_and_refusals_do_not_open_the_breaker() {
    let mut bench = Bench::new(0);
    for _ in 0..20 {
        bench.fail(limited(LimitKind::Requests, Some(SECOND)), 1);
        bench.wait(SECOND);
    }
    bench.fail(Fault::KeyRefused, 1);
    assert_eq!(bench.snapshot().breaker, BreakerState::Closed);
}

// The cool-down.

#[test]
fn cools_down_for_as_long_as_asked_and_no_longer_than_an_hour() {
    let mut bench = Bench::new(0);
    bench.fail(limited(LimitKind::Requests, Some(7 * SECOND)), 1);
    assert_eq!(bench.skipped(), (SkipReason::CoolingDown, Some(7 * SECOND)));
    assert_eq!(bench.snapshot().cooling_for_ms, Some(7000));
    bench.wait(7 * SECOND);
    assert_eq!(bench.snapshot().cooling_for_ms, None);
    bench.fail(limited(LimitKind::Requests, Some(86400 * SECOND)), 1);
    assert_eq!(bench.skipped(), (SkipReason::CoolingDown, Some(60 * MINUTE)));
}

#[test]
fn pauses_longer_each_time_when_not_told_how_long() {
    let mut bench = Bench::new(0);
    for pause_s in [1, 2, 4, 8, 16, 32, 60, 60] {
        // Zero is no pause.
        bench.fail(limited(LimitKind::Requests, (pause_s == 4).then_some(Duration::ZERO)), 1);
        assert_eq!(bench.skipped(), (SkipReason::CoolingDown, Some(pause_s * SECOND)));
        bench.wait(pause_s * SECOND);
    }
    bench.succeed(1);
    bench.fail(limited(LimitKind::Requests, None), 1);
    assert_eq!(bench.skipped().1, Some(SECOND));
    bench.wait(SECOND);
    bench.succeed(1);
    bench.fail(limited(LimitKind::Quota, None), 1);
    assert_eq!(bench.skipped().1, Some(MINUTE), "no pause of a second fills an account");
}

#[test]
fn a_burst_refused_as_one_is_one_step() {
    let mut bench = Bench::new(0);
    for slot in bench.slots(20) {
        bench.wait(Duration::from_millis(10));
        slot.failed(limited(LimitKind::Requests, None), bench.now);
    }
    assert_eq!(bench.skipped().1, Some(SECOND - Duration::from_millis(190)));
    bench.wait(SECOND);
    bench.fail(limited(LimitKind::Requests, None), 1);
    assert_eq!(bench.skipped().1, Some(2 * SECOND));
}

#[test]
fn the_longest_pause_that_is_asked_for_holds() {
    let bench = Bench::new(0);
    let mut slots = bench.slots(3);
    for asked in [Some(20 * SECOND), Some(5 * SECOND), None] {
        slots.pop().unwrap().failed(limited(LimitKind::Tokens, asked), bench.now);
        assert_eq!(bench.skipped(), (SkipReason::CoolingDown, Some(20 * SECOND)));
    }
}

// The refused key.

#[test]
fn a_refused_key_is_not_used_but_for_one_request_now_and_then() {
    let mut bench = Bench::new(0);
    let running = bench.slots(2);
    bench.fail(Fault::KeyRefused, 1);
    for slot in running {
        bench.wait(SECOND);
        slot.failed(Fault::KeyRefused, bench.now);
    }
    assert!(bench.snapshot().is_disabled);
    assert_eq!(bench.skipped(), (SkipReason::KeyDisabled, Some(MINUTE - 2 * SECOND)), "known already");
    bench.wait(MINUTE);
    let trial = bench.admit().unwrap();
    assert!(trial.is_probe());
    assert_eq!(bench.skipped(), (SkipReason::KeyDisabled, Some(MINUTE)), "one at a time");
    trial.failed(Fault::KeyRefused, bench.now);
    for pause in [2, 4, 8, 10, 10] {
        assert_eq!(bench.skipped(), (SkipReason::KeyDisabled, Some(pause * MINUTE)));
        bench.wait(pause * MINUTE);
        bench.fail(Fault::KeyRefused, 1);
    }
    bench.wait(10 * MINUTE);
    bench.succeed(1);
    assert!(!bench.snapshot().is_disabled);
    assert!(!bench.admit().unwrap().is_probe());
}

#[test]
fn a_stream_from_before_the_refusal_does_not_enable_the_key() {
    let mut bench = Bench::new(0);
    let stream = bench.admit().unwrap();
    bench.wait(SECOND);
    bench.fail(Fault::KeyRefused, 1);
    stream.succeeded(bench.now + SECOND);
    assert_eq!(bench.skipped().0, SkipReason::KeyDisabled);
}

// Concurrency.

#[test]
fn a_configured_limit_holds_for_the_life_of_the_answer_and_is_never_learned_away() {
    let mut bench = Bench::new(2);
    let mut slots = bench.slots(2);
    assert_eq!(bench.skipped(), (SkipReason::ConcurrencyLimit, None));
    slots.pop().unwrap().succeeded(bench.now);
    slots.push(bench.admit().unwrap());
    slots.pop().unwrap().failed(limited(LimitKind::Concurrency, Some(SECOND)), bench.now);
    bench.wait(SECOND);
    slots.push(bench.admit().unwrap());
    assert_eq!((bench.limit(), bench.snapshot().is_learned), (Some(2), false));
    assert_eq!(bench.skipped().0, SkipReason::ConcurrencyLimit);
    drop(slots);
    assert_eq!(bench.snapshot().in_flight, 0);
}

#[test]
fn newcomers_leave_the_last_slots_to_conversations_that_are_known() {
    let bench = Bench::new(10);
    let admit = |claim| match bench.health.admit(0, claim, bench.now) {
        Admission::Admitted(slot) => Ok(slot),
        Admission::Skipped(skipped) => Err((skipped.reason, skipped.until)),
    };
    let newcomers: Vec<_> = (0..9).map(|_| admit(Claim::New).unwrap()).collect();
    assert_eq!(admit(Claim::New).unwrap_err(), (SkipReason::Reserved, None), "a tenth is kept");
    let known = admit(Claim::Known).unwrap();
    assert_eq!(admit(Claim::Known).unwrap_err().0, SkipReason::ConcurrencyLimit);
    drop((newcomers, known));

    // A hundred good answers and no 429: a third and a bit under load.
    bench.succeed(100);
    let newcomers: Vec<_> = std::iter::from_fn(|| admit(Claim::New).ok()).collect();
    assert_eq!(newcomers.len(), 7, "at 60 % a little more than a tenth is kept, at 70 % a quarter");
    let known: Vec<_> = std::iter::from_fn(|| admit(Claim::Known).ok()).collect();
    assert_eq!(known.len(), 3);
    // The only slot is everybody's.
    let one = Bench::new(1);
    assert!(matches!(one.health.admit(0, Claim::New, one.now), Admission::Admitted(_)));
}

#[test]
fn learns_a_limit_from_what_was_borne() {
    for (kind, retry_after, expected) in [
        (LimitKind::Concurrency, None, Some(17)),
        (LimitKind::Concurrency, Some(MINUTE), Some(17)),
        (LimitKind::Unknown, None, Some(17)),
        (LimitKind::Unknown, Some(30 * SECOND), Some(17)),
        (LimitKind::Unknown, Some(31 * SECOND), Some(18)),
        (LimitKind::Requests, None, None),
        (LimitKind::Tokens, None, None),
        (LimitKind::Quota, None, None),
    ] {
        let bench = Bench::new(0);
        let mut slots = bench.slots(20);
        assert_eq!(bench.limit(), None);
        slots.pop().unwrap().failed(limited(kind, retry_after), bench.now);
        assert_eq!(bench.limit(), expected, "{kind:?} {retry_after:?}");
    }
}

#[test]
fn a_burst_lowers_the_limit_once_and_never_below_three() {
    let mut bench = Bench::new(0);
    let fault = limited(LimitKind::Concurrency, Some(SECOND));
    let slots = bench.slots(20);
    bench.wait(SECOND);
    slots.into_iter().for_each(|slot| slot.failed(fault, bench.now));
    assert_eq!(bench.limit(), Some(17));
    for expected in [14, 11, 9, 7, 5, 4, 3, 3] {
        bench.wait(SECOND);
        let mut slots = bench.slots(bench.limit().unwrap() as usize);
        assert_eq!(bench.skipped().0, SkipReason::ConcurrencyLimit);
        bench.wait(SECOND);
        slots.pop().unwrap().failed(fault, bench.now);
        assert_eq!(bench.limit(), Some(expected));
    }
}

#[test]
fn a_limit_that_says_nothing_teaches_nothing_about_three_requests() {
    let bench = Bench::new(0);
    let mut slots = bench.slots(3);
    slots.pop().unwrap().failed(limited(LimitKind::Unknown, None), bench.now);
    assert_eq!(bench.limit(), None);
    slots.pop().unwrap().failed(limited(LimitKind::Concurrency, None), bench.now);
    assert_eq!(bench.limit(), Some(3));
}

/// A bench that has learned to bear ten.
fn learned_ten() -> Bench {
    let mut bench = Bench::new(0);
    let mut slots = bench.slots(12);
    slots.pop().unwrap().failed(limited(LimitKind::Concurrency, Some(SECOND)), bench.now);
    assert_eq!(bench.limit(), Some(10));
    bench.wait(SECOND);
    bench
}

#[test]
fn a_limit_that_is_used_is_raised_by_two_for_every_five_answers_five_minutes_after_a_429() {
    let mut bench = learned_ten();
    let background = bench.slots(6);
    bench.wait(5 * MINUTE - 2 * SECOND);
    bench.succeed(20);
    assert_eq!(bench.limit(), Some(10), "too soon");
    bench.wait(2 * MINUTE + SECOND);
    bench.succeed(4);
    assert_eq!(bench.limit(), Some(10), "old samples are forgotten");
    bench.succeed(1);
    assert_eq!(bench.limit(), Some(12));
    let more = bench.slots(2);
    bench.succeed(5);
    assert_eq!(bench.limit(), Some(14));
    drop(more);
    bench.succeed(19);
    assert_eq!(bench.limit(), Some(14), "7 of 14 is no use of the limit");
    drop(background);
}

#[test]
fn a_429_starts_the_samples_anew() {
    let mut bench = learned_ten();
    let _background = bench.slots(6);
    bench.wait(5 * MINUTE);
    bench.succeed(4);
    bench.fail(limited(LimitKind::Tokens, Some(SECOND)), 1);
    assert_eq!(bench.limit(), Some(10), "tokens are another matter");
    bench.wait(SECOND);
    bench.succeed(5);
    assert_eq!(bench.limit(), Some(10), "a 429 is not long ago");
    bench.wait(5 * MINUTE);
    bench.succeed(5);
    assert_eq!(bench.limit(), Some(12));
}

#[test]
fn a_limit_that_is_used_a_little_is_tried_out_every_half_hour() {
    let mut bench = learned_ten();
    let _background = bench.slots(3);
    bench.wait(27 * MINUTE);
    bench.succeed(10);
    assert_eq!(bench.limit(), Some(10), "too soon");
    bench.wait(3 * MINUTE);
    bench.succeed(9);
    assert_eq!(bench.limit(), Some(10), "too few answers");
    bench.succeed(1);
    assert_eq!(bench.limit(), Some(12));
    bench.succeed(20);
    assert_eq!(bench.limit(), Some(12));
    bench.wait(30 * MINUTE);
    bench.succeed(10);
    assert_eq!(bench.limit(), Some(14));
    bench.wait(30 * MINUTE);
    bench.succeed(20);
    assert_eq!(bench.limit(), Some(14), "4 of 14 is less than a little");
}

#[test]
fn the_last_twenty_answers_tell_whether_a_limit_is_used() {
    let mut bench = learned_ten();
    bench.wait(5 * MINUTE);
    bench.succeed(100);
    let _background = bench.slots(6);
    bench.succeed(11);
    assert_eq!(bench.limit(), Some(10));
    bench.succeed(1);
    assert_eq!(bench.limit(), Some(12), "12 of 20");
}

#[test]
fn a_limit_is_lowered_from_what_is_borne_and_never_above_two_hundred() {
    let bench = learned_ten();
    let mut slots = bench.slots(6);
    slots.pop().unwrap().failed(limited(LimitKind::Concurrency, None), bench.now);
    assert_eq!(bench.limit(), Some(5));

    let mut bench = Bench::new(0);
    let mut slots = bench.slots(300);
    slots.pop().unwrap().failed(limited(LimitKind::Concurrency, Some(SECOND)), bench.now);
    assert_eq!(bench.limit(), Some(200));
    slots.truncate(199);
    bench.wait(10 * MINUTE);
    bench.succeed(20);
    assert_eq!(bench.limit(), Some(200));
}

// Many targets, and another configuration.

#[test]
fn a_configured_limit_wins_over_a_learned_one_as_long_as_it_is_configured() {
    let mut bench = learned_ten();
    bench.health = bench.health.reconfigured([spec("key", 20)]);
    assert_eq!((bench.limit(), bench.snapshot().is_learned), (Some(20), false));
    let background = bench.slots(19);
    bench.wait(10 * MINUTE);
    bench.succeed(20);
    bench.fail(limited(LimitKind::Concurrency, Some(SECOND)), 1);
    drop(background);
    bench.health = bench.health.reconfigured([spec("key", 0)]);
    assert_eq!((bench.limit(), bench.snapshot().is_learned), (Some(10), true));
}

#[test]
fn targets_are_apart_and_an_unknown_one_is_not_asked() {
    let (health, now) = (Health::new(["a", "b"].map(|key| spec(key, 1))), Instant::now());
    let Admission::Admitted(held) = health.admit(0, Claim::Known, now) else { panic!("healthy") };
    assert!(matches!(health.admit(0, Claim::Known, now), Admission::Skipped(_)));
    assert!(matches!(health.admit(1, Claim::Known, now), Admission::Admitted(_)));
    assert!(matches!(health.admit(2, Claim::Known, now), Admission::Skipped(_)));
    held.failed(Fault::KeyRefused, now);
    assert!(matches!(health.admit(1, Claim::Known, now), Admission::Admitted(_)));
    assert_eq!(health.snapshot(now).iter().map(|one| one.key.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn another_configuration_keeps_what_is_known_and_tries_refused_keys_again() {
    let now = Instant::now();
    let health = Health::new(["sick", "refused", "gone"].map(|key| spec(key, 0)));
    let judge = |id: usize, fault: Fault| match health.admit(id, Claim::Known, now) {
        Admission::Admitted(slot) => slot.failed(fault, now),
        Admission::Skipped(skipped) => panic!("{skipped:?}"),
    };
    (0..5).for_each(|_| judge(0, Fault::Provider));
    judge(1, Fault::KeyRefused);
    let Admission::Admitted(running) = health.admit(2, Claim::Known, now) else { panic!("healthy") };
    let health = health.reconfigured([spec("new", 0), spec("refused", 1), spec("sick", 0)]);
    drop(running);
    let snapshot = health.snapshot(now);
    let told: Vec<_> = snapshot.iter().map(|one| (one.key.as_str(), one.breaker, one.limit, one.is_disabled)).collect();
    let expected = [
        ("new", BreakerState::Closed, None, false),
        ("refused", BreakerState::Closed, Some(1), false),
        ("sick", BreakerState::Open, None, false),
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_snapshot_survives_the_wire() {
    let bench = Bench::new(0);
    bench.fail(Fault::Provider, 5);
    let snapshot = bench.snapshot();
    let text = serde_json::to_string(&snapshot).unwrap();
    assert!(text.contains(r#""breaker":"open","probe_in_ms":15000,"cooling_for_ms":null"#), "{text}");
    assert_eq!(serde_json::from_str::<Snapshot>(&text).unwrap(), snapshot);
}

/// Eight threads that ask as fast as they can, a hundred times in each second of the test's clock.
#[test]
fn eight_threads_send_a_sick_key_one_probe_per_interval() {
    let bench = Bench::new(0);
    bench.fail(Fault::Provider, 5);
    let (clock_ms, probes_ms) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let run_ms = 3_600_000;
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let at_ms = clock_ms.fetch_add(10, Ordering::Relaxed);
                    if at_ms > run_ms {
                        return;
                    }
                    if let Admission::Admitted(slot) =
                        bench.health.admit(0, Claim::Known, bench.now + Duration::from_millis(at_ms))
                    {
                        probes_ms.lock().unwrap().push(at_ms);
                        slot.failed(Fault::Provider, bench.now + Duration::from_millis(at_ms));
                    }
                }
            });
        }
    });
    let mut probes_ms = probes_ms.into_inner().unwrap();
    probes_ms.sort_unstable();
    for (probe_ms, nth) in probes_ms.iter().zip(1..) {
        assert!(*probe_ms >= nth * 15_000, "{probes_ms:?}");
    }
    assert!((230..=240).contains(&probes_ms.len()), "the key is looked after: {probes_ms:?}");
}

// What is a fault, and of what kind.

#[test]
fn callers_and_we_ourselves_are_no_fault_of_a_provider() {
    for class in ErrorClass::ALL {
        let expected = match class.as_str() {
            "upstream_auth" => Some(Fault::KeyRefused),
            "upstream_rate_limited" => Some(limited(LimitKind::Unknown, None)),
            "upstream_client_error" => None,
            name if name.starts_with("upstream_") || name.starts_with("stream_") => Some(Fault::Provider),
            _ => None,
        };
        assert_eq!(Fault::of(*class), expected, "{class}");
    }
}

#[test]
fn tells_the_kinds_of_429_apart() {
    let anthropic = "anthropic-ratelimit-input-tokens-remaining";
    for (header, kind, code, message, expected) in [
        (None, "tokens", Some("rate_limit_exceeded"), "Rate limit reached for requests", LimitKind::Tokens),
        (None, "requests", Some("rate_limit_exceeded"), "", LimitKind::Requests),
        (None, "insufficient_quota", None, "You exceeded your current quota", LimitKind::Quota),
        (None, "", Some("insufficient_quota"), "", LimitKind::Quota),
        (Some((anthropic, "0")), "rate_limit_error", None, "requests per minute", LimitKind::Tokens),
        (Some((anthropic, "10")), "rate_limit_error", None, "", LimitKind::Unknown),
        (Some(("x-ratelimit-remaining-requests", " 0 ")), "", None, "", LimitKind::Requests),
        (Some(("x-ratelimit-remaining-tokens", "0")), "", None, "", LimitKind::Tokens),
        (None, "", None, "Number of concurrent connections has exceeded your rate limit", LimitKind::Concurrency),
        (None, "", None, "This request would exceed the limit of 40,000 input tokens per minute", LimitKind::Tokens),
        (None, "", None, "Number of request tokens has exceeded your per-minute rate limit", LimitKind::Tokens),
        (None, "", None, "Number of requests has exceeded your per-minute rate limit", LimitKind::Requests),
        (None, "", None, "Rate limit reached on requests per min (RPM): Limit 3", LimitKind::Requests),
        (None, "", None, "metric: generate_content_free_tier_input_token_count, limit: 250000", LimitKind::Tokens),
        (None, "", None, "slow down", LimitKind::Unknown),
        (None, "", None, "", LimitKind::Unknown),
    ] {
        let pair = header.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let headers: HeaderMap = pair.into_iter().collect();
        let error = UpstreamError {
            kind: kind.to_owned(),
            code: code.map(str::to_owned),
            status: Some(429),
            message: message.to_owned(),
        };
        assert_eq!(limit_kind(&headers, &error), expected, "{header:?} {error:?}");
    }
}
