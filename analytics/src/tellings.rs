//! What gateways and recorders tell in NATS KV: how far ledgers reach, and how far they are recorded. Read only.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectOptions};
use futures_util::StreamExt;
use schemas::config;
use schemas::heads::LedgerHead;
use schemas::progress::Progress;
use schemas::subjects;
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::audit::Tellings;

/// Longest wait for everything that is asked: an audit rather says that it does not know.
const TIMEOUT: Duration = Duration::from_secs(5);
const PING_INTERVAL: Duration = Duration::from_secs(5);

/// The connection to NATS, made when it is first needed.
pub struct Teller {
    settings: config::Nats,
    client: OnceCell<Client>,
}

impl Teller {
    /// Nothing is sent yet.
    pub fn new(settings: config::Nats) -> Self {
        Self { settings, client: OnceCell::new() }
    }

    /// Everything that is told at present; the error says why it cannot be had.
    pub async fn read(&self) -> Result<Tellings, String> {
        let reading = async {
            let client = self.client.get_or_try_init(|| connect(&self.settings)).await?;
            let context = jetstream::new(client.clone());
            Ok(Tellings {
                heads: heads(&context).await?,
                progress: progress(&context, self.settings.partitions).await?,
            })
        };
        tokio::time::timeout(TIMEOUT, reading).await.unwrap_or_else(|_| Err("NATS does not answer".to_owned()))
    }
}

async fn connect(settings: &config::Nats) -> Result<Client, String> {
    let addresses: Vec<&str> = settings.url.split(',').map(str::trim).collect();
    let options = ConnectOptions::new().name("weir-analytics").retry_on_initial_connect().ping_interval(PING_INTERVAL);
    // The text of the error may hold the address with its credentials.
    options.connect(addresses).await.map_err(|_| "nats.url cannot be used".to_owned())
}

async fn heads(context: &Context) -> Result<BTreeMap<Uuid, LedgerHead>, String> {
    let bucket = context.get_key_value(subjects::LEDGERS_BUCKET).await.map_err(|error| error.to_string())?;
    let mut keys = bucket.keys().await.map_err(|error| error.to_string())?;
    let mut heads = BTreeMap::new();
    while let Some(key) = keys.next().await {
        let key = key.map_err(|error| error.to_string())?;
        let value = bucket.get(&key).await.map_err(|error| error.to_string())?;
        let (Ok(epoch), Some(value)) = (Uuid::try_parse(&key), value) else { continue };
        let head = serde_json::from_slice(&value).map_err(|error| format!("the head of ledger {epoch}: {error}"))?;
        heads.insert(epoch, head);
    }
    Ok(heads)
}

async fn progress(context: &Context, partitions: u16) -> Result<BTreeMap<u16, Progress>, String> {
    let bucket = context.get_key_value(subjects::PROGRESS_BUCKET).await.map_err(|error| error.to_string())?;
    let mut progress = BTreeMap::new();
    for partition in 0..partitions {
        let value = bucket.get(subjects::progress_key(partition)).await.map_err(|error| error.to_string())?;
        let Some(value) = value else { continue };
        let state = serde_json::from_slice(&value)
            .map_err(|error| format!("the progress of partition {partition}: {error}"))?;
        progress.insert(partition, state);
    }
    Ok(progress)
}
