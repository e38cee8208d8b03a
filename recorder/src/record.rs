//! Records one partition, step by step: name a range, write it, commit it. This file does the I/O of the protocol; what
//! to do is decided in [`crate::protocol`], what to write in [`crate::plan`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream::context::Context as JetStream;
use async_nats::jetstream::stream::Stream;
use schemas::config;
use schemas::price::Book;
use schemas::progress::Intent;
use schemas::time::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::broker::{self, Connections};
use crate::commit::{self, ProgressKey};
use crate::consume::{self, Reader};
use crate::dead_letter;
use crate::gather::{self, Limits, Patience, Range};
use crate::metrics::{Metrics, Stage};
use crate::plan::{self, Context, Plan};
use crate::position::Position;
use crate::protocol::{self, Departure, Step, TokenBase};
use crate::replay;
use crate::rows::DeadLetterRow;
use crate::write::{Inserter, Refusal, Writer};

/// Under a trickle of events ranges begin at least this far apart: a part per table and range is what ClickHouse pays.
const PACE: Duration = Duration::from_millis(250);
/// Without events this often the stream is looked after.
const IDLE: Duration = Duration::from_secs(5);
/// The stream's size is asked for at most this often.
const PURGE_CHECK: Duration = Duration::from_secs(1);

/// What all partitions share.
#[derive(Clone)]
pub struct Shared {
    /// The configuration.
    pub config: Arc<config::Config>,
    /// JetStream.
    pub jetstream: JetStream,
    /// The connections that it was reached by.
    pub connections: Connections,
    /// ClickHouse, with database and credentials.
    pub clickhouse: clickhouse::Client,
    /// Inserts into it.
    pub writer: Writer<Inserter>,
    /// Prices.
    pub book: Arc<Book>,
    /// Metrics.
    pub metrics: Metrics,
    /// This recorder's name in the progress.
    pub owner: String,
    /// Read while rows are being inserted, written while a rollup is being replaced.
    pub writing: Arc<tokio::sync::RwLock<()>>,
}

/// Why a session ended. The next one reads the state anew and goes on from there; nothing is lost by that.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// NATS did not do something.
    #[error(transparent)]
    Broker(#[from] broker::Error),
    /// The state could not be read or written, or is another recorder's now.
    #[error(transparent)]
    Progress(#[from] commit::Error),
    /// Reading the stream broke off.
    #[error(transparent)]
    Consume(#[from] consume::Error),
    /// ClickHouse could not be asked for what it holds.
    #[error("ClickHouse cannot be asked what it holds: {0}")]
    Stored(clickhouse::error::Error),
    /// Dead letters could not be published.
    #[error(transparent)]
    DeadLetter(#[from] dead_letter::Error),
    /// A fault of ours.
    #[error("planning a range failed: {0}")]
    Plan(tokio::task::JoinError),
}

impl Error {
    /// The stage that failed.
    pub fn stage(&self) -> Stage {
        match self {
            Self::Broker(_) | Self::Stored(_) => Stage::Open,
            Self::Progress(_) => Stage::Commit,
            Self::Consume(_) => Stage::Gather,
            Self::DeadLetter(_) => Stage::DeadLetter,
            Self::Plan(_) => Stage::Plan,
        }
    }
}

/// A partition being recorded, from a verified state on.
pub struct Session {
    shared: Shared,
    partition: u16,
    stream: Stream,
    position: Position,
    reader: Reader,
    last_range: tokio::time::Instant,
    purge_checked: Option<Instant>,
}

impl Session {
    /// Opens the partition: makes its stream and bucket if they are not there, and makes sure that the state fits both
    /// the stream and ClickHouse before it is trusted.
    pub async fn open(shared: Shared, partition: u16) -> Result<Self, Error> {
        let stream = broker::partition_stream(&shared.jetstream, &shared.config.nats, partition).await?;
        broker::dead_letter_stream(&shared.jetstream, &shared.config.nats).await?;
        let bucket = broker::progress_bucket(&shared.jetstream, &shared.config.nats).await?;
        let key = ProgressKey::new(bucket, partition);
        let position = Position::open(shared.clone(), partition, key, &stream).await?;
        let from = match protocol::next(position.progress()) {
            Step::Repeat(intent) => intent.from,
            Step::Gather(from) => from,
        };
        let reader = Reader::open(&stream, from, shared.connections.clone()).await?;
        let last_range = tokio::time::Instant::now();
        tracing::info!(partition, from, incarnation = position.progress().incarnation, "recording a partition");
        Ok(Self { shared, partition, stream, position, reader, last_range, purge_checked: None })
    }

    /// Records the next range, or waits a while for one. A stop ends the wait, not the recording of a range in hand.
    pub async fn step(&mut self, stop: &CancellationToken) -> Result<(), Error> {
        match protocol::next(self.position.progress()) {
            Step::Repeat(intent) => self.repeat(&intent).await,
            Step::Gather(_) => self.gather(stop).await,
        }
    }

    async fn repeat(&mut self, intent: &Intent) -> Result<(), Error> {
        tracing::info!(partition = self.partition, from = intent.from, to = intent.to, "repeating an intended range");
        let range = gather::exact_range(&mut self.reader, intent.to).await?;
        let confirmed = range.filter(|range| protocol::confirm(intent, &range.name).is_ok());
        let Some(range) = confirmed else {
            let created = self.position.progress().stream_created.clone();
            self.position.start_over(&created, Departure::RangeChanged).await?;
            let from = self.position.progress().done + 1;
            self.reader = Reader::open(&self.stream, from, self.shared.connections.clone()).await?;
            return Ok(());
        };
        let (range, plan) = self.plan(range).await?;
        self.write_and_commit(range, plan).await
    }

    async fn gather(&mut self, stop: &CancellationToken) -> Result<(), Error> {
        self.look_after_stream().await?;
        let limits = Limits {
            max_events: self.shared.config.recorder.max_range_events,
            max_age: self.shared.config.recorder.max_range_age.0,
        };
        let patience = Patience { not_before: self.last_range + PACE, idle: IDLE };
        let gathered = gather::next_range(&mut self.reader, limits, patience, stop).await?;
        let Some(range) = gathered else {
            self.shared.metrics.oldest_open(self.partition, None);
            return Ok(());
        };
        self.last_range = tokio::time::Instant::now();
        let oldest = range.messages.first().map(|message| message.published_at);
        self.shared.metrics.oldest_open(self.partition, oldest);
        let (range, plan) = self.plan(range).await?;
        if !plan.is_empty() {
            let started = Instant::now();
            let progress = self.position.progress();
            let next = protocol::intend(progress, &range.name, &self.shared.owner, Timestamp::now());
            self.position.advance(next).await?;
            self.shared.metrics.stage_took(Stage::Intend, started.elapsed());
        }
        self.write_and_commit(range, plan).await
    }

    /// Decodes and prices on a thread where that disturbs nobody.
    async fn plan(&self, range: Range) -> Result<(Range, Plan), Error> {
        let started = Instant::now();
        let (partition, incarnation) = (self.partition, self.position.progress().incarnation);
        let (book, epochs) = (Arc::clone(&self.shared.book), self.position.progress().epochs.clone());
        let planned = tokio::task::spawn_blocking(move || {
            let context = Context { partition, incarnation, book: &book, recorded_at: Timestamp::now() };
            let plan = Plan::new(context, &range.messages, epochs);
            (range, plan)
        });
        let planned = planned.await.map_err(Error::Plan)?;
        self.shared.metrics.stage_took(Stage::Plan, started.elapsed());
        Ok(planned)
    }

    async fn write_and_commit(&mut self, range: Range, mut plan: Plan) -> Result<(), Error> {
        let base = TokenBase::new(self.partition, self.position.progress(), &range.name);
        let refusals = {
            let _no_rollup_is_replaced = self.shared.writing.read().await;
            self.shared.writer.write(&base, &plan).await
        };
        plan.tally.stored = plan.tally.stored.saturating_sub(refusals.len() as u64);
        plan.tally.dead_lettered += refusals.len() as u64;
        self.bury(&base, &range, &plan, refusals).await?;
        let replayed = replay::store(&self.shared.clickhouse, &self.shared.writer, &base, &plan.replays).await;
        plan.tally.stored += replayed.map_err(Error::Stored)?;

        let started = Instant::now();
        let (progress, owner) = (self.position.progress(), &self.shared.owner);
        let next = protocol::commit(progress, &range.name, plan.epochs, owner, Timestamp::now());
        self.position.advance(next).await?;
        let metrics = &self.shared.metrics;
        metrics.stage_took(Stage::Commit, started.elapsed());
        metrics.range_committed(plan.tally);
        let last = range.messages.last().filter(|message| message.pending > 0);
        metrics.oldest_open(self.partition, last.map(|message| message.published_at));
        let tally = plan.tally;
        let (from, to) = (range.name.from, range.name.to);
        tracing::debug!(partition = self.partition, from, to, ?tally, "recorded a range");
        Ok(())
    }

    /// Publishes and stores the dead letters of a range.
    async fn bury(&self, base: &TokenBase, range: &Range, plan: &Plan, refusals: Vec<Refusal>) -> Result<(), Error> {
        let context = Context {
            partition: self.partition,
            incarnation: self.position.progress().incarnation,
            book: &self.shared.book,
            recorded_at: Timestamp::now(),
        };
        let mut refused: plan::ByDay<DeadLetterRow> = plan::ByDay::new();
        for Refusal { origin, reason } in refusals {
            if let Some((day, row)) = plan::refused(context, &range.messages, origin, reason) {
                let cell = refused.entry(day).or_default();
                cell.rows.push(row);
                cell.origins.push(origin);
            }
        }
        for (part, cells) in [("", &plan.dead_letters), (":refused", &refused)] {
            let letters = || cells.values().flat_map(|cell| &cell.rows);
            for letter in letters() {
                let (id, reason) = (letter.id().to_string(), letter.reason.as_str());
                tracing::warn!(
                    partition = self.partition,
                    id,
                    stage = letter.stage,
                    reason,
                    "an event is a dead letter"
                );
            }
            dead_letter::publish(&self.shared.jetstream, letters()).await?;
            self.shared.writer.write_dead_letters(base, part, cells).await;
        }
        Ok(())
    }

    /// Makes room when recorded messages fill more than half of the stream, and notices when it was made anew.
    async fn look_after_stream(&mut self) -> Result<(), Error> {
        if self.purge_checked.is_some_and(|at| at.elapsed() < PURGE_CHECK) {
            return Ok(());
        }
        self.purge_checked = Some(Instant::now());
        let info = broker::info(&self.stream).await?;
        if broker::created(&info) != self.position.progress().stream_created {
            return Err(consume::Error::Broken("the stream was created anew".to_owned()).into());
        }
        let max_bytes = u64::try_from(info.config.max_bytes).unwrap_or(0);
        let done = self.position.progress().done;
        if max_bytes > 0 && info.state.bytes > max_bytes / 2 && info.state.first_sequence < done {
            // The message at `done` stays: it proves that the stream is still the same.
            let messages = broker::purge_before(&self.stream, done).await?;
            tracing::info!(partition = self.partition, messages, "removed recorded messages from a filling stream");
        }
        Ok(())
    }
}
