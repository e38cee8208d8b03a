//! Applies the migrations of `schemas`, each once, and fills the price table. Two recorders may do so at once: every
//! statement is safe to repeat, and the bookkeeping has one row per name whoever writes it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use clickhouse::{Client, Row};
use schemas::migrations::{self, Migration, Placeholders};
use schemas::time::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use crate::columns::Block;
use crate::metrics::Stage;
use crate::record::Shared;
use crate::retry::Backoff;
use crate::room;
use crate::rows::{PriceRow, TableRow};
use crate::telemetry::with_causes;
use crate::write::Insert;

/// Longest wait for one statement; on a cluster it goes to every server.
const TIMEOUT: Duration = Duration::from_secs(180);

const DATABASE: &str = "CREATE DATABASE IF NOT EXISTS {database} {on_cluster}";

const BOOKKEEPING: &str = "\
CREATE TABLE IF NOT EXISTS {database}.migrations {on_cluster}
(
    `name` String COMMENT 'The migration: a file of schemas/clickhouse',
    `checksum` String COMMENT 'SHA-256 of the file as it was applied',
    `applied_at` DateTime64(6, 'UTC') COMMENT 'When'
)
ENGINE = {engine:ReplacingMergeTree}
ORDER BY `name`
COMMENT 'Which migrations this database has seen; written by the recorder'";

/// What no waiting mends.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A released migration was edited, or another release made the tables.
    #[error(
        "migration {0} was applied in another form than this recorder knows: run the recorder that made these tables, or a newer one"
    )]
    Changed(String),
}

/// Why this try failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("ClickHouse: {0}")]
    ClickHouse(#[from] clickhouse::error::Error),
    #[error("ClickHouse did not answer within {TIMEOUT:?}")]
    Late,
    #[error(transparent)]
    Full(#[from] room::Full),
    #[error(transparent)]
    Final(Error),
}

#[derive(Debug, Row, Serialize, Deserialize)]
struct AppliedRow {
    name: String,
    checksum: String,
    applied_at: i64,
}

impl TableRow for AppliedRow {
    const TABLE: &'static str = "migrations";

    fn columns() -> Vec<(&'static str, &'static str)> {
        migrations::columns_in(BOOKKEEPING)
    }
}

/// Applies what is missing, waiting for ClickHouse as long as it takes. `false` when shutdown came first.
pub async fn run(shared: &Shared, shutdown: &CancellationToken) -> Result<bool, Error> {
    let mut backoff = Backoff::default();
    loop {
        let started = Instant::now();
        let applied = tokio::select! {
            applied = apply(shared) => applied,
            () = shutdown.cancelled() => return Ok(false),
        };
        shared.metrics.stage_took(Stage::Migrate, started.elapsed());
        match applied {
            Ok(()) => return Ok(true),
            Err(Failure::Final(error)) => return Err(error),
            Err(error) => {
                if let Failure::ClickHouse(error) = &error {
                    shared.suspicion.of(error);
                }
                shared.metrics.failed(Stage::Migrate);
                let wait = backoff.next_wait();
                if backoff.tries() == 1 {
                    tracing::warn!(
                        error = with_causes(&error),
                        "the migrations cannot be applied yet: trying again until they are"
                    );
                } else {
                    tracing::debug!(
                        error = with_causes(&error),
                        tries = backoff.tries(),
                        "the migrations cannot be applied yet"
                    );
                }
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = shutdown.cancelled() => return Ok(false),
                }
            }
        }
    }
}

async fn apply(shared: &Shared) -> Result<(), Failure> {
    let settings = &shared.config.clickhouse;
    let placeholders = Placeholders { database: &settings.database, cluster: &settings.cluster };
    // The database may not exist yet, so these two name it themselves.
    let anywhere = shared.clickhouse.clone().with_database("system");
    execute(&anywhere, &migrations::render(DATABASE, &placeholders)).await?;
    execute(&anywhere, &migrations::render(BOOKKEEPING, &placeholders)).await?;
    let applied = applied(&shared.clickhouse).await?;
    for migration in missing(migrations::ALL, &applied).map_err(Failure::Final)? {
        within(room::check(&anywhere)).await??;
        execute(&anywhere, &migrations::render(migration.sql, &placeholders)).await?;
        let row = AppliedRow {
            name: migration.name.to_owned(),
            checksum: checksum(migration.sql.as_bytes()),
            applied_at: Timestamp::now().as_micros(),
        };
        shared.writer.inserter().insert(&format!("migration:{}", migration.name), &Block::of(&[row])).await?;
        tracing::info!(migration = migration.name, "applied a migration");
    }
    fill_prices(shared).await
}

/// The migrations to apply, in order.
fn missing<'a>(all: &'a [Migration], applied: &BTreeMap<String, String>) -> Result<Vec<&'a Migration>, Error> {
    let changed = all.iter().find(|migration| {
        applied.get(migration.name).is_some_and(|found| *found != checksum(migration.sql.as_bytes()))
    });
    match changed {
        Some(migration) => Err(Error::Changed(migration.name.to_owned())),
        None => Ok(all.iter().filter(|migration| !applied.contains_key(migration.name)).collect()),
    }
}

async fn applied(client: &Client) -> Result<BTreeMap<String, String>, Failure> {
    let sql = "SELECT `name`, `checksum`, `applied_at` FROM migrations FINAL ORDER BY `name`";
    let rows: Vec<AppliedRow> = within(client.query_raw(sql).fetch_all()).await?;
    Ok(rows.into_iter().map(|row| (row.name, row.checksum)).collect())
}

/// The price book as a table. Its token is its content: the same book is written once, a new one replaces the rows of the
/// old with the same keys.
async fn fill_prices(shared: &Shared) -> Result<(), Failure> {
    let entries: String = shared.book.entries().iter().map(schemas::price::Price::to_toml).collect();
    let token = format!("{}:{}", PriceRow::TABLE, checksum(entries.as_bytes()));
    let rows = Block::of(&PriceRow::of(&shared.book, Timestamp::now()));
    within(shared.writer.inserter().insert(&token, &rows)).await?;
    // So that a join without FINAL sees each entry once.
    let merge = format!("OPTIMIZE TABLE {} FINAL", PriceRow::TABLE);
    execute(&shared.clickhouse, &merge).await
}

async fn execute(client: &Client, sql: &str) -> Result<(), Failure> {
    within(client.query_raw(sql).execute()).await
}

async fn within<T>(future: impl Future<Output = Result<T, clickhouse::error::Error>>) -> Result<T, Failure> {
    Ok(tokio::time::timeout(TIMEOUT, future).await.map_err(|_| Failure::Late)??)
}

fn checksum(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Migration = Migration { name: "0001_a", sql: "CREATE TABLE IF NOT EXISTS a" };
    const TWO: Migration = Migration { name: "0002_b", sql: "CREATE TABLE IF NOT EXISTS b" };

    #[test]
    fn only_what_is_missing_is_applied_in_order_and_an_edited_file_is_refused() {
        let names = |applied: &BTreeMap<String, String>| {
            missing(&[ONE, TWO], applied).map(|list| list.iter().map(|one| one.name).collect::<Vec<_>>())
        };
        let mut applied = BTreeMap::new();
        assert_eq!(names(&applied).unwrap(), ["0001_a", "0002_b"]);
        applied.insert(ONE.name.to_owned(), checksum(ONE.sql.as_bytes()));
        assert_eq!(names(&applied).unwrap(), ["0002_b"]);
        applied.insert("0009_of_a_newer_release".to_owned(), "x".to_owned());
        assert_eq!(names(&applied).unwrap(), ["0002_b"]);
        applied.insert(TWO.name.to_owned(), "edited".to_owned());
        assert!(names(&applied).unwrap_err().to_string().contains("0002_b"));
    }
}
