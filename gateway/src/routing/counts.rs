//! The metrics of affinity.

use prometheus::{IntCounterVec, Opts, Registry};

use super::affinity::{Course, Previous, Turn};

/// What became of conversations, and of requests that go on from a response.
#[derive(Debug)]
pub(crate) struct Counts {
    conversations: IntCounterVec,
    follow_ups: IntCounterVec,
}

impl Course {
    const ALL: [Self; 4] = [Self::Hit, Self::New, Self::Moved, Self::Busy];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::New => "new",
            Self::Moved => "moved",
            Self::Busy => "busy",
        }
    }
}

/// Whoever keeps the response has answered, somebody else has, or nobody here knew who it is.
const FOLLOW_UPS: [&str; 3] = ["hit", "missed", "unknown"];

impl Counts {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| IntCounterVec::new(Opts::new(name, help), &["result"]);
        let counts = Self {
            conversations: counter(
                "weir_affinity_total",
                "Answers by where their conversation was: hit (cached there), new, moved, busy (answered elsewhere once).",
            )?,
            follow_ups: counter(
                "weir_follow_ups_total",
                "Answers to requests with a previous_response_id: hit (from the account that keeps it), missed, unknown.",
            )?,
        };
        registry.register(Box::new(counts.conversations.clone()))?;
        registry.register(Box::new(counts.follow_ups.clone()))?;
        // From the start, so that a rate has a beginning.
        Course::ALL.iter().for_each(|course| drop(counts.conversations.with_label_values(&[course.as_str()])));
        FOLLOW_UPS.iter().for_each(|result| drop(counts.follow_ups.with_label_values(&[*result])));
        Ok(counts)
    }

    /// An answer is over. A request that goes on from a response is a turn of no other conversation.
    pub(crate) fn settled(&self, turn: &Turn) {
        let [hit, missed, unknown] = FOLLOW_UPS;
        match (turn.is_at_home(), turn.course()) {
            (Some((Previous::Unknown, _)), _) => self.follow_ups.with_label_values(&[unknown]).inc(),
            (Some((_, is_at_home)), _) => {
                self.follow_ups.with_label_values(&[if is_at_home { hit } else { missed }]).inc();
            }
            (None, Some(course)) => self.conversations.with_label_values(&[course.as_str()]).inc(),
            (None, None) => {}
        }
    }
}
