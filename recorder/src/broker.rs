//! The connection to NATS, and the streams and the bucket that recording needs.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::context::Context;
use async_nats::jetstream::kv::{self, Store};
use async_nats::jetstream::stream::{
    Config, DiscardPolicy, Info, RawMessageErrorKind, RetentionPolicy, StorageType, Stream,
};
use async_nats::{Client, ConnectOptions, Event, ServerAddr};
use bytes::Bytes;
use schemas::config;
use schemas::progress::Progress;
use schemas::streams;
use schemas::time::Timestamp;
use tokio::sync::watch;

use crate::metrics::Metrics;
use crate::protocol::StreamFacts;

/// Longest wait for an answer of the server.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A dead connection is noticed after two of these.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// Longest wait before the next try to connect.
const RECONNECT_MAX: Duration = Duration::from_secs(2);

/// What NATS did not do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address in the configuration is not one.
    #[error("nats.url: {0}; write it as nats://host:4222, several separated by commas")]
    Address(String),
    /// No answer, or a bad one.
    #[error("NATS: cannot {what}: {reason}")]
    Refused {
        /// What was asked for.
        what: &'static str,
        /// The answer.
        reason: String,
    },
}

impl Error {
    fn refused(what: &'static str) -> impl FnOnce(String) -> Self {
        move |reason| Self::Refused { what, reason }
    }
}

/// Counts the times that the connection was made: whoever waits for the server on an older one waits in vain.
pub type Connections = watch::Receiver<u64>;

/// Begins to connect, and keeps connecting for ever; a server that is not there yet is waited for.
pub async fn connect(settings: &config::Nats, metrics: Metrics) -> Result<(Client, Connections), Error> {
    let (made, connections) = watch::channel(0);
    let made = Arc::new(made);
    let addresses: Result<Vec<ServerAddr>, _> = settings.url.split(',').map(|url| url.trim().parse()).collect();
    let addresses = addresses.map_err(|error: std::io::Error| Error::Address(error.to_string()))?;
    let options = ConnectOptions::new()
        .name("weir-recorder")
        .retry_on_initial_connect()
        .max_reconnects(None)
        .ping_interval(PING_INTERVAL)
        .reconnect_delay_callback(|tries| {
            Duration::from_millis(100).saturating_mul(u32::try_from(tries).unwrap_or(u32::MAX)).min(RECONNECT_MAX)
        })
        .event_callback(move |event| {
            let (metrics, made) = (metrics.clone(), Arc::clone(&made));
            async move {
                if matches!(event, Event::Connected) {
                    made.send_modify(|count| *count += 1);
                }
                observe(&metrics, &event);
            }
        });
    let client = options.connect(addresses).await.map_err(|error| Error::refused("connect")(error.to_string()))?;
    Ok((client, connections))
}

fn observe(metrics: &Metrics, event: &Event) {
    match event {
        Event::Connected => {
            metrics.nats_is_connected(true);
            tracing::info!("connected to NATS");
        }
        Event::Disconnected => {
            metrics.nats_is_connected(false);
            tracing::warn!("the connection to NATS is lost: connecting again until it is back");
        }
        // One per failed try to connect; that the connection is lost was told before.
        Event::ClientError(error) => tracing::debug!(%error, "NATS"),
        other => tracing::warn!(event = %other, "NATS"),
    }
}

/// The stream of a partition, made if it is not there. One that is there stays as it is, whatever its limits.
pub async fn partition_stream(context: &Context, settings: &config::Nats, partition: u16) -> Result<Stream, Error> {
    ensure(context, streams::partition(settings, partition)).await
}

/// The stream of dead letters, made if it is not there.
pub async fn dead_letter_stream(context: &Context, settings: &config::Nats) -> Result<Stream, Error> {
    ensure(context, streams::dead_letters(settings)).await
}

async fn ensure(context: &Context, wanted: streams::Settings) -> Result<Stream, Error> {
    let what = "open or create a stream";
    let wanted = Config {
        name: wanted.name,
        subjects: wanted.subjects,
        retention: RetentionPolicy::Limits,
        discard: match wanted.when_full {
            streams::WhenFull::Refuse => DiscardPolicy::New,
            streams::WhenFull::DropOldest => DiscardPolicy::Old,
        },
        storage: StorageType::File,
        max_bytes: wanted.max_bytes,
        max_age: wanted.max_age,
        duplicate_window: wanted.duplicate_window,
        num_replicas: wanted.replicas,
        allow_direct: true,
        ..Config::default()
    };
    within(what, context.get_or_create_stream(wanted)).await?.map_err(|error| Error::refused(what)(error.to_string()))
}

/// A bucket of one value per key, made if it is not there.
pub async fn bucket(context: &Context, settings: &config::Nats, name: &str) -> Result<Store, Error> {
    let what = "open or create a bucket";
    if let Ok(store) = within(what, context.get_key_value(name)).await? {
        return Ok(store);
    }
    let wanted = kv::Config {
        bucket: name.to_owned(),
        history: 1,
        storage: StorageType::File,
        num_replicas: usize::from(settings.replicas),
        ..kv::Config::default()
    };
    within(what, context.create_key_value(wanted)).await?.map_err(|error| Error::refused(what)(error.to_string()))
}

/// The server's present words about a stream.
pub async fn info(stream: &Stream) -> Result<Info, Error> {
    let what = "ask for a stream's state";
    within(what, stream.get_info()).await?.map_err(|error| Error::refused(what)(error.to_string()))
}

/// When a stream was created, as [`Progress`] keeps it.
pub fn created(info: &Info) -> String {
    let micros = info.created.unix_timestamp_nanos() / 1000;
    Timestamp::from_micros(i64::try_from(micros).unwrap_or_default()).to_string()
}

/// Everything that the protocol wants to know of a stream before it trusts a progress.
pub async fn facts(stream: &Stream, progress: &Progress) -> Result<StreamFacts, Error> {
    let info = info(stream).await?;
    let id_at_done = match progress.done {
        0 => None,
        done => message_id(stream, done).await?,
    };
    let intent_end_found = match &progress.intent {
        None => true,
        Some(intent) => message_id(stream, intent.to).await?.is_some(),
    };
    let (first, last) = (info.state.first_sequence, info.state.last_sequence);
    Ok(StreamFacts { created: created(&info), first, last, id_at_done, intent_end_found })
}

/// The id of the message at a sequence; empty when it has none, `None` when it is gone.
async fn message_id(stream: &Stream, sequence: u64) -> Result<Option<String>, Error> {
    Ok(message(stream, sequence).await?.map(|(id, _)| id))
}

/// The id and the bytes of the message at a sequence, asked of the stream's leader; `None` when it is gone.
pub async fn message(stream: &Stream, sequence: u64) -> Result<Option<(String, Bytes)>, Error> {
    let what = "read a message of a stream";
    match within(what, stream.get_raw_message(sequence)).await? {
        Ok(message) => {
            let id = message.headers.get(async_nats::header::NATS_MESSAGE_ID);
            Ok(Some((id.map(|id| id.as_str().to_owned()).unwrap_or_default(), message.payload)))
        }
        Err(error) if matches!(error.kind(), RawMessageErrorKind::NoMessageFound) => Ok(None),
        Err(error) => Err(Error::refused(what)(error.to_string())),
    }
}

/// Removes every message before `keep`.
pub async fn purge_before(stream: &Stream, keep: u64) -> Result<u64, Error> {
    let what = "remove recorded messages";
    let answer = within(what, stream.purge().sequence(keep).into_future()).await?;
    answer.map(|answer| answer.purged).map_err(|error| Error::refused(what)(error.to_string()))
}

async fn within<F: Future>(what: &'static str, future: F) -> Result<F::Output, Error> {
    let late = |_| Error::refused(what)("the server did not answer in time".to_owned());
    tokio::time::timeout(TIMEOUT, future).await.map_err(late)
}
