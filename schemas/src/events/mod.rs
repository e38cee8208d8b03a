//! The events: a head that is the same for all, and one body per kind and phase.
//!
//! An event is one line of JSON. The gateway prepares the body while nobody waits, and joins it with the head when the
//! ledger gives the number, so that the lock which keeps numbers gapless is held for one `write` only.

mod bodies;
mod body_only;
mod candidate;
mod json;
mod line;
mod opened;
mod receipt;

pub use bodies::{Bodies, Captured};
pub use candidate::Candidate;
pub use line::Address;
pub use opened::Opened;
pub use receipt::{ErrorNote, NORMALISER_VERSION, Receipt};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::outcome::{Kind, Outcome};
use crate::time::Timestamp;

/// The version of the wire form that this code writes and reads.
pub const VERSION: u8 = 1;

/// The fields that every event carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Version of the wire form.
    pub v: u8,
    /// Which of the kinds.
    pub kind: Kind,
    /// `opened` or `settled` for [`Kind::Stream`], absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// The gateway ledger that numbered this event.
    pub epoch: Uuid,
    /// The partition, a function of the request id.
    pub partition: u16,
    /// Gapless within epoch and partition, starting at 1, given at append.
    pub seq: u64,
    /// When the event was made.
    pub at: Timestamp,
    /// The request, a UUIDv7 of ours (W14: never the client's).
    pub request_id: Uuid,
    /// The gateway's configured name.
    pub gateway: String,
}

/// The two phases of a stream event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Let in, before the first attempt.
    Opened,
    /// The terminal event of an answer that completed.
    Settled,
}

/// What an event says.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// A request was let in.
    Opened(Box<Opened>),
    /// The terminal event of a request, completed or not: [`Receipt::outcome`] tells.
    Terminal(Box<Receipt>),
    /// A candidate was considered.
    Candidate(Box<Candidate>),
    /// What was said, where it is kept.
    Bodies(Box<Bodies>),
}

/// Where a body is read from.
#[derive(Clone, Copy)]
enum Source<'a> {
    /// A whole line, of which the head is passed over.
    Line(&'a [u8]),
    /// An object of its own.
    Alone(&'a str),
}

impl Source<'_> {
    fn read<T: DeserializeOwned>(self) -> Result<T, serde_json::Error> {
        match self {
            Self::Line(line) => serde_json::from_slice(line),
            Self::Alone(text) => body_only::read(text),
        }
    }
}

impl Body {
    /// Reads the body that a head announces.
    fn read(head: &Head, source: Source<'_>) -> Result<Self, DecodeError> {
        let mismatch = |outcome| DecodeError::Mismatch { kind: head.kind, phase: head.phase, outcome };
        Ok(match (head.kind, head.phase) {
            (Kind::Stream, Some(Phase::Opened)) => Self::Opened(source.read()?),
            (Kind::Stream, Some(Phase::Settled)) | (Kind::Failure, None) => {
                let receipt: Box<Receipt> = source.read()?;
                if (receipt.outcome == Outcome::Completed) != (head.kind == Kind::Stream) {
                    return Err(mismatch(Some(receipt.outcome)));
                }
                Self::Terminal(receipt)
            }
            (Kind::Candidate, None) => Self::Candidate(source.read()?),
            (Kind::Body, None) => Self::Bodies(source.read()?),
            _ => return Err(mismatch(None)),
        })
    }
}

/// The same, where it stands.
#[derive(Clone, Copy, Debug)]
pub enum BodyRef<'a> {
    /// [`Body::Opened`]
    Opened(&'a Opened),
    /// [`Body::Terminal`]
    Terminal(&'a Receipt),
    /// [`Body::Candidate`]
    Candidate(&'a Candidate),
    /// [`Body::Bodies`]
    Bodies(&'a Bodies),
}

impl<'a> From<&'a Body> for BodyRef<'a> {
    fn from(body: &'a Body) -> Self {
        match body {
            Body::Opened(opened) => Self::Opened(opened),
            Body::Terminal(receipt) => Self::Terminal(receipt),
            Body::Candidate(candidate) => Self::Candidate(candidate),
            Body::Bodies(bodies) => Self::Bodies(bodies),
        }
    }
}

/// An event as the recorder reads it.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Who, when, which number.
    pub head: Head,
    /// What happened.
    pub body: Body,
}

/// Why a line is no event. The text is what the dead-letter table shows.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not JSON, or a field is missing or of another type.
    #[error("not a valid event: {0}")]
    Json(#[from] serde_json::Error),
    /// Written by a newer gateway: upgrade the recorder, then replay.
    #[error("event version {0} is not supported by this recorder (it reads {VERSION}): upgrade it, then replay")]
    Version(u8),
    /// The head's kind and phase do not go together, or contradict the outcome.
    #[error("kind {kind}, phase {phase:?} and outcome {outcome:?} do not go together")]
    Mismatch {
        /// The head's kind.
        kind: Kind,
        /// The head's phase.
        phase: Option<Phase>,
        /// The body's outcome, where the body is a receipt.
        outcome: Option<Outcome>,
    },
}

impl Event {
    /// Reads one line of a pack.
    pub fn decode(line: &[u8]) -> Result<Self, DecodeError> {
        // As gateways write it, a line is read in one pass. Any other spelling, and every line with something wrong in
        // it, is read by the rules, so that these alone say what an event is and what is wrong with a line.
        match Self::as_written(line) {
            Some(event) => Ok(event),
            None => Self::by_the_rules(line),
        }
    }

    fn as_written(line: &[u8]) -> Option<Self> {
        let (head, rest) = line::read_head(line)?;
        if head.v != VERSION {
            return None;
        }
        // The body is an object once more: `,"a":1}` becomes `{"a":1}`.
        let mut text = String::with_capacity(rest.len());
        text.push('{');
        text.push_str(str::from_utf8(rest.strip_prefix(b",")?).ok()?);
        let body = Body::read(&head, Source::Alone(&text)).ok()?;
        Some(Self { head, body })
    }

    fn by_the_rules(line: &[u8]) -> Result<Self, DecodeError> {
        let head: Head = serde_json::from_slice(line)?;
        if head.v != VERSION {
            return Err(DecodeError::Version(head.v));
        }
        let body = Body::read(&head, Source::Line(line))?;
        Ok(Self { head, body })
    }
}

/// An event that has everything but its place in the ledger.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The kind, which the subject needs.
    pub kind: Kind,
    /// The request, which decides the partition.
    pub request_id: Uuid,
    /// Whether this is the request's opened event: the ledger then waits for its terminal one.
    pub opens: bool,
    /// Whether this is the request's terminal event.
    pub settles: bool,
    at: Timestamp,
    phase: Option<Phase>,
    body: Vec<u8>,
}

/// The place that a ledger gives an event.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The ledger's identity.
    pub epoch: Uuid,
    /// The partition of the request.
    pub partition: u16,
    /// The number.
    pub seq: u64,
    /// The gateway's name.
    pub gateway: &'a str,
}

impl Prepared {
    /// Serialises a body. Fails only if a value cannot be JSON, which the types rule out but for non-finite numbers.
    pub fn new<'a>(request_id: Uuid, at: Timestamp, body: impl Into<BodyRef<'a>>) -> Result<Self, serde_json::Error> {
        let body = body.into();
        let (kind, phase, json) = match body {
            BodyRef::Opened(opened) => (Kind::Stream, Some(Phase::Opened), json(opened)?),
            BodyRef::Terminal(receipt) if receipt.outcome == Outcome::Completed => {
                (Kind::Stream, Some(Phase::Settled), json(receipt)?)
            }
            BodyRef::Terminal(receipt) => (Kind::Failure, None, json(receipt)?),
            BodyRef::Candidate(candidate) => (Kind::Candidate, None, json(candidate)?),
            BodyRef::Bodies(bodies) => (Kind::Body, None, json(bodies)?),
        };
        let (opens, settles) = (matches!(body, BodyRef::Opened(_)), matches!(body, BodyRef::Terminal(_)));
        Ok(Self { kind, request_id, opens, settles, at, phase, body: json })
    }

    /// Appends the finished line, without a line end, to `out`.
    pub fn seal_into(&self, place: Place<'_>, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        let head = Head {
            v: VERSION,
            kind: self.kind,
            phase: self.phase,
            epoch: place.epoch,
            partition: place.partition,
            seq: place.seq,
            at: self.at,
            request_id: self.request_id,
            gateway: place.gateway.to_owned(),
        };
        line::write_head(&head, out)?;
        // Both are objects with at least one field: `{head` and `{body}` become `{head,body}`.
        out.push(b',');
        out.extend_from_slice(self.body.get(1..).unwrap_or_default());
        Ok(())
    }
}

/// A body's JSON, in a buffer that holds all but the longest.
fn json(body: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut json = Vec::with_capacity(1 << 10);
    json::write(body, &mut json)?;
    Ok(json)
}

#[cfg(test)]
mod tests;
