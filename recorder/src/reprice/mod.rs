//! Prices a period again, with the book as of each event's own time.
//!
//! What a request cost when it was recorded stays where it is. What it costs now is written beside it, as a row of
//! `adjustments` with its own time, so that a report can show either state. A run that is broken off has written some
//! of these rows; the next one starts from what is there and writes the rest.

mod stored;
mod compare;
mod adjustment;

#[cfg(test)]
mod tests;

pub(crate) use adjustment::AdjustmentRow;
pub use compare::{Line, Summary};

use std::time::Duration;

use clickhouse::Client;
use schemas::config::Config;
use schemas::price::Book;
use schemas::time::Timestamp;
use uuid::Uuid;

use self::stored::{Slice, Stored};
use crate::columns::Block;
use crate::rows::TableRow;
use crate::write::{Insert, Inserter};

/// Tries of an insert whose outcome is unknown; each has the same token, so that one of them counts.
const TRIES: u32 = 5;

/// The period to price again: `from` inclusive, `to` exclusive.
#[derive(Clone, Copy, Debug)]
pub struct Period {
    /// First moment.
    pub from: Timestamp,
    /// First moment after it.
    pub to: Timestamp,
}

/// Why a period could not be priced again. What was written is valid, and a new run goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The password cannot be read.
    #[error("clickhouse.password: {0}")]
    Password(String),
    /// ClickHouse cannot be asked, or does not take the rows.
    #[error("ClickHouse: {0}")]
    ClickHouse(#[from] clickhouse::error::Error),
    /// A cost does not fit its column.
    #[error("the difference of {0} does not fit a Decimal(38, 12)")]
    TooLarge(Uuid),
}

/// One run over a period.
pub struct Run {
    id: Uuid,
    began_at: Timestamp,
    client: Client,
    inserter: Inserter,
    book: Book,
}

impl Run {
    /// A run with this book.
    ///
    /// # Errors
    /// When the password cannot be read.
    pub fn new(config: &Config, book: Book) -> Result<Self, Error> {
        let client = crate::clickhouse_client(config).map_err(|error| Error::Password(error.to_string()))?;
        let inserter = Inserter::new(client.clone(), config.clickhouse.timeout.0);
        Ok(Self { id: Uuid::now_v7(), began_at: Timestamp::now(), client, inserter, book })
    }

    /// What would change; nothing is written.
    ///
    /// # Errors
    /// When ClickHouse cannot be asked.
    pub async fn look(&self, period: Period) -> Result<Summary, Error> {
        self.walk(period, false).await
    }

    /// Writes what has changed.
    ///
    /// # Errors
    /// When ClickHouse cannot be asked or does not take the rows.
    pub async fn apply(&self, period: Period) -> Result<Summary, Error> {
        self.walk(period, true).await
    }

    async fn walk(&self, period: Period, write: bool) -> Result<Summary, Error> {
        let mut summary = Summary::default();
        for slice in Slice::of(&self.client, period).await? {
            let stored = Stored::read(&self.client, &slice).await?;
            let mut rows = Vec::new();
            for request in stored {
                let change = compare::change(&self.book, &request);
                summary.add(&request, &change);
                if change.differs() {
                    let id = request.request_id;
                    rows.push(AdjustmentRow::new(self, request, change).ok_or(Error::TooLarge(id))?);
                }
            }
            if write && !rows.is_empty() {
                self.insert(&slice, &rows).await?;
            }
        }
        Ok(summary)
    }

    async fn insert(&self, slice: &Slice, rows: &[AdjustmentRow]) -> Result<(), Error> {
        let token = format!("reprice:{}:{}", self.id, slice.from.as_micros());
        let (rows, mut tried) = (Block::of(rows), 0);
        loop {
            tried += 1;
            match self.inserter.insert(&token, &rows).await {
                Ok(()) => return Ok(()),
                Err(error) if tried == TRIES => return Err(error.into()),
                Err(error) => {
                    tracing::warn!(%error, table = AdjustmentRow::TABLE, "an insert failed; it is repeated");
                    tokio::time::sleep(Duration::from_secs(u64::from(tried))).await;
                }
            }
        }
    }
}
