//! Which target a conversation's prompt is cached at, for as long as its provider keeps it (R17), and which account keeps
//! a response that a later request goes on from.
//!
//! Per client and model, in memory, for this process alone. It need not be shared: without an entry every gateway orders
//! the candidates of a client alike, and all of them know whose breaker is open, so that they differ only in where a
//! conversation went after a failure that one of them saw; that costs one reading of a prompt per gateway, where sharing
//! would cost a message per answer. An account that does not keep a response says so, and the next one is asked.

#[cfg(test)]
mod tests;

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
