//! Parts of tables: finding those that cannot be read, and taking them out of the way.

use std::collections::BTreeSet;
use std::time::Duration;

use clickhouse::{Client, Row};
use serde::Deserialize;

use super::Error;
use super::suspicion::is_damage;
use crate::record::Shared;

/// Longest wait for one statement: loading a table takes long where it has many parts.
const TIMEOUT: Duration = Duration::from_secs(300);
/// A table that was detached must not stay so: attaching it is tried so often at once, and at every look after that.
const ATTACH_TRIES: u32 = 10;
const ATTACH_PAUSE: Duration = Duration::from_millis(500);

/// The parts of one database.
pub(super) struct Parts {
    /// In no database of ours, which may not be there yet.
    client: Client,
    database: String,
    /// Parts that were set aside and have been dealt with: table and name.
    known: BTreeSet<(String, String)>,
}

#[derive(Clone, Debug, Row, Deserialize)]
struct Part {
    table: String,
    name: String,
}

impl Parts {
    pub(super) fn new(shared: &Shared) -> Self {
        let client = shared.clickhouse.clone().with_database("system");
        Self { client, database: shared.config.clickhouse.database.clone(), known: BTreeSet::new() }
    }

    /// Attaches tables that somebody has left detached who died before the next line.
    pub(super) async fn attach_tables(&self) -> Result<(), Error> {
        let sql = format!(
            "SELECT table FROM system.detached_tables WHERE database = '{}' AND NOT is_permanently",
            self.database
        );
        for table in within(self.client.query_raw(&sql).fetch_all::<String>()).await? {
            tracing::warn!(table, "a table was left detached: attaching it");
            self.attach(&table).await?;
        }
        Ok(())
    }

    /// Takes every damaged part out of the way that an error names. Returns how many there were.
    pub(super) async fn mend(&self, words: &str) -> Result<u64, Error> {
        let sql = format!("SELECT table, name FROM system.parts WHERE database = '{}' AND active", self.database);
        let active: Vec<Part> = within(self.client.query_raw(&sql).fetch_all()).await?;
        let mut damaged = 0;
        for part in active.iter().filter(|part| is_named(words, &part.name)) {
            damaged += u64::from(self.mend_part(part).await?);
        }
        Ok(damaged)
    }

    async fn mend_part(&self, part: &Part) -> Result<bool, Error> {
        let Part { table, name } = part;
        if self.is_sound(part).await? {
            return Ok(false);
        }
        tracing::error!(table, part = name, "a part of a table cannot be read: loading the table anew");
        self.execute(&format!("DETACH TABLE IF EXISTS {}.{table} SYNC", self.database)).await?;
        self.attach(table).await?;
        if !self.is_sound(part).await? {
            tracing::error!(
                table,
                part = name,
                "a part is damaged in a way that ClickHouse does not see: detaching it"
            );
            self.execute(&format!("ALTER TABLE {}.{table} DETACH PART '{name}'", self.database)).await?;
        }
        Ok(true)
    }

    /// Whether every file of a part is what it should be; also of one that is not there any more.
    async fn is_sound(&self, part: &Part) -> Result<bool, Error> {
        let Part { table, name } = part;
        let sql = format!(
            "SELECT count() FROM system.parts WHERE database = '{}' AND table = '{table}' AND name = '{name}' AND active",
            self.database
        );
        if within(self.client.query_raw(&sql).fetch_one::<u64>()).await? == 0 {
            return Ok(true);
        }
        let check = format!("CHECK TABLE {}.{table} PART '{name}'", self.database);
        let check = self.client.query_raw(&check).with_setting("check_query_single_value_result", "1");
        if within(check.fetch_one::<u8>()).await? != 1 {
            return Ok(false);
        }
        // A list of checksums that was lost and made anew from what is there calls an empty file right.
        let read = format!("SELECT sum(ignore(*)) FROM {}.{table} WHERE _part = '{name}'", self.database);
        match within(self.client.query_raw(&read).fetch_one::<u64>()).await {
            Err(Error::ClickHouse(error)) if is_damage(&error) => Ok(false),
            read => read.map(|_| true),
        }
    }

    /// How many parts ClickHouse has set aside as broken since it was asked last.
    pub(super) async fn newly_set_aside(&mut self) -> Result<u64, Error> {
        let sql = format!(
            "SELECT table, name FROM system.detached_parts WHERE database = '{}' AND startsWith(reason, 'broken')",
            self.database
        );
        let aside: Vec<Part> = within(self.client.query_raw(&sql).fetch_all()).await?;
        let new = aside.into_iter().filter(|part| self.known.insert((part.table.clone(), part.name.clone())));
        Ok(u64::try_from(new.count()).unwrap_or(u64::MAX))
    }

    async fn attach(&self, table: &str) -> Result<(), Error> {
        let attach = format!("ATTACH TABLE IF NOT EXISTS {}.{table}", self.database);
        let mut tries = 0;
        while let Err(error) = self.execute(&attach).await {
            tries += 1;
            if tries == ATTACH_TRIES {
                return Err(error);
            }
            tokio::time::sleep(ATTACH_PAUSE).await;
        }
        Ok(())
    }

    async fn execute(&self, sql: &str) -> Result<(), Error> {
        within(self.client.query_raw(sql).execute()).await
    }
}

/// Whether an error's words hold the name of a part, as a part of a path and not of another name.
fn is_named(words: &str, part: &str) -> bool {
    words.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-')).any(|word| word == part)
}

async fn within<T>(future: impl Future<Output = Result<T, clickhouse::error::Error>>) -> Result<T, Error> {
    Ok(tokio::time::timeout(TIMEOUT, future).await.map_err(|_| Error::Late(TIMEOUT))??)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_named_by_its_whole_name() {
        let words = "Code: 246. DB::Exception: Empty marks file: 0, must be: 48: (while reading from part \
                     /data/store/abc/abc-1/20261127_1_15_2/ located on disk default). (CORRUPTED_DATA)";
        assert!(is_named(words, "20261127_1_15_2"));
        assert!(
            !is_named(words, "20261127_1_15_") && !is_named(words, "20261127_1_1_0") && !is_named(words, "7_1_15_2")
        );
    }
}
