//! How many requests at once a target bears (R28): configured, or learned from its 429s, lowered by a factor and raised
//! by steps. A share of them is kept for conversations that are known there (R29).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Claim;
use super::fault::{LimitKind, RateLimit};
use super::reservation::{Record, reserved_share};

const LIMIT_MIN: u32 = 3;
const LIMIT_MAX: u32 = 200;
/// What is added to a limit that is used and borne.
const STEP: u32 = 2;
/// In hundredths: what is left of a limit after a refusal for concurrency, and after one that does not say for what.
const AFTER_CONCURRENCY: u32 = 85;
const AFTER_UNKNOWN: u32 = 90;
/// A limit is not raised this soon after a 429; until then the samples from before it are forgotten.
const QUIET: Duration = Duration::from_secs(5 * 60);
/// After this long without a 429 even a limit that is used a little is tried out.
const TRIAL_QUIET: Duration = Duration::from_secs(30 * 60);
/// Samples that are looked at.
const SAMPLES: usize = 20;
const SAMPLES_AGE: Duration = Duration::from_secs(120);
/// A limit is used if this many samples, in hundredths, show this utilisation.
const USED_SAMPLES_MIN: usize = 5;
const USED_SHARE: usize = 60;
const USED_UTILISATION: f64 = 0.7;
const TRIAL_SAMPLES_MIN: usize = 10;
const TRIAL_UTILISATION: f64 = 0.3;
/// A limit on requests or tokens asks to wait for up to a minute or a day; one on concurrency asks for less.
const CONCURRENCY_RETRY_MAX: Duration = Duration::from_secs(30);

/// Why there is no slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// All are taken.
    AtLimit,
    /// Those that are left are kept for conversations that are known there.
    Reserved,
}

#[derive(Debug)]
pub(super) struct Concurrency {
    /// Wins over what is learned.
    configured: Option<u32>,
    /// Nothing until the first 429: no limit is known.
    learned: Option<u32>,
    in_flight: u32,
    /// Share of the limit in use at the end of good answers.
    samples: VecDeque<(Instant, f64)>,
    limited_at: Option<Instant>,
    lowered_at: Option<Instant>,
    trial_at: Option<Instant>,
    record: Record,
}

impl Concurrency {
    /// `max` 0: learn it.
    pub(super) fn new(max: u32) -> Self {
        Self {
            configured: (max > 0).then_some(max),
            learned: None,
            in_flight: 0,
            samples: VecDeque::with_capacity(SAMPLES),
            limited_at: None,
            lowered_at: None,
            trial_at: None,
            record: Record::default(),
        }
    }

    pub(super) fn reconfigure(&mut self, max: u32) {
        self.configured = (max > 0).then_some(max);
    }

    pub(super) fn limit(&self) -> Option<u32> {
        self.configured.or(self.learned)
    }

    pub(super) fn is_learned(&self) -> bool {
        self.configured.is_none() && self.learned.is_some()
    }

    /// What was learned, be it in force or not.
    pub(super) fn learned(&self) -> Option<u32> {
        self.learned
    }

    /// Another gateway has learned a limit. A lower one is news of a 429, which those under way may repeat.
    pub(super) fn obey(&mut self, limit: u32, now: Instant) {
        let limit = limit.clamp(LIMIT_MIN, LIMIT_MAX);
        if self.learned.is_none_or(|known| limit < known) {
            self.limited_at = Some(now);
            self.lowered_at = Some(now);
        }
        self.samples.clear();
        self.learned = Some(limit);
    }

    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Whether there is a slot for somebody with this claim; if not, whether those that are left are kept for others.
    pub(super) fn check(&self, claim: Claim, now: Instant) -> Result<(), Full> {
        let Some(limit) = self.limit() else { return Ok(()) };
        if self.in_flight >= limit {
            return Err(Full::AtLimit);
        }
        if claim == Claim::Known {
            return Ok(());
        }
        let load = f64::from(self.in_flight) / f64::from(limit);
        let share = reserved_share(&self.record, load, self.limited_at.map(|at| now.saturating_duration_since(at)));
        let open = (f64::from(limit) * (1.0 - share)).floor().max(1.0);
        if f64::from(self.in_flight) < open { Ok(()) } else { Err(Full::Reserved) }
    }

    /// How an answer went, be it good or bad.
    pub(super) fn judged(&mut self, is_good: bool) {
        self.record.answer(is_good);
    }

    pub(super) fn acquire(&mut self) {
        self.in_flight += 1;
    }

    pub(super) fn release(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// A good answer, its slot not yet released. Returns the limit if it was raised.
    pub(super) fn succeeded(&mut self, now: Instant) -> Option<u32> {
        let limit = self.learned.filter(|_| self.configured.is_none())?;
        self.samples.push_back((now, f64::from(self.in_flight) / f64::from(limit)));
        while self.samples.len() > SAMPLES
            || self.samples.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) > SAMPLES_AGE)
        {
            self.samples.pop_front();
        }
        let is_trial = !self.is_used(now);
        if limit >= LIMIT_MAX || (is_trial && !self.may_try(now)) {
            return None;
        }
        if is_trial {
            self.trial_at = Some(now);
        }
        // The next step is taken on what this one shows.
        self.samples.clear();
        let raised = (limit + STEP).min(LIMIT_MAX);
        self.learned = Some(raised);
        self.record.limit(raised);
        Some(raised)
    }

    fn is_used(&self, now: Instant) -> bool {
        let used = self.samples.iter().filter(|(_, utilisation)| *utilisation >= USED_UTILISATION).count();
        self.samples.len() >= USED_SAMPLES_MIN
            && used * 100 >= self.samples.len() * USED_SHARE
            && has_passed(self.limited_at, QUIET, now)
    }

    fn may_try(&self, now: Instant) -> bool {
        let mean = self.samples.iter().map(|(_, utilisation)| utilisation).sum::<f64>() / self.samples.len() as f64;
        self.samples.len() >= TRIAL_SAMPLES_MIN
            && mean >= TRIAL_UTILISATION
            && has_passed(self.limited_at, TRIAL_QUIET, now)
            && has_passed(self.trial_at, TRIAL_QUIET, now)
    }

    /// A 429 for a request that was admitted at `admitted`, its slot not yet released. Returns the limit if it changed.
    pub(super) fn limited(&mut self, limit: RateLimit, admitted: Instant, now: Instant) -> Option<u32> {
        self.limited_at = Some(now);
        let left = match kind(limit) {
            LimitKind::Concurrency => AFTER_CONCURRENCY,
            LimitKind::Unknown => AFTER_UNKNOWN,
            LimitKind::Requests | LimitKind::Tokens | LimitKind::Quota => return None,
        };
        // A burst that is refused as one is one piece of news: each of its requests was sent under the old limit.
        let is_news = self.lowered_at.is_none_or(|at| admitted > at);
        // So few are borne by anybody: unless it says so, something else is limited.
        let is_meant = limit.kind == LimitKind::Concurrency || self.in_flight > LIMIT_MIN;
        if !is_news || !is_meant || self.configured.is_some() {
            return None;
        }
        self.lowered_at = Some(now);
        let borne = self.learned.map_or(self.in_flight, |learned| learned.min(self.in_flight));
        let lowered = (borne * left / 100).clamp(LIMIT_MIN, LIMIT_MAX);
        self.record.limit(lowered);
        (self.learned.replace(lowered) != Some(lowered)).then_some(lowered)
    }
}

/// A limit that does not say what it limits, and asks for no more than a short pause, is one on requests at once (R27).
fn kind(limit: RateLimit) -> LimitKind {
    let is_short = limit.retry_after.is_none_or(|pause| pause <= CONCURRENCY_RETRY_MAX);
    match limit.kind {
        LimitKind::Unknown if is_short => LimitKind::Concurrency,
        kind => kind,
    }
}

fn has_passed(since: Option<Instant>, time: Duration, now: Instant) -> bool {
    since.is_none_or(|since| now.saturating_duration_since(since) >= time)
}
