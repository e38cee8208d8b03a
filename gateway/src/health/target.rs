//! All that decides whether a target may be asked, as one state machine that is told the time.

use std::time::{Duration, Instant};

use super::breaker::{self, Breaker};
use super::concurrency::{Concurrency, Full};
use super::cooldown::Cooldown;
use super::fault::Fault;
use super::refusal::Refusal;
use super::snapshot::Condition;
use super::word::{Journal, Known, Moment, Shared};
use super::{Ask, Cost, Said, SkipReason, Skipped};

#[derive(Debug)]
pub(super) struct Target {
    refusal: Refusal,
    breaker: Breaker,
    cooldown: Cooldown,
    concurrency: Concurrency,
    journal: Journal,
    fingerprint: u32,
    last_failure: Option<Said>,
}

/// What a request that was admitted shows again at its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pass {
    pub(super) admitted: Instant,
    breaker: breaker::Pass,
    tries_key: bool,
}

impl Pass {
    pub(super) fn is_probe(self) -> bool {
        self.breaker.is_probe() || self.tries_key
    }
}

/// What operators want to know of when it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Opened { interval: Duration },
    Closed,
    Disabled { interval: Duration },
    Enabled,
    LimitSet { limit: u32 },
}

impl From<breaker::Change> for Change {
    fn from(change: breaker::Change) -> Self {
        match change {
            breaker::Change::Opened(interval) => Self::Opened { interval },
            breaker::Change::Closed => Self::Closed,
        }
    }
}

impl Target {
    pub(super) fn new(max_concurrent: u32, fingerprint: u32) -> Self {
        Self {
            refusal: Refusal::default(),
            breaker: Breaker::new(),
            cooldown: Cooldown::default(),
            concurrency: Concurrency::new(max_concurrent),
            journal: Journal::default(),
            fingerprint,
            last_failure: None,
        }
    }

    pub(super) fn reconfigure(&mut self, max_concurrent: u32, fingerprint: u32) {
        self.concurrency.reconfigure(max_concurrent);
        self.fingerprint = fingerprint;
        self.refusal.forget();
    }

    /// All gates are looked at before any is passed: a probe is not used up by a request that another gate stops.
    pub(super) fn admit(&mut self, ask: Ask) -> Result<Pass, Skipped> {
        let Ask { now, patience, claim } = ask;
        let until = |reason| move |until| Skipped { reason, until: Some(until) };
        self.refusal.check(now, patience).map_err(until(SkipReason::KeyDisabled))?;
        self.breaker.check(now, patience).map_err(until(SkipReason::BreakerOpen))?;
        self.cooldown.check(now).map_err(until(SkipReason::CoolingDown))?;
        self.concurrency.check(claim, now).map_err(|full| {
            let reason = match full {
                Full::AtLimit => SkipReason::ConcurrencyLimit,
                Full::Reserved => SkipReason::Reserved,
            };
            Skipped { reason, until: None }
        })?;
        self.concurrency.acquire();
        let tries_key = self.refusal.pass(now);
        Ok(Pass { admitted: now, breaker: self.breaker.pass(now), tries_key })
    }

    /// At the end of a good answer, before its slot is released.
    pub(super) fn succeeded(&mut self, pass: Pass, now: Instant) -> Option<Change> {
        self.cooldown.succeeded(pass.admitted);
        self.concurrency.judged(true);
        let raised = self.concurrency.succeeded(now).map(|limit| Change::LimitSet { limit });
        let enabled = self.refusal.succeeded(pass.admitted).then_some(Change::Enabled);
        let closed = self.breaker.succeeded(pass.breaker, now).map(Change::from);
        closed.or(enabled).or(raised)
    }

    /// At the end of a bad answer, before its slot is released. `cost` is what it cost its caller.
    pub(super) fn failed(&mut self, pass: Pass, (fault, cost): (Fault, Cost), now: Instant) -> Option<Change> {
        self.concurrency.judged(false);
        match fault {
            Fault::Provider => self.breaker.failed(pass.breaker, cost, now).map(Change::from),
            Fault::KeyRefused => self.refusal.refused(pass.admitted, now).map(|interval| Change::Disabled { interval }),
            Fault::RateLimited(limit) => {
                self.cooldown.limited(limit, pass.admitted, now);
                let lowered = self.concurrency.limited(limit, pass.admitted, now);
                lowered.map(|limit| Change::LimitSet { limit })
            }
        }
    }

    /// At the very end, judged or not.
    pub(super) fn release(&mut self, pass: Pass) {
        self.concurrency.release();
        self.breaker.ended(pass.breaker);
    }

    pub(super) fn note(&mut self, said: Said) {
        self.last_failure = Some(said);
    }

    pub(super) fn last_failure(&self) -> Option<Said> {
        self.last_failure.clone()
    }

    /// Until when nobody is let through, be that past or not.
    pub(super) fn shut_until(&self) -> Option<Instant> {
        let gates = [self.refusal.shut().map(|(until, _)| until), self.breaker.shut().map(|(until, _)| until)];
        gates.into_iter().flatten().chain(self.cooldown.until()).max()
    }

    /// Whether it answers, and fails more often than it should.
    pub(super) fn is_strained(&self) -> bool {
        self.breaker.is_strained()
    }

    /// Of the secret in use.
    pub(super) fn fingerprint(&self) -> u32 {
        self.fingerprint
    }

    /// All that is known, after noting what was decided here.
    pub(super) fn tell(&mut self, moment: Moment) -> Option<Known> {
        self.journal.note(self.shared(), moment);
        self.journal.known()
    }

    /// Obeys what other gateways have decided. Returns whether that was news.
    pub(super) fn hear(&mut self, told: Known, moment: Moment) -> bool {
        self.journal.note(self.shared(), moment);
        let orders = self.journal.hear(told, moment);
        if let Some(order) = orders.breaker {
            self.breaker.obey(order);
        }
        if let Some(order) = orders.key {
            self.refusal.obey(order, moment.now);
        }
        if let Some(until) = orders.cooling_until {
            self.cooldown.obey(until);
        }
        if let Some(limit) = orders.limit {
            self.concurrency.obey(limit, moment.now);
        }
        self.journal.obeyed(self.shared());
        !orders.are_none()
    }

    fn shared(&self) -> Shared {
        Shared {
            breaker: self.breaker.shut(),
            key: self.refusal.shut(),
            cooling_until: self.cooldown.until(),
            limit: self.concurrency.learned(),
        }
    }

    pub(super) fn condition(&self, now: Instant) -> Condition {
        Condition {
            breaker: self.breaker.state(now),
            probe_at: self.breaker.check(now, Duration::ZERO).err(),
            cooling_until: self.cooldown.check(now).err(),
            is_disabled: self.refusal.is_refused(),
            in_flight: self.concurrency.in_flight(),
            limit: self.concurrency.limit(),
            is_learned: self.concurrency.is_learned(),
            now,
        }
    }
}
