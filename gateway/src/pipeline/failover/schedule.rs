//! Who is asked next, and when. Pure: it is told the time and what became of each try.
//!
//! A candidate that may answer in a moment is asked again once, at once; then everybody else gets a turn, and only when
//! nobody is left do the remaining retries begin, each after a longer pause. Nobody is hammered: two tries at a target
//! within any second and a half at most, and a bounded number over all.

use std::time::{Duration, Instant};

use crate::catalog::Candidate;
use crate::classify::{Reason, Verdict};

/// Tries beyond the first at a candidate, over all candidates.
const RETRIES_MAX: u8 = 5;
/// The window in which a target is asked at most [`TRIES_PER_WINDOW`] times for one request.
const WINDOW: Duration = Duration::from_millis(1500);
const TRIES_PER_WINDOW: usize = 2;
/// The longest pause that a client is kept waiting for when nobody else can be asked.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// The first pause before a retry; it doubles with every further one.
const BACKOFF: Duration = Duration::from_millis(250);
/// The same where the provider has said that it is being asked too much.
const BACKOFF_RATE_LIMITED: Duration = Duration::from_secs(2);
/// Those who wait for the end of a cool-down come back within this time of it, not all at once.
const SPREAD: Duration = Duration::from_secs(1);

/// The tries of one request.
pub(super) struct Schedule<'a> {
    places: Vec<Place<'a>>,
    /// Every try, in order: which target, and when.
    tries: Vec<(usize, Instant)>,
    retries_left: u8,
    /// The candidate that is asked again before all others.
    again: Option<usize>,
    deadline: Instant,
    /// Source of jitter.
    random: u64,
}

struct Place<'a> {
    candidate: &'a Candidate,
    tries: u16,
    /// Rows of it: its tries, and that it was skipped.
    rows: u16,
    /// May still be asked.
    is_open: bool,
    /// After all others: its endpoint is not answering.
    is_deferred: bool,
    was_skipped: bool,
    not_before: Option<Instant>,
}

/// A try to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    /// Which candidate, by its place in the request's order.
    pub(super) index: usize,
    /// Which row of it this is, from 0.
    pub(super) attempt: u16,
    /// Not earlier than this.
    pub(super) at: Instant,
}

impl<'a> Schedule<'a> {
    /// `random` spreads the retries of many requests that fail at the same moment.
    pub(super) fn new(candidates: impl Iterator<Item = &'a Candidate>, deadline: Instant, random: u64) -> Self {
        let place = |candidate: &'a Candidate| Place {
            candidate,
            tries: 0,
            rows: 0,
            is_open: true,
            is_deferred: false,
            was_skipped: false,
            not_before: None,
        };
        Self {
            places: candidates.map(place).collect(),
            tries: Vec::new(),
            retries_left: RETRIES_MAX,
            again: None,
            deadline,
            random,
        }
    }

    /// The next turn, if anybody may still be asked.
    pub(super) fn next(&mut self, now: Instant) -> Option<Turn> {
        let index = self.again.take().or_else(|| self.first_in_line(now))?;
        let place = self.places.get(index)?;
        let at = self.earliest(place, now);
        if at >= self.deadline || at > now + PAUSE_MAX {
            return None;
        }
        Some(Turn { index, attempt: place.rows, at })
    }

    /// Who else may still be asked, at another endpoint that has not failed to answer so far.
    pub(super) fn elsewhere(&self, turn: Turn) -> impl Iterator<Item = &'a Candidate> {
        let endpoint = self.places.get(turn.index).map(|place| place.candidate.target.endpoint.as_str());
        let others = self.places.iter().filter(move |place| Some(place.candidate.target.endpoint.as_str()) != endpoint);
        others.filter(|place| self.may_be_asked(place) && !place.is_deferred).map(|place| place.candidate)
    }

    /// The turn is being taken.
    pub(super) fn begun(&mut self, turn: Turn, now: Instant) {
        if let Some(place) = self.places.get_mut(turn.index) {
            self.retries_left -= u8::from(place.tries > 0).min(self.retries_left);
            place.tries += 1;
            place.rows += 1;
            self.tries.push((place.candidate.target.id, now));
        }
    }

    /// The candidate was not asked. If it may be asked later, it is once more, should nobody else answer until then.
    /// Returns whether this is news.
    pub(super) fn skipped(&mut self, turn: Turn, until: Option<Instant>, now: Instant) -> bool {
        let until = until.map(|until| if until > now { until + SPREAD.mul_f64(self.share()) } else { until });
        let Some(place) = self.places.get_mut(turn.index) else { return false };
        let is_news = !std::mem::replace(&mut place.was_skipped, true);
        place.rows += u16::from(is_news);
        // Its place in the line is lost, so that nobody waits for it while others are free.
        place.is_deferred = true;
        place.is_open = is_news && until.is_some();
        place.not_before = until;
        is_news
    }

    /// The try failed; `pause` is what the provider asked for.
    pub(super) fn failed(&mut self, turn: Turn, verdict: Verdict, pause: Option<Duration>, now: Instant) {
        let Some(place) = self.places.get(turn.index) else { return };
        let (candidate, tries) = (place.candidate, place.tries);
        let may_again = tries <= u16::from(candidate.target.max_retries) && self.retries_left > 0;
        let reason = verdict.reason();
        if reason.concerns_endpoint() {
            self.each(|other| other.target.endpoint == candidate.target.endpoint, |place| place.is_deferred = true);
        }
        match verdict {
            Verdict::RetryHere(_) => {
                let at = now + self.backoff(BACKOFF, tries).max(pause.unwrap_or_default());
                self.reopen(turn.index, may_again, at);
                let is_soon = at <= now + 2 * BACKOFF;
                self.again = (may_again && is_soon && tries == 1).then_some(turn.index);
            }
            Verdict::TryNext(Reason::RateLimited) => {
                let pause = match pause.filter(|pause| !pause.is_zero()) {
                    Some(pause) => pause.max(self.backoff(BACKOFF, tries)),
                    None => self.backoff(BACKOFF_RATE_LIMITED, tries),
                };
                self.reopen(turn.index, may_again, now + pause);
            }
            Verdict::TryNext(Reason::Silent) => {
                let elsewhere =
                    self.places.iter().any(|other| other.candidate.target.endpoint != candidate.target.endpoint);
                self.reopen(turn.index, may_again && !elsewhere, now);
            }
            Verdict::TryNext(reason) if reason.concerns_key() => {
                self.each(|other| other.target.id == candidate.target.id, |place| place.is_open = false);
            }
            Verdict::TryNext(_) => self.reopen(turn.index, false, now),
            Verdict::CallerAtFault(reason) if reason.depends_on_model() => {
                self.each(|other| other.model_upstream == candidate.model_upstream, |place| place.is_open = false);
            }
            Verdict::CallerAtFault(_) | Verdict::GiveUp(_) => self.each(|_| true, |place| place.is_open = false),
        }
    }

    /// Who has not been asked comes before who has, in the order of the candidates; then who may be asked soonest.
    fn first_in_line(&self, now: Instant) -> Option<usize> {
        let line = self.places.iter().enumerate().filter(|(_, place)| self.may_be_asked(place));
        let key = |index: usize, place: &Place<'_>| {
            let waits = self.earliest(place, now) > now;
            (place.tries > 0, place.is_deferred, waits.then(|| self.earliest(place, now)), index)
        };
        line.min_by_key(|(index, place)| key(*index, place)).map(|(index, _)| index)
    }

    fn may_be_asked(&self, place: &Place<'_>) -> bool {
        place.is_open && (place.tries == 0 || self.retries_left > 0)
    }

    /// When a candidate may be asked, at the soonest.
    fn earliest(&self, place: &Place<'_>, now: Instant) -> Instant {
        let target = place.candidate.target.id;
        let before = self.tries.iter().rev().filter(|(id, _)| *id == target).nth(TRIES_PER_WINDOW - 1);
        let spaced = before.map_or(now, |(_, at)| *at + WINDOW);
        place.not_before.unwrap_or(now).max(spaced).max(now)
    }

    fn reopen(&mut self, index: usize, is_open: bool, at: Instant) {
        if let Some(place) = self.places.get_mut(index) {
            place.is_open = is_open;
            place.not_before = Some(at);
        }
    }

    fn each(&mut self, matching: impl Fn(&Candidate) -> bool, mut change: impl FnMut(&mut Place<'a>)) {
        self.places.iter_mut().filter(|place| matching(place.candidate)).for_each(&mut change);
    }

    /// Twice as long with every try, spread over a half to the whole of it.
    fn backoff(&mut self, first: Duration, tries: u16) -> Duration {
        let whole = first * 2_u32.saturating_pow(u32::from(tries.saturating_sub(1)).min(6));
        whole.mul_f64(0.5 + self.share() / 2.0)
    }

    /// A number from 0 to 1.
    fn share(&mut self) -> f64 {
        // A linear congruential step is random enough to keep requests apart.
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 40) as f64 / (1_u64 << 24) as f64
    }
}
