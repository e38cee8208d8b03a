//! Writes the rows of a range into ClickHouse: one insert per table and day, each under its token, until it is known to
//! have worked. An unknown outcome is tried again with the same rows and the same token, for ever.

mod insert;

pub use insert::Inserter;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use futures_util::future::{BoxFuture, FutureExt, join_all};

use crate::columns::Block;
use crate::metrics::{Metrics, Stage};
use crate::plan::{ByDay, Cell, Letters, Origin, Plan};
use crate::protocol::TokenBase;
use crate::retry::{self, Backoff, Verdict};
use crate::rows::{DeadLetterRow, ReplayRow, TableRow};
use crate::telemetry::with_causes;

/// A row that ClickHouse will not take.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Where its event is.
    pub origin: Origin,
    /// ClickHouse's words.
    pub reason: String,
}

/// Writes cells.
#[derive(Clone, Debug)]
pub struct Writer<I> {
    inserter: I,
    metrics: Metrics,
    unknown_outcomes: Arc<AtomicU64>,
}

/// One insert into ClickHouse: the only thing here that a test stands in for.
pub trait Insert: Send + Sync {
    /// Inserts all rows under a token, or none.
    fn insert(&self, token: &str, rows: &Block) -> impl Future<Output = Result<(), clickhouse::error::Error>> + Send;
}

impl<I: Insert> Writer<I> {
    /// A writer over an insert.
    pub fn new(inserter: I, metrics: Metrics) -> Self {
        Self { inserter, metrics, unknown_outcomes: Arc::default() }
    }

    /// How many inserts have failed, or have had an outcome that nobody knows, until now.
    pub fn unknown_outcomes(&self) -> u64 {
        self.unknown_outcomes.load(Ordering::Relaxed)
    }

    /// The insert itself, for what is written outside of ranges.
    pub fn inserter(&self) -> &I {
        &self.inserter
    }

    /// Writes everything that was planned but the dead letters. Returns when each row is either stored or refused.
    pub async fn write(&self, base: &TokenBase, plan: &Plan) -> Vec<Refusal> {
        self.write_part(base, "", plan).await
    }

    /// Writes what is not among the range's own rows: `part` keeps its tokens apart from theirs.
    pub async fn write_part(&self, base: &TokenBase, part: &str, plan: &Plan) -> Vec<Refusal> {
        let mut writes: Vec<BoxFuture<'_, Vec<Refusal>>> = Vec::new();
        self.push_cells(&mut writes, (base, part), &plan.rows.requests);
        self.push_cells(&mut writes, (base, part), &plan.rows.candidates);
        self.push_cells(&mut writes, (base, part), &plan.rows.opened);
        self.push_cells(&mut writes, (base, part), &plan.rows.bodies);
        join_all(writes).await.into_iter().flatten().collect()
    }

    /// Writes dead letters. `part` keeps those that were found by reading apart from those that were refused.
    pub async fn write_dead_letters(&self, base: &TokenBase, part: &str, letters: &Letters) {
        for (day, rows) in letters {
            let token = base.cell(&format!("{}{part}", DeadLetterRow::TABLE), *day);
            self.write_for_ever(&token, &Block::of(rows)).await;
        }
    }

    /// Writes down what became of a dead letter that came again.
    pub async fn write_replay(&self, base: &TokenBase, part: &str, row: ReplayRow) {
        self.write_for_ever(&base.cell(&format!("{}{part}", ReplayRow::TABLE), 0), &Block::of(&[row])).await;
    }

    /// The last resort has no further one: whatever ClickHouse says, the rows wait here.
    async fn write_for_ever(&self, token: &str, rows: &Block) {
        let mut backoff = Backoff::default();
        while let Err(error) = self.try_insert(token, rows).await {
            self.pause(&mut backoff, rows.table(), &error).await;
        }
    }

    fn push_cells<'a>(
        &'a self,
        writes: &mut Vec<BoxFuture<'a, Vec<Refusal>>>,
        (base, part): (&TokenBase, &str),
        cells: &'a ByDay,
    ) {
        for (day, cell) in cells {
            let token = base.cell(&format!("{}{part}", cell.rows.table()), *day);
            writes.push(async move { self.write_cell(&token, cell).await }.boxed());
        }
    }

    /// Writes a cell, or, when it is refused, its halves: the order of tries depends on the refusals alone, so a second
    /// recorder halves in the same way and under the same tokens.
    async fn write_cell(&self, token: &str, cell: &Cell) -> Vec<Refusal> {
        let mut refusals = Vec::new();
        let all = cell.rows.rows();
        let mut parts = vec![(0, Cow::Borrowed(&cell.rows))];
        while let Some((start, rows)) = parts.pop() {
            let (count, end) = (rows.rows(), start + rows.rows());
            let token = if count == all { token.to_owned() } else { format!("{token}:{start}-{end}") };
            let Err(reason) = self.insert_until_known(&token, &rows).await else { continue };
            if count > 1 {
                let [first, second] = rows.halves(count / 2);
                parts.extend([(start + count / 2, Cow::Owned(second)), (start, Cow::Owned(first))]);
            } else if let Some(origin) = cell.origins.get(start) {
                refusals.push(Refusal { origin: *origin, reason });
            }
        }
        refusals
    }

    /// `Err` holds ClickHouse's reason for refusing the rows.
    async fn insert_until_known(&self, token: &str, rows: &Block) -> Result<(), String> {
        let mut backoff = Backoff::default();
        loop {
            let Err(error) = self.try_insert(token, rows).await else { return Ok(()) };
            match retry::classify(&error) {
                Verdict::Again => self.pause(&mut backoff, rows.table(), &error).await,
                Verdict::Refused(reason) => return Err(reason),
            }
        }
    }

    async fn try_insert(&self, token: &str, rows: &Block) -> Result<(), clickhouse::error::Error> {
        let started = Instant::now();
        let result = self.inserter.insert(token, rows).await;
        self.metrics.stage_took(Stage::Insert, started.elapsed());
        let refused = |error| matches!(retry::classify(error), Verdict::Refused(_));
        self.metrics.clickhouse_answered(result.as_ref().err().is_none_or(refused));
        result
    }

    async fn pause(&self, backoff: &mut Backoff, table: &str, error: &clickhouse::error::Error) {
        self.unknown_outcomes.fetch_add(1, Ordering::Relaxed);
        let wait = backoff.next_wait();
        if backoff.tries() == 1 {
            tracing::warn!(
                table,
                error = with_causes(error),
                "an insert failed or its outcome is unknown: trying again until it is known"
            );
        } else {
            tracing::debug!(table, error = with_causes(error), tries = backoff.tries(), "an insert failed again");
        }
        tokio::time::sleep(wait).await;
    }
}

#[cfg(test)]
mod tests;
