//! ClickHouse alone: the same rows from files, into the same tables with the same views.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use futures_util::future::try_join_all;
use reqwest::Client;

use super::{DATABASE, Speed};
use crate::error::Error;
use crate::process::Process;

const TABLES: [&str; 3] = ["requests", "candidates", "opened"];
/// Row by row, and column by column as the recorder sends them.
pub const FORMATS: [&str; 2] = ["RowBinaryWithNamesAndTypes", "Native"];

/// ClickHouse.
#[derive(Clone, Copy, Debug)]
pub struct Engine<'a> {
    /// Talks to it.
    pub http: &'a Client,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its process.
    pub process: &'a Process,
}

impl Engine<'_> {
    async fn statement(self, sql: &str, body: Vec<u8>) -> Result<Vec<u8>, Error> {
        let url = reqwest::Url::parse_with_params(&format!("http://{}/", self.address), [("query", sql)]);
        let url = url.map_err(|error| Error::Setup(format!("the address of a statement: {error}")))?;
        let answer = self.http.post(url).body(body).send().await?;
        let (status, bytes) = (answer.status(), answer.bytes().await?);
        match status.is_success() {
            true => Ok(bytes.to_vec()),
            false => Err(Error::Setup(format!("ClickHouse answers {sql} with {}", String::from_utf8_lossy(&bytes)))),
        }
    }

    /// Writes the rows of each table to a file of each format. There is one for each request: the recorder has not worked
    /// less than it should.
    pub async fn export(self, folder: &Path, requests: u64) -> Result<(), Error> {
        for table in TABLES {
            let count = self.statement(&format!("SELECT count() FROM {DATABASE}.{table}"), Vec::new()).await?;
            if String::from_utf8_lossy(&count).trim() != requests.to_string() {
                let count = String::from_utf8_lossy(&count);
                return Err(Error::Setup(format!("{table} has {} rows of {requests} requests", count.trim())));
            }
            for format in FORMATS {
                let sql = format!("SELECT * FROM {DATABASE}.{table} FORMAT {format}");
                let rows = self.statement(&sql, Vec::new()).await?;
                std::fs::write(file(folder, table, format), rows).map_err(Error::io("writing the rows to a file"))?;
            }
        }
        Ok(())
    }

    /// The fastest of some rounds, each into emptied tables.
    pub async fn takes_files(self, folder: &Path, format: &str, rounds: usize) -> Result<Speed, Error> {
        let mut best: Option<Speed> = None;
        for _ in 0..rounds {
            let speed = self.round(folder, format).await?;
            best = Some(best.filter(|best| best.time <= speed.time).unwrap_or(speed));
        }
        best.ok_or_else(|| Error::Setup("--rounds must be at least 1".to_owned()))
    }

    async fn round(self, folder: &Path, format: &str) -> Result<Speed, Error> {
        for table in TABLES {
            self.statement(&format!("TRUNCATE TABLE {DATABASE}.{table}"), Vec::new()).await?;
        }
        let (begun, used) = (Instant::now(), self.process.used()?.cpu_us);
        let inserts = TABLES.iter().map(|table| async move {
            let rows = std::fs::read(file(folder, table, format)).map_err(Error::io("reading the rows from a file"))?;
            let settings = "async_insert = 0, insert_deduplicate = 0";
            let sql = format!("INSERT INTO {DATABASE}.{table} SETTINGS {settings} FORMAT {format}");
            self.statement(&sql, rows).await.map(drop)
        });
        try_join_all(inserts).await?;
        Ok(Speed { time: begun.elapsed(), clickhouse_us: self.process.used()?.cpu_us.saturating_sub(used) })
    }
}

fn file(folder: &Path, table: &str, format: &str) -> PathBuf {
    folder.join(format!("{table}.{format}"))
}
