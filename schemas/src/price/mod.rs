//! The price book: what a token cost, where and when.
//!
//! Prices are US dollars per million tokens with at most six fractional digits, hence whole pico-dollars per token: a
//! request's cost is a sum of integer products, exact but for the key's multiplier (see [`crate::money`]).

mod bill;
mod find;
mod hours;
mod memo;
mod read;
mod reported;
mod write;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

pub use bill::{Billed, Charge, Priced};
pub use find::Fit;
pub use hours::Hours;
pub use memo::Memo;
pub use read::InvalidBook;
pub use reported::reported_cost;
pub use write::per_million;

use crate::money::{Factor, Pico};
use crate::time::Timestamp;
use crate::usage::Usage;

/// The book that ships with Weir.
pub const BUILTIN: &str = include_str!("../../prices.toml");

/// All known prices, checked for ambiguity.
#[derive(Clone, Debug, Default)]
pub struct Book {
    prices: Vec<Price>,
}

/// The prices of some models at one provider from some day on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    /// Unique and stable: rows keep it, so that a period can be repriced and compared.
    pub id: String,
    /// The provider's name, as in `[[providers]] name`.
    pub provider: String,
    /// Whether this is the maker's own list price, which also serves providers that the book does not know.
    pub first_party: bool,
    /// Model names: exact, or with one `*` at the end.
    pub models: Vec<String>,
    /// Further names of the same models, which give way to an entry that has them among its `models`.
    pub aliases: Vec<String>,
    /// From when on it is valid; until the next entry of the same models.
    pub valid_from: Timestamp,
    /// The first moment for which nobody knows whether it still holds: from then on its models have no price.
    pub valid_until: Option<Timestamp>,
    /// When within a week it holds; `None`: at all hours that no entry with hours of the same models holds.
    pub hours: Option<Hours>,
    /// Whether the provider says in its answers what it charges, which then is the cost.
    pub is_reported: bool,
    /// The page it was read from.
    pub source: String,
    /// Prices, by ascending `over_input_tokens`; the first has 0. Empty only where the provider reports its charges.
    pub tiers: Vec<Tier>,
    /// Charged per request that was answered.
    pub per_request: Pico,
}

/// Prices per token that hold when a request's input is above a bound. The whole request is priced at one tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tier {
    /// The tier holds for `input > over_input_tokens`; 0 for the base prices, which also hold for an empty input.
    pub over_input_tokens: u64,
    /// Per fresh input token.
    pub input: Pico,
    /// Per output token, reasoning included.
    pub output: Pico,
    /// Per token read from the cache; `None`: the provider has no such price.
    pub cache_read: Option<Pico>,
    /// Per token written to the cache for five minutes.
    pub cache_write_5m: Option<Pico>,
    /// Per token written to the cache for one hour.
    pub cache_write_1h: Option<Pico>,
}

impl Price {
    /// The exact cost of a request; `None` when a count that is needed is unknown, a kind of token that was used has no
    /// price, or the sum does not fit (W15: unknown is never 0).
    pub fn cost(&self, usage: &Usage, multiplier: Factor) -> Option<Pico> {
        let (input, output) = (usage.input?, usage.output?);
        let tier =
            self.tiers.iter().rev().find(|tier| tier.over_input_tokens == 0 || input > tier.over_input_tokens)?;
        let cached = [
            (usage.cache_read, tier.cache_read),
            (usage.cache_write_5m, tier.cache_write_5m),
            (usage.cache_write_1h, tier.cache_write_1h),
        ];
        let fresh = usage.fresh_input?;
        let mut sum = self.per_request;
        sum = sum.checked_add(tier.input.checked_mul_count(fresh)?)?;
        sum = sum.checked_add(tier.output.checked_mul_count(output)?)?;
        for (count, price) in cached {
            if let Some(count) = count.filter(|count| *count > 0) {
                sum = sum.checked_add(price?.checked_mul_count(count)?)?;
            }
        }
        sum.checked_mul_factor(multiplier)
    }

    /// The most that a request of at most so many tokens can cost, whichever kinds they are; `None` when it does not fit.
    /// A kind of token without a price is left out: a request that uses it has no cost. `None` also where nothing but what
    /// the provider will report is known.
    pub fn most(&self, input: u64, output: u64, multiplier: Factor) -> Option<Pico> {
        let within = |tier: &&Tier| tier.over_input_tokens == 0 || input > tier.over_input_tokens;
        let of_tier = |tier: &Tier| {
            let cached = [tier.cache_read, tier.cache_write_5m, tier.cache_write_1h];
            let dearest = cached.into_iter().flatten().fold(tier.input, Pico::max);
            dearest.checked_mul_count(input)?.checked_add(tier.output.checked_mul_count(output)?)
        };
        let mut sums = self.tiers.iter().filter(within).map(of_tier);
        let first = sums.next()??;
        let dearest = sums.try_fold(first, |most, sum| Some(most.max(sum?)));
        dearest?.checked_add(self.per_request)?.checked_mul_factor(multiplier)
    }
}
