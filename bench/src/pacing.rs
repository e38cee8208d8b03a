//! How an answer is given: at once, event by event, or not to its end.

use std::time::Duration;

/// How an answer is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pacing {
    /// One JSON body.
    Plain,
    /// A stream whose events are there together.
    Together,
    /// A stream whose events come one by one.
    OneByOne,
    /// A stream that begins and then stays open.
    Idle,
}

/// Between two events that come one by one.
pub const EVENT_PERIOD: Duration = Duration::from_millis(1);

impl Pacing {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Plain, Self::Together, Self::OneByOne, Self::Idle];

    /// Its name in headers and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Together => "together",
            Self::OneByOne => "one by one",
            Self::Idle => "idle",
        }
    }

    /// Whether a stream is asked for.
    pub fn is_stream(self) -> bool {
        self != Self::Plain
    }
}
