//! Words merge in any order, and gateways that exchange them come to agree.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{Decided, Gate, Known, Moment};
use crate::health::{Admission, BreakerState, Claim, Fault, Health, LimitKind, RateLimit, SkipReason, TargetSpec};

fn decided<T: std::fmt::Debug>(what: impl Strategy<Value = T>) -> impl Strategy<Value = Option<Decided<T>>> {
    // Few moments, so that many decisions are of one.
    prop::option::of((0_u64..4, what).prop_map(|(at_ms, what)| Decided { at_ms, what }))
}

fn gate() -> impl Strategy<Value = Gate> {
    let shut = (0_u64..3, 0_u64..3).prop_map(|(until_ms, interval_ms)| Gate::Shut { until_ms, interval_ms });
    prop_oneof![Just(Gate::Passable), shut]
}

fn known() -> impl Strategy<Value = Known> {
    let limit = decided((3_u32..6).prop_map(Reverse));
    (decided(gate()), decided(gate()), prop::option::of(0_u64..4), limit)
        .prop_map(|(breaker, key, cooling_until_ms, limit)| Known { breaker, key, cooling_until_ms, limit })
}

proptest! {
    #[test]
    fn words_merge_in_any_order_and_however_often(a in known(), b in known(), c in known()) {
        prop_assert_eq!(a.merged(b), b.merged(a));
        prop_assert_eq!(a.merged(b).merged(c), a.merged(b.merged(c)));
        prop_assert_eq!(a.merged(a), a);
        prop_assert_eq!(a.merged(b).merged(b), a.merged(b));
        prop_assert_eq!(a.merged(Known::default()), a);
    }

    #[test]
    fn the_newest_decision_holds_and_of_one_moment_the_stricter(a in known(), b in known()) {
        let both = a.merged(b);
        let newest = |one: Option<u64>, other: Option<u64>| one.max(other);
        prop_assert_eq!(both.key.map(|it| it.at_ms), newest(a.key.map(|it| it.at_ms), b.key.map(|it| it.at_ms)));
        if let (Some(one), Some(other)) = (a.key, b.key)
            && one.at_ms == other.at_ms
            && (one.what != Gate::Passable || other.what != Gate::Passable)
        {
            prop_assert_ne!(both.key.map(|it| it.what), Some(Gate::Passable));
        }
        if let (Some(one), Some(other)) = (a.limit, b.limit)
            && one.at_ms == other.at_ms
        {
            prop_assert_eq!(both.limit.map(|it| it.what.0), Some(one.what.0.min(other.what.0)));
        }
    }

    #[test]
    fn words_survive_their_way(known in known()) {
        let sent = serde_json::to_vec(&known).unwrap();
        prop_assert_eq!(serde_json::from_slice::<Known>(&sent).unwrap(), known);
    }
}

/// Gateways with one key, and one clock that is moved by hand.
struct Fleet {
    gateways: Vec<Health>,
    moment: Moment,
}

impl Fleet {
    fn new(count: usize) -> Self {
        let gateways = (0..count).map(|_| gateway_of(1)).collect();
        Self { gateways, moment: Moment { now: Instant::now(), unix_ms: 1_700_000_000_000 } }
    }

    fn wait(&mut self, time: Duration) {
        self.moment.now += time;
        self.moment.unix_ms += u64::try_from(time.as_millis()).unwrap();
    }

    /// Everybody hears everybody.
    fn exchange(&self) {
        let words: Vec<_> = self.gateways.iter().map(|health| health.tell(self.moment)).collect();
        for health in &self.gateways {
            words.iter().for_each(|words| health.hear(words, self.moment));
        }
    }

    fn admit(&self, gateway: usize) -> Result<crate::health::Slot, SkipReason> {
        match self.gateways[gateway].admit(0, Claim::Known, self.moment.now) {
            Admission::Admitted(slot) => Ok(slot),
            Admission::Skipped(skipped) => Err(skipped.reason),
        }
    }

    fn fail(&self, gateway: usize, fault: Fault) {
        self.admit(gateway).unwrap().failed(fault, self.moment.now);
    }

    /// Why each gateway does not ask, without asking where it would: a slot that is dropped judges nothing.
    fn skips(&self) -> Vec<Option<SkipReason>> {
        (0..self.gateways.len()).map(|gateway| self.admit(gateway).err()).collect()
    }

    fn states(&self) -> Vec<BreakerState> {
        self.gateways.iter().map(|health| health.snapshot(self.moment.now)[0].breaker).collect()
    }
}

fn gateway_of(fingerprint: u32) -> Health {
    let (provider, endpoint, key) = ("p".to_owned(), "e".to_owned(), "k".to_owned());
    Health::new([TargetSpec { provider, endpoint, key, max_concurrent: 0, fingerprint }])
}

#[test]
fn a_breaker_that_opens_anywhere_is_open_everywhere_and_its_closing_is_not_undone() {
    let mut fleet = Fleet::new(3);
    (0..5).for_each(|_| fleet.fail(0, Fault::Provider));
    fleet.exchange();
    assert_eq!(fleet.skips(), [Some(SkipReason::BreakerOpen); 3]);

    // One probes; the others learn of it and wait for theirs.
    fleet.wait(Duration::from_secs(30));
    let probe = fleet.admit(1).unwrap();
    assert!(probe.is_probe());
    fleet.exchange();
    assert_eq!(fleet.skips(), [Some(SkipReason::BreakerOpen); 3]);

    probe.succeeded(fleet.moment.now);
    (0..2).for_each(|_| fleet.admit(1).unwrap().succeeded(fleet.moment.now));
    assert_eq!(fleet.states()[1], BreakerState::Closed);
    // Twice, for the stale word of the others comes back.
    (0..2).for_each(|_| fleet.exchange());
    assert_eq!(fleet.states(), [BreakerState::Closed; 3]);
}

#[test]
fn a_refused_key_is_used_by_nobody_but_another_secret_of_its_name_is() {
    let mut fleet = Fleet::new(2);
    fleet.gateways.push(gateway_of(2));
    fleet.fail(0, Fault::KeyRefused);
    fleet.exchange();
    assert_eq!(fleet.skips(), [Some(SkipReason::KeyDisabled), Some(SkipReason::KeyDisabled), None]);
    fleet.wait(Duration::from_secs(600));
    fleet.admit(1).unwrap().succeeded(fleet.moment.now);
    fleet.exchange();
    assert_eq!(fleet.skips(), [None; 3], "one has found it good again");
}

#[test]
fn the_longest_cool_down_and_the_last_limit_hold() {
    let mut fleet = Fleet::new(2);
    let limited = |seconds| {
        let retry_after = Some(Duration::from_secs(seconds));
        Fault::RateLimited(RateLimit { kind: LimitKind::Requests, retry_after })
    };
    fleet.fail(0, limited(20));
    fleet.fail(1, limited(5));
    fleet.exchange();
    fleet.wait(Duration::from_secs(19));
    assert_eq!(fleet.skips(), [Some(SkipReason::CoolingDown); 2]);
    fleet.wait(Duration::from_secs(1));
    assert_eq!(fleet.skips(), [None; 2]);

    let held: Vec<_> = (0..10).map(|_| fleet.admit(0).unwrap()).collect();
    let kind = LimitKind::Concurrency;
    fleet.fail(0, Fault::RateLimited(RateLimit { kind, retry_after: None }));
    drop(held);
    fleet.exchange();
    let limits: Vec<_> = fleet.gateways.iter().map(|health| health.snapshot(fleet.moment.now)[0].limit).collect();
    assert!(limits[0].is_some_and(|limit| limit < 11) && limits[0] == limits[1], "{limits:?}");
}

#[test]
fn a_restarted_gateway_knows_what_it_knew() {
    let mut fleet = Fleet::new(1);
    (0..5).for_each(|_| fleet.fail(0, Fault::Provider));
    let said = fleet.gateways[0].tell(fleet.moment);
    fleet.wait(Duration::from_secs(10));
    fleet.gateways[0] = gateway_of(1);
    fleet.gateways[0].hear(&said, fleet.moment);
    assert_eq!(fleet.skips(), [Some(SkipReason::BreakerOpen)]);
    fleet.wait(Duration::from_secs(20));
    assert!(fleet.admit(0).unwrap().is_probe(), "for no longer than it would have been");
}

#[test]
fn a_clock_that_is_wrong_by_years_shuts_a_target_for_no_more_than_an_hour() {
    let mut fleet = Fleet::new(1);
    (0..5).for_each(|_| fleet.fail(0, Fault::Provider));
    let mut ahead = fleet.moment;
    ahead.unix_ms += 10 * 365 * 86_400_000;
    let said = fleet.gateways[0].tell(ahead);
    fleet.gateways[0] = gateway_of(1);
    fleet.gateways[0].hear(&said, fleet.moment);
    fleet.wait(Duration::from_secs(3600));
    let probe = fleet.admit(0).unwrap();
    assert!(probe.is_probe());
    probe.succeeded(fleet.moment.now);
    (0..2).for_each(|_| fleet.admit(0).unwrap().succeeded(fleet.moment.now));
    // Its own decision is newer, though its clock says otherwise.
    fleet.gateways[0].tell(fleet.moment);
    fleet.gateways[0].hear(&said, fleet.moment);
    assert_eq!(fleet.states(), [BreakerState::Closed]);
}

/// Eight gateways that hear each other after a second at the latest, each with something to send every tenth of one.
#[test]
fn eight_gateways_send_a_sick_key_one_probe_per_interval_and_find_it_well_again() {
    let mut fleet = Fleet::new(8);
    fleet.gateways.iter().enumerate().for_each(|(place, health)| health.take_turns(place));
    (0..5).for_each(|_| fleet.fail(3, Fault::Provider));
    fleet.exchange();
    let (mut probes_s, recovers_s) = (Vec::new(), 600);
    for tenth in 1..=10_000_u64 {
        fleet.wait(Duration::from_millis(100));
        if tenth % 10 == 0 {
            fleet.exchange();
        }
        for gateway in 0..8 {
            let Ok(slot) = fleet.admit(gateway) else { continue };
            if tenth < recovers_s * 10 {
                assert!(slot.is_probe());
                probes_s.push(tenth / 10);
                slot.failed(Fault::Provider, fleet.moment.now);
            } else {
                slot.succeeded(fleet.moment.now);
            }
        }
    }
    // As many as one gateway alone would send.
    assert_eq!(probes_s, (1..40).map(|nth| nth * 15).collect::<Vec<_>>());
    fleet.exchange();
    assert_eq!(fleet.states(), [BreakerState::Closed; 8]);
}

#[test]
fn a_probe_is_not_left_for_ever_to_who_has_nothing_to_send() {
    let mut fleet = Fleet::new(8);
    fleet.gateways.iter().enumerate().for_each(|(place, health)| health.take_turns(place));
    (0..5).for_each(|_| fleet.fail(0, Fault::Provider));
    fleet.exchange();
    fleet.wait(Duration::from_secs(28));
    assert_eq!(fleet.admit(7).unwrap_err(), SkipReason::BreakerOpen);
    fleet.wait(Duration::from_secs(1));
    // One after the other, with no further waiting once one has succeeded.
    (0..3).for_each(|_| fleet.admit(7).unwrap().succeeded(fleet.moment.now));
    assert_eq!(fleet.states()[7], BreakerState::Closed);
}
