//! What clients may use: requests and tokens per minute, requests at once, money per day, week or month.
//!
//! A request is counted with an estimate before it is sent, and with the truth once it is settled. Each client has a
//! small lock of its own, held for no longer than a few comparisons, never over an await; a client without limits has
//! none. Nothing here waits for the network: what other gateways count is heard in the background ([`Limits::hear`]), and
//! without them each gateway holds the limits alone.

mod minutes;
mod meter;
mod purse;
mod users;
mod standing;
mod account;
mod word;
mod keep;

#[cfg(test)]
mod tests;

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use schemas::config::{Budget, BudgetWindow, Client, Unpriced};
use schemas::money::Pico;
use schemas::time::Timestamp;

pub use account::Truth;
pub use keep::{Kept, read as read_kept, write as write_kept};
pub use standing::{Figure, Standing};
pub use word::{BudgetWord, Recorded, UseWord};

use self::account::{Account, Policy, Taken};

/// What a request asks for, as far as limits are concerned.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ask<'a> {
    /// The client's own user; all requests without one are of the same.
    pub user: &'a str,
    /// Estimated tokens of the prompt.
    pub input_tokens: u64,
    /// Most tokens of the answer.
    pub output_tokens: u64,
    /// What it may cost at most; read only where there is a budget.
    pub most_cost: Pico,
    /// Whether it is not billed, as counting tokens is not: it counts as a request, and nothing else.
    pub is_free: bool,
}

/// A limit that a request met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// `requests_per_minute`
    Requests,
    /// `tokens_per_minute`
    Tokens,
    /// `max_concurrent`
    Concurrent,
    /// `user_requests_per_minute`
    UserRequests,
    /// `user_tokens_per_minute`
    UserTokens,
    /// `user_max_concurrent`
    UserConcurrent,
    /// `budget`
    Budget(Budget),
}

/// Why a request has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The first limit that it met.
    pub limit: Limit,
    /// What that limit allows; 0 for a budget, whose amount is in [`Limit::Budget`].
    pub most: u64,
    /// How long until it may have room; `None`: never, as large as it is.
    pub wait: Option<Duration>,
    /// What is left.
    pub standing: Standing,
}

impl Limit {
    /// The limit's key in the configuration, which is its label in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests_per_minute",
            Self::Tokens => "tokens_per_minute",
            Self::Concurrent => "max_concurrent",
            Self::UserRequests => "user_requests_per_minute",
            Self::UserTokens => "user_tokens_per_minute",
            Self::UserConcurrent => "user_max_concurrent",
            Self::Budget(_) => "budget",
        }
    }

    /// Whether a request with a smaller estimate might have room.
    pub const fn depends_on_size(self) -> bool {
        matches!(self, Self::Tokens | Self::UserTokens | Self::Budget(_))
    }
}

impl Refused {
    /// What the client may read.
    pub fn message(&self) -> String {
        let most = self.most;
        let reached = match self.limit {
            Limit::Requests => format!("this API key's limit of {most} requests per minute is reached"),
            Limit::Tokens => format!("this API key's limit of {most} tokens per minute is reached"),
            Limit::Concurrent => format!("this API key's limit of {most} requests at once is reached"),
            Limit::UserRequests => format!("the limit of {most} requests per minute for this user is reached"),
            Limit::UserTokens => format!("the limit of {most} tokens per minute for this user is reached"),
            Limit::UserConcurrent => format!("the limit of {most} requests at once for this user is reached"),
            Limit::Budget(budget) => {
                let (usd, per) = (dollars(budget.usd), budget.per.as_str());
                format!(
                    "what is left of this API key's budget of {usd} US dollars per {per} does not cover this request"
                )
            }
        };
        match self.wait {
            Some(wait) => format!("{reached}; try again in {} s", wait.as_secs() + u64::from(wait.subsec_nanos() > 0)),
            None => format!("{reached}: this request alone is larger"),
        }
    }
}

/// An amount without the zeros behind its cents.
fn dollars(amount: Pico) -> String {
    let text = amount.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let fraction = fraction.trim_end_matches('0');
    format!("{whole}.{fraction:0<2}")
}

/// The accounts of all clients.
#[derive(Debug)]
pub struct Limits {
    /// In the order of the configuration; none for a client without limits.
    accounts: Vec<Option<Arc<Account>>>,
    /// Places for users, of all clients.
    room: Arc<AtomicUsize>,
    /// What ClickHouse holds of the budgets' windows, for the background only.
    recorded: Arc<Mutex<Recorded>>,
}

impl Limits {
    /// Nothing used so far. A client's id is its position.
    pub fn new(clients: &[Client]) -> Self {
        let room = Arc::new(AtomicUsize::new(users::USERS_MAX));
        let account = |client: &Client| Some(Arc::new(Account::new(&client.name, Policy::of(client)?, &room)));
        Self { accounts: clients.iter().map(account).collect(), room, recorded: Arc::default() }
    }

    /// The limits of a new configuration. What clients of the same name have used stays counted, and requests under way
    /// are settled where they were counted.
    pub fn reconfigured(&self, clients: &[Client]) -> Self {
        let account = |client: &Client| {
            let policy = Policy::of(client)?;
            let known = self.accounts.iter().flatten().find(|account| account.name == client.name);
            Some(Arc::new(match known {
                Some(known) => known.under(policy),
                None => Account::new(&client.name, policy, &self.room),
            }))
        };
        let accounts = clients.iter().map(account).collect();
        Self { accounts, room: Arc::clone(&self.room), recorded: Arc::clone(&self.recorded) }
    }

    /// Whether anything is limited for this client.
    pub fn limits(&self, client: usize) -> bool {
        self.account(client).is_some()
    }

    /// Whether this client has a budget.
    pub fn has_budget(&self, client: usize) -> bool {
        self.account(client).is_some_and(|account| account.policy.budget.is_some())
    }

    /// What becomes of this client's requests for models without a price.
    pub fn unpriced(&self, client: usize) -> Unpriced {
        self.account(client).map_or(Unpriced::Allow, |account| account.policy.unpriced)
    }

    /// Counts a request of this client if all its limits have room for it; `Ok(None)` where nothing is limited.
    pub fn admit(&self, client: usize, ask: &Ask<'_>, now: Timestamp) -> Result<Option<Hold>, Box<Refused>> {
        let Some(account) = self.account(client) else { return Ok(None) };
        let taken = account.admit(ask, now)?;
        Ok(Some(Hold { account: Arc::clone(account), taken, is_settled: false }))
    }

    /// Forgets users that are gone.
    pub fn sweep(&self, now: Timestamp) {
        self.accounts.iter().flatten().for_each(|account| account.sweep(now));
    }

    /// What is left of every budget, by the client's name.
    pub fn budgets_left(&self, now: Timestamp) -> Vec<(&str, Pico)> {
        let accounts = self.accounts.iter().flatten();
        accounts.filter_map(|account| Some((account.name.as_str(), account.left(now)?))).collect()
    }

    /// The windows that budgets have.
    pub fn windows(&self) -> Vec<BudgetWindow> {
        let budgets = || self.accounts.iter().flatten().filter_map(|account| account.policy.budget);
        BudgetWindow::ALL.into_iter().filter(|window| budgets().any(|budget| budget.per == *window)).collect()
    }

    fn account(&self, client: usize) -> Option<&Arc<Account>> {
        self.accounts.get(client)?.as_ref()
    }
}

/// What a request was counted with. It is to be settled when the request is.
#[derive(Debug)]
#[must_use = "a hold that is dropped counts as if its estimate had been true"]
pub struct Hold {
    account: Arc<Account>,
    taken: Taken,
    is_settled: bool,
}

impl Hold {
    /// What was left of the limits when the request was let in, itself counted.
    pub fn standing(&self) -> &Standing {
        &self.taken.standing
    }

    /// Whether its cost counts.
    pub fn is_billed(&self) -> bool {
        self.account.policy.budget.is_some()
    }

    /// Puts the truth in place of the estimate.
    pub fn settle(mut self, truth: Truth, now: Timestamp) {
        self.is_settled = true;
        self.account.settle(&self.taken, truth, now);
    }
}

impl Drop for Hold {
    /// The net: the request is no longer under way, and what it was counted with stands.
    fn drop(&mut self) {
        if !self.is_settled {
            self.account.settle(&self.taken, Truth::default(), Timestamp::now());
        }
    }
}
