//! What is known about a target at one moment, for metrics and for other gateways.

use std::time::Instant;

use serde::{Deserialize, Serialize};

/// Whether a breaker lets requests through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// All.
    Closed,
    /// One at a time, to find out.
    HalfOpen,
    /// None.
    Open,
}

impl BreakerState {
    /// The value of `weir_breaker_state`.
    pub const fn as_gauge(self) -> i64 {
        match self {
            Self::Closed => 0,
            Self::HalfOpen => 1,
            Self::Open => 2,
        }
    }
}

/// A target at one moment. Times are from that moment on, as clocks of machines differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The provider's name.
    pub provider: String,
    /// The endpoint's name.
    pub endpoint: String,
    /// The key's name; empty for an endpoint without keys.
    pub key: String,
    /// The breaker.
    pub breaker: BreakerState,
    /// When the breaker lets the next one through, if it does not now.
    pub probe_in_ms: Option<u64>,
    /// For how long the target cools down, if it does.
    pub cooling_for_ms: Option<u64>,
    /// Whether the provider refuses the key.
    pub is_disabled: bool,
    /// Requests under way.
    pub in_flight: u32,
    /// Most requests at once; none is known before the first 429.
    pub limit: Option<u32>,
    /// Whether the limit is learned rather than configured.
    pub is_learned: bool,
}

/// A target's state with times of this process.
#[derive(Debug)]
pub(super) struct Condition {
    pub(super) breaker: BreakerState,
    pub(super) probe_at: Option<Instant>,
    pub(super) cooling_until: Option<Instant>,
    pub(super) is_disabled: bool,
    pub(super) in_flight: u32,
    pub(super) limit: Option<u32>,
    pub(super) is_learned: bool,
    pub(super) now: Instant,
}

impl Snapshot {
    pub(super) fn new((provider, endpoint, key): (String, String, String), condition: Condition) -> Self {
        let Condition { breaker, probe_at, cooling_until, is_disabled, in_flight, limit, is_learned, now } = condition;
        let in_ms = |at: Instant| u64::try_from(at.saturating_duration_since(now).as_millis()).unwrap_or(u64::MAX);
        Self {
            provider,
            endpoint,
            key,
            breaker,
            probe_in_ms: probe_at.map(in_ms),
            cooling_for_ms: cooling_until.map(in_ms),
            is_disabled,
            in_flight,
            limit,
            is_learned,
        }
    }
}
