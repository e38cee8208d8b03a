//! The breaker of a target (R26): too many failures among the last results open it; probes, one at a time, close it.
//!
//! How long it waits from one probe to the next depends on what they cost their callers. One that fails at once costs next
//! to nothing, as another candidate answers in its place: so a target that fails like that is asked often enough to be
//! back within half a minute once it is well. One that is silent costs its caller that wait, and such a target is asked
//! ever more rarely.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::word::Shut;
use super::{BreakerState, Cost};

/// Results that are looked at.
const WINDOW_RESULTS: usize = 20;
/// Older results are forgotten.
const WINDOW_AGE: Duration = Duration::from_secs(300);
/// Fewer results say nothing.
const RESULTS_MIN: usize = 5;
/// From one probe to the next, where they fail at once. With the fourteen seconds that the last of eight gateways leaves
/// to the others it makes less than half a minute.
const QUICK: Duration = Duration::from_secs(15);
/// The same where they cost their callers something; doubled each time the probes fail (R26).
const SLOW: Duration = Duration::from_secs(30);
const SLOW_MAX: Duration = Duration::from_secs(300);
/// Probes that must succeed to close the breaker.
const SUCCESSES_TO_CLOSE: u8 = 3;
/// Probes that must fail to double the time between slow ones, and to forget those that succeeded.
const FAILURES_TO_REOPEN: u8 = 2;
/// One bad result in so many is a strain: others of the same priority are asked first.
const STRAINED_SHARE: usize = 5;

#[derive(Debug)]
pub(super) struct Breaker {
    state: State,
    /// Raised by each change of state: what was let through before it is judged no more.
    generation: u64,
}

#[derive(Debug)]
enum State {
    Closed(VecDeque<(Instant, Answer)>),
    Open(Recovery),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Good,
    Bad,
}

/// What has happened since the breaker opened.
#[derive(Debug)]
struct Recovery {
    /// Time from one probe to the next, unless the first succeeds earlier.
    interval: Duration,
    /// Before then nobody is let through. A probe moves it on at its start, so that one that hangs neither lets a second
    /// one through so soon nor shuts the target for ever.
    next_probe: Instant,
    has_probed: bool,
    /// The last probe was this gateway's and succeeded: it need not let others go first any more.
    is_ours: bool,
    successes: u8,
    failures: u8,
}

impl Recovery {
    fn new(next_probe: Instant, interval: Duration) -> Self {
        Self { interval, next_probe, has_probed: false, is_ours: false, successes: 0, failures: 0 }
    }

    /// After a probe that failed, and is not enough to begin anew.
    fn put_off(&mut self, pass: Pass, cost: Cost, now: Instant) {
        self.interval = match cost {
            Cost::Little => QUICK,
            Cost::Much => self.interval.max(SLOW),
        };
        // What another probe has moved on meanwhile stays so.
        let is_own = pass.probe.is_some_and(|probe| probe.holds_until == self.next_probe);
        let next_probe = pass.counts_from(cost, now) + self.interval;
        self.next_probe = if is_own { next_probe } else { next_probe.max(self.next_probe) };
    }

    fn opens(&self, patience: Duration) -> Instant {
        if self.is_ours { self.next_probe } else { self.next_probe + patience }
    }
}

/// What the breaker let through, to be shown again with its result.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pass {
    generation: u64,
    probe: Option<Probe>,
}

/// When a probe was let through, and until when no other one is because of it.
#[derive(Clone, Copy, Debug)]
struct Probe {
    begun: Instant,
    holds_until: Instant,
}

impl Pass {
    pub(super) fn is_probe(self) -> bool {
        self.probe.is_some()
    }

    /// Where the interval after a failure begins: with the probe itself if that was quick.
    fn counts_from(self, cost: Cost, now: Instant) -> Instant {
        match (cost, self.probe) {
            (Cost::Little, Some(probe)) => probe.begun,
            (Cost::Little, None) | (Cost::Much, _) => now,
        }
    }
}

/// What a result did to the breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It opened, or stays open for longer; nobody is let through for this long.
    Opened(Duration),
    Closed,
}

impl Breaker {
    pub(super) fn new() -> Self {
        Self { state: State::Closed(VecDeque::with_capacity(WINDOW_RESULTS)), generation: 0 }
    }

    /// Whether somebody may be let through now; if not, from when on. `patience` is for how long a probe is left to
    /// other gateways.
    pub(super) fn check(&self, now: Instant, patience: Duration) -> Result<(), Instant> {
        match &self.state {
            State::Open(recovery) if now < recovery.opens(patience) => Err(recovery.opens(patience)),
            State::Open(_) | State::Closed(_) => Ok(()),
        }
    }

    /// Whether it is closed, and yet a fifth of the last results or more were bad.
    pub(super) fn is_strained(&self) -> bool {
        let State::Closed(window) = &self.state else { return false };
        window.len() >= RESULTS_MIN && bad(window) * STRAINED_SHARE >= window.len()
    }

    /// Lets somebody through, after [`Self::check`].
    pub(super) fn pass(&mut self, now: Instant) -> Pass {
        let probe = match &mut self.state {
            State::Closed(_) => None,
            State::Open(recovery) => {
                // Whether it will be a slow one nobody knows yet.
                let holds_until = now + recovery.interval.max(SLOW);
                recovery.next_probe = holds_until;
                recovery.has_probed = true;
                recovery.is_ours = false;
                Some(Probe { begun: now, holds_until })
            }
        };
        Pass { generation: self.generation, probe }
    }

    pub(super) fn succeeded(&mut self, pass: Pass, now: Instant) -> Option<Change> {
        if pass.generation != self.generation {
            return None;
        }
        match &mut self.state {
            State::Closed(window) => {
                note(window, now, Answer::Good);
                None
            }
            State::Open(recovery) => {
                recovery.successes += 1;
                if recovery.successes < SUCCESSES_TO_CLOSE {
                    recovery.next_probe = now;
                    recovery.is_ours = true;
                    return None;
                }
                self.generation += 1;
                self.state = State::Closed(VecDeque::with_capacity(WINDOW_RESULTS));
                Some(Change::Closed)
            }
        }
    }

    /// `cost` is what the failure cost its caller.
    pub(super) fn failed(&mut self, pass: Pass, cost: Cost, now: Instant) -> Option<Change> {
        if pass.generation != self.generation {
            return None;
        }
        let interval = match &mut self.state {
            State::Closed(window) => {
                note(window, now, Answer::Bad);
                if window.len() < RESULTS_MIN || bad(window) * 2 < window.len() {
                    return None;
                }
                match cost {
                    Cost::Little => QUICK,
                    Cost::Much => SLOW,
                }
            }
            State::Open(recovery) => {
                recovery.failures += 1;
                if recovery.failures < FAILURES_TO_REOPEN {
                    recovery.put_off(pass, cost, now);
                    return None;
                }
                match cost {
                    Cost::Little => QUICK,
                    Cost::Much => (recovery.interval * 2).clamp(SLOW, SLOW_MAX),
                }
            }
        };
        self.generation += 1;
        self.state = State::Open(Recovery::new(pass.counts_from(cost, now) + interval, interval));
        Some(Change::Opened(interval))
    }

    /// What was let through is over. A probe that nobody judged (its caller left, or was wrong) holds up no other for
    /// longer than the interval.
    pub(super) fn ended(&mut self, pass: Pass) {
        if let State::Open(recovery) = &mut self.state
            && let Some(probe) = pass.probe.filter(|probe| recovery.next_probe == probe.holds_until)
            && pass.generation == self.generation
        {
            recovery.next_probe = probe.begun + recovery.interval;
        }
    }

    /// Until when nobody is let through, and the interval of the probes, unless it is closed.
    pub(super) fn shut(&self) -> Option<Shut> {
        match &self.state {
            State::Open(recovery) => Some((recovery.next_probe, recovery.interval)),
            State::Closed(_) => None,
        }
    }

    /// Does as another gateway's breaker. What was let through before is judged no more if that opens or closes this one.
    pub(super) fn obey(&mut self, order: Option<Shut>) {
        let order = order.map(|(until, interval)| (until, interval.clamp(QUICK, SLOW_MAX)));
        match (&mut self.state, order) {
            (State::Closed(_), None) => {}
            (State::Open(recovery), Some((until, interval))) => {
                recovery.next_probe = until;
                recovery.interval = interval;
                recovery.is_ours = false;
            }
            (State::Open(_), None) => {
                self.generation += 1;
                self.state = State::Closed(VecDeque::with_capacity(WINDOW_RESULTS));
            }
            (State::Closed(_), Some((next_probe, interval))) => {
                self.generation += 1;
                self.state = State::Open(Recovery::new(next_probe, interval));
            }
        }
    }

    pub(super) fn state(&self, now: Instant) -> BreakerState {
        match &self.state {
            State::Closed(_) => BreakerState::Closed,
            State::Open(recovery) if recovery.has_probed || now >= recovery.next_probe => BreakerState::HalfOpen,
            State::Open(_) => BreakerState::Open,
        }
    }
}

fn bad(window: &VecDeque<(Instant, Answer)>) -> usize {
    window.iter().filter(|(_, answer)| *answer == Answer::Bad).count()
}

/// Keeps a result, and forgets what is too old or one too many.
fn note(window: &mut VecDeque<(Instant, Answer)>, now: Instant, answer: Answer) {
    window.push_back((now, answer));
    while window.len() > WINDOW_RESULTS
        || window.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) > WINDOW_AGE)
    {
        window.pop_front();
    }
}
