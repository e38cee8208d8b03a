//! Reads a partition's stream in order from a given sequence. Nothing is acknowledged: the position in KV is the truth,
//! and the server only has to deliver.

use std::time::Duration;

use async_nats::jetstream::consumer::pull::{Config, Stream as Messages};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy};
use async_nats::jetstream::stream::Stream;
use bytes::Bytes;
use futures_util::StreamExt;
use schemas::time::Timestamp;

use crate::broker::Connections;
use crate::letters::REPLAY_HEADER;
use crate::rows::LetterId;

/// A pull request asks for this many messages; with packs of 256 KiB that is 16 MiB on their way.
const BATCH_MESSAGES: usize = 64;
/// A pull request stays open this long: the server answers as soon as a message arrives, so nothing is polled.
const PULL_EXPIRES: Duration = Duration::from_secs(30);
/// A silence of twice this long means that the consumer or the connection is gone.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// The server forgets the consumer this long after its reader.
const INACTIVE: Duration = Duration::from_secs(60);
/// Longest wait for the server to create a consumer.
const CREATE_TIMEOUT: Duration = Duration::from_secs(10);

/// What is known of a message of a partition's stream beside its bytes.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// Its sequence.
    pub seq: u64,
    /// Its `Nats-Msg-Id`; empty when it has none.
    pub id: String,
    /// Its subject.
    pub subject: String,
    /// When the server stored it.
    pub published_at: Timestamp,
    /// How many messages wait behind it.
    pub pending: u64,
    /// The dead letter that it repeats, if it is none of a gateway's packs.
    pub replay: Option<Box<LetterId>>,
    /// CRC-32C of its bytes.
    pub checksum: u32,
}

/// One message of a partition's stream.
#[derive(Clone, Debug)]
pub struct Message {
    /// What is known of it.
    pub envelope: Envelope,
    /// The pack.
    pub payload: Bytes,
}

/// Why reading cannot go on with this reader. A new one, opened at the position in KV, can.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server did not create the consumer.
    #[error("cannot create a consumer: {0}")]
    Create(String),
    /// The server, the consumer or the connection went away.
    #[error("the consumer broke off: {0}")]
    Broken(String),
    /// A message was lost on its way.
    #[error("delivery {found} came where {expected} was due")]
    Skipped {
        /// The delivery that was due.
        expected: u64,
        /// The one that came.
        found: u64,
    },
}

/// An ordered reader.
pub struct Reader {
    messages: Messages,
    connections: Connections,
    delivered: u64,
    /// Messages that were given back, the next one last.
    returned: Vec<Message>,
}

impl Reader {
    /// Starts to read at a sequence.
    pub async fn open(stream: &Stream, from: u64, mut connections: Connections) -> Result<Self, Error> {
        connections.mark_unchanged();
        let config = Config {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: from },
            ack_policy: AckPolicy::None,
            inactive_threshold: INACTIVE,
            memory_storage: true,
            num_replicas: 1,
            ..Config::default()
        };
        let create = async {
            let consumer = stream.create_consumer(config).await.map_err(|error| Error::Create(error.to_string()))?;
            let builder = consumer.stream().max_messages_per_batch(BATCH_MESSAGES).expires(PULL_EXPIRES);
            builder.heartbeat(HEARTBEAT).messages().await.map_err(|error| Error::Create(error.to_string()))
        };
        let messages = tokio::time::timeout(CREATE_TIMEOUT, create)
            .await
            .map_err(|_| Error::Create("the server did not answer in time".to_owned()))??;
        Ok(Self { messages, connections, delivered: 0, returned: Vec::new() })
    }

    /// Waits for the next message. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<Message, Error> {
        if let Some(message) = self.returned.pop() {
            return Ok(message);
        }
        let broken = |reason: String| Error::Broken(reason);
        let message = tokio::select! {
            biased;
            message = self.messages.next() => message.ok_or_else(|| broken("the server ended it".to_owned()))?,
            // A restarted server knows nothing of this consumer; its silence would be noticed seconds later.
            _ = self.connections.changed() => return Err(broken("the connection was made anew".to_owned())),
        };
        let message = message.map_err(|error| broken(error.to_string()))?;
        let (seq, delivery, pending, published_at) = {
            let info = message.info().map_err(|error| broken(error.to_string()))?;
            let micros = info.published.unix_timestamp_nanos() / 1000;
            let published_at = Timestamp::from_micros(i64::try_from(micros).unwrap_or_default());
            (info.stream_sequence, info.consumer_sequence, info.pending, published_at)
        };
        // A slow-consumer drop or a reconnect shows as a hole in the deliveries; the stream's own sequences may have holes.
        self.delivered += 1;
        if delivery != self.delivered {
            return Err(Error::Skipped { expected: self.delivered, found: delivery });
        }
        let message = message.message;
        let header = |name: &str| Some(message.headers.as_ref()?.get(name)?.as_str());
        let envelope = Envelope {
            seq,
            id: header("Nats-Msg-Id").unwrap_or_default().to_owned(),
            replay: header(REPLAY_HEADER).and_then(|id| id.parse().ok()).map(Box::new),
            subject: message.subject.to_string(),
            published_at,
            pending,
            checksum: crc32c::crc32c(&message.payload),
        };
        Ok(Message { envelope, payload: message.payload })
    }

    /// Gives a message back: it is the next one again.
    pub fn put_back(&mut self, message: Message) {
        self.returned.push(message);
    }
}
