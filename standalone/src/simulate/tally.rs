//! What was served: the truth that bills are compared with.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use schemas::outcome::Format;
use schemas::usage::Usage;
use serde::{Deserialize, Serialize};

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Sent to its end.
    Completed,
    /// The client left before the end.
    Aborted,
    /// A fault that was asked for broke it off.
    Broken,
    /// Answered with an HTTP error.
    Refused,
}

/// One request and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The `request-id` or `x-request-id` header of the response; unique.
    pub request_id: String,
    /// The `id` in the body; empty where there was no answer.
    pub response_id: String,
    /// The dialect.
    pub format: Format,
    /// The model that was asked for; empty where the body could not be read.
    pub model: String,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// How it ended.
    pub ending: Ending,
    /// HTTP status; 0 where not even the head was sent.
    pub status: u16,
    /// What the provider bills: of an answer that did not reach its end, the tokens made until then.
    pub usage: Usage,
    /// Whether this usage was told to the client.
    pub usage_reported: bool,
    /// The fault that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// What the request said in the header [`super::TAG`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

/// What was billed for one model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelTally {
    /// Answers that were billed.
    pub billed: u64,
    /// All prompt tokens.
    pub input: u64,
    /// Prompt tokens read from the cache.
    pub cache_read: u64,
    /// Prompt tokens written to the cache for five minutes.
    pub cache_write_5m: u64,
    /// Prompt tokens written to the cache for one hour.
    pub cache_write_1h: u64,
    /// All output tokens.
    pub output: u64,
    /// Output tokens spent on reasoning.
    pub reasoning: u64,
}

/// Everything that was served. Answers still under way are in `running` only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Requests that have ended.
    pub requests: u64,
    /// Requests that have not ended yet.
    pub running: u64,
    /// How they ended.
    pub endings: BTreeMap<Ending, u64>,
    /// What was billed, by the model that was asked for.
    pub models: BTreeMap<String, ModelTally>,
    /// One by one, the oldest first; the oldest are dropped beyond a limit.
    pub answers: VecDeque<Answer>,
}

impl ModelTally {
    fn add(&mut self, usage: &Usage) {
        self.billed += 1;
        self.input += usage.input.unwrap_or(0);
        self.cache_read += usage.cache_read.unwrap_or(0);
        self.cache_write_5m += usage.cache_write_5m.unwrap_or(0);
        self.cache_write_1h += usage.cache_write_1h.unwrap_or(0);
        self.output += usage.output.unwrap_or(0);
        self.reasoning += usage.reasoning.unwrap_or(0);
    }
}

/// Where answers are entered.
#[derive(Debug)]
pub(super) struct Book {
    tally: Mutex<Tally>,
    answers_max: usize,
}

impl Book {
    pub(super) fn new(answers_max: usize) -> Self {
        Self { tally: Mutex::default(), answers_max }
    }

    pub(super) fn tally(&self) -> Tally {
        self.lock().clone()
    }

    pub(super) fn open(self: &Arc<Self>, answer: Answer) -> Ticket {
        self.lock().running += 1;
        Ticket {
            book: Arc::clone(self),
            open: Some(answer),
            billed: None,
            sent: 0,
            tells_as_it_goes: false,
            is_told: false,
        }
    }

    fn enter(&self, answer: Answer) {
        let mut tally = self.lock();
        tally.running -= 1;
        tally.requests += 1;
        *tally.endings.entry(answer.ending).or_default() += 1;
        if answer.usage.is_known() {
            tally.models.entry(answer.model.clone()).or_default().add(&answer.usage);
        }
        tally.answers.push_back(answer);
        while tally.answers.len() > self.answers_max {
            tally.answers.pop_front();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request under way: entered exactly once, as settled, or, when it is dropped, as what `answer.ending` says then.
#[derive(Debug)]
pub(super) struct Ticket {
    book: Arc<Book>,
    open: Option<Answer>,
    billed: Option<Usage>,
    sent: u64,
    tells_as_it_goes: bool,
    /// Whether the client knows of everything that was sent what it has used.
    is_told: bool,
}

impl Ticket {
    /// From now on there is an answer, of that id: the prompt is billed, and what is sent.
    pub(super) fn bill(&mut self, response_id: &str, usage: Usage) {
        self.billed = Some(usage);
        if let Some(answer) = &mut self.open {
            response_id.clone_into(&mut answer.response_id);
        }
    }

    /// From now on whatever is sent says what was used until then.
    pub(super) fn tells_as_it_goes(&mut self) {
        self.tells_as_it_goes = true;
    }

    /// Output tokens that have just been sent.
    pub(super) fn sent(&mut self, tokens: u64) {
        self.sent += tokens;
        self.is_told = self.tells_as_it_goes;
    }

    /// Says how the answer counts if it is left where it is now.
    pub(super) fn falls_as(&mut self, ending: Ending) {
        if let Some(answer) = &mut self.open {
            answer.ending = ending;
        }
    }

    /// Enters the answer.
    pub(super) fn settle(&mut self, ending: Ending, usage_reported: bool) {
        let Some(mut answer) = self.open.take() else { return };
        answer.ending = ending;
        answer.usage_reported = usage_reported || (ending == Ending::Broken && self.is_told);
        if let Some(whole) = self.billed {
            answer.usage = whole;
            if ending != Ending::Completed {
                answer.usage.output = Some(self.sent);
                answer.usage.reasoning = whole.reasoning.map(|reasoning| reasoning.min(self.sent));
            }
        }
        self.book.enter(answer);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(ending) = self.open.as_ref().map(|answer| answer.ending) {
            self.settle(ending, false);
        }
    }
}
