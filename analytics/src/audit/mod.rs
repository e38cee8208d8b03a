//! Whether everything adds up: what gateways have emitted against what ClickHouse holds, and sums against each other.
//!
//! The ledger is the truth, so the audit starts from its numbers and not from the rows: an event that never left its
//! gateway has left no trace in ClickHouse. Pure: what was told and what is held come in, a judgement goes out.

mod ledgers;
mod minutes;
mod rollups;
mod sums;

pub use ledgers::{Ledger, Tellings, judge, unheld};
pub use minutes::{MINUTES_MAX, Minute, by_minute};
pub use rollups::{Difference, judge_rollups};
pub use sums::{Checks, Sums, judge_sums};

use serde::Serialize;

/// What can be said of a part of the books, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Everything adds up.
    Clean,
    /// Something is on its way and nothing speaks against its arrival.
    Pending,
    /// Not everything could be asked. Never a way of saying that nothing is wrong.
    Unknown,
    /// Something does not add up.
    Unclean,
}

/// A judgement, and in words what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What can be said.
    pub state: State,
    /// Why, and what to do; empty when nothing is to be done.
    pub reason: String,
}

impl Finding {
    /// Something could not be asked.
    pub fn unknown(reason: &str) -> Self {
        Self::new(State::Unknown, reason)
    }

    /// Something is under way.
    pub fn pending(reason: &str) -> Self {
        Self::new(State::Pending, reason)
    }

    /// There is more of what has this state.
    pub fn more(state: State, reason: String) -> Self {
        Self::new(state, reason)
    }

    fn new(state: State, reason: impl Into<String>) -> Self {
        Self { state, reason: reason.into() }
    }
}

/// The judgement over all parts, with every reason there is.
pub fn overall<'a>(findings: impl IntoIterator<Item = (State, &'a str)>) -> (State, Vec<String>) {
    let mut state = State::Clean;
    let mut reasons: Vec<String> = Vec::new();
    for (found, reason) in findings {
        state = state.max(found);
        if !reason.is_empty() && !reasons.iter().any(|known| known == reason) {
            reasons.push(reason.to_owned());
        }
    }
    (state, reasons)
}

#[cfg(test)]
mod tests;
