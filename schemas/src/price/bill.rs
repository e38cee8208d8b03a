//! What a request costs, by the book that was valid when it arrived.

use super::{Book, Price, reported_cost};
use crate::events::{Candidate, Receipt};
use crate::money::{Factor, Pico};
use crate::time::Timestamp;
use crate::usage::Usage;

/// What a bill depends on.
#[derive(Clone, Copy, Debug)]
pub struct Billed<'a> {
    /// Configured name of the provider that answered.
    pub provider: &'a str,
    /// What the provider was asked for.
    pub model_upstream: &'a str,
    /// What the provider says has answered.
    pub model_reported: &'a str,
    /// The catalogue's name (W15: an alias costs what its model costs).
    pub model: &'a str,
    /// When the request arrived.
    pub received_at: Timestamp,
    /// What it used.
    pub usage: &'a Usage,
    /// What the provider says that it charges, or where it would: read only for entries that go by it.
    pub charge: Charge<'a>,
    /// The key's factor on the list price.
    pub multiplier: Factor,
}

/// Where a provider's own statement of its charge is found.
#[derive(Clone, Copy, Debug)]
pub enum Charge<'a> {
    /// In its usage object, if anywhere.
    In(&'a str),
    /// It has been read.
    Read(Option<Pico>),
}

impl Charge<'_> {
    fn amount(self) -> Option<Pico> {
        match self {
            Self::In(raw_usage) => reported_cost(raw_usage),
            Self::Read(amount) => amount,
        }
    }
}

impl<'a> From<&'a Receipt> for Billed<'a> {
    fn from(receipt: &'a Receipt) -> Self {
        Self {
            provider: &receipt.provider,
            model_upstream: &receipt.model_upstream,
            model_reported: &receipt.model_reported,
            model: &receipt.model,
            received_at: receipt.received_at,
            usage: &receipt.usage,
            charge: Charge::In(receipt.raw_usage.as_deref().unwrap_or_default()),
            multiplier: receipt.cost_multiplier,
        }
    }
}

impl<'a> From<&'a Candidate> for Billed<'a> {
    fn from(candidate: &'a Candidate) -> Self {
        Self {
            provider: &candidate.provider,
            model_upstream: &candidate.model_upstream,
            model_reported: &candidate.model_reported,
            model: &candidate.model,
            received_at: candidate.received_at,
            usage: &candidate.usage,
            charge: Charge::Read(candidate.reported_cost),
            multiplier: candidate.cost_multiplier,
        }
    }
}

/// The outcome of pricing a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Priced {
    /// The exact cost; `None` when usage or price is unknown.
    pub cost: Option<Pico>,
    /// What it would have cost more without the provider's prompt cache; `None` when the cost is unknown, or is what the
    /// provider says that it is, or the provider told nothing about a cache. Negative where writing to the cache cost more
    /// than reading from it saved.
    pub cache_saved: Option<Pico>,
    /// The entry used; empty when none fits.
    pub price_id: String,
    /// Whether tokens were counted that no price could be found for.
    pub unpriced: bool,
}

impl Book {
    /// Prices a request.
    pub fn bill(&self, billed: &Billed<'_>) -> Priced {
        let models = [billed.model_upstream, billed.model_reported, billed.model];
        billed.priced_by(self.find(billed.provider, &models, billed.received_at))
    }
}

impl Billed<'_> {
    /// Prices it by an entry, or by none.
    pub(super) fn priced_by(&self, entry: Option<&Price>) -> Priced {
        let charged = entry.filter(|entry| entry.is_reported).and_then(|_| self.charge.amount());
        let cost = match charged {
            Some(charge) => charge.checked_mul_factor(self.multiplier),
            None => entry.and_then(|entry| entry.cost(self.usage, self.multiplier)),
        };
        // A charge says nothing of what it would have been, and who tells nothing of a cache may have one.
        let by_list = entry.filter(|_| charged.is_none() && self.usage.tells_of_cache());
        let uncached = by_list.and_then(|entry: &Price| entry.cost(&self.usage.without_cache(), self.multiplier));
        Priced {
            cost,
            cache_saved: uncached.zip(cost).and_then(|(uncached, cost)| uncached.0.checked_sub(cost.0)).map(Pico),
            price_id: entry.map(|entry| entry.id.clone()).unwrap_or_default(),
            unpriced: cost.is_none() && self.usage.is_known(),
        }
    }
}
