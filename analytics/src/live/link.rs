//! The subscription, and what becomes of the connection under it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, Message, Subject};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use schemas::config;
use tokio::sync::mpsc;

/// Packs that may wait to be read. They are read at once: this is for a machine that has no time at all.
const PACKS_MAX: usize = 512;
/// A server that says nothing for two of these is taken for gone.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// What happens to the connection is rare, and read at once.
const CHANGES_MAX: usize = 64;

/// Completed requests and all others, of every partition.
const SUBJECTS: [&str; 2] = ["weir.v1.stream.*", "weir.v1.failure.*"];

/// What comes next.
pub(super) enum Heard {
    /// Events as a gateway has sent them.
    Pack {
        /// The id that a repeat has too.
        id: Option<String>,
        /// A line per event.
        events: Bytes,
    },
    /// There is a connection: [`Link::ask`] when everything before it has been sent.
    Connected,
    /// From here on nothing is missed.
    Following,
    /// The connection is lost; it is made again by itself.
    Lost,
    /// Nothing comes any more.
    End,
}

/// A connection of the tail's own: what waits in it is bounded by other rules than for questions.
pub(super) struct Link {
    client: Client,
    messages: Pin<Box<dyn Stream<Item = Message> + Send>>,
    changes: mpsc::Receiver<bool>,
    /// What we send to ourselves. The server has read our subscriptions when it comes back.
    echo: Subject,
    overflowed: Arc<AtomicBool>,
}

impl Link {
    /// Subscribes; the connection itself may come later.
    pub(super) async fn open(settings: &config::Nats) -> Result<Self, &'static str> {
        let (sender, changes) = mpsc::channel(CHANGES_MAX);
        let overflowed = Arc::new(AtomicBool::new(false));
        let told = overflowed.clone();
        let options = ConnectOptions::new()
            .name("weir-analytics-live")
            .retry_on_initial_connect()
            .ping_interval(PING_INTERVAL)
            .subscription_capacity(PACKS_MAX)
            .event_callback(move |event| {
                let (sender, told) = (sender.clone(), told.clone());
                async move {
                    match event {
                        Event::Connected => drop(sender.send(true).await),
                        Event::Disconnected => drop(sender.send(false).await),
                        Event::SlowConsumer(_) => told.store(true, Ordering::Relaxed),
                        _ => {}
                    }
                }
            });
        let addresses: Vec<&str> = settings.url.split(',').map(str::trim).collect();
        // The texts of these errors may hold the address with its credentials.
        let client = options.connect(addresses).await.map_err(|_| "nats.url cannot be used")?;
        let echo = Subject::from(client.new_inbox());
        let mut subscriptions = Vec::new();
        for subject in SUBJECTS.map(Subject::from).into_iter().chain([echo.clone()]) {
            subscriptions.push(client.subscribe(subject).await.map_err(|_| "NATS does not let us subscribe")?);
        }
        let messages = Box::pin(stream::select_all(subscriptions));
        Ok(Self { client, messages, changes, echo, overflowed })
    }

    /// Waits for what comes next. Nothing is lost when it is not waited for to the end.
    pub(super) async fn next(&mut self) -> Heard {
        tokio::select! {
            message = self.messages.next() => match message {
                None => Heard::End,
                Some(message) if message.subject == self.echo => Heard::Following,
                Some(message) => Heard::Pack { id: id(&message), events: message.payload },
            },
            connected = self.changes.recv() => match connected {
                None => Heard::End,
                Some(false) => Heard::Lost,
                Some(true) => Heard::Connected,
            },
        }
    }

    /// Has the server answer behind our subscriptions with [`Heard::Following`]. If that is lost on the way, the
    /// connection is lost again too, and asked again.
    pub(super) async fn ask(&mut self) {
        let _ = self.client.publish(self.echo.clone(), Bytes::new()).await;
    }

    /// Whether packs had to be dropped since this was asked last. Nobody knows how many events they held.
    pub(super) fn overflowed(&self) -> bool {
        self.overflowed.swap(false, Ordering::Relaxed)
    }
}

fn id(message: &Message) -> Option<String> {
    message.headers.as_ref()?.get(async_nats::header::NATS_MESSAGE_ID).map(|id| id.as_str().to_owned())
}
