//! Reading and checking a book.

use serde::Deserialize;

use super::{Book, Price, Tier};
use crate::money::Pico;
use crate::time::Timestamp;

/// Why a book cannot be used. All reasons are told at once.
#[derive(Debug, thiserror::Error)]
pub enum InvalidBook {
    /// Not TOML, or not the shape of a book.
    #[error("the price book cannot be read: {0}")]
    Toml(#[from] toml::de::Error),
    /// The entries contradict themselves or each other.
    #[error("the price book is wrong:\n{}", .0.join("\n"))]
    Entries(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BookFile {
    prices: Vec<PriceFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceFile {
    id: String,
    provider: String,
    #[serde(default)]
    first_party: bool,
    models: Vec<String>,
    valid_from: Timestamp,
    source: String,
    #[serde(flatten)]
    base: TierFile,
    per_request: Option<PerToken>,
    #[serde(default)]
    tiers: Vec<TierFile>,
}

#[derive(Deserialize)]
struct TierFile {
    #[serde(default)]
    over_input_tokens: u64,
    input: PerToken,
    output: PerToken,
    cache_read: Option<PerToken>,
    cache_write_5m: Option<PerToken>,
    cache_write_1h: Option<PerToken>,
}

/// A decimal string of dollars.
#[derive(Clone, Copy, Deserialize)]
struct PerToken(Pico);

const PER_MILLION: i128 = 1_000_000;

impl TierFile {
    fn resolve(&self, mistakes: &mut Vec<String>, id: &str) -> Tier {
        let mut per_token = |price: PerToken| {
            if price.0.0 < 0 || price.0.0 % PER_MILLION != 0 {
                mistakes.push(format!("{id}: {} is negative or has more than 6 digits after the point", price.0));
            }
            Pico(price.0.0 / PER_MILLION)
        };
        Tier {
            over_input_tokens: self.over_input_tokens,
            input: per_token(self.input),
            output: per_token(self.output),
            cache_read: self.cache_read.map(&mut per_token),
            cache_write_5m: self.cache_write_5m.map(&mut per_token),
            cache_write_1h: self.cache_write_1h.map(&mut per_token),
        }
    }
}

impl Book {
    /// Reads a book from TOML text.
    pub fn parse(text: &str) -> Result<Self, InvalidBook> {
        let file: BookFile = toml::from_str(text)?;
        let mut mistakes = Vec::new();
        let prices: Vec<Price> = file.prices.into_iter().map(|entry| resolve(entry, &mut mistakes)).collect();
        check_ambiguity(&prices, &mut mistakes);
        if mistakes.is_empty() { Ok(Self { prices }) } else { Err(InvalidBook::Entries(mistakes)) }
    }

    /// The book that ships with Weir.
    pub fn builtin() -> Result<Self, InvalidBook> {
        Self::parse(super::BUILTIN)
    }

    /// Every entry, in the file's order.
    pub fn entries(&self) -> &[Price] {
        &self.prices
    }
}

fn resolve(entry: PriceFile, mistakes: &mut Vec<String>) -> Price {
    let id = entry.id;
    let mut tiers = vec![entry.base.resolve(mistakes, &id)];
    tiers.extend(entry.tiers.iter().map(|tier| tier.resolve(mistakes, &id)));
    if tiers.windows(2).any(|pair| pair[0].over_input_tokens >= pair[1].over_input_tokens) {
        mistakes.push(format!("{id}: tiers must have ascending over_input_tokens, and the base entry none"));
    }
    if entry.models.is_empty() || entry.models.iter().any(|model| model.trim_end_matches('*').contains('*')) {
        mistakes.push(format!("{id}: models must be names, or names with one * at the end"));
    }
    Price {
        id,
        provider: entry.provider,
        first_party: entry.first_party,
        models: entry.models,
        valid_from: entry.valid_from,
        source: entry.source,
        tiers,
        per_request: entry.per_request.map_or(Pico::ZERO, |price| price.0),
    }
}

/// Two entries that could both be meant by the same name at the same time, and ids used twice.
fn check_ambiguity(prices: &[Price], mistakes: &mut Vec<String>) {
    for (at, price) in prices.iter().enumerate() {
        for other in &prices[at + 1..] {
            if price.id == other.id {
                mistakes.push(format!("{}: this id is used twice", price.id));
            }
            let competing = price.provider == other.provider || (price.first_party && other.first_party);
            if !competing || price.valid_from != other.valid_from {
                continue;
            }
            for model in price.models.iter().filter(|model| other.models.contains(model)) {
                mistakes.push(format!("{} and {} both price {model} from {}", price.id, other.id, price.valid_from));
            }
        }
    }
}
