//! A target with its lock, and with copies of what many look at and few change.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::target::{Change, Target};
use super::{Standing, TargetSpec};

/// A target with its lock.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) provider: String,
    pub(super) endpoint: String,
    pub(super) key: String,
    target: Mutex<Target>,
    /// Copies of what the target last said of itself, for those who only look: in milliseconds from the origin.
    shut_until_ms: AtomicU64,
    strained_until_ms: AtomicU64,
}

/// A target that is spared because it fails too often is asked again after this long: its last results say less then.
const STRAIN_KEPT: Duration = Duration::from_secs(60);

impl Watched {
    pub(super) fn new(spec: TargetSpec) -> Self {
        let TargetSpec { provider, endpoint, key, max_concurrent, fingerprint } = spec;
        let target = Mutex::new(Target::new(max_concurrent, fingerprint));
        let (shut_until_ms, strained_until_ms) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { provider, endpoint, key, target, shut_until_ms, strained_until_ms }
    }

    pub(super) fn is(&self, spec: &TargetSpec) -> bool {
        self.provider == spec.provider && self.endpoint == spec.endpoint && self.key == spec.key
    }

    /// Nothing that holds the lock can panic half-way through a change; if it ever did, counting on is still right.
    pub(super) fn lock(&self) -> MutexGuard<'_, Target> {
        self.target.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the target, and copies what others look at without its lock.
    pub(super) fn change<T>(&self, origin: Instant, change: impl FnOnce(&mut Target) -> T) -> T {
        let mut target = self.lock();
        let changed = change(&mut target);
        let shut_until_ms = target.shut_until().map_or(0, |until| since(origin, until));
        self.shut_until_ms.store(shut_until_ms, Ordering::Relaxed);
        changed
    }

    /// The same for a result, which also tells how well the target is.
    pub(super) fn judge<T>(&self, origin: Instant, now: Instant, judge: impl FnOnce(&mut Target) -> T) -> T {
        self.change(origin, |target| {
            let judged = judge(target);
            let strained_until_ms = if target.is_strained() { since(origin, now + STRAIN_KEPT) } else { 0 };
            self.strained_until_ms.store(strained_until_ms, Ordering::Relaxed);
            judged
        })
    }

    pub(super) fn standing(&self, now_ms: u64) -> Standing {
        if now_ms < self.shut_until_ms.load(Ordering::Relaxed) {
            Standing::Shut
        } else if now_ms < self.strained_until_ms.load(Ordering::Relaxed) {
            Standing::Strained
        } else {
            Standing::Well
        }
    }

    pub(super) fn log(&self, change: Option<Change>) {
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

fn since(origin: Instant, moment: Instant) -> u64 {
    super::millis(moment.saturating_duration_since(origin))
}
