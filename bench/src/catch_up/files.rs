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

/// How rows come from files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// Their format.
    pub format: &'static str,
    /// Rows an insert at most; all of a table in one unless it is given.
    pub rows: Option<u64>,
    /// Whether rows of one key are looked for, as ClickHouse does unless it is told otherwise; recorders tell it.
    pub optimizes: bool,
}

/// Row by row, column by column as the recorder sends them, that in inserts as large as those of a full range (ClickHouse makes
/// parts of them as it does in the recorder's way, and merges these), and that in one insert as ClickHouse takes it by default.
pub const WAYS: [Way; 4] = [
    Way { format: "RowBinaryWithNamesAndTypes", rows: None, optimizes: false },
    Way { format: "Native", rows: None, optimizes: false },
    Way { format: "Native", rows: Some(66_667), optimizes: false },
    Way { format: "Native", rows: None, optimizes: true },
];

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
            // How they are inserted makes no other file.
            for way in WAYS.into_iter().filter(|way| !way.optimizes) {
                for piece in 0..way.pieces(requests) {
                    let (format, rows) = (way.format, way.rows.unwrap_or(requests));
                    let sql = format!(
                        "SELECT * FROM {DATABASE}.{table} ORDER BY received_at, request_id LIMIT {}, {rows} FORMAT {format}",
                        piece * rows
                    );
                    let rows = self.statement(&sql, Vec::new()).await?;
                    std::fs::write(file(folder, table, way, piece), rows)
                        .map_err(Error::io("writing the rows to a file"))?;
                }
            }
        }
        Ok(())
    }

    /// The fastest of some rounds, each into emptied tables.
    pub async fn takes_files(self, folder: &Path, (way, requests): (Way, u64), rounds: usize) -> Result<Speed, Error> {
        let mut best: Option<Speed> = None;
        for _ in 0..rounds {
            let speed = self.round(folder, way, way.pieces(requests)).await?;
            best = Some(best.filter(|best| best.time <= speed.time).unwrap_or(speed));
        }
        best.ok_or_else(|| Error::Setup("--rounds must be at least 1".to_owned()))
    }

    async fn round(self, folder: &Path, way: Way, pieces: u64) -> Result<Speed, Error> {
        for table in TABLES {
            self.statement(&format!("TRUNCATE TABLE {DATABASE}.{table}"), Vec::new()).await?;
        }
        let (begun, used) = (Instant::now(), self.process.used()?.cpu_us);
        let inserts = TABLES.iter().map(|table| async move {
            let optimizes = u8::from(way.optimizes);
            let settings = format!("async_insert = 0, insert_deduplicate = 0, optimize_on_insert = {optimizes}");
            let sql = format!("INSERT INTO {DATABASE}.{table} SETTINGS {settings} FORMAT {}", way.format);
            for piece in 0..pieces {
                let rows = std::fs::read(file(folder, table, way, piece));
                self.statement(&sql, rows.map_err(Error::io("reading the rows from a file"))?).await?;
            }
            Ok::<_, Error>(())
        });
        try_join_all(inserts).await?;
        Ok(Speed { time: begun.elapsed(), clickhouse_us: self.process.used()?.cpu_us.saturating_sub(used) })
    }
}

impl Way {
    /// Inserts a table.
    fn pieces(self, rows: u64) -> u64 {
        self.rows.map_or(1, |each| rows.div_ceil(each))
    }

    /// For the report.
    pub fn title(self) -> String {
        let rows = self.rows.map(|rows| format!(", {rows} rows an insert")).unwrap_or_default();
        let settings = if self.optimizes { ", optimize_on_insert" } else { "" };
        format!("{} from files{rows}{settings}", self.format)
    }
}

fn file(folder: &Path, table: &str, way: Way, piece: u64) -> PathBuf {
    folder.join(format!("{table}.{}.{}.{piece}", way.format, way.rows.unwrap_or(0)))
}
