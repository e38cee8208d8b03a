//! The cool-down of a target that said 429: as long as it asks for, or a growing pause when it does not say.

use std::time::{Duration, Instant};

use super::fault::{LimitKind, RateLimit};

/// The first pause and the longest, doubled from one to the other.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// The same where the account has run dry: no pause of seconds will fill it.
const QUOTA_PAUSE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3600));
/// Providers ask for days when a daily quota is used up; it is looked after more often, as it may be raised.
const ASKED_MAX: Duration = Duration::from_secs(3600);

#[derive(Debug, Default)]
pub(super) struct Cooldown {
    /// Nobody is let through before then.
    until: Option<Instant>,
    /// When the last cool-down began: what was sent before it and is refused after it is the same news.
    began: Option<Instant>,
    /// Cool-downs without a success between them.
    steps: u32,
}

impl Cooldown {
    pub(super) fn check(&self, now: Instant) -> Result<(), Instant> {
        match self.until {
            Some(until) if now < until => Err(until),
            Some(_) | None => Ok(()),
        }
    }

    /// A request that was admitted at `admitted` was refused.
    pub(super) fn limited(&mut self, limit: RateLimit, admitted: Instant, now: Instant) {
        let is_news = self.began.is_none_or(|began| admitted > began);
        // Zero is no pause, and would have us hammer.
        let asked = limit.retry_after.filter(|asked| !asked.is_zero()).map(|asked| asked.min(ASKED_MAX));
        let (first, longest) = if limit.kind == LimitKind::Quota { QUOTA_PAUSE } else { PAUSE };
        let pause = match asked {
            Some(asked) => asked,
            None if is_news => first.saturating_mul(1 << self.steps.min(16)).min(longest),
            None => return,
        };
        if is_news {
            self.began = Some(now);
            self.steps += 1;
        }
        let until = now + pause;
        self.until = Some(self.until.map_or(until, |known| known.max(until)));
    }

    /// Until when nobody is let through, be that past or not.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Another gateway was asked to wait.
    pub(super) fn obey(&mut self, until: Instant) {
        self.until = self.until.max(Some(until));
    }

    pub(super) fn succeeded(&mut self, admitted: Instant) {
        if self.began.is_some_and(|began| admitted > began) {
            self.steps = 0;
        }
    }
}
