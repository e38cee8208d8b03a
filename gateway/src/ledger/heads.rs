//! Tells in NATS KV how far the ledger reaches, for the audit: without it nobody else could know that events are missing
//! which have never left this machine.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::kv::{Config, Store};
use async_nats::jetstream::stream::StorageType;
use schemas::heads::{LedgerHead, TOLD_EVERY};
use schemas::subjects;
use schemas::time::Timestamp;

use super::Ledger;

/// Longest wait for the server; it is told again soon.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Tells one ledger's head.
pub(super) struct Teller<'a> {
    ledger: &'a Ledger,
    context: &'a Context,
    replicas: usize,
    told: Option<LedgerHead>,
}

impl<'a> Teller<'a> {
    /// Of this ledger, which has told nothing yet.
    pub(super) fn new(ledger: &'a Ledger, context: &'a Context, replicas: u8) -> Self {
        Self { ledger, context, replicas: usize::from(replicas), told: None }
    }

    /// Tells the head if it has changed, or was told long ago. A server that is away is told later.
    pub(super) async fn tell(&mut self, stopped: bool) {
        let head = self.head(stopped, Timestamp::now());
        if !self.is_news(&head) {
            return;
        }
        match tokio::time::timeout(TIMEOUT, self.put(&head)).await {
            Ok(Ok(())) => self.told = Some(head),
            Ok(Err(error)) => tracing::debug!(%error, "the ledger's head cannot be told yet"),
            Err(_) => tracing::debug!("the ledger's head cannot be told in time"),
        }
    }

    fn head(&self, stopped: bool, now: Timestamp) -> LedgerHead {
        let last: BTreeMap<u16, u64> = self.ledger.last_seq();
        let unchanged = self.told.as_ref().filter(|told| told.last == last);
        let changed_at = unchanged.map_or(now, |told| told.changed_at);
        LedgerHead { gateway: self.ledger.gateway().to_owned(), told_at: now, changed_at, stopped, last }
    }

    fn is_news(&self, head: &LedgerHead) -> bool {
        self.told.as_ref().is_none_or(|told| {
            let age_ms = head.told_at.millis_since(told.told_at);
            // Half of the promised period, so that one late look does not break it.
            (&told.last, told.stopped) != (&head.last, head.stopped) || age_ms >= TOLD_EVERY.as_millis() as f64 / 2.0
        })
    }

    async fn put(&self, head: &LedgerHead) -> Result<(), String> {
        let bucket = self.bucket().await?;
        let value = serde_json::to_vec(head).map_err(|error| error.to_string())?;
        let key = self.ledger.epoch().to_string();
        bucket.put(key, value.into()).await.map(drop).map_err(|error| error.to_string())
    }

    /// The bucket, made if it is not there: a store that was wiped has none any more.
    async fn bucket(&self) -> Result<Store, String> {
        if let Ok(bucket) = self.context.get_key_value(subjects::LEDGERS_BUCKET).await {
            return Ok(bucket);
        }
        let wanted = Config {
            bucket: subjects::LEDGERS_BUCKET.to_owned(),
            history: 1,
            storage: StorageType::File,
            num_replicas: self.replicas,
            ..Config::default()
        };
        self.context.create_key_value(wanted).await.map_err(|error| error.to_string())
    }
}
