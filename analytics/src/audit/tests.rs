//! What is judged of ledgers, case by case.

use std::collections::BTreeMap;

use schemas::heads::LedgerHead;
use schemas::progress::{Progress, SeqSet};
use schemas::time::Timestamp;
use uuid::Uuid;

use super::*;
use crate::queries::{HeldRun, Instant, Money, Text};

const EPOCH: Uuid = Uuid::from_u128(7);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn run(first_seq: u64, last_seq: u64) -> HeldRun {
    let rows = last_seq - first_seq + 1;
    let gateway = "g".to_owned();
    HeldRun { epoch: EPOCH, partition: 0, minute: 5, gateway, first_seq, last_seq, rows, dead_letters: 0 }
}

/// NATS as it is when a gateway has told `last` at `told_at`, and the recorder has committed up to `committed`.
fn told(last: u64, told_at: i64, committed: u64) -> Tellings {
    let head = LedgerHead {
        gateway: "g".to_owned(),
        told_at: at(told_at),
        changed_at: at(told_at),
        stopped: false,
        last: BTreeMap::from([(0, last)]),
    };
    let epochs = BTreeMap::from([(EPOCH, SeqSet { contiguous: committed, ahead: vec![] })]);
    let progress = Progress { epochs, ..Progress::default() };
    Tellings { heads: BTreeMap::from([(EPOCH, head)]), progress: BTreeMap::from([(0, progress)]) }
}

/// The judgement at second 1000 of what was recorded since second 100: state, emitted, stored, pending, missing.
fn judged(tellings: Option<&Tellings>, runs: &[HeldRun], older: &[HeldRun]) -> serde_json::Value {
    let ledgers = judge(tellings, runs, older, at(100), at(1000));
    assert_eq!(ledgers.len(), 1, "{ledgers:?}");
    let ledger = serde_json::to_value(&ledgers[0]).unwrap();
    let names = ["state", "emitted", "stored", "pending", "missing"];
    serde_json::Value::from(names.map(|name| ledger[name].clone()).to_vec())
}

#[test]
fn what_is_emitted_and_stored_is_clean_also_where_the_range_begins_in_the_middle() {
    let tellings = told(9, 999, 9);
    assert_eq!(judged(Some(&tellings), &[run(1, 9)], &[]), serde_json::json!(["clean", 9, 9, 0, 0]));
    assert_eq!(judged(Some(&tellings), &[run(4, 9)], &[]), serde_json::json!(["clean", 6, 6, 0, 0]));
    // Rows that came after the gateway last told count as emitted.
    assert_eq!(judged(Some(&tellings), &[run(4, 12)], &[]), serde_json::json!(["clean", 9, 9, 0, 0]));
}

#[test]
fn what_is_not_committed_is_on_its_way() {
    let tellings = told(12, 999, 3);
    assert_eq!(judged(Some(&tellings), &[run(1, 3), run(5, 9)], &[]), serde_json::json!(["pending", 12, 8, 4, 0]));
    // Nothing of it is stored yet.
    assert_eq!(judged(Some(&told(5, 999, 0)), &[], &[]), serde_json::json!(["pending", 5, 0, 5, 0]));
}

#[test]
fn what_is_committed_and_not_there_is_missing_unless_it_was_recorded_before() {
    let tellings = told(9, 999, 9);
    let runs = [run(1, 3), run(6, 9)];
    assert!(unheld(&tellings, &runs, at(100)).contains(&EPOCH));
    assert_eq!(judged(Some(&tellings), &runs, &[]), serde_json::json!(["unclean", 9, 7, 0, 2]));
    assert_eq!(judged(Some(&tellings), &runs, &[run(4, 5)]), serde_json::json!(["clean", 9, 9, 0, 0]));
    assert!(unheld(&tellings, &[run(2, 9)], at(100)).is_empty());
    // A ledger that was active, of which every row is gone.
    assert_eq!(judged(Some(&tellings), &[], &[])[0], "unclean");
}

#[test]
fn a_gateway_that_is_gone_leaves_what_it_has_told() {
    // The last word is from long ago: what follows it, nobody knows.
    assert_eq!(judged(Some(&told(9, 500, 9)), &[run(1, 9)], &[]), serde_json::json!(["unknown", 9, 9, 0, 0]));
    assert_eq!(judged(Some(&told(9, 500, 7)), &[run(1, 7)], &[]), serde_json::json!(["unclean", 9, 7, 2, 0]));
    let mut tellings = told(9, 500, 9);
    tellings.heads.get_mut(&EPOCH).unwrap().stopped = true;
    assert_eq!(judged(Some(&tellings), &[run(1, 9)], &[])[0], "clean");
    // One that was silent during all of the range is none of its business.
    assert_eq!(judge(Some(&told(9, 50, 9)), &[], &[], at(100), at(1000)), []);
}

#[test]
fn without_nats_nothing_is_called_clean() {
    let expected = serde_json::json!(["unknown", null, 9, null, null]);
    assert_eq!(judged(None, &[run(1, 9)], &[]), expected);
    assert_eq!(judged(Some(&Tellings::default()), &[run(1, 9)], &[]), expected);
}

#[test]
fn duplicates_and_dead_letters_are_unclean() {
    let tellings = told(9, 999, 9);
    let twice = HeldRun { rows: 11, ..run(1, 9) };
    let dead = HeldRun { dead_letters: 1, ..run(1, 9) };
    for runs in [[twice], [dead]] {
        assert_eq!(judged(Some(&tellings), &runs, &[])[0], "unclean");
    }
}

#[test]
fn sums_that_differ_are_unclean_and_the_worst_judgement_wins() {
    let sums = |source: &str, cost: i128| Sums {
        source: Text(source.to_owned()),
        requests: 2,
        input_tokens: Some(3),
        output_tokens: None,
        cost_usd: Some(Money(cost)),
    };
    assert_eq!(judge_sums(&[sums("a", 5), sums("b", 5)], &Checks::default()), []);
    let findings = judge_sums(&[sums("a", 5), sums("b", 6), sums("c", 5)], &Checks::default());
    assert_eq!(findings.len(), 1);
    assert!(findings[0].reason.contains("but b 2 requests, 3 and unknown tokens, 0.000000000006 USD"), "{findings:?}");
    let overdue = Checks { overdue_requests: 1, unpriced_requests: 5, ..Checks::default() };
    assert_eq!(judge_sums(&[], &overdue).len(), 1);

    let parts = [(State::Pending, "p"), (State::Unknown, "u"), (State::Pending, "p"), (State::Clean, "")];
    assert_eq!(overall(parts), (State::Unknown, vec!["p".to_owned(), "u".to_owned()]));
    assert_eq!(overall([]), (State::Clean, vec![]));
}

/// The minutes of what was recorded since second 100: minute, until, emitted, stored, pending, missing, duplicate, state.
fn minutes(tellings: Option<&Tellings>, runs: &[HeldRun]) -> Vec<serde_json::Value> {
    let names = ["minute", "until", "emitted", "stored", "pending", "missing", "duplicate", "state"];
    let told = by_minute(tellings, runs, &[], at(100)).into_iter().map(|minute| serde_json::to_value(minute).unwrap());
    told.map(|minute| serde_json::Value::from(names.map(|name| minute[name].clone()).to_vec())).collect()
}

#[test]
fn what_is_missing_belongs_to_the_minutes_between_its_neighbours() {
    let of = |minute, run: HeldRun| HeldRun { minute, ..run };
    let time = |minute: i64| at(60 * minute).to_string();
    // Two numbers are gone between minutes 3 and 5, the last two are not recorded yet.
    let twice = HeldRun { rows: 5, ..run(8, 10) };
    let runs = [of(2, run(1, 3)), of(3, run(4, 5)), of(5, twice), of(6, run(11, 11))];
    let tellings = told(13, 990, 11);
    let expected = [
        serde_json::json!([time(2), time(2), 3, 3, 0, 0, 0, "clean"]),
        serde_json::json!([time(3), time(5), 4, 2, 0, 2, 0, "unclean"]),
        serde_json::json!([time(5), time(5), 3, 3, 0, 0, 2, "unclean"]),
        // The gateway told its last number at second 990.
        serde_json::json!([time(6), time(16), 3, 1, 2, 0, 0, "pending"]),
    ];
    assert_eq!(minutes(Some(&tellings), &runs), expected);
    let even: Vec<bool> = by_minute(Some(&tellings), &runs, &[], at(100)).iter().map(Minute::is_even).collect();
    assert_eq!(even, [true, false, false, false]);
    // The same as by ledger, where runs of several minutes are one.
    assert_eq!(judged(Some(&tellings), &runs, &[]), serde_json::json!(["unclean", 13, 9, 2, 2]));
    assert_eq!(judged(Some(&told(9, 999, 9)), &[of(1, run(1, 4)), of(2, run(5, 9))], &[])[0], "clean");
    // Nothing of it has arrived: all that is known is when it was told.
    let told_only = serde_json::json!([time(16), time(16), 5, 0, 5, 0, 0, "pending"]);
    assert_eq!(minutes(Some(&told(5, 999, 0)), &[]), [told_only]);
    let unknown = serde_json::json!([time(5), time(5), null, 9, null, null, 0, "unknown"]);
    assert_eq!(minutes(None, &[run(1, 9)]), [unknown]);
}

fn difference(bucket: i64, found: i64) -> Difference {
    Difference {
        rollup: Text("usage_1m".to_owned()),
        bucket: Instant(bucket * 60_000_000),
        expected_count: 3,
        found_count: found,
        expected_input_tokens: 10,
        found_input_tokens: 10,
        expected_output_tokens: 5,
        found_output_tokens: 5,
        expected_cost_usd: Money(7),
        found_cost_usd: Money(7),
        recorded_at: Instant(bucket * 60_000_000),
    }
}

#[test]
fn a_rollup_that_stays_wrong_is_unclean_and_one_that_is_being_filled_is_not() {
    let (kept, findings) = judge_rollups(&[difference(1, 4), difference(2, 2)], vec![difference(1, 4)], at(1000));
    assert_eq!((kept.len(), findings[0].state), (1, State::Unclean));
    let words = "rollup usage_1m, 1970-01-01T00:01:00.000000Z: it holds 4 of 3, 10 of 10 and 5 of 5 tokens";
    assert!(findings[0].reason.starts_with(words), "{findings:?}");
    // What changes between two looks is being written.
    assert_eq!(judge_rollups(&[difference(1, 2)], vec![difference(1, 1)], at(1000)), (vec![], vec![]));
    let (_, fresh) = judge_rollups(&[difference(1, 2)], vec![difference(1, 2)], at(65));
    assert_eq!(fresh[0].state, State::Pending);
    let many: Vec<Difference> = (0..25).map(|bucket| difference(bucket, 9)).collect();
    let (kept, findings) = judge_rollups(&many, many.clone(), at(100_000));
    assert_eq!((kept.len(), findings.len()), (25, 21));
    assert!(findings[20].reason.starts_with("5 further buckets"), "{findings:?}");
}
