//! Parameters -> typed rows, one function per `.sql`. No HTTP.

mod cells;
mod aggregates;
mod tables;
mod totals;
mod audit;
mod newest;
mod story;
mod reach;
mod source;
mod questions;
mod statement;

pub use aggregates::{Costs, Failures, Grouped, Latency, Providers, Usage};
pub use audit::{DIFFERENCES_MAX, HeldRun, Recorded, checks, differences, held, size, sums};
pub use cells::{Instant, Money, Text};
pub use questions::{costs, failures, latency, providers, usage};
pub use reach::Rollups;
pub use statement::{Statement, Value};
pub use story::{Whose, adjustments, bodies, candidates, opened, price, request};
pub use tables::{Adjustment, Bodies, Candidate, Opened, PriceTier, Request};
pub use totals::{CandidateTotals, Partition, RequestTotals, TokenTotals};

use self::statement::one_more;
use crate::clickhouse::{ClickHouse, Error};
use crate::params::Search;

/// Rows that the totals of a few days may have: names are bounded by the configuration, reasons by the code.
const TOTALS_ROWS_MAX: usize = 5_000_000;
/// Tables that this service reads, as `ready.sql` lists them.
const TABLES: u64 = 21;

const REQUESTS: &str = include_str!("requests.sql");

/// A page of requests and one more, newest first.
pub async fn page(clickhouse: &ClickHouse, asked: &Search) -> Result<Vec<Request>, Error> {
    let mut rows = Vec::new();
    for piece in newest::pieces(asked.range, asked.cursor.as_ref()) {
        let wanted = (asked.limit + 1).saturating_sub(rows.len());
        if wanted == 0 {
            break;
        }
        let statement = Statement::new(REQUESTS, one_more(wanted - 1)).fill("columns", "?fields");
        let statement = statement.scope(piece, &asked.filters, asked.cursor.as_ref());
        rows.extend(clickhouse.rows(&statement, wanted).await?);
    }
    Ok(rows)
}

/// The statement of all requests in a range, as a file.
pub fn requests(asked: &Search, max_rows: usize) -> Statement {
    let statement = Statement::new(REQUESTS, one_more(max_rows)).fill("columns", "*");
    statement.scope(asked.range, &asked.filters, asked.cursor.as_ref())
}

/// What each day's data is made of.
pub async fn partitions(clickhouse: &ClickHouse) -> Result<Vec<Partition>, Error> {
    let database = Value::Text(clickhouse.database().to_owned());
    let statement = Statement::new(include_str!("partitions.sql"), one_more(TOTALS_ROWS_MAX));
    clickhouse.rows(&statement.bind("database", database), TOTALS_ROWS_MAX).await
}

/// Whether the tables that this service reads are there.
pub async fn check_tables(clickhouse: &ClickHouse) -> Result<(), Error> {
    let database = Value::Text(clickhouse.database().to_owned());
    let statement = Statement::new(include_str!("ready.sql"), 1).bind("database", database);
    match clickhouse.rows::<u64>(&statement, 1).await?.first() {
        Some(&TABLES) => Ok(()),
        present => Err(Error::NotMigrated(format!("{} of {TABLES} tables are there", present.unwrap_or(&0)))),
    }
}

/// The statement that counts the migrations which the recorder has not applied yet.
pub fn unapplied_migrations() -> Statement {
    let names = schemas::migrations::ALL.iter().map(|migration| migration.name.to_owned()).collect();
    Statement::new(include_str!("unapplied.sql"), 1).bind("names", Value::List(names))
}

/// Whether the rollups hold what was recorded before they were made.
pub async fn rollups(clickhouse: &ClickHouse) -> Result<Rollups, Error> {
    let families = count(clickhouse, include_str!("backfills.sql")).await?;
    let all = u64::try_from(schemas::rollups::Family::ALL.len()).unwrap_or(u64::MAX);
    Ok(if families == all { Rollups::Complete } else { Rollups::Incomplete })
}

/// The names that may be labels.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Configured clients.
    pub clients: Vec<String>,
    /// Configured providers.
    pub providers: Vec<String>,
    /// Configured models.
    pub models: Vec<String>,
}

/// What days add to the totals of requests.
pub async fn request_totals(
    clickhouse: &ClickHouse,
    days: &[String],
    names: &Names,
) -> Result<Vec<RequestTotals>, Error> {
    let statement = of_days(include_str!("request_totals.sql"), days)
        .bind("clients", Value::List(names.clients.clone()))
        .bind("providers", Value::List(names.providers.clone()))
        .bind("models", Value::List(names.models.clone()));
    clickhouse.rows(&statement, TOTALS_ROWS_MAX).await
}

/// What days add to the histograms of tokens; `bounds` are the buckets' upper ones.
pub async fn token_totals(
    clickhouse: &ClickHouse,
    days: &[String],
    names: &Names,
    bounds: &[u64],
) -> Result<Vec<TokenTotals>, Error> {
    let statement = of_days(include_str!("token_totals.sql"), days)
        .bind("providers", Value::List(names.providers.clone()))
        .bind("models", Value::List(names.models.clone()))
        .bind("bounds", Value::Numbers(bounds.to_vec()));
    clickhouse.rows(&statement, TOTALS_ROWS_MAX).await
}

/// What days add to the totals of candidates.
pub async fn candidate_totals(clickhouse: &ClickHouse, days: &[String]) -> Result<Vec<CandidateTotals>, Error> {
    clickhouse.rows(&of_days(include_str!("candidate_totals.sql"), days), TOTALS_ROWS_MAX).await
}

/// Requests of the last day that are running, or wait for a gateway's ledger to settle them.
pub async fn open_requests(clickhouse: &ClickHouse) -> Result<u64, Error> {
    count(clickhouse, include_str!("open_requests.sql")).await
}

/// Events that could not become rows.
pub async fn dead_letters(clickhouse: &ClickHouse) -> Result<u64, Error> {
    count(clickhouse, include_str!("dead_letters.sql")).await
}

async fn count(clickhouse: &ClickHouse, template: &str) -> Result<u64, Error> {
    count_of(clickhouse, &Statement::new(template, 1)).await
}

async fn count_of(clickhouse: &ClickHouse, statement: &Statement) -> Result<u64, Error> {
    let rows: Vec<u64> = clickhouse.rows(statement, 1).await?;
    // `count()` without groups has one row, whatever it counts.
    rows.first().copied().ok_or_else(|| Error::Failed("a count came without its row".to_owned()))
}

fn of_days(template: &str, days: &[String]) -> Statement {
    Statement::new(template, one_more(TOTALS_ROWS_MAX)).bind("partitions", Value::List(days.to_vec()))
}

#[cfg(test)]
mod tests;
