//! One client: what it may use, and what it does use, under one small lock of its own.

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use schemas::config::{Budget, Client, RateLimits, Unpriced};
use schemas::money::Pico;
use schemas::time::Timestamp;

use super::meter::{Cap, Full, Meter, Use};
use super::minutes::minute_of;
use super::purse::{Purse, Spent};
use super::standing::Standing;
use super::users::{Seat, Users, id_of};
use super::{Ask, Limit, Refused};
use crate::catalog::affinity;

/// A client with limits, or with a budget.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) name: String,
    /// Stands for the name between gateways.
    pub(super) id: u64,
    pub(super) policy: Policy,
    /// Kept when the policy changes.
    state: Arc<Mutex<State>>,
}

/// What a client may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) limits: RateLimits,
    pub(super) user_limits: RateLimits,
    pub(super) budget: Option<Budget>,
    pub(super) unpriced: Unpriced,
}

/// What a client uses.
#[derive(Debug)]
struct State {
    meter: Meter,
    users: Users,
    purse: Purse,
    /// Output tokens of its recent answers, on average: what the next one is taken to have.
    average_output: u64,
}

/// What a request was counted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    minute: i64,
    tokens: u64,
    seat: Option<Seat>,
    /// The budget's window, and what was set aside in it.
    reserved: Option<(Timestamp, Pico)>,
    pub(super) standing: Standing,
}

/// What a request has used in truth, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Truth {
    /// Input and output tokens; `None`: the estimate stands.
    pub tokens: Option<u64>,
    /// Output tokens alone.
    pub output: Option<u64>,
    /// Exact cost; `None`: what was set aside counts as spent.
    pub cost: Option<Pico>,
}

/// What an answer is taken to have before the first one has been seen.
const FIRST_OUTPUT: u64 = 256;
/// The weight of the newest answer in the average is one to this.
const AVERAGE_OVER: u64 = 8;

impl Policy {
    pub(super) fn of(client: &Client) -> Option<Self> {
        let Client { limits, user_limits, budget, unpriced, .. } = *client;
        let unlimited = RateLimits::default();
        // Without a budget nothing has to be priced before it is sent, unless it is refused for its price.
        let is_any = limits != unlimited || user_limits != unlimited || budget.is_some() || unpriced == Unpriced::Deny;
        is_any.then_some(Self { limits, user_limits, budget, unpriced })
    }
}

impl Account {
    pub(super) fn new(name: &str, policy: Policy, room: &Arc<AtomicUsize>) -> Self {
        let state = State {
            meter: Meter::default(),
            users: Users::new(Arc::clone(room)),
            purse: Purse::default(),
            average_output: FIRST_OUTPUT,
        };
        Self { name: name.to_owned(), id: affinity([name]), policy, state: Arc::new(Mutex::new(state)) }
    }

    /// The same client under another policy: what it uses stays counted.
    pub(super) fn under(&self, policy: Policy) -> Self {
        let is_other_window = match (self.policy.budget, policy.budget) {
            (Some(before), Some(now)) => before.per != now.per,
            _ => true,
        };
        if is_other_window {
            self.lock().purse = Purse::default();
        }
        Self { name: self.name.clone(), id: self.id, policy, state: Arc::clone(&self.state) }
    }

    /// Counts a request if everything has room for it.
    pub(super) fn admit(&self, ask: &Ask<'_>, now: Timestamp) -> Result<Taken, Box<Refused>> {
        let user = self.limits_users().then(|| id_of(ask.user));
        self.lock().admit(&self.policy, ask, user, now)
    }

    /// A request is over.
    pub(super) fn settle(&self, taken: &Taken, truth: Truth, now: Timestamp) {
        self.lock().settle(taken, truth, now);
    }

    /// What counts here: of the client, and of its busier users.
    pub(super) fn used_here(&self, now: Timestamp) -> (Use, Vec<(u64, Use)>) {
        let mut state = self.lock();
        state.meter.roll(now);
        let users = if self.limits_users() { state.users.here(&self.policy.user_limits, now) } else { Vec::new() };
        (state.meter.here(), users)
    }

    /// What counts elsewhere.
    pub(super) fn hear_use(&self, client: Use, users: &HashMap<u64, Use>, now: Timestamp) {
        let mut state = self.lock();
        state.meter.roll(now);
        state.meter.hear(client);
        if self.limits_users() {
            state.users.hear(users, now);
        }
    }

    /// What is left of the budget; `None` without one.
    pub(super) fn left(&self, now: Timestamp) -> Option<Pico> {
        let budget = self.policy.budget?;
        let mut state = self.lock();
        state.purse.roll(&budget, now);
        Some(state.purse.left(&budget))
    }

    /// What was spent here; `None` without a budget.
    pub(super) fn spent_here(&self, now: Timestamp) -> Option<Spent> {
        let budget = self.policy.budget?;
        let mut state = self.lock();
        state.purse.roll(&budget, now);
        Some(state.purse.here())
    }

    /// What was spent elsewhere in the window that began at `from`, and what this gateway is known to have spent.
    pub(super) fn hear_spent(&self, from: Timestamp, elsewhere: Pico, here: Pico, now: Timestamp) {
        let Some(budget) = self.policy.budget else { return };
        let mut state = self.lock();
        state.purse.roll(&budget, now);
        state.purse.recall(from, here);
        state.purse.hear(from, elsewhere);
    }

    /// What this gateway is known to have spent in the window that began at `from`.
    pub(super) fn recall(&self, from: Timestamp, spent: Pico, now: Timestamp) {
        let Some(budget) = self.policy.budget else { return };
        let mut state = self.lock();
        state.purse.roll(&budget, now);
        state.purse.recall(from, spent);
    }

    /// Forgets users that are gone.
    pub(super) fn sweep(&self, now: Timestamp) {
        if self.limits_users() {
            self.lock().users.sweep(now);
        }
    }

    fn limits_users(&self) -> bool {
        self.policy.user_limits != RateLimits::default()
    }

    /// Nothing that holds the lock can panic half-way through a change; if it ever did, counting on is still right.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// `user` is the user's number, where users have limits.
    fn admit(
        &mut self,
        policy: &Policy,
        ask: &Ask<'_>,
        user: Option<u64>,
        now: Timestamp,
    ) -> Result<Taken, Box<Refused>> {
        let tokens =
            if ask.is_free { 0 } else { ask.input_tokens.saturating_add(ask.output_tokens.min(self.average_output)) };
        self.meter.roll(now);
        let refused = |limit, most, wait, standing| Box::new(Refused { limit, most, wait, standing });
        let client_full = |full: Full, meter: &Meter| {
            let (limit, most) = Limit::of_client(full.cap, &policy.limits);
            refused(limit, most, full.wait, meter.standing(&policy.limits, now))
        };
        self.meter.check(&policy.limits, tokens, now).map_err(|full| client_full(full, &self.meter))?;
        let mut seat = None;
        if let Some(user) = user {
            let (at, meter) = self.users.meter(user, now);
            meter.check(&policy.user_limits, tokens, now).map_err(|full| {
                let (limit, most) = Limit::of_user(full.cap, &policy.user_limits);
                refused(limit, most, full.wait, meter.standing(&policy.user_limits, now))
            })?;
            seat = Some(at);
        }
        let mut reserved = None;
        if let Some(budget) = policy.budget.filter(|_| !ask.is_free) {
            self.purse.roll(&budget, now);
            self.purse.reserve(&budget, ask.most_cost).map_err(|used_up| {
                let wait = (used_up.until.as_micros() - now.as_micros()).max(0).unsigned_abs();
                let standing = self.meter.standing(&policy.limits, now);
                let wait = (ask.most_cost <= budget.usd).then_some(Duration::from_micros(wait));
                refused(Limit::Budget(budget), 0, wait, standing)
            })?;
            reserved = Some((self.purse.here().from, ask.most_cost));
        }
        self.meter.take(tokens);
        let mut standing = self.meter.standing(&policy.limits, now);
        if let Some(seat) = seat {
            let meter = self.users.at(seat);
            meter.take(tokens);
            standing = standing.tighter(meter.standing(&policy.user_limits, now));
        }
        Ok(Taken { minute: minute_of(now), tokens, seat, reserved, standing })
    }

    fn settle(&mut self, taken: &Taken, truth: Truth, now: Timestamp) {
        let tokens = truth.tokens.unwrap_or(taken.tokens);
        self.meter.roll(now);
        self.meter.settle(taken.minute, taken.tokens, tokens);
        if let Some(seat) = taken.seat {
            let meter = self.users.at(seat);
            meter.roll(now);
            meter.settle(taken.minute, taken.tokens, tokens);
        }
        if let Some((from, reserved)) = taken.reserved {
            self.purse.settle(from, reserved, truth.cost.unwrap_or(reserved));
        }
        if let Some(output) = truth.output {
            self.average_output = self.average_output - self.average_output / AVERAGE_OVER + output / AVERAGE_OVER;
        }
    }
}

impl Limit {
    fn of_client(cap: Cap, limits: &RateLimits) -> (Self, u64) {
        match cap {
            Cap::Concurrent => (Self::Concurrent, limits.max_concurrent),
            Cap::Requests => (Self::Requests, limits.requests_per_minute),
            Cap::Tokens => (Self::Tokens, limits.tokens_per_minute),
        }
    }

    fn of_user(cap: Cap, limits: &RateLimits) -> (Self, u64) {
        match cap {
            Cap::Concurrent => (Self::UserConcurrent, limits.max_concurrent),
            Cap::Requests => (Self::UserRequests, limits.requests_per_minute),
            Cap::Tokens => (Self::UserTokens, limits.tokens_per_minute),
        }
    }
}
