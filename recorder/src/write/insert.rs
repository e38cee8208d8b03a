//! One insert over ClickHouse's HTTP interface, with every setting that its meaning depends on.

use std::time::Duration;

use bytes::BytesMut;
use clickhouse::Client;
use clickhouse::error::Error;

use super::Insert;
use crate::columns::Block;

/// Server defaults for these have moved from release to release: nothing may depend on them. One insert is one block in
/// one partition, stored or not stored as a whole, and a repeated token changes nothing, in dependent views neither.
const SETTINGS: [(&str, &str); 9] = [
    ("async_insert", "0"),
    // Rows of one key in one insert are rare, and whoever reads adds them up or says FINAL anyway: looking for them takes
    // a quarter of the processor time of an insert.
    ("optimize_on_insert", "0"),
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

/// Bytes handed to the connection at a time: so much of a block is in memory a second time.
const PIECE_BYTES: usize = 1 << 18;

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

    async fn send(&self, token: &str, rows: &Block) -> Result<(), Error> {
        if rows.rows() == 0 {
            return Ok(());
        }
        let pieces = rows.pieces().map_err(|misfit| Error::Custom(misfit.to_string()))?;
        let names: Vec<&str> = rows.names().collect();
        let sql = format!("INSERT INTO {} (`{}`) FORMAT Native", rows.table(), names.join("`, `"));
        let mut insert = self.client.insert_formatted_with(sql).with_timeouts(Some(self.timeout), Some(self.timeout));
        for (name, value) in SETTINGS {
            insert = insert.with_setting(name, value);
        }
        insert = insert.with_setting("insert_deduplication_token", token);
        let mut filling = BytesMut::new();
        for piece in &pieces {
            let mut rest = &**piece;
            while !rest.is_empty() {
                filling.reserve(PIECE_BYTES - filling.len());
                let (fits, later) = rest.split_at(rest.len().min(PIECE_BYTES - filling.len()));
                filling.extend_from_slice(fits);
                rest = later;
                if filling.len() == PIECE_BYTES {
                    insert.send(std::mem::take(&mut filling).freeze()).await?;
                }
            }
        }
        if !filling.is_empty() {
            insert.send(filling.freeze()).await?;
        }
        insert.end().await
    }
}

impl Insert for Inserter {
    async fn insert(&self, token: &str, rows: &Block) -> Result<(), Error> {
        // Also bounds what the client's own timeouts do not: connecting.
        let sent = tokio::time::timeout(self.timeout * 2, self.send(token, rows)).await;
        sent.unwrap_or(Err(Error::TimedOut))
    }
}
