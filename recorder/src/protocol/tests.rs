//! The decisions of the ledger protocol, and that no token ever names two sets of rows.

use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp::from_micros(1_795_000_000_000_000);

fn range(from: u64, ids: &[&str]) -> RangeName {
    let mut namer = RangeNamer::default();
    for (seq, id) in (from..).zip(ids) {
        namer.push(seq, id, 0);
    }
    namer.finish().unwrap()
}

fn facts(last: u64) -> StreamFacts {
    StreamFacts { created: "then".into(), first: 1, last, id_at_done: None, intent_end_found: true }
}

fn tenure(fence: u64) -> Tenure {
    Tenure { partition: 3, owner: format!("recorder-{fence}"), fence, salt: 7 }
}

fn first() -> Progress {
    begin(&tenure(1), "then", NOW)
}

#[test]
fn a_range_goes_from_intent_to_commit_and_is_repeated_when_found() {
    let start = first();
    assert_eq!(next(&start), Step::Gather(1));
    let named = range(1, &["a", "b"]);
    let intended = intend(&start, &named, 5, NOW);
    let Step::Repeat(intent) = next(&intended) else { panic!("an intent must be repeated") };
    assert_eq!(confirm(&intent, &named), Ok(()));
    assert_eq!(confirm(&intent, &range(1, &["a", "c"])), Err(Departure::RangeChanged));
    assert_eq!(confirm(&intent, &range(1, &["a"])), Err(Departure::RangeChanged));
    let done = commit(&intended, &named, BTreeMap::new(), NOW);
    assert_eq!((done.done, done.done_id.as_str(), next(&done)), (2, "b", Step::Gather(3)));
}

#[test]
fn ids_that_only_join_to_the_same_text_are_told_apart() {
    assert_ne!(range(1, &["ab", "c"]).fingerprint, range(1, &["a", "bc"]).fingerprint);
    assert_ne!(range(1, &["a"]).fingerprint, range(2, &["a"]).fingerprint);
    let mut with_fewer_events = RangeNamer::default();
    with_fewer_events.push(1, "a", 1);
    assert_ne!(range(1, &["a"]).fingerprint, with_fewer_events.finish().unwrap().fingerprint);
}

#[test]
fn a_stream_that_is_not_the_known_one_is_noticed() {
    let progress = commit(&first(), &range(1, &["a", "b"]), BTreeMap::new(), NOW);
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
    let progress = intend(&first(), &range(3, &["c", "d"]), 5, NOW);
    assert_eq!(verify(&progress, &facts(4)), Ok(()));
    assert_eq!(verify(&progress, &facts(3)), Err(Departure::RolledBack));
    assert_eq!(verify(&progress, &StreamFacts { first: 4, ..facts(4) }), Err(Departure::RangeChanged));
    let gone = StreamFacts { intent_end_found: false, ..facts(5) };
    assert_eq!(verify(&progress, &gone), Err(Departure::RangeChanged));
}

#[test]
fn a_new_life_of_a_stream_never_uses_an_old_token() {
    let named = range(1, &["a"]);
    let first = first();
    let again = start_over(&first, &tenure(1), "now", NOW);
    let after_a_wipe = begin(&tenure(1), "now", Timestamp::from_micros(NOW.as_micros() + 60_000_000));
    let token = |progress: &Progress, nonce| {
        let intent = intend(progress, &named, nonce, NOW).intent.unwrap();
        TokenBase::new(3, progress.incarnation, &intent).cell("requests", 20_261_121)
    };
    assert_eq!(token(&first, 7), "v1:3:1-1:requests:1795000000.0000000000000007:20261121");
    assert_eq!(token(&first, 0), "v1:3:1-1:requests:1795000000:20261121", "as an earlier release made it");
    // NATS has come back with an earlier state, and the same range of it holds other messages.
    assert_ne!(token(&first, 7), token(&first, 8));
    for other in [&again, &after_a_wipe] {
        assert_ne!(token(&first, 7), token(other, 7));
    }
    assert_eq!((again.done, again.done_id.as_str(), again.intent), (0, "", None));
}

#[test]
fn a_state_is_taken_by_a_higher_fence_and_never_by_a_lower_one() {
    let state = first();
    assert_eq!(take(&state, &tenure(1)), Ok(None), "it is ours");
    let taken = take(&state, &tenure(2)).unwrap().unwrap();
    assert_eq!((taken.fence, taken.owner.as_str(), taken.updated_at), (2, "recorder-2", NOW));
    assert_eq!(take(&taken, &tenure(1)), Err(Fenced { found: 2, own: 1 }));
    let namesake = Tenure { owner: "other".into(), ..tenure(2) };
    assert_eq!(take(&taken, &namesake), Err(Fenced { found: 2, own: 2 }));
    let of_an_earlier_release = Progress { fence: 0, owner: "x".into(), ..state };
    assert!(take(&of_an_earlier_release, &tenure(1)).unwrap().is_some());
}

#[test]
fn a_state_that_was_lost_is_not_made_anew_before_others_can_have_finished() {
    let facts = facts(3);
    let mut recording = Recording::new(tenure(1));
    recording.tell(Told::Loaded(None), NOW).unwrap();
    recording.tell(Told::Stream(facts), NOW).unwrap();
    assert_eq!(*recording.task(), Task::AskStored(Since::Ever));
    let stored = Told::Stored(vec![Stored { epoch: Uuid::nil(), first: 1, last: 2 }]);
    recording.tell(stored.clone(), NOW).unwrap();
    assert_eq!(*recording.task(), Task::Settle);
    recording.tell(Told::Settled, NOW).unwrap();
    recording.tell(stored, NOW).unwrap();
    assert!(matches!(recording.task(), Task::Save(progress, None) if progress.epochs[&Uuid::nil()].contiguous == 2));
    recording.tell(Told::Saved(1), NOW).unwrap();
    assert_eq!(*recording.task(), Task::Gather(1));
    assert_eq!(recording.tell(Told::Written, NOW), Err(Stop::Astray));
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
