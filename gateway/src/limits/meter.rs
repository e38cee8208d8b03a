//! What one account uses against its limits: a client's, or a user's. Pure.

use std::time::Duration;

use schemas::config::RateLimits;
use schemas::time::Timestamp;

use super::minutes::{Minutes, minute_of};
use super::standing::{Figure, Standing};

/// Requests and tokens of the last minute, and what is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Meter {
    requests: Minutes,
    tokens: Minutes,
    under_way: u32,
    under_way_elsewhere: u32,
}

/// Which limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cap {
    Concurrent,
    Requests,
    Tokens,
}

/// A limit that leaves no room, and how long until there may be some; `None`: never for a request of this size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full {
    pub(super) cap: Cap,
    pub(super) wait: Option<Duration>,
}

/// What others tell of an account: requests and tokens of this minute and the last, and what is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Use {
    pub(super) requests: [u64; 2],
    pub(super) tokens: [u64; 2],
    pub(super) under_way: u32,
}

/// Nobody knows when a running answer ends.
const SLOT_WAIT: Duration = Duration::from_secs(1);

impl Meter {
    pub(super) fn roll(&mut self, now: Timestamp) {
        let minute = minute_of(now);
        self.requests.roll(minute);
        self.tokens.roll(minute);
    }

    /// Whether one more request with so many tokens has room.
    pub(super) fn check(&self, limits: &RateLimits, tokens: u64, now: Timestamp) -> Result<(), Full> {
        let under_way = u64::from(self.under_way) + u64::from(self.under_way_elsewhere);
        if limits.max_concurrent > 0 && under_way >= limits.max_concurrent {
            return Err(Full { cap: Cap::Concurrent, wait: Some(SLOT_WAIT) });
        }
        for (cap, minutes, count, limit) in [
            (Cap::Requests, &self.requests, 1, limits.requests_per_minute),
            (Cap::Tokens, &self.tokens, tokens, limits.tokens_per_minute),
        ] {
            if limit > 0 && minutes.used(now).saturating_add(count) > limit {
                return Err(Full { cap, wait: minutes.wait_for(count, limit, now) });
            }
        }
        Ok(())
    }

    /// Counts a request.
    pub(super) fn take(&mut self, tokens: u64) {
        self.requests.add(1);
        self.tokens.add(tokens);
        self.under_way = self.under_way.saturating_add(1);
    }

    /// A request that was counted in `minute` with `estimate` is over.
    pub(super) fn settle(&mut self, minute: i64, estimate: u64, truth: u64) {
        self.under_way = self.under_way.saturating_sub(1);
        self.tokens.correct(minute, estimate, truth);
    }

    /// What counts here.
    pub(super) fn here(&self) -> Use {
        Use { requests: self.requests.here(), tokens: self.tokens.here(), under_way: self.under_way }
    }

    /// What counts elsewhere.
    pub(super) fn hear(&mut self, told: Use) {
        self.requests.hear(told.requests);
        self.tokens.hear(told.tokens);
        self.under_way_elsewhere = told.under_way;
    }

    /// Whether nothing is known of this account that a new one would not start with.
    pub(super) fn is_idle(&self) -> bool {
        self.under_way == 0 && self.under_way_elsewhere == 0 && self.requests.is_empty() && self.tokens.is_empty()
    }

    /// What is left, for the headers of an answer.
    pub(super) fn standing(&self, limits: &RateLimits, now: Timestamp) -> Standing {
        let figure = |minutes: &Minutes, limit: u64| {
            let remaining = limit.saturating_sub(minutes.used(now));
            (limit > 0).then(|| Figure { limit, remaining, reset: minutes.empty_after(now) })
        };
        Standing {
            requests: figure(&self.requests, limits.requests_per_minute),
            tokens: figure(&self.tokens, limits.tokens_per_minute),
        }
    }
}

impl Use {
    /// Both together.
    pub(super) fn and(self, other: Self) -> Self {
        let sum = |[a, b]: [u64; 2], [c, d]: [u64; 2]| [a.saturating_add(c), b.saturating_add(d)];
        Self {
            requests: sum(self.requests, other.requests),
            tokens: sum(self.tokens, other.tokens),
            under_way: self.under_way.saturating_add(other.under_way),
        }
    }

    /// How much of the limits it is, in thousandths of the fullest.
    pub(super) fn share(&self, limits: &RateLimits) -> u64 {
        let of = |used: u64, limit: u64| used.saturating_mul(1000).checked_div(limit).unwrap_or(0);
        let within = |[current, previous]: [u64; 2]| current.saturating_add(previous);
        of(within(self.requests), limits.requests_per_minute)
            .max(of(within(self.tokens), limits.tokens_per_minute))
            .max(of(u64::from(self.under_way), limits.max_concurrent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: RateLimits = RateLimits { requests_per_minute: 3, tokens_per_minute: 100, max_concurrent: 2 };

    fn now() -> Timestamp {
        "2026-11-27T12:00:15Z".parse().unwrap()
    }

    fn meter() -> Meter {
        let mut meter = Meter::default();
        meter.roll(now());
        meter
    }

    #[test]
    fn each_limit_is_reached_exactly() {
        let mut meter = meter();
        assert_eq!(meter.check(&LIMITS, 101, now()), Err(Full { cap: Cap::Tokens, wait: None }));
        for _ in 0..2 {
            assert_eq!(meter.check(&LIMITS, 50, now()), Ok(()));
            meter.take(50);
        }
        assert_eq!(meter.check(&LIMITS, 0, now()).unwrap_err().cap, Cap::Concurrent);
        meter.settle(minute_of(now()), 50, 50);
        assert_eq!(meter.check(&LIMITS, 0, now()), Ok(()));
        // This minute turns in 45 seconds; after 61 a sixtieth of it is forgotten, which is more than one token.
        let full = meter.check(&LIMITS, 1, now()).unwrap_err();
        assert_eq!((full.cap, full.wait), (Cap::Tokens, Some(Duration::from_millis(45_600))));
        meter.take(0);
        meter.settle(minute_of(now()), 0, 0);
        assert_eq!(meter.check(&LIMITS, 0, now()).unwrap_err().cap, Cap::Requests);
        assert_eq!(meter.check(&RateLimits::default(), u64::MAX, now()), Ok(()), "no limit");
    }

    #[test]
    fn what_runs_elsewhere_takes_room_here() {
        let mut meter = meter();
        meter.hear(Use { requests: [1, 0], tokens: [90, 0], under_way: 2 });
        assert_eq!(meter.check(&LIMITS, 0, now()).unwrap_err().cap, Cap::Concurrent);
        meter.hear(Use { requests: [1, 0], tokens: [90, 0], under_way: 0 });
        assert_eq!(meter.check(&LIMITS, 11, now()).unwrap_err().cap, Cap::Tokens);
        assert_eq!(meter.check(&LIMITS, 10, now()), Ok(()));
        assert_eq!(meter.here(), Use::default());
        let standing = meter.standing(&LIMITS, now());
        let left = (standing.requests.unwrap().remaining, standing.tokens.unwrap().remaining);
        assert_eq!(left, (2, 10));
    }
}
