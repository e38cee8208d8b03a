//! What clients may use, over all limits together, and what several gateways make of them.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use schemas::config::{Client, Config};
use schemas::money::Pico;
use schemas::time::Timestamp;
use uuid::Uuid;

use super::{Ask, Hold, Limits, Recorded, Refused, Standing, Truth};
use crate::peers::{DEAD_AFTER, Told};

const NOON: &str = "2026-11-27T12:00:05Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn seconds_later(now: Timestamp, seconds: i64) -> Timestamp {
    Timestamp::from_micros(now.as_micros() + seconds * 1_000_000)
}

/// Clients of these names with these lines.
fn clients(all: &[(&str, &str)]) -> Vec<Client> {
    let client = |(name, lines): &(&str, &str)| {
        format!("[[clients]]\nname = \"{name}\"\nkey = {{ plain = \"key-{name}\" }}\n{lines}\n")
    };
    let text: String = all.iter().map(client).collect();
    Config::parse(&text, &BTreeMap::new()).unwrap().clients
}

fn limits(lines: &str) -> Limits {
    Limits::new(&clients(&[("a", lines)]))
}

fn admit(limits: &Limits, ask: Ask<'_>, now: Timestamp) -> Result<Hold, &'static str> {
    limits.admit(0, &ask, now).map(|hold| hold.expect("a client with limits")).map_err(|refused| refused.limit.as_str())
}

/// Lets a request in that is over at once, of which nothing is known.
fn pass(limits: &Limits, ask: Ask<'_>, now: Timestamp) -> Result<Standing, &'static str> {
    let hold = admit(limits, ask, now)?;
    let standing = *hold.standing();
    hold.settle(Truth::default(), now);
    Ok(standing)
}

fn told<T>(instance: u128, value: T) -> Told<T> {
    Told { instance: Uuid::from_u128(instance), value, age: Duration::ZERO }
}

#[test]
fn a_client_without_limits_has_no_account() {
    let limits = Limits::new(&clients(&[("a", ""), ("b", "max_concurrent = 1")]));
    assert!(!limits.limits(0) && limits.limits(1) && !limits.limits(2));
    assert!(limits.admit(0, &Ask::default(), at(NOON)).unwrap().is_none());
}

#[test]
fn the_first_limit_that_leaves_no_room_is_named_and_says_when() {
    let limits = limits("requests_per_minute = 2\nuser_requests_per_minute = 1\nuser_max_concurrent = 1");
    let of = |user| Ask { user, ..Ask::default() };
    let first = admit(&limits, of("u"), at(NOON)).unwrap();
    assert_eq!(admit(&limits, of("u"), at(NOON)).unwrap_err(), "user_max_concurrent");
    first.settle(Truth::default(), at(NOON));
    assert_eq!(admit(&limits, of("u"), at(NOON)).unwrap_err(), "user_requests_per_minute");
    let second = admit(&limits, of(""), at(NOON)).unwrap();
    let refused: Box<Refused> = limits.admit(0, &of("v"), at(NOON)).unwrap_err();
    // Five seconds into the minute: this one has to be half forgotten, thirty seconds into the next.
    assert_eq!(refused.wait, Some(Duration::from_secs(85)));
    assert_eq!(refused.message(), "this API key's limit of 2 requests per minute is reached; try again in 85 s");
    assert_eq!(second.standing().requests.unwrap().remaining, 0);
    assert!(pass(&limits, of("v"), seconds_later(at(NOON), 85)).is_ok());
}

#[test]
fn an_estimate_counts_until_the_truth_is_known() {
    let limits = limits("tokens_per_minute = 1000");
    let ask = Ask { input_tokens: 600, output_tokens: 100, ..Ask::default() };
    let first = admit(&limits, ask, at(NOON)).unwrap();
    assert_eq!(admit(&limits, ask, at(NOON)).unwrap_err(), "tokens_per_minute");
    first.settle(Truth { tokens: Some(250), output: Some(50), cost: None }, at(NOON));
    let second = admit(&limits, ask, at(NOON)).unwrap();
    assert_eq!(second.standing().tokens.unwrap().remaining, 50);
    // Nobody knows the truth of this one.
    second.settle(Truth::default(), at(NOON));
    assert_eq!(admit(&limits, ask, at(NOON)).unwrap_err(), "tokens_per_minute");
    let refused = limits.admit(0, &Ask { input_tokens: 2_000, ..ask }, at(NOON)).unwrap_err();
    assert!(refused.wait.is_none() && refused.message().ends_with("this request alone is larger"), "{refused:?}");
}

#[test]
fn a_hold_that_is_dropped_gives_its_place_back_and_keeps_its_estimate() {
    let limits = limits("max_concurrent = 1\ntokens_per_minute = 1000");
    let now = Timestamp::now();
    let ask = Ask { input_tokens: 600, ..Ask::default() };
    drop(admit(&limits, ask, now).unwrap());
    let refused = admit(&limits, ask, now).unwrap_err();
    assert_eq!(refused, "tokens_per_minute");
}

#[test]
fn answers_are_taken_to_be_as_long_as_those_before() {
    let limits = limits("tokens_per_minute = 100000");
    let ask = Ask { input_tokens: 10, output_tokens: 30_000, ..Ask::default() };
    let used = |now| 100_000 - pass(&limits, ask, now).unwrap().tokens.unwrap().remaining;
    assert_eq!(used(at(NOON)), 10 + 256);
    for minute in 0..40 {
        let now = seconds_later(at(NOON), minute * 180);
        let truth = Truth { tokens: Some(0), output: Some(4_000), cost: None };
        admit(&limits, ask, now).unwrap().settle(truth, now);
    }
    let estimate = used(seconds_later(at(NOON), 40 * 180));
    assert!((3_900..=4_010).contains(&estimate), "{estimate}");
}

#[test]
fn counting_tokens_costs_a_request_and_nothing_else() {
    let limits = limits("requests_per_minute = 2\ntokens_per_minute = 10\nbudget = { usd = \"0\", per = \"day\" }");
    let free = Ask { input_tokens: 500, most_cost: Pico(7), is_free: true, ..Ask::default() };
    assert!(pass(&limits, free, at(NOON)).is_ok() && pass(&limits, free, at(NOON)).is_ok());
    assert_eq!(admit(&limits, free, at(NOON)).unwrap_err(), "requests_per_minute");
}

#[test]
fn a_budget_says_when_it_turns() {
    let limits = limits("budget = { usd = \"1.50\", per = \"day\" }");
    let late = at("2026-11-27T23:59:50Z");
    let of = |pico| Ask { most_cost: Pico(pico), ..Ask::default() };
    pass(&limits, of(1_000_000_000_000), late).unwrap();
    let refused = limits.admit(0, &of(500_000_000_001), late).unwrap_err();
    assert_eq!(
        refused.message(),
        "what is left of this API key's budget of 1.50 US dollars per day does not cover this request; try again in 10 s"
    );
    let refused = limits.admit(0, &of(1_500_000_000_001), late).unwrap_err();
    assert!(refused.wait.is_none(), "more than any window has");
}

#[test]
fn a_new_configuration_keeps_what_was_used() {
    let before = limits("requests_per_minute = 10\nbudget = { usd = \"0.000000000100\", per = \"day\" }");
    let ask = Ask { most_cost: Pico(60), ..Ask::default() };
    let running = admit(&before, ask, at(NOON)).unwrap();
    let lines = "requests_per_minute = 1\nbudget = { usd = \"0.000000000100\", per = \"day\" }";
    let after = before.reconfigured(&clients(&[("new", ""), ("a", lines)]));
    assert_eq!(after.admit(1, &ask, at(NOON)).unwrap_err().limit.as_str(), "requests_per_minute");
    let later = seconds_later(at(NOON), 180);
    assert_eq!(after.admit(1, &ask, later).unwrap_err().limit.as_str(), "budget");
    // What was let in before is settled in the same account.
    running.settle(Truth { cost: Some(Pico(10)), ..Truth::default() }, later);
    after.admit(1, &ask, later).unwrap().unwrap().settle(Truth::default(), later);
}

#[test]
fn gateways_add_up_what_they_tell_each_other() {
    let lines = "requests_per_minute = 5\nmax_concurrent = 4\nuser_requests_per_minute = 3";
    let (one, other) = (limits(lines), limits(lines));
    let of = |user| Ask { user, ..Ask::default() };
    let running: Vec<Hold> = (0..3).map(|_| admit(&one, of("u"), at(NOON)).unwrap()).collect();
    let word = one.tell_use(at(NOON));
    other.hear_use(&[told(1, word.clone())], at(NOON));
    assert_eq!(admit(&other, of("u"), at(NOON)).unwrap_err(), "user_requests_per_minute");
    let fourth = admit(&other, of("v"), at(NOON)).unwrap();
    assert_eq!(fourth.standing().requests.unwrap().remaining, 1);
    assert_eq!(admit(&other, of("w"), at(NOON)).unwrap_err(), "max_concurrent");
    // The dead have nothing under way, and what they used still counts while its minute does.
    other.hear_use(&[Told { age: DEAD_AFTER, ..told(1, word.clone()) }], at(NOON));
    assert_eq!(pass(&other, of("w"), at(NOON)).unwrap().requests.unwrap().remaining, 0);
    // A word that is repeated changes nothing, one that is withdrawn is forgotten, and so is one of long ago.
    other.hear_use(&[told(1, word.clone())], at(NOON));
    assert_eq!(other.tell_use(at(NOON)), other.tell_use(at(NOON)));
    let late = seconds_later(at(NOON), 110);
    other.hear_use(&[told(1, word)], late);
    fourth.settle(Truth::default(), late);
    // Of the three of this user in the last minute, five seconds' worth still counts.
    assert_eq!(pass(&other, of("u"), late).unwrap().requests.unwrap().remaining, 3 - 1 - 1);
    running.into_iter().for_each(|hold| hold.settle(Truth::default(), late));
    assert!(one.tell_use(seconds_later(at(NOON), 300)).is_empty(), "nothing to tell of nobody");
}

#[test]
fn spending_is_added_up_from_words_and_from_clickhouse_and_counted_once() {
    let lines = "budget = { usd = \"0.000000000100\", per = \"day\" }";
    let (one, other) = (limits(lines), limits(lines));
    let of = |pico| Ask { most_cost: Pico(pico), ..Ask::default() };
    let spend = |limits: &Limits, pico| {
        let hold = admit(limits, of(pico), at(NOON)).unwrap();
        hold.settle(Truth { cost: Some(Pico(pico)), ..Truth::default() }, at(NOON));
    };
    spend(&one, 30);
    let running = admit(&one, of(20), at(NOON)).unwrap();
    let word = one.tell_spent(at(NOON));
    let me = Uuid::from_u128(2);
    other.hear_spent(me, &[told(1, word.clone())], at(NOON));
    assert_eq!(admit(&other, of(51), at(NOON)).unwrap_err(), "budget");
    spend(&other, 10);

    let from = at("2026-11-27T00:00:00Z");
    let mut recorded = Recorded::default();
    // Less than was told, a gateway that nobody tells of, more than this one remembers, and another day.
    recorded.add("a", Uuid::from_u128(1), from, Pico(25));
    recorded.add("a", Uuid::from_u128(9), from, Pico(5));
    recorded.add("a", me, from, Pico(12));
    recorded.add("b", me, from, Pico(99));
    other.note_recorded(recorded);
    other.hear_spent(me, &[told(1, word), told(2, other.tell_spent(at(NOON)))], at(NOON));
    // 30 + 20 under way + 5 + 12 leave 33.
    assert_eq!(admit(&other, of(34), at(NOON)).unwrap_err(), "budget");
    admit(&other, of(33), at(NOON)).unwrap().settle(Truth::default(), at(NOON));
    running.settle(Truth::default(), at(NOON));

    let mut old = Recorded::default();
    old.add("a", Uuid::from_u128(9), at("2026-11-26T00:00:00Z"), Pico(99));
    let fresh = limits(lines);
    fresh.note_recorded(old);
    fresh.hear_spent(me, &[], at(NOON));
    assert!(pass(&fresh, of(100), at(NOON)).is_ok(), "yesterday is over");
}

#[test]
fn what_a_gateway_told_before_it_was_killed_is_recalled_and_what_was_under_way_is_not() {
    let lines = "budget = { usd = \"0.000000000100\", per = \"day\" }";
    let of = |pico| Ask { most_cost: Pico(pico), ..Ask::default() };
    let me = Uuid::from_u128(1);
    let before = limits(lines);
    let truth = Truth { cost: Some(Pico(30)), ..Truth::default() };
    admit(&before, of(40), at(NOON)).unwrap().settle(truth, at(NOON));
    let open = admit(&before, of(20), at(NOON)).unwrap();
    let word = before.tell_spent(at(NOON));
    let after = limits(lines);
    for _ in 0..3 {
        after.hear_spent(me, &[told(1, word.clone())], at(NOON));
    }
    assert_eq!(admit(&after, of(71), at(NOON)).unwrap_err(), "budget", "30 are spent");
    assert!(pass(&after, of(70), at(NOON)).is_ok(), "nobody knows yet what the open one has cost");
    open.settle(Truth::default(), at(NOON));
}

#[test]
fn a_file_that_is_torn_or_no_file_of_ours_is_told_from_none() {
    let folder = tempfile::tempdir().unwrap();
    let limits = limits("budget = { usd = \"1\", per = \"month\" }");
    let truth = Truth { cost: Some(Pico(70)), ..Truth::default() };
    admit(&limits, Ask { most_cost: Pico(70), ..Ask::default() }, at(NOON)).unwrap().settle(truth, at(NOON));
    super::write_kept(folder.path(), &limits.kept(at(NOON))).unwrap();
    let file = folder.path().join("budgets.json");
    let whole = std::fs::read(&file).unwrap();
    for cut in 0..whole.len() {
        std::fs::write(&file, &whole[..cut]).unwrap();
        assert!(super::read_kept(folder.path()).is_err(), "{}", String::from_utf8_lossy(&whole[..cut]));
    }
    for garbage in [&b"\0\0\0\0"[..], b"{}", b"[[]]", b"[{\"client\":\"a\",\"spent\":\"1\"}]"] {
        std::fs::write(&file, garbage).unwrap();
        assert!(super::read_kept(folder.path()).is_err());
    }
    // A draft that was never finished is nobody's file.
    std::fs::write(folder.path().join("budgets.draft"), &whole[..3]).unwrap();
    std::fs::write(&file, &whole).unwrap();
    assert_eq!(super::read_kept(folder.path()).unwrap(), limits.kept(at(NOON)));
}

#[test]
fn what_was_spent_is_known_after_a_restart() {
    let lines = "budget = { usd = \"0.000000000100\", per = \"month\" }";
    let ask = Ask { most_cost: Pico(70), ..Ask::default() };
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(super::read_kept(folder.path()).unwrap(), []);
    let before = limits(lines);
    admit(&before, ask, at(NOON)).unwrap().settle(Truth { cost: Some(Pico(70)), ..Truth::default() }, at(NOON));
    super::write_kept(folder.path(), &before.kept(at(NOON))).unwrap();
    let after = limits(lines);
    after.recall(&super::read_kept(folder.path()).unwrap(), at(NOON));
    assert_eq!(admit(&after, ask, at(NOON)).unwrap_err(), "budget");
    assert!(pass(&after, ask, at("2026-12-01T00:00:00Z")).is_ok(), "another month");
    let turned = limits(lines);
    turned.recall(&before.kept(at(NOON)), at("2026-12-01T00:00:00Z"));
    assert!(pass(&turned, ask, at("2026-12-01T00:00:00Z")).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Gateways that hear each other now and then spend, together, no more than the budget and what was left of it when
    /// each of the others last heard: with the words of the round in which it ran out, once more per other gateway.
    #[test]
    fn together_gateways_overspend_by_no_more_than_is_stated(
        budget in 100_i128..10_000,
        rounds in prop::collection::vec(prop::collection::vec((0_usize..3, 1_i128..500), 0..20), 1..20),
    ) {
        const GATEWAYS: usize = 3;
        let lines = format!("budget = {{ usd = \"{}\", per = \"month\" }}", Pico(budget));
        let all: Vec<Limits> = (0..GATEWAYS).map(|_| limits(&lines)).collect();
        let (mut spent, mut left_when_heard) = (0, budget);
        for round in rounds {
            for (gateway, cost) in round {
                if let Ok(hold) = admit(&all[gateway], Ask { most_cost: Pico(cost), ..Ask::default() }, at(NOON)) {
                    hold.settle(Truth { cost: Some(Pico(cost)), ..Truth::default() }, at(NOON));
                    spent += cost;
                    // Each may spend what it believed to be left.
                    prop_assert!(spent <= budget + left_when_heard * i128::try_from(GATEWAYS - 1).unwrap());
                }
            }
            let words: Vec<_> = all.iter().map(|limits| limits.tell_spent(at(NOON))).collect();
            for (me, limits) in all.iter().enumerate() {
                let told: Vec<_> = (0..GATEWAYS).map(|other| told(other as u128, words[other].clone())).collect();
                limits.hear_spent(Uuid::from_u128(me as u128), &told, at(NOON));
            }
            left_when_heard = (budget - spent).max(0);
        }
    }

    /// Whatever is asked and whenever: no more requests are under way than allowed, and what ends leaves nothing behind.
    #[test]
    fn nothing_is_left_behind(
        asks in prop::collection::vec((0_u8..40, 0_i64..200, 0_u64..2_000, any::<bool>(), prop::option::of(0_u64..5_000)), 1..200)
    ) {
        let limits = limits("max_concurrent = 5\nuser_max_concurrent = 2\ntokens_per_minute = 20000");
        let mut now = at(NOON);
        let mut running: Vec<Hold> = Vec::new();
        for (user, pause, tokens, ends, truth) in asks {
            now = seconds_later(now, pause);
            if ends && let Some(hold) = running.pop() {
                hold.settle(Truth { tokens: truth, output: truth, cost: None }, now);
            }
            let user = format!("user-{user}");
            let ask = Ask { user: &user, input_tokens: tokens, output_tokens: 10, ..Ask::default() };
            running.extend(admit(&limits, ask, now).ok());
            prop_assert!(running.len() <= 5);
        }
        for hold in running {
            hold.settle(Truth::default(), now);
        }
        let later = seconds_later(now, 1_000);
        limits.sweep(later);
        prop_assert!(limits.tell_use(later).is_empty());
    }
}
