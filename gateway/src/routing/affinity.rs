//! Which target a conversation's prompt is cached at, for as long as its provider keeps it (R17).
//!
//! Per client and model, in memory, for this process alone. It need not be shared: without an entry every gateway orders
//! the candidates of a client alike, and all of them know whose breaker is open, so that they differ only in where a
//! conversation went after a failure that one of them saw; that costs one reading of a prompt per gateway, where sharing
//! would cost a message per answer.
//!
//! The store is a table of small sets, each with its own lock, held for a few comparisons: bounded, and as good as never
//! contended. In a full set the entry that ends soonest goes.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use schemas::outcome::Format;

use crate::classify::Verdict;
use crate::formats::Conversation;

/// How long providers keep a prompt that is not asked for: Anthropic five minutes, and an hour where the request says so,
/// each from the last use (<https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching>); OpenAI five to ten
/// minutes and up to an hour (<https://platform.openai.com/docs/guides/prompt-caching>).
const LIFE: Duration = Duration::from_secs(5 * 60);
const LONG_LIFE: Duration = Duration::from_secs(3600);
/// Sets, and entries in each: 131,072 conversations in 3.3 MB.
const SETS: usize = 16_384;
const WAYS: usize = 8;

/// Where conversations are held.
#[derive(Debug)]
pub struct Affinity {
    sets: Box<[Mutex<Set>]>,
    origin: Instant,
}

type Set = [Entry; WAYS];

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Entry {
    key: u64,
    /// The candidate, by its seed.
    target: u64,
    /// Milliseconds from the origin; 0 in an entry that was never used.
    until_ms: u64,
}

/// A request's place in its conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    key: u64,
    life: Duration,
    /// Who has the conversation's prompt, and its place in the request's line.
    held: Option<(u64, Option<usize>)>,
    answered: Option<(u64, usize)>,
}

impl Default for Affinity {
    fn default() -> Self {
        Self { sets: (0..SETS).map(|_| Mutex::default()).collect(), origin: Instant::now() }
    }
}

impl Affinity {
    /// A new turn of a conversation, and who holds it.
    pub fn turn(&self, (client, model, format): (&str, &str, Format), of: Conversation, now: Instant) -> Turn {
        let mut hash = DefaultHasher::new();
        (client, model, format, of.id).hash(&mut hash);
        let key = hash.finish();
        let life = if of.lasts_an_hour { LONG_LIFE } else { LIFE };
        let now_ms = self.millis(now);
        let entry =
            self.with_set(key, |set| set.iter().find(|entry| entry.key == key && entry.until_ms > now_ms).copied());
        Turn { key, life, held: entry.map(|entry| (entry.target, None)), answered: None }
    }

    fn hold(&self, turn: &Turn, target: u64, now: Instant) {
        let (now_ms, until_ms) = (self.millis(now), self.millis(now + turn.life));
        self.with_set(turn.key, |set| {
            let place = place(set, turn.key, now_ms);
            if let Some(entry) = set.get_mut(place) {
                *entry = Entry { key: turn.key, target, until_ms };
            }
        });
    }

    fn forget(&self, key: u64, target: u64) {
        self.with_set(key, |set| {
            let gone = set.iter_mut().find(|entry| entry.key == key && entry.target == target);
            gone.into_iter().for_each(|entry| *entry = Entry::default());
        });
    }

    fn with_set<T: Default>(&self, key: u64, work: impl FnOnce(&mut Set) -> T) -> T {
        let set = usize::try_from(key).ok().and_then(|key| self.sets.get(key % SETS));
        set.map_or_else(T::default, |set| work(&mut set.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    fn millis(&self, moment: Instant) -> u64 {
        u64::try_from(moment.saturating_duration_since(self.origin).as_millis()).unwrap_or(u64::MAX)
    }
}

/// Where an entry goes: where it is, else where none counts any more, else where one ends soonest.
fn place(set: &Set, key: u64, now_ms: u64) -> usize {
    let rank = |entry: &Entry| (entry.key != key, entry.until_ms > now_ms, entry.until_ms);
    set.iter().enumerate().min_by_key(|(_, entry)| rank(entry)).map_or(0, |(place, _)| place)
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
            affinity.forget(self.key, target);
        }
    }

    /// This one has begun to answer: it has read the prompt.
    pub fn answered(&mut self, target: u64, place: usize) {
        self.answered = Some((target, place));
    }

    /// The answer is over, and nobody but perhaps the client broke it off.
    pub fn settle(&self, affinity: &Affinity, now: Instant) {
        if let Some((target, place)) = self.answered
            && moves(self.held, (target, place))
        {
            affinity.hold(self, target, now);
        }
    }

    /// The answer broke.
    pub(crate) fn broke(&mut self, affinity: &Affinity) {
        if let Some((target, _)) = self.answered {
            self.lost(affinity, target);
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

    /// A turn that is answered by `target`, in its place, at this second.
    fn answer(affinity: &Affinity, of: Conversation, (target, place): (u64, usize), at: Instant) {
        let mut turn = affinity.turn(WHO, of, at);
        turn.answered(target, place);
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
        busy.answered(8, 1);
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
            failing.answered(8, 1);
            failing.settle(&affinity, now);
            assert_eq!(affinity.turn(WHO, of(1), now).held(), Some(8));
            answer(&affinity, of(1), (7, 0), now);
            // That turn did not know where its holder stands: whoever answered holds it.
            assert_eq!(affinity.turn(WHO, of(1), now).held(), Some(7));
        }
        let mut broken = turn(Some(0));
        broken.answered(7, 0);
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
    fn a_full_set_loses_what_would_have_ended_first() {
        let now_ms = 50;
        let entry = |key, until_ms| Entry { key, target: 1, until_ms };
        let mut set: Set = std::array::from_fn(|at| entry(at as u64 + 1, 100 + at as u64));
        assert_eq!(place(&set, 3, now_ms), 2, "its own");
        assert_eq!(place(&set, 99, now_ms), 0, "the soonest");
        set[5] = entry(6, 40);
        assert_eq!(place(&set, 99, now_ms), 5, "what counts no more");
    }

    #[test]
    fn memory_is_bounded() {
        assert!(size_of::<Mutex<Set>>() * SETS <= 3_500_000);
        let (affinity, now) = (Affinity::default(), Instant::now());
        for id in 0..200_000 {
            answer(&affinity, of(id), (1, 0), now);
        }
        let held = (0..200_000).filter(|id| affinity.turn(WHO, of(*id), now).held().is_some()).count();
        assert!((100_000..=SETS * WAYS).contains(&held), "{held}");
    }
}
