//! Carries what gateways tell each other: the only part of [`super`] that knows NATS, on a connection of its own, so that
//! the ledger's shipping and this never wait for each other.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use async_nats::jetstream::kv::{self, Operation, Store};
use async_nats::jetstream::stream::StorageType;
use async_nats::jetstream::{self, Context};
use futures_util::StreamExt;
use schemas::config::Nats;
use schemas::subjects;
use tokio::time::MissedTickBehavior;

use super::{HEARTBEAT, KEPT, Peers, Topic, VALUE_MAX};
use crate::ledger::connect_nats;

/// News goes out this often at most, and waits no longer.
const PERIOD: Duration = Duration::from_millis(200);
/// Longest wait for an answer of the server.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Between two tries to use the bucket.
const PAUSE: Duration = Duration::from_millis(500);
/// Every heartbeat comes back on the watch; without one for this long the watch is dead, whatever the client says.
const DEAF_AFTER: Duration = HEARTBEAT.saturating_add(Duration::from_secs(5));

/// Carries for ever; the caller drops it. NATS away, or wiped, is waited out.
pub async fn link(peers: Arc<Peers>, nats: Nats) {
    let client = loop {
        match connect_nats(&nats, Arc::new(AtomicBool::new(false))).await {
            Ok(client) => break client,
            Err(error) => tracing::debug!(%error, "other gateways cannot be reached"),
        }
        tokio::time::sleep(PAUSE).await;
    };
    let mut context = jetstream::new(client);
    context.set_timeout(TIMEOUT);
    loop {
        let Err(error) = carry(&peers, &context, &nats).await;
        tracing::debug!(%error, "other gateways are not heard; trying again");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Reads and writes until something fails.
async fn carry(peers: &Peers, context: &Context, nats: &Nats) -> Result<std::convert::Infallible, String> {
    let bucket = in_time(bucket(context, nats)).await?;
    // What this gateway told before it was restarted, before it is written over.
    for topic in Topic::ALL {
        let key = topic.key(peers.instance);
        let found = in_time(bucket.entry(key.as_str())).await?;
        if let Some(entry) = found.filter(|entry| entry.operation == Operation::Put) {
            peers.hear(&key, entry.value, Instant::now());
        }
    }
    let topics = Topic::ALL.map(|topic| format!("{}.*", topic.as_str()));
    let mut watch = in_time(bucket.watch_many_with_history(topics)).await?;
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // When the first word went out that has not come back.
    let mut unheard_since: Option<Instant> = None;
    loop {
        tokio::select! {
            entry = watch.next() => {
                let entry = entry.ok_or("the watch has ended")?.map_err(|error| error.to_string())?;
                if entry.operation == Operation::Put && peers.hear(&entry.key, entry.value, Instant::now()) {
                    unheard_since = None;
                }
            }
            _ = ticks.tick() => {
                for (topic, value) in peers.due(Instant::now()) {
                    in_time(bucket.put(topic.key(peers.instance), value.clone())).await?;
                    peers.written(topic, &value, Instant::now());
                    unheard_since = unheard_since.or(Some(Instant::now()));
                }
                if unheard_since.is_some_and(|since| since.elapsed() > DEAF_AFTER) {
                    return Err("the watch is silent".to_owned());
                }
            }
        }
    }
}

/// The bucket, made if it is not there: a store that was wiped has none any more.
async fn bucket(context: &Context, nats: &Nats) -> Result<Store, String> {
    if let Ok(bucket) = context.get_key_value(subjects::PEERS_BUCKET).await {
        return Ok(bucket);
    }
    let wanted = kv::Config {
        bucket: subjects::PEERS_BUCKET.to_owned(),
        description: "What running gateways tell each other".to_owned(),
        max_value_size: i32::try_from(VALUE_MAX).unwrap_or(i32::MAX),
        history: 1,
        max_age: KEPT,
        storage: StorageType::File,
        num_replicas: usize::from(nats.replicas),
        ..kv::Config::default()
    };
    context.create_key_value(wanted).await.map_err(|error| error.to_string())
}

async fn in_time<T, E: ToString>(asked: impl Future<Output = Result<T, E>>) -> Result<T, String> {
    match tokio::time::timeout(TIMEOUT, asked).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err("no answer in time".to_owned()),
    }
}
