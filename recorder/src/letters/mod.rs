//! Dead letters for their operator: what is there, what is in one, and sending it again.
//!
//! A letter is open until a replay of it has been stored. Sending it again is safe at any time and as often as one likes:
//! the recorder stores an event once, by its ledger, partition and number.

mod send;
mod stored;

pub use crate::rows::{InvalidLetterId, LetterId};
pub(crate) use send::REPLAY_HEADER;
pub use send::{Sender, Sent};
pub use stored::{Fate, Filter, Letter, Letters};

/// Why letters cannot be read or sent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The password cannot be read.
    #[error("{0}")]
    Client(String),
    /// ClickHouse does not answer.
    #[error("ClickHouse: {0}")]
    ClickHouse(#[from] clickhouse::error::Error),
    /// NATS does not take the letter.
    #[error("NATS: {0}")]
    Nats(String),
    /// What ClickHouse holds is no payload.
    #[error("the payload of {0} cannot be read")]
    Payload(LetterId),
}
