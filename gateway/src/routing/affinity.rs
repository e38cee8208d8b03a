//! Which target a conversation's prompt is cached at, for as long as its provider keeps it (R17), and which account keeps
//! a response that a later request goes on from.
//!
//! Per client and model, in memory, for this process alone. It need not be shared: without an entry every gateway orders
//! the candidates of a client alike, and all of them know whose breaker is open, so that they differ only in where a
//! conversation went after a failure that one of them saw; that costs one reading of a prompt per gateway, where sharing
//! would cost a message per answer. An account that does not keep a response says so, and the next one is asked.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use schemas::outcome::Format;

use super::memory::Memory;
use crate::classify::Verdict;
use crate::formats::Conversation;

/// How long providers keep a prompt that is not asked for: Anthropic five minutes, and an hour where the request says so,
/// each from the last use (<https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching>); OpenAI five to ten
/// minutes and up to an hour (<https://platform.openai.com/docs/guides/prompt-caching>).
const LIFE: Duration = Duration::from_secs(5 * 60);
const LONG_LIFE: Duration = Duration::from_secs(3600);
/// How long OpenAI keeps a response (<https://platform.openai.com/docs/guides/conversation-state>).
const RESPONSE_LIFE: Duration = Duration::from_secs(30 * 86_400);

/// Where conversations are held, and responses kept: 131,072 of each, in 3.3 MB each.
#[derive(Debug, Default)]
pub struct Affinity {
    conversations: Memory,
    /// Apart, for they last so much longer that no conversation would stay among them.
    responses: Memory,
}

/// By what a candidate is known here, the same at every gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The endpoint, the key and the model: who has a prompt in its cache.
    pub(crate) candidate: u64,
    /// The endpoint and the key: who keeps a response, whatever model goes on from it.
    pub(crate) account: u64,
}

/// The response that a request goes on from (`previous_response_id`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Previous {
    /// It goes on from none.
    #[default]
    None,
    /// Nobody here knows who keeps it.
    Unknown,
    /// This account keeps it.
    At(u64),
}

/// A request's place in its conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    key: u64,
    life: Duration,
    /// Who had the conversation's prompt when the request came.
    known: Option<u64>,
    /// Who has it now, and its place in the request's line.
    held: Option<(u64, Option<usize>)>,
    answered: Option<(Identity, usize)>,
    previous: Previous,
    keeps_response: bool,
    /// What the response is remembered by, once its provider has named it.
    response: Option<u64>,
}

/// What became of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Course {
    /// Whoever had the prompt has answered.
    Hit,
    /// Nobody had it, as far as is known here.
    New,
    /// Somebody else has answered, and has it from now on.
    Moved,
    /// Somebody else has answered because whoever has it was busy.
    Busy,
}

impl Affinity {
    /// A new turn of a conversation, and who holds it.
    pub fn turn(&self, (client, model, format): (&str, &str, Format), of: Conversation, now: Instant) -> Turn {
        let mut hash = DefaultHasher::new();
        (client, model, format, of.id).hash(&mut hash);
        let key = hash.finish();
        let life = if of.lasts_an_hour { LONG_LIFE } else { LIFE };
        let known = self.conversations.find(key, now);
        Turn {
            key,
            life,
            known,
            held: known.map(|target| (target, None)),
            answered: None,
            previous: Previous::None,
            keeps_response: false,
            response: None,
        }
    }

    /// Who keeps a response that a client has been given.
    pub(crate) fn previous(&self, client: &str, id: Option<&str>, now: Instant) -> Previous {
        let Some(id) = id else { return Previous::None };
        self.responses.find(response_key(client, id), now).map_or(Previous::Unknown, Previous::At)
    }
}

/// A response is its client's alone: another one that names it is told nothing by where its request goes.
fn response_key(client: &str, id: &str) -> u64 {
    let mut hash = DefaultHasher::new();
    (client, id).hash(&mut hash);
    hash.finish()
}

impl Turn {
    /// The candidate that holds the conversation.
    pub fn held(&self) -> Option<u64> {
        self.held.map(|(target, _)| target)
    }

    /// It stands here in the line of those that may be asked.
    pub(crate) fn stands_at(&mut self, place: Option<usize>) {
        if let Some((_, at)) = &mut self.held {
            *at = place;
        }
    }

    /// A try failed. The holder loses the conversation unless the caller is to blame, or nobody (S181 to S186).
    pub(crate) fn failed(&mut self, affinity: &Affinity, target: u64, verdict: Verdict) {
        if matches!(verdict, Verdict::RetryHere(_) | Verdict::TryNext(_)) {
            self.lost(affinity, target);
        }
    }

    /// The target can keep no conversation at present.
    pub(crate) fn lost(&mut self, affinity: &Affinity, target: u64) {
        if self.held() == Some(target) {
            self.held = None;
            affinity.conversations.forget(self.key, target);
        }
    }

    /// The request goes on from this response; its own is kept by its provider, or is not.
    pub(crate) fn goes_on(&mut self, previous: Previous, keeps_response: bool) {
        self.previous = previous;
        self.keeps_response = keeps_response;
    }

    /// The account that keeps the response which the request goes on from.
    pub(crate) fn home(&self) -> Option<u64> {
        match self.previous {
            Previous::At(account) => Some(account),
            Previous::None | Previous::Unknown => None,
        }
    }

    /// What this request may be known at already: its conversation or the response before.
    pub(crate) fn is_known_at(&self, who: Identity) -> bool {
        self.held() == Some(who.candidate) || self.home() == Some(who.account)
    }

    /// This one has begun to answer: it has read the prompt.
    pub fn answered(&mut self, who: Identity, place: usize) {
        self.answered = Some((who, place));
    }

    /// The provider has named its response.
    pub(crate) fn named(&mut self, client: &str, id: &str) {
        if self.keeps_response {
            self.response = Some(response_key(client, id));
        }
    }

    /// The answer is over, and nobody but perhaps the client broke it off.
    pub fn settle(&self, affinity: &Affinity, now: Instant) {
        let Some((who, place)) = self.answered else { return };
        if moves(self.held, (who.candidate, place)) {
            affinity.conversations.keep(self.key, who.candidate, (now, now + self.life));
        }
        if let Some(response) = self.response {
            affinity.responses.keep(response, who.account, (now, now + RESPONSE_LIFE));
        }
    }

    /// What has become of the conversation; nothing where nobody answered.
    pub(crate) fn course(&self) -> Option<Course> {
        let (who, place) = self.answered?;
        Some(match self.known {
            None => Course::New,
            Some(known) if known == who.candidate => Course::Hit,
            Some(_) if moves(self.held, (who.candidate, place)) => Course::Moved,
            Some(_) => Course::Busy,
        })
    }

    /// Whether whoever keeps the response before has answered; nothing where there was none, or nobody answered.
    pub(crate) fn is_at_home(&self) -> Option<(Previous, bool)> {
        let (who, _) = self.answered?;
        (self.previous != Previous::None).then_some((self.previous, self.home() == Some(who.account)))
    }

    /// The answer broke.
    pub(crate) fn broke(&mut self, affinity: &Affinity) {
        if let Some((who, _)) = self.answered {
            self.lost(affinity, who.candidate);
        }
    }
}

/// Whether whoever answered holds the conversation from now on. A holder that was only busy keeps it; one that has failed
/// has lost it before; and one that somebody of a better priority comes before was a stand-in while that one was away.
fn moves(held: Option<(u64, Option<usize>)>, (target, place): (u64, usize)) -> bool {
    match held {
        None | Some((_, None)) => true,
        Some((holder, Some(at))) => holder == target || place < at,
    }
}

#[cfg(test)]
mod tests {
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
        for other in [("else", "m", Format::Anthropic), ("team", "n", Format::Anthropic), ("team", "m", Format::Gemini)]
        {
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
}
