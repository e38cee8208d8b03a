//! Reading and checking a book.

use serde::Deserialize;

use super::hours::HoursFile;
use super::{Book, Hours, Price, Tier};
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
    #[serde(default)]
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
    #[serde(default)]
    aliases: Vec<String>,
    valid_from: Timestamp,
    valid_until: Option<Timestamp>,
    hours: Option<HoursFile>,
    #[serde(default)]
    reported: bool,
    source: String,
    #[serde(flatten)]
    base: BaseFile,
    per_request: Option<PerToken>,
    #[serde(default)]
    tiers: Vec<TierFile>,
}

/// The prices of an entry without its tiers. They may be missing where the provider reports its charges.
#[derive(Deserialize)]
struct BaseFile {
    input: Option<PerToken>,
    output: Option<PerToken>,
    cache_read: Option<PerToken>,
    cache_write_5m: Option<PerToken>,
    cache_write_1h: Option<PerToken>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TierFile {
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

impl BaseFile {
    /// `None` where no price is given at all.
    fn tier(&self) -> Result<Option<TierFile>, &'static str> {
        let cached = [self.cache_read, self.cache_write_5m, self.cache_write_1h];
        match (self.input, self.output) {
            (Some(input), Some(output)) => Ok(Some(TierFile {
                over_input_tokens: 0,
                input,
                output,
                cache_read: self.cache_read,
                cache_write_5m: self.cache_write_5m,
                cache_write_1h: self.cache_write_1h,
            })),
            (None, None) if cached.iter().all(Option::is_none) => Ok(None),
            _ => Err("input and output have a price each, or nothing has"),
        }
    }
}

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
        Self::checked(prices, mistakes)
    }

    /// A book of entries that were made elsewhere.
    ///
    /// # Errors
    /// When they leave it open which one is meant.
    pub fn new(prices: Vec<Price>) -> Result<Self, InvalidBook> {
        Self::checked(prices, Vec::new())
    }

    /// This book with the entries of another one added; of two with the same id the other's counts.
    ///
    /// # Errors
    /// When the two together leave it open which entry is meant.
    pub fn overlaid(self, other: Self) -> Result<Self, InvalidBook> {
        let replaced = |price: &Price| other.prices.iter().any(|entry| entry.id == price.id);
        let mut prices: Vec<Price> = self.prices.into_iter().filter(|price| !replaced(price)).collect();
        prices.extend(other.prices);
        Self::new(prices)
    }

    fn checked(prices: Vec<Price>, mut mistakes: Vec<String>) -> Result<Self, InvalidBook> {
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
    let hours = entry.hours.as_ref().and_then(|hours| match hours.resolve() {
        Ok(hours) => Some(hours),
        Err(mistake) => {
            mistakes.push(format!("{}: {mistake}", entry.id));
            None
        }
    });
    let tiers = resolve_tiers(&entry, mistakes);
    let id = entry.id;
    if entry.valid_until.is_some_and(|until| until <= entry.valid_from) {
        mistakes.push(format!("{id}: valid_until is not after valid_from"));
    }
    let crooked = |name: &String| name.strip_suffix('*').unwrap_or(name).contains('*');
    if entry.models.is_empty() || entry.models.iter().chain(&entry.aliases).any(crooked) {
        mistakes.push(format!("{id}: models and aliases must be names, or names with one * at the end"));
    }
    Price {
        id,
        provider: entry.provider,
        first_party: entry.first_party,
        models: entry.models,
        aliases: entry.aliases,
        valid_from: entry.valid_from,
        valid_until: entry.valid_until,
        hours,
        is_reported: entry.reported,
        source: entry.source,
        tiers,
        per_request: entry.per_request.map_or(Pico::ZERO, |price| price.0),
    }
}

fn resolve_tiers(entry: &PriceFile, mistakes: &mut Vec<String>) -> Vec<Tier> {
    let id = &entry.id;
    let base = match entry.base.tier() {
        Ok(base) => base,
        Err(mistake) => {
            mistakes.push(format!("{id}: {mistake}"));
            return Vec::new();
        }
    };
    if base.is_none() && (!entry.reported || !entry.tiers.is_empty()) {
        mistakes.push(format!(
            "{id}: it has no price for input and output, and is not one whose provider reports its charges"
        ));
    }
    let tiers: Vec<Tier> = base.iter().chain(&entry.tiers).map(|tier| tier.resolve(mistakes, id)).collect();
    if tiers.windows(2).any(|pair| pair[0].over_input_tokens >= pair[1].over_input_tokens) {
        mistakes.push(format!("{id}: tiers must have ascending over_input_tokens, and the base entry none"));
    }
    tiers
}

/// Entries that could both be meant by the same name at the same time, and ids used twice.
///
/// Within a provider, two entries for a name follow each other in time; from the same moment on they contradict each
/// other, unless they share no hour, or only one of them has hours: it then goes first within them. Between two makers' own lists nothing follows: a provider that the book does not know could mean either.
fn check_ambiguity(prices: &[Price], mistakes: &mut Vec<String>) {
    for (at, price) in prices.iter().enumerate() {
        for other in &prices[at + 1..] {
            if price.id == other.id {
                mistakes.push(format!("{}: this id is used twice", price.id));
            }
            let same_provider = price.provider == other.provider
                && price.valid_from == other.valid_from
                && share_an_hour(price.hours.as_ref(), other.hours.as_ref());
            let both_makers = price.provider != other.provider && price.first_party && other.first_party;
            if !same_provider && !both_makers {
                continue;
            }
            let shared = |names: &[String], others: &[String]| -> Vec<String> {
                names.iter().filter(|name| others.contains(name)).cloned().collect()
            };
            let mut twice = shared(&price.models, &other.models);
            twice.extend(shared(&price.aliases, &other.aliases));
            for model in twice {
                let (id, rival, from) = (&price.id, &other.id, price.valid_from.max(other.valid_from));
                mistakes.push(format!("{id} and {rival} both price {model} from {from}"));
            }
        }
    }
}

fn share_an_hour(hours: Option<&Hours>, others: Option<&Hours>) -> bool {
    match (hours, others) {
        (None, None) => true,
        (Some(hours), Some(others)) => hours.meets(others),
        _ => false,
    }
}
