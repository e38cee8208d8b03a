//! Dead letters that come again: each is stored once if it can be now, and whatever becomes of it is written down.
//!
//! Its number counts as recorded since it became a letter, so the progress in KV cannot tell whether its row is there.
//! ClickHouse can, and is asked. Every replay is an insert of its own under a token of its own, so the tokens of the other
//! rows of its range name the same rows whether or not it has been stored before.

use bytes::Bytes;
use clickhouse::Client;
use schemas::events::{Body, Event, Head};
use schemas::time::Timestamp;
use uuid::Uuid;

use crate::decode;
use crate::plan::{Context, Origin, Plan};
use crate::protocol::TokenBase;
use crate::rows::{BodiesRow, CandidateRow, LetterId, OpenedRow, ReplayOutcome, ReplayRow, RequestRow, TableRow};
use crate::write::{Insert, Writer};

/// A dead letter that was sent again.
#[derive(Debug)]
pub struct Replay {
    letter: LetterId,
    /// Index of its message in the range, which keeps its token apart from others'.
    message: usize,
    event: Result<Again, String>,
}

/// An event that can be read now.
#[derive(Debug)]
struct Again {
    place: Place,
    plan: Plan,
}

/// Where an event's row is, if it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    table: &'static str,
    epoch: Uuid,
    partition: u16,
    seq: u64,
    received_at: Timestamp,
}

impl Replay {
    /// Reads a letter that came as message number `message` of a range.
    pub fn new(context: Context<'_>, letter: LetterId, message: usize, line: &Bytes) -> Self {
        let event = decode::decode(line, context.partition).map_err(|poison| poison.reason);
        let event = event.map(|event| {
            let place = Place::of(&event);
            Again { place, plan: Plan::of_one(context, event, Origin { message, line: 0 }) }
        });
        Self { letter, message, event }
    }

    /// The ledger and the number of its event, if it can be read now.
    pub fn number(&self) -> Option<(Uuid, u64)> {
        self.event.as_ref().ok().map(|again| (again.place.epoch, again.place.seq))
    }
}

impl Place {
    fn of(event: &Event) -> Self {
        let Head { epoch, partition, seq, .. } = event.head;
        let (table, received_at) = match &event.body {
            Body::Terminal(receipt) => (RequestRow::TABLE, receipt.received_at),
            Body::Candidate(candidate) => (CandidateRow::TABLE, candidate.received_at),
            Body::Opened(opened) => (OpenedRow::TABLE, opened.received_at),
            Body::Bodies(bodies) => (BodiesRow::TABLE, bodies.received_at),
        };
        Self { table, epoch, partition, seq, received_at }
    }

    /// Whether the row is there. The tables' partitions are days of `received_at`, so that one day is read.
    async fn is_held(&self, client: &Client) -> Result<bool, clickhouse::error::Error> {
        let Self { table, epoch, partition, seq, received_at } = self;
        let sql = format!(
            "SELECT count() FROM {table} WHERE received_at = fromUnixTimestamp64Micro({}, 'UTC') \
             AND epoch = toUUID('{epoch}') AND `partition` = {partition} AND seq = {seq}",
            received_at.as_micros()
        );
        Ok(client.query_raw(&sql).fetch_one::<u64>().await? > 0)
    }
}

/// Stores what can be stored of a range's replays, and writes down what became of each. Returns how many are rows now that
/// were none before.
pub async fn store<I: Insert>(
    client: &Client,
    writer: &Writer<I>,
    base: &TokenBase,
    replays: &[Replay],
) -> Result<u64, clickhouse::error::Error> {
    let mut stored = 0;
    for Replay { letter, message, event } in replays {
        let part = format!(":replay{message}");
        let (outcome, reason) = match event {
            Err(reason) => (ReplayOutcome::Unreadable, reason.clone()),
            Ok(again) if again.place.is_held(client).await? => (ReplayOutcome::Known, String::new()),
            Ok(again) => match writer.write_part(base, &part, &again.plan).await.pop() {
                None => (ReplayOutcome::Stored, String::new()),
                Some(refusal) => (ReplayOutcome::Refused, refusal.reason),
            },
        };
        stored += u64::from(outcome == ReplayOutcome::Stored);
        tracing::info!(%letter, outcome = outcome.as_str(), reason, "a dead letter was sent again");
        let row = ReplayRow::new(*letter, outcome, reason, Timestamp::now().as_micros());
        writer.write_replay(base, &part, row).await;
    }
    Ok(stored)
}
