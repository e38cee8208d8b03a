//! Sums that must be equal, and requests that must have ended.

use std::fmt;

use ::clickhouse::Row;
use serde::{Deserialize, Serialize};

use super::{Finding, State};
use crate::queries::{Money, Text};

/// A row of `audit_sums.sql`: the same sums, read in one of several ways.
#[derive(Clone, Debug, PartialEq, Eq, Row, Deserialize, Serialize)]
pub struct Sums {
    pub(super) source: Text,
    pub(super) requests: u64,
    pub(super) input_tokens: Option<u64>,
    pub(super) output_tokens: Option<u64>,
    pub(super) cost_usd: Option<Money>,
}

/// The row of `audit_checks.sql`: requests in the range of which something may be wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Row, Deserialize, Serialize)]
pub struct Checks {
    /// Let in and without an end for longer than a request may take.
    pub(super) overdue_requests: u64,
    /// More than one terminal event.
    pub(super) ended_twice_requests: u64,
    /// Ended without having been let in, though it was sent upstream.
    pub(super) never_opened_requests: u64,
    /// Events that could not become rows, by when they were recorded.
    pub(super) dead_letters: u64,
    /// Tokens are known and no price is. Nothing is lost by that: the rows can be repriced.
    pub(super) unpriced_requests: u64,
    /// Charged for, and nobody told the counts.
    pub(super) unknown_usage_requests: u64,
}

impl fmt::Display for Sums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |value: Option<u64>| value.map_or("unknown".to_owned(), |value| value.to_string());
        let cost = self.cost_usd.map_or("unknown".to_owned(), |cost| schemas::money::Pico(cost.0).to_string());
        let (input, output) = (number(self.input_tokens), number(self.output_tokens));
        write!(f, "{} {} requests, {input} and {output} tokens, {cost} USD", self.source.0, self.requests)
    }
}

/// Judges what was summed up and counted.
pub fn judge_sums(sums: &[Sums], checks: &Checks) -> Vec<Finding> {
    let unclean = |reason: String| Finding::new(State::Unclean, reason);
    let mut findings = Vec::new();
    if let Some((first, rest)) = sums.split_first() {
        let same = |other: &&Sums| Sums { source: first.source.clone(), ..(*other).clone() } == *first;
        let others = rest.iter().filter(|other| !same(other));
        findings.extend(others.map(|other| {
            unclean(format!(
                "sums differ: {first}, but {other}; trust the first, and ask /v1/audit when rows are merged"
            ))
        }));
    }
    let Checks { overdue_requests, ended_twice_requests, never_opened_requests, dead_letters, .. } = checks;
    if *overdue_requests > 0 {
        findings.push(unclean(format!(
            "{overdue_requests} requests were let in and have not ended in time: look them up in the view \
             open_requests, and start their gateways again, whose ledgers settle them"
        )));
    }
    if *ended_twice_requests > 0 {
        findings.push(unclean(format!("{ended_twice_requests} requests have more than one terminal event")));
    }
    if *never_opened_requests > 0 {
        findings.push(unclean(format!("{never_opened_requests} requests have ended and were never let in")));
    }
    if *dead_letters > 0 {
        findings.push(unclean(format!("{dead_letters} events are dead letters: `weir dead-letters list` tells why")));
    }
    findings
}
