//! What running gateways tell each other over a NATS KV bucket: each writes one entry per topic, and reads all others.
//!
//! Nothing here waits: a topic is told into memory and read from memory, and [`link`] carries it. With NATS away every
//! gateway is alone with what it knows, and when NATS is back the newest of every topic goes out. An entry's key is the
//! epoch of the gateway's ledger: no two running gateways share it, and a restarted one finds its own words again.

mod link;
mod health;
mod limits;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use uuid::Uuid;

pub(crate) use health::share_health;
pub(crate) use limits::{keep as keep_limits, share_limits};
pub use link::link;

/// Largest value of one topic, in bytes. NATS carries up to a megabyte.
pub const VALUE_MAX: usize = 256 * 1024;
/// Most gateways that are listened to, per topic. Further ones are not heard, which is counted.
pub const PEERS_MAX: usize = 256;
/// An entry is written again after this long without a change, so that the others know that its gateway runs.
pub const HEARTBEAT: Duration = Duration::from_secs(10);
/// The gateway of an entry that was not written for this long has died.
pub const DEAD_AFTER: Duration = Duration::from_secs(30);
/// Entries are kept for this long: what a gateway has told may hold beyond its own death.
pub const KEPT: Duration = Duration::from_secs(3600);

/// What is told. Add one for every kind of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// Breakers, cool-downs, refused keys and learned limits.
    Health,
    /// What clients have used within the last two minutes, and have under way.
    Limits,
    /// What clients have spent of their budgets.
    Budgets,
}

impl Topic {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Health, Self::Limits, Self::Budgets];

    /// The beginning of its keys.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Health => "health",
            Self::Limits => "limits",
            Self::Budgets => "budgets",
        }
    }

    fn key(self, instance: Uuid) -> String {
        format!("{}.{instance}", self.as_str())
    }

    fn of_key(key: &str) -> Option<(Self, Uuid)> {
        let (topic, instance) = key.split_once('.')?;
        let topic = Self::ALL.into_iter().find(|known| known.as_str() == topic)?;
        Some((topic, Uuid::try_parse(instance).ok()?))
    }
}

/// What one gateway has told of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told<T> {
    /// Which gateway, by the epoch of its ledger. This one's own epoch: what it told before it was restarted.
    pub instance: Uuid,
    /// What it told last.
    pub value: T,
    /// How long ago that was heard.
    pub age: Duration,
}

impl<T> Told<T> {
    /// Whether its gateway runs, as far as one can hear.
    pub fn is_alive(&self) -> bool {
        self.age < DEAD_AFTER
    }
}

/// What this gateway tells and what it has been told.
#[derive(Debug)]
pub struct Peers {
    instance: Uuid,
    state: Mutex<State>,
    heard: watch::Sender<u64>,
    unreadable: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    mine: BTreeMap<Topic, Mine>,
    theirs: BTreeMap<(Topic, Uuid), (Bytes, Instant)>,
}

#[derive(Debug)]
struct Mine {
    value: Bytes,
    /// When this value was last written; none: it never was.
    written: Option<Instant>,
}

impl Peers {
    /// Nothing told, nothing heard. `instance` is the epoch of the gateway's ledger.
    pub fn new(instance: Uuid) -> Self {
        let (heard, _) = watch::channel(0);
        Self { instance, state: Mutex::default(), heard, unreadable: AtomicU64::new(0) }
    }

    /// Tells the others, soon; only the last value is sent. A value that is the same as before is no news.
    /// Returns whether the value is one that can be told: one that is larger than [`VALUE_MAX`] is not.
    pub fn tell(&self, topic: Topic, value: &impl Serialize) -> bool {
        let Ok(value) = serde_json::to_vec(value) else { return false };
        if value.len() > VALUE_MAX {
            tracing::warn!(topic = topic.as_str(), bytes = value.len(), "too much to tell the other gateways");
            return false;
        }
        let mut state = self.lock();
        if state.mine.get(&topic).is_none_or(|known| known.value != value) {
            state.mine.insert(topic, Mine { value: value.into(), written: None });
        }
        true
    }

    /// What has been told of a topic, by gateways that run and by those that died within [`KEPT`]. What cannot be read
    /// (of another version, say) is left out and counted once.
    pub fn told<T: DeserializeOwned>(&self, topic: Topic, now: Instant) -> Vec<Told<T>> {
        let mut told = Vec::new();
        self.lock().theirs.retain(|(of, instance), (value, at)| {
            let age = now.saturating_duration_since(*at);
            if *of != topic || age >= KEPT {
                return age < KEPT;
            }
            match serde_json::from_slice(value) {
                Ok(value) => told.push(Told { instance: *instance, value, age }),
                Err(error) => {
                    self.unreadable.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(topic = topic.as_str(), %instance, %error, "what a gateway tells cannot be read");
                    return false;
                }
            }
            true
        });
        told
    }

    /// How many other gateways run, as far as one can hear.
    pub fn alive(&self, now: Instant) -> usize {
        self.running(now).len()
    }

    /// This gateway's place among those that run, from 0.
    pub fn place(&self, now: Instant) -> usize {
        self.running(now).range(..self.instance).count()
    }

    fn running(&self, now: Instant) -> BTreeSet<Uuid> {
        let state = self.lock();
        let running = state.theirs.iter().filter(|((_, instance), (_, at))| {
            *instance != self.instance && now.saturating_duration_since(*at) < DEAD_AFTER
        });
        running.map(|((_, instance), _)| *instance).collect()
    }

    /// Changes whenever something was heard.
    pub fn heard(&self) -> watch::Receiver<u64> {
        self.heard.subscribe()
    }

    /// How much of what was told could not be taken in.
    pub fn unreadable(&self) -> u64 {
        self.unreadable.load(Ordering::Relaxed)
    }

    /// Takes in an entry. Returns whether it is this gateway's own word come back.
    fn hear(&self, key: &str, value: Bytes, now: Instant) -> bool {
        let Some((topic, instance)) = Topic::of_key(key) else {
            // Of a newer version of the gateway, which tells of more.
            return false;
        };
        let mut state = self.lock();
        if instance == self.instance && state.mine.get(&topic).is_some_and(|mine| mine.written.is_some()) {
            return true;
        }
        let is_known = state.theirs.contains_key(&(topic, instance));
        let others = state.theirs.keys().filter(|(of, _)| *of == topic).count();
        if value.len() > VALUE_MAX || (!is_known && others >= PEERS_MAX) {
            self.unreadable.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        state.theirs.insert((topic, instance), (value, now));
        drop(state);
        self.heard.send_modify(|count| *count = count.wrapping_add(1));
        false
    }

    /// What is to be written now: news, and what has not been written for [`HEARTBEAT`].
    fn due(&self, now: Instant) -> Vec<(Topic, Bytes)> {
        let is_due = |mine: &Mine| mine.written.is_none_or(|at| now.saturating_duration_since(at) >= HEARTBEAT);
        let state = self.lock();
        let due = state.mine.iter().filter(|(_, mine)| is_due(mine));
        due.map(|(topic, mine)| (*topic, mine.value.clone())).collect()
    }

    /// This value was acknowledged. There may be a newer one.
    fn written(&self, topic: Topic, value: &Bytes, now: Instant) {
        if let Some(mine) = self.lock().mine.get_mut(&topic).filter(|mine| mine.value == value) {
            mine.written = Some(now);
        }
    }

    /// Nothing that holds the lock can panic half-way through a change.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
