//! What the audit reads.

use std::collections::BTreeSet;

use ::clickhouse::Row;
use schemas::time::Timestamp;
use serde::Deserialize;
use uuid::Uuid;

use super::statement::{Statement, Value, one_more};
use crate::audit::{Checks, Sums};
use crate::clickhouse::{ClickHouse, Error};
use crate::params::Range;

/// Runs of numbers that one reading may bring: a ledger that has lost nothing has one.
const RUNS_MAX: usize = 1_000_000;

/// A row of `audit_events.sql`: numbers of one ledger and partition, every one from the first to the last.
#[derive(Clone, Debug, PartialEq, Eq, Row, Deserialize)]
pub struct HeldRun {
    /// The ledger.
    #[serde(with = "::clickhouse::serde::uuid")]
    pub epoch: Uuid,
    /// The partition.
    pub partition: u16,
    /// The gateway's name; empty when only dead letters are there.
    pub gateway: String,
    /// The first number.
    pub first_seq: u64,
    /// The last number, inclusive.
    pub last_seq: u64,
    /// Rows that carry them.
    pub rows: u64,
    /// How many of the numbers are dead letters.
    pub dead_letters: u64,
}

/// Which rows of the event tables are looked at.
pub enum Recorded<'a> {
    /// Those recorded since then.
    Since(Timestamp),
    /// Those of some ledgers that were recorded before then.
    Before(Timestamp, &'a BTreeSet<Uuid>),
}

/// The statement for [`held`].
pub(super) fn events(recorded: &Recorded<'_>) -> Statement {
    let statement = Statement::new(include_str!("audit_events.sql"), one_more(RUNS_MAX));
    match recorded {
        Recorded::Since(since) => statement
            .fill("rows", "recorded_at >= fromUnixTimestamp64Micro({since_micros:Int64}, 'UTC')")
            .bind("since_micros", Value::Integer(since.as_micros())),
        Recorded::Before(before, epochs) => statement
            .fill(
                "rows",
                "recorded_at < fromUnixTimestamp64Micro({before_micros:Int64}, 'UTC') \
                 AND toString(epoch) IN {epochs:Array(String)}",
            )
            .bind("before_micros", Value::Integer(before.as_micros()))
            .bind("epochs", Value::List(epochs.iter().map(Uuid::to_string).collect())),
    }
}

/// Which event numbers have rows.
pub async fn held(clickhouse: &ClickHouse, recorded: Recorded<'_>) -> Result<Vec<HeldRun>, Error> {
    clickhouse.rows(&events(&recorded), RUNS_MAX).await
}

/// The statement for [`sums`].
pub(super) fn sums_of(range: Range) -> Statement {
    Statement::new(include_str!("audit_sums.sql"), 10).scope(range, &[], None)
}

/// The sums of a range, read in several ways.
pub async fn sums(clickhouse: &ClickHouse, range: Range) -> Result<Vec<Sums>, Error> {
    clickhouse.rows(&sums_of(range), 10).await
}

/// The statement for [`checks`].
pub(super) fn checks_of(range: Range, overdue_before: Timestamp) -> Statement {
    Statement::new(include_str!("audit_checks.sql"), 1)
        .scope(range, &[], None)
        .bind("overdue_before_micros", Value::Integer(overdue_before.as_micros()))
}

/// How many requests of a range something may be wrong with. Those that were let in before `overdue_before` must have ended.
pub async fn checks(clickhouse: &ClickHouse, range: Range, overdue_before: Timestamp) -> Result<Checks, Error> {
    let mut rows = clickhouse.rows(&checks_of(range, overdue_before), 1).await?;
    rows.pop().ok_or_else(|| Error::Failed("the checks came without their row".to_owned()))
}
