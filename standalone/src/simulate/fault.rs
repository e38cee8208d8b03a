//! Faults on demand: `claude-sonnet-5-5-sim-cut` as the model's name, or the header `x-simulate: cut`.

use std::fmt;
use std::str::FromStr;

/// The header that asks for a fault.
pub const HEADER: &str = "x-simulate";
/// The header by which a client tells its request from all others in the tally.
pub const TAG: &str = "x-simulate-tag";

/// What goes wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `error-529`, `error-429-7`: that status in the format's own shape, with `retry-after` in seconds where given.
    Error {
        /// From 400 to 599.
        status: u16,
        /// `retry-after`; 429 has one of a second unless told otherwise.
        retry_after_s: Option<u32>,
    },
    /// `html`: a load balancer's 502 page instead of JSON.
    Html,
    /// `drop`: the connection ends before the response's head.
    Drop,
    /// `hang`: the response's head never comes.
    Hang,
    /// `silent`: a stream's head comes, and then nothing.
    Silent,
    /// `cut`: the connection ends in the middle of the answer.
    Cut,
    /// `stall`: the answer stops in the middle, the connection stays.
    Stall,
    /// `stream-error`: an error event in the middle of the stream; 529 or 503 where the answer is not a stream.
    StreamError,
    /// `early-error`: an error under status 200, in place of the answer or of a stream's first event.
    EarlyError,
    /// `slow`: fifty milliseconds per token.
    Slow,
    /// `no-usage`: a complete answer that says nothing of what it used.
    NoUsage,
}

/// The text names no fault.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is no fault of the simulator: write error-<status>[-<retry after, s>], {names}", names = NAMES.map(|(name, _)| name).join(", "))]
pub struct InvalidFault(String);

const NAMES: [(&str, Fault); 10] = [
    ("html", Fault::Html),
    ("drop", Fault::Drop),
    ("hang", Fault::Hang),
    ("silent", Fault::Silent),
    ("cut", Fault::Cut),
    ("stall", Fault::Stall),
    ("stream-error", Fault::StreamError),
    ("early-error", Fault::EarlyError),
    ("slow", Fault::Slow),
    ("no-usage", Fault::NoUsage),
];

impl Fault {
    /// The fault that a model's name asks for: what stands behind `sim-` at its start or after a dash or slash.
    pub fn of_model(model: &str) -> Result<Option<Self>, InvalidFault> {
        let marked = |(at, _): &(usize, &str)| {
            model.get(..*at).is_some_and(|head| head.is_empty() || head.ends_with(['-', '/']))
        };
        let Some((at, mark)) = model.match_indices("sim-").find(marked) else { return Ok(None) };
        model.get(at + mark.len()..).unwrap_or_default().parse().map(Some)
    }
}

impl FromStr for Fault {
    type Err = InvalidFault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let invalid = || InvalidFault(text.to_owned());
        if let Some((_, fault)) = NAMES.iter().find(|(name, _)| *name == text) {
            return Ok(*fault);
        }
        let numbers = text.strip_prefix("error-").ok_or_else(invalid)?;
        let (status, retry_after) = match numbers.split_once('-') {
            Some((status, seconds)) => (status, Some(seconds.parse().map_err(|_| invalid())?)),
            None => (numbers, None),
        };
        let status = status.parse().ok().filter(|status| (400..600).contains(status)).ok_or_else(invalid)?;
        Ok(Self::Error { status, retry_after_s: retry_after.or((status == 429).then_some(1)) })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error { status, retry_after_s: None } => write!(f, "error-{status}"),
            Self::Error { status, retry_after_s: Some(seconds) } => write!(f, "error-{status}-{seconds}"),
            fault => f.write_str(NAMES.iter().find(|(_, named)| named == fault).map_or("", |(name, _)| *name)),
        }
    }
}
