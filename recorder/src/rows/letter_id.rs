//! The name of a dead letter: where its event first arrived.

use std::fmt;
use std::str::FromStr;

/// Names one dead letter for ever: its `Nats-Msg-Id` in the dead-letter stream, its key in the table, and what an operator
/// types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LetterId {
    /// The partition whose stream held the event.
    pub partition: u16,
    /// Which incarnation of the stream.
    pub incarnation: u32,
    /// Sequence of the message.
    pub stream_seq: u64,
    /// Line within the message, from 0.
    pub line: u32,
}

/// The text names no dead letter.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is no dead letter's id: write v1:<partition>:<incarnation>:<stream sequence>:<line>")]
pub struct InvalidLetterId(String);

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partition, incarnation, stream_seq, line } = self;
        write!(f, "v1:{partition}:{incarnation}:{stream_seq}:{line}")
    }
}

impl FromStr for LetterId {
    type Err = InvalidLetterId;

    fn from_str(text: &str) -> Result<Self, InvalidLetterId> {
        let read = || {
            let mut parts = text.strip_prefix("v1:")?.split(':');
            let id = Self {
                partition: parts.next()?.parse().ok()?,
                incarnation: parts.next()?.parse().ok()?,
                stream_seq: parts.next()?.parse().ok()?,
                line: parts.next()?.parse().ok()?,
            };
            parts.next().is_none().then_some(id)
        };
        read().ok_or_else(|| InvalidLetterId(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_back_and_nothing_else_is_one() {
        let id = LetterId { partition: 3, incarnation: 1_800_000_000, stream_seq: 6, line: 2 };
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in ["", "v1:3:9:6", "v1:3:9:6:2:1", "v2:3:9:6:2", "v1:70000:9:6:2", "v1:3:9:-6:2"] {
            assert!(text.parse::<LetterId>().is_err(), "{text}");
        }
    }
}
