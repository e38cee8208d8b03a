//! A key that its provider refuses (401) is not used, but for one request now and then: somebody may have put it right.

use std::time::{Duration, Instant};

use super::word::Shut;

/// From the refusal to the first request; doubled each time that is refused too. A model's only key is shut by this as
/// well, so that it is not for long once the provider takes it again.
const PAUSE: Duration = Duration::from_secs(60);
const PAUSE_MAX: Duration = Duration::from_secs(600);

/// The refusal, where there was one.
#[derive(Debug, Default)]
pub(super) struct Refusal(Option<Refused>);

#[derive(Debug)]
struct Refused {
    since: Instant,
    interval: Duration,
    /// Before then nobody is let through; the one who is moves it on.
    next_try: Instant,
}

impl Refusal {
    /// `patience` is for how long a try is left to other gateways.
    pub(super) fn check(&self, now: Instant, patience: Duration) -> Result<(), Instant> {
        match self.0.as_ref().map(|refused| refused.next_try + patience) {
            Some(opens) if now < opens => Err(opens),
            Some(_) | None => Ok(()),
        }
    }

    /// Lets somebody through, after [`Self::check`]. Returns whether that one is a probe.
    pub(super) fn pass(&mut self, now: Instant) -> bool {
        let Some(refused) = &mut self.0 else { return false };
        refused.next_try = now + refused.interval;
        true
    }

    /// A request that was admitted at `admitted` was refused. Returns for how long nobody will be let through, unless
    /// that was known.
    pub(super) fn refused(&mut self, admitted: Instant, now: Instant) -> Option<Duration> {
        let interval = match &self.0 {
            None => PAUSE,
            Some(refused) if admitted > refused.since => (refused.interval * 2).min(PAUSE_MAX),
            Some(_) => return None,
        };
        self.0 = Some(Refused { since: now, interval, next_try: now + interval });
        Some(interval)
    }

    /// A request that was admitted at `admitted` was answered: the key is good if it was sent after the refusal.
    /// Returns whether the key was refused until now.
    pub(super) fn succeeded(&mut self, admitted: Instant) -> bool {
        self.0.take_if(|refused| admitted > refused.since).is_some()
    }

    /// The key may be another one now.
    pub(super) fn forget(&mut self) {
        self.0 = None;
    }

    /// Until when nobody is let through, and the interval of the tries after that, if the key is refused.
    pub(super) fn shut(&self) -> Option<Shut> {
        self.0.as_ref().map(|refused| (refused.next_try, refused.interval))
    }

    /// Does as another gateway. What was sent before is no proof that the key is good.
    pub(super) fn obey(&mut self, order: Option<Shut>, now: Instant) {
        self.0 = order.map(|(next_try, interval)| Refused {
            since: now,
            interval: interval.clamp(PAUSE, PAUSE_MAX),
            next_try,
        });
    }

    pub(super) fn is_refused(&self) -> bool {
        self.0.is_some()
    }
}
