//! What gateways tell each other about a target, and how two words about it become one.
//!
//! Decisions travel, results do not: whether a breaker opens is judged from the results of one gateway (R26), because the
//! same outage counted by eight gateways is no more of an outage, and a window that is filled by a network is filled out
//! of order. Once one of them has decided, all obey. A merged word is the maximum of an order, so that it does not matter
//! who tells whom, how often, or in which order. Times are milliseconds of the wall clock: machines whose clocks differ by
//! a second misjudge a pause by a second.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

/// A moment on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Of this process.
    pub now: Instant,
    /// Since 1970, in milliseconds.
    pub unix_ms: u64,
}

/// Longest time that another gateway's word can shut a target for, however wrong its clock is.
const PAUSE_MAX: Duration = Duration::from_secs(3600);

/// All that gateways tell each other about one target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    /// The provider's name.
    pub provider: String,
    /// The endpoint's name.
    pub endpoint: String,
    /// The key's name; empty for an endpoint without keys.
    pub key: String,
    /// Of the key's secret: what was said of another secret under the same name is of no concern.
    pub fingerprint: u32,
    /// What is known.
    pub known: Known,
}

/// What is known about one target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The breaker.
    pub breaker: Option<Decided<Gate>>,
    /// Whether the provider takes the key.
    pub key: Option<Decided<Gate>>,
    /// Nobody asks before then.
    pub cooling_until_ms: Option<u64>,
    /// The learned limit; of two that were learned at once the lower one holds.
    pub limit: Option<Decided<Reverse<u32>>>,
}

/// The newest decision holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Decided<T> {
    /// When it was taken; later than any that its gateway knew of.
    pub at_ms: u64,
    /// What was decided.
    pub what: T,
}

/// Whether anybody may pass. Of two decisions of one moment the stricter holds, hence the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// All.
    Passable,
    /// Nobody until then, and after that one in an interval.
    Shut {
        /// The end.
        until_ms: u64,
        /// The interval.
        interval_ms: u64,
    },
}

/// A gate that is shut, with times of this process: until when, and for how long again after a probe.
pub(super) type Shut = (Instant, Duration);

impl Moment {
    /// This one.
    pub fn this() -> Self {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { now: Instant::now(), unix_ms: millis(since_1970) }
    }

    fn unix_ms_of(self, instant: Instant) -> u64 {
        let ahead = millis(instant.saturating_duration_since(self.now));
        (self.unix_ms + ahead).saturating_sub(millis(self.now.saturating_duration_since(instant)))
    }

    fn instant_of(self, unix_ms: u64) -> Instant {
        self.now + Duration::from_millis(unix_ms.saturating_sub(self.unix_ms)).min(PAUSE_MAX)
    }
}

impl Known {
    /// Both words as one.
    pub fn merged(self, other: Self) -> Self {
        Self {
            breaker: self.breaker.max(other.breaker),
            key: self.key.max(other.key),
            cooling_until_ms: self.cooling_until_ms.max(other.cooling_until_ms),
            limit: self.limit.max(other.limit),
        }
    }
}

impl<T> Decided<T> {
    /// A decision of now, which is newer than all that are known, whatever the clocks say.
    fn after(known: Option<&Self>, what: T, moment: Moment) -> Self {
        Self { at_ms: known.map_or(0, |known| known.at_ms.saturating_add(1)).max(moment.unix_ms), what }
    }
}

impl Gate {
    fn of(shut: Option<Shut>, moment: Moment) -> Self {
        shut.map_or(Self::Passable, |(until, interval)| Self::Shut {
            until_ms: moment.unix_ms_of(until),
            interval_ms: millis(interval),
        })
    }

    fn shut(self, moment: Moment) -> Option<Shut> {
        match self {
            Self::Passable => None,
            Self::Shut { until_ms, interval_ms } => {
                Some((moment.instant_of(until_ms), Duration::from_millis(interval_ms).min(PAUSE_MAX)))
            }
        }
    }
}

/// The state of a target as far as it is shared, with times of this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shared {
    pub(super) breaker: Option<Shut>,
    pub(super) key: Option<Shut>,
    pub(super) cooling_until: Option<Instant>,
    pub(super) limit: Option<u32>,
}

/// What others have decided, to be obeyed; nothing where nothing is new. A gate that is `Some(None)` is open again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Orders {
    pub(super) breaker: Option<Option<Shut>>,
    pub(super) key: Option<Option<Shut>>,
    pub(super) cooling_until: Option<Instant>,
    pub(super) limit: Option<u32>,
}

impl Orders {
    pub(super) fn are_none(&self) -> bool {
        *self == Self::default()
    }
}

/// What a target has told of itself so far. What it decides is found by comparing: nothing is told while requests wait.
#[derive(Debug, Default)]
pub(super) struct Journal {
    known: Known,
    seen: Shared,
}

impl Journal {
    /// Notes what the target has decided since it was last looked at.
    pub(super) fn note(&mut self, shared: Shared, moment: Moment) {
        let Self { known, seen } = self;
        if shared.breaker != seen.breaker {
            known.breaker = Some(Decided::after(known.breaker.as_ref(), Gate::of(shared.breaker, moment), moment));
        }
        if shared.key != seen.key {
            known.key = Some(Decided::after(known.key.as_ref(), Gate::of(shared.key, moment), moment));
        }
        if let Some(limit) = shared.limit.filter(|_| shared.limit != seen.limit) {
            known.limit = Some(Decided::after(known.limit.as_ref(), Reverse(limit), moment));
        }
        if shared.cooling_until != seen.cooling_until {
            known.cooling_until_ms = known.cooling_until_ms.max(shared.cooling_until.map(|at| moment.unix_ms_of(at)));
        }
        known.cooling_until_ms = known.cooling_until_ms.filter(|until_ms| *until_ms > moment.unix_ms);
        *seen = shared;
    }

    /// Takes in what another gateway knows. Returns what this one must obey; [`Self::obeyed`] comes next.
    pub(super) fn hear(&mut self, told: Known, moment: Moment) -> Orders {
        let told = Known { cooling_until_ms: told.cooling_until_ms.filter(|until| *until > moment.unix_ms), ..told };
        let (before, after) = (self.known, self.known.merged(told));
        self.known = after;
        let cooling_until_ms = after.cooling_until_ms.filter(|_| after.cooling_until_ms != before.cooling_until_ms);
        Orders {
            breaker: after.breaker.filter(|_| after.breaker != before.breaker).map(|gate| gate.what.shut(moment)),
            key: after.key.filter(|_| after.key != before.key).map(|gate| gate.what.shut(moment)),
            cooling_until: cooling_until_ms.map(|until_ms| moment.instant_of(until_ms)),
            limit: after.limit.filter(|_| after.limit != before.limit).map(|limit| limit.what.0),
        }
    }

    /// The target is now like this because of others: it is no decision of its own.
    pub(super) fn obeyed(&mut self, shared: Shared) {
        self.seen = shared;
    }

    /// All that is known, unless that is nothing.
    pub(super) fn known(&self) -> Option<Known> {
        Some(self.known).filter(|known| *known != Known::default())
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
