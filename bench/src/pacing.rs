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
    /// A stream as slow as a model speaks, whose events say when they were sent.
    Spoken,
    /// A stream that begins and then stays open.
    Idle,
}

impl Pacing {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Plain, Self::Together, Self::OneByOne, Self::Spoken, Self::Idle];

    /// Its name in headers and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Together => "together",
            Self::OneByOne => "one by one",
            Self::Spoken => "spoken",
            Self::Idle => "idle",
        }
    }

    /// Whether a stream is asked for.
    pub fn is_stream(self) -> bool {
        self != Self::Plain
    }

    /// Events in a stream, all of them counted.
    pub fn events(self) -> usize {
        if self == Self::Spoken { 300 } else { 64 }
    }

    /// Between two events.
    pub fn period(self) -> Option<Duration> {
        match self {
            Self::OneByOne => Some(Duration::from_millis(1)),
            Self::Spoken => Some(Duration::from_millis(20)),
            Self::Plain | Self::Together | Self::Idle => None,
        }
    }
}
