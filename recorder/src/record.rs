//! Records one partition under a lease, task by task. This file does the I/O of the protocol; what to do is decided in
//! [`crate::protocol`], what to write in [`crate::plan`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream::context::Context as JetStream;
use async_nats::jetstream::stream::Stream;
use schemas::config;
use schemas::price::Book;
use schemas::progress::{Intent, Progress};
use schemas::subjects::PROGRESS_BUCKET;
use schemas::time::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::broker::{self, Connections};
use crate::bury;
use crate::commit::{self, ProgressKey};
use crate::consume::{self, Reader};
use crate::decoding::Reading;
use crate::doubt::Doubt;
use crate::gather::{self, Gathering, Limits, Patience, Range};
use crate::hand::Hand;
use crate::metrics::{Metrics, Stage};
use crate::plan::Context;
use crate::protocol::{self, RangeName, Recording, Stop, Stored, Task, Tenure, TokenBase, Told};
use crate::replay;
use crate::retire;
use crate::stored;
use crate::write::{Inserter, Writer};

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
    /// This recorder's name: on the board of leases, and in the progress.
    pub owner: String,
    /// Read while rows are being inserted, written while a rollup is being replaced.
    pub writing: Arc<tokio::sync::RwLock<()>>,
    /// Told of errors that speak of damage, and of incarnations that began not long ago.
    pub suspicion: crate::mend::Suspicion,
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
    /// The state does not allow to go on.
    #[error(transparent)]
    Stop(#[from] Stop),
    /// Reading the stream broke off.
    #[error(transparent)]
    Consume(#[from] consume::Error),
    /// ClickHouse could not be asked for what it holds.
    #[error("ClickHouse cannot be asked what it holds: {0}")]
    Stored(clickhouse::error::Error),
    /// Dead letters could not be published.
    #[error(transparent)]
    DeadLetter(#[from] bury::Error),
    /// A fault of ours.
    #[error("planning a range failed: {0}")]
    Plan(tokio::task::JoinError),
}

impl Error {
    /// The stage that failed.
    pub fn stage(&self) -> Stage {
        match self {
            Self::Broker(_) | Self::Stored(_) | Self::Stop(_) => Stage::Open,
            Self::Progress(_) => Stage::Commit,
            Self::Consume(_) => Stage::Gather,
            Self::DeadLetter(_) => Stage::DeadLetter,
            Self::Plan(_) => Stage::Plan,
        }
    }

    /// The fence that the partition's state holds, where it is higher than the lease's.
    pub fn higher_fence(&self) -> Option<u64> {
        match self {
            Self::Stop(Stop::Fenced(fenced)) => Some(fenced.found),
            _ => None,
        }
    }
}

/// Whether there is more to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// There is.
    On,
    /// Not under this lease: everything in hand is recorded.
    Stopped,
}

/// A partition being recorded.
pub struct Session {
    shared: Shared,
    partition: u16,
    stream: Stream,
    key: ProgressKey,
    recording: Recording,
    /// The connection that everything was read by: after a loss of NATS' data a state may come back under a revision
    /// that it had before, so nothing is written over another connection.
    connection: u64,
    reader: Option<Reader>,
    hand: Option<Hand>,
    doubt: Doubt,
    /// The next range, read and decoded while the one in hand is written. The reader goes on behind it.
    ahead: Option<Gathering>,
    last_range: tokio::time::Instant,
    purge_checked: Option<Instant>,
    retire_checked: Option<Instant>,
}

impl Session {
    /// Opens the partition: makes its stream and bucket if they are not there.
    pub async fn open(shared: Shared, partition: u16, fence: u64) -> Result<Self, Error> {
        let connection = *shared.connections.borrow();
        let stream = broker::partition_stream(&shared.jetstream, &shared.config.nats, partition).await?;
        broker::dead_letter_stream(&shared.jetstream, &shared.config.nats).await?;
        let bucket = broker::bucket(&shared.jetstream, &shared.config.nats, PROGRESS_BUCKET).await?;
        // The low bits of a fresh UUIDv7 are random.
        let salt = uuid::Uuid::now_v7().as_u64_pair().1;
        let tenure = Tenure { partition, owner: shared.owner.clone(), fence, salt };
        Ok(Self {
            partition,
            stream,
            key: ProgressKey::new(bucket, partition),
            recording: Recording::new(tenure),
            connection,
            reader: None,
            hand: None,
            doubt: Doubt::default(),
            ahead: None,
            last_range: tokio::time::Instant::now(),
            purge_checked: None,
            retire_checked: None,
            shared,
        })
    }

    /// Whether the state is known and fits the stream.
    pub fn is_recording(&self) -> bool {
        matches!(self.recording.task(), Task::Gather(_))
    }

    /// Whether the next step is to write rows.
    pub fn is_writing(&self) -> bool {
        matches!(self.recording.task(), Task::Write(_))
    }

    /// Does the next thing that there is to do. A stop is heeded between ranges.
    pub async fn step(&mut self, stop: &CancellationToken) -> Result<Flow, Error> {
        let task = self.recording.task().clone();
        let between_ranges =
            matches!(task, Task::Load | Task::AskStream | Task::AskStored(_) | Task::Settle | Task::Reread(_));
        if between_ranges && stop.is_cancelled() {
            return Ok(Flow::Stopped);
        }
        let told = match task {
            Task::Load => Told::Loaded(self.key.load().await?),
            Task::AskStream => Told::Stream(broker::facts(&self.stream, self.recording.progress()).await?),
            Task::AskStored(since) => {
                let found = stored::find(&self.shared.clickhouse, self.partition, since, Timestamp::now()).await;
                Told::Stored(self.answered(found)?)
            }
            Task::LookUp(ledgers) => {
                let (client, now) = (&self.shared.clickhouse, Timestamp::now());
                let found = stored::find_ledgers(client, self.partition, &ledgers, now).await;
                Told::Stored(self.answered(found)?)
            }
            Task::Settle => self.settle(stop).await,
            Task::Save(progress, over) => Told::Saved(self.save(&progress, over).await?),
            Task::Gather(from) => match self.gather(from, stop).await? {
                Some(range) => Told::Gathered(range),
                None if stop.is_cancelled() => return Ok(Flow::Stopped),
                None => return Ok(Flow::On),
            },
            Task::Reread(intent) => Told::Reread(self.reread(&intent).await?),
            Task::Plan => self.plan().await?,
            Task::Write(base) => self.write(&base).await?,
        };
        self.tell(told)?;
        Ok(Flow::On)
    }

    fn tell(&mut self, told: Told) -> Result<(), Error> {
        self.recording.tell(told, Timestamp::now())?;
        if let Some(departure) = self.recording.take_departure() {
            tracing::warn!(partition = self.partition, %departure, "the stream is not the known one: reading all of it, what is recorded is recognised");
            self.shared.metrics.incarnation_began(self.partition);
            (self.reader, self.hand, self.ahead) = (None, None, None);
        }
        Ok(())
    }

    fn answered(&self, found: Result<Vec<Stored>, clickhouse::error::Error>) -> Result<Vec<Stored>, Error> {
        self.shared.metrics.clickhouse_answered(found.is_ok());
        found.inspect_err(|error| self.shared.suspicion.of(error)).map_err(Error::Stored)
    }

    /// Whoever held the partition before has stopped by now, if it lives; this is for what it has sent.
    async fn settle(&self, stop: &CancellationToken) -> Told {
        tokio::select! {
            () = tokio::time::sleep(self.shared.config.recorder.lease.0) => {}
            () = stop.cancelled() => {}
        }
        Told::Settled
    }

    async fn save(&mut self, progress: &Progress, over: Option<u64>) -> Result<u64, Error> {
        if *self.shared.connections.borrow() != self.connection {
            return Err(consume::Error::Broken("the connection was made anew".to_owned()).into());
        }
        let started = Instant::now();
        let revision = self.key.save(progress, over).await?;
        let metrics = &self.shared.metrics;
        metrics.gaps(self.partition, protocol::missing(&progress.epochs));
        if progress.intent.is_some() {
            metrics.stage_took(Stage::Intend, started.elapsed());
        } else if let Some(Hand { name, messages, plan, .. }) = self.hand.take() {
            metrics.stage_took(Stage::Commit, started.elapsed());
            metrics.range_committed(plan.tally);
            let last = messages.last().filter(|message| message.pending > 0);
            metrics.oldest_open(self.partition, last.map(|message| message.published_at));
            let (partition, from, to) = (self.partition, name.from, name.to);
            tracing::debug!(partition, from, to, tally = ?plan.tally, "recorded a range");
        }
        Ok(revision)
    }

    async fn gather(&mut self, from: u64, stop: &CancellationToken) -> Result<Option<RangeName>, Error> {
        self.look_after_stream().await?;
        if stop.is_cancelled() {
            return Ok(None);
        }
        let patience = Patience { not_before: self.last_range + PACE, idle: IDLE };
        let (limits, mut gathering) = (self.limits(), self.gathering());
        gather::next_range(self.reader(from).await?, &mut gathering, limits, patience, stop).await?;
        let Some(range) = gathering.finish() else {
            self.shared.metrics.oldest_open(self.partition, None);
            return Ok(None);
        };
        self.last_range = tokio::time::Instant::now();
        let oldest = range.messages.first().map(|message| message.published_at);
        self.shared.metrics.oldest_open(self.partition, oldest);
        Ok(Some(self.take(range)))
    }

    /// The range that is being read already, or one that begins where the reader is.
    fn gathering(&mut self) -> Gathering {
        self.ahead.take().unwrap_or_else(|| Gathering::new(self.reading()))
    }

    fn reading(&self) -> Reading {
        Reading { partition: self.partition, book: Arc::clone(&self.shared.book) }
    }

    fn limits(&self) -> Limits {
        let recorder = &self.shared.config.recorder;
        Limits { max_events: recorder.max_range_events, max_age: recorder.max_range_age.0 }
    }

    async fn reread(&mut self, intent: &Intent) -> Result<Option<RangeName>, Error> {
        tracing::info!(partition = self.partition, from = intent.from, to = intent.to, "repeating an intended range");
        let gathering = Gathering::new(self.reading());
        self.doubt.is_repeated = true;
        let range = gather::exact_range(self.reader(intent.from).await?, gathering, intent.to).await?;
        Ok(range.map(|range| self.take(range)))
    }

    fn take(&mut self, range: Range) -> RangeName {
        let hand = self.hand.insert(Hand::new(range));
        hand.name.clone()
    }

    /// The reader goes on where it is: whoever reads from somewhere else drops it before.
    async fn reader(&mut self, from: u64) -> Result<&mut Reader, Error> {
        let reader = match self.reader.take() {
            Some(reader) => reader,
            None => {
                let incarnation = self.recording.progress().incarnation;
                tracing::info!(partition = self.partition, from, incarnation, "recording a partition");
                self.shared.suspicion.of_rollups((self.partition, incarnation), Timestamp::now());
                Reader::open(&self.stream, from, self.shared.connections.clone()).await?
            }
        };
        Ok(self.reader.insert(reader))
    }

    /// Finds out what is to be recorded, on a thread where that disturbs nobody.
    async fn plan(&mut self) -> Result<Told, Error> {
        let Some(hand) = self.hand.take() else { return Err(Stop::Astray.into()) };
        let started = Instant::now();
        let hand = hand.decoded().await.map_err(Error::Plan)?;
        let (partition, incarnation) = (self.partition, self.recording.progress().incarnation);
        let (book, epochs) = (Arc::clone(&self.shared.book), self.recording.progress().epochs.clone());
        let planned = tokio::task::spawn_blocking(move || {
            hand.planned(Context { partition, incarnation, book: &book, recorded_at: Timestamp::now() }, epochs)
        });
        let hand = self.hand.insert(planned.await.map_err(Error::Plan)?);
        self.shared.metrics.stage_took(Stage::Plan, started.elapsed());
        Ok(Told::Planned { epochs: hand.plan.take_epochs(), writes: !hand.plan.is_empty() })
    }

    /// Writes the range in hand. Meanwhile the next one is read: after an outage there is always one.
    async fn write(&mut self, base: &TokenBase) -> Result<Told, Error> {
        let Some(hand) = self.hand.take() else { return Err(Stop::Astray.into()) };
        let (limits, written, mut gathering) = (self.limits(), CancellationToken::new(), self.gathering());
        self.doubt.begins(&self.shared);
        let (shared, reader) = (&self.shared, &mut self.reader);
        let write = async {
            let hand = tokio::task::spawn_blocking(|| hand.settled()).await;
            let _no_rollup_is_replaced = shared.writing.read().await;
            let refusals = match &hand {
                Ok(hand) => shared.writer.write(base, &hand.plan).await,
                Err(_) => Vec::new(),
            };
            written.cancel();
            hand.map(|hand| (hand, refusals))
        };
        let read = async {
            let reading = reader.as_mut()?;
            gather::while_written(reading, &mut gathering, limits, &written).await.ok()?;
            Some(gathering)
        };
        let (wrote, ahead) = tokio::join!(write, read);
        if ahead.is_none() {
            // A new reader begins where the range in hand ends.
            self.reader = None;
        }
        self.ahead = ahead;
        let (mut hand, refusals) = wrote.map_err(Error::Plan)?;
        let refused = refusals.len() as u64;
        hand.plan.tally.stored = hand.plan.tally.stored.saturating_sub(refused);
        hand.plan.tally.dead_lettered += refused;
        let context = Context {
            partition: self.partition,
            incarnation: self.recording.progress().incarnation,
            book: &self.shared.book,
            recorded_at: Timestamp::now(),
        };
        bury::bury(&self.shared, &self.stream, (context, base), &hand, refusals).await?;
        let replayed = replay::store(&self.shared.clickhouse, &self.shared.writer, base, &hand.plan.replays).await;
        hand.plan.tally.stored += replayed.map_err(Error::Stored)?;
        self.hand = Some(hand);
        self.doubt.written(&self.shared, self.partition, &self.recording);
        Ok(Told::Written)
    }

    /// Makes room when recorded messages fill more than half of the stream, and notices when it was made anew.
    async fn look_after_stream(&mut self) -> Result<(), Error> {
        if self.purge_checked.is_some_and(|at| at.elapsed() < PURGE_CHECK) {
            return Ok(());
        }
        self.purge_checked = Some(Instant::now());
        let progress = self.recording.progress();
        let info = broker::info(&self.stream).await?;
        if broker::created(&info) != progress.stream_created {
            return Err(consume::Error::Broken("the stream was created anew".to_owned()).into());
        }
        let max_bytes = u64::try_from(info.config.max_bytes).unwrap_or(0);
        if max_bytes > 0 && info.state.bytes > max_bytes / 2 && info.state.first_sequence < progress.done {
            // The message at `done` stays: it proves that the stream is still the same.
            let messages = broker::purge_before(&self.stream, progress.done).await?;
            tracing::info!(partition = self.partition, messages, "removed recorded messages from a filling stream");
        }
        if self.retire_checked.is_none_or(|at| at.elapsed() > retire::PERIOD) {
            self.retire_checked = Some(Instant::now());
            let epochs = &self.recording.progress().epochs;
            self.recording.finished(retire::finished(&self.shared, self.partition, epochs).await);
        }
        Ok(())
    }
}
