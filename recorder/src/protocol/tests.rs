//! The decisions of the ledger protocol, and that no token ever names two sets of rows.

use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp::from_micros(1_795_000_000_000_000);

fn range(from: u64, ids: &[&str]) -> RangeName {
    let mut namer = RangeNamer::default();
    for (seq, id) in (from..).zip(ids) {
        namer.push(seq, id);
    }
    namer.finish().unwrap()
}

fn facts(last: u64) -> StreamFacts {
    StreamFacts { created: "then".into(), first: 1, last, id_at_done: None, intent_end_found: true }
}

#[test]
fn a_range_goes_from_intent_to_commit_and_is_repeated_when_found() {
    let start = begin("then", NOW);
    assert_eq!(next(&start), Step::Gather(1));
    let named = range(1, &["a", "b"]);
    let intended = intend(&start, &named, "me", NOW);
    let Step::Repeat(intent) = next(&intended) else { panic!("an intent must be repeated") };
    assert_eq!(confirm(&intent, &named), Ok(()));
    assert_eq!(confirm(&intent, &range(1, &["a", "c"])), Err(Departure::RangeChanged));
    assert_eq!(confirm(&intent, &range(1, &["a"])), Err(Departure::RangeChanged));
    let done = commit(&intended, &named, BTreeMap::new(), "me", NOW);
    assert_eq!((done.done, done.done_id.as_str(), next(&done)), (2, "b", Step::Gather(3)));
}

#[test]
fn ids_that_only_join_to_the_same_text_are_told_apart() {
    assert_ne!(range(1, &["ab", "c"]).fingerprint, range(1, &["a", "bc"]).fingerprint);
    assert_ne!(range(1, &["a"]).fingerprint, range(2, &["a"]).fingerprint);
}

#[test]
fn a_stream_that_is_not_the_known_one_is_noticed() {
    let progress = commit(&begin("then", NOW), &range(1, &["a", "b"]), BTreeMap::new(), "me", NOW);
    assert_eq!(verify(&progress, &facts(2)), Ok(()));
    assert_eq!(verify(&progress, &StreamFacts { created: "now".into(), ..facts(2) }), Err(Departure::Recreated));
    assert_eq!(verify(&progress, &facts(1)), Err(Departure::RolledBack));
    let other = StreamFacts { id_at_done: Some("x".into()), ..facts(2) };
    assert_eq!(verify(&progress, &other), Err(Departure::Rewritten));
    let same = StreamFacts { id_at_done: Some("b".into()), ..facts(9) };
    assert_eq!(verify(&progress, &same), Ok(()));
}

#[test]
fn a_range_that_can_no_longer_be_read_is_not_waited_for() {
    let progress = intend(&begin("then", NOW), &range(3, &["c", "d"]), "me", NOW);
    assert_eq!(verify(&progress, &facts(4)), Ok(()));
    assert_eq!(verify(&progress, &facts(3)), Err(Departure::RolledBack));
    assert_eq!(verify(&progress, &StreamFacts { first: 4, ..facts(4) }), Err(Departure::RangeChanged));
    let gone = StreamFacts { intent_end_found: false, ..facts(5) };
    assert_eq!(verify(&progress, &gone), Err(Departure::RangeChanged));
}

#[test]
fn a_new_life_of_a_stream_never_uses_an_old_token() {
    let named = range(1, &["a"]);
    let first = begin("then", NOW);
    let again = start_over(&first, "now", NOW);
    let after_a_wipe = begin("now", Timestamp::from_micros(NOW.as_micros() + 60_000_000));
    let token = |progress| TokenBase::new(3, progress, &named).cell("requests", 20_261_121);
    assert_eq!(token(&first), "v1:3:1-1:requests:1795000000:20261121");
    assert_ne!(token(&first), token(&again));
    assert_ne!(token(&first), token(&after_a_wipe));
    assert_eq!((again.done, again.done_id.as_str(), again.intent), (0, "", None));
}

#[test]
fn what_clickhouse_holds_is_added_once() {
    let epoch = Uuid::from_u128(7);
    let mut epochs = BTreeMap::from([(epoch, SeqSet { contiguous: 3, ahead: vec![(6, 7)] })]);
    let stored = [Stored { epoch, first: 2, last: 4 }, Stored { epoch, first: 9, last: 9 }];
    assert_eq!(add_stored(&mut epochs, &stored), 2);
    assert_eq!(epochs[&epoch], SeqSet { contiguous: 4, ahead: vec![(6, 7), (9, 9)] });
    assert_eq!((add_stored(&mut epochs, &stored), missing(&epochs)), (0, 2));
}

proptest! {
    #[test]
    fn adding_runs_agrees_with_adding_numbers(
        runs in proptest::collection::vec((1u64..40, 0u64..6), 0..12),
        seqs in proptest::collection::vec(1u64..45, 0..40),
    ) {
        let epoch = Uuid::nil();
        let (mut by_run, mut by_number) = (BTreeMap::from([(epoch, SeqSet::default())]), SeqSet::default());
        for seq in seqs {
            by_run.entry(epoch).or_default().insert(seq);
            by_number.insert(seq);
        }
        for (first, length) in runs {
            let added = add_stored(&mut by_run, &[Stored { epoch, first, last: first + length }]);
            let expected = (first..=first + length).filter(|seq| by_number.insert(*seq)).count();
            prop_assert_eq!(added, expected as u64);
        }
        prop_assert_eq!(&by_run[&epoch], &by_number);
    }
}
