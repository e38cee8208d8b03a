//! Gateways tell each other what all should know, over a real NATS that may go away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway::peers::{self, Peers, Topic};
use schemas::config::{ByteSize, Nats, Span};
use tests::broker::Broker;
use tests::eventually;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// How long a word may take on a loaded machine before a test gives up.
const ARRIVAL: Duration = Duration::from_secs(60);

/// One gateway's ear and mouth; dropping it ends them.
struct Linked {
    peers: Arc<Peers>,
    link: JoinHandle<()>,
}

impl Linked {
    fn new(instance: Uuid, broker: &Broker) -> Self {
        let nats = Nats {
            url: broker.url(),
            partitions: 1,
            replicas: 1,
            max_bytes: ByteSize::mib(64),
            max_age: Span::secs(3600),
        };
        let peers = Arc::new(Peers::new(instance));
        Self { link: tokio::spawn(peers::link(Arc::clone(&peers), nats)), peers }
    }

    fn says(&self, word: &str) {
        assert!(self.peers.tell(Topic::Health, &word));
    }

    async fn hears(&self, from: Uuid, word: &str) {
        eventually(&format!("{word} is heard"), ARRIVAL, || async {
            let told = self.peers.told::<String>(Topic::Health, Instant::now());
            match told.iter().find(|told| told.instance == from) {
                Some(told) if told.value == word => Ok(()),
                _ => Err(format!("{told:?}")),
            }
        })
        .await;
    }
}

impl Drop for Linked {
    fn drop(&mut self) {
        self.link.abort();
    }
}

#[tokio::test]
async fn every_gateway_hears_every_other_also_after_nats_was_away_and_wiped() {
    let mut broker = Broker::start().await;
    let ids: Vec<Uuid> = (1..=3).map(Uuid::from_u128).collect();
    let all: Vec<Linked> = ids.iter().map(|id| Linked::new(*id, &broker)).collect();
    for (at, gateway) in all.iter().enumerate() {
        gateway.says(&format!("first of {at}"));
    }
    let heard_by_all = async |what: &str| {
        for (speaker, id) in ids.iter().enumerate() {
            for listener in all.iter().filter(|listener| !std::ptr::eq(*listener, &all[speaker])) {
                listener.hears(*id, &format!("{what} of {speaker}")).await;
            }
        }
    };
    heard_by_all("first").await;

    broker.kill();
    for (at, gateway) in all.iter().enumerate() {
        gateway.says(&format!("second of {at}"));
    }
    broker.restart().await;
    heard_by_all("second").await;

    broker.stop().await;
    broker.wipe();
    for (at, gateway) in all.iter().enumerate() {
        gateway.says(&format!("third of {at}"));
    }
    broker.restart().await;
    heard_by_all("third").await;
}

#[tokio::test]
async fn a_restarted_gateway_and_a_new_one_hear_what_was_said_before() {
    let broker = Broker::start().await;
    let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let (first, listener) = (Linked::new(one, &broker), Linked::new(two, &broker));
    first.says("remember");
    listener.hears(one, "remember").await;
    drop((first, listener));

    let restarted = Linked::new(one, &broker);
    // Said before it can have read anything: it must not write over its former life unread.
    restarted.says("again");
    restarted.hears(one, "remember").await;
    let new = Linked::new(Uuid::from_u128(3), &broker);
    new.hears(one, "again").await;
}
