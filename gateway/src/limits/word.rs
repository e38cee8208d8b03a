//! What gateways tell each other of clients: rates of the last two minutes, and what was spent of budgets.
//!
//! Each tells only what it counted itself, and each adds up what the others told; a word that is repeated changes nothing.
//! Of both kinds the fullest accounts are told first, and as many as one word can carry.

use std::collections::{BTreeMap, HashMap};
use std::sync::PoisonError;

use schemas::config::BudgetWindow;
use schemas::money::Pico;
use schemas::time::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Limits;
use super::meter::Use;
use super::minutes::minute_of;
use crate::peers::Told;

/// Requests and tokens of the last two minutes, and what is under way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UseWord {
    /// The later of the two minutes, counted from 1970.
    minute: i64,
    clients: Vec<Line>,
    /// Users, each behind its client.
    users: Vec<(u64, Line)>,
}

/// An account by the hash of its name: requests in this minute and the last, tokens in both, requests under way.
type Line = (u64, [u64; 2], [u64; 2], u32);

/// What was spent of budgets: a client by the hash of its name, the first moment of the window in microseconds, what
/// settled requests have cost, what those under way may cost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetWord(Vec<(u64, i64, Pico, Pico)>);

/// What ClickHouse holds of the present windows: what each gateway has spent for each client.
#[derive(Clone, Debug, Default)]
pub struct Recorded(HashMap<u64, BTreeMap<Uuid, (Timestamp, Pico)>>);

/// Most clients in one word: at 40 to 90 bytes each it stays well below what a word can be.
const CLIENTS_MAX: usize = 2_000;
/// Most users in one word.
const USERS_MAX: usize = 500;

impl UseWord {
    /// A word about nobody.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty() && self.users.is_empty()
    }
}

impl Recorded {
    /// Notes what a gateway has spent for a client in the window that began at `from`.
    pub fn add(&mut self, client: &str, gateway: Uuid, from: Timestamp, spent: Pico) {
        self.0.entry(crate::catalog::affinity([client])).or_default().insert(gateway, (from, spent));
    }

    /// What was recorded of one client in one window.
    fn of(&self, client: u64, from: Timestamp) -> impl Iterator<Item = (Uuid, Pico)> {
        let spent = self.0.get(&client).into_iter().flatten();
        spent.filter(move |(_, (of, _))| *of == from).map(|(gateway, (_, spent))| (*gateway, *spent))
    }
}

impl Limits {
    /// What the other gateways should know of rates.
    pub fn tell_use(&self, now: Timestamp) -> UseWord {
        let (mut clients, mut users) = (Vec::new(), Vec::new());
        for account in self.accounts.iter().flatten() {
            let (used, of_users) = account.used_here(now);
            if used != Use::default() {
                clients.push((used.share(&account.policy.limits), line(account.id, used)));
            }
            let limits = &account.policy.user_limits;
            users.extend(of_users.into_iter().map(|(user, used)| (used.share(limits), (account.id, line(user, used)))));
        }
        let minute = if clients.is_empty() && users.is_empty() { 0 } else { minute_of(now) };
        UseWord { minute, clients: fullest(clients, CLIENTS_MAX), users: fullest(users, USERS_MAX) }
    }

    /// Takes in what the other gateways told of rates, all of it at once: what is not among it is forgotten.
    pub fn hear_use(&self, told: &[Told<UseWord>], now: Timestamp) {
        let mut clients: HashMap<u64, Use> = HashMap::new();
        let mut users: HashMap<u64, HashMap<u64, Use>> = HashMap::new();
        for told in told {
            let word = &told.value;
            let heard = |line: &Line| (line.0, as_of(line, minute_of(now) - word.minute, told.is_alive()));
            for (client, used) in word.clients.iter().map(heard) {
                let sum = clients.entry(client).or_default();
                *sum = sum.and(used);
            }
            for (client, (user, used)) in word.users.iter().map(|(client, line)| (*client, heard(line))) {
                let sum = users.entry(client).or_default().entry(user).or_default();
                *sum = sum.and(used);
            }
        }
        let none = HashMap::new();
        for account in self.accounts.iter().flatten() {
            let used = clients.get(&account.id).copied().unwrap_or_default();
            account.hear_use(used, users.get(&account.id).unwrap_or(&none), now);
        }
    }

    /// What the other gateways should know of budgets.
    pub fn tell_spent(&self, now: Timestamp) -> BudgetWord {
        let mut lines = Vec::new();
        for account in self.accounts.iter().flatten() {
            let (Some(spent), Some(budget)) = (account.spent_here(now), account.policy.budget) else { continue };
            let counted = spent.spent + spent.reserved;
            if counted > Pico::ZERO {
                let share = counted.0.saturating_mul(1_000_000) / budget.usd.0.max(1);
                lines.push((share, (account.id, spent.from.as_micros(), spent.spent, spent.reserved)));
            }
        }
        BudgetWord(fullest(lines, CLIENTS_MAX))
    }

    /// Takes in what the other gateways told of budgets, and what ClickHouse holds. Of a gateway that both know of, the
    /// greater counts: neither tells too much, and each may be late. `me` is this gateway: what it told itself before it was
    /// killed may be later than its file.
    pub fn hear_spent(&self, me: Uuid, told: &[Told<BudgetWord>], now: Timestamp) {
        // Once for all accounts: a calendar takes its time.
        let windows = BudgetWindow::ALL.map(|window| (window, window.bounds(now).0));
        let recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        let mut words: HashMap<u64, Vec<(Uuid, i64, Pico, Pico)>> = HashMap::new();
        for told in told {
            for (client, from, spent, reserved) in &told.value.0 {
                words.entry(*client).or_default().push((told.instance, *from, *spent, *reserved));
            }
        }
        for account in self.accounts.iter().flatten() {
            let Some(budget) = account.policy.budget else { continue };
            let Some((_, from)) = windows.iter().find(|(window, _)| *window == budget.per).copied() else { continue };
            let mut spent: BTreeMap<Uuid, Pico> = recorded.of(account.id, from).collect();
            let mut here = spent.remove(&me).unwrap_or_default();
            let mut reserved = Pico::ZERO;
            for (gateway, of, told, under_way) in words.get(&account.id).into_iter().flatten() {
                if *of != from.as_micros() {
                    continue;
                }
                if *gateway == me {
                    // What was under way is not any more.
                    here = here.max(*told);
                } else {
                    let known = spent.entry(*gateway).or_default();
                    *known = (*known).max(*told);
                    reserved = reserved.checked_add(*under_way).unwrap_or(reserved);
                }
            }
            let elsewhere = spent.values().fold(reserved, |sum, spent| sum.checked_add(*spent).unwrap_or(sum));
            account.hear_spent(from, elsewhere, here, now);
        }
    }

    /// What ClickHouse holds, instead of what it held before.
    pub fn note_recorded(&self, recorded: Recorded) {
        *self.recorded.lock().unwrap_or_else(PoisonError::into_inner) = recorded;
    }

    /// The clients that have a budget with this window.
    pub fn with_budget_per(&self, window: BudgetWindow) -> impl Iterator<Item = &str> {
        let has = move |budget: schemas::config::Budget| budget.per == window;
        let accounts = self.accounts.iter().flatten();
        accounts.filter(move |account| account.policy.budget.is_some_and(has)).map(|account| account.name.as_str())
    }
}

fn line(id: u64, used: Use) -> Line {
    (id, used.requests, used.tokens, used.under_way)
}

/// What a word says, so many minutes later. What a gateway that has died had under way is over.
fn as_of(line: &Line, minutes_later: i64, is_alive: bool) -> Use {
    let (_, requests, tokens, under_way) = *line;
    let shifted = |[current, previous]: [u64; 2]| match minutes_later {
        // A clock that is ahead of ours tells of a minute that is this one to us.
        -1 | 0 => [current, previous],
        1 => [0, current],
        _ => [0, 0],
    };
    Use { requests: shifted(requests), tokens: shifted(tokens), under_way: if is_alive { under_way } else { 0 } }
}

fn fullest<S: Ord, T: Ord>(mut lines: Vec<(S, T)>, most: usize) -> Vec<T> {
    if lines.len() > most {
        lines.sort_unstable_by(|one, other| other.0.cmp(&one.0));
        lines.truncate(most);
    }
    // In one order, so that what has not changed is no news.
    let mut lines: Vec<T> = lines.into_iter().map(|(_, line)| line).collect();
    lines.sort_unstable();
    lines
}
