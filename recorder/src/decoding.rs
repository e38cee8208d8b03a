//! Decoding while a range is gathered: by a thread that disturbs nobody, message by message, so that of a range there are
//! never its rows and its messages at the same time.

use std::sync::Arc;

use bytes::Bytes;
use schemas::price::Book;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::consume::{Envelope, Message};
use crate::plan::{Decoded, Decoder};
use crate::rows::LetterId;

/// So many messages wait to be decoded at most; NATS waits then.
const WAITING: usize = 16;

/// What a range's messages are read with.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The partition.
    pub partition: u16,
    /// The prices.
    pub book: Arc<Book>,
}

/// A range's messages being decoded.
#[derive(Debug)]
pub struct Decoding {
    messages: mpsc::Sender<(Option<LetterId>, Bytes)>,
    decoded: JoinHandle<Decoded>,
}

impl Decoding {
    /// Begins a range. The thread ends with it, or when this is dropped.
    pub fn start(reading: Reading) -> Self {
        let (messages, mut waiting) = mpsc::channel::<(Option<LetterId>, Bytes)>(WAITING);
        let decoded = tokio::task::spawn_blocking(move || {
            let mut decoder = Decoder::new(reading.partition, &reading.book);
            while let Some((replay, payload)) = waiting.blocking_recv() {
                decoder.read(replay, &payload);
            }
            decoder.finish()
        });
        Self { messages, decoded }
    }

    /// Hands over the next message of the range and keeps what is known of it.
    pub async fn push(&self, message: Message) -> Envelope {
        let Message { envelope, payload } = message;
        let replay = envelope.replay.as_deref().copied();
        // Nobody takes it after a panic, of which `finish` tells.
        let _panicked = self.messages.send((replay, payload)).await;
        envelope
    }

    /// Waits for all that was handed over.
    ///
    /// # Errors
    /// When decoding has panicked: a fault of ours.
    pub async fn finish(self) -> Result<Decoded, tokio::task::JoinError> {
        drop(self.messages);
        self.decoded.await
    }
}
