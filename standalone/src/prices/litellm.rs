//! LiteLLM's `model_prices_and_context_window.json`: an object of models, dollars per token.
//!
//! Schema: <https://raw.githubusercontent.com/BerriAI/litellm/main/model_prices_and_context_window.schema.json>

use std::collections::BTreeMap;

use schemas::decimal::exact;
use schemas::money::Pico;
use schemas::price::Tier;
use serde_json::value::RawValue;

use super::{List, Listed, Unreadable};

/// Its providers that speak the formats we relay, and our names for them.
const PROVIDERS: &[(&str, &str)] = &[
    ("anthropic", "anthropic"),
    ("openai", "openai"),
    ("gemini", "google"),
    ("mistral", "mistral"),
    ("groq", "groq"),
    ("xai", "xai"),
    ("deepseek", "deepseek"),
    ("openrouter", "openrouter"),
];

/// Modes that are billed by text tokens. A model without a mode is taken for one of them.
const MODES: &[&str] = &["chat", "completion", "responses"];

type Fields<'a> = BTreeMap<&'a str, &'a RawValue>;

pub(super) fn read(text: &str) -> Result<List, Unreadable> {
    let models: BTreeMap<&str, &RawValue> = serde_json::from_str(text)?;
    let mut list = List::default();
    let mut recognised = false;
    for (name, entry) in models {
        // The first entry explains the others in prose, and rules are no models.
        let Ok(fields) = serde_json::from_str::<Fields<'_>>(entry.get()) else { continue };
        let text = |key: &str| fields.get(key).and_then(|value| serde_json::from_str::<String>(value.get()).ok());
        let Some(theirs) = text("litellm_provider") else { continue };
        recognised = true;
        let Some((_, ours)) = PROVIDERS.iter().find(|(known, _)| *known == theirs) else { continue };
        if text("mode").is_some_and(|mode| !MODES.contains(&mode.as_str())) {
            continue;
        }
        let name = name.strip_prefix(&format!("{theirs}/")).unwrap_or(name);
        match tiers(&fields) {
            Ok(tiers) => list.models.push(Listed {
                provider: (*ours).to_owned(),
                names: vec![name.to_owned()],
                since: None,
                source: text("source").filter(|source| source.starts_with("https://")),
                tiers,
                per_request: fields
                    .get("input_cost_per_request")
                    .and_then(|fee| exact(fee.get(), 0))
                    .unwrap_or(Pico::ZERO),
            }),
            Err(reason) => list.skip(format!("{ours}/{name}"), reason),
        }
    }
    // A model may be listed with its provider's prefix and without.
    let mut seen = std::collections::BTreeSet::new();
    list.models.retain(|model| seen.insert((model.provider.clone(), model.names.clone())));
    let mut seen = std::collections::BTreeSet::new();
    list.skipped.retain(|skipped| seen.insert(skipped.name.clone()));
    if recognised { Ok(list) } else { Err(Unreadable::Unknown) }
}

fn tiers(fields: &Fields<'_>) -> Result<Vec<Tier>, String> {
    // An object is truth; null is none.
    if fields.get("off_peak_pricing").is_some_and(|hours| hours.get().starts_with('{')) {
        return Err("its price depends on the hour; compare the entries with hours by hand".to_owned());
    }
    let mut bounds: Vec<u64> = fields.keys().filter_map(|key| bound(key)).collect();
    bounds.extend([0]);
    bounds.sort_unstable();
    bounds.dedup();
    bounds.into_iter().map(|bound| tier(fields, bound)).collect()
}

/// `input_cost_per_token_above_200k_tokens` gives 200,000. Other services tiers (`_batches`, `_flex`) are not ours.
fn bound(key: &str) -> Option<u64> {
    let (kind, rest) = key.split_once("_above_")?;
    let thousands = rest.strip_suffix("k_tokens")?.parse::<u64>().ok()?;
    (kind == "input_cost_per_token").then_some(thousands * 1000)
}

fn tier(fields: &Fields<'_>, over_input_tokens: u64) -> Result<Tier, String> {
    let suffix = match over_input_tokens {
        0 => String::new(),
        bound => format!("_above_{}k_tokens", bound / 1000),
    };
    let price = |key: &str| -> Result<Option<Pico>, String> {
        let key = format!("{key}{suffix}");
        let Some(number) = fields.get(key.as_str()).filter(|number| number.get() != "null") else { return Ok(None) };
        exact(number.get(), 0)
            .map(Some)
            .ok_or_else(|| format!("{key} = {number} is not a whole number of pico-dollars"))
    };
    // A list writes 0 for what it does not know, and for what is free; we claim neither.
    let known = |price: Option<Pico>| price.filter(|price| *price != Pico::ZERO);
    let needed = |key: &str, price: Option<Pico>| known(price).ok_or_else(|| format!("{key}{suffix} is missing or 0"));
    Ok(Tier {
        over_input_tokens,
        input: needed("input_cost_per_token", price("input_cost_per_token")?)?,
        output: needed("output_cost_per_token", price("output_cost_per_token")?)?,
        cache_read: known(price("cache_read_input_token_cost")?),
        cache_write_5m: known(price("cache_creation_input_token_cost")?),
        cache_write_1h: known(price("cache_creation_input_token_cost_above_1hr")?),
    })
}
