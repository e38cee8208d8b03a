//! Rollups against the rows that they sum up.

use std::fmt;

use ::clickhouse::Row;
use schemas::money::Pico;
use schemas::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Finding, State};
use crate::queries::{DIFFERENCES_MAX, Instant, Money, Text};

/// A bucket into which rows came within this time is not judged: its views may not have been filled yet.
const FRESH_SECONDS: f64 = 10.0;
/// So many are told one by one among the reasons; the reply has all of them.
const REASONS_MAX: usize = 20;

/// A row of `audit_rollups.sql`: a bucket of a rollup that holds something else than its rows
/// add up to.
#[derive(Clone, Debug, PartialEq, Eq, Row, Deserialize, Serialize)]
pub struct Difference {
    pub(super) rollup: Text,
    pub(super) bucket: Instant,
    pub(super) expected_count: i64,
    pub(super) found_count: i64,
    pub(super) expected_input_tokens: i64,
    pub(super) found_input_tokens: i64,
    pub(super) expected_output_tokens: i64,
    pub(super) found_output_tokens: i64,
    pub(super) expected_cost_usd: Money,
    pub(super) found_cost_usd: Money,
    pub(super) recorded_at: Instant,
}

impl Difference {
    /// By how much it is wrong. While rows are being written, what there is changes; a fault does not.
    fn excess(&self) -> [i128; 4] {
        [
            i128::from(self.found_count - self.expected_count),
            i128::from(self.found_input_tokens - self.expected_input_tokens),
            i128::from(self.found_output_tokens - self.expected_output_tokens),
            self.found_cost_usd.0 - self.expected_cost_usd.0,
        ]
    }

    fn is_fresh(&self, now: Timestamp) -> bool {
        now.millis_since(Timestamp::from_micros(self.recorded_at.0)) < FRESH_SECONDS * 1000.0
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { expected_count, expected_input_tokens, expected_output_tokens, .. } = self;
        let Self { found_count, found_input_tokens, found_output_tokens, .. } = self;
        write!(
            f,
            "{}, {}: it holds {found_count} of {expected_count}, {found_input_tokens} of {expected_input_tokens} and \
             {found_output_tokens} of {expected_output_tokens} tokens, {} of {} USD",
            self.rollup.0,
            Timestamp::from_micros(self.bucket.0),
            Pico(self.found_cost_usd.0),
            Pico(self.expected_cost_usd.0),
        )
    }
}

/// Judges two readings, one a little after the other: what is different in both, and by the same, is no matter of the moment.
pub fn judge_rollups(first: &[Difference], second: Vec<Difference>, now: Timestamp) -> (Vec<Difference>, Vec<Finding>) {
    let lasts = |one: &Difference| {
        let same = |other: &&Difference| (&other.rollup, other.bucket) == (&one.rollup, one.bucket);
        first.iter().find(same).is_some_and(|before| before.excess() == one.excess())
    };
    let read = second.len();
    let lasting: Vec<Difference> = second.into_iter().filter(lasts).collect();
    let mut findings: Vec<Finding> = lasting
        .iter()
        .take(REASONS_MAX)
        .map(|difference| match difference.is_fresh(now) {
            true => Finding::new(State::Pending, format!("rows are being written: rollup {difference}")),
            false => {
                let remedy = "answers of that time are wrong until the recorder has made the day anew, some minutes after \
                              the end of the hour";
                Finding::new(State::Unclean, format!("rollup {difference}; {remedy}"))
            }
        })
        .collect();
    if lasting.len() > REASONS_MAX {
        let is_over = lasting.iter().any(|difference| !difference.is_fresh(now));
        let state = if is_over { State::Unclean } else { State::Pending };
        let more = if read < DIFFERENCES_MAX { "" } else { " or more: a shorter range tells all" };
        let text = format!("{} further buckets of rollups differ from their rows{more}", lasting.len() - REASONS_MAX);
        findings.push(Finding::new(state, text));
    }
    (lasting, findings)
}
