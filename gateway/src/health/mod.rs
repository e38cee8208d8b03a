//! Who may be asked: breaker, cool-down, refused keys and concurrency of every target (an endpoint with one of its keys).
//!
//! The state of a target is a pure state machine that is told the time; here is the thin shared wrapper: one small lock
//! per target, found by index, held for no longer than a few comparisons, never over an await. Only what the provider
//! did is held against it: a request that is dropped unjudged (the caller's mistake, the caller's leaving) counts
//! nowhere. A success counts at the end of a stream, not at its beginning (W22), and a slot is held as long (W21).

mod breaker;
mod cooldown;
mod refusal;
mod reservation;
mod concurrency;
mod target;
mod watched;

mod fault;
mod snapshot;
mod word;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod outages;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use schemas::outcome::ErrorClass;

pub use fault::{Fault, LimitKind, RateLimit, limit_kind};
pub use snapshot::{BreakerState, Snapshot};
pub use word::{Known, Moment, Word};

use self::target::Pass;
use self::watched::Watched;

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
    /// Moments are kept as milliseconds from here where they are read without a lock.
    origin: Instant,
    /// For how long this gateway leaves a probe to others, in milliseconds; see [`Self::take_turns`].
    patience_ms: AtomicU64,
}

/// What a target looks like to somebody who chooses among many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It answers.
    Well,
    /// It answers, and fails more often than it should.
    Strained,
    /// It must not be asked now.
    Shut,
}

/// What a request may claim of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Its prompt is known there: every slot.
    Known,
    /// Nothing: the slots that are not kept for others (R29).
    New,
}

/// What a target is asked before a request is sent there.
#[derive(Clone, Copy, Debug)]
struct Ask {
    now: Instant,
    patience: Duration,
    claim: Claim,
}

/// What a failure cost its caller, before anybody else could answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cost {
    /// Next to nothing: it came at once.
    Little,
    /// A wait, or the answer.
    Much,
}

/// A failure that comes within this time costs little: about what the first token takes anyway.
const QUICK_FAILURE: Duration = Duration::from_secs(2);

/// What a provider said when it last failed. Its words were for another client, and are not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The HTTP status, if it answered at all.
    pub status: Option<u16>,
    /// What went wrong.
    pub class: ErrorClass,
    /// The error's type, as the provider names it.
    pub kind: String,
}

/// How long gateways that are apart by one place wait for each other's probe: twice what sharing takes at most.
const TURN: Duration = Duration::from_secs(2);
/// Longest wait for a probe of others, however many they are.
const PATIENCE_MAX: Duration = Duration::from_secs(30);

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
    /// The few that it still bears are kept for conversations that it knows.
    Reserved,
}

impl SkipReason {
    /// The reason in candidate events, rows and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KeyDisabled => "key_disabled",
            Self::BreakerOpen => "breaker_open",
            Self::CoolingDown => "cooling_down",
            Self::ConcurrencyLimit => "concurrency_limit",
            Self::Reserved => "concurrency_reserved",
        }
    }

    /// Whether the target itself is at fault, rather than busy with others.
    pub const fn is_fault(self) -> bool {
        match self {
            Self::KeyDisabled | Self::BreakerOpen | Self::CoolingDown => true,
            Self::ConcurrencyLimit | Self::Reserved => false,
        }
    }
}

impl Health {
    /// Healthy targets. A target's id is its position.
    pub fn new(targets: impl IntoIterator<Item = TargetSpec>) -> Self {
        Self {
            targets: targets.into_iter().map(|spec| Arc::new(Watched::new(spec))).collect(),
            origin: Instant::now(),
            patience_ms: AtomicU64::new(0),
        }
    }

    /// The health of the targets of a new configuration. What is known about those that it shares with this one stays
    /// known, and their running requests still count; a disabled key is tried again, as its secret may be another one.
    pub fn reconfigured(&self, targets: impl IntoIterator<Item = TargetSpec>) -> Self {
        let watched = |spec: TargetSpec| match self.targets.iter().find(|known| known.is(&spec)) {
            Some(known) => {
                known.change(self.origin, |target| target.reconfigure(spec.max_concurrent, spec.fingerprint));
                Arc::clone(known)
            }
            None => Arc::new(Watched::new(spec)),
        };
        Self {
            targets: targets.into_iter().map(watched).collect(),
            origin: self.origin,
            patience_ms: AtomicU64::new(self.patience_ms.load(Ordering::Relaxed)),
        }
    }

    /// Among several gateways a sick target is probed by one after the other: the one in this place, from 0, waits for
    /// those before it. A probe moves the next one on for all who hear of it, so that usually the first one probes, and
    /// the others only where it has nothing to send.
    pub fn take_turns(&self, place: usize) {
        let places = u32::try_from(place).unwrap_or(u32::MAX);
        let patience = TURN.saturating_mul(places).min(PATIENCE_MAX);
        self.patience_ms.store(millis(patience), Ordering::Relaxed);
    }

    /// Whether the target may be asked now. An id that is none is a target that nothing is known about: it is refused
    /// rather than asked without bounds.
    pub fn admit(&self, target_id: usize, claim: Claim, now: Instant) -> Admission {
        let Some(watched) = self.targets.get(target_id) else {
            return Admission::Skipped(Skipped { reason: SkipReason::KeyDisabled, until: None });
        };
        let patience = Duration::from_millis(self.patience_ms.load(Ordering::Relaxed));
        let admitted = watched.change(self.origin, |target| target.admit(Ask { now, patience, claim }));
        match admitted {
            Ok(pass) => Admission::Admitted(Slot { watched: Arc::clone(watched), origin: self.origin, pass }),
            Err(skipped) => Admission::Skipped(skipped),
        }
    }

    /// What a target looks like, without waiting for anybody. It may be a moment old: [`Self::admit`] decides.
    pub fn standing(&self, target_id: usize, now: Instant) -> Standing {
        let now_ms = millis(now.saturating_duration_since(self.origin));
        self.targets.get(target_id).map_or(Standing::Shut, |watched| watched.standing(now_ms))
    }

    /// What the target said when it last failed.
    pub fn last_failure(&self, target_id: usize) -> Option<Said> {
        self.targets.get(target_id)?.lock().last_failure()
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
            let is_news = watched.change(self.origin, |target| {
                target.fingerprint() == word.fingerprint && target.hear(word.known, moment)
            });
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
    origin: Instant,
    pass: Pass,
}

impl Slot {
    /// Whether this request finds out if a sick target is well again.
    pub fn is_probe(&self) -> bool {
        self.pass.is_probe()
    }

    /// The answer reached its proper end.
    pub fn succeeded(self, now: Instant) {
        let change = self.watched.judge(self.origin, now, |target| target.succeeded(self.pass, now));
        self.watched.log(change);
    }

    /// The provider is at fault, and somebody else may still answer.
    pub fn failed(self, fault: Fault, now: Instant) {
        let is_quick = now.saturating_duration_since(self.pass.admitted) < QUICK_FAILURE;
        self.judge_failed((fault, if is_quick { Cost::Little } else { Cost::Much }), now);
    }

    /// The provider is at fault, and its caller has lost the answer, which nobody else can give any more.
    pub fn broke(self, fault: Fault, now: Instant) {
        self.judge_failed((fault, Cost::Much), now);
    }

    fn judge_failed(&self, failure: (Fault, Cost), now: Instant) {
        let change = self.watched.judge(self.origin, now, |target| target.failed(self.pass, failure, now));
        self.watched.log(change);
    }

    /// Keeps what the provider said, for those who will not be let through because of it.
    pub fn note(&self, said: Said) {
        self.watched.lock().note(said);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.watched.change(self.origin, |target| target.release(self.pass));
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
