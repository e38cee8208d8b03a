//! The tail: terminal events as they happen, from NATS to whoever listens.
//!
//! Read beside the recorder and not through it: a plain subscription, which leaves no trace in JetStream. One for all
//! listeners, and only while there are any. What a listener is too slow for is counted and told, never kept.

mod ended;
mod link;
mod listeners;
mod matching;
mod seen;

pub use listeners::{LISTENERS_MAX, Listeners, Told};

use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use schemas::config;
use schemas::events::{Body, Event};
use schemas::pack;
use schemas::price::Book;
use tokio::task::yield_now;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use self::ended::Ended;
use self::link::{Heard, Link};
use self::seen::Seen;

/// How often those that have left are looked for, and a silent NATS is told.
const HOUSEKEEPING: Duration = Duration::from_millis(500);
/// How long the first connection may take before listeners are told that there is none.
const CONNECTING: Duration = Duration::from_secs(2);
/// Between two tries to use an address that cannot be used.
const PAUSE: Duration = Duration::from_secs(5);

/// Carries events from NATS to listeners; the one place that does.
pub struct Follower {
    settings: config::Nats,
    book: Book,
    listeners: Arc<Listeners>,
}

/// The tail, for the server, and what fills it.
pub fn new(settings: config::Nats, prices: &config::Prices) -> (Arc<Listeners>, Follower) {
    // Only the recorder cannot work without its book; here an unknown cost is told as one.
    let book = prices.book().unwrap_or_else(|error| {
        tracing::warn!(%error, "the tail tells no costs: there is no price book");
        Book::default()
    });
    let listeners = Arc::new(Listeners::default());
    (listeners.clone(), Follower { settings, book, listeners })
}

impl Follower {
    /// Follows whenever somebody listens, until `stop`; then lets everybody go and waits for ever.
    pub async fn run(self, stop: CancellationToken) {
        let following = async {
            loop {
                self.listeners.wanted().await;
                self.follow().await;
            }
        };
        tokio::select! { () = following => {}, () = stop.cancelled() => {} }
        self.listeners.close();
        pending::<()>().await;
    }

    /// Until nobody listens any more.
    async fn follow(&self) {
        let mut link = match Link::open(&self.settings).await {
            Ok(link) => link,
            Err(reason) => {
                tracing::warn!(reason, "the tail cannot follow");
                self.listeners.lost();
                return sleep(PAUSE).await;
            }
        };
        tracing::debug!("following events");
        let (began, mut seen) = (Instant::now(), Seen::default());
        let mut housekeeping = interval(HOUSEKEEPING);
        housekeeping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                heard = link.next() => match heard {
                    Heard::Pack { id, events } => {
                        if id.is_none_or(|id| seen.is_new(id)) {
                            self.deliver(&events);
                            // In a burst those who read fast must get to it before their queues are full.
                            yield_now().await;
                        }
                    }
                    Heard::Connected => link.ask().await,
                    Heard::Following => self.listeners.found(),
                    Heard::Lost => self.listeners.lost(),
                    Heard::End => return self.listeners.lost(),
                },
                _ = housekeeping.tick() => {
                    if link.overflowed() {
                        self.listeners.missed_some();
                    }
                    if began.elapsed() > CONNECTING {
                        self.listeners.still_connecting();
                    }
                    if !self.listeners.still_wanted() {
                        return tracing::debug!("nobody listens any more");
                    }
                }
            }
        }
    }

    fn deliver(&self, events: &[u8]) {
        for line in pack::lines(events) {
            // The recorder keeps what cannot be read, with the reason.
            let Ok(Event { head, body: Body::Terminal(receipt) }) = Event::decode(line) else { continue };
            self.listeners.tell(&receipt, || Ended::new(&head, &receipt, &self.book).to_json());
        }
    }
}

#[cfg(test)]
mod tests;
