//! Sends letters again: the event's own bytes, as a message that names its letter.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::{self, Context};
use schemas::config::Config;
use schemas::outcome::Kind;
use schemas::subjects;
use serde::Deserialize;
use uuid::Uuid;

use super::{Error, Letter};

/// Names the letter that a message repeats.
pub const REPLAY_HEADER: &str = "Weir-Replay";
/// Longest wait for the connection, and for the acknowledgement of a letter.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What happened to a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It is in the stream again: the recorder will say what becomes of it.
    Published,
    /// NATS did not take it.
    Refused(String),
}

/// Sends letters.
pub struct Sender {
    context: Context,
    partitions: u16,
}

#[derive(Deserialize)]
struct Named {
    kind: Kind,
    partition: u16,
}

impl Sender {
    /// To this deployment's NATS.
    ///
    /// # Errors
    /// When NATS does not answer.
    pub async fn connect(config: &Config) -> Result<Self, Error> {
        let addresses: Vec<&str> = config.nats.url.split(',').map(str::trim).collect();
        let connecting = async_nats::ConnectOptions::new().name("weir-dead-letters").connect(addresses);
        // The text of an error may hold the address with its credentials.
        let client = match tokio::time::timeout(TIMEOUT, connecting).await {
            Ok(Ok(client)) => client,
            Ok(Err(_)) => return Err(Error::Nats("nats.url cannot be reached".to_owned())),
            Err(_) => return Err(Error::Nats("nats.url does not answer".to_owned())),
        };
        Ok(Self { context: jetstream::new(client), partitions: config.nats.partitions })
    }

    /// Sends one letter. Every sending has an id of its own, so that a letter can be sent again at any time.
    pub async fn send(&self, letter: &Letter) -> Sent {
        let mut headers = HeaderMap::new();
        headers.insert(REPLAY_HEADER, letter.id.to_string().as_str());
        headers
            .insert(async_nats::header::NATS_MESSAGE_ID, format!("replay:{}:{}", letter.id, Uuid::now_v7()).as_str());
        let send = async {
            let payload = letter.payload.clone().into();
            let sent = self.context.publish_with_headers(self.subject(letter), headers, payload).await;
            sent.map_err(|error| error.to_string())?.await.map_err(|error| error.to_string())
        };
        match tokio::time::timeout(TIMEOUT, send).await {
            Ok(Ok(_)) => Sent::Published,
            Ok(Err(reason)) => Sent::Refused(reason),
            Err(_) => Sent::Refused("no answer in time: it may be in the stream".to_owned()),
        }
    }

    /// Where the event belongs by its own words, or where it came from: another release may have called it something else.
    fn subject(&self, letter: &Letter) -> String {
        match serde_json::from_slice(&letter.payload) {
            Ok(Named { kind, partition }) if partition < self.partitions => subjects::subject(kind, partition),
            _ => letter.subject.clone(),
        }
    }
}
