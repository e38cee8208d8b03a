//! What the audit reads.

use std::collections::BTreeSet;

use ::clickhouse::Row;
use schemas::rollups::{Family, Grain};
use schemas::time::Timestamp;
use serde::Deserialize;
use uuid::Uuid;

use super::statement::{Statement, Value, one_more};
use crate::audit::{Checks, Difference, Sums};
use crate::clickhouse::{ClickHouse, Error};
use crate::params::{LATEST_SECONDS, Range};

/// Runs of numbers that one reading may bring: a ledger that has lost nothing has one per minute.
const RUNS_MAX: usize = 1_000_000;
/// Buckets that differ: those beyond are as wrong as these.
pub const DIFFERENCES_MAX: usize = 1000;
/// The grains, and how a statement's values for them begin.
const GRAINS: [(Grain, &str); 3] = [(Grain::Minute, "minute"), (Grain::Hour, "hour"), (Grain::Day, "day")];

/// A row of `audit_events.sql`: numbers of one ledger and partition, every one from the first to the last.
#[derive(Clone, Debug, PartialEq, Eq, Row, Deserialize)]
pub struct HeldRun {
    /// The ledger.
    #[serde(with = "::clickhouse::serde::uuid")]
    pub epoch: Uuid,
    /// The partition.
    pub partition: u16,
    /// Minutes since 1970: when the first of them was emitted at the latest known.
    pub minute: i64,
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
    of_rows(Statement::new(include_str!("audit_events.sql"), one_more(RUNS_MAX)), recorded)
}

/// The statement for [`size`].
pub(super) fn size_of(since: Timestamp) -> Statement {
    of_rows(Statement::new(include_str!("audit_size.sql"), 1), &Recorded::Since(since))
}

/// How many events were recorded since then.
pub async fn size(clickhouse: &ClickHouse, since: Timestamp) -> Result<u64, Error> {
    super::count_of(clickhouse, &size_of(since)).await
}

fn of_rows(statement: Statement, recorded: &Recorded<'_>) -> Statement {
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

/// The statement for [`differences`].
pub(super) fn differences_of(range: Range, now: Timestamp) -> Statement {
    let mut statement = Statement::new(include_str!("audit_rollups.sql"), one_more(DIFFERENCES_MAX));
    statement = statement.fill("rollups", &rollups().join("\n    UNION ALL\n    "));
    for (grain, name) in GRAINS {
        let (from, to) = whole_buckets(range, grain, now);
        let (from, to) = (Value::Integer(from), Value::Integer(to));
        statement = statement.bind(format!("{name}_from"), from).bind(format!("{name}_to"), to);
    }
    statement
}

/// The buckets of a range in which it neither begins nor ends, in seconds since 1970. What ends now ends nowhere: no row is
/// from later.
fn whole_buckets(range: Range, grain: Grain, now: Timestamp) -> (i64, i64) {
    let length = grain.seconds();
    let seconds = |time: Timestamp| time.as_micros().div_euclid(1_000_000);
    let from = (range.from.as_micros() + length * 1_000_000 - 1).div_euclid(length * 1_000_000) * length;
    let to = if range.to >= now { LATEST_SECONDS } else { seconds(range.to).div_euclid(length) * length };
    (from, to.max(from))
}

/// What the rollups hold.
fn rollups() -> Vec<String> {
    let mut parts = Vec::new();
    for family in Family::ALL {
        let cost = if family == Family::Usage { "ifNull(sum(cost_usd), 0)" } else { "0" };
        // Of the cuts one is enough here: what tells a cut from the others is a name.
        let [input, output] = ["input_tokens", "output_tokens"].map(|tokens| match family {
            Family::Usage | Family::Candidates => format!("ifNull(sum({tokens}), 0)"),
            Family::Health => format!("ifNull(sumIf({tokens}, cut = ''), 0)"),
            Family::Latency => "0".to_owned(),
        });
        let counted = family.counted();
        for (grain, name) in GRAINS {
            let table = family.table(grain);
            parts.push(format!(
                "SELECT '{table}', bucket AS start, 1, toInt64({counted}), toInt64({input}), toInt64({output}), \
                 CAST({cost}, 'Decimal(38, 12)'), toDateTime64(0, 6, 'UTC') \
                 FROM {table} WHERE bucket >= toDateTime({{{name}_from:Int64}}, 'UTC') \
                 AND bucket < toDateTime64({{{name}_to:Int64}}, 0, 'UTC') GROUP BY start"
            ));
        }
    }
    parts
}

/// Buckets of a range of which the rollups hold something else than the rows add up to.
pub async fn differences(clickhouse: &ClickHouse, range: Range, now: Timestamp) -> Result<Vec<Difference>, Error> {
    let mut differences = clickhouse.rows(&differences_of(range, now), DIFFERENCES_MAX + 1).await?;
    differences.truncate(DIFFERENCES_MAX);
    Ok(differences)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_buckets_of_a_range_are_compared() {
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000 + 1);
        let range = Range { from: at(59), to: at(7300) };
        assert_eq!(whole_buckets(range, Grain::Minute, at(9000)), (60, 7260));
        assert_eq!(whole_buckets(range, Grain::Hour, at(9000)), (3600, 7200));
        assert_eq!(whole_buckets(range, Grain::Day, at(9000)), (86_400, 86_400));
        assert_eq!(whole_buckets(range, Grain::Hour, at(7300)), (3600, LATEST_SECONDS));
    }
}
