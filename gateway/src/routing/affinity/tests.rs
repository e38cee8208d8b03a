//! Where conversations and responses are, and when they move.

use super::*;
use crate::classify::Reason;

const WHO: (&str, &str, Format) = ("team", "m", Format::Anthropic);

fn of(id: u64) -> Conversation {
    Conversation { id, ..Conversation::default() }
}

fn who(candidate: u64) -> Identity {
    Identity { candidate, account: candidate + 100 }
}

/// A turn that is answered by `target`, in its place, at this second.
fn answer(affinity: &Affinity, of: Conversation, (target, place): (u64, usize), at: Instant) {
    let mut turn = affinity.turn(WHO, of, at);
    turn.answered(who(target), place);
    turn.settle(affinity, at);
}

#[test]
fn a_conversation_is_held_as_long_as_its_cache_lasts_after_each_use() {
    let (affinity, start) = (Affinity::default(), Instant::now());
    let after = |seconds| start + Duration::from_secs(seconds);
    assert_eq!(affinity.turn(WHO, of(1), start).held(), None);
    answer(&affinity, of(1), (7, 0), start);
    answer(&affinity, of(1), (7, 0), after(299));
    assert_eq!(affinity.turn(WHO, of(1), after(598)).held(), Some(7), "from the last use");
    assert_eq!(affinity.turn(WHO, of(1), after(599)).held(), None);
    let long = Conversation { lasts_an_hour: true, ..of(2) };
    answer(&affinity, long, (7, 0), start);
    assert_eq!(affinity.turn(WHO, long, after(3599)).held(), Some(7));
    for other in [("else", "m", Format::Anthropic), ("team", "n", Format::Anthropic), ("team", "m", Format::Gemini)] {
        assert_eq!(affinity.turn(other, long, start).held(), None, "{other:?}");
    }
}

#[test]
fn it_moves_when_its_holder_fails_and_not_when_that_is_busy_or_the_caller_wrong() {
    let (affinity, now) = (Affinity::default(), Instant::now());
    answer(&affinity, of(1), (7, 0), now);
    let turn = |place| {
        let mut turn = affinity.turn(WHO, of(1), now);
        turn.stands_at(place);
        turn
    };
    let mut busy = turn(Some(0));
    busy.answered(who(8), 1);
    busy.settle(&affinity, now);
    assert_eq!(affinity.turn(WHO, of(1), now).held(), Some(7), "it was only busy");
    turn(Some(0)).failed(&affinity, 7, Verdict::CallerAtFault(Reason::InvalidRequest));
    turn(Some(0)).failed(&affinity, 7, Verdict::GiveUp(Reason::OutOfTime));
    turn(Some(0)).failed(&affinity, 8, Verdict::TryNext(Reason::RateLimited));
    assert_eq!(affinity.turn(WHO, of(1), now).held(), Some(7));
    for verdict in [Verdict::TryNext(Reason::RateLimited), Verdict::RetryHere(Reason::ServerError)] {
        let mut failing = turn(Some(0));
        failing.failed(&affinity, 7, verdict);
        assert_eq!(affinity.turn(WHO, of(1), now).held(), None);
        failing.answered(who(8), 1);
        failing.settle(&affinity, now);
        assert_eq!(affinity.turn(WHO, of(1), now).held(), Some(8));
        answer(&affinity, of(1), (7, 0), now);
        // That turn did not know where its holder stands: whoever answered holds it.
        assert_eq!(affinity.turn(WHO, of(1), now).held(), Some(7));
    }
    let mut broken = turn(Some(0));
    broken.answered(who(7), 0);
    broken.broke(&affinity);
    assert_eq!(affinity.turn(WHO, of(1), now).held(), None);
}

#[test]
fn it_returns_to_a_better_priority_that_answers_again() {
    assert!(moves(Some((8, Some(1))), (7, 0)));
    assert!(!moves(Some((7, Some(0))), (8, 1)));
    assert!(moves(Some((7, None)), (8, 3)), "the holder is no candidate any more");
}

#[test]
fn what_becomes_of_a_conversation_has_one_word() {
    let (affinity, now) = (Affinity::default(), Instant::now());
    let course = |known: Option<u64>, fails: bool, by: (u64, usize)| {
        let affinity = Affinity::default();
        known.into_iter().for_each(|known| answer(&affinity, of(1), (known, 0), now));
        let mut turn = affinity.turn(WHO, of(1), now);
        turn.stands_at(known.map(|_| 0));
        if fails {
            turn.failed(&affinity, 7, Verdict::RetryHere(Reason::ServerError));
        }
        turn.answered(who(by.0), by.1);
        turn.course()
    };
    assert_eq!(affinity.turn(WHO, of(1), now).course(), None, "nobody answered");
    assert_eq!(course(None, false, (7, 0)), Some(Course::New));
    assert_eq!(course(Some(7), false, (7, 0)), Some(Course::Hit));
    assert_eq!(course(Some(7), true, (7, 0)), Some(Course::Hit), "at its second try");
    assert_eq!(course(Some(7), true, (8, 1)), Some(Course::Moved));
    assert_eq!(course(Some(7), false, (8, 1)), Some(Course::Busy));
}

#[test]
fn a_response_is_remembered_for_its_client_alone_and_only_if_it_is_kept() {
    let (affinity, start) = (Affinity::default(), Instant::now());
    let respond = |id: &str, keeps_response: bool| {
        let mut turn = affinity.turn(WHO, of(1), start);
        turn.goes_on(Previous::None, keeps_response);
        turn.answered(who(7), 0);
        turn.named("team", id);
        turn.settle(&affinity, start);
    };
    respond("kept", true);
    respond("not kept", false);
    let previous = |client: &str, id: &str, at: Instant| affinity.previous(client, Some(id), at);
    assert_eq!(previous("team", "kept", start), Previous::At(who(7).account));
    assert_eq!(previous("else", "kept", start), Previous::Unknown);
    assert_eq!(previous("team", "not kept", start), Previous::Unknown);
    assert_eq!(previous("team", "kept", start + RESPONSE_LIFE), Previous::Unknown);
    assert_eq!(affinity.previous("team", None, start), Previous::None);

    let mut turn = affinity.turn(WHO, of(2), start);
    turn.goes_on(previous("team", "kept", start), true);
    assert!(turn.is_known_at(who(7)) && !turn.is_known_at(who(8)));
    assert_eq!(turn.is_at_home(), None);
    turn.answered(who(8), 0);
    assert_eq!(turn.is_at_home(), Some((Previous::At(who(7).account), false)));
    // Its failure takes the conversation from it, and not the response, which is still there.
    turn.failed(&affinity, 7, Verdict::RetryHere(Reason::ServerError));
    assert_eq!(previous("team", "kept", start), Previous::At(who(7).account));
}
