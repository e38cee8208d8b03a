//! Reads and writes the board, beat by beat.

use std::time::{Duration, Instant};

use async_nats::jetstream::kv::{CreateErrorKind, Operation, Store, UpdateErrorKind};
use schemas::subjects::{RECORDERS_BUCKET, RECORDERS_KEY};
use tokio_util::sync::CancellationToken;

use super::{Board, Keeper, Landlord, Times};
use crate::broker;
use crate::record::Shared;

/// A board that others write at the same moment is read and written again this often before the next beat.
const TRIES: u32 = 8;
/// Longest time for saying farewell.
const FAREWELL: Duration = Duration::from_secs(2);

/// Why the board was not written. It is tried again with the next beat.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Broker(#[from] broker::Error),
    #[error("NATS KV: {0}")]
    Nats(String),
    #[error("the server did not answer in time")]
    Late,
    #[error("other recorders write the board all the time")]
    Crowded,
}

/// Keeps this recorder's leases until `stop`, then gives back those on which nobody works any more.
pub async fn keep(shared: Shared, landlord: Landlord, stop: CancellationToken) {
    let times = Times::of(shared.config.recorder.lease.0);
    let keeper = Keeper::new(shared.owner.clone(), shared.config.nats.partitions, times);
    let mut round = Round { shared, landlord, keeper, times, store: None };
    let mut failed = false;
    while !stop.is_cancelled() {
        let result = round.beat().await;
        match &result {
            Ok(()) => {}
            Err(error) if !failed => tracing::warn!(%error, "the leases of partitions cannot be renewed: trying again"),
            Err(error) => tracing::debug!(%error, "the leases of partitions cannot be renewed again"),
        }
        failed = result.is_err();
        tokio::select! {
            () = tokio::time::sleep(times.beat) => {}
            () = round.landlord.reported() => tokio::time::sleep(times.beat / 8).await,
            () = stop.cancelled() => {}
        }
    }
    if !matches!(tokio::time::timeout(FAREWELL, round.farewell()).await, Ok(Ok(()))) {
        tracing::warn!("the leases of partitions could not be given back: others wait until they have run out");
    }
}

struct Round {
    shared: Shared,
    landlord: Landlord,
    keeper: Keeper,
    times: Times,
    store: Option<Store>,
}

impl Round {
    async fn beat(&mut self) -> Result<(), Error> {
        for (partition, fence) in self.landlord.take_fences() {
            self.keeper.found_fence(partition, fence);
        }
        for attempt in 0..TRIES {
            let (board, revision) = self.read().await?;
            let now = Instant::now();
            self.keeper.look(&board, now);
            let next = self.keeper.propose(&board, &self.landlord.idle(), now);
            let sent_at = Instant::now();
            let written = self.write(&next, revision).await?;
            if written {
                self.keeper.written(&board, &next, sent_at);
            }
            self.publish(&next);
            if written {
                return Ok(());
            }
            // Jitter: recorders that started together would collide for ever.
            let (_, random) = uuid::Uuid::now_v7().as_u64_pair();
            tokio::time::sleep(Duration::from_millis(random % (5 << attempt))).await;
        }
        Err(Error::Crowded)
    }

    fn publish(&self, board: &Board) {
        self.landlord.publish(&self.keeper);
        let held: Vec<u16> = self.keeper.held().map(|(partition, _, _)| partition).collect();
        self.shared.metrics.leases(&held, board.members.len(), self.keeper.takeovers());
    }

    async fn farewell(&mut self) -> Result<(), Error> {
        loop {
            let (board, revision) = self.read().await?;
            let next = self.keeper.farewell(&board, &self.landlord.idle());
            if revision.is_none() || next == board || self.write(&next, revision).await? {
                return Ok(());
            }
        }
    }

    async fn read(&mut self) -> Result<(Board, Option<u64>), Error> {
        let limit = self.times.valid / 2;
        let store = self.store().await?;
        let entry = match tokio::time::timeout(limit, store.entry(RECORDERS_KEY)).await {
            Ok(Ok(entry)) => entry,
            Ok(Err(error)) => return Err(self.broken(error.to_string())),
            Err(_) => return Err(Error::Late),
        };
        let Some(entry) = entry.filter(|entry| entry.operation == Operation::Put) else {
            return Ok((Board::default(), None));
        };
        let board = serde_json::from_slice(&entry.value).unwrap_or_else(|error| {
            tracing::warn!(%error, "the recorders' board cannot be read: beginning a new one");
            Board::default()
        });
        Ok((board, Some(entry.revision)))
    }

    /// `false`: another recorder has written in between.
    async fn write(&mut self, board: &Board, revision: Option<u64>) -> Result<bool, Error> {
        let value = serde_json::to_vec(board).map_err(|error| Error::Nats(error.to_string()))?.into();
        let limit = self.times.valid / 2;
        let store = self.store().await?;
        let write = async {
            match revision {
                Some(revision) => store
                    .update(RECORDERS_KEY, value, revision)
                    .await
                    .map_err(|error| (error.kind() == UpdateErrorKind::WrongLastRevision, error.to_string())),
                None => store
                    .create(RECORDERS_KEY, value)
                    .await
                    .map_err(|error| (error.kind() == CreateErrorKind::AlreadyExists, error.to_string())),
            }
        };
        match tokio::time::timeout(limit, write).await {
            Ok(Ok(_)) => Ok(true),
            Ok(Err((true, _))) => Ok(false),
            Ok(Err((false, reason))) => Err(self.broken(reason)),
            Err(_) => Err(Error::Late),
        }
    }

    /// A bucket that is gone is made anew by the next call.
    fn broken(&mut self, reason: String) -> Error {
        self.store = None;
        Error::Nats(reason)
    }

    async fn store(&mut self) -> Result<Store, Error> {
        if let Some(store) = &self.store {
            return Ok(store.clone());
        }
        let store = broker::bucket(&self.shared.jetstream, &self.shared.config.nats, RECORDERS_BUCKET).await?;
        self.store = Some(store.clone());
        Ok(store)
    }
}
