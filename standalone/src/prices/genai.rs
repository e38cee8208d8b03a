//! genai-prices' `data.json`: a list of providers with their models, dollars per million tokens.
//!
//! Schema: <https://github.com/pydantic/genai-prices/blob/main/prices/data.schema.json>. Exact numbers are kept as their
//! text ([`RawValue`]), which no untagged enum can hold; so what may be one thing or another is told by its first byte.

use schemas::decimal::exact;
use schemas::money::Pico;
use schemas::price::Tier;
use schemas::time::Timestamp;
use serde::de::{Deserializer, Error, IgnoredAny};
use serde::{Deserialize, de};
use serde_json::value::RawValue;

use super::text::day_or_time;
use super::{List, Listed, Unreadable};

/// Its providers by our names.
const PROVIDERS: &[(&str, &str)] = &[
    ("anthropic", "anthropic"),
    ("openai", "openai"),
    ("google", "google"),
    ("mistral", "mistral"),
    ("groq", "groq"),
    ("x-ai", "xai"),
    ("deepseek", "deepseek"),
    ("openrouter", "openrouter"),
];

#[derive(Deserialize)]
struct Provider {
    id: String,
    #[serde(default)]
    pricing_urls: Vec<String>,
    models: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Model {
    id: String,
    #[serde(rename = "match")]
    clause: Clause,
    prices: Box<RawValue>,
}

/// Which names are meant. What a book cannot say (`contains`, `regex`, ...) is left out; a model's id always counts.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Clause {
    Equals(String),
    StartsWith(String),
    Or(Vec<Clause>),
    #[serde(untagged)]
    Other(IgnoredAny),
}

impl Clause {
    fn names(&self, names: &mut Vec<String>) {
        match self {
            Self::Equals(name) => names.push(name.clone()),
            Self::StartsWith(prefix) => names.push(format!("{prefix}*")),
            Self::Or(clauses) => clauses.iter().for_each(|clause| clause.names(names)),
            Self::Other(_) => {}
        }
    }
}

#[derive(Deserialize)]
struct Conditional {
    #[serde(default)]
    constraint: Option<Constraint>,
    prices: Price,
}

#[derive(Deserialize)]
struct Constraint {
    #[serde(alias = "start")]
    start_date: Option<String>,
}

#[derive(Deserialize)]
struct Price {
    input_mtok: Option<Rate>,
    output_mtok: Option<Rate>,
    cache_read_mtok: Option<Rate>,
    #[serde(alias = "cache_write_5m_mtok")]
    cache_write_mtok: Option<Rate>,
    cache_write_1h_mtok: Option<Rate>,
    requests_kcount: Option<Box<RawValue>>,
}

/// Dollars per token, with other prices above some numbers of input tokens.
struct Rate {
    base: Pico,
    steps: Vec<(u64, Pico)>,
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Tiered {
            base: Box<RawValue>,
            tiers: Vec<Step>,
        }
        #[derive(Deserialize)]
        struct Step {
            start: u64,
            price: Box<RawValue>,
        }
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        if !raw.get().starts_with('{') {
            return Ok(Self { base: per_token(&raw)?, steps: Vec::new() });
        }
        let tiered: Tiered = serde_json::from_str(raw.get()).map_err(D::Error::custom)?;
        let steps = tiered.tiers.iter().map(|step| Ok((step.start, per_token(&step.price)?)));
        Ok(Self { base: per_token(&tiered.base)?, steps: steps.collect::<Result<_, D::Error>>()? })
    }
}

fn per_token<E: de::Error>(per_million: &RawValue) -> Result<Pico, E> {
    exact(per_million.get(), -6).ok_or_else(|| {
        E::custom(format!("{per_million} dollars per million are not a whole number of pico-dollars per token"))
    })
}

impl Rate {
    /// The price in a request of more than `bound` input tokens; a list's 0 stands for free and for unknown, and we
    /// claim neither.
    fn over(&self, bound: u64) -> Option<Pico> {
        let step = self.steps.iter().rev().find(|(start, _)| *start <= bound);
        Some(step.map_or(self.base, |(_, price)| *price)).filter(|price| *price != Pico::ZERO)
    }
}

pub(super) fn read(text: &str, at: Timestamp) -> Result<List, Unreadable> {
    let providers: Vec<&RawValue> = serde_json::from_str(text)?;
    let mut list = List::default();
    for provider in providers {
        let provider: Provider = serde_json::from_str(provider.get()).map_err(|_| Unreadable::Unknown)?;
        let Some((_, ours)) = PROVIDERS.iter().find(|(theirs, _)| *theirs == provider.id) else { continue };
        for model in &provider.models {
            let Ok(model) = serde_json::from_str::<Model>(model.get()) else {
                list.skip((*ours).to_owned(), "a model without id, match or prices");
                continue;
            };
            match listed(&model, at) {
                Ok(entry) => {
                    let source = provider.pricing_urls.first().cloned();
                    list.models.push(Listed { provider: (*ours).to_owned(), source, ..entry });
                }
                Err(reason) => list.skip(format!("{ours}/{}", model.id), reason),
            }
        }
    }
    Ok(list)
}

fn listed(model: &Model, at: Timestamp) -> Result<Listed, String> {
    let (price, since) = price_at(&model.prices, at)?;
    let mut names = vec![model.id.clone()];
    model.clause.names(&mut names);
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    let per_request = match &price.requests_kcount {
        None => Pico::ZERO,
        Some(fee) => exact(fee.get(), -3).ok_or_else(|| format!("requests_kcount = {fee} is not exact"))?,
    };
    Ok(Listed { provider: String::new(), names, since, source: None, tiers: tiers(&price)?, per_request })
}

/// The price that holds at a time. As the list's users do, the last one that applies is taken.
fn price_at(prices: &RawValue, at: Timestamp) -> Result<(Price, Option<Timestamp>), String> {
    if prices.get().starts_with('{') {
        return Ok((serde_json::from_str(prices.get()).map_err(|error| error.to_string())?, None));
    }
    let all: Vec<Conditional> = serde_json::from_str(prices.get()).map_err(|error| error.to_string())?;
    let mut found = None;
    for Conditional { constraint, prices } in all {
        let since = match constraint {
            None => None,
            Some(Constraint { start_date: Some(day) }) => Some(day_or_time(&day).map_err(|error| error.to_string())?),
            Some(_) => {
                return Err("its price depends on more than the day; compare the entries with hours by hand".to_owned());
            }
        };
        if since.is_none_or(|since| since <= at) {
            found = Some((prices, since));
        }
    }
    found.ok_or_else(|| "it has no price yet".to_owned())
}

fn tiers(price: &Price) -> Result<Vec<Tier>, String> {
    let rates = [&price.input_mtok, &price.output_mtok, &price.cache_read_mtok, &price.cache_write_mtok];
    let mut bounds: Vec<u64> =
        rates.into_iter().flatten().flat_map(|rate| rate.steps.iter().map(|(start, _)| *start)).collect();
    bounds.push(0);
    bounds.sort_unstable();
    bounds.dedup();
    let at = |rate: &Option<Rate>, bound| rate.as_ref().and_then(|rate| rate.over(bound));
    let needed = |rate, bound, what: &str| at(rate, bound).ok_or_else(|| format!("{what} is missing or 0"));
    bounds
        .into_iter()
        .map(|bound| {
            Ok(Tier {
                over_input_tokens: bound,
                input: needed(&price.input_mtok, bound, "input_mtok")?,
                output: needed(&price.output_mtok, bound, "output_mtok")?,
                cache_read: at(&price.cache_read_mtok, bound),
                cache_write_5m: at(&price.cache_write_mtok, bound),
                cache_write_1h: at(&price.cache_write_1h_mtok, bound),
            })
        })
        .collect()
}
