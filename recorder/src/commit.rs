//! A partition's [`Progress`] in NATS KV. Every write is a compare-and-set: who has not seen the latest state cannot
//! change it, so two recorders can never both believe that they own a range.

use std::time::Duration;

use async_nats::jetstream::kv::{CreateErrorKind, Store, UpdateErrorKind};
use schemas::progress::Progress;

/// Longest wait for the server.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why the state was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another recorder has written in between: read again and go on from there.
    #[error("another recorder has moved this partition on")]
    Conflict,
    /// What is stored is not a progress this recorder reads.
    #[error("the stored progress cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// The server did not answer, or not well; after a write the outcome is unknown.
    #[error("NATS KV: {0}")]
    Nats(String),
}

/// One partition's key.
#[derive(Clone, Debug)]
pub struct ProgressKey {
    store: Store,
    key: String,
}

impl ProgressKey {
    /// The key of a partition.
    pub fn new(store: Store, partition: u16) -> Self {
        Self { store, key: schemas::subjects::progress_key(partition) }
    }

    /// The state and its revision, if there is one.
    pub async fn load(&self) -> Result<Option<(Progress, u64)>, Error> {
        let entry =
            within(self.store.entry(self.key.as_str())).await?.map_err(|error| Error::Nats(error.to_string()))?;
        let Some(entry) = entry.filter(|entry| entry.operation == async_nats::jetstream::kv::Operation::Put) else {
            return Ok(None);
        };
        Ok(Some((serde_json::from_slice(&entry.value)?, entry.revision)))
    }

    /// Writes the state over the one at this revision, or, with none, as the first one. Returns its revision.
    pub async fn save(&self, progress: &Progress, over: Option<u64>) -> Result<u64, Error> {
        let value = serde_json::to_vec(progress)?.into();
        match over {
            Some(revision) => {
                let updated = within(self.store.update(self.key.as_str(), value, revision)).await?;
                updated.map_err(|error| match error.kind() {
                    UpdateErrorKind::WrongLastRevision => Error::Conflict,
                    _ => Error::Nats(error.to_string()),
                })
            }
            None => {
                let created = within(self.store.create(self.key.as_str(), value)).await?;
                created.map_err(|error| match error.kind() {
                    CreateErrorKind::AlreadyExists => Error::Conflict,
                    _ => Error::Nats(error.to_string()),
                })
            }
        }
    }
}

async fn within<F: Future>(future: F) -> Result<F::Output, Error> {
    tokio::time::timeout(TIMEOUT, future).await.map_err(|_| Error::Nats("the server did not answer in time".to_owned()))
}
