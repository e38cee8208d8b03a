//! Who may be asked: breaker, cool-down, refused keys and concurrency of every target (an endpoint with one of its keys).
//!
//! The state of a target is a pure state machine that is told the time; here is the thin shared wrapper: one small lock
//! per target, found by index, held for no longer than a few comparisons, never over an await. Only what the provider
//! did is held against it: a request that is dropped unjudged (the caller's mistake, the caller's leaving) counts
//! nowhere. A success counts at the end of a stream, not at its beginning (W22), and a slot is held as long (W21).

mod breaker;
mod cooldown;
mod refusal;
mod concurrency;
mod target;

mod fault;
mod snapshot;
mod word;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod properties;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

pub use fault::{Fault, LimitKind, RateLimit, limit_kind};
pub use snapshot::{BreakerState, Snapshot};
pub use word::{Known, Moment, Word};

use self::target::{Change, Pass, Target};

/// A target by name, and what the configuration says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetSpec {
    /// The provider's name.
    pub provider: String,
    /// The endpoint's name.
    pub endpoint: String,
    /// The key's name; empty for an endpoint without keys.
    pub key: String,
    /// Most requests at once; 0 learns it.
    pub max_concurrent: u32,
    /// Of the key's secret: it tells another secret from the same one, and nothing else. 0 without a key.
    pub fingerprint: u32,
}

/// The health of all targets.
#[derive(Debug)]
pub struct Health {
    targets: Vec<Arc<Watched>>,
}

/// What [`Health::admit`] decided.
#[derive(Debug)]
#[must_use]
pub enum Admission {
    /// The target may be asked; the slot is held until its answer is over.
    Admitted(Slot),
    /// The target must not be asked now.
    Skipped(Skipped),
}

/// Why a target must not be asked, and until when as far as that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Why.
    pub reason: SkipReason,
    /// When it may be asked again; nobody knows when a slot comes free.
    pub until: Option<Instant>,
}

/// Why a target must not be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// The provider refused the key.
    KeyDisabled,
    /// Too many of its last answers failed.
    BreakerOpen,
    /// It asked us to wait.
    CoolingDown,
    /// As many requests as it bears are under way.
    ConcurrencyLimit,
}

impl SkipReason {
    /// The reason in candidate events, rows and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KeyDisabled => "key_disabled",
            Self::BreakerOpen => "breaker_open",
            Self::CoolingDown => "cooling_down",
            Self::ConcurrencyLimit => "concurrency_limit",
        }
    }
}

/// A target with its lock.
#[derive(Debug)]
struct Watched {
    provider: String,
    endpoint: String,
    key: String,
    target: Mutex<Target>,
}

impl Watched {
    fn new(spec: TargetSpec) -> Self {
        let TargetSpec { provider, endpoint, key, max_concurrent, fingerprint } = spec;
        Self { provider, endpoint, key, target: Mutex::new(Target::new(max_concurrent, fingerprint)) }
    }

    fn is(&self, spec: &TargetSpec) -> bool {
        self.provider == spec.provider && self.endpoint == spec.endpoint && self.key == spec.key
    }

    /// Nothing that holds the lock can panic half-way through a change; if it ever did, counting on is still right.
    fn lock(&self) -> MutexGuard<'_, Target> {
        self.target.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self, change: Option<Change>) {
        let (provider, endpoint, key) = (&self.provider, &self.endpoint, &self.key);
        match change {
            None => {}
            Some(Change::Opened { interval }) => {
                tracing::warn!(
                    provider,
                    endpoint,
                    key,
                    probe_in_s = interval.as_secs(),
                    "breaker open: too many failures"
                );
            }
            Some(Change::Closed) => tracing::info!(provider, endpoint, key, "breaker closed: answers succeed again"),
            Some(Change::Disabled { interval }) => {
                let retry_in_s = interval.as_secs();
                tracing::error!(provider, endpoint, key, retry_in_s, "the provider refuses this key; it is not used");
            }
            Some(Change::Enabled) => tracing::info!(provider, endpoint, key, "the provider accepts this key again"),
            Some(Change::LimitSet { limit }) => {
                tracing::info!(provider, endpoint, key, limit, "learned how many requests at once are borne");
            }
        }
    }
}

impl Health {
    /// Healthy targets. A target's id is its position.
    pub fn new(targets: impl IntoIterator<Item = TargetSpec>) -> Self {
        Self { targets: targets.into_iter().map(|spec| Arc::new(Watched::new(spec))).collect() }
    }

    /// The health of the targets of a new configuration. What is known about those that it shares with this one stays
    /// known, and their running requests still count; a disabled key is tried again, as its secret may be another one.
    pub fn reconfigured(&self, targets: impl IntoIterator<Item = TargetSpec>) -> Self {
        let watched = |spec: TargetSpec| match self.targets.iter().find(|known| known.is(&spec)) {
            Some(known) => {
                known.lock().reconfigure(spec.max_concurrent, spec.fingerprint);
                Arc::clone(known)
            }
            None => Arc::new(Watched::new(spec)),
        };
        Self { targets: targets.into_iter().map(watched).collect() }
    }

    /// Whether the target may be asked now. An id that is none is a target that nothing is known about: it is refused
    /// rather than asked without bounds.
    pub fn admit(&self, target_id: usize, now: Instant) -> Admission {
        let Some(watched) = self.targets.get(target_id) else {
            return Admission::Skipped(Skipped { reason: SkipReason::KeyDisabled, until: None });
        };
        let admitted = watched.lock().admit(now);
        match admitted {
            Ok(pass) => Admission::Admitted(Slot { watched: Arc::clone(watched), pass }),
            Err(skipped) => Admission::Skipped(skipped),
        }
    }

    /// What the other gateways should know.
    pub fn tell(&self, moment: Moment) -> Vec<Word> {
        let word = |watched: &Arc<Watched>| {
            let mut target = watched.lock();
            let (known, fingerprint) = (target.tell(moment)?, target.fingerprint());
            let (provider, endpoint, key) = (watched.provider.clone(), watched.endpoint.clone(), watched.key.clone());
            Some(Word { provider, endpoint, key, fingerprint, known })
        };
        self.targets.iter().filter_map(word).collect()
    }

    /// Obeys what another gateway has decided. Targets that this one does not have, and secrets, are left out.
    pub fn hear(&self, words: &[Word], moment: Moment) {
        for word in words {
            let named = |watched: &&Arc<Watched>| {
                watched.provider == word.provider && watched.endpoint == word.endpoint && watched.key == word.key
            };
            let Some(watched) = self.targets.iter().find(named) else { continue };
            let mut target = watched.lock();
            let is_news = target.fingerprint() == word.fingerprint && target.hear(word.known, moment);
            drop(target);
            if is_news {
                let Word { provider, endpoint, key, known, .. } = word;
                tracing::info!(provider, endpoint, key, ?known, "another gateway has decided about this key");
            }
        }
    }

    /// What is known about every target, in the order of their ids.
    pub fn snapshot(&self, now: Instant) -> Vec<Snapshot> {
        let of = |watched: &Arc<Watched>| {
            let names = (watched.provider.clone(), watched.endpoint.clone(), watched.key.clone());
            Snapshot::new(names, watched.lock().condition(now))
        };
        self.targets.iter().map(of).collect()
    }
}

/// A request that a target bears. It is held until the answer is over; dropping it gives the slot back and judges nothing.
#[derive(Debug)]
#[must_use = "a slot that is dropped is given back"]
pub struct Slot {
    watched: Arc<Watched>,
    pass: Pass,
}

impl Slot {
    /// Whether this request finds out if a sick target is well again.
    pub fn is_probe(&self) -> bool {
        self.pass.is_probe()
    }

    /// The answer reached its proper end.
    pub fn succeeded(self, now: Instant) {
        let change = self.watched.lock().succeeded(self.pass, now);
        self.watched.log(change);
    }

    /// The provider is at fault.
    pub fn failed(self, fault: Fault, now: Instant) {
        let change = self.watched.lock().failed(self.pass, fault, now);
        self.watched.log(change);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.watched.lock().release();
    }
}
