//! An entry as the text of a book.

use std::fmt::Write;

use super::{Price, Tier};
use crate::money::Pico;

impl Price {
    /// The entry as TOML, as [`super::Book::parse`] reads it.
    pub fn to_toml(&self) -> String {
        let mut text = String::from("[[prices]]\n");
        let mut line = |key: &str, value: String| {
            // Writing to a string cannot fail.
            let _infallible = writeln!(text, "{key} = {value}");
        };
        line("id", quoted(&self.id));
        line("provider", quoted(&self.provider));
        if self.first_party {
            line("first_party", "true".to_owned());
        }
        line("models", list(&self.models));
        if !self.aliases.is_empty() {
            line("aliases", list(&self.aliases));
        }
        line("valid_from", quoted(&self.valid_from.to_string()));
        if let Some(until) = self.valid_until {
            line("valid_until", quoted(&until.to_string()));
        }
        if let Some(hours) = &self.hours {
            line("hours", hours.to_toml());
        }
        if self.is_reported {
            line("reported", "true".to_owned());
        }
        line("source", quoted(&self.source));
        if self.per_request != Pico::ZERO {
            line("per_request", quoted(&shortest(self.per_request)));
        }
        let (base, above) = self.tiers.split_first().map_or((None, &[][..]), |(base, above)| (Some(base), above));
        for (key, value) in base.map(fields).unwrap_or_default() {
            line(key, value);
        }
        if !above.is_empty() {
            let rows: Vec<String> = above.iter().map(inline).collect();
            line("tiers", format!("[\n{}]", rows.concat()));
        }
        text
    }
}

/// The prices of a tier by their keys, in dollars per million tokens.
fn fields(tier: &Tier) -> Vec<(&'static str, String)> {
    [
        ("input", Some(tier.input)),
        ("output", Some(tier.output)),
        ("cache_read", tier.cache_read),
        ("cache_write_5m", tier.cache_write_5m),
        ("cache_write_1h", tier.cache_write_1h),
    ]
    .into_iter()
    .filter_map(|(key, price)| Some((key, quoted(&per_million(price?)))))
    .collect()
}

fn inline(tier: &Tier) -> String {
    let prices: Vec<String> = fields(tier).into_iter().map(|(key, value)| format!("{key} = {value}")).collect();
    format!("  {{ over_input_tokens = {}, {} }},\n", tier.over_input_tokens, prices.join(", "))
}

/// Dollars per million tokens, as providers print them: `0.3`, not `0.300000000000`.
pub fn per_million(per_token: Pico) -> String {
    // Prices were read as a number of at most 38 digits per million, so the product fits.
    shortest(Pico(per_token.0.saturating_mul(1_000_000)))
}

fn shortest(amount: Pico) -> String {
    let text = amount.to_string();
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn list(names: &[String]) -> String {
    format!("[{}]", names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", "))
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
