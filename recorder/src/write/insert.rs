//! One insert over ClickHouse's HTTP interface, with every setting that its meaning depends on.

use std::time::Duration;

use bytes::Bytes;
use clickhouse::Client;
use clickhouse::error::Error;

use super::{Insert, block};
use crate::rows::TableRow;

/// Server defaults for these have moved from release to release: nothing may depend on them. One insert is one block in
/// one partition, stored or not stored as a whole, and a repeated token changes nothing, in dependent views neither.
const SETTINGS: [(&str, &str); 8] = [
    ("async_insert", "0"),
    ("insert_deduplicate", "1"),
    ("deduplicate_insert", "enable"),
    ("deduplicate_blocks_in_dependent_materialized_views", "1"),
    ("materialized_views_ignore_errors", "0"),
    ("max_insert_block_size", "1048449"),
    ("min_insert_block_size_rows", "1048449"),
    // What is left then is for merges, which free more than they take: a merge that finds no room at its end has been
    // seen to leave a part that cannot be read.
    ("min_free_disk_bytes_to_perform_insert", "67108864"),
];

/// Bytes handed to the connection at a time.
const PIECE_BYTES: usize = 1 << 20;

/// The real thing.
#[derive(Clone)]
pub struct Inserter {
    client: Client,
    timeout: Duration,
}

impl Inserter {
    /// Inserts through a client that knows database and credentials. After `timeout` the outcome counts as unknown.
    pub fn new(client: Client, timeout: Duration) -> Self {
        Self { client, timeout }
    }

    async fn send<R: TableRow>(&self, token: &str, rows: &[R]) -> Result<(), Error> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut block = Bytes::from(block::of(rows).map_err(|misfit| Error::Custom(misfit.to_string()))?);
        let sql = format!("INSERT INTO {} (`{}`) FORMAT Native", R::TABLE, R::COLUMN_NAMES.join("`, `"));
        let mut insert = self.client.insert_formatted_with(sql).with_timeouts(Some(self.timeout), Some(self.timeout));
        for (name, value) in SETTINGS {
            insert = insert.with_setting(name, value);
        }
        insert = insert.with_setting("insert_deduplication_token", token);
        while !block.is_empty() {
            insert.send(block.split_to(block.len().min(PIECE_BYTES))).await?;
        }
        insert.end().await
    }
}

impl Insert for Inserter {
    async fn insert<R: TableRow>(&self, token: &str, rows: &[R]) -> Result<(), Error> {
        // Also bounds what the client's own timeouts do not: connecting.
        let sent = tokio::time::timeout(self.timeout * 2, self.send(token, rows)).await;
        sent.unwrap_or(Err(Error::TimedOut))
    }
}
